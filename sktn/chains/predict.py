"""What a fitted chain says of rows: scores and bond vectors, in blocks of rows."""

import jax.numpy as jnp
import numpy as np

from sktn.backend import get_executor
from sktn.networks import folding, mps
from sktn.networks.arms import run_arm
from sktn.tables.basis import embed, embed_sites

# Rows from which double precision is asked whether it is needed, rows that say so, and the share of
# the scores' size that single precision may miss: far below what any model misses.
_MANY_ROWS, _ASKED_ROWS, _MISSED = 20_000, 1000, 1e-5


def scores(basis, network, coords):
    """f_c(x) of one network: coords (N, n, k) -> (N, c). Of many rows in single precision, in half
    the time, where that is enough for some of them."""
    if coords.dtype == np.float64 and len(coords) >= _MANY_ROWS:
        # What leaves the range of single precision is not enough.
        with np.errstate(over="ignore", invalid="ignore"):
            single = [part.astype(np.float32) for part in (basis, network, coords)]
            if _enough((basis, network, coords), single):
                found = _by_blocks(_scores, _compiled_scores, *single)
                if np.isfinite(found).all():
                    return found.astype(np.float64)
    return _by_blocks(_scores, _compiled_scores, basis, network, coords)


def _enough(double, single):
    """Whether some rows have the same scores in single precision, spaced over all: the arguments of
    `scores` in both precisions."""
    rows = np.linspace(0, len(double[2]) - 1, _ASKED_ROWS).astype(int)
    found, rounded = (
        _by_blocks(_scores, _compiled_scores, basis, network, coords[rows])
        for basis, network, coords in (double, single)
    )
    return bool(np.abs(found - rounded).max() <= _MISSED * np.abs(found).max())


def bond_vectors(basis, network, coords):
    """The learned representation: left and right bond vectors at the output, (N, l + r)"""
    return _by_blocks(_bond_vectors, _compiled_bond_vectors, basis, network, coords)


def _by_blocks(function, compiled, basis, network, coords):
    """Blocks of rows through NumPy's loop over the cores, or through a compiled one over padded
    cores. On a CPU the first is faster at any number of rows: benchmarks/device.py."""
    run = get_executor()
    D, d, n = int(network.bond_dims.max()), basis.dim, coords.shape[1]
    if run.name == "numpy":
        return run.map_rows(
            lambda rows: function(basis, network, rows), coords, 2 * n * d + 2 * D * d
        )
    arms, readout = network.padded()
    with run.precision(coords.dtype):
        padded = {"arms": arms, "readout": readout, "index": network.index}
        program, arguments = run.jit(compiled), run.put((basis, padded))
        out = run.map_rows(lambda rows: program(*arguments, rows), coords, n * d + 4 * D * d)
    if compiled is _compiled_bond_vectors:
        l, _, r = network.readout.shape
        out = np.concatenate([out[:, :l], out[:, D : D + r]], axis=1)
    return out


def _scores(basis, network, coords):
    (l, r), log_scale = _ends(basis, network, coords)
    reached = np.tensordot(network.readout, l, (0, 0))  # (c, r, b)
    return ((reached * r).sum(axis=1) * np.exp(log_scale)).T


def _bond_vectors(basis, network, coords):
    vectors, log_scale = _ends(basis, network, coords)
    # One scale for both: only the product of a left and a right vector has a meaning.
    return (np.concatenate(vectors) * np.exp(log_scale / 2)).T


def _ends(basis, network, coords):
    phi = embed_sites(basis, coords)
    (l, log_l), (r, log_r) = (
        run_arm(arm, order, phi)
        for arm, order in zip(network.arms, network.arm_orders, strict=True)
    )
    return (l, r), log_l + log_r


def _compiled_scores(basis, network, coords):
    phi = folding.fold_inputs(embed(basis, coords), network["index"])
    out, log_scale = mps.contract_arms(network["arms"], network["readout"], phi)
    return out * jnp.exp(log_scale)[:, None]


def _compiled_bond_vectors(basis, network, coords):
    phi = folding.fold_inputs(embed(basis, coords), network["index"])
    (left, right), log_scale = mps.environments(network["arms"], phi)
    return jnp.concatenate([left, right], axis=1) * jnp.exp(log_scale.sum(0) / 2)[:, None]
