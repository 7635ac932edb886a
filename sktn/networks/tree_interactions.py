"""Exact interaction indices of a tree, of any order, for players that are sites or groups.

The polynomial P_S of :mod:`sktn.networks.interactions` adds up the tree for every player absent and
present, weighed by 1 - x and x, in S by -1 and 1. A message from below has an axis, the states, for
the players with sites both below and elsewhere, which doubles it for each; the weights come in
where the last two of a player's sites meet, absent or present alike. With all players of S but the
last in place, what the tree is a product of with the weights of any other player gives P_S for
every last one at once: two passes over the tree for every set of one player less.
"""

from dataclasses import dataclass
from itertools import combinations, product

import numpy as np

from sktn.networks.tree_readings import contracted

# Numbers held in one pass (128 MB).
_BLOCK_SIZE = 2**24


@dataclass(frozen=True, eq=False)
class _Meeting:
    """The states at a node: all those of the `waiting` players, each with all of the `whole` ones.

    children: two indices, of the states of each child that those of this node are made of.
    """

    waiting: list
    whole: list
    children: tuple

    @property
    def shape(self):
        return 2 ** len(self.waiting), 2 ** len(self.whole)


def meetings(merges, groups):
    """The states at the sites, then at the nodes of a tree: merges (k, 2), groups: lists of sites,
    which have each site once -> list of _Meeting"""
    below, found = [{} for _ in range(sum(map(len, groups)))], []
    for g, sites in enumerate(groups):
        for site in sites:
            below[site] = {g: 1}
    for own in below:
        [g] = own
        alone = len(groups[g]) == 1
        found.append(_Meeting([] if alone else [g], [g] if alone else [], ()))
    for left, right in merges:
        counts = [_unfinished(below, found, child) for child in (left, right)]
        here = {g: counts[0].get(g, 0) + counts[1].get(g, 0) for g in counts[0] | counts[1]}
        whole = [g for g in here if here[g] == len(groups[g])]
        waiting = [g for g in here if g not in whole]
        children = tuple(_states(waiting + whole, list(count)) for count in counts)
        below.append(here)
        found.append(_Meeting(waiting, whole, children))
    return found


def _unfinished(below, found, child):
    """How many sites are below a child of each player that waits: -> dict"""
    return {} if child < 0 else {g: below[child][g] for g in found[child].waiting}


def _states(players, some):
    """Which state of `some` of the players each state of all is: -> (2^k,), or all in order"""
    states = np.array([*product((0, 1), repeat=len(players))], int).reshape(2 ** len(players), -1)
    own = states[:, [players.index(g) for g in some]]
    found = own @ (2 ** np.arange(len(some))[::-1]).astype(int)
    return slice(None) if players == some else found


def most_states(merges, groups):
    """The logarithm to base 2 of the largest number of states at a node."""
    return max(len(node.waiting) + len(node.whole) for node in meetings(merges, groups))


