"""Linear algebra that networks share: truncated SVD, row-wise products, numbers within floats."""

import numpy as np

from sktn.backend import executor_of, namespace


def power_of_two_scale(x, axis):
    """The power of two at or below max |x| along `axis` (kept, of length 1); 1 where x = 0.

    Dividing by it is exact in floating point. No gradient flows through it: a chain contraction
    multiplies the scale back in, so that its value does not depend on the scale chosen.

    x (..., m, ...) -> (..., 1, ...)
    """
    run = executor_of(x)
    xp = run.xp
    largest = xp.max(xp.abs(run.constant(x)), axis=axis, keepdims=True)
    usable = (largest >= xp.finfo(x.dtype).tiny) & xp.isfinite(largest)
    # The bits of the exponent alone: log2 and exp2 are off by some ulp, and 2^k then is no power
    # of two any more.
    kind, exponent = _EXPONENT_BITS[np.dtype(x.dtype).itemsize]
    bits = run.bits(xp.where(usable, largest, xp.ones_like(largest)), kind)
    return run.bits(bits & kind(exponent), x.dtype)


_EXPONENT_BITS = {4: (np.uint32, 0x7F800000), 8: (np.uint64, 0x7FF0000000000000)}


def within_floats(values):
    """Values, the largest number of their precision where they are beyond it."""
    largest = np.finfo(values.dtype).max
    return np.clip(values, -largest, largest)


def truncated_svd(matrix, max_rank, tol=0.0):
    """U, s, V^T of the best approximation of rank at most `max_rank`.

    Singular values whose squares sum to at most tol^2 of the total are set to 0, so the shapes
    stay static under jit; `rank` counts those that are left.

    matrix (m, k) -> U (m, R), s (R,), Vt (R, k), rank (); R = min(m, k, max_rank)
    """
    xp = namespace(matrix)
    U, s, Vt = xp.linalg.svd(matrix, full_matrices=False)
    weights = s * s
    # What would be lost by cutting at each position, the tail included.
    tail = xp.cumsum(weights[::-1])[::-1]
    index = xp.arange(len(s))
    # The first value stays whatever `tol` says: a bond has at least dimension 1.
    keep = (index == 0) | ((tail > tol * tol * xp.sum(weights)) & (index < max_rank))
    r = min(len(s), max_rank)
    return U[:, :r], xp.where(keep, s, 0)[:r], Vt[:r], xp.sum(keep)


def split_svd(matrix, budget, most=None):
    """matrix ~ U rest, U an isometry of as few columns, one at least, as leave out squares that add
    up to at most `budget`, and of at most `most` columns.

    matrix (m, k) -> U (m, r), rest (r, k), sum of the squares that are left out
    """
    U, s, Vt = np.linalg.svd(matrix, full_matrices=False)
    tail = np.append(np.cumsum(s[::-1].astype(np.float64) ** 2)[::-1], 0.0)
    r = min(max(1, int(np.sum(tail[:-1] > budget))), most or len(s))
    return U[:, :r], s[:r, None] * Vt[:r], float(tail[r])


def outer(x, y):
    """Row-wise Kronecker product (m, i), (m, j) -> (m, i j)."""
    # Half the time of a broadcast product: NumPy's loops over a short last axis are dear.
    return namespace(x).einsum("mi,mj->mij", x, y).reshape(len(x), x.shape[1] * y.shape[1])
