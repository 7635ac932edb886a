"""Which rows are looked at, and which are held out.

Folds are dealt to distinct rows, in an order that does not depend on how often a row is there or
where: a row of weight two is the same as two rows, and no row is judged by a copy of itself.
"""

import warnings

import numpy as np


def search_rows(weight, max_rows, rng):
    """Rows of positive weight, a random choice of `max_rows` of them where there are more."""
    rows = np.flatnonzero(np.asarray(weight) > 0)
    if len(rows) > max_rows:
        rows = np.sort(rng.choice(rows, max_rows, replace=False))
    return rows


def distinct(*tables):
    """The number of every row among the distinct ones, which are in lexicographic order.

    tables: arrays (N, ...) side by side, NaN equal to NaN -> (N,) integers
    """
    rows = np.concatenate([np.reshape(t, (len(t), -1)).astype(np.float64) for t in tables], axis=1)
    # Missing values would be different from each other; infinite ones do not get here.
    rows = np.where(np.isnan(rows), np.inf, rows)
    return np.unique(rows, axis=0, return_inverse=True)[1].ravel()


def stratified_folds(labels, groups, n_folds, rng):
    """A fold for every row, the groups of every class dealt out evenly; -1, never held out, for a
    class of a single group: without it nothing could be said of its class. None where nothing is
    left to hold out.

    labels (N,) integers, groups (N,) integers, each of one label -> (N,) integers or None
    """
    _, first, group = np.unique(groups, return_index=True, return_inverse=True)
    own = labels[first]
    single = np.bincount(own)[own] == 1
    n_folds = min(n_folds, int(np.sum(~single)))
    if n_folds < 2:
        return None
    order = rng.permutation(len(own))
    order = order[np.argsort(own[order], kind="stable")]
    order = order[~single[order]]
    folds = np.full(len(own), -1)
    folds[order] = np.arange(len(order)) % n_folds
    return folds[group]


def random_folds(groups, n_folds, rng):
    """A fold for every row, folds of equally many groups, or None for a single group.

    groups (N,) integers -> (N,) integers or None
    """
    distinct_groups, group = np.unique(groups, return_inverse=True)
    n_folds = min(n_folds, len(distinct_groups))
    if n_folds < 2:
        return None
    return rng.permutation(np.arange(len(distinct_groups)) % n_folds)[group]


def folds_of_parts(parts, weight):
    """A fold for every row from the parts of a splitter; -1, never held out, for rows in none.

    parts: pairs of rows trained on and held out, weight (N,): rows without any may be anywhere
    -> (N,) integers
    """
    n_rows, matters = len(weight), np.asarray(weight) > 0
    folds, again = np.full(n_rows, -1), 0
    for k, part in enumerate(parts):
        masks = np.zeros((2, n_rows), bool)
        try:
            for mask, rows in zip(masks, part, strict=True):
                mask[rows] = True
        except IndexError as error:
            raise ValueError(
                f"cv has rows that X, of {n_rows} rows, does not have ({error}): its parts belong "
                "to another table."
            ) from error
        trained, held_out = masks & matters
        if np.any(trained == held_out, where=matters):
            raise ValueError(
                f"Part {k} of cv trains on {trained.sum()} rows and holds out {held_out.sum()} of "
                f"{matters.sum()}: the search needs parts that train on all other rows, like those "
                "of KFold, GroupKFold or PredefinedSplit. For others, such as a TimeSeriesSplit, "
                "put the model with a list of alphas into a GridSearchCV."
            )
        again += np.sum(held_out & (folds >= 0))
        folds[held_out & (folds < 0)] = k
    if again:
        warnings.warn(
            f"cv holds out rows more than once, {again} times in all: the search judges a row in "
            "the first of its parts alone.",
            stacklevel=2,
        )
    return folds
