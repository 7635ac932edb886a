"""What the matrix product state estimators for tables share: parameters, fitting, prediction."""

import warnings
from dataclasses import replace
from numbers import Integral, Real
from typing import Any

import jax
import numpy as np
from sklearn.base import BaseEstimator, ClassNamePrefixFeaturesOutMixin, TransformerMixin
from sklearn.callback import CallbackSupportMixin, with_callbacks
from sklearn.exceptions import ConvergenceWarning
from sklearn.utils import check_random_state
from sklearn.utils._param_validation import HasMethods, Interval, StrOptions
from sklearn.utils.validation import check_is_fitted

from sktn.annotations import Data
from sktn.backend import one_blas_thread
from sktn.chains import predict, prior
from sktn.chains.copies import without_copies
from sktn.chains.held_out import told_by_held_out
from sktn.chains.importances import FeatureImportances
from sktn.chains.members import network_attributes
from sktn.chains.roughness import posed
from sktn.chains.screening import screened
from sktn.chains.solvers import SOLVERS, Adam, ChainSolver, Plan, Sweep, resolve
from sktn.chains.solvers.exact import with_strength
from sktn.documentation import DocLinks
from sktn.embeddings import EMBEDDINGS
from sktn.fitted import commit, fitted_attributes, refuse_changes, settled
from sktn.solvers.problem import Clock
from sktn.tables.column_fit import SCALINGS
from sktn.tables.lazy import LazyCoordinates
from sktn.tables.reading import read
from sktn.tables.sites import Sites

# Tables below this many rows are fitted with one BLAS thread: their products are too short for a
# second one to pay, and beside other processes it is waited for.
ONE_THREAD_ROWS = 4000
# What every `partial_fit` reads anew.
_LIVE: tuple[str, ...] = (
    "class_weight",
    "interaction_penalty",
    "max_landmarks",
    "random_state",
    "smoothness",
    "solver",
    "time_limit",
    "verbose",
)
# Numbers in all networks of an estimator (8 GB in float32).
_LARGEST_NETWORK = 2**31


