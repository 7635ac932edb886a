"""Exact interaction indices of a tree, of any order, for players that are sites.

The polynomial P_S of :mod:`sktn.networks.interactions` is linear in the vector of every site of S.
With all but the last of them in place, the environments of all leaves give P_S for every last one
at once: two passes over the tree for every set of one site less.
"""

from itertools import combinations

import numpy as np

from sktn.networks.tree_readings import environments

# Numbers held in one pass (128 MB).
_BLOCK_SIZE = 2**24


def interactions(tree, background, phi, rule):
    """The indices of all sets of sites up to the rule's order.

    background (n, d), or (b, n, d) for one a row, phi (b, n, d), rule: of
    :func:`sktn.networks.interactions.quadrature`
    -> subsets: for every order a list of tuples of sites, values: (b, number of subsets)
    """
    n, T = tree.n_sites, len(rule.nodes)
    subsets = [list(combinations(range(n), s + 1)) for s in range(len(rule.weights))]
    values = [np.zeros((len(phi), len(sets))) for sets in subsets]
    widest = max((core.shape[0] * core.shape[1] for core in tree.cores), default=1)
    numbers = T * (2 * int(tree.bond_dims.sum()) + 3 * phi[0].size + 2 * widest)
    size = max(1, _BLOCK_SIZE // numbers)
    for start in range(0, len(phi), size):
        rows = slice(start, start + size)
        absent = background if background.ndim == 2 else background[rows]
        gain = phi[rows] - absent
        mixed = absent + rule.nodes[:, None, None, None] * gain  # (T, b, n, d)
        for s, weights in enumerate(rule.weights):
            own = values[s][rows].T
            place = 0
            for fixed in combinations(range(n), s):
                sites = mixed.copy()
                sites[:, :, fixed] = gain[:, fixed]
                parts = environments(tree, sites.reshape(-1, *gain.shape[1:]))
                for last in range(fixed[-1] + 1 if fixed else 0, n):
                    far = np.tensordot(weights, parts[last].reshape(T, len(gain), -1), 1)
                    own[place] = np.sum(far * gain[:, last], axis=1)
                    place += 1
    return subsets, values
