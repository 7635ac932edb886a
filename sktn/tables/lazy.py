"""Coordinates of a long table, made when rows are asked for: of a memory map, only those are
read."""

from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np

# Rows from which on cells of ranks pay.
_MANY_ROWS = 10_000


@dataclass(frozen=True, eq=False)
class LazyCoordinates:
    """Stands for `columns.transform(X, dtype)` wherever rows of it are taken.

    Attributes
    ----------
    columns : Columns or GroupedColumns
    X : ndarray of shape (b, n_columns)
    dtype : dtype
    """

    columns: object
    X: np.ndarray
    dtype: np.dtype

    ndim = 3

    @property
    def shape(self):
        return len(self.X), *self.columns.low.shape

    def __len__(self):
        return len(self.X)

    def __getitem__(self, rows):
        return self.columns.transform(self.X[rows], self.dtype, self._cells)

    @cached_property
    def _cells(self):
        return self.columns.rank_cells if len(self.X) >= _MANY_ROWS else None

    def __array__(self, dtype=None, copy=None):
        if copy is False:
            raise ValueError("Coordinates that are made on demand are always a copy.")
        coords = self[:]
        return coords if dtype is None else coords.astype(dtype, copy=False)

    def astype(self, dtype, copy=True):
        return replace(self, dtype=np.dtype(dtype))
