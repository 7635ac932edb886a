"""Sweeps over a tree: one core after the other to the minimum of its local problem, in the
canonical gauge towards it.

The centre walks around the tree: down every bond and back up, each core solved for on its way down
and again once those below it are done. What a core at the centre sees of a row are the messages of
its children and what lies beyond it, which is a local problem of chains (`solvers.local`), as is
the root with the output index. The ridge is the plain squared norm there. Leaves whose core is
square only turn the basis that the core above reads, and are left as they are.

See Cheng, Wang, Xiang and Zhang, "Tree tensor networks for generative modeling", Phys. Rev. B 99,
155131 (2019).
"""

from dataclasses import replace

import numpy as np

from sktn.backend import executor_for
from sktn.networks.linalg import outer
from sktn.networks.tree import with_surplus
from sktn.solvers.sweep import (
    Split,
    advance,
    beyond,
    local_problems,
    ones_of_rows,
    with_constant,
)


def sweep_tree(network, x, problem, options, stop=None):
    """Sweep until the penalised loss settles.

    Parameters
    ----------
    network : TTN
        For weighted site vectors, in which the ridge is the plain squared norm.
    x : array of shape (n, N, d)
        The weighted site vectors.
    problem : ChainProblem
        On N rows.
    options : SweepOptions
        Cores are updated one at a time.
    stop : callable, default=None
        `stop() -> bool`, asked after every sweep and before every core.

    Returns
    -------
    network : TTN, its cores but the root isometries
    losses : array, penalised loss after every sweep, the first entry before them
    """
    D = int(network.bond_dims.max(initial=1))
    run = executor_for(x.shape[1] * D * max(D, x.shape[2]))
    with run.precision(network.dtype):
        tree = _Tree(network, x, local_problems(problem, options, stop), run)
        losses = [tree.update_root()]
        for _ in range(options.max_sweeps):
            for side in (0, 1):
                tree.around(side)
            losses.append(tree.update_root())
            settled = losses[-2] - losses[-1] < options.tol * abs(losses[-1])
            if settled or (stop is not None and stop()):
                break
    return tree.network(network), np.array(losses)


class _Tree:
    """Cores (a, b, r) of all nodes but the root, a leaf's a = 1; `up[v]` (M, r): what node v makes
    of every row; `far[v]` (M, r, c): what is beyond it, on the way from the root to the centre.

    x: n arrays (M, d), M = N + 1, of which row N is the constant.
    """

    def __init__(self, network, x, local, run):
        self.run, self.local, self.dim = run, local, x.shape[2]
        self.one = ones_of_rows(x, run)
        self.x, d = with_constant(x, run)
        self.n = len(self.x)
        self.children = [(-1, -1)] * self.n + [tuple(pair) for pair in network.merges.tolist()]
        leaves = [core[None, :size] for core, size in zip(network.leaves, d, strict=True)]
        self.cores = [*leaves, *network.cores]
        self.up, self.far = [None] * len(self.cores), [None] * len(self.cores)
        self.half = [None] * len(self.children)
        # To isometries; what is left over belongs to the node above.
        surplus = []
        for node, core in enumerate(self.cores):
            self.cores[node] = core = with_surplus(core, self.children[node], surplus)
            surplus.append(self._settle(node))
        root = network.readout.swapaxes(1, 2)
        self.root = with_surplus(root, self.children[-1], surplus).swapaxes(1, 2)

    def network(self, like):
        leaves = tuple(
            np.pad(core[0], [(0, len(old) - core.shape[1]), (0, 0)])
            for core, old in zip(self.cores[: self.n], like.leaves, strict=True)
        )
        return replace(like, leaves=leaves, cores=tuple(self.cores[self.n :]), readout=self.root)

    def message(self, node):
        return self.one if node < 0 else self.up[node]

    def inputs(self, node):
        """The two vectors of every row that a core is multiplied by: (M, a), (M, b)"""
        if node < self.n:
            return self.one, self.x[node]
        return tuple(self.message(child) for child in self.children[node])

    def moves(self, child):
        """Whether the core of a node is solved for."""
        if child < self.n:
            return child >= 0 and self.cores[child].shape[1] > self.cores[child].shape[2]
        return True

    def update_root(self):
        left, right = (self.message(child) for child in self.children[-1])
        self.root, loss = self.local.readout(left, right, self.root)
        return loss

    def around(self, side):
        """The centre from the root down on one side, around all below, and back."""
        top = self.children[-1][side]
        if not self.moves(top):
            return
        self._down(len(self.children) - 1, side)
        # (node, how many of its children are done)
        stack = [(top, 0)]
        while stack:
            node, done = stack.pop()
            if done == 0:
                self._update(node)
            if node >= self.n and done < 2:
                stack.append((node, done + 1))
                if self.moves(self.children[node][done]):
                    self._down(node, done)
                    stack.append((self.children[node][done], 0))
                continue
            if node >= self.n and any(self.moves(child) for child in self.children[node]):
                self._update(node)
            above, place = self._above(stack, side)
            self._back(above, place)

    def _above(self, stack, side):
        """The parent of what is done, and on which side of it that is."""
        if not stack:
            return len(self.children) - 1, side
        node, done = stack[-1]
        return node, done - 1

    def _update(self, node):
        X = self.run.jit(outer)(*self.inputs(node))
        core = self.cores[node]
        A = self.local.inner(X, self.far[node], core.reshape(-1, core.shape[2]))
        self.cores[node] = A.reshape(core.shape)

    def _down(self, node, side):
        """The centre moves to a child: (root readouts have their output index in the middle)."""
        is_root = node == len(self.cores)
        core = self.root if is_root else self.cores[node]
        if side:
            core = core.T if is_root else core.swapaxes(0, 1)
        rest, Q = _SPLIT.right(core.reshape(len(core), -1))
        self.half[node] = half = Q.reshape(-1, *core.shape[1:])
        child, other = self.children[node][side], self.message(self.children[node][1 - side])
        self.cores[child] = np.tensordot(self.cores[child], rest, 1)
        if is_root:
            self.far[child] = self.run.jit(beyond)(half, other)
        else:
            self.far[child] = self.run.jit(_towards)(half, other, self.far[node])

    def _back(self, node, side):
        """The centre moves from a child to its parent."""
        child = self.children[node][side]
        core = np.tensordot(self._settle(child), self.half[node], 1)
        self.far[child] = self.half[node] = None
        if node == len(self.cores):
            self.root = core.T if side else core
        else:
            self.cores[node] = core.swapaxes(0, 1) if side else core

    def _settle(self, node):
        """A core becomes an isometry towards the root. -> what is left over (r', r)"""
        core = self.cores[node]
        Q, R = _SPLIT.left(core.reshape(-1, core.shape[2]))
        self.cores[node] = Q.reshape(*core.shape[:2], -1)
        self.up[node] = self.run.jit(advance)(*self.inputs(node), Q)
        return R


_SPLIT = Split(0, None)


def _towards(core, other, far):
    """sum_sq core_ksq other_s far_qc: core (k, s, q), other (M, s), far (M, q, c) -> (M, k, c)"""
    k, s, q = core.shape
    matrices = (other @ core.swapaxes(0, 1).reshape(s, k * q)).reshape(-1, k, q)
    return matrices @ far
