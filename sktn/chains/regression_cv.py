"""Matrix product state regressor that chooses its own basis and penalties."""

from numbers import Real

import numpy as np
from sklearn.base import RegressorMixin, _fit_context
from sklearn.utils._param_validation import Interval
from sklearn.utils.validation import _check_sample_weight

from sktn.chains.regression import ALPHAS, MPSRegressor
from sktn.chains.search import BaseChainCV, greedy_average
from sktn.chains.training import random_folds
from sktn.tables.reading import read_table

# Interactions of standardised columns, smooth curves in them, curves in their ranks, and both.
BASES = (("standard", 1), ("standard", 3), ("quantile", 32), ("mixed", 10))


class MPSRegressorCV(RegressorMixin, BaseChainCV):
    """:class:`MPSRegressor` with basis, strength, interaction penalty and smoothness chosen by
    cross-validation, and the best combinations averaged.

    See :class:`MPSClassifierCV`: the search is the same, and for squared errors a whole path of
    strengths costs one eigendecomposition.

    Parameters
    ----------
    loss, quantile, epsilon
        As in :class:`MPSRegressor`.
    bases : sequence of (scaling, degree), default=(("standard", 1), ("standard", 3), \
("quantile", 32), ("mixed", 10))
        As in :class:`MPSRegressor`.
    alphas : sequence of float, default=(31.6, 10, ..., 1e-05)
    interaction_penalties : sequence of float, default=(0.25, 1.0, 4.0)
    smoothnesses : sequence of float, default=(1.0, 2.0)
        Bases of degree 1 have no use for it and are tried once.
    relevances : sequence of {"equal", "auto"}, default=("equal", "auto")
        Whether all columns are charged alike, or by their relevance to the target, which also
        settles the interaction penalty. "auto" is left out below 30 rows a column.
    embedding : str, embedding or callable, default="legendre"
    cv : int, splitter or iterable, default=None
        A splitter whose held-out parts are a partition of the rows. None: 5 random folds
        below 600 rows, 3 beyond.
    max_members : int, default=5
        Combinations in the average; 1 keeps the best alone.
    bond_dims : sequence of int, default=(6, 24)
        Bond dimensions. The largest should be so large that it hardly binds: its errors are those
        of the convex limit. The others are fitted to every fold by sweeps, for the best two
        designs of every basis: where a target has a chain structure, a small bond dimension is the
        better restriction.
    max_landmarks : int, default=2000
        Of the refitted networks; the search uses a quarter of it.
    max_search_rows : int, default=6000
        Rows for the search, a random choice beyond.
    tol : float, default=1e-6
        Of the refitted networks, see :class:`MPSRegressor`.
    feature_order : {"given", "correlation", "random"} or array of int, default="correlation"
    categorical_features : "from_dtype", None, or array-like, default="from_dtype"
    missing : {"marginal", "indicator"}, default="marginal"
    dtype : {"float32", "float64"}, default=None
    n_jobs : int, default=None
        Threads for the search.
    random_state : int, RandomState instance or None, default=None
    verbose : int, default=0

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
        "rank_test_score" and "weight" (share in the average). Strengths beyond the point where
        a path overfits may be left out: they have a loss of infinity.
    n_outputs_ : int
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
        "loss": MPSRegressor._parameter_constraints["loss"],
        "quantile": [Interval(Real, 0, 1, closed="neither")],
        "epsilon": [Interval(Real, 0, None, closed="neither")],
    }

    _chain = MPSRegressor
    scoring = "neg_loss"
    _search_share = 4

    def __init__(
        self,
        *,
        loss="squared_error",
        quantile=0.5,
        epsilon=1.35,
        bases=BASES,
        alphas=ALPHAS,
        interaction_penalties=(0.25, 1.0, 4.0),
        smoothnesses=(1.0, 2.0),
        relevances=("equal", "auto"),
        embedding="legendre",
        cv=None,
        max_members=5,
        bond_dims=(6, 24),
        max_landmarks=2000,
        max_search_rows=6000,
        tol=1e-6,
        feature_order="correlation",
        categorical_features="from_dtype",
        missing="marginal",
        dtype=None,
        n_jobs=None,
        random_state=None,
        verbose=0,
    ):
        self.loss = loss
        self.quantile = quantile
        self.epsilon = epsilon
        self.bases = bases
        self.alphas = alphas
        self.interaction_penalties = interaction_penalties
        self.smoothnesses = smoothnesses
        self.relevances = relevances
        self.embedding = embedding
        self.cv = cv
        self.max_members = max_members
        self.bond_dims = bond_dims
        self.max_landmarks = max_landmarks
        self.max_search_rows = max_search_rows
        self.tol = tol
        self.feature_order = feature_order
        self.categorical_features = categorical_features
        self.missing = missing
        self.dtype = dtype
        self.n_jobs = n_jobs
        self.random_state = random_state
        self.verbose = verbose

    @_fit_context(prefer_skip_nested_validation=True)
    def fit(self, X, y, sample_weight=None):
        """Search the grid, refit the members of the average.

        Parameters
        ----------
        X : array-like or data frame of shape (n_samples, n_features)
        y : array-like of shape (n_samples,) or (n_samples, n_outputs)
        sample_weight : array-like of shape (n_samples,), default=None

        Returns
        -------
        self : object
        """
        table, y = read_table(self, X, y, reset=True, dtype=self.dtype, regression=True)
        weight = _check_sample_weight(
            sample_weight, table, dtype=table.dtype, ensure_non_negative=True
        )
        # What knows the target's scaling and the loss.
        model = MPSRegressor(**self._member_params())
        target, weight, found = model._fit_target(y, weight)
        objective = model._objective(target, found, np.float32)
        self._search_and_refit(X, y, sample_weight, table, objective, weight)
        self.n_outputs_ = found["n_outputs_"]
        return self

    def _member_params(self):
        return {"loss": self.loss, "quantile": self.quantile, "epsilon": self.epsilon}

    def _make_folds(self, objective, rows, rng):
        return random_folds(len(rows), 5 if len(rows) < 600 else 3, rng)

    def _too_few(self, y):
        return f"{len(y)} sample"

    def _report(self, objective, scores, losses, weight):
        return {"mean_test_neg_loss": -losses}

    def _average(self, objective, scores, weight):
        """Shares by the loss of the averaged predictions."""
        link, inverse = (np.exp, np.log) if self.loss == "poisson" else (_same, _same)
        predicted = link(scores.astype(np.float64))
        weight = weight / weight.sum()

        def losses(counts, step):
            total = np.einsum("m,mnc->nc", counts, predicted)
            return objective.values(inverse((total + predicted) / step)) @ weight

        return greedy_average(losses, len(predicted), n_steps=25)

    def predict(self, X):
        """Predictions in the units of the target, the weighted average over the members.

        Parameters
        ----------
        X : array-like or data frame of shape (n_samples, n_features)

        Returns
        -------
        y : ndarray of shape (n_samples,) or (n_samples, n_outputs)
        """
        return self._weighted("predict", X)

    def __sklearn_tags__(self):
        tags = super().__sklearn_tags__()
        tags.target_tags.single_output = True
        tags.target_tags.multi_output = True
        tags.target_tags.positive_only = self.loss == "poisson"
        return tags


def _same(x):
    return x
