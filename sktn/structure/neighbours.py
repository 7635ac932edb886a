"""The last phase of a search: every move that a rival could make, until none makes it smaller.

Moves change one or two bonds: one narrower by one or two or gone, a transfer of one or two
components from one bond to another, an edge added for one dropped. What a move does to the error is
known beforehand, all other cores fixed: removals have a closed form, and the slices that take over
what was removed are found against what is then missing. So few are fitted, those that promise most
first.
"""

from dataclasses import dataclass
from itertools import combinations

import numpy as np

from sktn.networks import graph
from sktn.solvers.als import update
from sktn.structure import moves

__all__ = ["descend"]

# Failed trials after which the descent ends.
_PATIENCE = 16
# Failed trials that are fitted on, if their squared error is so near to the target.
_SECOND_LOOKS, _NEARLY = 4, 1.05
# Parameters times entries of a fit that takes some seconds: there a quarter of the trials.
_DEAR = 1e10
# The same up to which structures are fitted from random starts as well, and how many failed ones.
_QUICK, _AFRESH = 1e9, 8
# Components removed (None: all but one) and slices added elsewhere.
_TRANSFERS = ((1, 1), (1, 2), (None, 1), (None, 2))
# Transfers that are priced, of the narrowed networks that miss least: all of them up to order five,
# and as much time at higher orders, where a network has some thousand; fewer where a price is dear.
_PRICED, _FEW_PRICED = 300, 60


@dataclass(frozen=True)
class _Move:
    """A network after a move, not yet refitted, and its squared error.

    bond that it changes, cores N arrays, error, saved parameters, solve the core to begin with
    """

    bond: tuple
    cores: list
    error: float
    saved: int
    solve: int


def _narrowed(problem, state):
    """Networks with one bond narrower, its other core solved again.

    -> iterator of (bond, components removed or None for all but one, _Move)
    """
    gauges, options = moves.removals(state.cores, problem.sizes)
    for bond in gauges:
        own = sorted((o for o in options if o.bond == bond), key=lambda o: o.cost)
        for count in (1, 2, None):
            n = len(own) - 1 if count is None else count
            if n >= len(own) or (count is None and n <= 2) or problem.expired():
                continue
            some = [o.component for o in own[:n]]
            cores = moves.remove_component(state.cores, bond, some, gauges[bond])
            k = own[0].solve
            cores[k], error, _ = update(problem.X, cores, k, problem.norm2, problem.ridge)
            saved = n * own[0].saved
            yield bond, None if n == len(own) - 1 else n, _Move(bond, cores, error, saved, k)


def _moves(problem, state):
    """All moves that make the network smaller, the most promising first."""
    order = len(state.cores)
    left = _PRICED if state.size * problem.X.size < _QUICK else _FEW_PRICED
    bonds = [(i, j) for i in range(order) for j in range(i + 1, order)]
    narrowed = [n for n in _narrowed(problem, state) if np.isfinite(n[2].error)]
    narrowed.sort(key=lambda n: _missing(problem, n[2]))
    found = [less for _, _, less in narrowed]
    for bond, count, less in narrowed:
        widths = [w for n, w in _TRANSFERS if n == count]
        if not widths:
            continue
        residual = problem.X - graph.to_dense(less.cores)
        R = graph.bond_dims(less.cores)
        for width in widths:
            others = [b for b in bonds if b != bond and _saved(problem, state, R, b, width) > 0]
            others = others[:left]
            left -= len(others)
            for other in others:
                if problem.expired():
                    break
                with np.errstate(over="ignore", invalid="ignore"):
                    first, second, gain = moves.growth(
                        residual, less.cores, *other, width, problem.rng
                    )
                if np.isfinite(gain):
                    cores = moves.append_slices(less.cores, *other, first, second)
                    saved = _saved(problem, state, R, other, width)
                    found.append(_Move(other, cores, less.error - gain, saved, less.solve))
    found.sort(key=lambda m: _missing(problem, m))
    return found


def _saved(problem, state, R, bond, width):
    """Parameters that a network with bonds R and one of them wider has less than the state."""
    wider = R.copy()
    wider[bond] = wider[bond[::-1]] = R[bond] + width
    return state.size - graph.n_parameters(problem.sizes, wider)


def _missing(problem, move):
    """What a move misses of the target per parameter saved: sweeps must make up for it."""
    return max(move.error - problem.target, 0.0) / move.saved, -move.saved


def descend(problem, state):
    """The first move that keeps the target, again and again, until none of the promising does.

    A few sweeps judge a trial; those that come nearest to the target without reaching it are then
    fitted on, which tells a slow fit from a failure.

    State that meets the target -> State that meets the target, never larger
    """
    best = state
    dear = best.size * problem.X.size >= _DEAR
    patience = _PATIENCE // 4 if dear else _PATIENCE
    while not problem.expired():
        smaller = _first_smaller(problem, best, patience)
        if smaller is None:
            break
        best = smaller
    return best


def _first_smaller(problem, best, patience):
    """A smaller network one move away that meets the target, or None."""
    failed = []
    for move in _moves(problem, best):
        if problem.expired() or len(failed) == patience:
            break
        if not problem.possible(graph.bond_dims(move.cores)):
            continue
        trial = problem.fit(move.cores, 12, tol=1e-4, first=move.solve)
        if problem.met(trial):
            problem.note("neighbour", trial, move.bond)
            return trial
        failed.append((trial.error, move.bond, trial))
    failed.sort(key=lambda item: item[0])
    for error, bond, trial in failed[:_SECOND_LOOKS]:
        if problem.expired() or error > _NEARLY * problem.target:
            break
        trial = problem.fit(trial.cores, 60, tol=1e-5)
        if problem.met(trial):
            problem.note("neighbour", trial, bond)
            return trial
    return None if best.size * problem.X.size >= _QUICK else _afresh(problem, best, failed)


def _afresh(problem, best, failed):
    """The structures of failed trials, and those with two modes exchanged, from random starts.

    A loop whose bonds have shared out what a tree could carry holds on to it: no warm start leads
    from one to the other.
    """
    R = graph.bond_dims(best.cores)
    tried = {graph.bond_dims(trial.cores).tobytes(): trial for _, _, trial in failed}
    structures = [graph.bond_dims(trial.cores) for trial in tried.values()][:_AFRESH]
    for i, j in combinations(range(len(R)), 2):
        swap = np.arange(len(R))
        swap[[i, j]] = j, i
        structures.append(R[np.ix_(swap, swap)])
    for structure in structures:
        if problem.expired():
            break
        if graph.n_parameters(problem.sizes, structure) >= best.size:
            continue
        if not problem.possible(structure):
            continue
        cores = graph.random_cores(problem.X.shape, structure, problem.rng, problem.X.dtype)
        trial = problem.fit(cores, 25, tol=1e-4)
        if problem.met(trial):
            problem.note("afresh", trial)
            return trial
    return None
