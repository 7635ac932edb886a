"""Sweeps over a chain (DMRG-style): one core, or two neighbours, at a time, to the minimum.

The scores are linear in each core, so with the others fixed a convex loss stays convex, and in the
mixed canonical gauge the ridge in function space is the plain squared norm of the core, less that
of the constant function:

    min_A  sum_i w_i loss(f_i(A), i) + alpha share (||A||^2 - sum_c m_c^2) ,

solved by Newton's method with conjugate gradients. m_c, the constant part of score c, is linear in
A too: it is the score of a row whose site vectors are all the first unit vector, which stands as an
additional last row in every array here.

Two-site updates solve for the product of two neighbours and split it by a truncated singular value
decomposition, so that the bond between them finds its dimension.

NumPy, like `solvers.convex`: cores have their own sizes, which change from update to update, and
nothing is compiled. See White, Phys. Rev. Lett. 69, 2863 (1992); Stoudenmire and Schwab, NeurIPS
2016; Holtz, Rohwedder and Schneider, SIAM J. Sci. Comput. 34, A683 (2012).
"""

from typing import NamedTuple

import numpy as np


class Chain(NamedTuple):
    """A chain around its output: two lists of cores (D, d, D'), each from the end of the chain
    towards the output, and the readout (D_left, c, D_right)."""

    arms: tuple
    readout: np.ndarray


def from_network(network, g):
    """The chain, for weighted inputs, of a network's arms (h, 2, D, d, D), readout and index, bonds
    trimmed to what is used. g (n, d)"""
    n, arms = len(g), []
    for t, order in enumerate(arm_orders(network["index"], n)):
        cores, used = [], [0]
        padded = network["arms"][len(network["arms"]) - len(order) :, t]
        for core, i in zip(padded, order, strict=True):
            core = (core * np.sqrt(g[i])[:, None])[used]
            used = np.flatnonzero(np.any(core != 0, axis=(0, 1)))
            cores.append(core[:, :, used])
        arms.append((cores, used))
    (left, l), (right, r) = arms
    return Chain((left, right), network["readout"][l][:, :, r])


def to_network(chain, index, g, bond_dim):
    """Inverse of `from_network`, padded to `bond_dim`."""
    n, d = g.shape
    arms = np.zeros((len(index), 2, bond_dim, d, bond_dim), chain.readout.dtype)
    # Padding sites pass every vector on.
    arms[:, :, np.arange(bond_dim), 0, np.arange(bond_dim)] = 1
    for t, order in enumerate(arm_orders(index, n)):
        for k, (core, i) in enumerate(zip(chain.arms[t], order, strict=True)):
            l, _, r = core.shape
            arms[len(index) - len(order) + k, t] = 0
            arms[len(index) - len(order) + k, t, :l, :, :r] = core / np.sqrt(g[i])[:, None]
    l, c, r = chain.readout.shape
    readout = np.zeros((bond_dim, c, bond_dim), chain.readout.dtype)
    readout[:l, :, :r] = chain.readout
    return {"arms": arms, "readout": readout, "index": index}


def arm_orders(index, n):
    """The sites of either arm, from its end towards the output: padding sites stand first in
    `index` (h, 2) and are left out."""
    return [column[column < n] for column in index.T]


def scores(chain, inputs):
    """f_c of rows: inputs as in :func:`sweep` -> (N, c)"""
    left, right = (_Arm(cores, x) for cores, x in zip(chain.arms, inputs, strict=True))
    readout = np.einsum("kl,lcr,ur->kcu", left.surplus, chain.readout, right.surplus)
    l, c, r = readout.shape
    reached = left.reached[-1][:-1] @ readout.reshape(l, c * r)
    return np.einsum("ncr,nr->nc", reached.reshape(-1, c, r), right.reached[-1][:-1])


class _Inner:
    """Scores of a core inside an arm: f_c = sum_kq X_k A_kq far_qc. X (N, k), far (N, q, c)"""

    def __init__(self, X, far):
        self.X, self.far = X, far
        # One score, the most common case, needs no batched products.
        self.single = far[:, :, 0] if far.shape[2] == 1 else None

    def scores(self, A):
        reached = self.X @ A
        if self.single is not None:
            return np.einsum("nq,nq->n", reached, self.single)[:, None]
        return np.einsum("nq,nqc->nc", reached, self.far)

    def adjoint(self, t):
        return self.X.T @ self._spread(self.far, t)

    def diagonal(self, h):
        """Of sum_i h_i (d f_i)^2, in A."""
        return (self.X * self.X).T @ self._spread(self.far * self.far, h)

    def _spread(self, far, t):
        if self.single is not None:
            return far[:, :, 0] * t
        return (far @ t[:, :, None])[:, :, 0]


