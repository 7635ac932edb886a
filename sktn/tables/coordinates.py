"""Coordinates for a Gaussian product kernel: standardised columns without a border.

Unlike :mod:`sktn.tables.columns`, which moves what it has never seen to the border of what it has,
these
coordinates keep growing outside the training range, though only by the logarithm: far values are
what a detector looks for, and a value of 1e30 must not drown the other columns.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from sktn.tables.statistics import fenced_moments, level_weights, mean_and_deviation

# Deviations up to this many standard deviations are kept as they are.
_LINEAR = 2.0

_LARGEST = 1e300


@dataclass(frozen=True, eq=False)
class Coordinates:
    """Fitted by :func:`fit_coordinates`.

    Attributes
    ----------
    center, scale : ndarray of shape (n_columns,)
    shares : tuple of ndarray
        For every column the shares of its levels, empty for a numeric one.
    mean, variance : ndarray of shape (n,)
        Weighted moments of the training coordinates.
    one_unit : bool
        Whether one scale serves all numeric columns, as of pixels.
    """

    center: np.ndarray
    scale: np.ndarray
    shares: tuple
    mean: np.ndarray
    variance: np.ndarray
    one_unit: bool = False

    @property
    def n_columns(self):
        return len(self.center)

    def transform(self, X):
        """X (b, n_columns), NaN for missing -> (b, n) in float64, NaN for missing.

        A categorical column becomes one coordinate a level, scaled to total variance 1.
        """
        X = np.asarray(X)
        numeric = [len(share) == 0 for share in self.shares]
        if all(numeric):
            return _standardise(X, self.center, self.scale)
        parts = []
        for j, share in enumerate(self.shares):
            column = X[:, j].astype(np.float64)
            if numeric[j]:
                parts.append(_standardise(column, self.center[j], self.scale[j])[:, None])
            else:
                spread = max(1 - np.sum(share**2), 1 / (1 + len(share)))
                level = (column[:, None] == np.arange(len(share))) / np.sqrt(spread)
                known = np.isfinite(column) & (column < len(share))
                parts.append(np.where(known[:, None], level, np.nan))
        return np.concatenate(parts, axis=1)


def _standardise(values, center, scale):
    # What overflows here is far out, and squash needs finite numbers.
    with np.errstate(over="ignore"):
        z = (values.astype(np.float64) / 2 - center / 2) / scale * 2
    return squash(np.clip(z, -_LARGEST, _LARGEST))


def squash(z):
    """z up to two standard deviations, 2 + 2 log(|z| / 2) with its sign beyond: once
    differentiable, unbounded, and 140 at 1e30.

    z (...,) -> (...,)
    """
    size = np.abs(z)
    with np.errstate(invalid="ignore"):
        far = size > _LINEAR
    beyond = _LINEAR * (1 + np.log(np.where(far, size, _LINEAR) / _LINEAR))
    return np.where(far, np.copysign(beyond, z), z)


def fit_coordinates(X, weight, categorical=None):
    """Learn centres, scales and level shares.

    X (b, n_columns) with NaN for missing, weight (b,) positive, categorical (n_columns,) bool or
    None -> Coordinates

    A column without spread has the scale 1 (as in StandardScaler): a value that differs from a
    column's only known one is news. Where none is known, all values count as missing.
    """
    n_columns = X.shape[1]
    categorical = np.zeros(n_columns, bool) if categorical is None else np.asarray(categorical)
    center, scale = np.zeros(n_columns), np.ones(n_columns)
    shares = [np.zeros(0)] * n_columns
    for j in range(n_columns):
        present = ~np.isnan(X[:, j])
        if not present.any():
            # Of its values nothing is known: a new one counts as missing.
            center[j] = np.nan
            continue
        if categorical[j]:
            mass = level_weights(X[:, j], weight)
            shares[j] = mass / mass.sum()
        else:
            center[j], deviation = fenced_moments(X[present, j].astype(np.float64), weight[present])
            scale[j] = deviation if deviation > 0 else 1.0
    fitted = Coordinates(center, scale, tuple(shares), np.zeros(0), np.zeros(0))
    mean, deviation = mean_and_deviation(fitted.transform(X), weight)
    return replace(fitted, mean=mean, variance=deviation**2)
