"""Matrix product state classifier that chooses its own basis and penalties."""

from typing import Any, Self

import numpy as np
from numpy.typing import ArrayLike
from sklearn.base import ClassifierMixin, _fit_context
from sklearn.utils._param_validation import StrOptions
from sklearn.utils.multiclass import check_classification_targets
from sklearn.utils.validation import check_is_fitted

from sktn.annotations import Data
from sktn.chains.classification import ALPHAS, MPSClassifier
from sktn.chains.search.base import BaseChainCV, with_template
from sktn.chains.selection import greedy_average
from sktn.losses import log_probabilities
from sktn.tables.reading import read_fit

# What the basis of a table is worth trying as: interactions of standardised columns, smooth curves
# in them, curves in their ranks, and both.
BASES = (("standard", 1), ("standard", 3), ("quantile", 8), ("mixed", 5), ("quantile", "auto"))


class MPSClassifierCV(ClassifierMixin, BaseChainCV):
    """:class:`MPSClassifier` with basis, strength, interaction penalty and smoothness chosen by
    cross-validation, and the best combinations averaged.

    The grid is searched in the convex limit (unlimited bond dimension), where a fit has no seed, no
    learning rate and a single solution: all strengths and folds of one basis and penalty are one
    batch of problems on one design. Of long tables and many classes, only those designs are tried
    that are among the best of a first look, a least-squares fit on few rows. The out-of-fold
    probabilities then decide which combinations enter the average and with what share, and those
    are refitted to all rows as chains of bond dimension `bond_dim`.

    Parameters
    ----------
    estimator : MPSClassifier, default=None
        What every member starts from: its parameters that the grid does not name are those of all
        members, and its `time_limit` that of the whole search. None: ``solver="convex"``, and
        "auto" where there are two rows a landmark.
    bases : sequence of (scaling, degree), default=(("standard", 1), ("standard", 3), \
("quantile", 8), ("mixed", 5), ("quantile", "auto"))
        As in :class:`MPSClassifier`. The degree "auto" is for tables of at least 1,000 rows, whose
        columns may have rough parts; of other tables it is left out.
    alphas : sequence of float, default=(3.16, 1, ..., 0.000316)
        Strengths of the penalty; all of them are one fit.
    interaction_penalties : sequence of float, default=(0.25, 1.0, 4.0)
        Factors by which interactions of one order more cost more.
    smoothnesses : sequence of float, default=(1.0,)
        Bases of degree 1 have no use for it and are tried once.
    relevances : sequence of {"equal", "auto"}, default=("equal", "auto")
        Whether all columns are charged alike, or by their relevance to the target, which also
        settles the interaction penalty; where rows say too little of all columns, a few that matter
        are looked for, and the others ruled out. "auto" is tried for the two best bases, and for
        the others where it is better for these. It is judged on rows that had no say in the
        relevances, which are taken as found or with half of their logarithms, whichever tells a
        first share of the rows better, and left out where it is not better than equal ones by a
        standard error, and, unless it is all that is asked for, on fewer than 250 rows, which do
        not tell what it costs to be wrong and sure.
    bond_dims : sequence of int, default=(24,)
        Bond dimensions. The largest should be so large that it hardly binds: its errors are those
        of the convex limit. The others are fitted by sweeps, for the best designs of the two best
        bases and, where they gain, of the others, and for their next: where a target has a chain
        structure, a small bond dimension is the better restriction. The first fold says at which
        strength, and ends it where a bound does not help.
    class_weight : dict or "balanced", default=None
        None: that of `estimator`.
    cv : int, splitter or iterable, default=None
        A splitter whose parts train on all rows that they do not hold out. Rows that are never
        held out, as a PredefinedSplit has them, are trained on and not judged. None:
        5 stratified folds below 600 rows, 3 beyond.
    scoring : {"neg_log_loss", "accuracy"}, default="neg_log_loss"
        What ranks the combinations in `cv_results_` and names `best_params_`. The average is
        always built by log-loss.
    max_members : int, default=5
        Combinations in the average; 1 keeps the best alone.
    n_jobs : int, default=None
        Threads for the search.
    random_state : int, RandomState instance or None, default=None
        Seeds what is drawn; an int gives the same result every time.
    verbose : int, default=0
        1: a line for every candidate, with the seconds since the start.

    Attributes
    ----------
    classes_ : ndarray of shape (n_classes,)
    estimators_ : list of MPSClassifier
        Refitted members of the average.
    weights_ : ndarray of shape (n_members,)
        Their shares.
    best_params_ : dict
        The best single combination.
    best_score_ : float
        Its cross-validated score.
    ensemble_score_ : float
        Cross-validated negative log-loss of the average (optimistic: the shares were chosen on
        it).
    cv_results_ : dict of ndarrays
        Columns "param_scaling", "param_degree", "param_alpha", "param_interaction_penalty",
        "param_smoothness", "param_relevance", "param_bond_dim", "mean_test_neg_log_loss",
        "mean_test_accuracy", "rank_test_score" and "weight" (share in the average), of the designs
        that were tried. Strengths beyond the point where a path overfits are not fitted and have a
        log-loss of minus infinity.
    tensor_shape_ : tuple of int
        Only when X was tensors.
    n_features_in_ : int
    feature_names_in_ : ndarray of shape (n_features_in_,)

    See Also
    --------
    MPSClassifier : One combination.

    References
    ----------
    .. [1] Caruana et al., "Ensemble selection from libraries of models", ICML 2004.

    Examples
    --------
    >>> from sklearn.datasets import load_iris
    >>> from sktn import MPSClassifierCV
    >>> X, y = load_iris(return_X_y=True)
    >>> model = MPSClassifierCV(bases=[("standard", 3)], max_members=2, random_state=0)
    >>> model.fit(X, y).score(X, y) > 0.95
    True
    >>> sorted(model.best_params_)
    ['alpha', 'bond_dim', 'degree', 'interaction_penalty', 'relevance', 'scaling', 'smoothness']
    """

    _parameter_constraints: dict = {
        **BaseChainCV._parameter_constraints,
        "estimator": [MPSClassifier, None],
        "class_weight": [dict, StrOptions({"balanced"}), None],
        "scoring": [StrOptions({"neg_log_loss", "accuracy"})],
    }

    def __init__(
        self,
        *,
        estimator=None,
        bases=BASES,
        alphas=ALPHAS,
        interaction_penalties=(0.25, 1.0, 4.0),
        smoothnesses=(1.0,),
        relevances=("equal", "auto"),
        bond_dims=(24,),
        class_weight=None,
        cv=None,
        scoring="neg_log_loss",
        max_members=5,
        n_jobs=None,
        random_state=None,
        verbose=0,
    ):
        self.estimator = estimator
        self.bases = bases
        self.alphas = alphas
        self.interaction_penalties = interaction_penalties
        self.smoothnesses = smoothnesses
        self.relevances = relevances
        self.bond_dims = bond_dims
        self.class_weight = class_weight
        self.cv = cv
        self.scoring = scoring
        self.max_members = max_members
        self.n_jobs = n_jobs
        self.random_state = random_state
        self.verbose = verbose

    @_fit_context(prefer_skip_nested_validation=True)
    def fit(
        self,
        X: Data,
        y: ArrayLike,
        sample_weight: ArrayLike | None = None,
        groups: ArrayLike | None = None,
    ) -> Self:
        """Search the grid, refit the members of the average.

        Parameters
        ----------
        X : array-like or data frame of shape (n_samples, n_features)
            Tensors of shape (n_samples, I_1, ..., I_k) are read as tables of their entries, in C
            order.
        y : array-like of shape (n_samples,)
        sample_weight : array-like of shape (n_samples,), default=None
            An integer weight is the same as repeating the row; but a `cv` of your own counts
            rows as they are, and may hold a row out beside its copy.
        groups : array-like of shape (n_samples,), default=None
            For a `cv` that splits by groups.

        Returns
        -------
        self : object
        """
        return self._fit(X, y, sample_weight, groups)

    def _template(self):
        return with_template(
            self.estimator, MPSClassifier(solver="convex"), class_weight=self.class_weight
        )

    def _read(self, X, y, template):
        reading = read_fit(self, X, y, categorical=template.categorical_features)
        check_classification_targets(reading.y)
        return reading

    def _fitted(self, target):
        return {"classes_": target.classes}

    def _scoring_name(self):
        return self.scoring

    def _report(self, target, rows, scores, losses):
        predicted = scores.argmax(-1) if scores.shape[-1] > 1 else scores[:, :, 0] > 0
        hits = predicted == target.labels[rows]
        accuracy = np.average(hits, weights=target.weight[rows], axis=1)
        return {"mean_test_neg_log_loss": -losses, "mean_test_accuracy": accuracy}

    def _average(self, target, rows, scores):
        """Shares by the log-loss of the averaged probabilities."""
        log_proba = log_probabilities(scores)
        picked = np.exp(log_proba[:, np.arange(len(rows)), target.labels[rows]])
        weight = target.weight[rows] / target.weight[rows].sum()

        def losses(counts, step):
            return -np.log(np.maximum((counts @ picked + picked) / step, 1e-30)) @ weight

        return greedy_average(losses, len(picked))

    def predict_proba(self, X: Data, return_std: bool = False) -> Any:
        """Class probabilities, the weighted average over the members.

        Parameters
        ----------
        X : array-like or data frame of shape (n_samples, n_features)
        return_std : bool, default=False
            Also how much they would differ had there been another sample of rows.

        Returns
        -------
        proba : ndarray of shape (n_samples, n_classes)
        std : ndarray of shape (n_samples, n_classes)
            Only if `return_std`: root of the members' variances and of those between them.
        """
        if not return_std:
            total = self._weighted("predict_proba", X)
            return total / total.sum(axis=1, keepdims=True)
        check_is_fitted(self)
        parts = [member.predict_proba(X, return_std=True) for member in self.estimators_]
        proba, std = map(np.stack, zip(*parts, strict=True))
        mean = np.tensordot(self.weights_, proba, 1)
        variance = np.tensordot(self.weights_, std**2 + (proba - mean) ** 2, 1)
        return mean / mean.sum(axis=1, keepdims=True), np.sqrt(variance).astype(std.dtype)

    def novelty(self, X: Data) -> np.ndarray:
        """How little the training rows say of a row: an out-of-distribution score.

        Parameters
        ----------
        X : array-like or data frame of shape (n_samples, n_features)

        Returns
        -------
        novelty : ndarray of shape (n_samples,)
            As of :class:`MPSClassifier`, the weighted average over the members.
        """
        return self._weighted("novelty", X)

    def predict_log_proba(self, X: Data) -> np.ndarray:
        """Logarithms of the class probabilities.

        Parameters
        ----------
        X : array-like or data frame of shape (n_samples, n_features)

        Returns
        -------
        log_proba : ndarray of shape (n_samples, n_classes)
        """
        proba = self.predict_proba(X)
        return np.log(np.maximum(proba, np.finfo(proba.dtype).tiny))

    def decision_function(self, X: Data) -> np.ndarray:
        """Log-odds of the second class, or log-probabilities for more than two classes.

        Parameters
        ----------
        X : array-like or data frame of shape (n_samples, n_features)

        Returns
        -------
        scores : ndarray of shape (n_samples,) or (n_samples, n_classes)
        """
        log_proba = self.predict_log_proba(X)
        return log_proba[:, 1] - log_proba[:, 0] if log_proba.shape[1] == 2 else log_proba

    def predict(self, X: Data) -> np.ndarray:
        """The most probable class.

        Parameters
        ----------
        X : array-like or data frame of shape (n_samples, n_features)

        Returns
        -------
        y : ndarray of shape (n_samples,)
        """
        best = np.argmax(self.predict_proba(X), axis=1)
        return self.classes_[best]
