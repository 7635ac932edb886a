"""The last phase of a search: every move that a rival could make, until none makes it smaller.

Moves change one or two bonds: one narrower by one or two or gone, a transfer of one or two
components from one bond to another, an edge added for one dropped. What a move does to the error is
known beforehand, all other cores fixed: removals have a closed form, and the slices that take over
what was removed are found against what is then missing. Those that promise most are fitted, in a
race, since what is known beforehand tells little of where sweeps will end: good structures were
dismissed after twelve sweeps that meet the target after a hundred. Random starts see what no warm
one leads to.
"""

from dataclasses import dataclass

import numpy as np

from sktn.networks import graph
from sktn.solvers.als import update
from sktn.structure import moves
from sktn.structure.afresh import Structures

__all__ = ["Descent", "descend"]

# Networks that are fitted before the descent ends, and parameters times entries of all of them.
_CANDIDATES, _WORK = (4, 32), 1e9
# Sweeps of the last round of a race.
_LONGEST = 400
# Parameters times entries up to which structures are fitted from random starts as well, and races
# of random starts that fail, one after the other, before there are no more.
_QUICK, _PATIENCE = 1e9, 4
# One of so many stays in a race from round to round: of some thirty, those that won were among the
# first five after the first round, wherever it was looked at.
_STAYS = 4
# Components removed (None: all but one) and slices added elsewhere.
_TRANSFERS = ((1, 1), (1, 2), (None, 1), (None, 2))
# Transfers that are priced, of the narrowed networks that miss least: all of them up to order five,
# and as much time at higher orders, where a network has some thousand; fewer where a price is dear.
_PRICED, _FEW_PRICED = 300, 60


@dataclass(frozen=True)
class Descent:
    """What the last phase uses; each mechanism can be switched off.

    race whether moves compete over many sweeps, else all are judged by a few, random_starts whether
    there are any
    """

    race: bool = True
    random_starts: bool = True


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


def descend(problem, state, descent):
    """The first move that keeps the target, again and again, until none of the promising does.

    State that meets the target -> State that meets the target, never larger
    """
    best, structures = state, Structures(problem)
    while not problem.expired():
        smaller = _smaller(problem, best, descent, structures)
        if smaller is None:
            break
        best = smaller
    return best


def _smaller(problem, best, descent, structures):
    """A smaller network near by that meets the target, or None."""
    most = int(np.clip(_WORK / (best.size * problem.X.size), *_CANDIDATES))
    quick = best.size * problem.X.size < _QUICK
    few, longest = (6, _LONGEST) if descent.race else (12, 12)
    seen, runners = set(), []
    for move in _moves(problem, best):
        R = graph.bond_dims(move.cores)
        if len(runners) == most or problem.expired():
            break
        if R.tobytes() not in seen and problem.possible(R):
            seen.add(R.tobytes())
            runners.append((move.cores, move.solve, move.bond))
    trial, _ = _race(problem, runners, few, "neighbour", longest)
    # Above order six random starts begin as products, and end far above.
    if trial is not None or not (quick and descent.random_starts) or len(best.cores) > 6:
        return trial
    shape, dtype = problem.X.shape, problem.X.dtype
    for _ in range(_PATIENCE):
        chosen = structures.choose(best, most)
        drawn = [graph.random_cores(shape, R, problem.rng, dtype) for R in chosen]
        drawn = [(cores, None, None) for cores in drawn]
        trial, ended = _race(problem, drawn, 12, "afresh", longest)
        if trial is not None or not drawn:
            return trial
        for other in ended:
            structures.learn(graph.bond_dims(other.cores), other.error)
    return None


def _race(problem, runners, sweeps, name, longest=_LONGEST):
    """The first of several networks that a fit brings to the target, or None; and all others.

    All are fitted by a few sweeps, the best quarter by twice as many, and so on.
    That tells a slow fit from a failure, at the price of a few fits. What sweeps leave falls like
    one over their number, if not faster: twice as many bring less than the round before, and all
    that follow as much, so that who is further from the target is out.

    runners list of (cores, core to begin with or None, bond or None)
    -> State or None, list of State
    """
    before, out, ranked = [np.inf] * len(runners), [], []
    while runners and sweeps <= longest:
        ranked = []
        for (cores, first, bond), error in zip(runners, before, strict=True):
            if problem.expired():
                return None, []
            trial = problem.fit(cores, sweeps, tol=1e-5, first=first, give_up=False)
            if problem.met(trial):
                problem.note(name, trial, bond)
                return trial, []
            hopeful = trial.error - problem.target < error - trial.error
            (ranked if hopeful else out).append((trial, bond))
        ranked.sort(key=lambda runner: runner[0].error)
        few = -(-len(runners) // _STAYS)
        ranked, out = ranked[:few], out + ranked[few:]
        runners = [(trial.cores, None, bond) for trial, bond in ranked]
        before = [trial.error for trial, _ in ranked]
        sweeps *= 2
    return None, [trial for trial, _ in out + ranked]
