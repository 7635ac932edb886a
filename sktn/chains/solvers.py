"""Solvers of chains as values: their own parameters, and how a problem is solved with them.

A solver is given to an estimator by name, for its defaults, or as a value:
``MPSClassifier(solver=Adam(learning_rate=0.01))``; in a grid its parameters are
``solver__learning_rate`` and so on.
"""

from numbers import Integral, Real
from typing import NamedTuple

import numpy as np
from sklearn.base import BaseEstimator
from sklearn.model_selection import train_test_split
from sklearn.utils._param_validation import HasMethods, Interval, StrOptions

from sktn.backend import get_config
from sktn.chains.folds import search_rows
from sktn.chains.streamed import STREAMED_ROWS, Streamed
from sktn.initializers import STARTS
from sktn.solvers import convex, convex_chain
from sktn.solvers.newton import Effort
from sktn.solvers.problem import Solution
from sktn.solvers.sweep import SweepOptions

# Of `max_memory`: the features of the rows in the convex limit.
_DESIGN_SHARE = 1 / 2
# Rows that "auto" looks at on tables that are streamed, repetitions counted.
_ROWS_SEEN = 500_000
# Rows, in landmarks, that the convex start of a gradient solver looks at: a start need not be
# better than what the landmarks carry.
_START_ROWS = 4
# Rows, in landmarks, from which on sweeps look for a strength of their own, how many they look at,
# and what they try, in units of the strength of the convex limit.
_ROWS_BEYOND, _SWEEP_ROWS = 2, 8
_WEAKER = (1.0, 10**-0.5, 0.1, 10**-1.5)
# Up to this many sites a step of Adam may have its full length: a step of all cores the same way
# multiplies the chain's norm by about exp(n * step), which leaves float32 over a thousand sites.
_FULL_STEP_SITES = 64


class Plan(NamedTuple):
    """What networks are wanted.

    orders : list of (n,), the sites along every network's chain
    output_site, bond_dim, max_landmarks : int
    rng : RandomState
    clock : Clock
    automatic : bool, whether a solver that holds out rows may lower the strength
    """

    orders: list
    output_site: int
    bond_dim: int
    max_landmarks: int
    rng: object
    clock: object
    automatic: bool = False


class ChainSolver(BaseEstimator):
    """A solver as a value: `solve(problem, plan)` -> Solution."""

    def __sklearn_is_fitted__(self):
        return True


class Convex(ChainSolver):
    """The exact minimiser at unlimited bond dimension, a regression in an ANOVA kernel, compressed
    to a chain whose readout is refitted.

    Parameters
    ----------
    tol : float, default=1e-6
        Relative decrease of the loss in a Newton step at which the solution counts as exact.

    Examples
    --------
    >>> from sktn import MPSClassifier
    >>> from sktn.chains.solvers import Convex
    >>> MPSClassifier(solver=Convex(tol=1e-4)).get_params()["solver__tol"]
    0.0001
    """

    _parameter_constraints: dict = {"tol": [Interval(Real, 0, None, closed="left")]}

    def __init__(self, *, tol=1e-6):
        self.tol = tol

    def solve(self, problem, plan):
        part = problem.in_working_precision()
        found = [_convex(part, plan, order, self.tol)[0] for order in plan.orders]
        return _together(found, problem)


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
        so near to it.
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
        return _together([self._solve_one(part, plan, order) for order in plan.orders], problem)

    def strength(self, problem, plan, target):
        """The strength for sweeps: they reach what landmarks do not, and bear a weaker one than the
        convex limit of a few. One fold is held out, and weaker strengths are tried in turn, each
        from where the one before ended, while they help.

        problem : ChainProblem, its strength the first to be tried; target: what deals the folds
        -> float
        """
        # Their vectors are held twice: those of all rows, and of those that are not held out.
        most = convex_chain.rows_that_fit(problem, plan.bond_dim) // 2
        most = min(most, _SWEEP_ROWS * plan.max_landmarks)
        n_rows = min(most, np.count_nonzero(np.asarray(problem.weight) > 0))
        if n_rows < _ROWS_BEYOND * plan.max_landmarks:
            return problem.alpha
        rows = search_rows(problem.weight, n_rows, plan.rng)
        folds = target.folds(rows, problem.coords[rows], plan.rng)
        if folds is None:
            return problem.alpha
        problem = problem.take(rows).astype(np.float32)
        landmarks = convex.choose_landmarks(problem.weight, plan.max_landmarks, plan.rng)
        alphas = [problem.alpha * factor for factor in _WEAKER]
        _, losses = convex_chain.search_chains(
            problem,
            convex.make_design(problem, landmarks),
            (plan.orders[0], plan.output_site, plan.bond_dim),
            np.where(folds == 0, 0, -1),
            alphas,
            np.inf,
            np.random.default_rng(plan.rng.randint(2**31 - 1)),
            n_sweeps=2,
        )
        plan.clock.say("held-out losses of sweeps: " + " ".join(f"{v:.4f}" for v in losses))
        return alphas[int(np.argmin(losses))]

    def _solve_one(self, problem, plan, order):
        tol = self.tol
        if tol is None:
            tol = 1e-3 if problem.loss.quadratic else 1e-2
        # The start is found to a thousandth of a sweep's precision.
        start, noise, least = _convex(problem, plan, order, tol / 1000)
        two_site = self.truncation_tol is not None
        if not two_site and start.losses[-1] - least <= tol * abs(start.losses[-1]):
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


