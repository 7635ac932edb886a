"""A chain from the convex limit: solve at unlimited bond dimension, compress, refit the readout.

1. `solvers.convex`: the exact minimiser as a sum of product states over landmark rows;
2. `networks.compression`: the nearest chain of bond dimension D, its arms isometries in the
   basis where the ridge J is the plain squared norm;
3. the readout again: with the arms fixed the problem is a ridge-penalised logistic regression in
   the products of left and right bond vectors, so what the truncation moved is repaired where the
   data feel it.
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from sktn.basis import embed
from sktn.networks import mps
from sktn.networks.compression import compress
from sktn.solvers import convex

# Tables of more than 1,024 rows are worked through in blocks of this many rows.
_BLOCK = 256


class Design(NamedTuple):
    """Features of the rows in the convex limit.

    Z (N, m), curvature (m,) = diagonal of Z^T Z / N, V (m, m), landmarks a (m, n, d)
    """

    Z: jax.Array
    curvature: jax.Array
    V: jax.Array
    landmarks: jax.Array


def padded_size(n_rows):
    """Rows to pad to, so that the folds of a cross-validation share their compiled programs."""
    step = 64 if n_rows <= 1024 else _BLOCK
    return -(-n_rows // step) * step


def choose_landmarks(weight, max_landmarks, rng):
    """Indices of the rows that carry the expansion: all of positive weight, or a random choice."""
    rows = np.flatnonzero(weight > 0)
    if len(rows) > max_landmarks:
        rows = np.sort(rng.choice(rows, max_landmarks, replace=False))
    return rows


def penalty_weights(basis, interaction_penalty, smoothness):
    """g(0) = 1, g(s) = max(1, interaction_penalty n) degree(s)^(2 smoothness).

    With omega a multiple of the number of sites n, the prior variance of all k-way interactions
    together, binomial(n, k) / omega^k, tends to 1 / k!: one value of the multiple charges tables
    of any width alike.

    -> (n, d)
    """
    degrees = np.asarray(basis.degrees)
    n = len(degrees)
    g = max(1.0, interaction_penalty * n) * np.maximum(degrees, 0.5) ** (2 * smoothness)
    return np.where(degrees > 0, g, 1.0).astype(degrees.dtype)


def make_design(basis, coords, g, landmarks):
    """Features of padded rows.

    coords (N, n, k), g (n, d), landmarks: row indices -> Design with N and m padded
    """
    n_rows = padded_size(len(coords))
    m = padded_size(len(landmarks)) if len(landmarks) == len(coords) else len(landmarks)
    chosen = np.full((m, *coords.shape[1:]), np.nan, coords.dtype)
    chosen[: len(landmarks)] = coords[landmarks]
    return _make_design(
        basis, _pad(coords, n_rows, np.nan), chosen, np.arange(m) < len(landmarks), g
    )


def _pad(x, size, value=0):
    return np.pad(x, [(0, size - len(x))] + [(0, 0)] * (x.ndim - 1), constant_values=value)


def _by_blocks(function, rows):
    """A function of rows (N, ...) -> (N, k), in blocks where there are many."""
    if len(rows) <= 1024:
        return function(rows)
    out = jax.lax.map(function, rows.reshape(-1, _BLOCK, *rows.shape[1:]))
    return out.reshape(len(rows), -1)


@jax.jit
def _make_design(basis, coords, chosen, real, g):
    landmarks = convex.weighted_inputs(embed(basis, chosen), g)
    # Missing everywhere, the padding rows are the constant: their kernel with any row is 0.
    landmarks = landmarks * real[:, None, None]
    V, spectrum = convex.nystroem_map(convex.product_kernel(landmarks, landmarks))

    def block(rows):
        a = convex.weighted_inputs(embed(basis, rows), g)
        return convex.product_kernel(a, landmarks) @ V

    Z = _by_blocks(block, coords)
    return Design(Z, spectrum / jnp.maximum(real.sum(), 1), V, landmarks)


def search(design, labels, n_classes, weight, folds, alphas, tol=1e-4):
    """Out-of-fold scores for every strength: all alphas x folds in one lockstep solve.

    labels (N,), weight (N,), folds (N,) integers 0..F-1 -> scores (N, c, A) as NumPy
    """
    N = len(labels)
    n_rows = len(design.Z)
    n_folds = int(folds.max()) + 1
    held_in = (folds[:, None] != np.arange(n_folds)) * weight[:, None]
    W = _pad(np.tile(held_in, (1, len(alphas))), n_rows).astype(design.Z.dtype)
    Y = _pad(np.eye(n_classes)[labels], n_rows).astype(design.Z.dtype)
    strength = np.repeat(np.asarray(alphas, design.Z.dtype), n_folds)
    F = convex.solve(design.Z, design.curvature, Y, W, strength, tol=tol)[2]
    F = np.asarray(F)[:N].reshape(N, -1, len(alphas), n_folds)
    return F[np.arange(N), :, :, folds]


def fit_chain(
    design, basis, coords, g, labels, n_classes, weight, alpha, index, key, bond_dim, tol
):
    """The chain of bond dimension D from the convex limit.

    coords (N, n, k), g (n, d), labels (N,), weight (N,), alpha (), index (h, 2)
    -> dict of arms (h, 2, D, d, D) and readout (D, c, D) for inputs phi (not weighted), the
       losses of every Newton step, and the share of the penalty that the truncation lost
    """
    n_rows = len(design.Z)
    dtype = design.Z.dtype
    W = _pad(np.asarray(weight, dtype)[:, None], n_rows)
    Y = _pad(np.eye(n_classes, dtype=dtype)[labels], n_rows)
    alpha = np.asarray([alpha], dtype)
    B, b, _, n_iter, losses = convex.solve(design.Z, design.curvature, Y, W, alpha, tol=tol)
    beta = design.V @ B[:, :, 0]
    terms = mps.fold_inputs(design.landmarks, index)
    # A padded landmark is no product state: its constant component is 0 on every site.
    arms, readout = compress(terms, beta, key, bond_dim)
    lost = 1 - (jnp.sum(readout**2) - jnp.sum(readout[0, :, 0] ** 2)) / jnp.sum(B**2)
    products = _bond_products(basis, _pad(coords, n_rows, np.nan), g, index, arms)
    products = products * (W > 0)
    share = W / W.sum()
    R, r, _, more, final = convex.solve(
        products[:, 1:], jnp.sum(share * products[:, 1:] ** 2, axis=0), Y, W, alpha, tol=tol
    )
    D, c = bond_dim, readout.shape[1]
    readout = jnp.concatenate([r[None, :, 0], R[:, :, 0]]).reshape(D, D, c).transpose(0, 2, 1)
    scale = jnp.sqrt(jnp.concatenate([jnp.asarray(g), jnp.ones((1, g.shape[1]), dtype)]))[index]
    losses = np.concatenate(
        [np.asarray(losses)[: int(n_iter), 0], np.asarray(final)[: int(more), 0]]
    )
    return {
        "arms": np.asarray(arms / scale[:, :, None, :, None]),
        "readout": np.asarray(readout),
        "losses": losses / weight.sum(),
        "truncation": max(0.0, float(lost)) if jnp.sum(B**2) > 0 else 0.0,
    }


@jax.jit
def _bond_products(basis, coords, g, index, arms):
    """l(x) (x) r(x) of every row, (N, D^2); the first is the constant 1."""

    def block(rows):
        inputs = mps.fold_inputs(convex.weighted_inputs(embed(basis, rows), g), index)
        (left, right), log_scale = mps.environments(arms, inputs)
        scale = jnp.exp(log_scale.sum(0))[:, None, None]
        return (scale * left[:, :, None] * right[:, None, :]).reshape(len(rows), -1)

    return _by_blocks(block, coords)
