"""Coordinates of closed forms: every column in its own unit, or all in one, as pixels are."""

from dataclasses import replace

import numpy as np

from sktn.tables.coordinates import fit_coordinates

SCALINGS = ("auto", "standard", "common")

# Fewer columns than this are no image or spectrum.
_FEWEST = 16

# Of columns in one unit many begin at its lowest value, and some reach its highest: half begin
# where the lowest does, and a quarter come as far as nine tenths of the range.
_BEGIN, _REACH, _FAR = 0.5, 0.25, 0.9


def coordinates_of(rows, scaling):
    """The coordinates of training rows; "common": one scale for all numeric columns, the root of
    their mean variance, so that a pixel that hardly varies is not magnified.

    rows Rows, scaling one of SCALINGS -> Coordinates
    """
    coordinates = fit_coordinates(rows.X, rows.weight, rows.categorical)
    numeric = np.array([len(shares) == 0 for shares in coordinates.shares])
    common = scaling == "common" or (scaling == "auto" and share_a_unit(rows.X[:, numeric]))
    if not common or not numeric.any():
        return coordinates
    varying = numeric & (np.fmax.reduce(rows.X) > np.fmin.reduce(rows.X))
    if not varying.any():
        return coordinates
    # Divided by the largest first: squares of large scales may not be finite.
    largest = coordinates.scale[varying].max()
    total = np.sum((coordinates.scale[varying] / largest) ** 2)
    scale = np.where(numeric, largest * np.sqrt(total / numeric.sum()), coordinates.scale)
    coordinates = replace(coordinates, scale=scale, one_unit=True)
    mean, variance = _moments(coordinates.transform(rows.X), rows.weight)
    return replace(coordinates, mean=mean, variance=variance)


def share_a_unit(X):
    """Whether numeric columns look like the pixels of an image: X (b, n), NaN for missing -> bool

    Columns of two values are no pixels: they are answers to different questions.
    """
    known = ~np.isnan(X)
    X = X[:, known.any(axis=0)]
    if X.shape[1] < _FEWEST:
        return False
    low, high = np.nanmin(X, axis=0), np.nanmax(X, axis=0)
    lowest, highest = low.min(), high.max()
    between = (low < X) & (high > X)
    several = between.any(axis=0)[high > low]
    return bool(
        highest > lowest
        and np.mean(low == lowest) >= _BEGIN
        # Halved: a range of large numbers may not be finite.
        and np.mean(high / 2 - lowest / 2 >= _FAR * (highest / 2 - lowest / 2)) >= _REACH
        and np.mean(several) >= _BEGIN
    )


def _moments(z, weight):
    """Weighted means and variances of present values: (b, n), (b,) -> (n,), (n,)"""
    share = ~np.isnan(z) * weight[:, None]
    total = np.maximum(share.sum(axis=0), np.finfo(np.float64).tiny)
    mean = np.sum(share * np.nan_to_num(z), axis=0) / total
    return mean, np.sum(share * np.nan_to_num(z - mean) ** 2, axis=0) / total