def _convex(problem, plan, order, tol):
    """The compressed convex solution for weighted site vectors, a generator for what follows, and a
    bound that no chain's loss can be below, -inf where none is known."""
    landmarks = convex.choose_landmarks(problem.weight, plan.max_landmarks, plan.rng)
    noise = np.random.default_rng(plan.rng.randint(2**31 - 1))
    # A design of more rows would not fit memory, and they say little more of so few coefficients.
    row = max(len(landmarks), 1) * problem.dtype.itemsize
    most = max(len(landmarks), int(_DESIGN_SHARE * get_config()["max_memory"] / row))
    complete = len(landmarks) == np.count_nonzero(np.asarray(problem.weight) > 0)
    if problem.n_rows > most:
        rows = search_rows(problem.weight, most - len(landmarks), plan.rng)
        rows = np.union1d(rows, landmarks)
        problem, landmarks = problem.take(rows), np.searchsorted(rows, landmarks)
    plan.clock.say(f"convex limit: {problem.n_rows} rows, {len(landmarks)} landmarks")
    design = convex.make_design(problem, landmarks)
    chain = order, plan.output_site, plan.bond_dim
    found, least = convex_chain.fit_chain(
        problem, design, chain, noise, Effort(tol=tol), plan.clock.over
    )
    plan.clock.say(
        f"chain of bond dimension {plan.bond_dim}: loss {found.losses[-1]:.5f}, "
        f"truncation error {found.truncation_error:.1e}"
    )
    return found, noise, least if complete else -np.inf


def _together(solutions, problem):
    """One solution of several networks, for site vectors phi."""
    networks = [
        convex_chain.unweighted(network.astype(problem.dtype), problem)
        for s in solutions
        for network in s.networks
    ]
    first = solutions[0]
    finite = all(network.isfinite() for network in networks)
    return Solution(networks, first.losses, first.truncation_error, finite=finite)


class _GradientSolver(ChainSolver):
    """What the solvers that move all cores at once share."""

    def start(self, problem, plan, previous):
        """Parameters to begin with, the orders they belong to."""
        from sktn.solvers import chain_gradient

        if self.warm_start and previous is not None and _fits(previous, problem, plan):
            params = chain_gradient.params_of(previous, problem, plan.bond_dim)
            return params, [network.order for network in previous]
        if self.init != "convex":
            start = self.init if callable(self.init) else STARTS[self.init]
            noise = np.random.default_rng(plan.rng.randint(2**31 - 1))
            params = chain_gradient.started(
                start, noise, problem, plan.orders, plan.output_site, plan.bond_dim
            )
            return params, plan.orders
        rows = search_rows(problem.weight, _START_ROWS * plan.max_landmarks, plan.rng)
        networks = Convex().solve(problem.take(rows), plan).networks
        return chain_gradient.params_of(networks, problem, plan.bond_dim), plan.orders


def _fits(networks, problem, plan):
    """Whether networks of an earlier fit are of the shape that is wanted."""
    network = networks[0]
    return (
        len(networks) == len(plan.orders)
        and network.n_sites == problem.n_sites
        and network.output_site == plan.output_site
        and network.n_outputs == problem.n_scores
        and network.bond_dims.max() <= plan.bond_dim
        and all(core.shape[1] == problem.basis.dim for core in network.cores())
    )


