"""A chain from the convex limit: solve at unlimited bond dimension, compress, refit the readout.

1. `solvers.convex`: the exact minimiser as a sum of product states over landmark rows;
2. `networks.rounding`: the nearest chain of bond dimension D, its arms isometries in the
   basis where the ridge J is the plain squared norm;
3. the readout again: with the arms fixed the problem is a ridge-penalised regression in
   the products of left and right bond vectors, so what the truncation moved is repaired where the
   data feel it.
"""

from dataclasses import replace

import numpy as np

from sktn.backend import executor_for, executor_of, get_config
from sktn.networks.linalg import outer
from sktn.networks.low_order import compress_low_order
from sktn.networks.mps import from_padded
from sktn.networks.rounding import compress
from sktn.solvers import convex, sweep
from sktn.solvers.newton import UNTOLD, Effort
from sktn.solvers.problem import Solution

# Of the convex limit of some landmarks, which leave out more than this share of the loss, and the
# compression more: the readout, which is refitted, makes up for it. On five tables of 1,250 to
# 4,000 rows chains of the same loss from half as many products as an exact limit takes.
_LIMIT_TOL = 1e-3
# A weaker strength, which a chain wants, may still gain from here: loss in that without a bound.
_HOPEFUL = 1.05
# Of `max_memory`: what site and bond vectors of a sweep may take.
_SHARE = 3 / 4


def fit_chain(problem, design, chain, rng, effort, stop=None):
    """The chain of bond dimension D from the convex limit.

    problem ChainProblem on N rows, design: its `convex.Design`, chain: (order (n,), output_site,
    bond_dim) -> Solution, its network for weighted site vectors, and the loss of the convex limit
    """
    order, output_site, bond_dim = chain
    W, strengths = problem.weight[None], np.array([problem.strength])
    rough = effort
    if len(design.landmarks) < np.count_nonzero(problem.weight > 0):
        rough = effort._replace(tol=max(effort.tol, _LIMIT_TOL), untold=UNTOLD)
    B, _, losses = convex.solve(design.Z, problem, W, strengths, rough, stop=stop)
    orders = order[:output_site], order[output_site:][::-1]
    sites = np.ascontiguousarray(design.landmarks.transpose(1, 0, 2))
    arms = [[sites[i] for i in o] for o in orders]
    beta = design.V @ B[0, :-1]
    if problem.max_order is None:
        left, right, readout = compress(*arms, beta, bond_dim, rng)
        allowed = np.ones((bond_dim, bond_dim), bool)
    else:
        arms = [sites[o] for o in orders]
        found = compress_low_order(*arms, beta, bond_dim, problem.max_order)
        left, right, readout, allowed = found
    norm = float((B[0, :-1] ** 2).sum())
    kept = float((readout**2).sum() - (readout[0, :, 0] ** 2).sum())

    run = executor_for(problem.n_rows * bond_dim**2)
    with run.precision(left.dtype):
        program, fixed = run.jit(_products), run.put((left, right, *orders))
        products = np.concatenate(
            [run.get(program(*fixed, run.put_rows(a))) for _, a in problem.blocks()]
        )
        # From what the compression left, its constant that of the solution.
        start = readout.transpose(0, 2, 1).reshape(bond_dim**2, -1).copy()
        start[0] = B[0, -1]
        flat, more = refit_readout(products, problem, effort, run, allowed.ravel(), start)
    arms = _padded_arms(left, right, bond_dim)
    readout = flat.reshape(bond_dim, bond_dim, -1).transpose(0, 2, 1)
    history = np.array([float(loss[0]) for loss in (*losses, *more)]) / problem.total_weight
    lost = max(0.0, 1 - kept / norm) if norm > 0 else 0.0
    solution = Solution([from_padded(arms, readout, order, output_site)], history, lost)
    return solution, float(losses[-1][0]) / problem.total_weight


