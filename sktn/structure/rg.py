"""The structure search: starts off the spectra, expansion, compression, exchange, neighbours."""

from dataclasses import dataclass, field, replace
from itertools import chain

import numpy as np

from sktn.networks import graph
from sktn.solvers.als import Fit, squared_error
from sktn.structure import neighbours, readings, steps, tomography, trees, tucker
from sktn.structure.fixed import matrix, tensor_train

__all__ = ["Settings", "search"]

# Parameters times entries up to which starts without a tree are tried too (some 1 s each), and up
# to which exchanges are tried on other networks than the smallest, as near to it (some 5 s).
_QUICK = 1e9
_AFFORDABLE = 1e10
_RIVAL = 1.2
# Starts so much larger than a network that is known are not followed by further ones: what one
# start decides is a quarter of the size.
_HOPELESS = 1.5
# Trees that drop so many times the squared error allowed are starts: they grow, with loops.
_EXCESS = (1.0, 2.0, 4.0)
# Random complete graphs that are starts: what one draw decides, up to a quarter of the size on
# light fields, the best of three decides less.
_DRAWS = 3
# Networks whose neighbours are searched: the second where it is nearly as small as the first, since
# that phase is the dearest.
_FINALISTS, _EQUAL = 2, 1.03


@dataclass(frozen=True)
class Settings:
    """What the search uses; each mechanism can be switched off.

    cycles of exchange, ceiling parameters of a network that is known already: what ends far above
    it is not finished, gaps whether what was planted is read off first, stage "starts" leaves out
    the last phase, "finish" all before it, "trim" all but growth of the task's start and removals,
    "whole" none of it, descent what the last phase uses
    """

    reduction: bool = True
    tomography: bool = True
    information: bool = True
    cycles: int = 100
    reduction_share: float = 0.02
    ceiling: float = np.inf
    gaps: bool = True
    stage: str = "whole"
    descent: neighbours.Descent = field(default_factory=neighbours.Descent)


def search(task, settings, budget=None):
    """Smallest network found with ||X - TN|| <= target ||X||, or of least error within a budget.

    task with X (I_1, .., I_N) of norm 1 and target in (0, 1], budget most parameters -> cores
    """
    if task.X.ndim == 2:
        return matrix(task.X, task.target, budget)
    if settings.gaps and settings.stage != "trim" and budget is None:
        known, exact = read(task, settings)
        if exact:
            return known
        task = replace(task, known=known)
    whole = _whole(task, budget)
    problem, factors = _reduced(whole, settings)
    if budget is not None:
        best = _within_budget(problem, settings)
    else:
        begun, known = (_lifted(problem, cores, factors) for cores in (task.start, task.known))
        best = _to_target(problem, settings, begun, known)
    return _verified(whole, tucker.expand([c.astype(np.float64) for c in best.cores], factors))


def read(task, settings):
    """The network that the gaps of the spectra tell, if it meets the target.

    task with X (I_1, .., I_N) of norm 1 -> cores or None, whether no other can be much smaller
    """
    whole = _whole(task)
    problem, factors = _reduced(whole, settings)
    if task.X.ndim == 2 or not settings.tomography or problem.expired():
        return None, False
    X = problem.X.astype(np.float64)  # ALS alone tells whether a reading is confirmed.
    problem = replace(problem, X=X, deadline=problem.deadline.half())
    measured = _spectra(problem)
    found = readings.planted(problem, measured)
    if found is None:
        return None, False
    found = _pruned(problem, settings, found)
    cores = tucker.expand([c.astype(np.float64) for c in found.cores], factors)
    return _verified(whole, cores), _at_gaps(problem, measured)


def _at_gaps(problem, measured):
    """Whether the target asks for what was planted, no more and no less."""
    return readings.gapped(measured, problem.target) and readings.exact(problem, measured)


def _whole(task, budget=None):
    return steps.Problem(
        task.X,
        task.X.shape,
        task.target**2,
        task.rng,
        budget=budget,
        history=task.history,
        deadline=task.deadline,
    )


def _reduced(whole, settings):
    """The problem of the HOSVD core, without noise beyond the gaps of planted ranks.

    -> `steps.Problem`, factors N arrays
    """
    X, share = whole.X, settings.reduction_share if settings.reduction else 0.0
    core, factors = tucker.reduce(X, share * whole.target)
    outside = max(float(np.vdot(X, X) - np.vdot(core, core)), 0.0)
    dtype = np.float64
    if whole.target >= 1e-5 and core.size > 20000:
        # Half the memory traffic; met targets are verified against the residual itself.
        dtype = np.float32
    problem = replace(whole, X=core.astype(dtype), target=max(whole.target - outside, 0.0))
    if not settings.tomography or whole.budget is not None:
        return problem, factors
    compact, inner = readings.compacted(problem)
    if compact.X.size == core.size or not _at_gaps(compact, _spectra(compact)):
        return problem, factors
    return compact, [U @ V for U, V in zip(factors, inner, strict=True)]


