"""From the columns of a table to coordinates in the domain of an embedding.

Scaling, clipping, ranks, category codes; columns without information get no site. Everything is
weighted, and an integer weight is the same as repeated rows. The step after this one, from
coordinates to site vectors, is :mod:`sktn.tables.basis`.

Examples
--------
>>> import numpy as np
>>> from sktn.tables.columns import fit_columns
>>> X = np.array([[1.0, 5.0], [2.0, 5.0], [3.0, 5.0]])  # the second column says nothing
>>> fit_columns(X).transform(X)[:, 0, 0].round(2)
array([-0.41,  0.  ,  0.41])
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from sktn.tables.statistics import (
    distribution,
    level_weights,
    mean_and_deviation,
    positive_rows,
    unit_weights,
)

#: The scalings that :func:`fit_columns` knows.
SCALINGS = ("standard", "quantile", "minmax", "mixed", "common", "none")

# The largest scale: a multiple of a deviation may not be finite.
_LARGEST = np.finfo(np.float64).max


@dataclass(frozen=True, eq=False)
class Columns:
    """Fitted column preparation, made by :func:`fit_columns`.

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
    knots, ranks : ndarray of shape (n, n_quantiles)
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

    def transform(self, X, dtype=None):
        """Coordinates of the rows of a table.

        X (b, n_columns) -> (b, n, channels) in `dtype`, by default that of X, inside the domain;
        NaN stands for a missing value or an unknown category, in every channel.
        """
        coords = _coordinates(self, X, dtype)
        # NumPy's clip keeps NaN.
        return np.clip(coords, self.low.astype(coords.dtype), self.high.astype(coords.dtype))

    def slopes(self, X):
        """Derivatives of the coordinates with respect to the values, 0 where they are clipped.

        X (b, n_columns) -> (b, n, channels), 0 on categorical sites and for missing values
        """
        return _slopes(self, X)


