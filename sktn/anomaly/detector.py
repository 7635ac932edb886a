"""Anomaly detection with spaced matrix product operators."""

from numbers import Integral, Real
from typing import Self

import numpy as np
from numpy.typing import ArrayLike
from sklearn.base import BaseEstimator, OutlierMixin, _fit_context, clone
from sklearn.utils import check_random_state
from sklearn.utils._param_validation import Interval, StrOptions

from sktn.annotations import Data
from sktn.anomaly.base import (
    Rows,
    relative_weights,
    score_rows,
    scores_of,
)
from sktn.anomaly.calibration import fit_calibration, fit_combination, offset_below, trimmed
from sktn.anomaly.closed_form import MeanState, Projector
from sktn.anomaly.known_rows import KnownRows
from sktn.anomaly.looks import Looks
from sktn.anomaly.robust import RobustLooks
from sktn.anomaly.scoring import Scoring, blended_scores
from sktn.anomaly.trained import TrainedSMPO
from sktn.documentation import DocLinks
from sktn.fitted import commit, refuse_changes, settled
from sktn.solvers.problem import Clock
from sktn.tables.reading import read_fit, read_more, table_weight
from sktn.tables.statistics import distinct_rows, unit_weights

# Without a contamination to aim at, this share of the training rows is called an outlier.
_OUTLIERS = 0.05

# What every `partial_fit` reads anew.
_LIVE = ("contamination", "random_state", "verbose")

# Rounds of `trim`: which rows are left out settles quickly.
_TRIM_ROUNDS = 2

_OPERATORS = {
    "looks": Looks,
    "projector": Projector,
    "mean-state": MeanState,
    "robust": RobustLooks,
    "trained": TrainedSMPO,
}


