"""A chain from the convex limit: solve at unlimited bond dimension, compress, refit the readout.

1. `solvers.convex`: the exact minimiser as a sum of product states over landmark rows;
2. `networks.compression`: the nearest chain of bond dimension D, its arms isometries in the
   basis where the ridge J is the plain squared norm;
3. the readout again: with the arms fixed the problem is a ridge-penalised logistic regression in
   the products of left and right bond vectors, so what the truncation moved is repaired where the
   data feel it.
"""

from typing import NamedTuple

import numpy as np

from sktn.networks.rounding import compress
from sktn.solvers import convex, sweep
from sktn.tables.basis import embed
from sktn.tables.penalty import penalty_weights as penalty_weights

# Rows that are embedded at a time.
_BLOCK = 4096
# Numbers that site and bond vectors of a sweep may take (1 GB in float32).
_LARGEST_ENVIRONMENTS = 2**28


class Design(NamedTuple):
    """Features of rows in the convex limit.

    Z (N, r), V (m, r) from kernel values to features, landmarks a (m, n, d)
    """

    Z: np.ndarray
    V: np.ndarray
    landmarks: np.ndarray


def choose_landmarks(weight, max_landmarks, rng):
    """Indices of the rows that carry the expansion: all of positive weight, or a random choice."""
    rows = np.flatnonzero(weight > 0)
    if len(rows) > max_landmarks:
        rows = np.sort(rng.choice(rows, max_landmarks, replace=False))
    return rows


def make_design(basis, coords, g, landmarks):
    """coords (N, n, k), g (n, d), landmarks: row indices -> Design"""
    a = convex.weighted_inputs(embed(basis, coords[landmarks]), g)
    V, _ = convex.nystroem_map(convex.product_kernel(a, a))
    Z = np.empty((len(coords), V.shape[1]), a.dtype)
    for rows, phi in _embedded_blocks(basis, coords):
        np.matmul(convex.product_kernel(convex.weighted_inputs(phi, g), a), V, out=Z[rows])
    return Design(Z, V, a)


def _embedded_blocks(basis, coords):
    for start in range(0, len(coords), _BLOCK):
        rows = slice(start, start + _BLOCK)
        yield rows, embed(basis, coords[rows])


def search(design, objective, weight, folds, alphas, tol=1e-3, patience=2):
    """Out-of-fold scores along a path of strengths, all folds in one batch of problems.

    From the strongest to the weakest, each started at the one before. Once `patience` of them in
    turn are no better than the best so far, or one is worse by 2 %, the path is overfitting and
    ends: the rest, which would be the most expensive, keep the last scores and a loss of infinity.
    Squared losses give the whole path at once.

    objective on N rows, weight (N,), folds (N,) integers 0..F-1, alphas (A,)
    -> scores (A, N, c), mean losses (A,)
    """
    if objective.quadratic:
        return _search_quadratic(design, objective, weight, folds, alphas)
    rows = np.arange(len(weight))
    W = (folds[:, None] != np.arange(int(folds.max()) + 1)) * weight[:, None]
    scores = np.empty((len(alphas), len(rows), objective.n_scores), np.float32)
    losses = np.full(len(alphas), np.inf)
    start, order = None, np.argsort(-np.asarray(alphas), kind="stable")
    for step, i in enumerate(order):
        strengths = np.full(W.shape[1], alphas[i])
        B, b, F, _ = convex.solve(
            design.Z, objective, W, strengths, start=start, tol=tol, max_cg=20
        )
        start = B, b
        scores[i] = F[folds, rows]
        losses[i] = np.average(objective.values(scores[i]), weights=weight)
        stale = step >= patience and np.argmin(losses[order]) <= step - patience
        if stale or losses[i] > 1.02 * losses.min():
            scores[order[step + 1 :]] = scores[i]
            break
    return scores, losses


def _search_quadratic(design, objective, weight, folds, alphas):
    strengths = 2 * np.asarray(alphas, np.float64) * objective.ridge_share
    scores = np.empty((len(alphas), len(weight), objective.n_scores), np.float32)
    for k in range(int(folds.max()) + 1):
        held_out = folds == k
        held_in = np.where(held_out, 0, weight).astype(design.Z.dtype)
        B, b = convex.ridge_path(design.Z, objective.y, held_in, strengths)
        scores[:, held_out] = design.Z[held_out] @ B + b[:, None]
    return scores, np.average(objective.values(scores), weights=weight, axis=1)


