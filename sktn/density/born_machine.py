"""A Born machine as one part of a joint density: likelihoods, draws and conditional distributions.

Relative to the product of the columns' own densities, in the coordinates u of
:mod:`sktn.tables.marginals`,

    r(u) = psi(u)^2 / <psi, psi> ,

with psi a matrix product state over functions that are orthonormal under these densities:
normalised Legendre polynomials of u, and functions on the levels of a categorical column.
"""

from dataclasses import dataclass

import numpy as np
from numpy.polynomial import legendre

from sktn.embeddings import Legendre
from sktn.networks import born


@dataclass(frozen=True, eq=False)
class BornMachine:
    """cores (n, D, d, D) of norm 1, in the order of the chain; order (n,): column of every site;
    degree of the polynomials; shares: of the levels of every column, empty for a numeric one."""

    cores: np.ndarray
    order: np.ndarray
    degree: int
    shares: tuple

    def row_size(self):
        """Numbers that a row takes while it is contracted."""
        n, D, d, _ = self.cores.shape
        return n * (d + 2 * D * D)

    def log_ratio(self, u):
        """log r of what is there of every row: u (b, n) with NaN for missing -> (b,)"""
        phi, present = self._sites(u)
        out, complete = np.empty(len(u)), present.all(axis=1)
        # Without anything to sum over, vectors do what matrices would.
        out[complete] = born.log_squares(self.cores, phi[complete])
        if not complete.all():
            gone = ~complete
            out[gone] = born.log_marginals(self.cores, phi[gone], present[gone])
        return out

    def draw(self, u, rng):
        """Missing values drawn given the others: u (b, n) -> (b, n)"""
        phi, present = self._sites(u)
        right = born.right_environments(self.cores, phi, present)
        D = self.cores.shape[1]
        left = np.zeros((len(u), D, D), self.cores.dtype)
        left[:, 0, 0] = 1
        out = u.copy()
        for k, i in enumerate(self.order):
            gone = np.flatnonzero(~present[:, k])
            if len(gone):
                K = born.local_matrices(left[gone], self.cores[k], right[k][gone])
                out[gone, i] = self._quantiles(
                    i, K.astype(np.float64), rng.random_sample(len(gone))
                )
                phi[gone, k] = self._column(i, out[gone, i], phi.shape[2])
            left = born.left_step(left, self.cores[k], phi[:, k])
        return out

    def conditionals(self, u):
        """The distribution of every missing value given the others: column -> `Conditional`"""
        phi, present = self._sites(u)
        left = born.left_environments(self.cores, phi, present)
        right = born.right_environments(self.cores, phi, present)
        found = {}
        for k, i in enumerate(self.order):
            gone = ~present[:, k]
            if gone.any():
                K = born.local_matrices(left[k][gone], self.cores[k], right[k][gone])
                found[i] = self._conditional(i, K.astype(np.float64))
        return found

    def _conditional(self, i, K):
        shares = self.shares[i]
        if len(shares):
            p = level_probabilities(K, shares)
            return lambda _: p
        series = distribution_series(K[:, : self.degree + 1, : self.degree + 1])
        return lambda t: legendre.legval(t, series, tensor=False)

    def _quantiles(self, i, K, q):
        shares = self.shares[i]
        if len(shares):
            cumulated = np.cumsum(level_probabilities(K, shares), axis=1)
            return (cumulated <= q[:, None]).sum(axis=1).clip(max=len(shares) - 1)
        series = distribution_series(K[:, : self.degree + 1, : self.degree + 1])
        return invert(lambda t: legendre.legval(t, series, tensor=False), q)

    def _sites(self, u):
        phi = site_vectors(u, self.degree, self.shares, self.cores.dtype)
        return phi[:, self.order], ~np.isnan(u[:, self.order])

    def _column(self, i, u, d):
        phi = site_vectors(u[:, None], self.degree, (self.shares[i],), self.cores.dtype)[:, 0]
        return np.pad(phi, ((0, 0), (0, max(0, d - phi.shape[1]))))[:, :d]


def local_dims(degree, shares):
    """Number of functions on every column: -> (n,)"""
    return np.array([len(s) if len(s) else degree + 1 for s in shares])


def site_vectors(u, degree, shares, dtype):
    """The functions of every column, zeros where a value is missing and beyond the last function.

    u (b, n) -> (b, n, d)
    """
    dims = local_dims(degree, shares)
    phi = np.zeros((*u.shape, max(2, *dims)), dtype=dtype)
    polynomials = Legendre(degree)
    for i, levels in enumerate(shares):
        there = ~np.isnan(u[:, i])
        if len(levels):
            phi[there, i, : dims[i]] = level_basis(levels)[u[there, i].astype(int)]
        else:
            phi[there, i, : dims[i]] = polynomials.evaluate(u[there, i, None])
    return phi


def level_basis(shares):
    """Functions on levels that are orthonormal under their shares, the first one constant.

    shares (L,) with sum 1 -> (L, L), a row for every level
    """
    root = np.sqrt(shares)
    # Householder's reflection that takes the first unit vector to `root`.
    v = root.copy()
    v[0] += 1.0 if v[0] >= 0 else -1.0
    Q = np.eye(len(root)) - 2 * np.outer(v, v) / (v @ v)
    return -Q / np.where(root > 0, root, 1.0)[:, None] * (root > 0)[:, None]


def level_probabilities(K, shares):
    """K (b, d, d), shares (L,) -> (b, L)"""
    table = level_basis(shares)
    L = len(table)
    p = np.maximum(shares * np.einsum("bls,ls->bl", table @ K[:, :L, :L], table), 0)
    return p / p.sum(axis=1, keepdims=True)


def antiderivatives(degree):
    """int_{-1}^u phi_s phi_t du / 2 for normalised Legendre polynomials, as Legendre series.

    -> (degree + 1, degree + 1, 2 degree + 2)
    """
    table = np.zeros((degree + 1, degree + 1, 2 * degree + 2))
    for s in range(degree + 1):
        for t in range(degree + 1):
            product = legendre.legmul(np.eye(degree + 1)[s], np.eye(degree + 1)[t])
            integral = legendre.legint(product, lbnd=-1) * np.sqrt((2 * s + 1) * (2 * t + 1)) / 2
            table[s, t, : len(integral)] = integral
    return table


def distribution_series(K):
    """int_{-1}^u phi^T K phi / int_{-1}^1 phi^T K phi as a Legendre series of u.

    K (b, d, d) -> (2 d, b)
    """
    series = np.tensordot(antiderivatives(K.shape[1] - 1), K, ((0, 1), (1, 2)))
    # The polynomials are orthonormal: the whole integral is the trace.
    return series / np.trace(K, axis1=1, axis2=2)


def invert(distribution, q):
    """u in [-1, 1] with distribution(u) = q, by bisection: q (b,) -> (b,)"""
    low, high = -np.ones(len(q)), np.ones(len(q))
    for _ in range(52):
        middle = (low + high) / 2
        below = distribution(middle) < q
        low, high = np.where(below, middle, low), np.where(below, high, middle)
    return (low + high) / 2