@dataclass(frozen=True, eq=False)
class GroupedColumns:
    """Columns of which consecutive ones share a site, made by :func:`fit_columns`.

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
    def low(self):
        return self.columns.low.reshape(self.n_sites, self.channels)

    @property
    def high(self):
        return self.columns.high.reshape(self.n_sites, self.channels)

    def transform(self, X, dtype=None):
        """X (b, n_columns of the table) -> (b, n, channels), see :meth:`Columns.transform`."""
        return self.columns.transform(X, dtype).reshape(len(X), self.n_sites, self.channels)


def fit_columns(
    X,
    *,
    sample_weight=None,
    scaling="standard",
    clip=3.0,
    categorical=None,
    n_quantiles=1000,
    domain=(-1.0, 1.0),
    missing="marginal",
    group=1,
):
    """Learn how to map the columns of a table to coordinates.

    Parameters
    ----------
    X : ndarray of shape (b, n_columns), float
        NaN is a missing value. Categorical columns hold codes 0, 1, ...
    sample_weight : ndarray of shape (b,), default=None
        Rows of weight 0 have no influence at all.
    scaling : {"standard", "quantile", "minmax", "mixed", "common", "none"}, default="standard"
        "standard": mean and standard deviation, clipped at `clip` of the latter. "quantile": the
        weighted empirical distribution function, with mid-ranks for ties. "minmax": the range.
        "mixed": "standard" and "quantile" in two channels. "common": the mean of every column and
        one range for all, the largest. "none": X lives in the domain already.
    clip : float, default=3.0
    categorical : ndarray of shape (n_columns,), bool, default=None
    n_quantiles : int, default=1000
        Largest number of knots of the quantile map.
    domain : tuple of two floats, default=(-1, 1)
        The embedding's.
    missing : {"marginal", "indicator"} or ndarray of shape (n_columns,), default="marginal"
        With "indicator" a column whose only information is where it is missing keeps its site. An
        array of bool says for which columns this is so.
    group : int, default=1
        So many consecutive columns share a site: the embedding's ``group``.

    Returns
    -------
    columns : Columns, or GroupedColumns for groups
        Columns that are constant or all missing have no site. If that leaves none, the first
        column keeps its site, since a network needs one.
    """
    if scaling not in SCALINGS:
        raise ValueError(
            f"Unknown scaling {scaling!r}: use one of {', '.join(map(repr, SCALINGS))}."
        )
    X, weight = positive_rows(X, sample_weight)
    weight = unit_weights(weight)
    n_columns = X.shape[1]
    is_categorical = (
        np.zeros(n_columns, dtype=bool)
        if categorical is None
        else np.asarray(categorical, dtype=bool)
    )
    present = ~np.isnan(X)
    some = present.any(axis=0)
    top = np.where(some, np.max(X, axis=0, initial=-np.inf, where=present), 0.0)
    bottom = np.where(some, np.min(X, axis=0, initial=np.inf, where=present), 0.0)
    informative = top > bottom
    informative |= indicated(missing, n_columns) & some & ~present.all(axis=0)
    informative[0] |= not informative.any()
    if group > 1:
        informative = _whole_groups(informative, group, scaling, is_categorical)
    kept = np.flatnonzero(informative)
    is_categorical = is_categorical[kept]
    X, present = X[:, kept], present[:, kept]
    numeric = ~is_categorical

    center, scale = np.zeros(len(kept)), np.ones(len(kept))
    if scaling in ("standard", "mixed"):
        center, deviation = mean_and_deviation(np.where(numeric, X, np.nan), weight)
        with np.errstate(over="ignore"):
            scale = np.where(deviation > 0, np.minimum(deviation * clip, _LARGEST), 1.0)
    elif scaling == "minmax":
        # Halved first: the sum of two large numbers may not be finite.
        top, bottom = top[kept] / 2.0, bottom[kept] / 2.0
        usable = numeric & (top > bottom)
        center = np.where(usable, top + bottom, 0.0)
        scale = np.where(usable, top - bottom, 1.0)
    elif scaling == "common":
        center, _ = mean_and_deviation(np.where(numeric, X, np.nan), weight)
        with np.errstate(over="ignore"):
            distance = np.maximum(top[kept] - center, center - bottom[kept])
        largest = min(np.max(distance, initial=0.0, where=numeric), _LARGEST)
        scale = np.full(len(kept), largest if largest > 0 else 1.0)
    knots, ranks = np.zeros((2, len(kept), 0))
    if scaling in ("quantile", "mixed"):
        knots, ranks = _fit_ranks(X, present & numeric[None, :], weight, n_quantiles)

    level_ranks, n_levels = _fit_levels(X[:, is_categorical], weight)
    bounds = (len(kept), 2 if scaling == "mixed" else 1)
    low, high = map(float, domain)
    columns = Columns(
        kept=kept,
        categorical=is_categorical,
        center=center,
        scale=scale,
        low=np.where(is_categorical[:, None], 0.0, np.full(bounds, low)),
        high=np.where(is_categorical[:, None], np.inf, np.full(bounds, high)),
        knots=knots,
        ranks=ranks,
        level_ranks=level_ranks,
        n_levels=n_levels,
        scaling=scaling,
        domain=(low, high),
        n_columns=n_columns,
    )
    full = np.full((len(X), n_columns), np.nan, dtype=X.dtype)
    full[:, kept] = X
    coords = columns.transform(full).astype(np.float64)
    seen = ~np.isnan(coords)
    smallest = np.min(coords, axis=0, initial=np.inf, where=seen)
    largest = np.max(coords, axis=0, initial=-np.inf, where=seen)
    middle = (low + high) / 2
    columns = replace(
        columns,
        low=np.where(seen.any(axis=0), smallest, middle),
        high=np.where(seen.any(axis=0), largest, middle),
    )
    return columns if group == 1 else GroupedColumns(columns, group)


def indicated(missing, n_sites):
    """Whether sites say where values are missing: a word for all, or one bool a column of which
    consecutive ones share a site -> (n_sites,) bool"""
    if isinstance(missing, str):
        return np.full(n_sites, missing == "indicator")
    return np.asarray(missing, dtype=bool).reshape(n_sites, -1).any(axis=1)


def _whole_groups(informative, group, scaling, is_categorical):
    """Groups are kept as a whole: informative (n_columns,) -> (n_columns,)"""
    n_columns = len(informative)
    if n_columns % group:
        raise ValueError(
            f"The embedding reads {group} columns a site, but X has {n_columns}, which is no "
            f"multiple of {group}: PixelPatches fills patches up, for instance."
        )
    if is_categorical.any():
        raise ValueError(
            f"The embedding reads {group} columns a site, which must be numeric; columns "
            f"{np.flatnonzero(is_categorical).tolist()} are categorical."
        )
    if scaling == "mixed":
        raise ValueError(f'scaling="mixed" reads one column a site, the embedding {group}.')
    return informative.reshape(-1, group).any(axis=1).repeat(group)


def _fit_ranks(X, present, weight, n_quantiles):
    """Knots of u(x) = 2 F(x) - 1, F the weighted distribution function with mid-ranks for ties.

    X (b, n), present (b, n), weight (b,) -> (n, K), (n, K) with K <= n_quantiles
    """
    knots, ranks = [], []
    for column, rows in zip(X.T, present.T, strict=True):
        values, u = np.zeros(1), np.zeros(1)
        if rows.any():
            values, u = distribution(column[rows], weight[rows])
        if len(values) > n_quantiles:
            # Knots at the ends and at equal steps of probability between them.
            chosen = np.searchsorted(u, np.linspace(u[0], u[-1], n_quantiles))
            chosen = np.unique(np.append(chosen, [0, len(u) - 1]).clip(max=len(u) - 1))
            values, u = values[chosen], u[chosen]
        knots.append(values.astype(np.float64))
        ranks.append(u)
    width = max(map(len, knots))
    return tuple(
        np.stack([np.pad(row, (0, width - len(row)), mode="edge") for row in rows])
        for rows in (knots, ranks)
    )


def _fit_levels(codes, weight):
    """Rank the levels of every categorical column by their weight, the most frequent first.

    codes (b, m) with NaN for missing, weight (b,) -> (m, n_codes) of ranks or -1, (m,)
    """
    m = codes.shape[1]
    n_codes = int(np.max(codes, initial=-1, where=~np.isnan(codes))) + 1
    level_ranks = np.full((m, n_codes), -1, dtype=np.int64)
    n_levels = np.zeros(m, dtype=np.int64)
    for j in range(m):
        mass = level_weights(codes[:, j], weight, n_codes)
        order = np.argsort(-mass, kind="stable")[: np.count_nonzero(mass)]
        level_ranks[j, order] = np.arange(len(order))
        n_levels[j] = len(order)
    return level_ranks, n_levels


def _coordinates(columns, X, dtype=None):
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
    if columns.scaling in ("quantile", "mixed"):
        for i in np.flatnonzero(~columns.categorical):
            u = np.interp(X[:, i], columns.knots[i], columns.ranks[i])
            coords[:, i, channel if columns.scaling == "mixed" else 0] = low + (u + 1) * (
                (high - low) / 2
            )
    for j, i in enumerate(np.flatnonzero(columns.categorical)):
        coords[:, i, :] = _level_coordinates(X[:, i], columns.level_ranks[j])[:, None]
    return coords


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
    if columns.scaling in ("quantile", "mixed"):
        for i in np.flatnonzero(~columns.categorical):
            knots, first = np.unique(columns.knots[i], return_index=True)
            pieces = np.diff(columns.ranks[i][first]) / np.diff(knots)
            # Outside the knots, and for NaN, which sorts behind them, the rank is constant.
            pieces = np.concatenate([[0.0], pieces, [0.0]])
            slopes[:, i, -1] = half * pieces[np.searchsorted(knots, X[:, i], side="right")]
    slopes[:, columns.categorical] = 0.0
    return slopes


def _level_coordinates(codes, level_ranks):
    """Rank of the level of every code as a float, NaN where missing or unknown."""
    known = np.isfinite(codes)
    index = np.where(known, codes, 0).astype(np.int64)
    known &= (index >= 0) & (index < len(level_ranks))
    # One more entry, so that an empty table can be indexed too.
    ranks = np.append(level_ranks, -1)[np.where(known, index, -1)]
    return np.where(ranks >= 0, ranks.astype(np.float64), np.nan)
