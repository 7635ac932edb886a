"""Solvers that follow from the convex limit: it alone, compressed, or sweeps from there."""

from dataclasses import replace
from numbers import Integral, Real
from typing import NamedTuple

import numpy as np
from sklearn.base import BaseEstimator
from sklearn.utils._param_validation import Interval, Options

from sktn.backend import get_config
from sktn.chains.folds import search_rows
from sktn.chains.selection import clearly_worse
from sktn.solvers import convex, convex_chain
from sktn.solvers.newton import Effort
from sktn.solvers.problem import Solution
from sktn.solvers.sweep import SweepOptions

# Of `max_memory`: the features of the rows in the convex limit.
_DESIGN_SHARE = 1 / 2
# Rows, in landmarks, from which on sweeps look for a strength of their own, how many they look at,
# and what they try, in units of the strength of the convex limit.
ROWS_BEYOND, _SWEEP_ROWS = 2, 8
_WEAKER = (1.0, 10**-0.5, 0.1, 10**-1.5)
# What a free number gains in log-likelihood by chance (Akaike, IEEE Trans. Automatic Control 19
# (1974)): what sweeps are not made for. On 13 tables of 100 to 1,000 rows chains that lacked less
# were as good on other rows. As much for each of ten scores was too much: on digits and USPS their
# log-loss on other rows was 2 to 5 % higher than with sweeps.
_CHANCE = 1.0
# Landmarks and rows of a convex limit that is begun when the time is over.
_HASTY, _HASTY_ROWS = 200, 5_000


class Plan(NamedTuple):
    """What networks are wanted.

    orders : list of (n,), the sites along every network's chain
    output_site, bond_dim, max_landmarks : int
    rng : RandomState
    clock : Clock
    automatic : bool, whether a solver that holds out rows may lower the strength
    start : Solution of the first order on some of the rows, for weighted site vectors, or None
    swept : bool, False where held-out rows are told clearly worse by chains that were swept
    """

    orders: list
    output_site: int
    bond_dim: int
    max_landmarks: int
    rng: object
    clock: object
    automatic: bool = False
    start: Solution | None = None
    swept: bool = True


class ChainSolver(BaseEstimator):
    """A solver as a value: `solve(problem, plan)` -> Solution."""

    # Columns that may interact; None: all.
    max_order: int | None = None

    def __sklearn_is_fitted__(self):
        return True


class Convex(ChainSolver):
    """The exact minimiser at unlimited bond dimension, a regression in an ANOVA kernel, compressed
    to a chain whose readout is refitted.

    Parameters
    ----------
    tol : float, default=1e-6
        Relative decrease of the loss in a Newton step at which the solution counts as exact.
    max_order : {1, 2} or None, default=None
        Columns that may interact: 1 leaves main effects, 2 also pairs, so that all that the model
        says can be looked at in curves and surfaces; None sets no limit. The regression is then in
        the kernel of these parts alone, and every product of bond vectors that would exceed the
        limit is left out of the readout. Other solvers would bring higher interactions back.

    Examples
    --------
    >>> from sktn import MPSClassifier
    >>> from sktn.chains.solvers import Convex
    >>> MPSClassifier(solver=Convex(tol=1e-4)).get_params()["solver__tol"]
    0.0001
    """

    _parameter_constraints: dict = {
        "tol": [Interval(Real, 0, None, closed="left")],
        "max_order": [Options(Integral, {1, 2}), None],
    }

    def __init__(self, *, tol=1e-6, max_order=None):
        self.tol = tol
        self.max_order = max_order

    def solve(self, problem, plan):
        part = problem.in_working_precision()
        found = [_convex(part, plan, order, self.tol)[0] for order in plan.orders]
        return together(found, problem)


