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
    safe = jnp.where((largest > 0) & jnp.isfinite(largest), largest, 1)
    return jnp.exp2(jnp.floor(jnp.log2(safe)))


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
