"""Anomaly detection with spaced matrix product operators."""

import warnings
from numbers import Integral, Real

import jax
import numpy as np
from sklearn.base import (
    BaseEstimator,
    ClassNamePrefixFeaturesOutMixin,
    OutlierMixin,
    TransformerMixin,
    _fit_context,
)
from sklearn.exceptions import ConvergenceWarning
from sklearn.utils import check_random_state
from sklearn.utils._param_validation import HasMethods, Interval, StrOptions
from sklearn.utils.validation import _check_sample_weight, check_is_fitted

from sktn.anomaly import closed_form, trained
from sktn.embeddings import EMBEDDINGS
from sktn.tables.reading import read_table
from sktn.tables.statistics import distinct_rows

# Without a contamination to aim at, this share of the training rows is called an outlier.
_OUTLIERS = 0.05

# Rounds of `trim`: which rows are left out settles quickly.
_TRIM_ROUNDS = 2

_SCORES = {
    "projector": ("one-sided", "density"),
    "mean-embedding": ("density",),
    "identity": ("one-sided", "two-sided"),
    "random": ("one-sided", "two-sided"),
}


def trimmed(scores, weight, share):
    """Weights without those of the rows of lowest score, at most `share` of the whole.

    scores (b,), weight (b,) -> (b,)
    """
    order = np.argsort(scores, kind="stable")
    out = np.cumsum(weight[order]) <= share * weight.sum() * (1 + 1e-12)
    kept = weight.copy()
    kept[order[out]] = 0
    return kept


def offset_below(scores, weight, share):
    """A threshold that this share of the weight is below, and at least one row.

    scores (b,), weight (b,) -> float
    """
    order = np.argsort(scores, kind="stable")
    cumulated = np.cumsum(weight[order])
    k = np.searchsorted(cumulated, share * cumulated[-1] * (1 + 1e-12), side="right")
    k = min(max(k, 1), len(order) - 1)
    return float((scores[order[max(k - 1, 0)]] + scores[order[k]]) / 2)


def scores_of(log_norms, score, init):
    """Scores of log ||P Phi||^2, high for typical rows: (members, b) -> (members, b)"""
    if score == "two-sided":
        return -((log_norms - 1) ** 2)
    # A projector annihilates typical rows, a trained operator everything else.
    return -log_norms if init == "projector" and score == "one-sided" else log_norms


