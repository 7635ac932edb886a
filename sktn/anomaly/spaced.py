"""A spaced MPO on the columns of a table: the fitted operator, its norms and its outputs."""

from dataclasses import dataclass

import numpy as np

from sktn.backend import get_executor
from sktn.networks import mpo, smpo
from sktn.tables.basis import Basis, embed
from sktn.tables.columns import Columns


@dataclass(frozen=True, eq=False)
class TrainedOperator:
    """A spaced MPO on the columns of a table.

    Attributes
    ----------
    columns : Columns
    basis : Basis
    cores : ndarray of shape (n, D, d, o, D)
    order : ndarray of shape (n,)
        Sites of the table along the chain.
    legs : ndarray
        Positions along the chain that have an output leg.
    two_sided : bool
        Whether typical rows have log ||P Phi||^2 near 1 and others are off on either side.
    """

    columns: Columns
    basis: Basis
    cores: np.ndarray
    order: np.ndarray
    legs: np.ndarray
    two_sided: bool

    @property
    def output_mask(self):
        """(n, o)"""
        return output_mask(len(self.cores), self.cores.shape[3], self.legs)

    @property
    def bond_dims(self):
        """Bonds in use, with the closed ends: (n + 1,)"""
        used = np.any(self.cores != 0, axis=(1, 2, 3)).sum(axis=1)
        return np.array([1, *used[:-1], 1])

    def log_norms(self, X):
        """log ||P Phi(x)||^2: X (b, n_columns) -> (b,) in float64"""
        # A state that P maps to 0 stays comparable, and several of them can be averaged.
        norms = self._by_blocks(log_norms, X).astype(np.float64)
        return np.maximum(norms, np.finfo(np.float32).min)

    def log_norms_without(self, X, j):
        """`log_norms` if column j were missing: X (b, n_columns) -> (b,)"""
        hidden = X.copy()
        hidden[:, j] = np.nan
        return self.log_norms(hidden)

    def transform(self, X):
        """Distributions of the output legs: X (b, n_columns) -> (b, legs * o)"""
        p = self._by_blocks(_leg_distributions, X)[:, self.legs]
        return p.reshape(len(p), -1)

    def scores(self, log_norms):
        """Higher is more typical: (b,) -> (b,)"""
        return -((log_norms - 1) ** 2) if self.two_sided else log_norms

    def _by_blocks(self, function, X):
        coords = self.columns.transform(X.astype(self.cores.dtype, copy=False))
        return by_blocks(function, self.basis, self.cores, self.order, coords)


def by_blocks(function, basis, cores, order, coords):
    """A function of rows in blocks of bounded memory: coords (N, n, k) -> (N, ...)"""
    run = get_executor()
    n, D, d, o, _ = cores.shape
    with run.precision(cores.dtype):
        program, arguments = run.jit(function), run.put((basis, cores, order))
        # Site vectors, what is left and right of every site, a site's outputs.
        numbers = n * (d + 2 * D * D) + 4 * o * D * D
        return run.map_rows(lambda rows: program(*arguments, rows), coords, numbers)


def log_norms(basis, cores, order, coords):
    """log ||P Phi(x)||^2 of rows: coords (b, n, k) -> (b,)"""
    return mpo.log_squared_norms(cores, embed(basis, coords)[:, order])


def _leg_distributions(basis, cores, order, coords):
    return smpo.output_distributions(cores, embed(basis, coords)[:, order])


def output_mask(n, o, legs):
    """1.0 for the outputs that a site has: (n, o)"""
    mask = np.zeros((n, o))
    mask[:, 0] = 1
    mask[legs] = 1
    return mask
