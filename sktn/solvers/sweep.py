"""Sweeps over a chain (DMRG-style): one core, or two neighbours, at a time, to the minimum of its
local problem (`solvers.local`), in the mixed canonical gauge.

Two-site updates solve for the product of two neighbours and split it by a truncated singular value
decomposition, so that the bond between them finds its dimension.

Arrays with an axis of rows live where the executor computes, a device for many rows; cores, which
are small, and their decompositions stay on the host.

See White, Phys. Rev. Lett. 69, 2863 (1992); Stoudenmire and Schwab, NeurIPS 2016; Holtz, Rohwedder
and Schneider, SIAM J. Sci. Comput. 34, A683 (2012).
"""

from collections.abc import Callable
from dataclasses import replace
from typing import NamedTuple

import numpy as np

from sktn.backend import bucket, executor_for
from sktn.networks.linalg import outer, split_svd
from sktn.solvers.local import Inner, Output, minimize_locally
from sktn.solvers.newton import UNTOLD, Effort

# Of a local problem: its neighbours will move before it is looked at again, so a rough Newton
# direction is as good as an exact minimum (on tables of 1,250 to 5,600 rows the same loss after as
# many sweeps, at a third of the cost).
ROUGH_EFFORT = Effort(max_iter=1, max_cg=8, tol=1e-4, cg_tol=1e-2, untold=UNTOLD)
# Squared losses have one Hessian, are without noise where they are small, and their local problems
# are the worse conditioned the less there is: exact ones reach with one sweep what rough ones take
# several for, at hardly more cost.
_QUADRATIC_EFFORT = Effort(max_iter=1, max_cg=20, tol=1e-4, cg_tol=1e-4)


class SweepOptions(NamedTuple):
    """two_site : whether pairs of neighbours are updated and split; else single cores, at fixed
        bond dimensions
    max_bond_dim : of two-site updates
    truncation_tol : of two-site updates: singular values whose squares sum to less than its square,
        relative to all of them, are cut off
    max_sweeps : int
    tol : sweeps end when one of them lowers the loss by less than this share of it
    effort : of the local problems; None for what suits the loss
    outward : whether single cores are updated on the way to the ends, too, not only back; None:
        where the loss is squared, whose cores are solved for exactly. Of others a second rough
        visit gains less than the next sweep
    """

    two_site: bool = False
    max_bond_dim: int = 16
    truncation_tol: float = 1e-3
    max_sweeps: int = 10
    tol: float = 1e-2
    effort: Effort | None = None
    outward: bool | None = None


def sweep(network, inputs, problem, options, stop=None):
    """Sweep from the output to both ends and back until the penalised loss settles.

    Parameters
    ----------
    network : MPS
        For weighted site vectors, in which the ridge is the plain squared norm.
    inputs : pair of arrays (p, N, d)
        `ChainProblem.inputs` of the network's arms.
    problem : ChainProblem
        On N rows.
    options : SweepOptions
    stop : callable, default=None
        `stop() -> bool`, asked before every sweep and every core: the others stay as they are.

    Returns
    -------
    network : MPS, both arms isometries
    losses : array, penalised loss after every sweep, the first entry before them
    """
    bond = options.max_bond_dim if options.two_site else network.bond_dims.max(initial=1)
    run = _executor(inputs, int(bond))
    with run.precision(network.readout.dtype):
        return _sweep(
            network, [_Arm(*arm, run) for arm in _arms(network, inputs)], problem, options, stop
        )


def _executor(inputs, bond):
    """Where rows are for a bond dimension."""
    _, n_rows, d = max((x.shape for x in inputs), key=lambda shape: shape[0])
    return executor_for(n_rows * bond * d)


def _arms(network, inputs):
    return zip(network.arms, inputs, strict=True)


def _sweep(network, arms, problem, options, stop):
    local = local_problems(problem, options, stop)
    split = Split(options.max_bond_dim, options.truncation_tol if options.two_site else None)
    one_arm = _two_site_pass if options.two_site else _one_site_pass
    readout = _absorb_surplus(network.readout, arms)
    readout, loss = local.readout(arms[0].reached[-1], arms[1].reached[-1], readout)
    losses = [loss]
    for _ in range(options.max_sweeps):
        if stop is not None and stop():
            break
        readout = one_arm(arms[0], arms[1].reached[-1], readout, local, split)
        # The same from the other side: the output is in the middle.
        mirrored = one_arm(arms[1], arms[0].reached[-1], readout.T, local, split)
        readout, loss = local.readout(arms[0].reached[-1], arms[1].reached[-1], mirrored.T)
        losses.append(loss)
        if losses[-2] - loss < options.tol * abs(loss):
            break
    found = replace(network, arms=tuple(arm.full_cores() for arm in arms), readout=readout)
    return found, np.array(losses)


