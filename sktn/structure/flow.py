"""One scale of the renormalization flow: expansion, compression and exchange on a fixed tensor."""

from dataclasses import dataclass, field

import numpy as np

from sktn.networks import graph
from sktn.solvers.als import als, balance, squared_error
from sktn.structure import moves

__all__ = ["Problem", "State", "compress", "exchange", "expand"]


@dataclass
class Problem:
    """A tensor, what a network for it costs, and what it must reach.

    X (n_1, .., n_N), sizes (N,) mode lengths that are paid for, target squared error,
    budget most parameters or None
    """

    X: np.ndarray
    sizes: tuple
    target: float
    rng: np.random.Generator
    budget: int | None = None
    scale: int = 0
    log: list = field(default_factory=list)
    callback: object = None
    norm2: float = 0.0
    ridge: float = 1e-9

    def __post_init__(self):
        self.norm2 = float(np.vdot(self.X, self.X).astype(np.float64))

    def fit(self, cores, sweeps, tol=1e-3, first=None, target=None, give_up=True):
        order = list(range(len(cores)))
        if first is not None:
            order = [first] + [k for k in order if k != first]
        return self.state(
            als(
                self.X,
                cores,
                max_sweeps=sweeps,
                tol=tol,
                target=self.target if target is None else target,
                norm2=self.norm2,
                order=order,
                give_up=give_up,
                ridge=self.ridge,
            )
        )

    def state(self, fit):
        error = fit.error if np.isfinite(fit.error) else np.inf
        if error <= 1.02 * self.target:
            # Decisions rest on the error itself, not on a difference of large numbers.
            error = squared_error(self.X, fit.cores)
        return State(fit.cores, error, graph.n_parameters(self.sizes, graph.bond_dims(fit.cores)))

    def note(self, action, state, bond=None):
        entry = {
            "scale": self.scale,
            "action": action,
            "bond": bond,
            "relative_error": float(np.sqrt(max(state.error, 0.0) / max(self.norm2, 1e-300))),
            "n_parameters": state.size,
        }
        self.log.append(entry)
        if self.callback is not None:
            self.callback(entry)

    def met(self, state):
        return state.error <= self.target


@dataclass(frozen=True)
class State:
    """A fitted network: cores, squared error, number of parameters."""

    cores: list
    error: float
    size: int


def _bond_list(order):
    return [(i, j) for i in range(order) for j in range(i + 1, order)]


def _price(sizes, R, bond):
    """Parameters that one more component of a bond adds."""
    i, j = bond
    paid = graph.core_sizes(sizes, R)
    return int(paid[i] // R[i, j] + paid[j] // R[i, j])


def scored_growth(problem, state, fraction, bonds=None):
    """Slices for every bond with their error decrease per parameter, best first.

    Every bond is offered as many slices as fit the same share of the network's size.
    """
    residual = problem.X - graph.to_dense(state.cores)
    R = graph.bond_dims(state.cores)
    # Beyond the product of what the other side can carry a wider bond only adds redundancy.
    offers = []
    for bond in bonds or _bond_list(len(state.cores)):
        i, j = bond
        price = _price(problem.sizes, R, bond)
        width = int(np.clip(fraction * state.size // price, 1, R[i, j]))
        first, second, gain = moves.growth(residual, state.cores, i, j, width, problem.rng)
        offers.append((gain / (width * price), gain, bond, width, first, second))
    offers.sort(key=lambda offer: -offer[0])
    return offers


def expand(problem, state, *, fraction=0.08, sweeps=4, limit=None, max_steps=400):
    """Widen the bonds that buy most error per parameter until the target is met.

    State -> State (the target may be missed if ``limit`` parameters are reached)
    """
    steps = 0
    while not problem.met(state) and steps < max_steps:
        steps += 1
        offers = scored_growth(problem, state, fraction)
        if offers[0][1] <= 0.0:
            break
        cores, added, gained = state.cores, 0, 0.0
        for density, gain, bond, width, first, second in offers:
            i, j = bond
            touched = (
                cores[i].shape == state.cores[i].shape and cores[j].shape == state.cores[j].shape
            )
            if added and (
                density < 0.5 * offers[0][0] or added > fraction * state.size or not touched
            ):
                continue
            if state.error - gained <= problem.target:
                break
            cores = moves.append_slices(cores, i, j, first, second)
            added += width * _price(problem.sizes, graph.bond_dims(state.cores), bond)
            gained += gain
            problem_bond = bond
        size = graph.n_parameters(problem.sizes, graph.bond_dims(cores))
        if limit is not None and size > limit:
            break
        state = problem.fit(cores, sweeps, tol=3e-3, give_up=False)
        problem.note("expand", state, problem_bond)
    return state


def compress(problem, state, *, sweeps=12, patience=3, optimism=0.25, blocked=None):
    """Remove the components that cost least error per parameter while the target can be met again.

    A removal is tried if, at ``optimism`` times its closed-form cost, it would still fit: sweeps
    recover part of the cost. The search ends after ``patience`` failures in a row.

    State -> State that meets the target
    """
    blocked = set() if blocked is None else blocked
    failures = 0
    while failures < patience:
        gauges, options = moves.removals(state.cores, problem.sizes)
        options = [o for o in options if o.bond not in blocked]
        options.sort(key=lambda o: o.cost / o.saved)
        room = problem.target - state.error
        best = {}
        for option in options:
            best.setdefault(option.bond, option)
        tried = False
        for option in best.values():
            if state.error + optimism * option.cost > problem.target and failures + 1 < patience:
                if optimism * option.cost > 3.0 * problem.target:
                    continue
            several = _affordable(options, option, room)
            cores = moves.remove_component(state.cores, option.bond, several, gauges[option.bond])
            trial = problem.fit(cores, sweeps, tol=1e-4, first=option.solve)
            tried = True
            if problem.met(trial):
                problem.note("compress", trial, option.bond)
                state, failures = trial, 0
                break
            failures += 1
            blocked.add(option.bond)
            if failures >= patience:
                break
        if not tried or len(blocked) == len(best) + len(blocked):
            break
    return state


def _affordable(options, chosen, room):
    """Components of the chosen bond whose costs together fit well within the room."""
    own = sorted((o for o in options if o.bond == chosen.bond), key=lambda o: o.cost)
    several, spent = [own[0].component], own[0].cost
    for option in own[1:-1]:
        spent += option.cost
        if spent > 0.5 * room:
            break
        several.append(option.component)
    return several


def exchange(problem, state, *, cycles=10, fraction=0.05, sweeps=12, patience=3):
    """Grow one bond, prune others, keep what is smaller: cycles around the target.

    State that meets the target -> State that meets the target, never larger
    """
    best = state
    tabu = {}
    for cycle in range(cycles):
        offers = [o for o in scored_growth(problem, best, fraction) if tabu.get(o[2], -1) < cycle]
        if not offers:
            break
        _, _, (i, j), _, first, second = offers[0]
        cores = moves.append_slices(best.cores, i, j, first, second)
        trial = problem.fit(cores, sweeps, tol=1e-3, target=0.0)
        trial = compress(problem, trial, sweeps=sweeps, patience=patience, blocked=set())
        if trial.size < best.size:
            best = trial
            problem.note("exchange", best, (i, j))
        else:
            tabu[i, j] = cycle + len(offers)
    return best


def balanced(state):
    """The same state with equal core norms."""
    return State(balance(state.cores), state.error, state.size)
