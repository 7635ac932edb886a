"""What a fitted tree says of rows: scores and messages at the root, in blocks of rows."""

import numpy as np

from sktn.backend import get_executor, namespace
from sktn.networks import tree
from sktn.tables.basis import embed, embed_sites


def scores(basis, network, coords):
    """f_c(x): coords (N, n, k) -> (N, c)"""
    return _by_blocks(_scores, _compiled_scores, basis, network, coords)


def root_messages(basis, network, coords):
    """The learned representation: the two messages at the root, (N, l + r)"""
    out = _by_blocks(_messages, _compiled_messages, basis, network, coords)
    l, _, r = network.readout.shape
    half = out.shape[1] // 2
    return out if out.shape[1] == l + r else np.hstack([out[:, :l], out[:, half : half + r]])


def _by_blocks(function, compiled, basis, network, coords):
    run = get_executor()
    bonds, n = network.bond_dims, coords.shape[1]
    wide = max((core.shape[0] * core.shape[1] for core in network.cores), default=1)
    numbers = n * basis.dim + int(bonds.sum()) + 2 * wide
    if run.name == "numpy":
        return run.map_rows(lambda rows: function(basis, network, rows), coords, numbers)
    with run.precision(coords.dtype):
        program, arguments = run.jit(compiled), run.put((basis, network.padded()))
        D = int(bonds.max(initial=1))
        return run.map_rows(
            lambda rows: program(*arguments, rows), coords, (2 * len(bonds) + D) * D
        )


def _scores(basis, network, coords):
    return tree.contract(network, embed_sites(basis, coords))


def _messages(basis, network, coords):
    left, right, log_scale = tree.root_messages(network, embed_sites(basis, coords))
    # One scale for both: only the product of a left and a right message has a meaning.
    return (np.concatenate([left, right]) * np.exp(log_scale / 2)).T


def _compiled_scores(basis, padded, coords):
    return tree.contract_padded(*padded, embed(basis, coords))


def _compiled_messages(basis, padded, coords):
    leaves, cores, _, merges = padded
    xp = namespace(coords)
    left, right, log_scale = tree.root_messages_padded(leaves, cores, merges, embed(basis, coords))
    return xp.concatenate([left, right], axis=1) * xp.exp(log_scale / 2)[:, None]