class Adam(_GradientSolver):
    """Mini-batches, for long tables and for `partial_fit`.

    Tables of more than 50,000 rows are streamed: block after block of rows from all over the table
    is read, from a memory map for instance, and nothing is held beyond it. There
    `validation_fraction` of the rows, 20,000 at most, are held out in any case; what is best on
    them is kept, and ``alpha="auto"`` tries strengths below that of the convex limit on them. A
    `time_limit` shortens the schedule to the passes that it allows.

    Parameters
    ----------
    learning_rate : float, default=0.02
        Peak learning rate, with warm-up and cosine decay. On chains of more than 64 sites it is
        multiplied by 64 / n_sites.
    optimizer : optax.GradientTransformation, default=None
        Replaces Adam, its schedule and `learning_rate`.
    init : str or callable, default="convex"
        Where to begin: "convex" (what solver "convex" finds on 4 `max_landmarks` rows), "constant",
        "identity", "copy", "gaussian", "isometric", "ones", "zeros", or a function with the
        signature of :mod:`sktn.initializers`, for inputs divided by sqrt(g).
    max_iter : int, default=100
        Epochs.
    batch_size : int, default=200
        Rows of a step.
    early_stopping : bool, default=False
        Hold out `validation_fraction` of the rows and keep the parameters of the epoch that is best
        on them.
    validation_fraction : float, default=0.1
        Share of the rows that are held out.
    n_iter_no_change : int, default=10
        Epochs without an improvement by `tol` after which training stops; None: never.
    tol : float, default=1e-6
        Of the loss, absolute.
    warm_start : bool, default=False
        Go on from the networks of the last fit where their shapes agree.

    Examples
    --------
    >>> from sktn import MPSClassifier
    >>> from sktn.chains.solvers import Adam
    >>> MPSClassifier(solver=Adam(learning_rate=0.01)).get_params()["solver__learning_rate"]
    0.01
    """

    _parameter_constraints: dict = {
        "learning_rate": [Interval(Real, 0, None, closed="neither")],
        "optimizer": [HasMethods(["init", "update"]), None],
        "init": [StrOptions({"convex", *STARTS}), callable],
        "max_iter": [Interval(Integral, 1, None, closed="left")],
        "batch_size": [Interval(Integral, 1, None, closed="left")],
        "early_stopping": ["boolean"],
        "validation_fraction": [Interval(Real, 0, 1, closed="neither")],
        "n_iter_no_change": [Interval(Integral, 1, None, closed="left"), None],
        "tol": [Interval(Real, 0, None, closed="left")],
        "warm_start": ["boolean"],
    }

    def __init__(
        self,
        *,
        learning_rate=0.02,
        optimizer=None,
        init="convex",
        max_iter=100,
        batch_size=200,
        early_stopping=False,
        validation_fraction=0.1,
        n_iter_no_change=10,
        tol=1e-6,
        warm_start=False,
    ):
        self.learning_rate = learning_rate
        self.optimizer = optimizer
        self.init = init
        self.max_iter = max_iter
        self.batch_size = batch_size
        self.early_stopping = early_stopping
        self.validation_fraction = validation_fraction
        self.n_iter_no_change = n_iter_no_change
        self.tol = tol
        self.warm_start = warm_start

    def solve(self, problem, plan, previous=None, strata=None, on_epoch=None):
        """Train all networks in one program.

        on_epoch: `on_epoch(networks) -> bool` with a function that makes the networks, True to stop
        """
        import jax

        from sktn.solvers import chain_gradient, gradient

        if problem.n_rows > STREAMED_ROWS:
            return Streamed(self, problem, plan).solve(previous, on_epoch)
        train, held_out, validation = problem, None, None
        if self.early_stopping:
            rows, held_out = split_rows(problem.n_rows, self.validation_fraction, strata, plan.rng)
            train = problem.take(rows)
        key = jax.random.key(plan.rng.randint(2**31 - 1))
        params, orders = self.start(train, plan, previous)
        context = chain_gradient.context_of(train, orders, plan.output_site)
        if held_out is not None:
            rows, weight = chain_gradient.held_out_batch(problem.take(held_out))
            validation = rows, weight, {**context, "ridge": 0 * context["ridge"]}

        def networks(params):
            return chain_gradient.networks_of(params, orders, plan.output_site, problem)

        def after_epoch(epoch, loss, held_out_loss, params):
            more = "" if held_out is None else f", held-out loss {held_out_loss:.5f}"
            plan.clock.say(f"epoch {epoch}: loss {loss:.5f}{more}")
            stop = on_epoch is not None and on_epoch(lambda: networks(params))
            return stop or plan.clock.over()

        result = gradient.minimize(
            chain_gradient.chain_loss,
            params,
            chain_gradient.rows_of(train),
            train.weight,
            context,
            key,
            batch_size=self.batch_size,
            max_iter=self.max_iter,
            learning_rate=self.step_size(problem.n_sites),
            transformation=self.optimizer,
            validation=validation,
            n_iter_no_change=self.n_iter_no_change,
            tol=self.tol,
            chunk=1 if on_epoch is not None else 10,
            on_epoch=after_epoch,
        )
        return Solution(
            networks(result.params),
            result.losses,
            converged=result.converged,
            finite=result.finite,
            held_out=held_out,
        )

    def one_pass(self, problem, plan, networks, state, key):
        """One pass of mini-batches at a constant learning rate; `problem.total_weight` belongs to
        all rows seen."""
        from sktn.solvers import chain_gradient, gradient

        if networks is None:
            params, _ = self.start(problem, plan, None)
        else:
            params = chain_gradient.params_of(networks, problem, plan.bond_dim)
        result = gradient.minimize(
            chain_gradient.chain_loss,
            params,
            chain_gradient.rows_of(problem),
            problem.weight,
            chain_gradient.context_of(problem, plan.orders, plan.output_site),
            key,
            batch_size=self.batch_size,
            max_iter=1,
            learning_rate=self.step_size(problem.n_sites),
            transformation=self.optimizer,
            constant_rate=True,
            state=state,
            chunk=1,
        )
        found = chain_gradient.networks_of(result.params, plan.orders, plan.output_site, problem)
        return Solution(found, result.losses, finite=result.finite, state=result.state)

    def step_size(self, n_sites):
        return self.learning_rate * min(1.0, _FULL_STEP_SITES / max(n_sites, 1))


