"""Ranks of many values: the piece of a piecewise linear map that a value belongs to is read off a
table of equal cells, at half of the price of a binary search a value."""

from dataclasses import dataclass

import numpy as np

# Cells for a knot, and knots a cell may have: where they crowd, a column is searched as before.
_CELLS_A_KNOT, _MOST_IN_CELL = 8, 4


@dataclass(frozen=True, eq=False)
class RankCells:
    """Maps from knots to ranks, made by :func:`rank_cells`.

    Attributes
    ----------
    columns : ndarray of shape (n,)
        The columns whose knots do not crowd.
    low, high, scale : ndarray of shape (n,)
        Ends of their knots, and cells a unit.
    first : ndarray of shape (n, n_cells)
        The last knot in the cells before, where there is one.
    knots, ranks, slopes : ndarray of shape (n, n_knots + 1)
        Every knot, its rank and the slope behind it; an infinite knot ends them.
    """

    columns: np.ndarray
    low: np.ndarray
    high: np.ndarray
    scale: np.ndarray
    first: np.ndarray
    knots: np.ndarray
    ranks: np.ndarray
    slopes: np.ndarray

    def __call__(self, X):
        """Ranks of values, NaN for NaN: X (b, n), the columns of `columns` -> (b, n)"""
        x = np.clip(X.astype(np.float64), self.low, self.high)
        # NaN belongs to no cell: its slope carries it on.
        inside = np.nan_to_num((x - self.low) * self.scale, copy=False).astype(np.intp)
        n, n_cells = self.first.shape
        knots, start = self.knots.ravel(), np.arange(n) * self.knots.shape[1]
        place = self.first.take(inside + np.arange(n) * n_cells) + start
        for _ in range(_MOST_IN_CELL):
            behind = knots.take(place + 1) <= x
            if not behind.any():
                break
            place += behind
        return self.slopes.take(place) * (x - knots.take(place)) + self.ranks.take(place)


def rank_cells(knots, ranks):
    """knots, ranks (n, k), rows that repeat their last entry at their ends -> RankCells"""
    n_cells, found = _CELLS_A_KNOT * knots.shape[1], []
    for i, (own, rank) in enumerate(zip(knots, ranks, strict=True)):
        own, first = np.unique(own, return_index=True)
        with np.errstate(over="ignore"):
            scale = (n_cells - 1) / (own[-1] - own[0]) if len(own) > 1 else 0.0
        cell = ((own - own[0]) * scale).astype(np.intp) if 0 < scale < np.inf else None
        if cell is None or np.bincount(cell).max() > _MOST_IN_CELL:
            continue
        before = np.searchsorted(cell, np.arange(n_cells)) - 1
        rest = knots.shape[1] + 1 - len(own)
        slopes = np.append(np.diff(rank[first]) / np.diff(own), np.zeros(1 + rest))
        padded = np.pad(own, (0, rest), constant_values=np.inf), np.pad(rank[first], (0, rest))
        found.append(
            (i, own[0], own[-1], scale, np.maximum(before, 0).astype(np.int32), *padded, slopes)
        )
    return RankCells(*map(np.array, zip(*found, strict=True))) if found else None