def scores(network, inputs):
    """f_c of rows: inputs as in :func:`sweep` -> (N, c)"""
    run, n_rows = _executor(inputs, int(network.bond_dims.max(initial=1))), inputs[0].shape[1]
    with run.precision(network.readout.dtype):
        left, right = (_Arm(*arm, run) for arm in _arms(network, inputs))
        readout = _absorb_surplus(network.readout, (left, right))
        flat = readout.reshape(len(readout), -1)
        output = Output(left.reached[-1], right.reached[-1], 0.0, n_rows)
        return output.scores(flat[None])[0]


def local_problems(problem, options, stop=None):
    """-> Local"""
    effort = options.effort
    if effort is None:
        effort = _QUADRATIC_EFFORT if problem.loss.quadratic else ROUGH_EFFORT
    outward = problem.loss.quadratic if options.outward is None else options.outward
    return Local(problem, problem.strength, effort, outward, stop)


class Local(NamedTuple):
    """What all local problems of a sweep share."""

    problem: object
    strength: float
    effort: Effort
    outward: bool = True
    stop: Callable[[], bool] | None = None

    def inner(self, X, far, A):
        if self.stop is not None and self.stop():
            return A
        site = Inner(X, far, self.strength, len(self.problem.weight))
        return minimize_locally(site, A, self.problem, self.effort)[0]

    def output(self, X, y, A):
        site = Output(X, y, self.strength, len(self.problem.weight))
        return minimize_locally(site, A, self.problem, self.effort)

    def readout(self, left, right, R):
        """The core with the output index: left (M, l), right (M, r), R (l, c, r) -> R, loss"""
        l, c, r = R.shape
        A, loss = self.output(left, right, R.reshape(l, c * r))
        return A.reshape(l, c, r), loss


def _absorb_surplus(readout, arms):
    left, right = arms
    return np.einsum("kl,lcr,ur->kcu", left.surplus, readout, right.surplus)


class Split(NamedTuple):
    """How a matrix is parted in two, one of them an isometry. Without a tolerance the rank stays
    as it is."""

    max_rank: int
    tol: float | None

    def left(self, matrix):
        """matrix (k, q) -> isometry (k, r), rest (r, q)"""
        if self.tol is None:
            return np.linalg.qr(matrix)
        isometry, rest, _ = split_svd(
            matrix, (self.tol * np.linalg.norm(matrix)) ** 2, self.max_rank
        )
        return isometry, rest

    def right(self, matrix):
        """matrix (k, q) -> rest (k, r), isometry (r, q)"""
        isometry, rest = self.left(matrix.T)
        return rest.T, isometry.T


class _Arm:
    """One arm: its cores (D, d, D'), the site vectors x[k] (M, d), M = N + 1, with those of the
    constant in row N, `reached[k]` (M, D): what the cores before k make of every row, `far[k]`
    (M, D', c): what is beyond core k up to the scores, where it is known and still asked for.
    """

    def __init__(self, cores, x, run):
        self.run, self.dim = run, x.shape[2]
        self.x, self.d = with_constant(x, run)
        cores = [core[:, :d] for core, d in zip(cores, self.d, strict=True)]
        self.cores, self.far = list(cores), [None] * len(cores)
        self.reached = [ones_of_rows(x, run)]
        # To isometries; what is left over belongs to the readout.
        R = np.ones((1, 1), x.dtype)
        for k, core in enumerate(cores):
            core = np.tensordot(R, core, 1)
            Q, R = np.linalg.qr(core.reshape(-1, core.shape[2]))
            self.reached.append(None)
            self.settle_left(k, Q)
        self.surplus = R

    def features(self, k):
        """What core k is multiplied by, row by row: (M, D d)"""
        return self.run.jit(outer)(self.reached[k], self.x[k])

    def full_cores(self):
        """The cores at the physical dimension that all sites share."""
        widths = [[(0, 0), (0, self.dim - d), (0, 0)] for d in self.d]
        return tuple(np.pad(core, w) for core, w in zip(self.cores, widths, strict=True))

    def matrix(self, k):
        return self.cores[k].reshape(-1, self.cores[k].shape[2])

    def settle_left(self, k, Q):
        """Core k becomes an isometry from the end: Q (D d, r)."""
        self.cores[k] = Q.reshape(-1, self.d[k], Q.shape[1])
        self.reached[k + 1] = self.run.jit(advance)(self.reached[k], self.x[k], Q)

    def settle_right(self, k, Q):
        """Core k becomes an isometry from the output: Q (r, d D')."""
        self.cores[k] = Q.reshape(len(Q), self.d[k], -1)
        self.far[k - 1] = self.run.jit(_absorb)(self.cores[k], self.x[k], self.far[k])

    def settle_output(self, output, other):
        """What is beyond the last core: output (l, c, r), other (M, r)"""
        self.far[-1] = self.run.jit(beyond)(output, other)

    def ahead(self, k):
        """Core k's site vectors with what is beyond it: (M, d D', c)"""
        return self.run.jit(_ahead)(self.x[k], self.far[k])


