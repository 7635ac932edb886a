"""How a table's columns are learned: moments, ranges, ranks and levels, all of them weighted.

An integer weight is the same as repeated rows. Columns without information get no site.

Examples
--------
>>> import numpy as np
>>> from sktn.tables.column_fit import fit_columns
>>> X = np.array([[1.0, 5.0], [2.0, 5.0], [3.0, 5.0]])  # the second column says nothing
>>> fit_columns(X).transform(X)[:, 0, 0].round(2)
array([-0.41,  0.  ,  0.41])
"""

from dataclasses import replace

import numpy as np

from sktn.tables.columns import RANKED, Columns, GroupedColumns
from sktn.tables.statistics import (
    distribution,
    level_weights,
    mean_and_deviation,
    positive_rows,
    unit_weights,
)

#: The scalings that :func:`fit_columns` knows.
SCALINGS = ("standard", "quantile", "capped", "blended", "minmax", "mixed", "common", "none")

# Deviations at which "standard" clips: beyond, a normal column has three values in a thousand.
_CLIP = 3.0

# Knots of the quantile map, at most: between them ranks are wrong by less than a thousandth.
_KNOTS = 1000

# Share of the ranks that a value takes at most when they are capped: where nine rows of ten are 0,
# a curve has to change among the others.
_MOST = 1 / 16

# The largest scale: a multiple of a deviation may not be finite.
_LARGEST = np.finfo(np.float64).max


def fit_columns(
    X,
    *,
    sample_weight=None,
    scaling="standard",
    categorical=None,
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
    scaling : one of `SCALINGS`, default="standard"
        "standard": mean and standard deviation, clipped at three of the latter. "quantile": the
        weighted empirical distribution function, with mid-ranks for ties. "capped": the same, but a
        value that many rows have counts for a sixteenth of them at most. "blended": the mean of
        "quantile" and "standard", both of unit variance. "minmax": the range.
        "mixed": "standard" and "quantile" in two channels. "common": the mean of every column and
        one range for all, the largest. "none": X lives in the domain already.
    categorical : ndarray of shape (n_columns,), bool, default=None
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
    if scaling in ("standard", "mixed", "blended"):
        center, deviation = mean_and_deviation(np.where(numeric, X, np.nan), weight)
        with np.errstate(over="ignore"):
            scale = np.where(deviation > 0, np.minimum(deviation * _CLIP, _LARGEST), 1.0)
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
    if scaling in RANKED:
        most = _MOST if scaling == "capped" else 1.0
        knots, ranks = _fit_ranks(X, present & numeric[None, :], weight, most)
    if scaling == "blended":
        ranks = _blended(knots, ranks, center, scale)

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


def _fit_ranks(X, present, weight, most):
    """Knots of u(x) = 2 F(x) - 1, F the weighted distribution function with mid-ranks for ties, of
    which every value has at most a share `most`.

    X (b, n), present (b, n), weight (b,) -> (n, K), (n, K) with K <= `_KNOTS`
    """
    knots, ranks = [], []
    for column, rows in zip(X.T, present.T, strict=True):
        values, u = np.zeros(1), np.zeros(1)
        if rows.any():
            values, u = distribution(column[rows], weight[rows], most)
        if len(values) > _KNOTS:
            # Knots at the ends and at equal steps of probability between them.
            chosen = np.searchsorted(u, np.linspace(u[0], u[-1], _KNOTS))
            chosen = np.unique(np.append(chosen, [0, len(u) - 1]).clip(max=len(u) - 1))
            values, u = values[chosen], u[chosen]
        knots.append(values.astype(np.float64))
        ranks.append(u)
    width = max(map(len, knots))
    return tuple(
        np.stack([np.pad(row, (0, width - len(row)), mode="edge") for row in rows])
        for rows in (knots, ranks)
    )


def _blended(knots, ranks, center, scale):
    """Ranks u and values z, of unit variance each, added at the knots of the ranks,

        sqrt(3) u + min(max(z, -3), 3) :

    rows that are far apart stay so, and those that are crowded are told apart all the same.

    knots, ranks (n, K), center, scale (n,) as "standard" has them -> (n, K) from -1 to 1
    """
    with np.errstate(over="ignore"):
        values = (knots / 2 - center[:, None] / 2) / scale[:, None] * 2
    mixed = np.sqrt(3) * ranks + _CLIP * np.clip(values, -1, 1)
    low, high = mixed[:, :1], mixed[:, -1:]
    return np.where(high > low, 2 * (mixed - low) / np.where(high > low, high - low, 1) - 1, ranks)


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
