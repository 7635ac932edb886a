"""What the matrix product state estimators for tables share: parameters, fitting, prediction."""

import warnings
from numbers import Integral, Real

import jax
import numpy as np
from sklearn.base import BaseEstimator, ClassNamePrefixFeaturesOutMixin, TransformerMixin
from sklearn.callback import CallbackSupportMixin
from sklearn.exceptions import ConvergenceWarning
from sklearn.utils import check_random_state
from sklearn.utils._param_validation import HasMethods, Interval, StrOptions
from sklearn.utils.validation import check_is_fitted

from sktn.chains import predict
from sktn.chains.training import (
    CHAIN_LOSSES,
    chain_context,
    chain_networks,
    chain_params,
    choose_alpha,
    initial_params,
    search_rows,
    split_rows,
)
from sktn.embeddings import EMBEDDINGS
from sktn.initializers import STARTS
from sktn.networks import mps
from sktn.solvers import convex_chain, gradient
from sktn.solvers.relevance import relevances
from sktn.tables.reading import read_table
from sktn.tables.sites import fit_sites, order_sites

# The convex solver holds rows x landmarks numbers; beyond this, mini-batches take over.
_LARGEST_DESIGN = 2**28
# Rows, in landmarks, that the convex start of a gradient solver looks at.
_START_ROWS = 4