def with_constant(x, run):
    """Site vectors x (p, N, d) with those of the constant in row N, where rows live, and how many
    components of each are used: p arrays (M, d_k), p integers.

    On a device M is one of few numbers, and rows beyond N are zero. Components of a site that are 0
    in all rows, those of a basis padded to the largest site, take no part.
    """
    M, found = _n_filled(x, run), []
    for site in x:
        used = np.flatnonzero(site.any(axis=0))
        d = 1 + int(used.max(initial=0))
        filled = np.zeros((M, d), x.dtype)
        filled[: len(site)] = site[:, :d]
        filled[len(site), 0] = 1
        found.append(run.put_rows(filled))
    return found, [site.shape[1] for site in found]


def ones_of_rows(x, run):
    """(M, 1), see :func:`with_constant`"""
    return run.put_rows(np.ones((_n_filled(x, run), 1), x.dtype))


def _n_filled(x, run):
    n_rows = x.shape[1] + 1
    return n_rows if run.name == "numpy" else bucket(n_rows, run.n_devices)


def advance(reached, x, Q):
    """reached (M, D), x (M, d), Q (D d, r) -> (M, r)"""
    return outer(reached, x) @ Q


def beyond(output, other):
    """sum_r output_lcr other_r -> (M, l, c)"""
    l, c, r = output.shape
    flat = other @ output.transpose(2, 0, 1).reshape(r, l * c)
    return flat.reshape(-1, l, c)


def _ahead(x, far):
    return (x[:, :, None, None] * far[:, None]).reshape(len(far), -1, far.shape[2])


def _absorb(core, x, far):
    """sum_sr core_lsr x_s far_rc: core (l, d, r), x (N, d), far (N, r, c) -> (N, l, c)"""
    if far.shape[2] == 1:
        return (_ahead(x, far)[:, :, 0] @ core.reshape(len(core), -1).T)[:, :, None]
    # A matrix a row, which all scores share.
    l, d, r = core.shape
    matrices = x @ core.transpose(1, 0, 2).reshape(d, l * r)
    return matrices.reshape(-1, l, r) @ far


def _one_site_pass(arm, other, readout, local, split):
    """From the output to the end of the arm and back, every core updated on both ways.

    other (M, r): what the other arm makes of every row; readout (l, c, r) -> readout
    """
    p, (_, c, r) = len(arm.cores), readout.shape
    if p == 0:
        return readout
    rest, Q = split.right(readout.reshape(len(readout), -1))
    output = Q.reshape(-1, c, r)
    arm.settle_output(output, other)
    for k in range(p - 1, -1, -1):
        arm.cores[k] = np.tensordot(arm.cores[k], rest, 1)
        A = arm.matrix(k)
        if local.outward or k == 0:
            A = local.inner(arm.features(k), arm.far[k], A)
            arm.cores[k] = A.reshape(arm.cores[k].shape)
        if k > 0:
            rest, Q = split.right(A.reshape(len(arm.cores[k]), -1))
            arm.settle_right(k, Q)
    for k in range(p):
        if k > 0:
            arm.cores[k] = np.tensordot(rest, arm.cores[k], 1)
            A = local.inner(arm.features(k), arm.far[k], arm.matrix(k))
        arm.far[k] = None
        Q, rest = split.left(A)
        arm.settle_left(k, Q)
    return np.tensordot(rest, output, 1)


def _two_site_pass(arm, other, readout, local, split):
    """As `_one_site_pass`, with pairs of neighbours: the first and the last of them is the core
    next to the output with the readout."""
    p, (_, c, r) = len(arm.cores), readout.shape
    if p == 0:
        return readout

    def with_readout(readout):
        merged = arm.matrix(p - 1) @ readout.reshape(len(readout), -1)
        return local.output(arm.features(p - 1), other, merged)[0]

    def pair(k):
        """Cores k and k + 1."""
        merged = arm.matrix(k) @ arm.cores[k + 1].reshape(len(arm.cores[k + 1]), -1)
        return local.inner(arm.features(k), arm.ahead(k + 1), merged)

    rest, Q = split.right(with_readout(readout))
    output = Q.reshape(-1, c, r)
    arm.cores[p - 1] = rest.reshape(len(arm.cores[p - 1]), arm.d[p - 1], -1)
    arm.settle_output(output, other)
    for k in range(p - 2, -1, -1):
        rest, Q = split.right(pair(k))
        arm.settle_right(k + 1, Q)
        arm.cores[k] = rest.reshape(len(arm.cores[k]), arm.d[k], -1)
    for k in range(p - 1):
        Q, rest = split.left(pair(k))
        arm.far[k + 1] = None
        arm.settle_left(k, Q)
        arm.cores[k + 1] = rest.reshape(len(rest), arm.d[k + 1], -1)
    Q, rest = split.left(with_readout(output))
    arm.settle_left(p - 1, Q)
    return rest.reshape(len(rest), c, r)