def fit_chain(design, basis, coords, g, objective, weight, alpha, index, bond_dim, tol, rng):
    """The chain of bond dimension D from the convex limit.

    coords (N, n, k), g (n, d), objective on N rows, weight (N,), alpha (), index (h, 2)
    -> arms (h, 2, D, d, D) and readout (D, c, D) for inputs phi, the losses of every Newton step
       per unit of weight, the share of the squared norm that the truncation lost
    """
    W, strength = np.asarray(weight)[:, None], np.array([alpha])
    B, _, _, losses = convex.solve(design.Z, objective, W, strength, tol=tol)
    orders = sweep.arm_orders(index, len(g))
    terms = [np.ascontiguousarray(design.landmarks.transpose(1, 0, 2)[o]) for o in orders]
    left, right, readout = compress(*terms, design.V @ B[0], bond_dim, rng)
    norm = float(np.sum(B**2))
    kept = float(np.sum(readout**2) - np.sum(readout[0, :, 0] ** 2))

    D = bond_dim
    products = np.empty((len(coords), D * D), design.Z.dtype)
    for rows, phi in _embedded_blocks(basis, coords):
        a = convex.weighted_inputs(phi, g)
        l, r = _run(left, a, orders[0]), _run(right, a, orders[1])
        products[rows] = (l[:, :, None] * r[:, None, :]).reshape(len(a), -1)
    # The first is the constant 1: the intercept.
    used = np.flatnonzero(np.any(products[:, 1:] != 0, axis=0)) + 1
    R, r0, _, more = convex.solve(products[:, used], objective, W, strength, tol=tol)
    c = r0.shape[1]
    flat = np.zeros((D * D, c), design.Z.dtype)
    flat[0], flat[used] = r0[0], R[0]
    arms = np.zeros((len(index), 2, D, g.shape[1], D), design.Z.dtype)
    arms[:, :, np.arange(D), 0, np.arange(D)] = 1
    for t, (arm, order) in enumerate(((left, orders[0]), (right, orders[1]))):
        if len(order):
            arms[-len(order) :, t] = arm / np.sqrt(g[order])[:, None, :, None]
    history = np.array([loss[0] for loss in (*losses, *more)]) / np.sum(weight)
    lost = max(0.0, 1 - kept / norm) if norm > 0 else 0.0
    return arms, flat.reshape(D, D, c).transpose(0, 2, 1), history, lost


def sweep_chain(network, basis, coords, g, objective, weight, alpha, bond_dim, rng, **settings):
    """Sweeps (`solvers.sweep`) from a network. Rows whose site and bond vectors do not fit memory
    take turns: a random choice of them for every sweep.

    coords (N, n, k), g (n, d), objective on N rows, weight (N,), alpha (), settings: those of
    `sweep.sweep` -> network, penalised loss per unit of weight after every sweep
    """
    index = network["index"]
    chain = sweep.from_network(network, g)
    rows = np.flatnonzero(weight > 0)
    c = network["readout"].shape[1]
    limit = max(64, _LARGEST_ENVIRONMENTS // (g.size + len(index) * bond_dim * (2 + c)))
    settings |= {"max_bond_dim": bond_dim}

    def run(chain, rows, alpha, **settings):
        return sweep.sweep(
            chain,
            arm_inputs(basis, coords[rows], g, index),
            objective.take(rows),
            weight[rows],
            alpha,
            **settings,
        )

    total = float(weight.sum())
    if len(rows) <= limit:
        chain, losses = run(chain, rows, alpha, **settings)
        return sweep.to_network(chain, index, g, bond_dim), losses / total
    losses = []
    for _ in range(settings.pop("max_sweeps")):
        batch = np.sort(rng.choice(rows, limit, replace=False))
        share = float(weight[batch].sum()) / total
        chain, curve = run(chain, batch, alpha * share, max_sweeps=1, **settings)
        losses.append(curve[-1] / (share * total))
    return sweep.to_network(chain, index, g, bond_dim), np.array(losses)


def arm_inputs(basis, coords, g, index):
    """Weighted site vectors of the two arms, (p, N, d) each: what sweeps work on."""
    phi = np.concatenate(
        [convex.weighted_inputs(phi, g) for _, phi in _embedded_blocks(basis, coords)]
    ).transpose(1, 0, 2)
    return [np.ascontiguousarray(phi[order]) for order in sweep.arm_orders(index, len(g))]


def search_chains(
    design, basis, coords, g, objective, weight, folds, alphas, index, bond_dim, limit, rng
):
    """As :func:`search`, with chains of a bond dimension: each fold's starts at its convex limit
    for the first strength and goes on from strength to strength by sweeps. Ends when a strength is
    worse than the one before, or than the mean loss `limit`.

    alphas (A,), strongest first -> scores (A, N, c), mean losses (A,), infinite beyond the end
    """
    inputs = arm_inputs(basis, coords, g, index)
    parts = []
    for k in range(int(folds.max()) + 1):
        held_in = np.where(folds == k, 0, weight)
        arms, readout, _, _ = fit_chain(
            design, basis, coords, g, objective, held_in, alphas[0], index, bond_dim, 1e-4, rng
        )
        network = {"arms": arms, "readout": readout, "index": index}
        parts.append((np.flatnonzero(held_in), folds == k, sweep.from_network(network, g)))
    scores = np.empty((len(alphas), len(weight), objective.n_scores), np.float32)
    losses = np.full(len(alphas), np.inf)
    for i, alpha in enumerate(alphas):
        for k, (rows, held_out, chain) in enumerate(parts):
            chain, _ = sweep.sweep(
                chain,
                [x[:, rows] for x in inputs],
                objective.take(rows),
                weight[rows],
                alpha,
                max_bond_dim=bond_dim,
                max_sweeps=3,
            )
            parts[k] = rows, held_out, chain
            scores[i, held_out] = sweep.scores(chain, [x[:, held_out] for x in inputs])
        losses[i] = np.average(objective.values(scores[i]), weights=weight)
        if losses[i] > min(limit, losses.min()):
            scores[i:] = scores[i]
            break
    return scores, losses


def _run(arm, a, order):
    """Bond vectors at the end of an arm: arm (p, D, d, D), a (b, n, d) -> (b, D)"""
    state = np.zeros((len(a), arm.shape[1]), a.dtype)
    state[:, 0] = 1
    for core, i in zip(arm, order, strict=True):
        pairs = (state[:, :, None] * a[:, i, None, :]).reshape(len(a), -1)
        state = pairs @ core.reshape(-1, core.shape[2])
    return state
