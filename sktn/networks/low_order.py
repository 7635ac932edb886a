"""Chains of main effects and pairs: what turns a kernel expansion without higher interactions into
a chain.

    f_c(x) = sum_m beta_mc (e_1 + .. + e_K)(<a_m1, x_1>, .., <a_mn, x_n>) ,

with the elementary symmetric polynomials e_k of the products of all components but the first, which
is 1, and K of 1 or 2. A bond counts the sites that have had a say. Of an arm of the chain it holds
the constant, functions of one site each, which still wait for a partner, and sums of pairs that are
complete, at most one for every score. So bonds are small by nature, and the K of every product of
left and right bond vectors is known (as of a long-range two-body operator: Crosswhite, Doherty and
Vidal, Phys. Rev. B 78, 035116 (2008)).
"""

import numpy as np

from sktn.networks.linalg import outer

# Directions of less than this share of the largest are rounding.
_ROUNDING = 1e-7


def compress_low_order(left, right, beta, bond_dim, max_order):
    """The chain nearest to a sum over terms of main effects (and pairs), its arms isometries.

    left (p, m, d), right (q, m, d): site vectors left and right of the output, each in order from
    the end of the chain towards the output; beta (m, c)
    -> left arm (p, D, d, D), right arm (q, D, d, D), readout (D, c, D), allowed (D, D): products of
    bond vectors that no more than `max_order` sites have a say in
    """
    arms, weights = (left.astype(float), right.astype(float)), beta.astype(float)
    grown = [_grow(arms[t], arms[1 - t], weights, bond_dim, max_order) for t in (0, 1)]
    (left_arm, linear, pairs), (right_arm, their_linear, their_pairs) = grown
    readout = np.zeros((bond_dim, beta.shape[1], bond_dim))
    one, other = linear.shape[1] + 1, their_linear.shape[1] + 1
    readout[1:one, :, 0] = linear.T @ weights
    readout[0, :, 1:other] = (their_linear.T @ weights).T
    if max_order > 1:
        readout[one : one + len(pairs), :, 0] = pairs
        readout[0, :, other : other + len(their_pairs)] = their_pairs.T
        crossed = outer(linear, weights).T
        shape = one - 1, beta.shape[1], other - 1
        readout[1:one, :, 1:other] = (crossed @ their_linear).reshape(shape)
    counts = [np.repeat([0, 1, 2], [1, k - 1, bond_dim - k]) for k in (one, other)]
    allowed = np.add.outer(*counts) <= max_order
    cast = (x.astype(beta.dtype) for x in (left_arm, right_arm, readout))
    return *cast, allowed


def _grow(arm, others, beta, D, max_order):
    """One pass from the end to the output. Directions are those of most weight in what lies beyond,
    functions of one site and sums of pairs together.

    arm (p, m, d), others (q, m, d) of the other arm, beta (m, c)
    -> cores (p, D, d, D), the landmarks' functions of one site (m, k), and what every score takes
    of the sums of pairs (l, c)
    """
    p, m, d = arm.shape
    cores = np.zeros((p, D, d, D))
    linear, pairs = np.zeros((m, 0)), np.zeros((0, beta.shape[1]))
    # What waits meets a main effect's constant, or a site beyond.
    beyond = np.ones((m, m))
    if max_order > 1:
        for site in (*arm, *others):
            beyond += site[:, 1:] @ site[:, 1:].T
    products = beta @ beta.T
    for core, site in zip(cores, arm, strict=True):
        own, k, complete = site[:, 1:], linear.shape[1], len(pairs)
        if max_order > 1:
            beyond -= own @ own.T
            found = outer(linear, own).T @ beta
            pairs = np.concatenate([pairs, found])
        waiting = np.concatenate([linear, own], axis=1)
        squares, U = np.linalg.eigh(waiting.T @ (products * beyond) @ waiting)
        U, sizes = U[:, ::-1], np.sqrt(np.maximum(squares[::-1], 0))
        V, their_sizes, _ = np.linalg.svd(pairs, full_matrices=False)
        n_linear, n_pairs = _shares(sizes, their_sizes, D - 1)
        U, V = U[:, :n_linear], V[:, :n_pairs]
        one, two = slice(1, 1 + n_linear), slice(1 + n_linear, 1 + n_linear + n_pairs)
        core[0, 0, 0] = 1
        core[1 : 1 + k, 0, one] = U[:k]
        core[0, 1:, one] = U[k:]
        core[1 + k : 1 + k + complete, 0, two] = V[:complete]
        if max_order > 1:
            core[1 : 1 + k, 1:, two] = V[complete:].reshape(k, d - 1, n_pairs)
        linear, pairs = waiting @ U, V.T @ pairs
    return cores, linear, pairs


def _shares(first, second, room):
    """How many of each of two falling lists are among the largest `room` of both."""
    sizes = np.concatenate([first, second])
    floor = _ROUNDING * max(sizes.max(initial=0.0), np.finfo(float).tiny)
    kept = np.argsort(-sizes, kind="stable")[:room]
    kept = kept[sizes[kept] > floor]
    return int(np.sum(kept < len(first))), int(np.sum(kept >= len(first)))
