"""Matrix product state regressor for tables."""

from numbers import Real

import numpy as np
from sklearn.base import RegressorMixin, _fit_context
from sklearn.callback import with_callbacks
from sklearn.metrics import r2_score
from sklearn.utils._param_validation import Interval, StrOptions
from sklearn.utils.validation import _check_sample_weight

from sktn.chains import predict
from sktn.chains.base import BaseChain
from sktn.chains.training import choose_alpha, random_folds, search_rows
from sktn.solvers import objectives
from sktn.tables.reading import read_table
from sktn.tables.statistics import mean_and_deviation, median_deviation, positive_rows, quantiles

# The strengths that alpha="auto" chooses from, strongest first: a regression without noise wants
# far less of the penalty than a classification.
ALPHAS = tuple(float(a) for a in 10.0 ** np.arange(1.5, -5.1, -0.5))

# The median absolute deviation of a normal distribution, in standard deviations.
_NORMAL_MAD = 0.6745
# How far |r| is rounded off in the absolute error, in units of the target's spread.
_KINK = 0.02


class MPSRegressor(RegressorMixin, BaseChain):
    """Matrix product state regressor for tables.

    The prediction is a multilinear function of the columns' basis vectors whose weight tensor is a
    matrix product state, with the ridge in function space of :class:`MPSClassifier`. The target is
    scaled inside. Several targets share one chain.

    Parameters
    ----------
    loss : {"squared_error", "absolute_error", "huber", "quantile", "poisson"}, \
default="squared_error"
        "huber": squared up to `epsilon` standard deviations of the noise, which is estimated from
        a fit by absolute errors, and linear beyond. "poisson": for counts and other non-negative
        targets, with a logarithmic link; predictions are means.
    quantile : float, default=0.5
        The quantile that loss "quantile" predicts.
    epsilon : float, default=1.35
        Of loss "huber".
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
    scaling : {"quantile", "standard", "minmax", "mixed", "common", "none"}, default="quantile"
        How numeric columns reach the basis: by rank; standardised and clipped at 3 sigma; by
        range; both of the first ("mixed": a linear term in the standardised value and a
        polynomial in the rank); all in one unit ("common", for pixels and spectra: centred only,
        so that a column of little variance is charged more); or as they are ("none": values
        already in the basis's interval).
    alpha : float or "auto", default="auto"
        Strength of the ridge, against a sum (not a mean) of losses, so one value serves tables of
        any length, in units of the target's variance. "auto": the best of 14 values from 30 to
        1e-5 by cross-validation in the convex limit; see `alpha_`.
    interaction_penalty : float, default=1.0
        omega in units of the number of columns with a site. Larger values make the model more
        additive.
    smoothness : float, default=1.0
        q; 0 charges all degrees alike.
    relevance : {"equal", "auto"} or array of shape (n_features,), default="equal"
        How much of the penalty columns are spared: the charges of column i are divided by
        relevance[i], and 0 rules it out. "auto": the factors under which the target is likeliest,
        by the evidence of a Gaussian process on 500 rows [4]_; for tables with many more rows
        than columns.
    solver : {"auto", "sweep", "convex", "adam", "lbfgs"}, default="auto"
        "convex": the exact minimiser at unlimited bond dimension (for squared errors a
        kernel ridge regression in an ANOVA kernel), compressed to
        `bond_dim`, and its readout refitted. "sweep": starts there and then minimises over one core
        after the other, which repairs what the compression moved. Both are deterministic but for
        the choice of landmarks. "adam": mini-batches, for very long tables and for `partial_fit`.
        "lbfgs": full batch. "auto": "sweep" while the features of the convex problem fit memory.
    max_landmarks : int, default=1000
        Rows that carry the expansion of the convex problem (Nystroem). Tables with fewer rows are
        solved exactly.
    truncation_tol : float, default=None
        Solver "sweep" with a number updates two neighbouring cores at a time and splits them by a
        singular value decomposition that may lose this share of the norm, so that every bond finds
        its own dimension, of at most `bond_dim`. None: one core at a time, all bonds at `bond_dim`.
    learning_rate : float, default=0.02
        Peak learning rate of "adam", with warm-up and cosine decay. On chains of more than 64
        sites it is multiplied by 64 / n_sites.
    optimizer : optax.GradientTransformation, default=None
        Replaces Adam, its schedule and `learning_rate` in solver "adam".
    init : str or callable, default="auto"
        Start of "adam" and "lbfgs": "convex" (what solver "convex" finds on 4 `max_landmarks`
        rows), "constant", "identity", "copy", "gaussian", "isometric", "ones", "zeros", or a
        function with the signature of :mod:`sktn.initializers`, for inputs divided by sqrt(g).
        "auto": "convex" where ``solver="auto"`` takes "adam", else "constant".
    max_iter : int, default=100
        Epochs of "adam", sweeps of "sweep"; iterations of "lbfgs" are ten times as many.
    batch_size : int, default=200
    early_stopping : bool, default=False
        Hold out `validation_fraction` of the rows in solver "adam" and keep the parameters of the
        epoch that is best on them.
    validation_fraction : float, default=0.1
    n_iter_no_change : int, default=10
        Epochs without an improvement by `tol` after which "adam" stops.
    tol : float, default=1e-6
        Relative decrease of the loss at which "convex" stops, a thousandth of that of a sweep;
        absolute for "adam"; norm of the gradient for "lbfgs".
    n_estimators : int, default=1
        Average the predictions of this many networks, which differ in seed, in the order of the
        columns (from the second on) and in their landmarks. With "adam" and "lbfgs" they train in
        one compiled program.
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
    alpha_ : float
        Strength used.
    relevance_ : ndarray of shape (n_features,)
        Factors used, 0 for columns that are constant.
    target_center_, target_scale_ : ndarray of shape (n_outputs,)
        Scaling of the target: the network predicts (y - center) / scale, or log(y / scale) for
        "poisson".
    n_outputs_ : int
    n_iter_ : int
        Newton steps, epochs or iterations.
    loss_curve_ : ndarray of shape (n_iter_,)
        Penalised training loss of the scaled target, per unit of sample weight. For "convex" it
        has two parts: the convex limit, then the refit of the readout, whose first value shows
        what the truncation cost; "sweep" adds one value a sweep.
    validation_score_ : float or None
        R^2 on the held-out rows of early stopping.
    truncation_error_ : float or None
        Share of the squared norm of the convex solution that `bond_dim` cuts off.
    networks_, cores_, bond_dims_, columns_, basis_
        As in :class:`MPSClassifier`.
    n_features_in_ : int
    feature_names_in_ : ndarray of shape (n_features_in_,)
        Only when X has string column names.

    See Also
    --------
    MPSRegressorCV : Chooses basis and penalties, and averages the best.

    References
    ----------
    .. [1] Stoudenmire and Schwab, "Supervised learning with tensor networks", NeurIPS 2016.
    .. [2] Huber, "Robust estimation of a location parameter", Annals of Statistics, 1964.
    .. [3] Koenker and Bassett, "Regression quantiles", Econometrica, 1978.
    .. [4] Rasmussen and Williams, "Gaussian Processes for Machine Learning", section 5.4, 2006.

    Examples
    --------
    >>> from sklearn.datasets import make_friedman1
    >>> from sktn import MPSRegressor
    >>> X, y = make_friedman1(300, noise=0.1, random_state=0)
    >>> model = MPSRegressor(random_state=0).fit(X[:200], y[:200])
    >>> model.score(X[200:], y[200:]) > 0.95
    True
    """

    _parameter_constraints: dict = {
        **BaseChain._parameter_constraints,
        "loss": [StrOptions({"squared_error", "absolute_error", "huber", "quantile", "poisson"})],
        "quantile": [Interval(Real, 0, 1, closed="neither")],
        "epsilon": [Interval(Real, 0, None, closed="neither")],
    }

    _alphas = ALPHAS

    def __init__(
        self,
        *,
        loss="squared_error",
        quantile=0.5,
        epsilon=1.35,
        bond_dim=16,
        embedding="legendre",
        degree=8,
        scaling="quantile",
        alpha="auto",
        interaction_penalty=1.0,
        smoothness=1.0,
        relevance="equal",
        solver="auto",
        max_landmarks=1000,
        truncation_tol=None,
        learning_rate=0.02,
        optimizer=None,
        init="auto",
        max_iter=100,
        batch_size=200,
        early_stopping=False,
        validation_fraction=0.1,
        n_iter_no_change=10,
        tol=1e-6,
        n_estimators=1,
        feature_order="correlation",
        output_site=None,
        categorical_features="from_dtype",
        missing="marginal",
        warm_start=False,
        dtype=None,
        random_state=None,
        verbose=0,
    ):
        self.loss = loss
        self.quantile = quantile
        self.epsilon = epsilon
        self.bond_dim = bond_dim
        self.embedding = embedding
        self.degree = degree
        self.scaling = scaling
        self.alpha = alpha
        self.interaction_penalty = interaction_penalty
        self.smoothness = smoothness
        self.relevance = relevance
        self.solver = solver
        self.max_landmarks = max_landmarks
        self.truncation_tol = truncation_tol
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
        y : array-like of shape (n_samples,) or (n_samples, n_outputs)
        sample_weight : array-like of shape (n_samples,), default=None
            An integer weight is the same as repeating the row.

        Returns
        -------
        self : object
        """
        X, y = read_table(self, X, y, reset=True, dtype=self.dtype, regression=True)
        sample_weight = _check_sample_weight(
            sample_weight, X, dtype=X.dtype, ensure_non_negative=True
        )
        return self._fit(X, y, sample_weight)

    @_fit_context(prefer_skip_nested_validation=True)
    def partial_fit(self, X, y, sample_weight=None):
        """One pass of mini-batches over a chunk of rows, by Adam at a constant learning rate.

        The scaling of columns and target and the basis are fitted to the first chunk, which should
        be typical.

        Parameters
        ----------
        X : array-like or data frame of shape (n_samples, n_features)
        y : array-like of shape (n_samples,) or (n_samples, n_outputs)
        sample_weight : array-like of shape (n_samples,), default=None

        Returns
        -------
        self : object
        """
        first = not hasattr(self, "networks_")
        X, y = read_table(self, X, y, reset=first, dtype=self.dtype, regression=True)
        sample_weight = _check_sample_weight(
            sample_weight, X, dtype=X.dtype, ensure_non_negative=True
        )
        return self._partial_fit(X, y, sample_weight, first)

    def _fit_target(self, y, sample_weight):
        targets = y.reshape(len(y), -1)
        center, scale = fit_scaling(targets, sample_weight, self.loss)
        found = {
            "target_center_": center,
            "target_scale_": scale,
            "n_outputs_": targets.shape[1],
            "_flat_target": y.ndim == 1,
        }
        return (targets - center) / scale, sample_weight, found

    def _apply_target(self, y, sample_weight):
        targets = y.reshape(len(y), -1)
        if targets.shape[1] != self.n_outputs_:
            raise ValueError(
                f"y has {targets.shape[1]} outputs, but the regressor was fitted with "
                f"{self.n_outputs_}."
            )
        _check_counts(targets, self.loss)
        return (targets - self.target_center_) / self.target_scale_, sample_weight

    def _objective(self, target, found, dtype):
        target = target.astype(dtype, copy=False)
        if self.loss == "squared_error":
            return objectives.Squared(target)
        if self.loss == "poisson":
            return objectives.Poisson(target)
        if self.loss == "huber":
            return objectives.Huber(target, self.epsilon)
        return objectives.Pinball(target, self._tau(), _KINK)

    def _tau(self):
        return self.quantile if self.loss == "quantile" else 0.5

    def _tuned(self, objective, basis, coords, g, weight, rng):
        if self.loss != "huber":
            return super()._tuned(objective, basis, coords, g, weight, rng)
        alphas = self._alphas if self.alpha == "auto" else [float(self.alpha)]
        rows = search_rows(weight, 3000, rng)
        folds = self._make_folds(objective, rows, rng)
        if folds is None:
            alpha = self._default_alpha if self.alpha == "auto" else float(self.alpha)
            return objective, alpha
        # Where the parabola ends depends on the noise, which only a fit can tell: one that is
        # robust without knowing it.
        robust = objectives.Pinball(objective.y, 0.5, _KINK)
        scores = choose_alpha(basis, coords, g, robust, weight, rows, folds, rng, alphas)[1]
        residuals = (scores - objective.y[rows]).ravel()
        each = np.repeat(weight[rows], scores.shape[1])
        noise = median_deviation(residuals, each, center=0.0) / _NORMAL_MAD
        objective = objectives.Huber(objective.y, self.epsilon * max(noise, 1e-6))
        alpha = choose_alpha(basis, coords, g, objective, weight, rows, folds, rng, alphas)[0]
        return objective, alpha

    def _loss_name(self):
        return {"absolute_error": "pinball", "quantile": "pinball"}.get(self.loss, self.loss)

    def _loss_shape(self, objective):
        return objective.delta if self.loss == "huber" else self._tau()

    def _make_folds(self, objective, rows, rng):
        return random_folds(len(rows), 5, rng)

    def _strata(self, target):
        return None

    def _held_out_score(self, coords, target, weight):
        truth = target * self.target_scale_ + self.target_center_
        return float(r2_score(truth, self._predict(coords), sample_weight=weight))

    def _predict(self, coords):
        parts = [predict.scores(self.basis_, network, coords) for network in self.networks_]
        if self.loss == "poisson":
            parts = [np.exp(part) for part in parts]
        mean = np.mean(parts, axis=0)
        return (mean * self.target_scale_ + self.target_center_).astype(mean.dtype)

    def predict(self, X):
        """Predictions in the units of the target.

        Parameters
        ----------
        X : array-like or data frame of shape (n_samples, n_features)

        Returns
        -------
        y : ndarray of shape (n_samples,) or (n_samples, n_outputs)
        """
        out = self._predict(self._coordinates(X))
        return out[:, 0] if self._flat_target else out

    def __sklearn_tags__(self):
        tags = super().__sklearn_tags__()
        tags.target_tags.single_output = True
        tags.target_tags.multi_output = True
        tags.target_tags.positive_only = self.loss == "poisson"
        return tags


def fit_scaling(targets, weight, loss):
    """Centre and scale of every target (N, c), on rows of positive weight: mean and standard
    deviation; median and spread for the losses that are not moved by outliers; 0 and the mean for
    counts. -> (c,), (c,)
    """
    _check_counts(targets, loss)
    targets, weight = positive_rows(targets, weight)
    mean, deviation = mean_and_deviation(targets, weight)
    if loss == "poisson":
        if not (mean > 0).all():
            raise ValueError('loss="poisson" needs targets with a positive mean; all of y is 0.')
        return np.zeros_like(mean), mean
    if loss == "squared_error":
        center, scale = mean, deviation
    else:
        low, center, high = quantiles(targets, weight, [0.25, 0.5, 0.75])
        scale = (high - low) / (2 * _NORMAL_MAD)
        # More than half of the targets are equal.
        spread, _ = mean_and_deviation(np.abs(targets - center), weight)
        scale = np.where(scale > 0, scale, spread)
    # Rounding of a constant is not a spread.
    constant = scale <= 4 * np.finfo(targets.dtype).eps * np.abs(center)
    return center, np.where(constant, 1, scale)


def _check_counts(targets, loss):
    if loss == "poisson" and targets.min() < 0:
        raise ValueError(
            f'loss="poisson" needs non-negative targets; the smallest of y is {targets.min()}.'
        )
