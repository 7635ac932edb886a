"""Exact interaction indices of a chain, of any order, for players that are sites or groups.

A set S of players has the discrete derivative D_S v(T) = sum_{L in S} (-1)^{|S| - |L|} v(T + L) at
a coalition T. Since f is linear in every site, the average over coalitions that contain each other
player with probability x is one contraction,

    P_S(x) = f(phi_i - m_i at i in S, m_j + x (phi_j - m_j) elsewhere),

a polynomial of degree n - |S|, and an index of S weighs it: I_S = int_0^1 w(x) P_S(x) dx. With
s = |S| and l the largest order asked for:

    shapley         w = 1                               Grabisch and Roubens, 1999
    banzhaf         P_S(1/2)                            Grabisch and Roubens, 1999
    shapley-taylor  w = l (1 - x)^(l - 1) for s = l,    Dhamdhere, Agarwal and Sundararajan, 2020
                    P_S(0) below
    faithful        w = K (1/x) d^(l-s)/dx^(l-s) x^l (1 - x)^(l-1),
                    K = s binom(l, s) (l + s - 1)! / (l! (l - 1)!)
                                                        Tsai, Yeh and Ravikumar, 2023, theorem 19

The last follows from its published sum over Moebius coefficients a_T: those of one size j + s are
the coefficient of x^j in P_S, the ratio of binomials is a moment of the weight, and integration by
parts has no boundary terms. All weights are polynomials: Gauss-Legendre nodes are exact.
"""

from dataclasses import dataclass
from math import comb, factorial

import numpy as np
from numpy.polynomial import Polynomial, legendre

INDICES = ("shapley", "shapley-taylor", "faithful", "banzhaf")

# Numbers held in one pass (128 MB).
_BLOCK_SIZE = 2**24


@dataclass(frozen=True, eq=False)
class Rule:
    """Nodes x (T,) and for every order s = 1..l the weights (T,) of P_S there."""

    nodes: np.ndarray
    weights: tuple


