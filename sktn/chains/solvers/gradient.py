"""Solvers that move all cores at once along the gradient."""

import warnings
from numbers import Integral, Real

import numpy as np
from sklearn.exceptions import ConvergenceWarning
from sklearn.model_selection import train_test_split
from sklearn.utils._param_validation import HasMethods, Interval, StrOptions

from sktn.chains.folds import search_rows
from sktn.chains.solvers.exact import ChainSolver, Convex
from sktn.chains.streamed import STREAMED_ROWS, Streamed
from sktn.initializers import STARTS
from sktn.solvers.problem import Solution

# Rows, in landmarks, that the convex start of a gradient solver looks at: a start need not be
# better than what the landmarks carry.
_START_ROWS = 4
# A step of all entries the same way multiplies the scores by up to exp(step * bond_dim * sum of
# 1 / sqrt(g) over sites and components). Up to this product, which 64 sites of the default basis
# have at bond dimension 16, a step of Adam has its full length.
_FULL_STEP = 64 * 16 * 1.5


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
        Peak learning rate, with warm-up and cosine decay. It is divided by what a step of all
        entries does beyond what it does to a chain of 64 sites of the default basis at bond
        dimension 16: on longer chains, at larger bond dimensions, with weaker penalties of a basis.
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

        training = self.training(problem, plan.bond_dim, chunk=10 if on_epoch is None else 1)
        result = gradient.minimize(
            chain_gradient.objective(train, context),
            params,
            key,
            training,
            validation=validation,
            on_epoch=after_epoch,
        )
        if result.rose:
            warnings.warn(
                f"The loss rose from {result.losses[0]:.3g} to {result.losses[-1]:.3g} in "
                f"training: the best epoch is taken. Lower learning_rate={self.learning_rate}.",
                ConvergenceWarning,
                stacklevel=4,
            )
        return Solution(
            networks(result.params),
            result.losses,
            converged=result.converged or result.rose,
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
        context = chain_gradient.context_of(problem, plan.orders, plan.output_site)
        result = gradient.minimize(
            chain_gradient.objective(problem, context),
            params,
            key,
            self.training(problem, plan.bond_dim, max_iter=1, chunk=1),
            steps=gradient.CONSTANT_RATE,
            state=state,
        )
        found = chain_gradient.networks_of(result.params, plan.orders, plan.output_site, problem)
        return Solution(found, result.losses, finite=result.finite, state=result.state)

    def training(self, problem, bond_dim, **changes):
        """What the parameters mean for chains of a problem: -> gradient.Training"""
        from sktn.solvers.gradient import Training

        reach = bond_dim * float(np.sum(1 / np.asarray(problem.roots, np.float64)))
        rate = self.learning_rate * min(1.0, _FULL_STEP / max(reach, 1.0))
        settings = {
            "batch_size": self.batch_size,
            "max_iter": self.max_iter,
            "learning_rate": rate,
            "transformation": self.optimizer,
            "n_iter_no_change": self.n_iter_no_change,
            "tol": self.tol,
        }
        return Training(**{**settings, **changes})


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
        context = chain_gradient.context_of(problem, orders, plan.output_site)
        result = gradient.minimize_lbfgs(
            chain_gradient.objective(problem, context), params, max_iter=self.max_iter, tol=self.tol
        )
        networks = chain_gradient.networks_of(result.params, orders, plan.output_site, problem)
        return Solution(networks, result.losses, converged=result.converged, finite=result.finite)


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