class LBFGS(_GradientSolver):
    """Full batches of all rows, L-BFGS with a zoom line search.

    Parameters
    ----------
    init : str or callable, default="convex"
        As in :class:`Adam`.
    max_iter : int, default=100
        Iterations.
    tol : float, default=1e-6
        Norm of the gradient.
    warm_start : bool, default=False
        As in :class:`Adam`.

    Examples
    --------
    >>> from sktn import MPSClassifier
    >>> from sktn.chains.solvers import LBFGS
    >>> MPSClassifier(solver=LBFGS(max_iter=50)).get_params()["solver__max_iter"]
    50
    """

    _parameter_constraints: dict = {
        name: Adam._parameter_constraints[name]
        for name in ("init", "max_iter", "tol", "warm_start")
    }

    def __init__(self, *, init="convex", max_iter=100, tol=1e-6, warm_start=False):
        self.init = init
        self.max_iter = max_iter
        self.tol = tol
        self.warm_start = warm_start

    def solve(self, problem, plan, previous=None):
        from sktn.solvers import chain_gradient, gradient

        params, orders = self.start(problem, plan, previous)
        result = gradient.minimize_lbfgs(
            chain_gradient.chain_loss,
            params,
            chain_gradient.rows_of(problem),
            problem.weight,
            chain_gradient.context_of(problem, orders, plan.output_site),
            max_iter=self.max_iter,
            tol=self.tol,
        )
        networks = chain_gradient.networks_of(result.params, orders, plan.output_site, problem)
        return Solution(networks, result.losses, converged=result.converged, finite=result.finite)


#: Solvers by name, with their defaults.
SOLVERS = {"convex": Convex, "sweep": Sweep, "adam": Adam, "lbfgs": LBFGS}


def resolve(solver, n_rows):
    """The solver that a parameter means: a value as it is, a name with its defaults; "auto":
    "sweep", for long tables "adam" in as many passes as they need."""
    if solver == "auto":
        if n_rows > STREAMED_ROWS:
            return long_table_solver(n_rows)
        solver = "sweep"
    if isinstance(solver, str):
        return SOLVERS[solver]()
    solver._validate_params()
    return solver


def long_table_solver(n_rows):
    """Adam for a table that is streamed: half a million rows, and at least three passes; steps as
    long as blocks of 500 rows allow, which cost half of those of 200."""
    return Adam(max_iter=max(3, -(-_ROWS_SEEN // n_rows)), batch_size=500)


def split_rows(n_rows, fraction, labels, rng):
    """Training and held-out rows, stratified by labels where there are some and every class allows
    it."""
    if n_rows < 2:
        raise ValueError("early_stopping=True needs at least 2 rows.")
    stratify = None
    n_held_out = max(1, int(np.ceil(fraction * n_rows)))
    if labels is not None:
        counts = np.bincount(labels)
        counts = counts[counts > 0]
        if counts.min() > 1 and min(n_held_out, n_rows - n_held_out) >= len(counts):
            stratify = labels
    return train_test_split(
        np.arange(n_rows),
        test_size=n_held_out,
        stratify=stratify,
        random_state=rng.randint(2**31 - 1),
    )