class SMPOAnomalyDetector(
    ClassNamePrefixFeaturesOutMixin, OutlierMixin, TransformerMixin, BaseEstimator
):
    """Anomaly detection with a spaced matrix product operator.

    Every row is a product state Phi(x), one vector a column, and an operator P with few output
    legs maps typical states to one norm and others to another: the score of a row is a function of
    log ||P Phi(x)||^2. P is either computed in closed form from the training states, which is the
    default and needs no tuning, or trained by gradients as published [1]_.

    Parameters
    ----------
    init : {"projector", "mean-embedding", "identity", "random"}, default="projector"
        Where P comes from.

        - "projector": the complement of the leading subspace of the training states in a Gaussian
          product kernel, with a soft edge [2]_: an operator with diagonal cores whose bond
          dimension is the number of landmark rows. Closed form.
        - "mean-embedding": the mean of the training states, a kernel density estimate. Closed
          form.
        - "identity", "random": starts of an operator that is trained with

              mean_b (log ||P Phi(x_b)||^2 - 1)^2 + alpha relu(log ||P||_F^2) .

    bond_dim : int, default=None
        Bond dimension of P; None: at most 1500 landmark rows in closed form, 10 when trained.
    output_dim : int, default=None
        Dimension of an output leg. None: as many as the training states span in closed form, the
        dimension of the local basis when trained.
    spacing : int, default=None
        Trained operators have an output leg on every `spacing`-th site. None: a single leg in the
        middle of the chain.
    first_output : int, default=None
        The first site with a leg. None: 0, or the middle for a single leg.
    score_type : {"auto", "one-sided", "two-sided", "density"}, default="auto"
        "one-sided": log ||P Phi(x)||^2 with the sign that makes typical rows high (a projector
        annihilates them, a trained operator annihilates everything else). "two-sided", for trained
        operators: minus the squared distance of log ||P Phi(x)||^2 from 1, its value on typical
        rows [1]_. "density": log <mean state, Phi(x)>, for the closed forms. "auto": "density" for
        ``init="mean-embedding"``, otherwise "one-sided".
    bandwidth : float or "auto", default="auto"
        Width of the product kernel in units of sqrt(n_features) standard deviations. "auto": for a
        projector two operators, a fine one and a coarse one, at the widths at which held-out
        training rows have a mean novelty of 30 % and of 3 %; for the density the width of largest
        held-out likelihood. For the closed forms.
    ridge : float, default=0.01
        Soft edge of the projector: directions with less than this many rows' worth of training
        states count as empty.
    embedding : str, embedding or callable, default="trigonometric"
        Local basis of trained operators, see :mod:`sktn.embeddings`.
    degree : int, default=1
        Degree of the local basis; the number of frequencies for "trigonometric".
    scaling : {"minmax", "standard", "quantile", "none"}, default="minmax"
        How columns reach the local basis of trained operators. The closed forms standardise, and
        compress what is further out than two standard deviations logarithmically.
    feature_order : {"given", "correlation", "random"} or array-like, default="given"
        Order of the columns along the chain of trained operators.
    alpha : float, default=1.0
        Strength of the norm penalty of trained operators.
    solver : {"auto", "sweep", "adam"}, default="auto"
        How operators are trained. "sweep": Gauss-Newton steps on all rows for one core after the
        other, or two, without a learning rate. "adam": mini-batches, which `partial_fit` takes in
        any case. "auto": "sweep" on tables of moderate size, "adam" on large ones and with an
        `optimizer`. There is nothing to choose for the closed forms.
    truncation_tol : float, default=None
        Solver "sweep" with a number updates two neighbouring cores at a time and splits them by a
        singular value decomposition that may lose this share of the norm, so that every bond finds
        its own dimension, of at most `bond_dim`. None: one core at a time.
    learning_rate : float, default=0.01
    batch_size : int, default=32
    max_iter : int, default=100
        Epochs of "adam"; largest number of sweeps.
    tol : float, default=1e-4
        Sweeps end when one of them lowers the loss by less than a thousand times as much: the last
        bit of it does not make a better detector.
    n_iter_no_change : int, default=10
        "adam" stops when the loss has not fallen by `tol` for this many epochs.
    optimizer : optax.GradientTransformation, default=None
        None: Adam with warm-up and cosine decay of `learning_rate`.
    n_estimators : int, default=1
        Repetitions with other landmarks, or with other feature orders and starts. In closed form a
        table of no more distinct rows than landmarks gets one, since all would be the same.
    trim : float, default=0.0
        Share of the training rows to leave out as anomalous, the ones of lowest score, for
        contaminated training data.
    contamination : float or "auto", default="auto"
        Sets `offset_` so that this share of the training rows, and at least one, are called
        outliers. "auto": 5 %.
    categorical_features : "from_dtype", array-like of {bool, int, str} or None, \
            default="from_dtype"
        As in :class:`~sklearn.ensemble.HistGradientBoostingClassifier`.
    random_state : int, RandomState instance or None, default=None

    Attributes
    ----------
    members_ : list
        The operators, as records of NumPy arrays.
    offset_ : float
        ``decision_function(X) = score_samples(X) - offset_``.
    bandwidths_ : ndarray
        The bandwidths used, in units of sqrt(n). Closed forms only.
    loss_curve_ : ndarray of shape (n_iter_,)
        Of the first operator. Trained operators only.
    n_iter_ : int
        Epochs or sweeps; 1 in closed form.
    bond_dims_ : ndarray of shape (n_sites + 1,)
        Bond dimensions of the first operator, those of its closed ends included. Trained operators
        only.
    n_features_in_ : int
    feature_names_in_ : ndarray of shape (n_features_in_,)

    See Also
    --------
    MPSDensityEstimator : A normalised density with exact sampling.
    sklearn.ensemble.IsolationForest : Isolation by random trees.
    sklearn.neighbors.LocalOutlierFactor : Density relative to the neighbours'.

    Notes
    -----
    In closed form a row that is one of the landmarks is scored as if it had been left out, so that
    training rows and new rows can be compared.

    Scores of several operators are standardised on training rows, held-out ones where in closed
    form, and averaged.

    Missing values are averaged over: the site gets the mean vector of its column. In closed form a
    column without spread in the training data still counts: a value that differs from its only
    known one is scaled by 1.

    References
    ----------
    .. [1] J. Wang, C. Roberts, G. Vidal and S. Leichenauer, "Anomaly detection with tensor
       networks", arXiv:2006.02516 (2020).
    .. [2] H. Hoffmann, "Kernel PCA for novelty detection", Pattern Recognition 40 (2007) 863-874.

    Examples
    --------
    >>> import numpy as np
    >>> from sktn import SMPOAnomalyDetector
    >>> rng = np.random.default_rng(0)
    >>> X = rng.normal(size=(200, 3))
    >>> X[:, 2] = X[:, 0] + 0.1 * X[:, 2]
    >>> detector = SMPOAnomalyDetector(random_state=0).fit(X)
    >>> detector.predict([[1.0, 0.0, 1.0], [1.0, 0.0, -1.0]])
    array([ 1, -1])
    """

    _parameter_constraints: dict = {
        "init": [StrOptions({"projector", "mean-embedding", "identity", "random"})],
        "bond_dim": [Interval(Integral, 1, None, closed="left"), None],
        "output_dim": [Interval(Integral, 1, None, closed="left"), None],
        "spacing": [Interval(Integral, 1, None, closed="left"), None],
        "first_output": [Interval(Integral, 0, None, closed="left"), None],
        "score_type": [StrOptions({"auto", "one-sided", "two-sided", "density"})],
        "bandwidth": [Interval(Real, 0, None, closed="neither"), StrOptions({"auto"})],
        "ridge": [Interval(Real, 0, None, closed="neither")],
        "embedding": [StrOptions(set(EMBEDDINGS) - {"mixed"}), callable, HasMethods("evaluate")],
        "degree": [Interval(Integral, 1, None, closed="left")],
        "scaling": [StrOptions({"minmax", "standard", "quantile", "none"})],
        "feature_order": [StrOptions({"given", "correlation", "random"}), "array-like"],
        "alpha": [Interval(Real, 0, None, closed="left")],
        "solver": [StrOptions({"auto", "sweep", "adam"})],
        "truncation_tol": [Interval(Real, 0, 1, closed="left"), None],
        "learning_rate": [Interval(Real, 0, None, closed="neither")],
        "batch_size": [Interval(Integral, 1, None, closed="left")],
        "max_iter": [Interval(Integral, 1, None, closed="left")],
        "tol": [Interval(Real, 0, None, closed="left")],
        "n_iter_no_change": [Interval(Integral, 1, None, closed="left")],
        "optimizer": [HasMethods(["init", "update"]), None],
        "n_estimators": [Interval(Integral, 1, None, closed="left")],
        "trim": [Interval(Real, 0, 0.5, closed="left")],
        "contamination": [Interval(Real, 0, 0.5, closed="right"), StrOptions({"auto"})],
        "categorical_features": ["array-like", StrOptions({"from_dtype"}), None],
        "random_state": ["random_state"],
    }

    def __init__(
        self,
        *,
        init="projector",
        bond_dim=None,
        output_dim=None,
        spacing=None,
        first_output=None,
        score_type="auto",
        bandwidth="auto",
        ridge=0.01,
        embedding="trigonometric",
        degree=1,
        scaling="minmax",
        feature_order="given",
        alpha=1.0,
        solver="auto",
        truncation_tol=None,
        learning_rate=0.01,
        batch_size=32,
        max_iter=100,
        tol=1e-4,
        n_iter_no_change=10,
        optimizer=None,
        n_estimators=1,
        trim=0.0,
        contamination="auto",
        categorical_features="from_dtype",
        random_state=None,
    ):
        self.init = init
        self.bond_dim = bond_dim
        self.output_dim = output_dim
        self.spacing = spacing
        self.first_output = first_output
        self.score_type = score_type
        self.bandwidth = bandwidth
        self.ridge = ridge
        self.embedding = embedding
        self.degree = degree
        self.scaling = scaling
        self.feature_order = feature_order
        self.alpha = alpha
        self.solver = solver
        self.truncation_tol = truncation_tol
        self.learning_rate = learning_rate
        self.batch_size = batch_size
        self.max_iter = max_iter
        self.tol = tol
        self.n_iter_no_change = n_iter_no_change
        self.optimizer = optimizer
        self.n_estimators = n_estimators
        self.trim = trim
        self.contamination = contamination
        self.categorical_features = categorical_features
        self.random_state = random_state

    @_fit_context(prefer_skip_nested_validation=True)
    def fit(self, X, y=None, sample_weight=None):
        """Learn what typical rows look like.

        Parameters
        ----------
        X : array-like or data frame of shape (n_samples, n_features)
            Mostly normal rows; NaN is a missing value.
        y : Ignored
        sample_weight : array-like of shape (n_samples,), default=None

        Returns
        -------
        self : SMPOAnomalyDetector
        """
        if self._kind not in _SCORES[self.init]:
            raise ValueError(
                f"score_type={self.score_type!r} is not defined for init={self.init!r}: use one of "
                f"{', '.join(map(repr, _SCORES[self.init]))}, or 'auto'."
            )
        if self._closed_form and self.solver != "auto":
            raise ValueError(
                f"solver={self.solver!r} is for operators that are trained, but init={self.init!r} "
                "is computed in closed form: use init='identity' or 'random', or solver='auto'."
            )
        if self.solver == "sweep" and self.optimizer is not None:
            raise ValueError("optimizer is used by solver='adam' only, but solver='sweep'.")
        X = read_table(self, X, reset=True)
        weight = _check_sample_weight(sample_weight, X, dtype=np.float64, ensure_non_negative=True)
        rows, row_weight = distinct_rows(X, weight)
        seed = check_random_state(self.random_state).randint(2**31 - 1)
        held_out, kept = self._fit_rows(rows, row_weight, seed), row_weight
        for _ in range(_TRIM_ROUNDS if self.trim > 0 else 0):
            kept = trimmed(held_out, row_weight, self.trim)
            used = kept > 0
            scores = self._fit_rows(rows[used], kept[used], seed)
            held_out = self._score_rows(rows)
            held_out[used] = scores
        self._stream = {"state": [None] * len(self.members_), "calls": 0, "seed": seed}
        return self._finish(rows, row_weight)

    @_fit_context(prefer_skip_nested_validation=True)
    def partial_fit(self, X, y=None, sample_weight=None):
        """Go on from the present operators with more rows.

        The first call is a fit: it fixes the columns' scales, the landmarks, the bandwidth and how
        scores are standardised, so its batch should be representative. Later, closed forms add the
        rows to their moments, which is exact, and trained operators take one epoch over the batch,
        by gradient steps whatever `solver` says. The offset is that of the latest batch.

        Parameters
        ----------
        X : array-like or data frame of shape (n_samples, n_features)
        y : Ignored
        sample_weight : array-like of shape (n_samples,), default=None

        Returns
        -------
        self : SMPOAnomalyDetector
        """
        if not hasattr(self, "members_"):
            return self.fit(X, y, sample_weight)
        X = read_table(self, X, reset=False)
        weight = _check_sample_weight(sample_weight, X, dtype=np.float64, ensure_non_negative=True)
        rows, row_weight = distinct_rows(X, weight)
        self._stream["calls"] += 1
        members = []
        for k, member in enumerate(self.members_):
            if self._closed_form:
                member = closed_form.update(member, rows, row_weight)
            else:
                rng = np.random.RandomState((self._stream["seed"] + self._stream["calls"]) % 2**32)
                member, result = trained.update(
                    member,
                    rows,
                    row_weight,
                    rng,
                    self.alpha,
                    self._stream["state"][k],
                    self._training(),
                )
                self._stream["state"][k] = jax.tree.map(np.asarray, result.state)
                self._warn_unless(result)
            members.append(member)
        self.members_ = members
        return self._finish(rows, row_weight)

    @property
    def _closed_form(self):
        return self.init in ("projector", "mean-embedding")

    @property
    def _kind(self):
        if self.score_type == "auto":
            return "density" if self.init == "mean-embedding" else "one-sided"
        return self.score_type

    def _training(self):
        return {
            "batch_size": self.batch_size,
            "max_iter": self.max_iter,
            "tol": self.tol,
            "learning_rate": self.learning_rate,
            "n_iter_no_change": self.n_iter_no_change,
            "transformation": self.optimizer,
        }

    def _fit_rows(self, rows, weight, seed):
        """Fit all members; returns the scores of the rows, held out where in closed form."""
        rng = np.random.RandomState(seed)
        if self._closed_form:
            self.members_, norms, self.bandwidths_ = closed_form.fit(
                rows,
                weight,
                rng,
                categorical=self.is_categorical_,
                bond_dim=self.bond_dim,
                output_dim=self.output_dim,
                bandwidth=self.bandwidth,
                ridge=self.ridge,
                density=self._kind == "density",
                members=self.n_estimators,
            )
            self.n_iter_ = 1
        else:
            self.members_, norms, results = trained.fit(
                rows,
                weight,
                rng,
                categorical=self.is_categorical_,
                init=self.init,
                bond_dim=self.bond_dim,
                output_dim=self.output_dim,
                spacing=self.spacing,
                first_output=self.first_output,
                embedding=self.embedding,
                degree=self.degree,
                scaling=self.scaling,
                feature_order=self.feature_order,
                members=self.n_estimators,
                alpha=self.alpha,
                solver="adam" if self.optimizer is not None else self.solver,
                truncation_tol=self.truncation_tol,
                training=self._training(),
            )
            self.bond_dims_ = self.members_[0].bond_dims
            self.loss_curve_ = results[0].losses
            self.n_iter_ = len(self.loss_curve_)
            for result in results:
                self._warn_unless(result)
        scores = scores_of(norms, self._kind, self.init)
        self._center = np.average(scores, axis=1, weights=weight)
        spread = np.sqrt(np.average((scores - self._center[:, None]) ** 2, axis=1, weights=weight))
        self._spread = np.where(spread > 0, spread, 1.0)
        return self._combined(norms)

    def _combined(self, norms):
        """One score a row from the log norms of all members: (members, b) -> (b,)"""
        scores = scores_of(norms, self._kind, self.init)
        if len(scores) == 1:
            return scores[0]
        return np.mean((scores - self._center[:, None]) / self._spread[:, None], axis=0)

    def _score_rows(self, X):
        return self._combined(np.array([member.log_norms(X) for member in self.members_]))

    def _finish(self, rows, weight):
        share = _OUTLIERS if self.contamination == "auto" else self.contamination
        self.offset_ = offset_below(self._score_rows(rows), weight, share)
        self._n_features_out = sum(m.transform(rows[:1]).shape[1] for m in self.members_)
        return self

    def _warn_unless(self, result):
        if not result.finite:
            warnings.warn(
                "The loss is no longer finite; the last finite parameters were kept. Use a smaller "
                "learning_rate or float64 data.",
                ConvergenceWarning,
                stacklevel=5,
            )

    def _rows(self, X):
        check_is_fitted(self)
        return read_table(self, X, reset=False)

    def score_samples(self, X):
        """How typical each row is.

        Parameters
        ----------
        X : array-like or data frame of shape (n_samples, n_features)

        Returns
        -------
        scores : ndarray of shape (n_samples,)
            Higher is more normal, see `score_type`. With several operators the mean of their
            standardised scores.
        """
        return self._score_rows(self._rows(X))

    def decision_function(self, X):
        """`score_samples` minus `offset_`: negative for outliers.

        Parameters
        ----------
        X : array-like or data frame of shape (n_samples, n_features)

        Returns
        -------
        scores : ndarray of shape (n_samples,)
        """
        return self.score_samples(X) - self.offset_

    def predict(self, X):
        """1 for inliers, -1 for outliers.

        Parameters
        ----------
        X : array-like or data frame of shape (n_samples, n_features)

        Returns
        -------
        labels : ndarray of shape (n_samples,)
        """
        return np.where(self.decision_function(X) >= 0, 1, -1)

    def transform(self, X):
        """The compressed representation of each row.

        Parameters
        ----------
        X : array-like or data frame of shape (n_samples, n_features)

        Returns
        -------
        outputs : ndarray of shape (n_samples, n_outputs)
            Closed forms: the output vector, i.e. the kernel principal components of the row.
            Trained operators: for every output leg its distribution in the normalised output
            state. One estimator after the other.
        """
        X = self._rows(X)
        parts = [member.transform(X) for member in self.members_]
        return np.concatenate(parts, axis=1).astype(X.dtype, copy=False)

    def site_scores(self, X):
        """Which columns make a row anomalous.

        Parameters
        ----------
        X : array-like or data frame of shape (n_samples, n_features)

        Returns
        -------
        changes : ndarray of shape (n_samples, n_features)
            By how much the score would rise if the value were missing, so that its column is
            averaged over. Large for columns that make the row anomalous.
        """
        X = self._rows(X)
        scores = self._score_rows(X)
        changes = np.empty(X.shape)
        for j in range(X.shape[1]):
            norms = np.array([member.log_norms_without(X, j) for member in self.members_])
            changes[:, j] = self._combined(norms) - scores
        return changes

    def __sklearn_tags__(self):
        tags = super().__sklearn_tags__()
        tags.input_tags.allow_nan = True
        tags.transformer_tags.preserves_dtype = ["float64", "float32"]
        return tags
