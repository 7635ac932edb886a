"""Statistics of weighted columns: a row of weight 2 is two rows, whatever the statistic.

All of them are free of scale. Weights may be multiplied by any positive number and values may be
as large as floats are: weights are brought to unit scale by a power of two, which rounds nothing,
and values are brought to it before anything is added or squared.
"""

import numpy as np

# A cumulated weight reaches a share of the total when it is this close to it: sums of weights that
# are no integers are rounded.
_ROUNDING = 1e-12

# Values further from the median than this many interquartile ranges do not count for a scale: at
# a normal distribution this is 130 standard deviations, so only what is no part of it is left out.
_FENCE = 100.0


def unit_weights(weight):
    """Weights of which the largest is in [1/2, 1): divided by a power of two, so integer weights
    keep their ratios and sums exactly, and no sum overflows.

    weight (b,) -> (b,) in float64
    """
    weight = np.asarray(weight, dtype=np.float64)
    _, exponent = np.frexp(np.max(weight, initial=0.0))
    return np.ldexp(weight, -exponent)


def positive_rows(X, weight):
    """The rows of positive weight, and their weights; weight None is 1 everywhere.

    X (b, ...), weight (b,) or None -> (b', ...), (b',)
    """
    X = np.asarray(X)
    if weight is None:
        return X, np.ones(len(X))
    weight = np.asarray(weight, dtype=np.float64)
    rows = weight > 0
    if not rows.any():
        raise ValueError("All sample weights are zero: at least one row needs a positive weight.")
    return X[rows], weight[rows]


def distinct_rows(X, weight):
    """Rows of positive weight without repetitions, and the sums of their weights.

    A row of weight 2 is thus the same as two rows, whatever is drawn at random from them.
    X (b, n) with NaN for missing, weight (b,) -> (b', n), (b',)
    """
    X, weight = X[weight > 0], weight[weight > 0]
    # Missing values would be different from each other; infinite ones do not get here.
    rows, index = np.unique(np.where(np.isnan(X), np.inf, X), axis=0, return_inverse=True)
    rows[np.isinf(rows)] = np.nan
    return rows, np.bincount(index.ravel(), weights=weight, minlength=len(rows))


def mean_and_deviation(values, weight):
    """Mean and standard deviation of the present values of every column; 0 and 0 of none.

    A constant column has a deviation of exactly 0, and no digits are lost where the mean is large
    beside it: values are taken as shares of their range, which starts at a value of the column.

    values (b, ...) with NaN for missing, weight (b,) -> (...), (...) in float64
    """
    values = np.asarray(values, dtype=np.float64)
    present = ~np.isnan(values)
    some = present.any(axis=0)
    low = np.where(some, np.min(values, axis=0, initial=np.inf, where=present), 0.0)
    high = np.where(some, np.max(values, axis=0, initial=-np.inf, where=present), 0.0)
    # Halved first: the difference of two large numbers may not be finite.
    half = high / 2 - low / 2
    share = np.where(present, (values / 2 - low / 2) / np.where(half > 0, half, 1.0), 0.0)
    mass = present * unit_weights(weight).reshape(-1, *[1] * (values.ndim - 1))
    total = mass.sum(axis=0)
    total = np.where(total > 0, total, 1.0)
    mean = (mass * share).sum(axis=0) / total
    variance = (mass * (share - mean) ** 2).sum(axis=0) / total
    return low + half * mean + half * mean, half * (2 * np.sqrt(variance))


def quantiles(values, weight, shares):
    """For every share the smallest value at which the cumulated weight reaches it.

    Always a value of the column, so order is all that counts.
    values (b, ...), weight (b,), shares (k,) in [0, 1] -> (k, ...)
    """
    values = np.asarray(values)
    columns = values.reshape(len(values), -1)
    order = np.argsort(columns, axis=0, kind="stable")
    reached = np.cumsum(unit_weights(weight)[order], axis=0)
    found = np.empty((len(shares), columns.shape[1]), dtype=values.dtype)
    for j, total in enumerate(reached[-1]):
        at = np.searchsorted(reached[:, j], np.asarray(shares) * total * (1 - _ROUNDING))
        found[:, j] = columns[order[at, j], j]
    return found.reshape(len(shares), *values.shape[1:])


def median(values, weight):
    """values (b, ...), weight (b,) -> (...)"""
    return quantiles(values, weight, [0.5])[0]


def fenced_moments(values, weight):
    """Mean and standard deviation of the values inside a wide fence around the median, so that
    one value of 1e30 does not flatten the others.

    values (b,), weight (b,) -> (), ()
    """
    low, center, high = quantiles(values, weight, [0.25, 0.5, 0.75])
    half_range = high / 2 - low / 2
    if half_range > 0:
        inside = np.abs(values / 2 - center / 2) / _FENCE <= half_range
        values, weight = values[inside], weight[inside]
    mean, deviation = mean_and_deviation(values, weight)
    return float(mean), float(deviation)


def distribution(values, weight, most=1.0):
    """The distribution function with mid-ranks for ties: 2 F(x) - 1 at every distinct value.

    values (b,), weight (b,), most: the share of the rows that a value counts for, at most
    -> (k,) ascending, (k,) in (-1, 1)
    """
    values, index = np.unique(values, return_inverse=True)
    mass = np.bincount(index, weights=unit_weights(weight), minlength=len(values))
    mass = np.minimum(mass, _level(mass, most))
    reached = np.cumsum(mass)
    return values, (2 * reached - mass) / reached[-1] - 1


def _level(mass, most):
    """The level c at which min(mass, c) has no larger part than a share of its sum: that of the
    least, all parts equal, where there are too few for it.

    mass (k,) -> ()
    """
    falling = np.sort(mass)[::-1]
    # Of a value and all smaller ones, as sums: differences of large sums lose small weights.
    rest = np.cumsum(falling[::-1])[::-1]
    # Cut to c, the k largest leave the others this share: c = most rest / room.
    room = 1 - most * np.arange(len(mass))
    fits = falling * room <= most * rest * (1 + 1e-12)
    k = np.argmax(fits)
    return most * rest[k] / room[k] if fits[k] else falling[-1]


def level_weights(codes, weight, n_levels=0):
    """Total weight of every code; missing ones have none.

    codes (b,) 0, 1, ... with NaN for missing, weight (b,) -> (max(n_levels, largest code + 1),)
    """
    known = ~np.isnan(codes)
    mass = np.asarray(weight, dtype=np.float64)[known]
    return np.bincount(codes[known].astype(np.int64), weights=mass, minlength=n_levels)


def correlation(values, weight):
    """Correlation of every column with every other, 0 with a constant one.

    values (b, n) without gaps, weight (b,) -> (n, n)
    """
    mean, deviation = mean_and_deviation(values, weight)
    share = unit_weights(weight)
    share = share / share.sum()
    z = (values - mean) / np.where(deviation > 0, deviation, 1.0) * np.sqrt(share)[:, None]
    return z.T @ z