class BaseChain(
    DocLinks,
    FeatureImportances,
    CallbackSupportMixin,
    ClassNamePrefixFeaturesOutMixin,
    TransformerMixin,
    BaseEstimator,
):
    """Estimator of one or several chains on a table.

    A subclass says what the target is: `_make_target(y, sample_weight, model)`, where `model` is
    the fitted estimator whose target goes on, or None.
    """

    _parameter_constraints: dict = {
        "bond_dim": [Interval(Integral, 1, None, closed="left")],
        "embedding": [StrOptions(set(EMBEDDINGS)), callable, HasMethods(["evaluate"])],
        "degree": [Interval(Integral, 1, None, closed="left"), StrOptions({"auto"})],
        "scaling": [StrOptions({"auto", *SCALINGS} - {"capped"})],
        "alpha": [Interval(Real, 0, None, closed="left"), StrOptions({"auto"})],
        "interaction_penalty": [Interval(Real, 0, None, closed="left")],
        "smoothness": [Interval(Real, 0, None, closed="left")],
        "relevance": [StrOptions({"equal", "auto"}), "array-like"],
        "solver": [StrOptions({"auto", *SOLVERS}), ChainSolver],
        "max_landmarks": [Interval(Integral, 1, None, closed="left")],
        "n_estimators": [Interval(Integral, 1, None, closed="left")],
        "feature_order": [StrOptions({"given", "correlation", "random"}), "array-like"],
        "categorical_features": ["array-like", StrOptions({"from_dtype"}), None],
        "missing": [StrOptions({"auto", "marginal", "indicator"})],
        "time_limit": [Interval(Real, 0, None, closed="neither"), None],
        "random_state": ["random_state"],
        "verbose": ["verbose"],
    }

    # Tensors are read as tables of their entries.
    _takes_tensors = True
    # The strengths that alpha="auto" chooses from, strongest first.
    _alphas: tuple[float, ...] = ()

    @with_callbacks
    def _fit(self, reading, sample_weight, on_held_out=None, rough=None, weaker=False, clock=None):
        """Everything `fit` does once its input has been read.

        on_held_out: (reading, target, rows (m,), their scores by models without them (m, c), seed)
        -> more fitted attributes
        rough: parts of the columns that a search has found
        weaker: whether a solver that holds out rows may weaken a strength that is given
        clock: that of a search, whose time this fit takes
        """
        weaker = weaker or self.alpha == "auto"
        clock = Clock(self.time_limit, self.verbose) if clock is None else clock
        rng = check_random_state(self.random_state)
        given, target = reading, self._make_target(reading.y, sample_weight)
        reading, target = without_copies(reading, target)
        with one_blas_thread(len(reading.X) < ONE_THREAD_ROWS):
            reading = screened(self, reading, target, rng, clock)
        solver = resolve(self.solver, len(reading.X))
        ctx = self._init_callback_context(max_subtasks=getattr(solver, "max_iter", 1))
        ctx.call_on_fit_task_begin(estimator=self, X=given.X, y=given.y)
        with one_blas_thread(len(reading.X) < ONE_THREAD_ROWS):
            sites, problem, relevance = posed(self, reading, target, rng, clock, rough)
            plan = self._plan(sites, problem, rng, clock)._replace(automatic=weaker)
            if weaker and isinstance(solver, Sweep) and not clock.over():
                problem, plan = with_strength(problem, plan, solver, target)
            if plan.start is None:
                problem = problem.without_negligible(problem.alpha)
            sites = replace(sites, basis=problem.basis)
            extras = self._extras(solver, target, ctx, given)
            with jax.enable_x64(problem.dtype == np.float64):
                solution = solver.solve(problem, plan, **extras)
            if solution.alpha is not None:
                problem = problem.with_alpha(solution.alpha)
            more = {}
            if on_held_out is not None and not clock.over():
                # Drawn last: the model does not depend on what is held out beside it.
                known = reading, problem, target
                more = told_by_held_out(on_held_out, known, self.max_landmarks, rng)
            if solution.finite and not clock.over():
                more |= self._known(problem, solution.networks, rng)
        networks = [network.astype(reading.X.dtype) for network in solution.networks]
        solution = replace(solution, networks=networks)
        warn_unless_finite(solution.finite, stacklevel=4)
        if solution.finite and not solution.converged and not clock.over():
            warnings.warn(
                f"{solver!r} stopped after {len(solution.losses)} iterations before the loss "
                "settled: increase its max_iter.",
                ConvergenceWarning,
                stacklevel=3,
            )
        found = prior.table_attributes(reading, target, sites, relevance, problem)
        found["stream_"] = {"weight": problem.total_weight, "settled": settled(self, _LIVE)}
        commit(self, {**found, **_summary(solution, problem, target), **more})
        ctx.call_on_fit_task_end(estimator=self, X=given.X, y=given.y, reconstruction_attributes={})
        return self

    def _known(self, problem, networks, rng):
        """More fitted attributes, of a problem with its strength and the networks that solve it."""
        return {}

    def _plan(self, sites, problem, rng, clock):
        n, d = problem.n_sites, problem.basis.dim
        entries = self.n_estimators * self.bond_dim**2 * (d * n + problem.n_scores)
        if entries > _LARGEST_NETWORK:
            raise ValueError(
                f"bond_dim={self.bond_dim} with {n} sites of dimension {d} needs "
                f"{entries:.2e} numbers in the network alone: use a smaller bond_dim or degree."
            )
        order, output_site = ordered(sites, self.feature_order, rng, problem.weight)
        orders = [order, *(rng.permutation(n) for _ in range(self.n_estimators - 1))]
        return Plan(orders, output_site, self.bond_dim, self.max_landmarks, rng, clock)

    def _extras(self, solver, target, ctx, reading):
        """What gradient solvers want beyond the problem."""
        extras = {}
        if getattr(solver, "warm_start", False):
            extras["previous"] = getattr(self, "networks_", None)
        if isinstance(solver, Adam):
            extras["strata"] = target.strata
            if getattr(self, "_skl_callbacks", None):
                extras["on_epoch"] = self._epoch_callback(ctx, reading)
        return extras

    def _epoch_callback(self, ctx, reading):
        X, y = reading.X, reading.y

        def on_epoch(networks):
            sub = ctx.subcontext(task_name="epoch")
            sub.call_on_fit_task_begin(estimator=self, X=X, y=y)
            return sub.call_on_fit_task_end(
                estimator=self,
                X=X,
                y=y,
                reconstruction_attributes=lambda: {"networks_": networks()},
            )

        return on_epoch

    @property
    def _max_order(self):
        """Columns that may interact, None for all: kept by the solver, asked by the prior."""
        return getattr(self.solver, "max_order", None)

    def _partial_fit(self, reading, sample_weight, **known):
        """One pass of mini-batches over a chunk of rows, input read."""
        first = not hasattr(self, "networks_")
        if self._max_order is not None:
            raise ValueError(
                f"partial_fit cannot keep max_order={self._max_order}: Adam moves all parts of a "
                "chain. Use fit, or another solver."
            )
        solver = self.solver if isinstance(self.solver, Adam) else Adam()
        solver._validate_params()
        if not first:
            refuse_changes(self, self.stream_["settled"])
        target = self._make_target(reading.y, sample_weight, model=None if first else self, **known)
        clock, rng = Clock(None, self.verbose), check_random_state(self.random_state)
        if first:
            sites = prior.table_sites(self, reading, target, rng)
            equal = prior.penalised(self, prior.bare_problem(sites, target), 1.0)
            relevance = prior.column_relevances(self, sites, equal, rng)
            alpha = prior.DEFAULT_ALPHA if self.alpha == "auto" else float(self.alpha)
            problem = prior.penalised(self, equal, relevance[sites.columns.kept])
            problem = problem.with_alpha(alpha)
            found = prior.table_attributes(reading, target, sites, relevance, problem)
            plan = self._plan(sites, problem, rng, clock)
            stream = {"state": None, "weight": 0.0, "seed": rng.randint(2**31 - 1), "n_calls": 0}
            stream["settled"] = settled(self, _LIVE)
            networks = None
        else:
            found, networks = fitted_attributes(self), self.networks_
            # Of the errors of other networks, and of other rows.
            found.pop("spread_", None)
            found.pop("certainty_", None)
            stream = {"state": None, "seed": 0, "n_calls": 0, **self.stream_}
            coords = self.columns_.transform(reading.X, networks[0].dtype)
            sites = Sites(self.columns_, self.basis_, coords, networks[0].order)
            problem = prior.bare_problem(sites, target)
            problem = prior.penalised(self, problem, self.relevance_[self.columns_.kept])
            plan = Plan(
                [network.order for network in networks],
                networks[0].output_site,
                self.bond_dim,
                self.max_landmarks,
                np.random.RandomState(stream["seed"]),
                clock,
            )
        stream["weight"] += problem.total_weight
        stream["n_calls"] += 1
        # The ridge is shared by all rows seen.
        share = problem.total_weight / max(stream["weight"], 1e-300)
        problem = problem.with_alpha(found["alpha_"] * share)
        with jax.enable_x64(problem.dtype == np.float64):
            key = jax.random.key(stream["seed"] + stream["n_calls"])
            solution = solver.one_pass(problem, plan, networks, stream["state"], key)
            stream["state"] = jax.tree.map(np.asarray, solution.state)
        warn_unless_finite(solution.finite, stacklevel=3)
        summary = _summary(solution, problem, target)
        summary["loss_curve_"] = np.append(found.get("loss_curve_", []), solution.losses)
        summary["n_iter_"] = len(summary["loss_curve_"])
        return commit(self, {**found, **summary, "stream_": stream})

    def _network_scores(self, X):
        """Scores of all networks: (k, N, c)"""
        coords = self._coordinates(X)
        return np.stack([predict.scores(self.basis_, net, coords) for net in self.networks_])

    def _coordinates(self, X):
        check_is_fitted(self)
        X = read(self, X)
        return LazyCoordinates(self.columns_, X, self.networks_[0].dtype)

    def transform(self, X: Data) -> Any:
        """The learned representation: the left and right bond vectors at the output.

        Parameters
        ----------
        X : array-like or data frame of shape (n_samples, n_features)

        Returns
        -------
        vectors : ndarray of shape (n_samples, n_features_out)
            Left and right bond dimension at the output, for every network. The scores are bilinear
            in the left and the right half of a network's part.
        """
        coords = self._coordinates(X)
        parts = [predict.bond_vectors(self.basis_, network, coords) for network in self.networks_]
        return np.concatenate(parts, axis=1)

    def __sklearn_tags__(self):
        tags = super().__sklearn_tags__()
        tags.input_tags.allow_nan = True
        tags.input_tags.three_d_array = True
        tags.transformer_tags.preserves_dtype = ["float64", "float32"]
        return tags