def interactions(tree, background, phi, groups, rule):
    """The indices of all sets of players up to the rule's order.

    background (n, d), or (b, n, d) for one a row, phi (b, n, d), groups: lists of sites, rule: of
    :func:`sktn.networks.interactions.quadrature`
    -> subsets: for every order a list of tuples of players, values: (b, number of subsets)
    """
    n, T = len(groups), len(rule.nodes)
    nodes = meetings(tree.merges, groups)
    subsets = [list(combinations(range(n), s + 1)) for s in range(len(rule.weights))]
    values = [np.zeros((len(phi), len(sets))) for sets in subsets]
    apart = np.repeat(np.stack([1 - rule.nodes, rule.nodes], axis=1)[:, None], n, axis=1)
    size = max(1, _BLOCK_SIZE // (T * _numbers(tree, nodes)))
    for start in range(0, len(phi), size):
        rows = slice(start, start + size)
        absent = background if background.ndim == 2 else background[rows]
        sites = _site_messages(tree, absent, phi[rows])
        for s, weights in enumerate(rule.weights):
            own = values[s][rows].T
            place = 0
            for fixed in combinations(range(n), s):
                weighed = apart.copy()
                weighed[:, list(fixed)] = -1, 1
                slopes = _slopes(tree, nodes, sites, weighed, weights)
                for last in range(fixed[-1] + 1 if fixed else 0, n):
                    own[place] = slopes[last]
                    place += 1
    return subsets, values


def _numbers(tree, nodes):
    """Numbers of a row at one x: what is kept of every node, and the widest product."""
    bonds = [*tree.bond_dims.tolist(), 1]
    states = [int(np.prod(node.shape)) for node in nodes]
    kept = sum(3 * q * r for q, r in zip(states, bonds, strict=True))
    cores = [core.shape[0] * core.shape[1] for core in tree.cores] + [tree.readout.size]
    return kept + max(q * size for q, size in zip(states[tree.n_sites :], cores, strict=True))


def _site_messages(tree, absent, phi):
    """What the sites send, absent and present: n arrays (2, b, r)"""
    both = np.stack([np.broadcast_to(absent, phi.shape), phi])
    return [both[:, :, i] @ core for i, core in enumerate(tree.leaves)]


def _slopes(tree, nodes, sites, weighed, weights):
    """Integrals of P with the weights -1 and 1 of one player, for every player.

    nodes: of `meetings`, sites: of `_site_messages`, weighed (T, n, 2), weights (T,) of the
    integral -> n arrays (b,)
    """
    T, b = len(weighed), sites[0].shape[1]
    one = np.ones((T, b, 1, 1))
    cores = [None] * tree.n_sites + [*tree.cores, tree.readout.swapaxes(1, 2)]
    pairs = [None] * tree.n_sites + tree.merges.tolist()
    met, up = [], []

    def arrived(child, states):
        return one if child < 0 else up[child][:, :, states]

    for node, core, pair in zip(nodes, cores, pairs, strict=True):
        if core is None:
            both = sites[len(met)]
            if node.whole:
                own = np.tensordot(weighed[:, node.whole[0]], both, 1)[:, :, None]
            else:
                own = np.broadcast_to(both.swapaxes(0, 1), (T, b, 2, both.shape[2]))
            message = None
        else:
            places = zip(pair, node.children, strict=True)
            message = own = _joined(core, *(arrived(*place) for place in places))
            if node.whole:
                message = message.reshape(T, b, *node.shape, -1)
                own = np.einsum("tbowr,tw->tbor", message, _weight(node, weighed))
        met.append(message)
        up.append(own)

    down, slopes = [None] * len(nodes), [None] * weighed.shape[1]
    down[-1] = one
    for v in reversed(range(len(nodes))):
        node, far = nodes[v], down[v]
        if v < tree.n_sites:
            for g in node.whole:
                absent, present = sites[v]
                slopes[g] = np.sum(np.tensordot(weights, far[:, :, 0], 1) * (present - absent), 1)
            continue
        if node.whole:
            beside = np.einsum("t,tbowr,tbor->tbw", weights, met[v], far)
            for g in node.whole:
                slopes[g] = np.einsum("tbw,tw->b", beside, _weight(node, weighed, g))
            far = far[:, :, :, None] * _weight(node, weighed)[:, None, None, :, None]
            far = far.reshape(T, b, -1, far.shape[-1])
        core, (left, right), (at_left, at_right) = cores[v], pairs[v], node.children
        if left >= 0:
            beyond = _joined(core.transpose(1, 2, 0), arrived(right, at_right), far)
            down[left] = _gathered(beyond, at_left, nodes[left])
        if right >= 0:
            beyond = _joined(core.transpose(0, 2, 1), arrived(left, at_left), far)
            down[right] = _gathered(beyond, at_right, nodes[right])
    return slopes


def _weight(node, weighed, only=None):
    """The weights of the states of the whole players: weighed (T, n, 2), `only`: the player whose
    weights are -1 and 1 instead -> (T, 2^whole)"""
    out = np.ones((len(weighed), 1))
    for g in node.whole:
        own = np.array([[-1.0, 1.0]]) if g == only else weighed[:, g]
        out = (out[:, :, None] * own[:, None]).reshape(len(weighed), -1)
    return out


def _joined(core, x, y):
    """core (a, b, r), x (..., a), y (..., b) -> (..., r)"""
    rows = (message.reshape(-1, message.shape[-1]) for message in (x, y))
    return contracted(core, *rows).reshape(*x.shape[:-1], -1)


def _gathered(message, states, child):
    """Sums over the states of a node that are made of the same of a child: (T, b, q, r) ->
    (T, b, child's, r)"""
    if isinstance(states, slice):
        return message
    chosen = np.zeros((child.shape[0], len(states)))
    chosen[states, np.arange(len(states))] = 1
    return chosen @ message
