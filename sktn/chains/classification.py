"""Matrix product state classifier for tables."""

import numpy as np
from scipy.special import logsumexp
from sklearn.base import ClassifierMixin, _fit_context
from sklearn.callback import with_callbacks
from sklearn.utils import compute_class_weight
from sklearn.utils._param_validation import StrOptions
from sklearn.utils.multiclass import check_classification_targets
from sklearn.utils.validation import _check_sample_weight

from sktn.chains import predict
from sktn.chains.base import BaseChain
from sktn.chains.training import ALPHAS, stratified_folds
from sktn.losses import log_probabilities
from sktn.solvers import objectives
from sktn.tables.reading import read_table


class MPSClassifier(ClassifierMixin, BaseChain):
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
    scaling : {"quantile", "standard", "minmax", "mixed", "common", "none"}, default="quantile"
        How numeric columns reach the basis: by rank; standardised and clipped at 3 sigma; by
        range; both of the first ("mixed": a linear term in the standardised value and a
        polynomial in the rank); all in one unit ("common", for pixels and spectra: centred only,
        so that a column of little variance is charged more); or as they are ("none": values
        already in the basis's interval).
    alpha : float or "auto", default="auto"
        Strength of the ridge, against a sum (not a mean) of losses, so one value serves tables of
        any length. "auto": the best of 9 values from 3 to 0.0003 by cross-validation in the
        convex limit; see `alpha_`.
    interaction_penalty : float, default=1.0
        omega in units of the number of columns with a site. Larger values make the model more
        additive.
    smoothness : float, default=1.0
        q; 0 charges all degrees alike.
    relevance : {"equal", "auto"} or array of shape (n_features,), default="equal"
        How much of the penalty columns are spared: the charges of column i are divided by
        relevance[i], and 0 rules it out. "auto": the factors under which the target is likeliest,
        by the evidence of a Gaussian process on 500 rows [3]_; for tables with many more rows
        than columns.
    solver : {"auto", "sweep", "convex", "adam", "lbfgs"}, default="auto"
        "convex": the exact minimiser at unlimited bond dimension (a logistic regression
        in an ANOVA kernel), compressed to
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
    relevance_ : ndarray of shape (n_features,)
        Factors used, 0 for columns that are constant.
    n_iter_ : int
        Newton steps, epochs or iterations.
    loss_curve_ : ndarray of shape (n_iter_,)
        Penalised training loss, per unit of sample weight. For "convex" it has two parts: the
        convex limit, then the refit of the readout, whose first value shows what the truncation
        cost; "sweep" adds one value a sweep.
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
    .. [3] Rasmussen and Williams, "Gaussian Processes for Machine Learning", section 5.4, 2006.

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
        **BaseChain._parameter_constraints,
        "class_weight": [dict, StrOptions({"balanced"}), None],
    }

    _alphas = ALPHAS

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
        X, y = read_table(self, X, y, reset=True, dtype=self.dtype)
        check_classification_targets(y)
        sample_weight = _check_sample_weight(
            sample_weight, X, dtype=X.dtype, ensure_non_negative=True
        )
        return self._fit(X, y, sample_weight)

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
        X, y = read_table(self, X, y, reset=first, dtype=self.dtype)
        check_classification_targets(y)
        sample_weight = _check_sample_weight(
            sample_weight, X, dtype=X.dtype, ensure_non_negative=True
        )
        known = np.unique(classes) if classes is not None else self.classes_
        if not first and not np.array_equal(known, self.classes_):
            raise ValueError(
                f"classes={known!r} is not the same as on the first call: {self.classes_!r}."
            )
        if len(known) < 2:
            raise ValueError(f"MPSClassifier needs at least 2 classes; got 1 class: {known!r}.")
        return self._partial_fit(X, y, sample_weight, first, classes=known)

    def _fit_target(self, y, sample_weight, classes=None):
        if classes is not None:
            return *self._encode(classes, y, sample_weight), {"classes_": classes}
        classes, labels = np.unique(y, return_inverse=True)
        weight = sample_weight * self._class_weights(classes, labels, y)
        seen = classes[np.unique(labels[weight > 0])]
        if len(seen) < 2:
            raise ValueError(
                f"MPSClassifier needs at least 2 classes with positive weight; got {len(seen)} "
                f"class: {seen!r}."
            )
        return labels, weight, {"classes_": classes}

    def _apply_target(self, y, sample_weight):
        return self._encode(self.classes_, y, sample_weight)

    def _encode(self, classes, y, sample_weight):
        unknown = np.setdiff1d(y, classes)
        if len(unknown):
            raise ValueError(f"y has labels that are not in classes: {unknown!r}.")
        labels = np.searchsorted(classes, y)
        return labels, sample_weight * self._class_weights(classes, labels, y)

    def _class_weights(self, classes, labels, y):
        weights = compute_class_weight(self.class_weight, classes=classes, y=y)
        return weights.astype(np.float64)[labels]

    def _objective(self, labels, found, dtype):
        return objectives.classification(labels, len(found["classes_"]), dtype)

    def _loss_name(self):
        return "cross_entropy"

    def _loss_shape(self, objective):
        return 0.0

    def _make_folds(self, objective, rows, rng):
        return stratified_folds(objective.labels[rows], 5 if len(rows) < 600 else 3, rng)

    def _strata(self, labels):
        return labels

    def _held_out_score(self, coords, labels, weight):
        hits = np.argmax(self._joint_log_proba(coords), axis=1) == labels
        return float(np.average(hits, weights=weight))

    def _joint_log_proba(self, coords):
        parts = [
            log_probabilities(predict.scores(self.basis_, network, coords))
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
        scores = predict.scores(self.basis_, self.networks_[0], coords)
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