def _lifted(problem, cores, factors):
    """A network of the tensor on its HOSVD core: State or None."""
    if cores is None:
        return None
    cores = [c.astype(problem.X.dtype) for c in tucker.lift(cores, factors)]
    return problem.state(Fit(cores, squared_error(problem.X, cores), 0))


def _verified(whole, cores):
    """The cores if they meet the target on the data; else refitted, grown, or TT-SVD."""
    if whole.budget is not None:
        return cores
    # A hair below: the target holds after rounding too.
    strict = replace(whole, target=whole.target * (1.0 - 1e-7))
    state = strict.state(Fit(cores, squared_error(strict.X, cores), 0))
    if not strict.met(state) and not strict.expired():
        state = strict.fit(state.cores, 50, tol=1e-6, give_up=False)
    if not strict.met(state):
        state = steps.expand(strict, state, limit=strict.X.size, fraction=0.01)
    if not strict.met(state):  # What singular values give needs no search, and no time.
        state = _direct(strict)
    if not strict.met(state):
        return tensor_train(strict.X, strict.target)
    return state.cores


def _to_target(problem, settings, begun, read):
    if settings.stage == "trim":
        return _pruned(problem, settings, begun)
    measured = _spectra(problem) if settings.tomography else []
    if settings.stage == "finish":
        problem = replace(problem, cuts=readings.needed(problem, measured))
        return _finished(problem, settings, [_pruned(problem, settings, begun)])
    starts = _tree_starts(problem, measured)
    first = next(starts, None)
    # The spectra's tree needs no fit: whatever the time, there is a network that meets the target.
    known = [state for state in (first, read) if state is not None and problem.met(state)]
    if problem.expired():
        return min(known or [_direct(problem)], key=_smaller)
    problem = replace(problem, cuts=readings.needed(problem, measured))
    results = list(known)
    if begun is not None:
        problem.note("fold", begun)
        results.append(_pruned(problem, settings, begun))
    for start in chain([first] if first is not None else [], starts):
        results.append(_pruned(problem, settings, start))
        if problem.expired() or min(results, key=_smaller).size > _HOPELESS * settings.ceiling:
            return min(results, key=_smaller)
    if begun is None:  # Those of a folded tensor begin as products, and end far above its trees.
        results += _loops(problem, settings, results)
    best = min(results, key=_smaller)
    if best.size > _RIVAL * settings.ceiling:
        return best
    return _finished(problem, settings, results)


def _loops(problem, settings, found):
    """Networks that did not begin as trees, where they cost little: a loop that a tree opened is
    not closed again.
    """
    results = []
    if not found or _quick(problem, found):
        limit = _HOPELESS * min((state.size for state in found), default=problem.X.size)
        grown = steps.greedy(problem, limit=limit)
        if problem.met(grown) or not found:
            results.append(_pruned(problem, settings, grown))
    # Above order six random starts begin as products, as the greedy one does.
    for draw in range(0 if problem.X.ndim > 6 else _DRAWS):
        if not _quick(problem, found + results) or (draw and problem.expired()):
            break
        results.append(_pruned(problem, settings, steps.widen(problem, _complete(problem))))
    return results


def _quick(problem, results):
    """Whether further starts cost little: as much as the smallest network so far lets expect."""
    smallest = min((state.size for state in results), default=0)
    return smallest * problem.X.size < _QUICK


def _finished(problem, settings, results):
    """The smallest network: exchanges on all that are near it, its neighbours at last.

    Halving: what is a fifth larger than the best is left, and after the exchanges all but two are.
    """
    different = {}
    for state in sorted(results, key=_smaller):
        different.setdefault(graph.bond_dims(state.cores).tobytes(), state)
    rivals = list(different.values())
    if rivals[0].size * problem.X.size >= _AFFORDABLE:
        rivals = rivals[:1]
    rivals = [state for state in rivals if state.size <= _RIVAL * rivals[0].size]
    rivals = [_traded(problem, settings, state) for state in rivals]
    if settings.stage == "starts":
        return min(rivals, key=_smaller)
    last = {}
    for state in sorted(rivals, key=_smaller):
        if state.size <= _EQUAL * min(rivals, key=_smaller).size:
            last.setdefault(graph.bond_dims(state.cores).tobytes(), state)
    done = [_settled(problem, settings, state) for state in list(last.values())[:_FINALISTS]]
    return min(done, key=_smaller)


def _settled(problem, settings, state):
    """Neighbours and exchanges in turn, until neither makes the network smaller."""
    while settings.cycles and not problem.expired():
        smaller = neighbours.descend(problem, state, settings.descent)
        if smaller is state:
            break
        state = _traded(problem, settings, smaller)
        if state is smaller:  # Its neighbours are those that were tried already.
            break
    return state


def _traded(problem, settings, state):
    return steps.exchange(problem, state, cycles=settings.cycles)


def _smaller(state):
    return state.size, state.error


def _spectra(problem):
    # The tail of a spectrum is some thousand values, and float32 rounds each at 1e-7 of all.
    exact = problem.target < 1e-3 * problem.norm2
    X = problem.X.astype(np.float64) if exact else problem.X
    return tomography.spectra(X, deadline=problem.deadline)


