"""Rows that are there more than once."""

from dataclasses import replace

import numpy as np

from sktn.chains.folds import distinct
from sktn.chains.streamed import STREAMED_ROWS


def without_copies(reading, target):
    """A table and its target without rows of no weight, and with copies as one row that has their
    weight, so that whatever is drawn from the rows, a weight of two is the same as two rows.

    -> reading, target
    """
    if len(reading.X) > STREAMED_ROWS:
        return reading, target
    kept = np.flatnonzero(target.weight > 0)
    group = distinct(reading.X[kept], target.numbers[kept])
    first = np.unique(group, return_index=True)[1]
    if len(first) == len(reading.X):
        return reading, target
    # In the order in which they appear: that of the rows where none is there twice.
    order = np.argsort(first)
    rows, weight = kept[first[order]], np.bincount(group, weights=target.weight[kept])[order]
    return replace(reading, X=reading.X[rows], y=reading.y[rows]), target.merged(rows, weight)