class Sweep(ChainSolver):
    """The convex solution, then sweeps over its chain: one core after the other to the minimum of
    the loss, which repairs what the compression moved and what the landmarks miss.

    Parameters
    ----------
    max_iter : int, default=100
        Sweeps.
    tol : float, default=None
        Relative decrease of the loss in a sweep at which sweeps end. None: 0.01, and 0.001 for
        squared errors, whose sweeps are cheap. Where every row is a landmark,
        the convex limit is the least loss there is, and no sweep is made when the chain is already
        so near to it, nor for classes when its log-likelihood lacks less than one. Where rows are
        many times the landmarks and ``alpha="auto"``, none is made if rows that are held out are
        told clearly worse by chains that were swept.
    truncation_tol : float, default=None
        A number updates two neighbouring cores at a time and splits them by a singular value
        decomposition that may lose this share of the norm, so that every bond finds its own
        dimension, of at most `bond_dim`. None: one core at a time.

    Examples
    --------
    >>> from sktn import MPSClassifier
    >>> from sktn.chains.solvers import Sweep
    >>> MPSClassifier(solver=Sweep(max_iter=5)).get_params()["solver__max_iter"]
    5
    """

    _parameter_constraints: dict = {
        "max_iter": [Interval(Integral, 1, None, closed="left")],
        "tol": [Interval(Real, 0, None, closed="left"), None],
        "truncation_tol": [Interval(Real, 0, 1, closed="left"), None],
    }

    def __init__(self, *, max_iter=100, tol=None, truncation_tol=None):
        self.max_iter = max_iter
        self.tol = tol
        self.truncation_tol = truncation_tol

    def solve(self, problem, plan):
        part = problem.in_working_precision()
        return together([self._solve_one(part, plan, order) for order in plan.orders], problem)

    def strength(self, problem, plan, target):
        """The plan for sweeps, and their strength: they reach what landmarks do not, and bear a
        weaker one than the convex limit of a few. One fold is held out, and a sweep is made at
        weaker and weaker strengths, each from where the one before ended, while they help. Where
        they clearly harm, chains are not swept.

        problem : ChainProblem, its strength the first to be tried; target: what deals the folds
        -> float, Plan: with the chain of the rows that are held in, where it was looked for and
        where the convex limit that sweeps would start from otherwise is none of least squares,
        which is cheap
        """
        # Their vectors are held twice: those of all rows, and of those that are not held out.
        longest = max(plan.output_site, problem.n_sites - plan.output_site)
        most = convex_chain.rows_that_fit(problem, plan.bond_dim, longest) // 2
        most = min(most, _SWEEP_ROWS * plan.max_landmarks)
        n_rows = min(most, np.count_nonzero(np.asarray(problem.weight) > 0))
        if n_rows < ROWS_BEYOND * plan.max_landmarks:
            return problem.alpha, plan
        rows = search_rows(problem.weight, n_rows, plan.rng)
        folds = target.folds(rows, problem.coords[rows], plan.rng)
        if folds is None:
            return problem.alpha, plan
        problem = problem.take(rows).astype(np.float32)
        # None of the rows held out, which it would tell better than others, and as many rows a
        # landmark as there will be when none are.
        held_in = np.where(folds != 0, problem.weight, 0)
        n_landmarks = max(1, round(plan.max_landmarks * np.mean(folds != 0)))
        landmarks = convex.choose_landmarks(held_in, n_landmarks, plan.rng)
        alphas = [problem.alpha * factor for factor in _WEAKER]
        order, output_site = plan.orders[0], plan.output_site
        path = convex_chain.chain_path(
            problem,
            convex.make_design(problem, landmarks),
            problem.inputs((order[:output_site], order[output_site:][::-1])),
            (order, output_site, plan.bond_dim),
            np.flatnonzero(folds == 0),
            alphas,
            np.random.default_rng(plan.rng.randint(2**31 - 1)),
            warm=True,
        )
        limit, found = next(path), convex_chain.until_worse(path)
        losses = [loss for _, loss, _ in (limit, *found)]
        told = " ".join(f"{loss:.4f}" for loss in losses)
        plan.clock.say(f"held-out losses of the convex limit and of sweeps: {told}")
        best = int(np.argmin(losses[1:]))
        judged = problem.take(np.flatnonzero(folds == 0))
        swept, still = (judged.loss.values(s, judged.target) for s, *_ in (found[best], limit))
        share = judged.weight / judged.total_weight
        if clearly_worse(swept.astype(np.float64), still.astype(np.float64), share):
            return problem.alpha, plan._replace(swept=False)
        start = None if problem.loss.quadratic else found[best][2]
        return alphas[best], plan._replace(start=start)

    def weakest(self, alpha):
        """The weakest strength that is tried from one."""
        return alpha * min(_WEAKER)

    def _solve_one(self, problem, plan, order):
        tol = self.tol
        if tol is None:
            tol = 1e-3 if problem.loss.quadratic else 1e-2
        two_site = self.truncation_tol is not None
        if plan.start is not None and order is plan.orders[0] and not two_site:
            # All rows go on where most of them have ended.
            networks = [network.astype(problem.dtype) for network in plan.start.networks]
            start = replace(plan.start, networks=networks, losses=np.zeros(0))
            noise = np.random.default_rng(plan.rng.randint(2**31 - 1))
        else:
            # The start is found to a thousandth of a sweep's precision.
            start, noise, least = _convex(problem, plan, order, tol / 1000)
            rest = not plan.swept or near_enough(problem, start.losses[-1], least, tol)
            if rest and not two_site:
                return start
        options = SweepOptions(
            two_site=two_site,
            max_bond_dim=plan.bond_dim,
            truncation_tol=self.truncation_tol or 0.0,
            max_sweeps=self.max_iter,
            tol=tol,
        )
        found = convex_chain.refine(
            start, problem, options, noise, plan.max_landmarks, plan.clock.over
        )
        n_sweeps = len(found.losses) - len(start.losses)
        plan.clock.say(f"{n_sweeps} sweeps: loss {found.losses[-1]:.5f}")
        return found


