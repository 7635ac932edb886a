"""What a fitted chain says of rows: scores, bond vectors, its cores in order."""

import jax
import jax.numpy as jnp
import numpy as np

from sktn.networks import mps
from sktn.tables.basis import embed

# Floats that one block of rows may take in a forward pass (128 MB in float32).
_BLOCK_SIZE = 2**25


@jax.jit
def _forward(basis, network, coords):
    phi = mps.fold_inputs(embed(basis, coords), network["index"])
    out, log_scale = mps.contract_arms(network["arms"], network["readout"], phi)
    return out * jnp.exp(log_scale)[:, None]


@jax.jit
def _bond_vectors(basis, network, coords):
    phi = mps.fold_inputs(embed(basis, coords), network["index"])
    (left, right), log_scale = mps.environments(network["arms"], phi)
    # One scale for both: only the product of a left and a right vector has a meaning.
    return jnp.concatenate([left, right], axis=1) * jnp.exp(log_scale.sum(0) / 2)[:, None]


def by_blocks(function, basis, network, coords):
    """Apply a compiled function to rows in blocks of bounded memory, of few different sizes.

    coords (N, n, k) -> (N, m), NumPy
    """
    _, n, _ = coords.shape
    D, d = network["arms"].shape[2], network["arms"].shape[3]
    largest = max(1, _BLOCK_SIZE // (n * d * 4 + 4 * D * d))
    block = 1 << min(int(largest).bit_length() - 1, max(6, (len(coords) - 1).bit_length()))
    with jax.enable_x64(coords.dtype == np.float64):
        basis, network = jax.tree.map(jnp.asarray, (basis, network))
        out = []
        for start in range(0, len(coords), block):
            rows = coords[start : start + block]
            padded = np.full((block, *rows.shape[1:]), np.nan, rows.dtype)
            padded[: len(rows)] = rows
            out.append(np.asarray(function(basis, network, padded))[: len(rows)])
    return np.concatenate(out)


def scores(basis, network, coords):
    """f_c(x) of one network: coords (N, n, k) -> (N, c)"""
    return by_blocks(_forward, basis, network, coords)


def bond_vectors(basis, network, coords):
    """The learned representation: left and right bond vectors at the output, (N, 2 D)"""
    return by_blocks(_bond_vectors, basis, network, coords)


def bond_dims(network, n):
    """Bond dimensions along the chain: n + 2 numbers, the readout a site of its own.

    Directions that no row can reach are not counted.
    """
    arms = network["arms"]
    used = [np.abs(arms).max(axis=(2, 3)) > 0]  # (h, 2, D) inner bonds
    index = network["index"]
    p = int((index[:, 0] < n).sum())
    h = len(index)
    left = [int(k) for k in used[0][h - p :, 0].sum(-1)]
    right = [int(k) for k in used[0][h - (n - p) :, 1].sum(-1)][::-1]
    return np.array([1, *left, *right, 1])


def chain_cores(network, n):
    """The cores in order along the chain: n arrays (D_left, d, D_right), trimmed to their bonds."""
    index = network["index"]
    p = int((index[:, 0] < n).sum())
    with jax.enable_x64(network["arms"].dtype == np.float64):
        cores = np.asarray(mps.unfold(jnp.asarray(network["arms"]), p, n))
    # The readout stands between bonds p and p + 1 of the list of n + 2.
    dims = bond_dims(network, n)
    left = [*dims[:p], *dims[p + 1 : n + 1]]
    right = [*dims[1 : p + 1], *dims[p + 2 :]]
    return [core[:l, :, :r].copy() for core, l, r in zip(cores, left, right, strict=True)]
