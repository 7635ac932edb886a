"""A spaced MPO on the columns of a table: the fitted operator, its norms and its outputs."""

from dataclasses import dataclass

import jax
import numpy as np

from sktn.networks import mpo, smpo
from sktn.tables.basis import Basis, embed
from sktn.tables.columns import Columns

# Floats that one block of rows may take in a forward pass (128 MB in float32).
_BLOCK_SIZE = 2**25


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
        """Apply a compiled function to rows in blocks of bounded memory, of few sizes."""
        coords = self.columns.transform(X.astype(self.cores.dtype, copy=False))
        n, D, d, o, _ = self.cores.shape
        largest = max(1, _BLOCK_SIZE // (n * (d + D * D) + 4 * o * D * D))
        block = 1 << min(largest.bit_length() - 1, max(5, (len(coords) - 1).bit_length()))
        out = []
        with jax.enable_x64(self.cores.dtype == np.float64):
            for start in range(0, len(coords), block):
                rows = coords[start : start + block]
                padded = np.full((block, *rows.shape[1:]), np.nan, rows.dtype)
                padded[: len(rows)] = rows
                values = function(self.basis, self.cores, self.order, padded)
                out.append(np.asarray(values)[: len(rows)])
        return np.concatenate(out)


@jax.jit
def log_norms(basis, cores, order, coords):
    return mpo.log_squared_norms(cores, embed(basis, coords)[:, order])


@jax.jit
def _leg_distributions(basis, cores, order, coords):
    return smpo.output_distributions(cores, embed(basis, coords)[:, order])


def output_mask(n, o, legs):
    """1.0 for the outputs that a site has: (n, o)"""
    mask = np.zeros((n, o))
    mask[:, 0] = 1
    mask[legs] = 1
    return mask