def _tree_starts(problem, measured):
    """The trees that the spectra price lowest, at the target and beyond it.

    -> iterator of State, empty where no spectra were measured
    """
    if not measured:
        return
    noise = 0.0
    if _at_gaps(problem, measured):
        # Every bond drops the same noise: it counts once, not for every bond.
        noise = max(readings.denoised(values, problem.target)[1] for _, values in measured)
    unfoldings = trees.Unfoldings(
        problem.X,
        measured,
        problem.deadline,
        (lambda values: readings.denoised(values, problem.target)[0]) if noise else np.asarray,
    )
    for excess in _EXCESS:
        R = trees.cheapest(unfoldings, problem.sizes, excess * problem.target - noise)
        if R is None or (problem.expired() and excess > _EXCESS[0]):
            return
        cores = trees.truncated(problem.X, R)
        state = problem.state(Fit(cores, squared_error(problem.X, cores), 0))
        problem.note("tree", state)
        yield state if problem.met(state) else problem.fit(cores, 12, give_up=False)


def _direct(problem):
    """What singular values give at once at the target: a tensor train, or the star of Tucker.

    The star keeps the tensor's core in its longest mode, so that even noise costs little more than
    its entries.
    """
    order, X = problem.X.ndim, problem.X
    chain = [c.astype(X.dtype) for c in tensor_train(X, problem.target)]
    hub = int(np.argmax(X.shape))
    R = np.ones((order, order), dtype=int)
    for subset, values in tomography.spectra(X, max_flops=0.0):
        if len(subset) == 1 and subset[0] != hub:
            keep = tomography.epsilon_rank(values, problem.target / order)
            R[hub, subset[0]] = R[subset[0], hub] = keep
    states = []
    for cores in (chain, trees.truncated(X, R)):
        states.append(problem.state(Fit(cores, squared_error(X, cores), 0)))
    met = [state for state in states if problem.met(state)]
    state = min(met or states[:1], key=_smaller)
    problem.note("direct", state)
    return state


def _pruned(problem, settings, start):
    """A network at the target, from a start below or above it, without what it can spare."""
    state = steps.expand(problem, start, limit=2 * problem.X.size)
    if not problem.met(state):
        state = _direct(problem)
    problem.note("start", state)
    if settings.information and not problem.expired():
        state = steps.compress(problem, state, sweeps=15)
    return state


def _within_budget(problem, settings):
    """Least error for at most ``budget`` parameters: grow to the budget, then trade bonds."""
    order = problem.X.ndim
    starts = [np.ones((order, order), dtype=int)]
    if order <= 6:
        starts += list(_complete_graphs(problem))
    starts = [R for R in starts if graph.n_parameters(problem.sizes, R) <= problem.budget]
    # The largest start that fits has seen every bond; rank one is the start that always fits.
    states = [_random(problem, R) for R in starts[-2:]]
    tree = None
    if settings.tomography:
        unfoldings = trees.Unfoldings(problem.X, _spectra(problem), problem.deadline)
        tree = trees.closest(unfoldings, problem.sizes, problem.budget)
    if tree is not None:
        states.append(problem.fit(trees.truncated(problem.X, tree), 20, give_up=False))
    states = [steps.expand(problem, s, limit=problem.budget) for s in states]
    states = [s for s in states if s.size <= problem.budget]
    best = min(states, key=lambda s: (s.error, s.size))
    problem.note("start", best)
    for _ in range(settings.cycles if settings.information else 0):
        trial = steps.expand(problem, steps.shrink(problem, best, 0.85), limit=problem.budget)
        trial = problem.fit(trial.cores, 40, tol=1e-4, give_up=False)
        if trial.error >= best.error or problem.expired():
            break
        best = trial
        problem.note("exchange", best)
    return problem.fit(best.cores, 100, tol=1e-5, give_up=False)


def _random(problem, R, sweeps=20):
    cores = graph.random_cores(problem.X.shape, R, problem.rng, problem.X.dtype)
    return problem.fit(cores, sweeps, tol=3e-3, give_up=False)


def _complete_graphs(problem, widest=8):
    """Complete graphs of equal bonds, capped at the length of the modes, while they stay small."""
    order = problem.X.ndim
    for r in range(2, widest + 1):
        R = np.full((order, order), r)
        for k, size in enumerate(problem.sizes):
            R[k] = np.minimum(R[k], max(size - 1, 1))
            R[:, k] = R[k]
        np.fill_diagonal(R, 1)
        width = R.prod(axis=1).max()
        if graph.n_parameters(problem.sizes, R) > problem.X.size or width > 4000:
            return
        yield R


def _complete(problem):
    """A small complete graph: greedy growth from rank one builds trees, and cannot leave them."""
    order = problem.X.ndim
    R = np.ones((order, order), dtype=int)
    if order <= 6:
        R = next(_complete_graphs(problem), R)
    state = _random(problem, R)
    problem.note("complete", state)
    return state
