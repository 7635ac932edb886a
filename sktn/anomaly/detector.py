"""Anomaly detection with spaced matrix product operators."""

from copy import copy
from numbers import Integral, Real

import numpy as np
from sklearn.base import (
    BaseEstimator,
    ClassNamePrefixFeaturesOutMixin,
    OutlierMixin,
    TransformerMixin,
    _fit_context,
    clone,
)
from sklearn.utils import check_random_state
from sklearn.utils._param_validation import Interval, StrOptions
from sklearn.utils.validation import _check_sample_weight, check_is_fitted

from sktn.anomaly.base import Rows, relative_weights
from sktn.anomaly.calibration import fit_combination, offset_below, trimmed
from sktn.anomaly.closed_form import MeanState, Projector
from sktn.anomaly.trained import TrainedSMPO
from sktn.fitted import commit
from sktn.tables.reading import read_table
from sktn.tables.statistics import distinct_rows, unit_weights

# Without a contamination to aim at, this share of the training rows is called an outlier.
_OUTLIERS = 0.05

# Rounds of `trim`: which rows are left out settles quickly.
_TRIM_ROUNDS = 2

_OPERATORS = {"projector": Projector, "mean-state": MeanState, "trained": TrainedSMPO}


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
    operator : {"projector", "mean-state", "trained"} or operator value, default="projector"
        Where P comes from. A string stands for the value with its defaults.

        - "projector", :class:`~sktn.anomaly.Projector`: the complement of the leading subspace of
          the training states in a Gaussian product kernel, with a soft edge [2]_. Closed form.
        - "mean-state", :class:`~sktn.anomaly.MeanState`: the mean of the training states, a kernel
          density estimate. Closed form.
        - "trained", :class:`~sktn.anomaly.TrainedSMPO`: trained as published [1]_.
    n_estimators : int, default=1
        Repetitions with other landmarks, or with other feature orders and starts. In closed form a
        table of no more distinct rows than landmarks gets one, since all would be the same.
    trim : float, default=0.0
        Share of the training rows to leave out as anomalous, the ones of lowest score, for
        contaminated training data.
    contamination : float or "auto", default="auto"
        Sets `offset_` so that this share of the training rows, and at least one, are called
        outliers, unless all have the same score. "auto": 5 %.
    categorical_features : "from_dtype", array-like of {bool, int, str} or None, \
            default="from_dtype"
        As in :class:`~sklearn.ensemble.HistGradientBoostingClassifier`.
    random_state : int, RandomState instance or None, default=None

    Attributes
    ----------
    operators_ : list
        The fitted operators, as records of NumPy arrays.
    offset_ : float
        `decision_function` is `score_samples` minus this.
    bandwidths_ : ndarray
        The bandwidths in use, in units of sqrt(n_features). Only in closed form.
    bond_dims_ : ndarray of shape (n_sites + 1,)
        Bonds in use by the first operator. Only of trained operators.
    loss_curve_ : ndarray
        Loss of every epoch or sweep of the first operator. Only of trained operators.
    n_iter_ : int
    n_features_in_ : int
    feature_names_in_ : ndarray of str
        Only when X had named columns.

    See Also
    --------
    MPSDensityEstimator : A density that integrates to 1.
    sklearn.neighbors.LocalOutlierFactor : Density relative to the neighbours'.

    Notes
    -----
    In closed form a row that is one of the landmarks is scored as if it had been left out, so that
    training rows and new rows can be compared.

    Scores of several operators are standardised on training rows, held-out ones where in closed
    form, and averaged.

    Only the ratios of the sample weights matter.

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
        "operator": [StrOptions(set(_OPERATORS)), *_OPERATORS.values()],
        "n_estimators": [Interval(Integral, 1, None, closed="left")],
        "trim": [Interval(Real, 0, 0.5, closed="left")],
        "contamination": [Interval(Real, 0, 0.5, closed="right"), StrOptions({"auto"})],
        "categorical_features": ["array-like", StrOptions({"from_dtype"}), None],
        "random_state": ["random_state"],
    }

    def __init__(
        self,
        *,
        operator="projector",
        n_estimators=1,
        trim=0.0,
        contamination="auto",
        categorical_features="from_dtype",
        random_state=None,
    ):
        self.operator = operator
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
        value = _operator_value(self.operator)
        draft = clone(self)
        rows = _read_rows(draft, X, sample_weight, reset=True)
        seed = check_random_state(self.random_state).randint(2**31 - 1)
        solution, kept = self._solve(value, rows, seed), rows.weight
        draft._combination = _calibrate(solution, kept)
        held_out = draft._combined(solution.operators, solution.log_norms)
        for _ in range(_TRIM_ROUNDS if self.trim > 0 else 0):
            kept = trimmed(held_out, rows.weight, self.trim)
            used = kept > 0
            some = Rows(rows.X[used], relative_weights(kept[used]), rows.categorical)
            solution = self._solve(value, some, seed)
            draft._combination = _calibrate(solution, some.weight)
            held_out = draft._score_rows(solution.operators, rows.X)
            held_out[used] = draft._combined(solution.operators, solution.log_norms)
        vars(draft).update(solution.summary)
        # The value that fitted: parameters may be changed before the next `partial_fit`.
        draft._fitted = {"value": clone(value), "seed": seed, "calls": 0, "stream": solution.stream}
        draft._finish(solution.operators, rows)
        return commit(self, _found(draft))

    @_fit_context(prefer_skip_nested_validation=True)
    def partial_fit(self, X, y=None, sample_weight=None):
        """Go on from the present operators with more rows.

        The first call is a fit: it fixes the operator and its parameters, the columns' scales, the
        landmarks, the bandwidth and how scores are standardised, so its batch should be
        representative. Later, closed forms add the rows to their moments, which is exact, and
        trained operators take one epoch over the batch, by gradient steps whatever their solver
        was. The weights of a batch are relative to each other. The offset is that of the latest
        batch.

        Parameters
        ----------
        X : array-like or data frame of shape (n_samples, n_features)
        y : Ignored
        sample_weight : array-like of shape (n_samples,), default=None

        Returns
        -------
        self : SMPOAnomalyDetector
        """
        if not hasattr(self, "operators_"):
            return self.fit(X, y, sample_weight)
        draft = copy(self)
        rows = _read_rows(draft, X, sample_weight, reset=False)
        fitted = self._fitted
        calls = fitted["calls"] + 1
        rng = np.random.RandomState((fitted["seed"] + calls) % 2**32)
        operators, stream = fitted["value"].update(self.operators_, rows, rng, fitted["stream"])
        draft._fitted = {**fitted, "calls": calls, "stream": stream}
        draft._finish(operators, rows)
        return commit(self, _found(draft))

    def _solve(self, value, rows, seed):
        return value.solve(rows, np.random.RandomState(seed), self.n_estimators)

    def _combined(self, operators, log_norms):
        """One score a row from the log norms of all operators: (k, b) -> (b,)"""
        return self._combination(_scores(operators, log_norms))

    def _score_rows(self, operators, X):
        return self._combined(operators, np.array([P.log_norms(X) for P in operators]))

    def _finish(self, operators, rows):
        self.operators_ = operators
        share = _OUTLIERS if self.contamination == "auto" else self.contamination
        self.offset_ = offset_below(self._score_rows(operators, rows.X), rows.weight, share)
        self._n_features_out = sum(P.transform(rows.X[:1]).shape[1] for P in operators)

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
            Higher is more normal. With several operators the mean of their
            standardised scores.
        """
        X = self._rows(X)
        return self._score_rows(self.operators_, X)

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
        parts = [P.transform(X) for P in self.operators_]
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
        scores = self._score_rows(self.operators_, X)
        changes = np.empty(X.shape)
        for j in range(X.shape[1]):
            norms = np.array([P.log_norms_without(X, j) for P in self.operators_])
            changes[:, j] = self._combined(self.operators_, norms) - scores
        return changes

    def __sklearn_tags__(self):
        tags = super().__sklearn_tags__()
        tags.input_tags.allow_nan = True
        tags.transformer_tags.preserves_dtype = ["float64", "float32"]
        return tags


def _operator_value(operator):
    """A value with valid parameters: str or operator value -> operator value"""
    value = _OPERATORS[operator]() if isinstance(operator, str) else operator
    value._validate_params()
    return value


def _read_rows(draft, X, sample_weight, reset):
    X = read_table(draft, X, reset=reset)
    weight = _check_sample_weight(sample_weight, X, dtype=np.float64, ensure_non_negative=True)
    X, weight = distinct_rows(X, unit_weights(weight))
    return Rows(X, relative_weights(weight), draft.is_categorical_)


def _scores(operators, log_norms):
    """(k, b) -> (k, b)"""
    return np.array([P.scores(norms) for P, norms in zip(operators, log_norms, strict=True)])


def _calibrate(solution, weight):
    return fit_combination(_scores(solution.operators, solution.log_norms), weight)


def _found(draft):
    parameters = draft.get_params(deep=False)
    return {name: value for name, value in vars(draft).items() if name not in parameters}
