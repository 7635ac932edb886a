"""The evidence of a Gaussian process whose covariance is a product over sites, and its gradient.

Kernels are kept as lower triangles side by side and gone through in blocks of entries that stay in
the cache: an evaluation reads all of them twice and writes none.
"""

from functools import lru_cache
from typing import NamedTuple

import numpy as np
from scipy.linalg import cho_solve, cholesky, get_lapack_funcs

# Variance of the prior of log r_i: as sure as a handful of rows that r_i is within e^3 of 1.
_PRIOR_VARIANCE = 10.0
# Variance of the constant, which is free.
_CONSTANT = 10.0
# Mean variance of the prior, in units of the response's, beyond which it is not told apart.
_HOPELESS = 1e12
# Entries of all kernels that are gone through at a time (512 kB in float32).
_BLOCK = 2**17


class Kernels(NamedTuple):
    """triangles (P, m (m + 1) / 2): lower triangles of the kernels: the first part of every site,
    then the second of those that have one, and so on
    sites (P,): the site of each
    order (P,): the place of each where those of a site follow each other
    """

    triangles: np.ndarray
    sites: np.ndarray
    order: np.ndarray

    @property
    def n_sites(self):
        return int(self.sites.max()) + 1

    def only(self, sites):
        """Those of some sites, where each has one part; of none, one that is nothing."""
        chosen = self.triangles[list(sites)] if len(sites) else 0 * self.triangles[:1]
        return Kernels(chosen, np.arange(len(chosen)), np.arange(len(chosen)))

    def blocks(self):
        """Slices of entries."""
        n_entries = self.triangles.shape[1]
        size = max(256, _BLOCK // len(self.triangles))
        return [slice(start, start + size) for start in range(0, n_entries, size)]

    def one_and(self, r, entries):
        """1 + sum_p r_ip k_ip: r (P,), in the order of the sites, b entries -> (n, b)"""
        r = r[self.order]
        n = self.n_sites
        combined = self.triangles[:n, entries] * r[:n, None]
        combined += 1
        for k in range(n, len(r)):
            combined[self.sites[k]] += self.triangles[k, entries] * r[k]
        return combined

    def along(self, entries, x):
        """<k_ip, x_i> over b entries: x (n, b) -> (P,), in the order of the sites"""
        x = x if len(x) == len(self.sites) else x[self.sites]
        found = np.empty(len(self.sites), x.dtype)
        found[self.order] = np.einsum("pt,pt->p", self.triangles[:, entries], x)
        return found


def packed(sites, dtype):
    """Kernels from the matrices of every site: n lists of (m, m) -> Kernels"""
    flat, _ = triangle(len(sites[0][0]))
    parts = np.concatenate([np.arange(len(site)) for site in sites])
    order = np.argsort(parts, kind="stable")
    owner = np.repeat(np.arange(len(sites)), [len(site) for site in sites])[order]
    triangles = np.empty((len(owner), len(flat)), dtype)
    for row, site, part in zip(triangles, owner, parts[order], strict=True):
        row[:] = sites[site][part].ravel()[flat]
    return Kernels(triangles, owner, order)


@lru_cache(maxsize=8)
def triangle(m):
    """Positions of the lower triangle in a matrix, and where it has the diagonal."""
    rows, columns = np.tril_indices(m)
    return rows * m + columns, np.flatnonzero(rows == columns)


class Covariance(NamedTuple):
    """factor (m, m): the lower Cholesky factor
    varying (T,): signal V, lower triangle
    product (T,), scale: signal prod_i (1 + sum_p r_ip k_ip) is scale product
    mean : of V on the diagonal, over the signal and the product's scale
    hopeless : whether it counts as less than it is
    """

    factor: np.ndarray
    varying: np.ndarray
    product: np.ndarray
    scale: float
    mean: float
    hopeless: bool


def covariance(parameters, kernels, precision):
    """C of :func:`negative_log_evidence`.

    The product is carried with the logarithm of its scale: over dozens of columns with large values
    it leaves the range of floats. A mean variance beyond `_HOPELESS` counts as that much: y has
    unit variance, and no search ends there.
    """
    noise, log_signal = np.exp(parameters[-2]), parameters[-1]
    dtype, m = kernels.triangles.dtype, len(precision)
    flat, diagonal = triangle(m)
    product, log_scale = _product(kernels, np.exp(parameters[:-2]).astype(dtype), diagonal)
    # e^-700 is the least number that is not lost in the subtraction anyway.
    varying = product.astype(np.float64) - np.exp(-min(log_scale, 700.0))
    mean = max(float(np.mean(varying[diagonal])), np.finfo(float).tiny)
    variance = log_signal + log_scale + np.log(mean)
    hopeless = variance > np.log(_HOPELESS)
    scale = np.exp(min(variance, np.log(_HOPELESS))) / mean
    varying *= scale
    dense = np.zeros((m, m))
    dense.ravel()[flat] = varying + _CONSTANT
    # Single precision has rounded the product.
    rounding = m * np.finfo(dtype).eps * np.abs(varying[diagonal]).max()
    np.einsum("ii->i", dense)[:] += noise * precision + rounding
    factor = _factor(dense, rounding)
    return Covariance(factor, varying, product, scale, mean, hopeless)


def negative_log_evidence(parameters, kernels, y, precision):
    """-log p(y) - log p(r) and its gradient in (log r, log noise, log signal), for the covariance

        C = signal V + constant + noise / precision ,  V = prod_i (1 + sum_p r_ip k_ip) - 1 .

    kernels Kernels, y (m, c), precision (m,) of the noise, relative -> (), (P + 2,)
    """
    (m, c), (flat, diagonal) = y.shape, triangle(len(y))
    log_r, noise, dtype = parameters[:-2], np.exp(parameters[-2]), kernels.triangles.dtype
    r, prior_covariance = np.exp(log_r).astype(dtype), covariance(parameters, kernels, precision)
    factor, varying, product, scale, mean, hopeless = prior_covariance
    solved = cho_solve((factor, True), y, check_finite=False)
    value = 0.5 * np.vdot(y, solved) + c * np.log(np.diag(factor)).sum()
    (invert,) = get_lapack_funcs(("potri",), (factor,))
    inverse = invert(factor, lower=True)[0]
    inner = 0.5 * (c * inverse - solved @ solved.T).ravel()[flat]
    gradient = np.empty_like(parameters)
    gradient[-2] = noise * (inner[diagonal] @ precision)
    # The other triangle has the same.
    inner *= 2
    inner[diagonal] /= 2
    along_signal = inner @ varying
    gradient[:-2] = _along_factors(kernels, r, (scale * inner).astype(dtype) * product)
    if hopeless:
        rest = kernels.one_and(r, diagonal)
        of_mean = kernels.along(diagonal, product[diagonal] / rest).astype(np.float64)
        gradient[:-2] -= along_signal * r * of_mean / (m * mean)
    gradient[-1] = 0.0 if hopeless else along_signal
    prior = log_r / _PRIOR_VARIANCE
    gradient[:-2] += prior
    return value + 0.5 * prior @ log_r, gradient


def _product(kernels, r, diagonal):
    """prod_i (1 + sum_p r_ip k_ip) over its scale, and the logarithm of that: (T,), ()"""
    scale, log_scale, running = np.ones((kernels.n_sites, 1), r.dtype), 0.0, 1.0
    # Of a positive semi-definite matrix the diagonal has the largest.
    for i, own in enumerate(kernels.one_and(r, diagonal)):
        running = running * own
        size = float(running.max())
        if not 1e-6 < size < 1e6:
            scale[i], running = 1 / size, running / size
            log_scale += np.log(size)
    product = np.empty(kernels.triangles.shape[1], r.dtype)
    for entries in kernels.blocks():
        factors = kernels.one_and(r, entries)
        if log_scale:
            factors *= scale
        np.multiply.reduce(factors, axis=0, out=product[entries])
    return product, log_scale


def _along_factors(kernels, r, shared):
    """With k_i = sum_p r_ip k_ip and the inner product with shared / prod_j (1 + k_j) of

        d prod_j (1 + k_j) / d log r_ip = prod_j (1 + k_j) r_ip k_ip / (1 + k_i) .

    shared (T,) -> (P,)
    """
    total = np.zeros(len(r))
    for entries in kernels.blocks():
        rest = kernels.one_and(r, entries)
        # 0 / 0, in an entry of all others' product that is left out.
        rest[rest == 0] = np.inf
        total += kernels.along(entries, np.divide(shared[entries], rest, out=rest))
    return r * total


def _factor(covariance, rounding):
    """The lower Cholesky factor; where rounding was larger than the bound says, with ten times as
    much on the diagonal, twice at most."""
    for _ in range(2):
        try:
            return cholesky(covariance, lower=True, check_finite=False)
        except np.linalg.LinAlgError:
            rounding *= 10
            np.einsum("ii->i", covariance)[:] += rounding
    return cholesky(covariance, lower=True, check_finite=False)
