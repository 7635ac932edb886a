"""What a fitted chain says of rows: scores, bond vectors, its cores in order."""

import jax.numpy as jnp
import numpy as np

from sktn.backend import get_executor
from sktn.networks import mps
from sktn.tables.basis import embed, embed_sites


def scores(basis, network, coords):
    """f_c(x) of one network: coords (N, n, k) -> (N, c)"""
    return _by_blocks(_scores, _compiled_scores, basis, network, coords)


def bond_vectors(basis, network, coords):
    """The learned representation: left and right bond vectors at the output, (N, 2 D)"""
    return _by_blocks(_bond_vectors, _compiled_bond_vectors, basis, network, coords)


def _by_blocks(function, compiled, basis, network, coords):
    """Blocks of rows through NumPy's loop over trimmed cores, or through a compiled one over padded
    cores. On a CPU the first is faster at any number of rows: benchmarks/device.py."""
    run = get_executor()
    index = network["index"]
    _, _, D, d, _ = network["arms"].shape
    n = coords.shape[1]
    if run.name == "numpy":
        arms = mps.trim_arms(network["arms"], index, n)
        readout = network["readout"]

        def block(rows):
            return function(basis, arms, readout, rows)

        return run.map_rows(block, coords, 2 * n * d + 2 * D * d)
    network = {name: network[name] for name in ("arms", "readout", "index")}
    with run.precision(coords.dtype):
        program, arguments = run.jit(compiled), run.put((basis, network))
        return run.map_rows(lambda rows: program(*arguments, rows), coords, n * d + 4 * D * d)


def _scores(basis, arms, readout, coords):
    (l, r), log_scale, (left, right) = _ends(basis, arms, coords)
    reached = np.tensordot(readout[left][:, :, right], l, (0, 0))  # (c, r, b)
    return ((reached * r).sum(axis=1) * np.exp(log_scale)).T


def _bond_vectors(basis, arms, readout, coords):
    (l, r), log_scale, (left, right) = _ends(basis, arms, coords)
    D = len(readout)
    out = np.zeros((2 * D, len(coords)), coords.dtype)
    out[left], out[D + right] = l, r
    # One scale for both: only the product of a left and a right vector has a meaning.
    return (out * np.exp(log_scale / 2)).T


def _ends(basis, arms, coords):
    phi = embed_sites(basis, coords)
    (l, log_l), (r, log_r) = (mps.run_arm(steps, phi) for steps, _ in arms)
    return (l, r), log_l + log_r, [used for _, used in arms]


def _compiled_scores(basis, network, coords):
    phi = mps.fold_inputs(embed(basis, coords), network["index"])
    out, log_scale = mps.contract_arms(network["arms"], network["readout"], phi)
    return out * jnp.exp(log_scale)[:, None]


def _compiled_bond_vectors(basis, network, coords):
    phi = mps.fold_inputs(embed(basis, coords), network["index"])
    (left, right), log_scale = mps.environments(network["arms"], phi)
    return jnp.concatenate([left, right], axis=1) * jnp.exp(log_scale.sum(0) / 2)[:, None]


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
    cores = mps.unfold(network["arms"], p, n)
    # The readout stands between bonds p and p + 1 of the list of n + 2.
    dims = bond_dims(network, n)
    left = [*dims[:p], *dims[p + 1 : n + 1]]
    right = [*dims[1 : p + 1], *dims[p + 2 :]]
    return [core[:l, :, :r].copy() for core, l, r in zip(cores, left, right, strict=True)]
