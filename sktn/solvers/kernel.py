"""The kernel of the convex limit, a product over sites, and features whose inner products it is.

k(x, y) = prod_i <a_i(x), a_i(y)> - 1 for weighted site vectors a_i whose first component is 1.
"""

import numpy as np
from scipy.linalg import eigh, get_lapack_funcs

from sktn.backend import executor_of, namespace

# Numbers in a block of rows of the kernel: it stays in the cache while it is multiplied up, several
# times faster than from memory.
_BLOCK = 2**17
# Blocks of a symmetric kernel, whose other triangle is not computed: that many rows of blocks leave
# little on the diagonal, and blocks are not yet too small.
_SYMMETRIC_BLOCKS = 8
# Numbers of landmarks' site vectors that are laid out anew at a time (64 MB in float32).
_LAID_OUT = 2**24


def product_kernel(a, b, max_order=None):
    """prod_i <a_i, b_i> - 1 for site vectors whose first component is 1, or what of it at most
    `max_order` sites have a say in: elementary symmetric polynomials of <a_i, b_i> - 1.

    Both are built up as they are, e <- e + (1 + e) k and e_j <- e_j + e_(j-1) k, and do not cancel.

    a (m, n, d), b (k, n, d) -> (m, k)
    """
    run = executor_of(a, b)
    if run.name == "numpy":
        return _product_kernel(a, b, max_order)

    def absorb(e, site):
        return _absorb(e, site[0] @ site[1], max_order), None

    zero = run.xp.zeros((len(a), len(b)), a.dtype)
    sites = a.transpose(1, 0, 2)[:, :, 1:], b.transpose(1, 2, 0)[:, 1:]
    return sum(run.scan(absorb, (zero,) * (max_order or 1), sites)[0])


def kernel_diagonal(a, max_order=None):
    """The kernel of every row with itself: a (m, n, d) -> (m,)"""
    own = (a[:, :, 1:] ** 2).sum(-1)
    if max_order is None:
        # Its logarithm: a product of many sites leaves the range of floats.
        return np.expm1(np.minimum(np.log1p(own).sum(-1), 700.0))
    pairs = (own.sum(-1) ** 2 - (own**2).sum(-1)) / 2
    return own.sum(-1) + pairs if max_order > 1 else own.sum(-1)


def _absorb(e, k, max_order):
    """(e + (1 + e) k,), or of several e_j + e_(j-1) k"""
    if max_order:
        return tuple(own + below * k for own, below in zip(e, (1, *e), strict=False))
    k += (k * e[0]) + e[0]
    return (k,)


def _product_kernel(a, b, max_order):
    """In NumPy: blocks of rows, each through as many sites as are laid out for it at a time; of a
    matrix with itself, lower triangles of blocks."""
    e = np.zeros((max_order or 1, len(a), len(b)), a.dtype)
    n_sites = max(1, _LAID_OUT // max(1, b.shape[0] * b.shape[2]))
    n_rows = max(1, _BLOCK // max(1, len(b)))
    if symmetric := a is b:
        n_rows = min(n_rows, -(-len(a) // _SYMMETRIC_BLOCKS))
    for first in range(0, a.shape[1], n_sites):
        sites = slice(first, first + n_sites)
        right = np.ascontiguousarray(b[:, sites].transpose(1, 2, 0)[:, 1:])
        for start in range(0, len(a), n_rows):
            block = slice(start, start + n_rows)
            columns = slice(start + n_rows if symmetric else None)
            left = np.ascontiguousarray(a[block, sites].transpose(1, 0, 2)[:, :, 1:])
            parts = tuple(e[:, block, columns])
            for x, y in zip(left, right, strict=True):
                parts = _absorb(parts, x @ y[:, columns], max_order)
            e[:, block, columns] = parts
    kernel = e[0] if len(e) == 1 else e.sum(axis=0)
    if symmetric:
        for start in range(0, len(a), n_rows):
            kernel[:start, start : start + n_rows] = kernel[start : start + n_rows, :start].T
    return kernel


def nystroem_map(landmark_kernel):
    """V with K(x, landmarks) V = features whose inner products are the kernel's, and the
    eigenvalues they belong to, largest last. Directions below rounding are left out.

    landmark_kernel (m, m) -> V (m, r), spectrum (r,)
    """
    xp, symmetric = namespace(landmark_kernel), (landmark_kernel + landmark_kernel.T) / 2
    # NumPy computes in double whatever it is given, and single precision is twice as fast.
    if xp is np:
        lam, U = eigh(symmetric, driver="evd", check_finite=False)
    else:
        lam, U = xp.linalg.eigh(symmetric)
    info = np.finfo(lam.dtype)
    kept = np.flatnonzero(np.asarray(lam > max(8 * info.eps * float(lam[-1]), info.tiny)))
    return U[:, kept] / xp.sqrt(lam[kept]), lam[kept]


def triangular_map(landmark_kernel):
    """As :func:`nystroem_map`, for a tenth of the price, by a Cholesky factorisation that takes the
    landmark next that the ones before say least of, and stops at rounding. Features are correlated:
    for problems that are solved by a factorisation.

    landmark_kernel (m, m) -> landmarks (r,), V (r, r), features of all of them (m, r)
    """
    factorise, invert = get_lapack_funcs(("pstrf", "trtri"), (landmark_kernel,))
    U, order, rank, _ = factorise(landmark_kernel)
    if rank == 0 or not landmark_kernel.size:
        # Nothing varies: a chain still has a row to run over.
        kept = np.arange(len(landmark_kernel))[:1]
        nothing = np.zeros((len(landmark_kernel), 0), landmark_kernel.dtype)
        return kept, nothing[: len(kept)], nothing
    V, _ = invert(U[:rank, :rank])
    # K = U^T U, and K V = U^T: no product is needed.
    features = np.empty((len(order), rank), U.dtype)
    features[order - 1] = np.triu(U[:rank]).T
    return order[:rank] - 1, np.triu(V), features
