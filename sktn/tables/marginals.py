"""One-dimensional densities that a Born machine refers to: smooth, invertible, known everywhere.

A numeric column has a mixture of logistic densities at its quantiles,

    F(x) = mean_k expit((x - m_k) / s),    u = 2 F(x) - 1 in (-1, 1),

so the Jacobian of the scaling is its own density, and tails fall exponentially: a value of 1e30
has a finite log-density. A categorical column has the shares of its levels.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.special import expit, logsumexp

from sktn.tables.statistics import fenced_moments, level_weights, quantiles

# Centres of a mixture; more would only resolve what the network is there for.
_CENTRES = 100

_LARGEST = 1e300


@dataclass(frozen=True, eq=False)
class Margins:
    """Fitted by :func:`fit_margins`.

    Attributes
    ----------
    center, scale : ndarray of shape (n,)
        Centres of the mixtures are in units of (x - center) / scale.
    centres : ndarray of shape (n, K)
    width : ndarray of shape (n,)
        s in the same units.
    shares : tuple of ndarray
        Shares of the levels of a categorical column, empty for a numeric one.
    """

    center: np.ndarray
    scale: np.ndarray
    centres: np.ndarray
    width: np.ndarray
    shares: tuple

    @property
    def n_sites(self):
        return len(self.center)

    def is_categorical(self, i):
        return len(self.shares[i]) > 0

    def transform(self, X):
        """u for numeric columns, codes for categorical ones, NaN for missing or unknown: (b, n)"""
        out = np.empty(X.shape)
        for i in range(self.n_sites):
            column = X[:, i].astype(np.float64)
            if self.is_categorical(i):
                known = (column >= 0) & (column < len(self.shares[i]))
                known[known] = self.shares[i][column[known].astype(int)] > 0
                out[:, i] = np.where(known, column, np.nan)
            else:
                out[:, i] = self._mean_over_centres(i, self._standardised(i, column), expit)
                out[:, i] = 2 * out[:, i] - 1
        return out

    def log_density(self, X):
        """log f_i(x_i) of every value, 0 for missing or unknown ones: (b, n) -> (b, n)"""
        out = np.zeros(X.shape)
        for i in range(self.n_sites):
            column = X[:, i].astype(np.float64)
            there = ~np.isnan(column)
            if self.is_categorical(i):
                codes = self.transform(X)[:, i]
                known = ~np.isnan(codes)
                out[known, i] = np.log(self.shares[i][codes[known].astype(int)])
            else:
                z = (self._standardised(i, column[there])[:, None] - self.centres[i]) / self.width[
                    i
                ]
                # log of expit' = -|z| - 2 log(1 + exp(-|z|)), without overflow.
                size = np.abs(z)
                logs = -size - 2 * np.log1p(np.exp(-size))
                out[there, i] = (
                    logsumexp(logs, axis=1)
                    - np.log(self.centres.shape[1] * self.width[i])
                    - np.log(self.scale[i])
                )
        return out

    def invert(self, i, u):
        """x with 2 F_i(x) - 1 = u, by bisection: u (b,) in [-1, 1] -> (b,)"""
        margin = 40 * self.width[i]
        low = np.full(u.shape, self.centres[i].min() - margin)
        high = np.full(u.shape, self.centres[i].max() + margin)
        for _ in range(70):
            middle = (low + high) / 2
            below = 2 * self._mean_over_centres(i, middle, expit) - 1 < u
            low, high = np.where(below, middle, low), np.where(below, high, middle)
        return self.center[i] + self.scale[i] * (low + high) / 2

    def _standardised(self, i, column):
        with np.errstate(over="ignore"):
            z = (column / 2 - self.center[i] / 2) / self.scale[i] * 2
        return np.clip(z, -_LARGEST * self.width[i], _LARGEST * self.width[i])

    def _mean_over_centres(self, i, z, function):
        block = max(1, 2**22 // self.centres.shape[1])
        parts = [
            function((z[start : start + block, None] - self.centres[i]) / self.width[i]).mean(
                axis=1
            )
            for start in range(0, len(z), block)
        ]
        return np.concatenate(parts) if parts else np.zeros(0)


def fit_margins(X, weight, categorical=None):
    """Learn the reference density of every column.

    X (b, n) with NaN for missing, weight (b,) positive, categorical (n,) bool or None -> Margins

    The width is Silverman's rule in the logistic family. A column without spread or without values
    has the scale 1 around its value or around 0.
    """
    n = X.shape[1]
    categorical = np.zeros(n, bool) if categorical is None else categorical
    center, scale, width = np.zeros(n), np.ones(n), np.ones(n)
    centres, shares = np.zeros((n, _CENTRES)), [np.zeros(0)] * n
    ranks = (np.arange(_CENTRES) + 0.5) / _CENTRES
    for i in range(n):
        present = ~np.isnan(X[:, i])
        values, mass = X[present, i].astype(np.float64), weight[present]
        if categorical[i]:
            count = level_weights(X[:, i], weight, 1)
            shares[i] = count / count.sum() if count.any() else np.ones(1)
        elif len(values):
            found = quantiles(values, mass, ranks)
            center[i] = found[_CENTRES // 2]
            _, deviation = fenced_moments(values, mass)
            if deviation > 0:
                scale[i] = deviation
                # Halved first, since the difference of two large numbers may not be finite.
                half = found[74] / 2 - found[25] / 2
                # The interquartile range of a normal distribution is 1.34 deviations.
                spread = min(1.0, 2 * (half / deviation) / 1.34) if half > 0 else 1.0
                silverman = 0.9 * spread * max(mass.sum(), 1.0) ** -0.2
                width[i] = silverman * np.sqrt(3) / np.pi
            # Far outliers get a finite place.
            with np.errstate(over="ignore"):
                centres[i] = np.clip((found / 2 - center[i] / 2) / scale[i] * 2, -1e6, 1e6)
    return Margins(center, scale, centres, width, tuple(shares))
