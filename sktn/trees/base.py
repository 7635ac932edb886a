"""What the tree tensor network estimators share: parameters, fitting, prediction."""

import warnings
from dataclasses import replace
from numbers import Integral
from typing import Any

import jax
import numpy as np
from sklearn.base import BaseEstimator, ClassNamePrefixFeaturesOutMixin, TransformerMixin
from sklearn.exceptions import ConvergenceWarning
from sklearn.utils import check_random_state
from sklearn.utils._param_validation import Interval, StrOptions
from sklearn.utils.validation import check_is_fitted

from sktn.annotations import Data
from sktn.backend import one_blas_thread
from sktn.chains import prior
from sktn.chains.base import ONE_THREAD_ROWS, BaseChain, ordered
from sktn.chains.copies import without_copies
from sktn.chains.held_out import told_by_held_out
from sktn.chains.importances import FeatureImportances
from sktn.chains.roughness import posed
from sktn.chains.solvers.exact import (
    Convex,
    Plan,
    Sweep,
    limit_design,
    near_enough,
    together,
    with_strength,
)
from sktn.documentation import DocLinks
from sktn.fitted import commit
from sktn.networks.topology import chain_topology
from sktn.networks.tree import from_chain
from sktn.solvers import convex_tree
from sktn.solvers.newton import Effort
from sktn.solvers.problem import Clock
from sktn.solvers.sweep import SweepOptions
from sktn.tables.features import feature_names
from sktn.tables.lazy import LazyCoordinates
from sktn.tables.reading import read
from sktn.trees import predict
from sktn.trees.topology import NAMES, choose, named_candidates, read_topology

# Parameters that mean what those of chains mean.
SHARED = (
    *("alpha", "bond_dim", "categorical_features", "degree", "interaction_penalty"),
    *("max_landmarks", "missing", "random_state", "scaling", "time_limit", "verbose"),
)
# Relative decrease of the loss in a sweep at which sweeps end, squared losses apart, whose sweeps
# are cheap: those of chains.
_TOL, _QUADRATIC_TOL = 1e-2, 1e-3


