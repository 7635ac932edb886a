"""Matrix product state regressor that chooses its own basis and penalties."""

from typing import Self

import numpy as np
from numpy.typing import ArrayLike
from sklearn.base import RegressorMixin, _fit_context

from sktn.annotations import Data
from sktn.chains.regression import ALPHAS, MPSRegressor
from sktn.chains.search.base import BaseChainCV, with_template
from sktn.chains.selection import greedy_average
from sktn.chains.solvers import Sweep
from sktn.chains.spread import Intervals, fit_spread
from sktn.tables.reading import read_fit

# Interactions of standardised columns, smooth curves in them, curves in their ranks, and both.
BASES = (("standard", 1), ("standard", 3), ("quantile", 32), ("mixed", 10), ("quantile", "auto"))


class MPSRegressorCV(RegressorMixin, Intervals, BaseChainCV):
    """:class:`MPSRegressor` with basis, strength, interaction penalty and smoothness chosen by
    cross-validation, and the best combinations averaged.

    See :class:`MPSClassifierCV`: the search is the same, and for squared errors a whole path of
    strengths costs one eigendecomposition.

    Parameters
    ----------
    estimator : MPSRegressor, default=None
        What every member starts from: its parameters that the grid does not name are those of all
        members, and its `time_limit` that of the whole search. None: two sweeps, ``solver="auto"``
        where there are two rows a landmark, and 2,000 landmarks.
    loss : str or loss, default=None
        As in :class:`MPSRegressor`. None: that of `estimator`.
    bases : sequence of (scaling, degree), default=(("standard", 1), ("standard", 3), \
("quantile", 32), ("mixed", 10), ("quantile", "auto"))
        As in :class:`MPSRegressor`. The degree "auto" is for tables of at least 1,000 rows, whose
        columns may have rough parts; of other tables it is left out.
    alphas : sequence of float, default=(31.6, 10, ..., 1e-05)
        Strengths of the penalty; all of them are one fit.
    interaction_penalties : sequence of float, default=(0.25, 1.0, 4.0)
        Factors by which interactions of one order more cost more.
    smoothnesses : sequence of float, default=(1.0, 2.0)
        Bases of degree 1 have no use for it and are tried once.
    relevances : sequence of {"equal", "auto"}, default=("equal", "auto")
        Whether all columns are charged alike, or by their relevance to the target, which also
        settles the interaction penalty; where rows say too little of all columns, a few that matter
        are looked for, and the others ruled out. "auto" is tried for the two best bases, and for
        the others where it is better for these. It is judged on rows that had no say in the
        relevances, and left out where it is not better by a standard error than equal ones, for
        squared errors those of the same basis; members have the relevances that all rows say.
    bond_dims : sequence of int, default=(6, 24)
        Bond dimensions. The largest should be so large that it hardly binds: its errors are those
        of the convex limit. The others are fitted by sweeps, for the best designs of the two best
        bases and, where they gain, of the others, and for their next: where a target has a chain
        structure, a small bond dimension is the better restriction. The first fold says at which
        strength, and ends it where a bound does not help.
    cv : int, splitter or iterable, default=None
        A splitter whose parts train on all rows that they do not hold out. Rows that are never
        held out, as a PredefinedSplit has them, are trained on and not judged. None:
        5 random folds below 600 rows, 3 beyond.
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
    estimators_ : list of MPSRegressor
        Refitted members of the average.
    weights_ : ndarray of shape (n_members,)
        Their shares.
    best_params_ : dict
        The best single combination.
    best_score_ : float
        Its cross-validated score, the negative loss of the scaled target.
    ensemble_score_ : float
        That of the average (optimistic: the shares were chosen on it).
    cv_results_ : dict of ndarrays
        Columns "param_scaling", "param_degree", "param_alpha", "param_interaction_penalty",
        "param_smoothness", "param_relevance", "param_bond_dim", "mean_test_neg_loss",
        "rank_test_score" and "weight" (share in the average), of the designs that were tried.
        Strengths beyond the point where a path overfits may be left out: they have a loss of
        infinity.
    spread_ : Spread
        What `predict_interval` and the like know: the average's out-of-fold errors, see
        :class:`MPSRegressor`.
    n_outputs_ : int
    tensor_shape_ : tuple of int
        Only when X was tensors.
    n_features_in_ : int
    feature_names_in_ : ndarray of shape (n_features_in_,)

    See Also
    --------
    MPSRegressor : One combination.

    References
    ----------
    .. [1] Caruana et al., "Ensemble selection from libraries of models", ICML 2004.

    Examples
    --------
    >>> from sklearn.datasets import load_diabetes
    >>> from sktn import MPSRegressorCV
    >>> X, y = load_diabetes(return_X_y=True)
    >>> model = MPSRegressorCV(bases=[("standard", 1)], random_state=0).fit(X, y)
    >>> model.score(X, y) > 0.5
    True
    """

    _parameter_constraints: dict = {
        **BaseChainCV._parameter_constraints,
        "estimator": [MPSRegressor, None],
        "loss": [*MPSRegressor._parameter_constraints["loss"], None],
    }

    _search_share = 4

    def __init__(
        self,
        *,
        estimator=None,
        loss=None,
        bases=BASES,
        alphas=ALPHAS,
        interaction_penalties=(0.25, 1.0, 4.0),
        smoothnesses=(1.0, 2.0),
        relevances=("equal", "auto"),
        bond_dims=(6, 24),
        cv=None,
        max_members=5,
        n_jobs=None,
        random_state=None,
        verbose=0,
    ):
        self.estimator = estimator
        self.loss = loss
        self.bases = bases
        self.alphas = alphas
        self.interaction_penalties = interaction_penalties
        self.smoothnesses = smoothnesses
        self.relevances = relevances
        self.bond_dims = bond_dims
        self.cv = cv
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
        y : array-like of shape (n_samples,) or (n_samples, n_outputs)
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
        # Further sweeps, to the end, overfit as often as they help, at several times the price.
        default = MPSRegressor(solver=Sweep(max_iter=2, tol=0.01), max_landmarks=2000)
        return with_template(self.estimator, default, loss=self.loss)

    def _read(self, X, y, template):
        return read_fit(self, X, y, categorical=template.categorical_features, regression=True)

    def _fitted(self, target):
        return {
            "n_outputs_": target.values.shape[1],
            "loss_": target.kind,
            "flat_target_": target.flat,
        }

    def _held_out(self, search, points, scores, shares, seed):
        judged, used = np.flatnonzero(search.folds >= 0), np.flatnonzero(shares)
        rows = search.rows[judged]
        errors = search.target.errors(rows, scores[used][:, judged], shares[used])
        best = used[np.argmax(shares[used])]
        # What the mean does not depend on, its error may.
        point = {**points[best], "relevance": "equal"}
        model, _ = self._member(search.estimator, point, search, seed)
        weight = search.target.weight[rows]
        return {"spread_": fit_spread(model, search.reading, rows, errors, weight, seed)}

    def _report(self, target, rows, scores, losses):
        return {"mean_test_neg_loss": -losses}

    def _average(self, target, rows, scores):
        """Shares by the loss of the averaged predictions."""
        link, inverse = (np.exp, np.log) if target.kind.log_link else (_same, _same)
        predicted = link(scores.astype(np.float64))
        weight = target.weight[rows] / target.weight[rows].sum()
        truth = target.values[rows]

        def losses(counts, step):
            total = np.einsum("m,mnc->nc", counts, predicted)
            return target.kind.values(inverse((total + predicted) / step), truth) @ weight

        return greedy_average(losses, len(predicted))

    def _mean(self, X):
        return self._weighted("_mean", X)

    def __sklearn_tags__(self):
        tags = super().__sklearn_tags__()
        tags.target_tags.single_output = True
        tags.target_tags.multi_output = True
        tags.target_tags.positive_only = (
            self._template().__sklearn_tags__().target_tags.positive_only
        )
        return tags


def _same(x):
    return x