def refit_readout(products, problem, effort, run, allowed=True, start=None):
    """The readout with everything else fixed: coefficients of products of bond vectors, the first
    of which is the constant 1. products (N, k), allowed (k,): those that have one, start (k, c)
    -> (k, c), losses: list of (1,)"""
    there = np.any(products != 0, axis=0) & allowed
    # The constant, whose coefficient is free, is the last column of a design.
    used = np.flatnonzero(there[1:]) + 1
    columns = np.append(used, 0)
    W, strengths = problem.weight[None], np.array([problem.strength])
    start = None if start is None else start[None, columns]
    features = run.put_rows(products[:, columns])
    R, _, losses = convex.solve(features, problem, W, strengths, effort, start)
    flat = np.zeros((products.shape[1], R.shape[2]), R.dtype)
    flat[columns] = R[0]
    return flat, losses


def _padded_arms(left, right, bond_dim):
    h, d = max(len(left), len(right)), left.shape[2] if len(left) else right.shape[2]
    arms = np.zeros((h, 2, bond_dim, d, bond_dim), left.dtype)
    for t, arm in enumerate((left, right)):
        arms[h - len(arm) :, t] = np.asarray(arm)
    return arms


def refine(solution, problem, options, rng, n_landmarks, stop=None):
    """Sweeps (`solvers.sweep`) from a solution whose network is for weighted site vectors, see
    :func:`refine_in_turns`."""
    network = solution.networks[0]
    bonds = network.bond_dims if not options.two_site else np.full(1, options.max_bond_dim)

    def run(network, part, options):
        return sweep.sweep(network, part.inputs(network.arm_orders), part, options, stop)

    longest = max(map(len, network.arms))
    limit = rows_that_fit(problem, int(bonds.max()), longest)
    return refine_in_turns(run, solution, problem, options, limit, rng, n_landmarks, stop)


def refine_in_turns(run, solution, problem, options, limit, rng, n_landmarks, stop):
    """Sweeps from a solution. Rows beyond `limit`, whose site and bond vectors do not fit memory,
    take turns: a random choice of them for every sweep; where the choice would be of fewer rows
    than carried the start, there is none.

    run: (network, problem on some rows, options) -> network, losses; n_landmarks: the rows that
    carried the start -> Solution, its losses those of the start and of every sweep; without a
    history of the start the first is that before sweeps
    """
    network = solution.networks[0]
    rows = np.flatnonzero(np.asarray(problem.weight) > 0)
    if limit < min(len(rows), n_landmarks):
        return solution
    if len(rows) <= limit:
        network, losses = run(network, problem.take(rows), options)
        losses = losses[min(len(solution.losses), 1) :] / problem.total_weight
    else:
        losses = []
        for _ in range(options.max_sweeps):
            part = problem.take(np.sort(rng.choice(rows, limit, replace=False)))
            share = part.total_weight / problem.total_weight
            part = part.with_alpha(problem.alpha * share)
            network, curve = run(network, part, options._replace(max_sweeps=1))
            losses.append(curve[-1] / part.total_weight)
            if stop is not None and stop():
                break
    losses = np.concatenate([solution.losses, np.asarray(losses)])
    return replace(solution, networks=[network], losses=losses)


def rows_that_fit(problem, bond_dim, longest):
    """Rows whose site and bond vectors a sweep may hold. What lies beyond a core, for every score,
    is held on one arm at a time, of `longest` sites at most."""
    per_row = problem.penalty.size + bond_dim * (2 * problem.n_sites + longest * problem.n_scores)
    return rows_in_memory(per_row, problem)


def rows_in_memory(per_row, problem):
    """Rows of so many numbers that a sweep may hold."""
    return int(_SHARE * get_config()["max_memory"] / (per_row * problem.dtype.itemsize))


def unweighted(network, problem):
    """The chain for site vectors phi from the one for phi / sqrt(g)."""
    return network.scaled(1 / problem.roots)


