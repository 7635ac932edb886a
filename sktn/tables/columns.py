"""From the columns of a table to coordinates in the domain of an embedding.

Scaling, clipping, ranks, category codes, as :mod:`sktn.tables.column_fit` has learned them. The
step after this one, from coordinates to site vectors, is :mod:`sktn.tables.basis`.

Examples
--------
>>> import numpy as np
>>> from sktn.tables.column_fit import fit_columns
>>> columns = fit_columns(np.array([[1.0], [2.0], [3.0]]))
>>> columns.transform(np.array([[2.0], [99.0], [np.nan]]))[:, 0, 0].round(2)  # 99 is moved to 3
array([0.  , 0.41,  nan])
"""

from dataclasses import dataclass, replace

import numpy as np

from sktn.networks.linalg import within_floats
from sktn.tables.rank_cells import rank_cells

#: Scalings that have a map from values at knots, a line between them.
RANKED = ("quantile", "capped", "blended", "mixed")


@dataclass(frozen=True, eq=False)
class Columns:
    """Fitted column preparation, made by :func:`~sktn.tables.column_fit.fit_columns`.

    Attributes
    ----------
    kept : ndarray of shape (n,)
        The column of the table that each site reads.
    categorical : ndarray of shape (n,), bool
        Sites of categorical columns; their coordinates are the ranks of the levels by frequency.
    center, scale : ndarray of shape (n,)
        Numeric sites: (x - center) / scale lies in [-1, 1] after clipping.
    low, high : ndarray of shape (n, channels)
        Range of the training coordinates. What lies outside is moved to its border: a polynomial
        says nothing about where it has seen no data.
    knots, ranks : ndarray of shape (n, n_knots)
        The quantile map, padded by its last knot. Without columns when there is none.
    level_ranks : ndarray of shape (n_categorical, n_codes)
        Category code -> rank of the level by frequency, -1 for a level without training rows.
    n_levels : ndarray of shape (n_categorical,)
    scaling : str
    domain : tuple of two floats
    n_columns : int
        Number of columns of the table, dropped ones included.
    """

    kept: np.ndarray
    categorical: np.ndarray
    center: np.ndarray
    scale: np.ndarray
    low: np.ndarray
    high: np.ndarray
    knots: np.ndarray
    ranks: np.ndarray
    level_ranks: np.ndarray
    n_levels: np.ndarray
    scaling: str
    domain: tuple
    n_columns: int

    @property
    def n_sites(self):
        return len(self.kept)

    @property
    def channels(self):
        return 2 if self.scaling == "mixed" else 1

    def only(self, wanted):
        """Those of some sites: wanted (n,) bool"""
        names = ("kept", "categorical", "center", "scale", "low", "high", "knots", "ranks")
        levels = wanted[self.categorical]
        return replace(
            self,
            **{name: getattr(self, name)[wanted] for name in names},
            level_ranks=self.level_ranks[levels],
            n_levels=self.n_levels[levels],
        )

    def transform(self, X, dtype=None, cells=None):
        """Coordinates of the rows of a table.

        cells : RankCells of the knots, worth making for many rows

        X (b, n_columns) -> (b, n, channels) in `dtype`, by default that of X, inside the domain;
        NaN stands for a missing value or an unknown category, in every channel.
        """
        coords = _coordinates(self, X, dtype, cells)
        # NumPy's clip keeps NaN.
        return np.clip(coords, self.low.astype(coords.dtype), self.high.astype(coords.dtype))

    @property
    def rank_cells(self):
        """What makes the ranks of many rows cheaper: RankCells, None where there are no ranks."""
        return rank_cells(self.knots, self.ranks) if self.knots.size else None

    def slopes(self, X):
        """Derivatives of the coordinates with respect to the values, 0 where they are clipped.

        X (b, n_columns) -> (b, n, channels), 0 on categorical sites and for missing values
        """
        return _slopes(self, X)


