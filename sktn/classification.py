"""Matrix product state classifier for tables."""

import warnings
from numbers import Integral, Real

import jax
import numpy as np
from scipy.special import logsumexp
from sklearn.base import (
    BaseEstimator,
    ClassifierMixin,
    ClassNamePrefixFeaturesOutMixin,
    TransformerMixin,
    _fit_context,
)
from sklearn.callback import CallbackSupportMixin, with_callbacks
from sklearn.exceptions import ConvergenceWarning
from sklearn.utils import check_random_state, compute_class_weight
from sklearn.utils._param_validation import HasMethods, Interval, StrOptions
from sklearn.utils.multiclass import check_classification_targets
from sklearn.utils.validation import _check_sample_weight, check_is_fitted

from sktn import _base
from sktn._training import (
    chain_context,
    chain_loss,
    chain_networks,
    chain_params,
    choose_alpha,
    initial_params,
    split_rows,
)
from sktn.embeddings import EMBEDDINGS
from sktn.initializers import STARTS
from sktn.losses import log_probabilities
from sktn.networks import mps
from sktn.solvers import compressed, gradient

# The convex solver holds rows x landmarks numbers; beyond this, mini-batches take over.
_LARGEST_DESIGN = 2**28


class MPSClassifier(
    CallbackSupportMixin,
    ClassNamePrefixFeaturesOutMixin,
    ClassifierMixin,
    TransformerMixin,
    BaseEstimator,
):
    """Matrix product state classifier for tables.

    Every column becomes a vector of basis functions (orthonormal polynomials of its ranks by
    default), and the class scores are a multilinear function of them whose weight tensor is a
    matrix product state. The loss is the cross-entropy plus a ridge in function space,

        alpha * sum_{s != 0} [prod_i g(s_i)] W[s]^2 ,  g(0) = 1,  g(s) = omega s^(2q) ,

    exact and independent of the gauge, which charges a k-way interaction omega^k and degree s like
    a smoothing spline does.

    Parameters
    ----------
    bond_dim : int, default=16
        Largest bond dimension D. Cost grows as D^2, what can be represented with D.
    embedding : str, embedding or callable, default="legendre"
        Local basis: a name ("legendre", "polynomial", "hermite", "laguerre", "chebyshev",
        "fourier", "trigonometric", "linear_complement", "rbf", "one_hot"), an object of
        :mod:`sktn.embeddings`, or a function from [-1, 1] to vectors written with
        ``jax.numpy``. Made orthonormal under the training distribution of each column, so among
        polynomial families only the order in which degrees are charged differs.
    degree : int, default=8
        Largest degree of the basis. With `smoothness` >= 1 it hardly matters once it is large.
    scaling : {"quantile", "standard", "minmax", "mixed", "none"}, default="quantile"
        How numeric columns reach the basis: by rank; standardised and clipped at 3 sigma; by
        range; both of the first ("mixed": a linear term in the standardised value and a
        polynomial in the rank); or as they are ("none": values already in the basis's interval).
    alpha : float or "auto", default="auto"
        Strength of the ridge, against a sum (not a mean) of losses, so one value serves tables of
        any length. "auto": the best of 9 values from 3 to 0.0003 by cross-validation in the
        convex limit; see `alpha_`.
    interaction_penalty : float, default=1.0
        omega in units of the number of columns with a site. Larger values make the model more
        additive.
    smoothness : float, default=1.0
        q; 0 charges all degrees alike.
    solver : {"auto", "convex", "adam", "lbfgs"}, default="auto"
        "convex": the exact minimiser at unlimited bond dimension (a logistic regression in an ANOVA
        kernel), compressed to `bond_dim`, and its readout refitted; deterministic but for the
        choice of landmarks, and the most accurate. "adam": mini-batches, for very long tables and
        for `partial_fit`. "lbfgs": full batch. "auto": "convex" while its features fit memory.
    max_landmarks : int, default=1000
        Rows that carry the expansion of the convex solver (Nystroem). Tables with fewer rows are
        solved exactly.
    learning_rate : float, default=0.02
        Peak learning rate of "adam", with warm-up and cosine decay. On chains of more than 64
        sites it is multiplied by 64 / n_sites.
    optimizer : optax.GradientTransformation, default=None
        Replaces Adam, its schedule and `learning_rate` in solver "adam".
    init : str or callable, default="constant"
        Start of "adam" and "lbfgs": "constant", "identity", "copy", "gaussian", "isometric",
        "ones", "zeros", or a function with the signature of :mod:`sktn.initializers`, for inputs
        divided by sqrt(g).
    max_iter : int, default=100
        Epochs of "adam"; iterations of "lbfgs" are ten times as many.
    batch_size : int, default=200
    early_stopping : bool, default=False
        Hold out `validation_fraction` of the rows in solver "adam" and keep the parameters of the
        epoch that is best on them.
    validation_fraction : float, default=0.1
    n_iter_no_change : int, default=10
        Epochs without an improvement by `tol` after which "adam" stops.
    tol : float, default=1e-6
        Relative decrease of the loss at which "convex" stops; absolute for "adam"; norm of the
        gradient for "lbfgs".
    n_estimators : int, default=1
        Average the probabilities of this many networks, which differ in seed, in the order of the
        columns (from the second on) and in their landmarks. With "adam" and "lbfgs" they train in
        one compiled program.
    class_weight : dict or "balanced", default=None
    feature_order : {"given", "correlation", "random"} or array of int, default="correlation"
        Order of the columns along the chain; a chain compresses best when related columns are
        neighbours. "correlation": spectral ordering by squared correlations.
    output_site : int, default=None
        Number of sites left of the class index; None: the middle.
    categorical_features : "from_dtype", None, or array-like, default="from_dtype"
        As in :class:`~sklearn.ensemble.HistGradientBoostingClassifier`. A level not seen in
        training counts as missing.
    missing : {"marginal", "indicator"}, default="marginal"
        "marginal": a missing value averages the network over the column. "indicator": columns with
        missing training values also get a component that says so.
    warm_start : bool, default=False
        Solvers "adam" and "lbfgs" go on from the last networks where their shapes agree.
    dtype : {"float32", "float64"}, default=None
        None: that of X.
    random_state : int, RandomState instance or None, default=None
    verbose : int, default=0

    Attributes
    ----------
    classes_ : ndarray of shape (n_classes,)
    alpha_ : float
        Strength used.
    n_iter_ : int
        Newton steps, epochs or iterations.
    loss_curve_ : ndarray of shape (n_iter_,)
        Penalised training loss, per unit of sample weight. For "convex" it has two parts: the
        convex limit, then the refit of the readout, whose first value shows what the truncation
        cost.
    validation_score_ : float or None
        Best accuracy on the held-out rows of early stopping.
    truncation_error_ : float or None
        Share of the squared norm of the convex solution that `bond_dim` cuts off.
    networks_ : list of dict
        For every network its `arms` (h, 2, D, d, D), `readout` (D, c, D) and `index` (h, 2); see
        :mod:`sktn.networks.mps`.
    cores_ : list of ndarray of shape (D_left, d, D_right)
        The cores of the first network along its chain.
    bond_dims_ : ndarray of shape (n_sites + 2,)
        Bond dimensions of the first network; the readout counts as a site.
    columns_, basis_ : fitted column preparation and local basis
    n_features_in_ : int
    feature_names_in_ : ndarray of shape (n_features_in_,)
        Only when X has string column names.

    See Also
    --------
    MPSClassifierCV : Chooses basis and penalties, and averages the best.

    References
    ----------
    .. [1] Stoudenmire and Schwab, "Supervised learning with tensor networks", NeurIPS 2016.
    .. [2] Puljak et al., "tn4ml: Tensor Network Training and Customization for Machine Learning",
       arXiv:2502.13090, 2025.

    Examples
    --------
    >>> from sklearn.datasets import load_iris
    >>> from sktn import MPSClassifier
    >>> X, y = load_iris(return_X_y=True)
    >>> model = MPSClassifier(random_state=0).fit(X, y)
    >>> model.score(X, y) > 0.95
    True
    """

    _parameter_constraints: dict = {
        "bond_dim": [Interval(Integral, 1, None, closed="left")],
        "embedding": [StrOptions(set(EMBEDDINGS)), callable, HasMethods(["evaluate"])],
        "degree": [Interval(Integral, 1, None, closed="left")],
        "scaling": [StrOptions({"quantile", "standard", "minmax", "mixed", "none"})],
        "alpha": [Interval(Real, 0, None, closed="left"), StrOptions({"auto"})],
        "interaction_penalty": [Interval(Real, 0, None, closed="left")],
        "smoothness": [Interval(Real, 0, None, closed="left")],
        "solver": [StrOptions({"auto", "convex", "adam", "lbfgs"})],
        "max_landmarks": [Interval(Integral, 1, None, closed="left")],
        "learning_rate": [Interval(Real, 0, None, closed="neither")],
        "optimizer": [HasMethods(["init", "update"]), None],
        "init": [StrOptions(set(STARTS)), callable],
        "max_iter": [Interval(Integral, 1, None, closed="left")],
        "batch_size": [Interval(Integral, 1, None, closed="left")],
        "early_stopping": ["boolean"],
        "validation_fraction": [Interval(Real, 0, 1, closed="neither")],
        "n_iter_no_change": [Interval(Integral, 1, None, closed="left"), None],
        "tol": [Interval(Real, 0, None, closed="left")],
        "n_estimators": [Interval(Integral, 1, None, closed="left")],
        "class_weight": [dict, StrOptions({"balanced"}), None],
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

    def __init__(
        self,
        *,
        bond_dim=16,
        embedding="legendre",
        degree=8,
        scaling="quantile",
        alpha="auto",
        interaction_penalty=1.0,
        smoothness=1.0,
        solver="auto",
        max_landmarks=1000,
        learning_rate=0.02,
        optimizer=None,
        init="constant",
        max_iter=100,
        batch_size=200,
        early_stopping=False,
        validation_fraction=0.1,
        n_iter_no_change=10,
        tol=1e-6,
        n_estimators=1,
        class_weight=None,
        feature_order="correlation",
        output_site=None,
        categorical_features="from_dtype",
        missing="marginal",
        warm_start=False,
        dtype=None,
        random_state=None,
        verbose=0,
    ):
        self.bond_dim = bond_dim
        self.embedding = embedding
        self.degree = degree
        self.scaling = scaling
        self.alpha = alpha
        self.interaction_penalty = interaction_penalty
        self.smoothness = smoothness
        self.solver = solver
        self.max_landmarks = max_landmarks
        self.learning_rate = learning_rate
        self.optimizer = optimizer
        self.init = init
        self.max_iter = max_iter
        self.batch_size = batch_size
        self.early_stopping = early_stopping
        self.validation_fraction = validation_fraction
        self.n_iter_no_change = n_iter_no_change
        self.tol = tol
        self.n_estimators = n_estimators
        self.class_weight = class_weight
        self.feature_order = feature_order
        self.output_site = output_site
        self.categorical_features = categorical_features
        self.missing = missing
        self.warm_start = warm_start
        self.dtype = dtype
        self.random_state = random_state
        self.verbose = verbose

    @with_callbacks
    @_fit_context(prefer_skip_nested_validation=True)
    def fit(self, X, y, sample_weight=None):
        """Fit the networks.

        Parameters
        ----------
        X : array-like or data frame of shape (n_samples, n_features)
            NaN is a missing value.
        y : array-like of shape (n_samples,)
        sample_weight : array-like of shape (n_samples,), default=None
            An integer weight is the same as repeating the row.

        Returns
        -------
        self : object
        """
        X, y = _base.read_table(self, X, y, reset=True, dtype=self.dtype)
        check_classification_targets(y)
        sample_weight = _check_sample_weight(
            sample_weight, X, dtype=X.dtype, ensure_non_negative=True
        )
        classes, labels = np.unique(y, return_inverse=True)
        weight = sample_weight * self._class_weights(classes, labels, y)
        seen = classes[np.unique(labels[weight > 0])]
        if len(seen) < 2:
            raise ValueError(
                f"MPSClassifier needs at least 2 classes with positive weight; got {len(seen)} "
                f"class: {seen!r}."
            )
        rng = check_random_state(self.random_state)
        self._check_solver()
        ctx = self._init_callback_context(max_subtasks=self.max_iter)
        ctx.call_on_fit_task_begin(estimator=self, X=X, y=y)

        columns, basis, coords = _base.fit_sites(
            X, weight, self.is_categorical_, embedding=self.embedding, degree=self.degree,
            scaling=self.scaling, missing=self.missing,
        )  # fmt: skip
        g = compressed.penalty_weights(basis, self.interaction_penalty, self.smoothness)
        solver = self._resolve_solver(len(X))
        n_classes = len(classes)
        if self.alpha == "auto":
            alpha = choose_alpha(basis, coords, g, labels, n_classes, weight, rng)
        else:
            alpha = float(self.alpha)
        indices = self._site_indices(columns, basis, coords, weight, rng)
        self._check_memory(basis.dim, columns.n_sites, n_classes)
        previous = getattr(self, "networks_", None) if self.warm_start else None
        self.classes_, self.alpha_, self.columns_, self.basis_ = classes, alpha, columns, basis
        table = (basis, coords, g, labels, n_classes, weight, alpha, indices)
        with jax.enable_x64(X.dtype == np.float64):
            if solver == "convex":
                self._fit_convex(*table, rng)
            else:
                self._fit_gradient(*table, rng, solver, previous, ctx, X, y)
        self._summarise()
        ctx.call_on_fit_task_end(estimator=self, X=X, y=y, reconstruction_attributes={})
        return self

    @_fit_context(prefer_skip_nested_validation=True)
    def partial_fit(self, X, y, classes=None, sample_weight=None):
        """One pass of mini-batches over a chunk of rows, by Adam at a constant learning rate.

        The columns' scaling and basis are fitted to the first chunk, which should be typical.

        Parameters
        ----------
        X : array-like or data frame of shape (n_samples, n_features)
        y : array-like of shape (n_samples,)
        classes : array-like of shape (n_classes,), default=None
            All classes; required in the first call.
        sample_weight : array-like of shape (n_samples,), default=None

        Returns
        -------
        self : object
        """
        first = not hasattr(self, "networks_")
        if first and classes is None:
            raise ValueError("classes must be passed on the first call to partial_fit.")
        X, y = _base.read_table(self, X, y, reset=first, dtype=self.dtype)
        check_classification_targets(y)
        sample_weight = _check_sample_weight(
            sample_weight, X, dtype=X.dtype, ensure_non_negative=True
        )
        known = np.unique(classes) if classes is not None else self.classes_
        if not first and not np.array_equal(known, self.classes_):
            raise ValueError(
                f"classes={known!r} is not the same as on the first call: {self.classes_!r}."
            )
        unknown = np.setdiff1d(y, known)
        if len(unknown):
            raise ValueError(f"y has labels that are not in classes: {unknown!r}.")
        if len(known) < 2:
            raise ValueError(f"MPSClassifier needs at least 2 classes; got 1 class: {known!r}.")
        labels = np.searchsorted(known, y)
        weight = sample_weight * self._class_weights(known, labels, y)
        if first:
            rng = check_random_state(self.random_state)
            columns, basis, coords = _base.fit_sites(
                X, weight, self.is_categorical_, embedding=self.embedding, degree=self.degree,
                scaling=self.scaling, missing=self.missing,
            )  # fmt: skip
            self._check_memory(basis.dim, columns.n_sites, len(known))
            indices = self._site_indices(columns, basis, coords, weight, rng)
            self.classes_, self.columns_, self.basis_ = known, columns, basis
            self.alpha_ = 0.1 if self.alpha == "auto" else float(self.alpha)
            self._stream = {
                "indices": indices, "state": None, "weight": 0.0, "seed": rng.randint(2**31 - 1),
                "n_calls": 0, "dtype": coords.dtype,
            }  # fmt: skip
            params = None
        else:
            stream = getattr(self, "_stream", None)
            if stream is None:
                self._stream = stream = {
                    "indices": np.stack([network["index"] for network in self.networks_]),
                    "state": None, "weight": self._total_weight, "seed": 0, "n_calls": 0,
                    "dtype": self.networks_[0]["arms"].dtype,
                }  # fmt: skip
            coords = self.columns_.transform(X.astype(stream["dtype"], copy=False))
            params = self.networks_
        stream = self._stream
        g = compressed.penalty_weights(self.basis_, self.interaction_penalty, self.smoothness)
        stream["weight"] += float(weight.sum())
        stream["n_calls"] += 1
        with jax.enable_x64(coords.dtype == np.float64):
            key = jax.random.key(stream["seed"] + stream["n_calls"])
            context = chain_context(
                self.basis_, g, self.alpha_, stream["weight"], stream["indices"], coords.dtype
            )
            if params is None:
                start = np.random.default_rng(stream["seed"])
                params = initial_params(
                    start, self.basis_, stream["indices"], self.bond_dim, len(known), coords.dtype,
                    self.init,
                )  # fmt: skip
            else:
                params = chain_params(params, g)
            result = gradient.minimize(
                chain_loss, params, {"coords": coords, "labels": labels}, weight, context, key,
                batch_size=self.batch_size, max_iter=1, learning_rate=self._step_size(),
                transformation=self.optimizer, constant_rate=True, state=stream["state"], chunk=1,
            )  # fmt: skip
            stream["state"] = jax.tree.map(np.asarray, result.state)
            self.networks_ = chain_networks(result.params, stream["indices"], g)
        self._warn_unless(result.finite)
        self.loss_curve_ = np.append(getattr(self, "loss_curve_", []), result.losses)
        self.n_iter_ = len(self.loss_curve_)
        self.validation_score_ = self.truncation_error_ = None
        self._summarise()
        return self

    def _fit_convex(self, basis, coords, g, labels, n_classes, weight, alpha, indices, rng):
        networks, curves, truncations = [], [], []
        for index in indices:
            landmarks = compressed.choose_landmarks(weight, self.max_landmarks, rng)
            design = compressed.make_design(basis, coords, g, landmarks)
            arms, readout, curve, lost = compressed.fit_chain(
                design, basis, coords, g, labels, n_classes, weight, alpha, index, self.bond_dim,
                self.tol, np.random.default_rng(rng.randint(2**31 - 1)),
            )  # fmt: skip
            networks.append({"arms": arms, "readout": readout, "index": index})
            curves.append(curve)
            truncations.append(lost)
        self.networks_, self.loss_curve_ = networks, curves[0]
        self.truncation_error_ = truncations[0]
        self.n_iter_, self.validation_score_ = len(self.loss_curve_), None
        self._total_weight = float(weight.sum())
        self._warn_unless(all(np.isfinite(a).all() for net in networks for a in net.values()))

    def _fit_gradient(
        self, basis, coords, g, labels, n_classes, weight, alpha, indices, rng, solver, previous,
        ctx, X, y,
    ):  # fmt: skip
        train = np.arange(len(coords))
        held_out = None
        if self.early_stopping and solver == "adam":
            train, held_out = split_rows(labels, self.validation_fraction, rng)
        key = jax.random.key(rng.randint(2**31 - 1))
        start = np.random.default_rng(rng.randint(2**31 - 1))
        params = initial_params(
            start, basis, indices, self.bond_dim, n_classes, coords.dtype, self.init
        )
        if previous is not None:
            old = chain_params(previous, g)
            if jax.tree.map(np.shape, old) == jax.tree.map(np.shape, params):
                params = old
                indices = np.stack([network["index"] for network in previous])
        total = float(weight[train].sum())
        context = chain_context(basis, g, alpha, total, indices, coords.dtype)
        data = {"coords": coords[train], "labels": labels[train]}
        if solver == "lbfgs":
            result = gradient.minimize_lbfgs(
                chain_loss, params, data, weight[train], context, max_iter=10 * self.max_iter,
                tol=self.tol,
            )  # fmt: skip
        else:
            validation = None
            if held_out is not None:
                rows = {"coords": coords[held_out], "labels": labels[held_out]}
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
                chain_loss, params, data, weight[train], context, key,
                batch_size=self.batch_size, max_iter=self.max_iter,
                learning_rate=self._step_size(), transformation=self.optimizer,
                validation=validation, n_iter_no_change=self.n_iter_no_change, tol=self.tol,
                chunk=1 if listening else 10, on_epoch=on_epoch,
            )  # fmt: skip
        self.networks_ = chain_networks(result.params, indices, g)
        self._total_weight = total
        self.loss_curve_, self.n_iter_ = result.losses, len(result.losses)
        self.truncation_error_ = self.validation_score_ = None
        if held_out is not None and result.finite:
            predicted = np.argmax(self._joint_log_proba(coords[held_out]), axis=1)
            hits = predicted == labels[held_out]
            self.validation_score_ = float(np.average(hits, weights=weight[held_out]))
        self._warn_unless(result.finite)
        if result.finite and not result.converged:
            warnings.warn(
                f"Solver {solver!r} stopped after {len(result.losses)} iterations before the loss "
                "settled: increase max_iter.",
                ConvergenceWarning,
                stacklevel=4,
            )

    def _check_solver(self):
        if self.optimizer is not None and self.solver in ("convex", "lbfgs"):
            raise ValueError(
                f"optimizer is used by solver='adam' only, but solver={self.solver!r}."
            )
        if self.early_stopping and self.solver in ("convex", "lbfgs"):
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
        return "convex" if fits else "adam"

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

    def _class_weights(self, classes, labels, y):
        weights = compute_class_weight(self.class_weight, classes=classes, y=y)
        return weights.astype(np.float64)[labels]

    def _site_indices(self, columns, basis, coords, weight, rng):
        n = columns.n_sites
        p = n // 2 if self.output_site is None else self.output_site
        if p > n:
            raise ValueError(
                f"output_site={p} is beyond the end of the chain: it has {n} sites (columns that "
                f"are not constant), so output_site must be in [0, {n}]."
            )
        orders = [_base.order_sites(self.feature_order, columns, basis, coords, rng, weight)]
        orders += [rng.permutation(n) for _ in range(self.n_estimators - 1)]
        return np.stack([mps.site_index(n, p, order) for order in orders])

    def _summarise(self):
        n = self.columns_.n_sites
        self.bond_dims_ = _base.bond_dims(self.networks_[0], n)
        self.cores_ = _base.chain_cores(self.networks_[0], n)
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
        X = _base.read_table(self, X, reset=False)
        return self.columns_.transform(X.astype(self.networks_[0]["arms"].dtype, copy=False))

    def _joint_log_proba(self, coords):
        parts = [
            log_probabilities(_base.scores(self.basis_, network, coords))
            for network in self.networks_
        ]
        if len(parts) == 1:
            return parts[0]
        return logsumexp(parts, axis=0) - np.asarray(np.log(len(parts)), parts[0].dtype)

    def decision_function(self, X):
        """Class scores.

        Parameters
        ----------
        X : array-like or data frame of shape (n_samples, n_features)

        Returns
        -------
        scores : ndarray of shape (n_samples,) or (n_samples, n_classes)
            The log-odds of the second class for two classes, otherwise one score a class whose
            softmax is the probability.
        """
        coords = self._coordinates(X)
        if len(self.networks_) > 1:
            log_proba = self._joint_log_proba(coords)
            return log_proba[:, 1] - log_proba[:, 0] if log_proba.shape[1] == 2 else log_proba
        scores = _base.scores(self.basis_, self.networks_[0], coords)
        return scores[:, 0] if scores.shape[1] == 1 else scores

    def predict_log_proba(self, X):
        """Logarithms of the class probabilities.

        Parameters
        ----------
        X : array-like or data frame of shape (n_samples, n_features)

        Returns
        -------
        log_proba : ndarray of shape (n_samples, n_classes)
        """
        return self._joint_log_proba(self._coordinates(X))

    def predict_proba(self, X):
        """Class probabilities.

        Parameters
        ----------
        X : array-like or data frame of shape (n_samples, n_features)

        Returns
        -------
        proba : ndarray of shape (n_samples, n_classes)
        """
        return np.exp(self.predict_log_proba(X))

    def predict(self, X):
        """The most probable class.

        Parameters
        ----------
        X : array-like or data frame of shape (n_samples, n_features)

        Returns
        -------
        y : ndarray of shape (n_samples,)
        """
        best = np.argmax(self.predict_log_proba(X), axis=1)
        return self.classes_[best]

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
        parts = [_base.bond_vectors(self.basis_, network, coords) for network in self.networks_]
        return np.concatenate(parts, axis=1)

    def __sklearn_tags__(self):
        tags = super().__sklearn_tags__()
        tags.input_tags.allow_nan = True
        tags.transformer_tags.preserves_dtype = ["float64", "float32"]
        return tags