class BaseChain(
    CallbackSupportMixin,
    ClassNamePrefixFeaturesOutMixin,
    TransformerMixin,
    BaseEstimator,
):
    """Estimator of one or several chains on a table.

    A subclass says what the target is, by `_fit_target`, `_apply_target`, `_objective`,
    `_loss_name`, `_loss_shape`, `_make_folds`, `_strata` and `_held_out_score`.
    """

    _parameter_constraints: dict = {
        "bond_dim": [Interval(Integral, 1, None, closed="left")],
        "embedding": [StrOptions(set(EMBEDDINGS)), callable, HasMethods(["evaluate"])],
        "degree": [Interval(Integral, 1, None, closed="left")],
        "scaling": [StrOptions({"quantile", "standard", "minmax", "mixed", "common", "none"})],
        "alpha": [Interval(Real, 0, None, closed="left"), StrOptions({"auto"})],
        "interaction_penalty": [Interval(Real, 0, None, closed="left")],
        "smoothness": [Interval(Real, 0, None, closed="left")],
        "relevance": [StrOptions({"equal", "auto"}), "array-like"],
        "solver": [StrOptions({"auto", "convex", "sweep", "adam", "lbfgs"})],
        "max_landmarks": [Interval(Integral, 1, None, closed="left")],
        "truncation_tol": [Interval(Real, 0, 1, closed="left"), None],
        "learning_rate": [Interval(Real, 0, None, closed="neither")],
        "optimizer": [HasMethods(["init", "update"]), None],
        "init": [StrOptions({"auto", "convex", *STARTS}), callable],
        "max_iter": [Interval(Integral, 1, None, closed="left")],
        "batch_size": [Interval(Integral, 1, None, closed="left")],
        "early_stopping": ["boolean"],
        "validation_fraction": [Interval(Real, 0, 1, closed="neither")],
        "n_iter_no_change": [Interval(Integral, 1, None, closed="left"), None],
        "tol": [Interval(Real, 0, None, closed="left")],
        "n_estimators": [Interval(Integral, 1, None, closed="left")],
        "feature_order": [StrOptions({"given", "correlation", "random"}), "array-like"],
        "output_site": [Interval(Integral, 0, None, closed="left"), None],
        "categorical_features": ["array-like", StrOptions({"from_dtype"}), None],
        "missing": [StrOptions({"marginal", "indicator"})],
        "warm_start": ["boolean"],
        "dtype": [StrOptions({"float32", "float64"}), None],
        "random_state": ["random_state"],
        "verbose": ["verbose"],
    }

    _doc_link_module = "sktn"
    _doc_link_template = (
        "https://sktn.readthedocs.io/en/stable/generated/{estimator_module}.{estimator_name}.html"
    )
    # The strengths that alpha="auto" chooses from, strongest first; what partial_fit, which cannot
    # look ahead, and tables too small for folds take instead.
    _alphas = ()
    _default_alpha = 0.1

    def _fit(self, X, y, sample_weight):
        """Everything `fit` does once its input has been read."""
        self._check_solver()
        target, weight, found = self._fit_target(y, sample_weight)
        rng = check_random_state(self.random_state)
        ctx = self._init_callback_context(max_subtasks=self.max_iter)
        ctx.call_on_fit_task_begin(estimator=self, X=X, y=y)

        columns, basis, coords = self._fit_sites(X, weight)
        solver = self._resolve_solver(len(X))
        objective = self._objective(target, found, coords.dtype)
        relevance = self._relevance(columns, basis, coords, objective, weight, rng)
        g = self._charges(columns, basis, relevance)
        objective, alpha = self._tuned(objective, basis, coords, g, weight, rng)
        indices = self._site_indices(columns, basis, coords, weight, rng)
        self._check_memory(basis.dim, columns.n_sites, objective.n_scores)
        previous = getattr(self, "networks_", None) if self.warm_start else None
        for name, value in found.items():
            setattr(self, name, value)
        self.alpha_, self.columns_, self.basis_ = alpha, columns, basis
        self.relevance_ = relevance
        with jax.enable_x64(X.dtype == np.float64):
            if solver in ("convex", "sweep"):
                self._fit_convex(
                    basis, coords, g, objective, weight, alpha, indices, rng, solver == "sweep"
                )
            else:
                self._fit_gradient(
                    basis,
                    coords,
                    g,
                    objective,
                    target,
                    weight,
                    alpha,
                    indices,
                    rng,
                    solver,
                    previous,
                    ctx,
                    X,
                    y,
                )
        self._summarise()
        ctx.call_on_fit_task_end(estimator=self, X=X, y=y, reconstruction_attributes={})
        return self

    def _fit_sites(self, X, weight):
        return fit_sites(
            X,
            weight,
            self.is_categorical_,
            embedding=self.embedding,
            degree=self.degree,
            scaling=self.scaling,
            missing=self.missing,
        )

    def _relevance(self, columns, basis, coords, objective, weight, rng):
        """The factors of all columns of the table, 0 for those without a site."""
        relevance = np.zeros(columns.n_columns)
        if isinstance(self.relevance, str):
            relevance[columns.kept] = 1.0
            if self.relevance == "auto":
                g = convex_chain.penalty_weights(basis, self.interaction_penalty, self.smoothness)
                relevance[columns.kept] = relevances(
                    basis, coords, g, objective.response, weight, rng
                )
            return relevance
        given = np.asarray(self.relevance, dtype=np.float64)
        if given.shape != relevance.shape or not (np.isfinite(given) & (given >= 0)).all():
            raise ValueError(
                f"relevance must be {len(relevance)} finite numbers, none negative, one for every "
                f"column of X (or group of columns that shares a site); got {self.relevance!r}."
            )
        relevance[columns.kept] = given[columns.kept]
        return relevance

    def _charges(self, columns, basis, relevance):
        return convex_chain.penalty_weights(
            basis, self.interaction_penalty, self.smoothness, relevance[columns.kept]
        )

    def _tuned(self, objective, basis, coords, g, weight, rng):
        """The objective, with what the data say of its shape, and the strength."""
        if self.alpha != "auto":
            return objective, float(self.alpha)
        rows = search_rows(weight, 3000, rng)
        folds = self._make_folds(objective, rows, rng)
        if folds is None:
            return objective, self._default_alpha
        return objective, choose_alpha(
            basis, coords, g, objective, weight, rows, folds, rng, self._alphas
        )[0]

    def _partial_fit(self, X, y, sample_weight, first, **known):
        """One pass of mini-batches over a chunk of rows, input read."""
        if first:
            target, weight, found = self._fit_target(y, sample_weight, **known)
            rng = check_random_state(self.random_state)
            columns, basis, coords = self._fit_sites(X, weight)
            indices = self._site_indices(columns, basis, coords, weight, rng)
            objective = self._objective(target, found, coords.dtype)
            relevance = self._relevance(columns, basis, coords, objective, weight, rng)
            self._check_memory(basis.dim, columns.n_sites, objective.n_scores)
            for name, value in found.items():
                setattr(self, name, value)
            self.columns_, self.basis_, self.relevance_ = columns, basis, relevance
            self.alpha_ = self._default_alpha if self.alpha == "auto" else float(self.alpha)
            self._stream = {
                "indices": indices,
                "state": None,
                "weight": 0.0,
                "seed": rng.randint(2**31 - 1),
                "n_calls": 0,
                "dtype": coords.dtype,
            }
            params = None
        else:
            target, weight = self._apply_target(y, sample_weight)
            if getattr(self, "_stream", None) is None:
                self._stream = {
                    "indices": np.stack([network["index"] for network in self.networks_]),
                    "state": None,
                    "weight": self._total_weight,
                    "seed": 0,
                    "n_calls": 0,
                    "dtype": self.networks_[0]["arms"].dtype,
                }
            coords = self.columns_.transform(X.astype(self._stream["dtype"], copy=False))
            params = self.networks_
        stream = self._stream
        g = self._charges(self.columns_, self.basis_, self.relevance_)
        stream["weight"] += float(weight.sum())
        stream["n_calls"] += 1
        objective = self._objective(target, vars(self), coords.dtype)
        with jax.enable_x64(coords.dtype == np.float64):
            key = jax.random.key(stream["seed"] + stream["n_calls"])
            context = self._context(objective, g, stream["weight"], stream["indices"])
            if params is None:
                params = self._start(
                    self.basis_,
                    coords,
                    g,
                    objective,
                    weight,
                    self.alpha_,
                    stream["indices"],
                    np.random.RandomState(stream["seed"]),
                )
            else:
                params = chain_params(params, g)
            result = gradient.minimize(
                CHAIN_LOSSES[self._loss_name()],
                params,
                {"coords": coords, "target": target},
                weight,
                context,
                key,
                batch_size=self.batch_size,
                max_iter=1,
                learning_rate=self._step_size(),
                transformation=self.optimizer,
                constant_rate=True,
                state=stream["state"],
                chunk=1,
            )
            stream["state"] = jax.tree.map(np.asarray, result.state)
            self.networks_ = chain_networks(result.params, stream["indices"], g)
        self._warn_unless(result.finite)
        self.loss_curve_ = np.append(getattr(self, "loss_curve_", []), result.losses)
        self.n_iter_ = len(self.loss_curve_)
        self.validation_score_ = self.truncation_error_ = None
        self._summarise()
        return self

    def _context(self, objective, g, total_weight, indices):
        return chain_context(
            self.basis_,
            g,
            self.alpha_ * objective.ridge_share,
            total_weight,
            indices,
            self._loss_shape(objective),
            g.dtype,
        )

    def _fit_convex(self, basis, coords, g, objective, weight, alpha, indices, rng, sweeps):
        self.networks_, curves, truncations = self._convex_networks(
            basis, coords, g, objective, weight, alpha, indices, rng, sweeps
        )
        self.loss_curve_, self.truncation_error_ = curves[0], truncations[0]
        self.n_iter_, self.validation_score_ = len(self.loss_curve_), None
        self._total_weight = float(weight.sum())
        self._warn_unless(all(np.isfinite(a).all() for net in self.networks_ for a in net.values()))

    def _convex_networks(
        self, basis, coords, g, objective, weight, alpha, indices, rng, sweeps=False
    ):
        """Networks, loss curves and truncation errors of all orders of the sites."""
        networks, curves, truncations = [], [], []
        for index in indices:
            landmarks = convex_chain.choose_landmarks(weight, self.max_landmarks, rng)
            noise = np.random.default_rng(rng.randint(2**31 - 1))
            design = convex_chain.make_design(basis, coords, g, landmarks)
            arms, readout, curve, lost = convex_chain.fit_chain(
                design,
                basis,
                coords,
                g,
                objective,
                weight,
                alpha,
                index,
                self.bond_dim,
                self.tol,
                noise,
            )
            network = {"arms": arms, "readout": readout, "index": index}
            if sweeps:
                network, more = convex_chain.sweep_chain(
                    network,
                    basis,
                    coords,
                    g,
                    objective,
                    weight,
                    alpha,
                    self.bond_dim,
                    noise,
                    two_site=self.truncation_tol is not None,
                    truncation_tol=self.truncation_tol or 0.0,
                    max_sweeps=self.max_iter,
                    tol=1000 * self.tol,
                )
                curve = np.concatenate([curve, more[1:]])
            networks.append(network)
            curves.append(curve)
            truncations.append(lost)
        return networks, curves, truncations

    def _fit_gradient(
        self,
        basis,
        coords,
        g,
        objective,
        target,
        weight,
        alpha,
        indices,
        rng,
        solver,
        previous,
        ctx,
        X,
        y,
    ):
        train = np.arange(len(coords))
        held_out = None
        if self.early_stopping and solver == "adam":
            train, held_out = split_rows(
                len(coords), self.validation_fraction, self._strata(target), rng
            )
        key = jax.random.key(rng.randint(2**31 - 1))
        params = None
        if previous is not None and self._fits(previous, indices, basis, objective):
            params = chain_params(previous, g)
            indices = np.stack([network["index"] for network in previous])
        if params is None:
            params = self._start(
                basis, coords[train], g, objective.take(train), weight[train], alpha, indices, rng
            )
        total = float(weight[train].sum())
        context = self._context(objective, g, total, indices)
        data = {"coords": coords[train], "target": target[train]}
        if solver == "lbfgs":
            result = gradient.minimize_lbfgs(
                CHAIN_LOSSES[self._loss_name()],
                params,
                data,
                weight[train],
                context,
                max_iter=10 * self.max_iter,
                tol=self.tol,
            )
        else:
            validation = None
            if held_out is not None:
                rows = {"coords": coords[held_out], "target": target[held_out]}
                size = -(-len(held_out) // 64) * 64
                rows, rows_weight = gradient.pad_rows((rows, weight[held_out]), len(held_out), size)
                validation = (rows, rows_weight, {**context, "ridge": 0 * context["ridge"]})

            listening = bool(getattr(self, "_skl_callbacks", None))

            def on_epoch(epoch, loss, held_out_loss, params):
                if self.verbose:
                    more = "" if held_out is None else f", held-out loss {held_out_loss:.5f}"
                    print(f"Epoch {epoch}: loss {loss:.5f}{more}")
                if not listening:
                    return False

                def fitted():
                    return {"networks_": chain_networks(params, indices, g)}

                sub = ctx.subcontext(task_name="epoch")
                sub.call_on_fit_task_begin(estimator=self, X=X, y=y)
                return sub.call_on_fit_task_end(
                    estimator=self, X=X, y=y, reconstruction_attributes=fitted
                )

            result = gradient.minimize(
                CHAIN_LOSSES[self._loss_name()],
                params,
                data,
                weight[train],
                context,
                key,
                batch_size=self.batch_size,
                max_iter=self.max_iter,
                learning_rate=self._step_size(),
                transformation=self.optimizer,
                validation=validation,
                n_iter_no_change=self.n_iter_no_change,
                tol=self.tol,
                chunk=1 if listening else 10,
                on_epoch=on_epoch,
            )
        self.networks_ = chain_networks(result.params, indices, g)
        self._total_weight = total
        self.loss_curve_, self.n_iter_ = result.losses, len(result.losses)
        self.truncation_error_ = self.validation_score_ = None
        if held_out is not None and result.finite:
            self.validation_score_ = self._held_out_score(
                coords[held_out], target[held_out], weight[held_out]
            )
        self._warn_unless(result.finite)
        if result.finite and not result.converged:
            warnings.warn(
                f"Solver {solver!r} stopped after {len(result.losses)} iterations before the loss "
                "settled: increase max_iter.",
                ConvergenceWarning,
                stacklevel=4,
            )

    def _start(self, basis, coords, g, objective, weight, alpha, indices, rng):
        """Parameters that "adam" and "lbfgs" begin with."""
        init = self.init
        if init == "auto":
            init = "convex" if self.solver == "auto" else "constant"
        if init != "convex":
            start = np.random.default_rng(rng.randint(2**31 - 1))
            return initial_params(
                start, basis, indices, self.bond_dim, objective.n_scores, coords.dtype, init
            )
        rows = search_rows(weight, _START_ROWS * self.max_landmarks, rng)
        networks, _, _ = self._convex_networks(
            basis, coords[rows], g, objective.take(rows), weight[rows], alpha, indices, rng
        )
        return chain_params(networks, g)

    def _fits(self, networks, indices, basis, objective):
        """Whether networks are of the shape that a fit would give."""
        D, h = self.bond_dim, indices.shape[1]
        arms, readout = networks[0]["arms"].shape, networks[0]["readout"].shape
        sites = np.sort(np.stack([network["index"] for network in networks]), axis=None)
        return (
            arms == (h, 2, D, basis.dim, D)
            and readout == (D, objective.n_scores, D)
            and np.array_equal(sites, np.sort(indices, axis=None))
        )

    def _check_solver(self):
        if self.optimizer is not None and self.solver in ("convex", "sweep", "lbfgs"):
            raise ValueError(
                f"optimizer is used by solver='adam' only, but solver={self.solver!r}."
            )
        if self.early_stopping and self.solver in ("convex", "sweep", "lbfgs"):
            raise ValueError(
                "early_stopping=True is for solver='adam': the other solvers minimise the "
                f"penalised loss to the end. Got solver={self.solver!r}."
            )

    def _resolve_solver(self, n_rows):
        if self.solver != "auto":
            return self.solver
        if self.optimizer is not None or self.early_stopping or self.warm_start:
            return "adam"
        fits = n_rows * min(n_rows, self.max_landmarks) <= _LARGEST_DESIGN
        return "sweep" if fits else "adam"

    def _step_size(self):
        # A step of all cores the same way multiplies the chain's norm by about exp(n * step): over
        # a thousand sites that leaves float32.
        return self.learning_rate * min(1.0, 64 / self.columns_.n_sites)

    def _check_memory(self, d, n, n_classes):
        entries = self.n_estimators * self.bond_dim**2 * (d * n + max(1, n_classes))
        if entries > 2**31:
            raise ValueError(
                f"bond_dim={self.bond_dim} with {n} sites of dimension {d} needs {entries:.2e} "
                "numbers in the network alone: use a smaller bond_dim or degree."
            )

    def _site_indices(self, columns, basis, coords, weight, rng):
        n = columns.n_sites
        p = n // 2 if self.output_site is None else self.output_site
        if p > n:
            raise ValueError(
                f"output_site={p} is beyond the end of the chain: it has {n} sites (columns that "
                f"are not constant), so output_site must be in [0, {n}]."
            )
        orders = [order_sites(self.feature_order, columns, basis, coords, rng, weight)]
        orders += [rng.permutation(n) for _ in range(self.n_estimators - 1)]
        return np.stack([mps.site_index(n, p, order) for order in orders])

    def _summarise(self):
        n = self.columns_.n_sites
        self.bond_dims_ = predict.bond_dims(self.networks_[0], n)
        self.cores_ = predict.chain_cores(self.networks_[0], n)
        self._n_features_out = 2 * self.networks_[0]["readout"].shape[0] * len(self.networks_)

    def _warn_unless(self, finite):
        if not finite:
            warnings.warn(
                "The loss is no longer finite; the last finite parameters were kept. Use a smaller "
                "learning_rate, a larger alpha or interaction_penalty, or dtype='float64'.",
                ConvergenceWarning,
                stacklevel=5,
            )

    def _coordinates(self, X):
        check_is_fitted(self)
        X = read_table(self, X, reset=False)
        return self.columns_.transform(X.astype(self.networks_[0]["arms"].dtype, copy=False))

    def transform(self, X):
        """The learned representation: the left and right bond vectors at the class index.

        Parameters
        ----------
        X : array-like or data frame of shape (n_samples, n_features)

        Returns
        -------
        vectors : ndarray of shape (n_samples, 2 * bond_dim * n_estimators)
            The scores are bilinear in the left and the right half of a network's part.
        """
        coords = self._coordinates(X)
        parts = [predict.bond_vectors(self.basis_, network, coords) for network in self.networks_]
        return np.concatenate(parts, axis=1)

    def __sklearn_tags__(self):
        tags = super().__sklearn_tags__()
        tags.input_tags.allow_nan = True
        tags.transformer_tags.preserves_dtype = ["float64", "float32"]
        return tags