def ordered(sites, feature_order, rng, weight):
    """The order of the sites along the chain, and how many of them stand left of the output: the
    middle, or where an explicit order has a -1.

    -> (n,), int
    """
    n, place = sites.n_sites, None
    if not isinstance(feature_order, str):
        feature_order = np.asarray(feature_order)
        (places,) = np.nonzero(feature_order == -1)
        if len(places) == 1:
            # Columns without a site do not count.
            left = feature_order[: places[0]]
            place = int(np.isin(left, sites.columns.kept).sum())
            feature_order = np.delete(feature_order, places[0])
    order = sites.with_order(feature_order, rng, weight).order
    return order, n // 2 if place is None else place


def _summary(solution, problem, target):
    """The fitted attributes that come from a solution."""
    networks, held_out = solution.networks, solution.held_out
    score = None
    if held_out is not None and solution.finite:
        coords = problem.coords[held_out]
        scores = np.stack([predict.scores(problem.basis, net, coords) for net in networks])
        score = target.score(held_out, scores)
    return {
        **network_attributes(networks),
        "loss_curve_": solution.losses,
        "n_iter_": len(solution.losses),
        "truncation_error_": solution.truncation_error,
        "validation_score_": score,
    }


def warn_unless_finite(finite, stacklevel):
    if not finite:
        warnings.warn(
            "The loss is no longer finite; the last finite parameters were kept. Use a smaller "
            "learning_rate, a larger alpha or interaction_penalty, or columns of float64.",
            ConvergenceWarning,
            stacklevel=stacklevel + 1,
        )