def quadrature(index, n, order):
    """The rule of an index for n players up to an order. -> Rule"""
    if index == "banzhaf":
        return Rule(np.array([0.5]), (np.ones(1),) * order)
    # P_S and its weight together have degree n + l - 2 at most.
    nodes, measure = legendre.leggauss((n + order) // 2)
    # The last node is 0, for the indices that look at the empty coalition.
    nodes, measure = np.append((nodes + 1) / 2, 0.0), np.append(measure / 2, 0.0)
    weights = []
    for s in range(1, order + 1):
        if index == "shapley-taylor" and s < order:
            weights.append((nodes == 0.0) * 1.0)
        else:
            weights.append(measure * _density(index, s, order)(nodes))
    used = np.any(np.array(weights) != 0, axis=0)
    return Rule(nodes[used], tuple(w[used] for w in weights))


def _density(index, s, order):
    """The weight w of order s as a polynomial."""
    if index == "shapley":
        return Polynomial([1.0])
    if index == "shapley-taylor":
        return order * Polynomial([1.0, -1.0]) ** (order - 1)
    W = Polynomial([0.0, 1.0]) ** order * Polynomial([1.0, -1.0]) ** (order - 1)
    for _ in range(order - s):
        W = W.deriv()
    K = s * comb(order, s) * factorial(order + s - 1) / (factorial(order) * factorial(order - 1))
    return K * Polynomial(W.coef[1:])


def players(chain, background, phi, groups):
    """Matrices of every player: without it, and what it adds.

    The sites of a group are all present or all absent. From its first site to its last the bond
    carries a bit that says which; the last site closes it.

    chain (n, D, d, D), background (n, d) or (b, n, d), phi (b, n, d), groups: lists of sites
    -> matrices: pairs (absent (b, l, r), gained (b, l, r)), numbers: the group of each
    """
    owner = {site: g for g, sites in enumerate(groups) for site in sites}
    last = {g: max(sites) for g, sites in enumerate(groups)}
    waiting, open_groups, matrices, numbers = None, [], [], []
    for i in range(len(chain)):
        without, with_ = _matrix(chain, background, i), _matrix(chain, phi, i)
        g = owner[i]
        if len(groups[g]) == 1:
            absent, gained = _spread(without, open_groups), _spread(with_ - without, open_groups)
        elif g not in open_groups:
            passive = _lifted(with_, open_groups, True) + _lifted(without, open_groups, False)
            open_groups = [*open_groups, g]
            waiting = passive if waiting is None else waiting @ passive
            continue
        elif i < last[g]:
            present = _selected(with_, open_groups, g, np.diag([1.0, 0.0]))
            passive = present + _selected(without, open_groups, g, np.diag([0.0, 1.0]))
            waiting = passive if waiting is None else waiting @ passive
            continue
        else:
            absent = _selected(without, open_groups, g, np.array([[0.0], [1.0]]))
            gained = _selected(with_, open_groups, g, np.array([[1.0], [0.0]])) - absent
            open_groups = [k for k in open_groups if k != g]
        if waiting is not None:
            absent, gained, waiting = waiting @ absent, waiting @ gained, None
        matrices.append((absent, gained))
        numbers.append(g)
    return matrices, numbers


def interactions(matrices, rule):
    """The indices of all sets of players up to the rule's order.

    All sets that are not complete yet pass a bond together.

    matrices: n pairs as `players` makes them, for b rows
    -> subsets: for every order a list of tuples of positions, values: (b, number of subsets)
    """
    order, T = len(rule.weights), len(rule.nodes)
    rights = _right_vectors(matrices, rule.nodes)
    b = len(rights[0])
    first = matrices[0][0].shape[1]
    started = [np.broadcast_to(_unit(first), (b, T, 1, first))]
    started += [np.zeros((b, T, 0, first))] * (order - 1)
    open_sets = [[()]] + [[] for _ in range(order - 1)]
    subsets, values = [[] for _ in range(order)], [[] for _ in range(order)]
    for j, (absent, gained) in enumerate(matrices):
        ending = np.einsum("blr,btr->btl", gained, rights[j + 1])[..., None]
        mixed = _mixed(absent, gained, rule.nodes)
        for s in range(min(order, j + 1)):
            # (b, T, m): what the sets would be worth if j were their last player.
            ended = (started[s] @ ending)[..., 0]
            values[s].append(np.einsum("btm,t->bm", ended, rule.weights[s]))
            subsets[s] += [(*subset, j) for subset in open_sets[s]]
        for s in reversed(range(order)):
            kept = started[s] @ mixed
            if s > 0:
                kept = np.concatenate([kept, started[s - 1] @ gained[:, None]], axis=2)
                open_sets[s] = open_sets[s] + [(*subset, j) for subset in open_sets[s - 1]]
            started[s] = kept
    empty = np.zeros((b, 0))
    return subsets, [np.concatenate([empty, *parts], axis=1) for parts in values]


def open_groups(groups):
    """The largest number of groups that are open at one bond: each doubles the bond there."""
    spans = [(min(sites), max(sites)) for sites in groups]
    return max(sum(first < site <= last for first, last in spans) for site, _ in spans)


def block_rows(n, D, n_nodes, order):
    """Rows that one pass may take; D is the bond dimension with the bits of open groups."""
    vectors = D * n_nodes * (n + comb(n, order - 1) + D)
    return max(1, _BLOCK_SIZE // (vectors + 2 * n * D * D))


def _right_vectors(matrices, nodes):
    """Contractions right of every player, (b, T, l) each, the last the closing unit vector."""
    b, last = len(matrices[0][1]), matrices[-1][0].shape[2]
    right = np.broadcast_to(_unit(last), (b, len(nodes), last))
    rights = [right]
    for absent, gained in reversed(matrices):
        right = (_mixed(absent, gained, nodes) @ right[..., None])[..., 0]
        rights.append(right)
    return rights[::-1]


def _mixed(absent, gained, nodes):
    """absent + x gained: -> (b, T, l, r)"""
    return absent[:, None] + nodes[:, None, None] * gained[:, None]


def _unit(size):
    unit = np.zeros(size)
    unit[0] = 1
    return unit


def _matrix(chain, vectors, i):
    """A_i of site vectors: vectors (n, d) or (b, n, d) -> (1 or b, D, D)"""
    _, D, d, _ = chain.shape
    core = chain[i].swapaxes(0, 1).reshape(d, D * D)
    return (np.atleast_2d(vectors[..., i, :]) @ core).reshape(-1, D, D)


def _kron(small, matrix):
    """small (p, q), matrix (b, l, r) -> (b, p l, q r)"""
    out = np.einsum("pq,blr->bplqr", small, matrix)
    b, p, l, q, r = out.shape
    return out.reshape(b, p * l, q * r)


def _spread(matrix, open_groups):
    """The same matrix whatever the bits of the open groups."""
    return _kron(np.eye(2 ** len(open_groups)), matrix) if open_groups else matrix


def _lifted(matrix, open_groups, present):
    """The first site of a group adds a bit, the last before the bond: 0 for present."""
    bit = np.array([[1.0, 0.0]]) if present else np.array([[0.0, 1.0]])
    return _kron(np.kron(np.eye(2 ** len(open_groups)), bit), matrix)


def _selected(matrix, open_groups, group, bit):
    """A matrix that acts on the bit of one open group by `bit` (2, 2) or (2, 1)."""
    at = open_groups.index(group)
    before, after = np.eye(2**at), np.eye(2 ** (len(open_groups) - at - 1))
    return _kron(np.kron(np.kron(before, bit), after), matrix)
