"""Rows with a score of their own: training rows, as what may be strange itself."""

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from scipy.spatial import KDTree

from sktn.networks.product_sum import squared_distances
from sktn.tables.coordinates import Coordinates

# Stands for a missing value, which is a copy of a missing value only: coordinates grow by the
# logarithm, and the largest double has 1,400.
_MISSING = 2000.0

# Rows nearer to a training row than this share of what training rows are apart are taken for it.
_COPY = 0.1

# The distance between training rows is a median over so many of them.
_ROWS = 500


@dataclass(frozen=True, eq=False)
class KnownRows:
    """Scores of training rows, which fade over to those of new rows.

    A copy has the score of the row, up to rounding of its values; at `radius` from the nearest
    training row nothing of it is left, and in between it is linear, so that scores are continuous.

    Attributes
    ----------
    coordinates : Coordinates
    rows : ndarray of shape (b, n)
        In these coordinates, `_MISSING` where missing.
    scores : ndarray of shape (b,)
    radius : float
    """

    coordinates: Coordinates
    rows: np.ndarray
    scores: np.ndarray
    radius: float

    @classmethod
    def of(cls, coordinates, X, scores):
        """X (b, n_columns), scores (b,) -> KnownRows"""
        rows = _complete(coordinates.transform(X))
        return cls(coordinates, rows, scores, _COPY * _typical_distance(rows))

    def blend(self, X, scores_of_new):
        """Scores of rows, of which some are training rows: X (b, n_columns), function from rows to
        scores (b', n_columns) -> (b',); -> (b,)"""
        x = _complete(self.coordinates.transform(X))
        # A little more than 0: rows that are equal are found where all training rows are.
        reach = max(self.radius, np.finfo(np.float64).tiny)
        distance, place = self._tree.query(x, distance_upper_bound=reach)
        near = np.isfinite(distance)
        share = np.zeros(len(x))
        share[near] = 1 - distance[near] / reach
        scores = np.zeros(len(x))
        scores[near] = share[near] * self.scores[place[near]]
        new = share < 1
        if new.any():
            scores[new] += (1 - share[new]) * scores_of_new(X[new])
        return scores

    @cached_property
    def _tree(self):
        return KDTree(self.rows)

    def __getstate__(self):
        # Arrays only: the tree is made again.
        return {name: value for name, value in vars(self).items() if name != "_tree"}


def _complete(x):
    return np.where(np.isnan(x), _MISSING, x)


def _typical_distance(rows):
    """Median distance of a row to the one nearest to it, of rows that are apart: (b, n) -> ()"""
    some = rows[:: -(-len(rows) // _ROWS)]
    squares = squared_distances(some, rows)
    squares[squares == 0] = np.inf
    nearest = squares.min(axis=1)
    nearest = nearest[np.isfinite(nearest)]
    return float(np.sqrt(np.median(nearest))) if len(nearest) else 0.0
