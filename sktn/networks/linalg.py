"""Linear algebra that networks share: truncated SVD, scales and norms safe at 0."""

import jax
import jax.numpy as jnp


def power_of_two_scale(x, axis):
    """The power of two at or below max |x| along `axis` (kept, of length 1); 1 where x = 0.

    Dividing by it is exact in floating point. No gradient flows through it: a chain contraction
    multiplies the scale back in, so that its value does not depend on the scale chosen.

    x (..., m, ...) -> (..., 1, ...)
    """
    largest = jnp.max(jnp.abs(jax.lax.stop_gradient(x)), axis=axis, keepdims=True)
    usable = (largest >= jnp.finfo(x.dtype).tiny) & jnp.isfinite(largest)
    # The bits of the exponent alone: log2 and exp2 are off by some ulp, and 2^k then is no power
    # of two any more.
    kind, exponent = _EXPONENT_BITS[jnp.dtype(x.dtype).itemsize]
    bits = jax.lax.bitcast_convert_type(jnp.where(usable, largest, 1), kind)
    return jax.lax.bitcast_convert_type(bits & kind(exponent), x.dtype)


_EXPONENT_BITS = {4: (jnp.uint32, 0x7F800000), 8: (jnp.uint64, 0x7FF0000000000000)}


def safe_norm(x, axis=None, keepdims=False):
    """sqrt(sum x^2) with the gradient 0, not NaN, at x = 0.

    x (...,) -> (...,) without `axis`
    """
    squares = jnp.sum(x * x, axis=axis, keepdims=keepdims)
    positive = squares > 0
    return jnp.where(positive, jnp.sqrt(jnp.where(positive, squares, 1)), 0)


def truncated_svd(matrix, max_rank, tol=0.0):
    """U, s, V^T of the best approximation of rank at most `max_rank`.

    Singular values whose squares sum to at most tol^2 of the total are set to 0, so the shapes
    stay static under jit; `rank` counts those that are left.

    matrix (m, k) -> U (m, R), s (R,), Vt (R, k), rank (); R = min(m, k, max_rank)
    """
    U, s, Vt = jnp.linalg.svd(matrix, full_matrices=False)
    weights = s * s
    # What would be lost by cutting at each position, the tail included.
    tail = jnp.cumsum(weights[::-1])[::-1]
    keep = (tail > tol * tol * jnp.sum(weights)) & (jnp.arange(len(s)) < max_rank)
    # The first value stays whatever `tol` says: a bond has at least dimension 1.
    keep = keep.at[0].set(True)
    r = min(len(s), max_rank)
    return U[:, :r], jnp.where(keep, s, 0)[:r], Vt[:r], jnp.sum(keep)