def with_strength(problem, plan, solver, target):
    """The problem with the strength that sweeps bear, and the plan to start where the search for it
    ended: see :meth:`Sweep.strength`."""
    problem = problem.without_negligible(solver.weakest(problem.alpha))
    alpha, plan = solver.strength(problem, plan, target)
    return problem.with_alpha(alpha), plan


def near_enough(problem, loss, least, tol):
    """Whether sweeps have nothing to gain: a loss so near to one that no network is below."""
    enough = tol * abs(loss)
    if problem.loss.log_likelihood:
        enough = max(enough, _CHANCE / problem.total_weight)
    return loss - least <= enough


def limit_design(problem, plan):
    """What the convex limit is solved on: the problem, of as many rows as fit memory, its design,
    and whether every row is a landmark of it."""
    # Once the time is over, what there is to be had at once: with 1,000 landmarks it takes five
    # times as long.
    hasty = plan.clock.over()
    n_landmarks = min(plan.max_landmarks, _HASTY) if hasty else plan.max_landmarks
    landmarks = convex.choose_landmarks(problem.weight, n_landmarks, plan.rng)
    # A design of more rows would not fit memory, and they say little more of so few coefficients.
    row = max(len(landmarks), 1) * problem.dtype.itemsize
    most = max(len(landmarks), int(_DESIGN_SHARE * get_config()["max_memory"] / row))
    most = min(most, _HASTY_ROWS) if hasty else most
    complete = len(landmarks) == np.count_nonzero(np.asarray(problem.weight) > 0)
    if problem.n_rows > most:
        rows = search_rows(problem.weight, most - len(landmarks), plan.rng)
        rows = np.union1d(rows, landmarks)
        problem, landmarks = problem.take(rows), np.searchsorted(rows, landmarks)
    plan.clock.say(f"convex limit: {problem.n_rows} rows, {len(landmarks)} landmarks")
    return problem, convex.make_design(problem, landmarks), complete


def _convex(problem, plan, order, tol):
    """The compressed convex solution for weighted site vectors, a generator for what follows, and a
    bound that no chain's loss can be below, -inf where none is known."""
    problem, design, complete = limit_design(problem, plan)
    noise = np.random.default_rng(plan.rng.randint(2**31 - 1))
    chain = order, plan.output_site, plan.bond_dim
    found, least = convex_chain.fit_chain(
        problem, design, chain, noise, Effort(tol=tol), plan.clock.over
    )
    plan.clock.say(
        f"chain of bond dimension {plan.bond_dim}: loss {found.losses[-1]:.5f}, "
        f"truncation error {found.truncation_error:.1e}"
    )
    return found, noise, least if complete else -np.inf


def together(solutions, problem):
    """One solution of several networks, for site vectors phi."""
    networks = [
        convex_chain.unweighted(network.astype(problem.dtype), problem)
        for s in solutions
        for network in s.networks
    ]
    first = solutions[0]
    finite = all(network.isfinite() for network in networks)
    return Solution(networks, first.losses, first.truncation_error, finite=finite)
