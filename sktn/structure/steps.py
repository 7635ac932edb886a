"""The steps of the search: expansion, compression and exchange of bonds."""

from dataclasses import dataclass, replace

import numpy as np

from sktn.networks import graph, normal
from sktn.solvers.als import Fit, Stop, als, squared_error
from sktn.solvers.deadline import NEVER, Deadline
from sktn.solvers.quasi_newton import joint
from sktn.structure import moves
from sktn.structure.evaluate import padded

__all__ = ["Problem", "State", "compress", "exchange", "expand", "greedy", "shrink", "widen"]

# Flops of a normal matrix above which solving its core alone costs more than it is worth.
_DEAR = 1.5e10
# Width of a normal matrix that takes 128 MiB and seconds: networks with such cores, products that
# meet the target whatever it takes, are left as they are.
_WIDEST = 4000
# Bonds whose growth is tried in an exchange, the most promising ones.
_OFFERS = 6


@dataclass
class Problem:
    """A tensor, what a network for it costs, and what it must reach.

    X (n_1, .., n_N), sizes (N,) mode lengths that are paid for, target squared error,
    budget most parameters or None, cuts the ranks that the target needs or None
    """

    X: np.ndarray
    sizes: tuple
    target: float
    rng: np.random.Generator
    budget: int | None = None
    history: object = None
    deadline: Deadline = NEVER
    cuts: object = None
    norm2: float = 0.0
    ridge: float = 1e-9

    def __post_init__(self):
        self.norm2 = max(float(np.vdot(self.X, self.X).astype(np.float64)), 1e-300)
        # What rounding alone leaves cannot be undercut.
        self.target = max(self.target, np.finfo(np.float64).eps ** 2 * self.norm2)

    def fit(self, cores, sweeps, tol=1e-3, first=None, target=None, give_up=True):
        order = list(range(len(cores)))
        if first is not None:
            order = [first] + [k for k in order if k != first]
        target = self.target if target is None else target
        if max(core.size // core.shape[k] for k, core in enumerate(cores)) > _WIDEST:
            return self.state(Fit(cores, squared_error(self.X, cores), 0))
        fit = Fit(cores, np.inf, 0)
        # The first sweeps go far; what is left is faster with all cores together.
        order = [k for k in order if normal.gram_flops(cores, k) < _DEAR]
        if order:
            stop = Stop(min(sweeps, 2), tol, target, deadline=self.deadline)
            fit = als(self.X, cores, stop, ridge=self.ridge, norm2=self.norm2, order=order)
        if fit.sweeps == 0 or (sweeps > 2 and fit.error > target and not self.expired()):
            stop = Stop(5 * max(sweeps - 2, 1), 0.2 * tol, target, give_up, self.deadline)
            fit = joint(self.X, fit.cores, stop)
        return self.state(fit)

    def state(self, fit):
        error = fit.error if np.isfinite(fit.error) else np.inf
        if error <= 1.02 * self.target:
            # Decisions rest on the error itself, not on a difference of large numbers.
            error = squared_error(self.X, fit.cores)
        return State(fit.cores, error, graph.n_parameters(self.sizes, graph.bond_dims(fit.cores)))

    def note(self, action, state, bond=None):
        if self.history is not None:
            self.history(
                {
                    "scale": 0,
                    "action": action,
                    "bond": bond,
                    "relative_error": float(np.sqrt(max(state.error, 0.0) / self.norm2)),
                    "n_parameters": state.size,
                }
            )

    def expired(self):
        return self.deadline.expired()

    def possible(self, R):
        """Whether no unfolding proves that bonds R cannot meet the target."""
        return self.cuts is None or self.cuts.feasible(R[np.triu_indices(len(R), 1)])

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

    Every bond is offered as many slices as fit the same share of the network's size, but none whose
    own equations would take seconds.
    """
    residual = problem.X - graph.to_dense(state.cores)
    R = graph.bond_dims(state.cores)
    # Beyond the product of what the other side can carry a wider bond only adds redundancy.
    offers = []
    for bond in bonds or _bond_list(len(state.cores)):
        if offers and problem.expired():
            break
        i, j = bond
        price = _price(problem.sizes, R, bond)
        width = int(np.clip(fraction * state.size // price, 1, R[i, j]))
        if max(R[i].prod(), R[j].prod()) // R[i, j] * width > _WIDEST:
            continue
        # Cores that have grown against each other may overflow float32: no offer is made from them.
        with np.errstate(over="ignore", invalid="ignore"):
            first, second, gain = moves.growth(residual, state.cores, i, j, width, problem.rng)
        if np.isfinite(gain):
            offers.append((gain / (width * price), gain, bond, width, first, second))
    offers.sort(key=lambda offer: -offer[0])
    return offers


def expand(problem, state, *, fraction=0.08, sweeps=4, limit=None, max_steps=400):
    """Widen the bonds that buy most error per parameter until the target is met.

    State -> State (the target may be missed if ``limit`` parameters are reached)
    """
    for _ in range(max_steps):
        if problem.met(state) or problem.expired():
            break
        offers = scored_growth(problem, state, fraction)
        if not offers or offers[0][1] <= 0.0:
            break
        R = graph.bond_dims(state.cores)
        cores, added, gained, widened, bond = list(state.cores), 0, 0.0, set(), None
        for density, gain, (i, j), width, first, second in offers:
            price = width * _price(problem.sizes, R, (i, j))
            if limit is not None and state.size + added + price > limit:
                continue
            if added and (density < 0.5 * offers[0][0] or added > fraction * state.size):
                break
            # A second bond of the same core would need slices that know of the first.
            if widened & {i, j}:
                continue
            cores = moves.append_slices(cores, i, j, first, second)
            widened |= {i, j}
            added += price
            gained += gain
            bond = (i, j) if bond is None else bond
            if state.error - gained <= problem.target:
                break
        if bond is None:
            break
        state = problem.fit(cores, sweeps, tol=3e-3, give_up=False)
        problem.note("expand", state, bond)
    return state


def _proportional(sizes, R, goal):
    """Bond matrix R ** g, rounded, of at most ``goal`` parameters, but wider than R if g <= 3."""
    best = R
    for power in np.linspace(1.0, 3.0, 81):
        wider = np.rint(R**power).astype(int)
        for k, size in enumerate(sizes):  # no bond needs more than all other modes can carry
            wider[k] = wider[:, k] = np.minimum(wider[k], np.prod(sizes) // size)
        np.fill_diagonal(wider, 1)
        if graph.n_parameters(sizes, wider) > goal and (best != R).any():
            break
        best = wider
    return best


def _too_far(problem, state, R, excess=2.0):
    """Whether wider bonds would leave the target far behind: where bonds are narrow, one more
    component of each multiplies the size."""
    grown = graph.n_parameters(problem.sizes, R) / state.size
    return grown * problem.target > excess * state.error


def greedy(problem, *, sweeps=5, refit=40, limit=None, max_steps=500):
    """From rank one always the bond whose widening by one lowers the error most, then a good fit.

    Networks that are fitted well at every step find loops that a tree, once it is there, hides.
    After Hashemizadeh et al., arXiv:2008.05437, with the residual's own slices.

    -> State (the target may be missed where nothing is gained, or beyond ``limit`` parameters)
    """
    order, limit = problem.X.ndim, problem.X.size if limit is None else limit
    R = np.ones((order, order), dtype=int)
    state = problem.fit(graph.random_cores(problem.X.shape, R, problem.rng, problem.X.dtype), refit)
    for _ in range(max_steps):
        if problem.met(state) or problem.expired():
            break
        trials, offers = [], scored_growth(problem, state, 0.0)
        most = max((gain for _, gain, *_ in offers), default=0.0)
        for _, gain, (i, j), _, first, second in offers:
            # What the residual alone promises is half of what sweeps add, or more.
            if gain > 0.3 * most and not problem.expired():
                cores = moves.append_slices(state.cores, i, j, first, second)
                trials.append((problem.fit(cores, sweeps, give_up=False), (i, j)))
        if not trials:
            break
        best, bond = min(trials, key=lambda trial: trial[0].error)
        if best.size > limit:
            break
        state = problem.fit(best.cores, refit, tol=1e-4, give_up=False)
        problem.note("greedy", state, bond)
    return state


def widen(problem, state, *, most=2.0, slack=1.15):
    """Widen all bonds in proportion, and prune, until the target is near.

    The flow in the error: the proportions of the bonds change little from one error to the next, so
    that they are found where the network is small. The squared error falls about like one over the
    size, which tells how far to widen.

    State -> State
    """
    while not problem.met(state) and not problem.expired():
        ratio = min(state.error / problem.target, most)
        R = graph.bond_dims(state.cores)
        wider = _proportional(problem.sizes, R, ratio * state.size)
        if not (wider > R).any() or _too_far(problem, state, wider):
            break
        before = state.error
        state = problem.fit(padded(state.cores, wider, problem.rng), 12, give_up=False)
        problem.note("widen", state)
        if slack * state.error > before:  # expansion, bond by bond, sees more
            break
        if not problem.met(state):
            rung = replace(problem, target=max(slack * state.error, problem.target))
            state = compress(rung, state, sweeps=6, patience=2)
    return state


def shrink(problem, state, share):
    """Remove the cheapest components, target or not, down to a share of the size.

    Of a wide bond, up to a twentieth goes at once.
    """
    goal = share * state.size
    while state.size > goal and not problem.expired():
        gauges, options = moves.removals(state.cores, problem.sizes)
        if not options:
            break
        cheapest = min(options, key=lambda o: o.cost / o.saved)
        bond, own = cheapest.bond, [o for o in options if o.bond == cheapest.bond]
        own = sorted(own, key=lambda o: o.cost)[: max(1, len(own) // 20)]
        components = [o.component for o in own]
        cores = moves.remove_component(state.cores, bond, components, gauges[bond])
        state = problem.fit(cores, 3, tol=1e-3, first=cheapest.solve, give_up=False)
        problem.note("shrink", state, bond)
    return state


def compress(problem, state, *, sweeps=12, patience=3, optimism=0.25):
    """Remove the components that cost least error per parameter while the target can be met again.

    A removal is tried if, at ``optimism`` times its closed-form cost, it would still fit: sweeps
    recover part of the cost. The search ends after ``patience`` failures; a bond that failed is not
    tried again until another has given way.

    State -> State that meets the target
    """
    failed = set()
    while len(failed) < patience and not problem.expired():
        gauges, options = moves.removals(state.cores, problem.sizes)
        best = {}
        for option in sorted(options, key=lambda o: o.cost / o.saved):
            if option.bond not in failed:
                best.setdefault(option.bond, option)
        accepted = False
        for option in best.values():
            if state.error + optimism * option.cost > 2.0 * problem.target:
                continue
            several = _affordable(options, option, problem.target - state.error)
            if not _possible_without(problem, state, option.bond, len(several)):
                several = [option.component]
                if not _possible_without(problem, state, option.bond, 1):
                    continue
            cores = moves.remove_component(state.cores, option.bond, several, gauges[option.bond])
            trial = problem.fit(cores, sweeps, tol=1e-4, first=option.solve)
            if problem.met(trial):
                problem.note("compress", trial, option.bond)
                state, accepted = trial, True
                failed.clear()
                break
            failed.add(option.bond)
            if len(failed) >= patience or problem.expired():
                break
        if not accepted:
            break
    return state


def _possible_without(problem, state, bond, n):
    """Whether a network with a bond narrower by n could meet the target."""
    R = graph.bond_dims(state.cores)
    R[bond] = R[bond[::-1]] = R[bond] - n
    return problem.possible(R)


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


def exchange(problem, state, *, cycles=100, fraction=0.05):
    """Grow one bond, prune others, keep what is smaller: cycles around the target.

    State that meets the target -> State that meets the target, never larger
    """
    if problem.expired():
        return state
    best, offers = state, _affordable_growth(problem, state, fraction)[:_OFFERS]
    for _ in range(cycles):
        if problem.expired() or not offers:
            break
        _, _, bond, _, first, second = offers.pop(0)
        cores = moves.append_slices(best.cores, *bond, first, second)
        trial = problem.fit(cores, 12, tol=1e-3, target=0.0)
        if problem.met(trial):
            trial = compress(problem, trial, sweeps=12, patience=2)
        if problem.met(trial) and trial.size < best.size:
            best = trial
            offers = _affordable_growth(problem, best, fraction)[:_OFFERS]
            problem.note("exchange", best, bond)
    return best


def _affordable_growth(problem, state, fraction):
    """Slices for the bonds that one component more does not make half as large again."""
    R = graph.bond_dims(state.cores)
    bonds = _bond_list(len(state.cores))
    bonds = [b for b in bonds if 2 * _price(problem.sizes, R, b) <= state.size]
    return scored_growth(problem, state, fraction, bonds) if bonds else []
