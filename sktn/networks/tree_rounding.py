"""Sums of product states -> tree tensor networks: what turns a kernel expansion into a tree.

    f_c(x) = sum_m beta_mc prod_i <a_mi, x_i>   ->   the tree of bond dimension D nearest to it

by the sweeps of :mod:`sktn.networks.rounding`, of which a chain is a special case: from the leaves
to the root every node keeps the D directions that matter most to what lies beyond it, of which a
random tree is the first picture and the best basis of every far side the next.

The constant path (all first components, which are 1) has index 0 of every bond for itself: the
constant of f_c is exactly readout[0, c, 0].
"""

import numpy as np

from sktn.backend import executor_for
from sktn.networks.linalg import outer
from sktn.networks.rounding import (
    SETTLED,
    absorbed,
    leading,
    projected,
    readout_of,
    reduced,
    seen,
    times,
    varying,
)
from sktn.networks.tree import TTN

# Vectors of a site as short as this are not cut: two of them have no more products than there are
# numbers in a core of a moderate bond dimension.
LEAF_DIM = 16


def compress_tree(merges, sites, beta, bond_dim, rng, sweeps=3):
    """Tree of isometries nearest to a sum of product states, after at most so many sweeps.

    merges (k, 2), sites: n arrays (m, d), beta (m, c) -> TTN
    """
    width = max((x.shape[1] for x in sites), default=1)
    run = executor_for(len(beta) * bond_dim * max(width, bond_dim))
    with run.precision(beta.dtype):
        sites, beta = [run.put_rows(x) for x in sites], run.put_rows(beta)
        tree = _Rounding(run, merges, sites, beta)
        tree.grow(tree.random_far_sides(max(bond_dim, LEAF_DIM) + 8, rng), bond_dim)
        readout = tree.readout()
        for _ in range(sweeps):
            tree.grow(tree.far_sides(bond_dim), bond_dim)
            before, readout = readout, tree.readout()
            if varying(readout) - varying(before) <= SETTLED * varying(readout):
                break
    n = len(sites)
    cores = [
        core.reshape(*(1 if child < 0 else tree.rank(child) for child in pair), -1)
        for core, pair in zip(tree.cores[n:], merges, strict=False)
    ]
    return TTN(tuple(tree.cores[:n]), tuple(cores), readout, np.asarray(merges))


class _Rounding:
    """Cores (r_a r_b, r) and states (m, r) of all nodes but the root, of leaves (d, r)."""

    def __init__(self, run, merges, sites, beta):
        self.run, self.merges, self.sites, self.beta = run, np.asarray(merges), sites, beta
        self.one = run.put_rows(np.ones((len(beta), 1), beta.dtype))
        n_nodes = len(sites) + len(merges) - 1
        self.cores, self.states = [None] * n_nodes, [None] * n_nodes

    def state(self, node):
        return self.one if node < 0 else self.states[node]

    def rank(self, node):
        return self.cores[node].shape[-1]

    def inner(self):
        """Node and children of all inner nodes but the root, the leaves' side first."""
        return list(enumerate(self.merges[:-1].tolist(), start=len(self.sites)))

    def readout(self):
        run = self.run
        left, right = (self.state(child) for child in self.merges[-1])
        return run.get(run.jit(readout_of)(left, self.beta, right))

    def grow(self, far_sides, bond_dim):
        """From the leaves to the root, given what lies beyond every node: lists of (m, j)."""
        for node, x in enumerate(self.sites):
            self._choose(node, self.one, x, far_sides[node], max(bond_dim, LEAF_DIM))
        for node, (left, right) in self.inner():
            pair = self.state(left), self.state(right)
            self._choose(node, *pair, far_sides[node], bond_dim)

    def _choose(self, node, left, right, far, bond_dim):
        run, used = self.run, left.shape[1]
        Y, overlap = run.jit(seen, static=("used",))(left, right, far, used=used)
        U = leading(np.array(run.get(overlap)), bond_dim)
        core = np.zeros((len(U), 1 + U.shape[1]), U.dtype)
        core[0, 0] = 1
        core[1:, 1:] = U[1:]
        self.cores[node], self.states[node] = core, run.jit(times)(Y, core)

    def far_sides(self, rank):
        """What lies beyond every node, in its own best basis."""
        run, far = self.run, [None] * len(self.states)

        def reach(child, other, beyond):
            if child >= 0:
                wide = run.jit(outer)(self.state(other), beyond)
                own = max(rank, LEAF_DIM) if child < len(self.sites) else rank
                far[child] = reduced(run, self.state(child), wide, own)

        self._downwards(far, reach)
        return far

    def random_far_sides(self, sketch, rng):
        """Random projections of what lies beyond every node: lists of (m, sketch)."""
        run, far, seen_up = self.run, [None] * len(self.states), []

        def draw(*shape):
            return rng.standard_normal(shape).astype(self.beta.dtype)

        def up(node):
            return self.one if node < 0 else seen_up[node]

        def joined(left, right):
            core = draw(right.shape[1], left.shape[1], sketch)
            return run.jit(absorbed)(left, core, right)

        for x in self.sites:
            seen_up.append(joined(self.one, x))
        for _, (left, right) in self.inner():
            seen_up.append(joined(up(left), up(right)))

        def reach(child, other, beyond):
            if child < 0:
                return
            if beyond is self.beta:
                mixing = draw(beyond.shape[1] * up(other).shape[1], sketch)
                far[child] = run.jit(projected)(beyond, up(other), mixing)
            else:
                far[child] = joined(beyond, up(other))

        self._downwards(far, reach)
        return far

    def _downwards(self, far, reach):
        """reach(child, other child, what lies beyond their parent) from the root down."""
        above = [(self.merges[-1].tolist(), None), *((p, v) for v, p in self.inner()[::-1])]
        for (left, right), node in above:
            beyond = self.beta if node is None else far[node]
            reach(left, right, beyond)
            reach(right, left, beyond)
