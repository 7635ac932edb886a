"""Coordinates for a Gaussian product kernel: standardised columns without a border.

Unlike :mod:`sktn.tables.columns`, which moves what it has never seen to the border of what it has,
these
coordinates keep growing outside the training range, though only by the logarithm: far values are
what a detector looks for, and a value of 1e30 must not drown the other columns.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

# Deviations up to this many standard deviations are kept as they are.
_LINEAR = 2.0

_LARGEST = 1e300

# Values further from the median than this many interquartile ranges do not count for the scale.
_FENCE = 100.0


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
    """

    center: np.ndarray
    scale: np.ndarray
    shares: tuple
    mean: np.ndarray
    variance: np.ndarray

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
        z = (values.astype(np.float64) - center) / scale
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
    column's only known one is news.
    """
    n_columns = X.shape[1]
    categorical = np.zeros(n_columns, bool) if categorical is None else np.asarray(categorical)
    center, scale = np.zeros(n_columns), np.ones(n_columns)
    shares = [np.zeros(0)] * n_columns
    for j in range(n_columns):
        present = ~np.isnan(X[:, j])
        values, mass = X[present, j].astype(np.float64), weight[present]
        if len(values) == 0:
            continue
        if categorical[j]:
            count = np.bincount(values.astype(np.int64), weights=mass)
            shares[j] = count / count.sum()
        else:
            center[j], scale[j] = _center_and_scale(values, mass)
    fitted = Coordinates(center, scale, tuple(shares), np.zeros(0), np.zeros(0))
    z = fitted.transform(X)
    present = ~np.isnan(z)
    share = present * weight[:, None]
    total = np.maximum(share.sum(axis=0), np.finfo(np.float64).tiny)
    mean = np.einsum("bn,bn->n", share, np.where(present, z, 0.0)) / total
    deviation = np.where(present, z - mean, 0.0)
    variance = np.einsum("bn,bn->n", share, deviation**2) / total
    return replace(fitted, mean=mean, variance=variance)


def _center_and_scale(values, weight):
    """Weighted mean and deviation of the values inside a wide fence around the median."""
    order = np.argsort(values, kind="stable")
    cumulated = np.cumsum(weight[order])
    quantile = [
        values[order[np.searchsorted(cumulated, q * cumulated[-1])]] for q in (0.25, 0.5, 0.75)
    ]
    # Halved first: the difference of two large numbers may not be finite.
    half_range = quantile[2] / 2 - quantile[0] / 2
    if half_range > 0:
        inside = np.abs(values / 2 - quantile[1] / 2) <= _FENCE * half_range
        values, weight = values[inside], weight[inside]
    unit = np.max(np.abs(values))
    unit = unit if unit > 0 else 1.0
    scaled = values / unit
    mean = np.average(scaled, weights=weight)
    deviation = np.sqrt(np.average((scaled - mean) ** 2, weights=weight))
    # A spread of rounding errors is none.
    if deviation <= 10 * np.finfo(np.float64).eps:
        return float(quantile[1]), 1.0
    return mean * unit, deviation * unit