class SMPOAnomalyDetector(
    Scoring,
    DocLinks,
    OutlierMixin,
    BaseEstimator,
):
    """Anomaly detection with a spaced matrix product operator.

    Every row is a product state Phi(x), one vector a column, and an operator P with few output
    legs maps typical states to one norm and others to another: the score of a row is a function of
    log ||P Phi(x)||^2. P is either computed in closed form from the training states, which is the
    default and needs no tuning, or trained by gradients as published [1]_.

    Parameters
    ----------
    operator : {"looks", "projector", "mean-state", "robust", "trained"} or operator value, \
            default="looks"
        Where P comes from. A string stands for the value with its defaults.

        - "looks", :class:`~sktn.anomaly.Looks`: a density, a projector, the same relative to the
          surroundings of a row, the single columns, and a mixture of normal distributions; a row is
          strange where one of them finds it strange, and stranger where several do. Training rows
          are judged as "robust" does. Closed form.
        - "projector", :class:`~sktn.anomaly.Projector`: the complement of the leading subspace of
          the training states in a Gaussian product kernel, with a soft edge [2]_. Closed form.
        - "mean-state", :class:`~sktn.anomaly.MeanState`: the mean of the training states, a kernel
          density estimate. Closed form.
        - "robust", :class:`~sktn.anomaly.RobustLooks`: for training rows of which a share is
          strange; the others learn from normal rows. Closed form.
        - "trained", :class:`~sktn.anomaly.TrainedSMPO`: trained as published [1]_.
    n_estimators : int, default=1
        Repetitions with other landmarks, or with other feature orders and starts. In closed form a
        table of no more distinct rows than landmarks gets one, since all would be the same.
    trim : float, default=0.0
        Share of the training rows to leave out as anomalous, the ones of lowest score, so that new
        rows are not compared with them.
    contamination : float or "auto", default="auto"
        Sets `offset_` so that this share of the training rows, and at least one, are called
        outliers, unless all have the same score. "auto": 5 %.
    categorical_features : "from_dtype", array-like of {bool, int, str} or None, \
            default="from_dtype"
        As in :class:`~sklearn.ensemble.HistGradientBoostingClassifier`, and "from_dtype" takes
        columns of strings, too.
    random_state : int, RandomState instance or None, default=None
        Seeds what is drawn; an int gives the same result every time.
    verbose : int, default=0
        1: a line for every stage, with the seconds since the start.

    Attributes
    ----------
    operators_ : list
        The fitted operators, as records of NumPy arrays.
    offset_ : float
        `decision_function` is `score_samples` minus this.
    bandwidths_ : ndarray
        The bandwidths in use, in units of sqrt(n_features), of what has one. Only in closed form.
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
    Training rows and new rows are different questions. By default a row of `fit` is scored as one
    that may be strange itself, with others like it (outlier detection), and any other row against
    the training rows (novelty detection), both in the same units; between a training row and a
    tenth of the usual distance to the next one the score passes from the one to the other.
    ``operator=Looks(neighbourhood=None)`` trusts the training rows, and then sees single ones that
    break a relation between columns. Other closed forms score a row that is one of
    the landmarks as if it alone had been left out.

    Several operators give logarithms of the share of training rows, held-out ones where in closed
    form, that score as low: repetitions are averaged, and of different looks the root mean square
    counts.

    Only the ratios of the sample weights matter.

    Missing values are averaged over: the site gets the mean vector of its column. In closed form a
    column without spread in the training data still counts: a value that differs from its only
    known one is scaled by 1.

    References
    ----------
    .. [1] J. Wang, C. Roberts, G. Vidal and S. Leichenauer, "Anomaly detection with tensor
       networks", arXiv:2006.02516 (2020).
    .. [2] H. Hoffmann, "Kernel PCA for novelty detection", Pattern Recognition 40 (2007) 863-874.
    .. [3] Y. Benjamini and Y. Hochberg, "Controlling the false discovery rate", Journal of the
       Royal Statistical Society B 57 (1995) 289-300; for detectors S. Bates, E. Candes, L. Lei, Y.
       Romano and M. Sesia, "Testing for outliers with conformal p-values", Annals of Statistics 51
       (2023) 149-178.

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
        "verbose": ["verbose"],
    }

    def __init__(
        self,
        *,
        operator="looks",
        n_estimators=1,
        trim=0.0,
        contamination="auto",
        categorical_features="from_dtype",
        random_state=None,
        verbose=0,
    ):
        self.operator = operator
        self.n_estimators = n_estimators
        self.trim = trim
        self.contamination = contamination
        self.categorical_features = categorical_features
        self.random_state = random_state
        self.verbose = verbose

    @_fit_context(prefer_skip_nested_validation=True)
    def fit(
        self, X: Data, y: ArrayLike | None = None, sample_weight: ArrayLike | None = None
    ) -> Self:
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
        clock = Clock(verbose=self.verbose)
        value = _operator_value(self.operator)
        reading = read_fit(self, X, categorical=self.categorical_features)
        rows = _rows(reading, sample_weight)
        clock.say(f"{' x '.join(map(str, reading.X.shape))} table read")
        seed = check_random_state(self.random_state).randint(2**31 - 1)
        suspicion = value.suspicion(rows, np.random.RandomState(seed))
        kept = rows.weight
        if suspicion is not None and self.trim > 0:
            kept = trimmed(suspicion, kept, self.trim)
        solution, combination, held_out = self._solve(value, rows, kept, seed)
        clock.say(f"{len(solution.operators)} operators learned")
        for _ in range(_TRIM_ROUNDS if suspicion is None and self.trim > 0 else 0):
            kept = trimmed(held_out, rows.weight, self.trim)
            solution, combination, held_out = self._solve(value, rows, kept, seed)
            clock.say(f"learned again without {self.trim:.0%} of the rows")
        known = None
        if suspicion is not None:
            known = KnownRows.of(solution.operators[0].coordinates, rows.X, suspicion)
        # The value that fitted, whatever becomes of the one that was given.
        stream = {"value": clone(value), "seed": seed, "calls": 0, "state": solution.stream}
        stream["settled"] = settled(self, _LIVE)
        found = {
            **reading.fitted(),
            **solution.summary,
            **self._found(solution.operators, combination, known, rows),
            "_calibration": fit_calibration(held_out, rows.weight),
            "_stream": stream,
        }
        return commit(self, found)

    @_fit_context(prefer_skip_nested_validation=True)
    def partial_fit(
        self, X: Data, y: ArrayLike | None = None, sample_weight: ArrayLike | None = None
    ) -> Self:
        """Go on from the present operators with more rows.

        The first call is a fit: it fixes the operator and its parameters, the columns' scales, the
        landmarks, the bandwidth and how scores are standardised, so its batch should be
        representative. Later, closed forms add the rows to their moments, which is exact; what
        "robust" compares with, wide densities and neighbourhoods, stays that of the first batch,
        and so do the scores that p-values are read from. Trained operators take one epoch over the
        batch, by gradient steps whatever their solver was. Parameters that the first call has
        settled can no longer be changed. The weights of a batch are relative to each other. The
        offset is that of the latest batch.

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
        refuse_changes(self, self._stream["settled"])
        reading = read_more(self, X)
        rows = _rows(reading, sample_weight)
        calls = self._stream["calls"] + 1
        rng = np.random.RandomState((self._stream["seed"] + calls) % 2**32)
        operators, state = self._stream["value"].update(
            self.operators_, rows, rng, self._stream["state"]
        )
        found = {
            **{name: value for name, value in vars(self).items() if name.endswith("_")},
            **self._found(operators, self._combination, self._known, rows),
            "_stream": {**self._stream, "calls": calls, "state": state},
        }
        return commit(self, found)

    def _solve(self, value, rows, weight, seed):
        """Operators fitted to the rows of positive weight, how their scores combine, and the scores
        of all rows, held-out ones where operators have them."""
        used = weight > 0
        some = Rows(rows.X[used], relative_weights(weight[used]), rows.categorical)
        solution = value.solve(some, np.random.RandomState(seed), self.n_estimators)
        scores = scores_of(solution.operators, solution.log_norms)
        combination = fit_combination(scores, solution.groups, some.weight)
        held_out = np.empty(len(used))
        held_out[used] = combination(scores)
        held_out[~used] = score_rows(solution.operators, combination, rows.X[~used])
        return solution, combination, held_out

    def _found(self, operators, combination, known, rows):
        share = _OUTLIERS if self.contamination == "auto" else self.contamination
        scores = blended_scores(operators, combination, known, rows.X)
        return {
            "operators_": operators,
            "offset_": offset_below(scores, rows.weight, share),
            "_combination": combination,
            "_known": known,
            "_n_features_out": sum(P.transform(rows.X[:1]).shape[1] for P in operators),
        }

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


def _rows(reading, sample_weight):
    weight = unit_weights(table_weight(sample_weight, reading.X))
    X, weight = distinct_rows(reading.X, weight)
    return Rows(X, relative_weights(weight), reading.is_categorical)