class _Output:
    """Scores of the core with the output index: f_c = X^T A_c y. X (N, k), y (N, q)"""

    def __init__(self, X, y):
        self.X, self.y = X, y

    def scores(self, A):
        reached = (self.X @ A).reshape(len(self.X), -1, self.y.shape[1])
        return np.einsum("ncq,nq->nc", reached, self.y)

    def adjoint(self, t):
        return self.X.T @ (t[:, :, None] * self.y[:, None, :]).reshape(len(t), -1)

    def diagonal(self, h):
        squares = (h[:, :, None] * (self.y * self.y)[:, None, :]).reshape(len(h), -1)
        return (self.X * self.X).T @ squares


class _Problem(NamedTuple):
    """What all local problems share: weight (N,), strength = 2 alpha share, effort."""

    objective: object
    weight: np.ndarray
    strength: float
    n_newton: int
    n_cg: int


def minimize_locally(site, A, problem):
    """The core that minimises the loss with everything else fixed, begun at A: never a worse one.

    A (k, q) -> core (k, q), penalised loss
    """
    objective, w, strength = problem.objective, problem.weight[:, None], problem.strength
    F = site.scores(A)

    def with_constant(t, constant):
        return np.concatenate([t, -strength * constant[None]])

    def value(F, norm):
        data = np.dot(problem.weight, objective.values(F[:-1]).astype(np.float64))
        return float(data) + 0.5 * strength * (norm - float(F[-1] @ F[-1]))

    norm = float(np.vdot(A, A))
    loss = value(F, norm)
    for _ in range(1 if objective.quadratic else problem.n_newton):
        slope, h = objective.derivatives(F[:-1])

        def bend(D, h=h):
            f = site.scores(D)
            t = with_constant(w * objective.curve(h, f[:-1]), f[-1])
            return site.adjoint(t) + strength * D, f

        gradient = site.adjoint(with_constant(w * slope, F[-1])) + strength * A
        curvature = np.concatenate([w * objective.curve_diagonal(h), np.zeros_like(F[-1:])])
        diagonal = site.diagonal(curvature) + strength
        D, dF = _conjugate_gradients(bend, -gradient, np.maximum(diagonal, 1e-30), problem.n_cg)
        cross, square, step = float(np.vdot(A, D)), float(np.vdot(D, D)), 1.0
        while step > 1e-3:
            trial = value(F + A.dtype.type(step) * dF, norm + 2 * step * cross + step**2 * square)
            if trial < loss:
                break
            step /= 2
        else:
            break
        A, F = A + A.dtype.type(step) * D, F + A.dtype.type(step) * dF
        norm = float(np.vdot(A, A))
        gained, loss = loss - trial, trial
        if gained < 1e-4 * abs(loss):
            break
    return A, loss


def _conjugate_gradients(bend, b, diagonal, n_steps, tol=1e-4):
    """x with bend(x) = b to a relative residual of sqrt(tol) in the preconditioned norm, and its
    scores."""
    x, scores = np.zeros_like(b), 0
    residual = b
    z = residual / diagonal
    d = z
    rz = float(np.vdot(residual, z))
    goal = tol * rz
    for _ in range(n_steps):
        if rz <= goal or rz <= 0:
            break
        Hd, f = bend(d)
        curve = float(np.vdot(d, Hd))
        if curve <= 0:
            break
        a = d.dtype.type(rz / curve)
        x = x + a * d
        scores = scores + a * f
        residual = residual - a * Hd
        z = residual / diagonal
        new = float(np.vdot(residual, z))
        d = z + d.dtype.type(new / rz) * d
        rz = new
    return x, scores


def outer(x, y):
    """Row-wise Kronecker product (N, i), (N, j) -> (N, i j)."""
    return (x[:, :, None] * y[:, None, :]).reshape(len(x), -1)


