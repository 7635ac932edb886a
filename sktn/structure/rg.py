"""The renormalization-group structure search: coarse to fine, expand, gate, compress, exchange."""

from dataclasses import dataclass

import numpy as np

from sktn.networks import graph
from sktn.solvers.als import Fit
from sktn.structure import flow, gates, scales, tomography, tucker
from sktn.structure.fixed import tensor_train

__all__ = ["Settings", "search"]


@dataclass(frozen=True)
class Settings:
    """What the search uses; each mechanism can be switched off.

    n_scales int, ordered modes tuple, starts tuple of names, effort: exchange cycles
    """

    n_scales: int = 2
    ordered: tuple = ()
    reduction: bool = True
    tomography: bool = True
    gates: bool = True
    information: bool = True
    expansion: str = "residual"
    cycles: int = 2
    reduction_share: float = 0.01


def search(X, target, rng, settings, budget=None, callback=None):
    """Smallest network found with ||X - TN|| <= target ||X||.

    X (I_1, .., I_N) of norm 1, target in (0, 1] -> cores, history
    """
    log = []
    start = None
    grid = scales.levels(X.shape, settings.ordered, settings.n_scales)
    for level, halvings in enumerate(grid):
        scale = len(grid) - 1 - level
        data = X if scale == 0 else scales.coarsen(X, halvings)
        norm = float(np.linalg.norm(data))
        if norm == 0.0:
            continue
        if start is not None:
            start = [
                scales.interpolate(core, k, data.shape[k]).astype(data.dtype)
                for k, core in enumerate(start)
            ]
        start = _one_scale(
            data / norm, X.shape, target, rng, settings, start, scale, log, budget, callback
        )
    return start, log


def _one_scale(X, sizes, target, rng, settings, lifted, scale, log, budget, callback):
    share = settings.reduction_share if settings.reduction else 0.0
    total = float(np.vdot(X, X))
    core, factors = tucker.reduce(X, share * target**2 * total)
    outside = max(total - float(np.vdot(core, core)), 0.0)
    room = max(target**2 * total - outside, 0.0)
    dtype = X.dtype
    if target >= 3e-3 and core.size > 20000:
        # Half the memory traffic; met targets are verified against the residual itself.
        core, dtype = core.astype(np.float32), np.float32
    problem = flow.Problem(
        core, tuple(sizes), room, rng, budget=budget, scale=scale, log=log, callback=callback
    )
    starts = []
    if settings.tomography:
        found = _from_tomography(problem, rng, dtype)
        if found is not None:
            starts.append(found)
    if lifted is not None and not starts:
        cores = [c.astype(dtype) for c in tucker.lift(lifted, factors)]
        starts.append(problem.fit(cores, 20, give_up=False))
        problem.note("lift", starts[-1])
    if not any(problem.met(state) for state in starts):
        starts.append(_uniform(problem, rng, dtype))
    states = []
    for state in starts:
        state = flow.expand(problem, state, limit=2 * core.size)
        if problem.met(state):
            states.append(state)
    if not states:
        states = [_chain(problem, core, dtype)]
    best = min(states, key=lambda s: (s.size, s.error))
    problem.note("start", best)
    if settings.gates:
        best = gates.anneal(problem, best)
    if settings.information:
        best = flow.compress(problem, best, sweeps=25)
    if scale == 0 and settings.cycles:
        best = flow.exchange(problem, best, cycles=settings.cycles, sweeps=25)
    return tucker.expand([c.astype(X.dtype) for c in best.cores], factors)


def _uniform(problem, rng, dtype):
    """A complete graph of equal bonds, the fewest that come near the target.

    Greedy growth from rank one builds trees and cannot leave them; on a complete graph every bond
    is there to be weighed against the others.
    """
    shape = problem.X.shape
    last = None
    for r in range(1, 9):
        R = np.full((len(shape), len(shape)), r)
        for k, size in enumerate(problem.sizes):
            R[k] = np.minimum(R[k], max(size - 1, 1))
            R[:, k] = R[k]
        np.fill_diagonal(R, 1)
        if last is not None and (
            graph.n_parameters(problem.sizes, R) > problem.X.size or R.prod(axis=1).max() > 4000
        ):
            break
        cores = graph.random_cores(shape, R, rng, dtype)
        last = problem.fit(cores, 40, tol=3e-3, give_up=False)
        problem.note("uniform", last)
        if last.error <= 1.5 * problem.target:
            break
    return last


def _chain(problem, core, dtype):
    cores = [c.astype(dtype) for c in tensor_train(core, problem.target)]
    return problem.state(Fit(cores, np.inf, 0))


def _from_tomography(problem, rng, dtype, tries=6, restarts=3):
    """The cheapest bond matrix read off the unfoldings that ALS confirms.

    Spectra without a gap do not tell a rank; then the estimate is no more than a guess at a start,
    and the complete graph is a better one.

    -> State or None
    """
    X = problem.X
    shape = X.shape
    measured = tomography.spectra(X)
    subsets = [s for s, _ in measured]
    least = [tomography.epsilon_rank(v, problem.target) for _, v in measured]
    wide, gaps = zip(*(tomography.gap_rank(v, problem.target) for _, v in measured), strict=True)
    cuts = tomography.Cuts(problem.sizes, subsets, least)
    clear = np.quantile(gaps, 0.1) > 1.5
    best, limit = None, np.inf
    for ranks in dict.fromkeys((tuple(wide), tuple(least))):
        seed = np.maximum(1, np.rint(cuts.estimate(ranks))).astype(int)
        explained = np.array_equal(np.rint(np.exp(cuts.direct @ np.log(seed))), ranks)
        if not (explained or clear):
            continue
        chosen = [tuple(seed)] if explained else []
        chosen += [r for _, r in tomography.candidates(cuts, problem.sizes, seed)]
        chosen = [r for r in dict.fromkeys(chosen) if cuts.parameters(r) < limit]
        for n, candidate in enumerate(chosen[:tries]):
            R = cuts.matrix(candidate)
            if cuts.parameters(candidate) >= limit or R.prod(axis=1).max() > 2000:
                continue
            for _ in range(restarts if explained and n == 0 else 1):
                state = problem.fit(graph.random_cores(shape, R, rng, dtype), 100, tol=1e-4)
                if problem.met(state):
                    break
            if problem.met(state):
                best, limit = state, state.size
                problem.note("tomography", state)
                break
    return best