@dataclass(frozen=True, eq=False)
class GroupedColumns:
    """Columns of which consecutive ones share a site.

    Attributes
    ----------
    columns : Columns
        The preparation of every single column.
    channels : int
        Columns of a site. `kept`, `n_columns` and the other attributes count groups.
    """

    columns: Columns
    channels: int

    @property
    def n_sites(self):
        return self.columns.n_sites // self.channels

    @property
    def n_columns(self):
        return self.columns.n_columns // self.channels

    @property
    def kept(self):
        return self.columns.kept[:: self.channels] // self.channels

    @property
    def categorical(self):
        return np.zeros(self.n_sites, dtype=bool)

    @property
    def n_levels(self):
        return self.columns.n_levels

    @property
    def scaling(self):
        return self.columns.scaling

    @property
    def low(self):
        return self.columns.low.reshape(self.n_sites, self.channels)

    @property
    def high(self):
        return self.columns.high.reshape(self.n_sites, self.channels)

    def only(self, wanted):
        """Those of some sites: wanted (n,) bool"""
        return replace(self, columns=self.columns.only(np.repeat(wanted, self.channels)))

    def transform(self, X, dtype=None, cells=None):
        """X (b, n_columns of the table) -> (b, n, channels), see :meth:`Columns.transform`."""
        coords = self.columns.transform(X, dtype, cells)
        return coords.reshape(len(X), self.n_sites, self.channels)

    @property
    def rank_cells(self):
        return self.columns.rank_cells


def _coordinates(columns, X, dtype=None, cells=None):
    """Coordinates before the clipping to the training range; see Columns.transform."""
    X = np.asarray(X)
    if dtype is None:
        dtype = X.dtype if X.dtype in (np.float32, np.float64) else np.float64
    X = X[:, columns.kept]
    low, high = columns.domain
    coords = np.empty((*X.shape, columns.channels), dtype=dtype)
    channel = 0
    if columns.scaling == "none":
        coords[..., 0] = np.clip(X, low, high)
    if columns.scaling in ("standard", "minmax", "mixed", "common"):
        # Halved, as a difference may not be finite; a value far outside the training range may
        # overflow by the division, and is clipped.
        with np.errstate(over="ignore"):
            unit = (X.astype(np.float64) / 2 - columns.center / 2) / columns.scale * 2
        coords[..., 0] = low + (np.clip(unit, -1, 1) + 1) * ((high - low) / 2)
        channel = 1
    if columns.scaling in RANKED:
        ranked, half = coords[..., channel], (high - low) / 2
        numeric = np.flatnonzero(~columns.categorical)
        if cells is not None:
            ranked[:, cells.columns] = low + (cells(X[:, cells.columns]) + 1) * half
            numeric = np.setdiff1d(numeric, cells.columns)
        for i in numeric:
            u = np.interp(X[:, i], columns.knots[i], columns.ranks[i])
            ranked[:, i] = low + (u + 1) * half
    for j, i in enumerate(np.flatnonzero(columns.categorical)):
        coords[:, i, :] = _level_coordinates(X[:, i], columns.level_ranks[j])[:, None]
    return coords


# Knots may be as near, or as far from each other, as floats can be.
@np.errstate(over="ignore")
def _slopes(columns, X):
    """See Columns.slopes. A knot belongs to the piece on its right."""
    X = np.asarray(X, dtype=np.float64)[:, columns.kept]
    half = (columns.domain[1] - columns.domain[0]) / 2
    slopes = np.zeros((*X.shape, columns.channels))
    if columns.scaling == "none":
        slopes[..., 0] = np.abs(2 * X - columns.low[:, 0] - columns.high[:, 0]) <= (
            columns.high[:, 0] - columns.low[:, 0]
        )
    if columns.scaling in ("standard", "minmax", "mixed", "common"):
        unit = (X - columns.center) / columns.scale
        coords = columns.domain[0] + (unit + 1) * half
        inside = (coords >= columns.low[:, 0]) & (coords <= columns.high[:, 0])
        slopes[..., 0] = np.where(inside & (np.abs(unit) <= 1), half / columns.scale, 0.0)
    if columns.scaling in RANKED:
        for i in np.flatnonzero(~columns.categorical):
            knots, first = np.unique(columns.knots[i], return_index=True)
            pieces = np.diff(columns.ranks[i][first]) / np.diff(knots)
            # Outside the knots, and for NaN, which sorts behind them, the rank is constant.
            pieces = np.concatenate([[0.0], pieces, [0.0]])
            slopes[:, i, -1] = half * pieces[np.searchsorted(knots, X[:, i], side="right")]
    slopes[:, columns.categorical] = 0.0
    return within_floats(slopes)


def _level_coordinates(codes, level_ranks):
    """Rank of the level of every code as a float, NaN where missing or unknown."""
    known = np.isfinite(codes)
    index = np.where(known, codes, 0).astype(np.int64)
    known &= (index >= 0) & (index < len(level_ranks))
    # One more entry, so that an empty table can be indexed too.
    ranks = np.append(level_ranks, -1)[np.where(known, index, -1)]
    return np.where(ranks >= 0, ranks.astype(np.float64), np.nan)