def sweep(
    chain,
    inputs,
    objective,
    weight,
    alpha,
    *,
    two_site=False,
    max_bond_dim=16,
    truncation_tol=1e-3,
    max_sweeps=10,
    tol=1e-3,
    n_newton=3,
    n_cg=20,
    on_sweep=None,
):
    """Sweep from the output to both ends and back until the penalised loss falls by less than
    `tol` of itself.

    Parameters
    ----------
    chain : Chain
        For weighted inputs phi / sqrt(g), in which the ridge is the plain squared norm.
    inputs : pair of arrays (p, N, d)
        Site vectors of the two arms, each from the end of the chain towards the output.
    objective : see `solvers.objectives`, on N rows
    weight : array (N,)
    alpha : float
    two_site : bool
        Update pairs of neighbours and split them; else single cores, at fixed bond dimensions.
    max_bond_dim : int
    truncation_tol : float
        Of two-site updates: singular values whose squares sum to less than its square, relative to
        all of them, are cut off.
    on_sweep : callable, default=None
        `on_sweep(sweep, loss, chain) -> bool`, True to stop.

    Returns
    -------
    chain : Chain, both arms isometries
    losses : array, penalised loss after every sweep, the first entry before them
    """
    dtype = chain.readout.dtype
    strength = float(2 * alpha * objective.ridge_share)
    problem = _Problem(objective, np.asarray(weight, dtype), strength, n_newton, n_cg)
    split = Split(max_bond_dim, truncation_tol if two_site else None)
    one_arm = _two_site_pass if two_site else _one_site_pass
    arms = [_Arm(cores, x) for cores, x in zip(chain.arms, inputs, strict=True)]
    readout = np.einsum("kl,lcr,ur->kcu", arms[0].surplus, chain.readout, arms[1].surplus)
    readout, loss = _update_readout(readout, arms, problem)
    losses = [loss]
    for count in range(max_sweeps):
        readout = one_arm(arms[0], arms[1].reached[-1], readout, problem, split)
        # The same from the other side: the output is in the middle.
        mirrored = one_arm(arms[1], arms[0].reached[-1], readout.T, problem, split)
        readout, loss = _update_readout(mirrored.T, arms, problem)
        losses.append(loss)
        found = Chain(tuple(arm.cores for arm in arms), readout)
        done = losses[-2] - loss < tol * abs(loss)
        if on_sweep is not None:
            done |= bool(on_sweep(count + 1, loss, found))
        if done:
            break
    return Chain(tuple(arm.cores for arm in arms), readout), np.array(losses)


def _update_readout(readout, arms, problem):
    l, c, r = readout.shape
    site = _Output(arms[0].reached[-1], arms[1].reached[-1])
    A, loss = minimize_locally(site, readout.reshape(l, c * r), problem)
    return A.reshape(l, c, r), loss


class Split(NamedTuple):
    """How a matrix is parted in two, one of them an isometry. Without a tolerance the rank stays
    as it is."""

    max_rank: int
    tol: float | None

    def left(self, matrix):
        """matrix (k, q) -> isometry (k, r), rest (r, q)"""
        if self.tol is None:
            return np.linalg.qr(matrix)
        U, s, Vt = np.linalg.svd(matrix, full_matrices=False)
        lost = np.cumsum(s[::-1] ** 2)[::-1]
        r = max(1, min(int(np.sum(lost > self.tol**2 * lost[0])), self.max_rank))
        return U[:, :r], s[:r, None] * Vt[:r]

    def right(self, matrix):
        """matrix (k, q) -> rest (k, r), isometry (r, q)"""
        isometry, rest = self.left(matrix.T)
        return rest.T, isometry.T


class _Arm:
    """One arm: its cores (D, d, D'), the site vectors x (p, N + 1, d) with those of the constant in
    the last row, `reached[k]` (N + 1, D): what the cores before k make of every row, `far[k]`
    (N + 1, D', c): what is beyond core k up to the scores, where it is known.
    """

    def __init__(self, cores, x):
        constant = np.zeros((len(x), 1, x.shape[2]), x.dtype)
        constant[:, :, 0] = 1
        self.x = np.concatenate([x, constant], axis=1)
        self.cores, self.far = list(cores), [None] * len(cores)
        self.reached = [np.ones((self.x.shape[1], 1), x.dtype)]
        # To isometries; what is left over belongs to the readout.
        R = np.ones((1, 1), x.dtype)
        for k, core in enumerate(cores):
            core = np.tensordot(R, core, 1)
            Q, R = np.linalg.qr(core.reshape(-1, core.shape[2]))
            self.reached.append(None)
            self.settle_left(k, Q)
        self.surplus = R

    def features(self, k):
        """What core k is multiplied by, row by row: (N + 1, D d)"""
        return outer(self.reached[k], self.x[k])

    def matrix(self, k):
        return self.cores[k].reshape(-1, self.cores[k].shape[2])

    def settle_left(self, k, Q):
        """Core k becomes an isometry from the end: Q (D d, r)."""
        self.cores[k] = Q.reshape(-1, self.x.shape[2], Q.shape[1])
        self.reached[k + 1] = self.features(k) @ Q

    def settle_right(self, k, Q):
        """Core k becomes an isometry from the output: Q (r, d D')."""
        self.cores[k] = Q.reshape(len(Q), self.x.shape[2], -1)
        self.far[k - 1] = _absorb(self.cores[k], self.x[k], self.far[k])


