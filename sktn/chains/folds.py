"""Which rows are looked at, and which are held out."""

import numpy as np


def search_rows(weight, max_rows, rng):
    """Rows of positive weight, a random choice of `max_rows` of them where there are more."""
    rows = np.flatnonzero(np.asarray(weight) > 0)
    if len(rows) > max_rows:
        rows = np.sort(rng.choice(rows, max_rows, replace=False))
    return rows


def stratified_folds(labels, n_folds, rng):
    """A fold for every row, the rows of every class dealt out evenly; -1, never held out, for a
    class of a single row: without it nothing could be said of its class. None where nothing is
    left to hold out.

    labels (N,) integers -> (N,) integers or None
    """
    counts = np.bincount(labels)
    single = counts[labels] == 1
    n_folds = min(n_folds, int(np.sum(~single)))
    if n_folds < 2:
        return None
    order = rng.permutation(len(labels))
    order = order[np.argsort(labels[order], kind="stable")]
    order = order[~single[order]]
    folds = np.full(len(labels), -1)
    folds[order] = np.arange(len(order)) % n_folds
    return folds


def random_folds(n_rows, n_folds, rng):
    """A fold number for every row, folds of equal size, or None for a single row."""
    n_folds = min(n_folds, n_rows)
    return rng.permutation(np.arange(n_rows) % n_folds) if n_folds > 1 else None