class BaseTree(
    DocLinks, FeatureImportances, ClassNamePrefixFeaturesOutMixin, TransformerMixin, BaseEstimator
):
    """Estimator of a tree on a table. A subclass makes the target: `_make_target(y, weight)`."""

    _parameter_constraints: dict = {
        **{name: BaseChain._parameter_constraints[name] for name in SHARED},
        "topology": [StrOptions(set(NAMES)), "array-like"],
        "max_iter": [Interval(Integral, 0, None, closed="left")],
    }

    # As chains; a tree may follow their axes.
    _takes_tensors = True
    # What chains have parameters for, and the strengths that alpha="auto" chooses from.
    embedding, smoothness, relevance, _max_order = "legendre", 1.0, "equal", None
    _alphas: tuple[float, ...] = ()

    def _fit(self, reading, sample_weight, on_held_out=None):
        """Everything `fit` does once its input has been read; on_held_out: as in `BaseChain`."""
        clock, rng = Clock(self.time_limit, self.verbose), check_random_state(self.random_state)
        target = self._make_target(reading.y, sample_weight)
        reading, target = without_copies(reading, target)
        with one_blas_thread(len(reading.X) < ONE_THREAD_ROWS):
            sites, problem, relevance = posed(self, reading, target, rng, clock)
            order, middle = ordered(sites, "correlation", rng, problem.weight)
            plan = Plan([order], middle, self.bond_dim, self.max_landmarks, rng, clock)
            if self.alpha == "auto" and self.max_iter and not clock.over():
                # The strength that sweeps bear is that of a chain of the same bond dimension.
                problem, plan = with_strength(problem, plan, Sweep(), target)
            if plan.start is None:
                problem = problem.without_negligible(problem.alpha)
            sites = replace(sites, basis=problem.basis)
            with jax.enable_x64(problem.dtype == np.float64):
                solution = self._solve(problem, target, plan, sites, reading)
            more = {}
            if on_held_out is not None and not clock.over():
                known = reading, problem, target
                more = told_by_held_out(on_held_out, known, self.max_landmarks, rng)
            if solution.finite and not clock.over():
                more |= self._known(problem, solution.networks, rng)
        network = solution.networks[0].astype(reading.X.dtype)
        if not solution.finite:
            warnings.warn(
                "The cores of the tree are not finite: use a larger alpha or interaction_penalty, "
                "or columns of float64.",
                ConvergenceWarning,
                stacklevel=3,
            )
        found = prior.table_attributes(reading, target, sites, relevance, problem)
        summary = {
            "network_": network,
            "merges_": network.merges,
            "bond_dims_": network.bond_dims,
            "loss_curve_": solution.losses,
            "n_iter_": len(solution.losses),
            "truncation_error_": solution.truncation_error,
            "_n_features_out": network.readout.shape[0] + network.readout.shape[2],
        }
        return commit(self, {**found, **summary, **more})

    def _known(self, problem, networks, rng):
        """Further fitted attributes: what a subclass keeps of the rows beside the networks."""
        return {}

    def _solve(self, problem, target, plan, sites, reading):
        """The tree from the convex limit, improved by sweeps: -> Solution"""
        part, clock, (order, *_) = problem.in_working_precision(), plan.clock, plan.orders
        if isinstance(self.topology, str):
            candidates = named_candidates(self.topology, plan, reading.tensor_shape, sites.columns)
            merges = choose(candidates, part, target, self.bond_dim, plan)
        else:
            names = feature_names(reading.feature_names_in, sites.columns.n_columns)
            merges = read_topology(self.topology, sites.columns, names)
        if np.array_equal(merges, chain_topology(order, plan.output_site)):
            solver = Sweep(max_iter=self.max_iter) if self.max_iter else Convex()
            found = solver.solve(problem, plan)
            return replace(found, networks=[from_chain(network) for network in found.networks])
        tol = _QUADRATIC_TOL if part.loss.quadratic else _TOL
        # The start is found to a thousandth of a sweep's precision.
        effort = Effort(tol=tol / 1000)
        some, design, complete = limit_design(part, plan)
        noise = np.random.default_rng(plan.rng.randint(2**31 - 1))
        limit = convex_tree.solve_limit(some, design, effort, clock.over)
        tree = merges, self.bond_dim
        found = convex_tree.fit_tree(some, design, limit, tree, noise, effort)
        clock.say(
            f"tree of bond dimension {self.bond_dim}: loss {found.losses[-1]:.5f}, "
            f"truncation error {found.truncation_error:.1e}"
        )
        # No tree is below the convex limit where every row is a landmark.
        least = limit[1][-1] if complete else -np.inf
        near = near_enough(part, found.losses[-1], least, tol)
        if self.max_iter and not near and not clock.over():
            options = SweepOptions(max_sweeps=self.max_iter, tol=tol)
            start = len(found.losses)
            found = convex_tree.refine_tree(
                found, part, options, noise, self.max_landmarks, clock.over
            )
            clock.say(f"{len(found.losses) - start} sweeps: loss {found.losses[-1]:.5f}")
        return together([found], problem)

    def _network_scores(self, X):
        """Scores, of one network: (1, N, c)"""
        coords = self._coordinates(X)
        return predict.scores(self.basis_, self.network_, coords)[None]

    def _coordinates(self, X):
        check_is_fitted(self)
        return LazyCoordinates(self.columns_, read(self, X), self.network_.dtype)

    def transform(self, X: Data) -> Any:
        """The learned representation: the two messages that meet at the root.

        Parameters
        ----------
        X : array-like or data frame of shape (n_samples, n_features)

        Returns
        -------
        vectors : ndarray of shape (n_samples, n_features_out)
            The scores are bilinear in the message of the left half of the tree and in that of the
            right half.
        """
        coords = self._coordinates(X)
        return predict.root_messages(self.basis_, self.network_, coords)

    def __sklearn_tags__(self):
        tags = super().__sklearn_tags__()
        tags.input_tags.allow_nan = True
        tags.input_tags.three_d_array = True
        tags.transformer_tags.preserves_dtype = ["float64", "float32"]
        return tags