def _absorb(core, x, far):
    """sum_sr core_lsr x_s far_rc: core (l, d, r), x (N, d), far (N, r, c) -> (N, l, c)"""
    N, r, c = far.shape
    ahead = (x[:, :, None, None] * far[:, None]).reshape(N, -1, c)
    if c == 1:
        return (ahead[:, :, 0] @ core.reshape(len(core), -1).T)[:, :, None]
    return np.matmul(core.reshape(len(core), -1), ahead)


def _one_site_pass(arm, other, readout, problem, split):
    """From the output to the end of the arm and back, every core updated on both ways.

    other (N + 1, r): what the other arm makes of every row; readout (l, c, r) -> readout
    """
    p, (_, c, r) = len(arm.cores), readout.shape
    if p == 0:
        return readout
    rest, Q = split.right(readout.reshape(len(readout), -1))
    output = Q.reshape(-1, c, r)
    arm.far[p - 1] = np.einsum("lcr,nr->nlc", output, other, optimize=True)
    for k in range(p - 1, -1, -1):
        arm.cores[k] = np.tensordot(arm.cores[k], rest, 1)
        A, _ = minimize_locally(_Inner(arm.features(k), arm.far[k]), arm.matrix(k), problem)
        arm.cores[k] = A.reshape(arm.cores[k].shape)
        if k > 0:
            rest, Q = split.right(A.reshape(len(arm.cores[k]), -1))
            arm.settle_right(k, Q)
    for k in range(p):
        if k > 0:
            arm.cores[k] = np.tensordot(rest, arm.cores[k], 1)
            A, _ = minimize_locally(_Inner(arm.features(k), arm.far[k]), arm.matrix(k), problem)
        Q, rest = split.left(A)
        arm.settle_left(k, Q)
    return np.tensordot(rest, output, 1)


def _two_site_pass(arm, other, readout, problem, split):
    """As `_one_site_pass`, with pairs of neighbours: the first and the last of them is the core
    next to the output with the readout."""
    p, (_, c, r) = len(arm.cores), readout.shape
    if p == 0:
        return readout

    def with_readout(readout):
        merged = arm.matrix(p - 1) @ readout.reshape(len(readout), -1)
        return minimize_locally(_Output(arm.features(p - 1), other), merged, problem)[0]

    def pair(k):
        """Cores k and k + 1."""
        merged = arm.matrix(k) @ arm.cores[k + 1].reshape(len(arm.cores[k + 1]), -1)
        far = arm.far[k + 1]
        ahead = arm.x[k + 1][:, :, None, None] * far[:, None]
        site = _Inner(arm.features(k), ahead.reshape(len(far), -1, far.shape[2]))
        return minimize_locally(site, merged, problem)[0]

    rest, Q = split.right(with_readout(readout))
    output = Q.reshape(-1, c, r)
    arm.cores[p - 1] = rest.reshape(len(arm.cores[p - 1]), arm.x.shape[2], -1)
    arm.far[p - 1] = np.einsum("lcr,nr->nlc", output, other, optimize=True)
    for k in range(p - 2, -1, -1):
        rest, Q = split.right(pair(k))
        arm.settle_right(k + 1, Q)
        arm.cores[k] = rest.reshape(len(arm.cores[k]), arm.x.shape[2], -1)
    for k in range(p - 1):
        Q, rest = split.left(pair(k))
        arm.settle_left(k, Q)
        arm.cores[k + 1] = rest.reshape(len(rest), arm.x.shape[2], -1)
    Q, rest = split.left(with_readout(output))
    arm.settle_left(p - 1, Q)
    return rest.reshape(len(rest), c, r)