def search_chains(problems, designs, chain, folds, alphas, limits, rng):
    """As :func:`convex.search`, with chains of a bond dimension: the first fold's are fitted to
    strength after strength until one is worse than the one before, those of the others at its best,
    unless that is worse than the fold's limit.

    problems, designs: one or several, on the same rows; alphas (A,) or, for every design,
    (A, n_designs), the strongest first; limits (F,): losses of the folds without a bound
    -> scores (A, N, c), mean losses (A,), infinite of strengths that some fold was not fitted to
    """
    first, judged = problems[0], np.flatnonzero(folds >= 0)
    n_folds = int(folds.max()) + 1
    own = convex.design_of_folds(n_folds, len(designs))
    strengths = np.reshape(alphas, (len(alphas), -1))[:, own]

    order, output_site, _ = chain
    inputs = [
        problem.inputs((order[:output_site], order[output_site:][::-1])) for problem in problems
    ]

    def path(k, wanted):
        held_out, j = np.flatnonzero(folds == k), own[k]
        fold = problems[j], designs[j], inputs[j], chain, held_out
        return held_out, chain_path(*fold, strengths[wanted, k], rng)

    scores = np.zeros((len(alphas), first.n_rows, first.n_scores), np.float32)
    losses = np.full(len(alphas), np.inf)
    rows, tried = path(0, slice(None))
    found = until_worse(tried, _HOPEFUL * limits[0])
    best = int(np.argmin([loss for _, loss, _ in found]))
    if not found[best][1] <= limits[0]:
        return scores, losses
    scores[:, rows] = found[best][0]
    for k in range(1, n_folds):
        rows, tried = path(k, slice(best, best + 1))
        scores[:, rows] = next(tried)[0]
    losses[best] = first.take(judged).mean_loss(scores[best, judged])
    return scores, losses


def chain_path(problem, design, inputs, chain, held_out, alphas, rng, warm=False):
    """Chains of the rows that are not held out, for one strength after the other, each after one
    sweep, which is as good as several: from its own convex limit; or, `warm`, where the design does
    not reach what rows say, from the chain before, the first of which is the convex limit without a
    sweep.

    inputs: of the problem, in the order of the chain; held_out (m,) rows, alphas (A,)
    -> generator of scores (m, c) of these rows, their mean loss, Solution for weighted site
    vectors: A of them, warm A + 1
    """
    weight = np.asarray(problem.weight).copy()
    weight[held_out] = 0
    rows, judged = np.flatnonzero(weight), problem.take(held_out)
    options = sweep.SweepOptions(max_bond_dim=chain[-1], max_sweeps=1)
    if not warm:
        # One rough visit to every core is enough to tell strengths and designs apart.
        options = options._replace(effort=sweep.ROUGH_EFFORT, outward=False)
    held_in, left_out = ([x[:, part] for x in inputs] for part in (rows, held_out))

    def told(solution):
        found = sweep.scores(solution.networks[0], left_out)
        return found, float(judged.mean_loss(found)), solution

    solution = None
    for alpha in alphas:
        if solution is None or not warm:
            whole = replace(problem, weight=weight, alpha=alpha)
            solution, _ = fit_chain(whole, design, chain, rng, Effort(tol=1e-4))
            if warm:
                yield told(solution)
        part = problem.take(rows).with_alpha(alpha)
        network, _ = sweep.sweep(solution.networks[0], held_in, part, options)
        solution = replace(solution, networks=[network])
        yield told(solution)


def until_worse(path, limit=np.inf):
    """What :func:`chain_path` gives until a loss is larger than the one before, or than a limit."""
    found = []
    for scores, loss, solution in path:
        before = min((other for _, other, _ in found), default=limit)
        found.append((scores, loss, solution))
        if not loss <= min(limit, before):
            break
    return found


def _products(left, right, left_order, right_order, a):
    """All products of left and right bond vectors: a (b, n, d) -> (b, D^2)"""
    return outer(_run(left, a, left_order), _run(right, a, right_order))


def _run(arm, a, order):
    """Bond vectors at the end of an arm: arm (p, D, d, D), a (b, n, d) -> (b, D)"""
    run = executor_of(a)
    state = run.xp.zeros((len(a), arm.shape[1]), a.dtype)
    state = run.set_at(state, (slice(None), 0), 1)

    def absorb(state, site):
        core, i = site
        return outer(state, a[:, i]) @ core.reshape(-1, core.shape[2]), None

    return run.scan(absorb, state, (arm, order))[0]
