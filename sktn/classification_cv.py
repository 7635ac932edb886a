"""Matrix product state classifier that chooses its own basis and penalties."""

from numbers import Integral, Real

import numpy as np
from joblib import Parallel, delayed
from sklearn.base import BaseEstimator, ClassifierMixin, _fit_context
from sklearn.model_selection import check_cv
from sklearn.utils import check_random_state, compute_class_weight
from sklearn.utils._param_validation import Interval, StrOptions
from sklearn.utils.multiclass import check_classification_targets
from sklearn.utils.validation import _check_sample_weight, check_is_fitted

from sktn import _base
from sktn._training import ALPHAS, search_losses, stratified_folds
from sktn.classification import MPSClassifier
from sktn.solvers import compressed

# What the basis of a table is worth trying as: interactions of standardised columns, smooth curves
# in them, curves in their ranks, and both.
BASES = (("standard", 1), ("standard", 3), ("quantile", 8), ("mixed", 5))


def average_members(log_proba, labels, weight, n_steps):
    """Greedy forward selection with replacement (Caruana et al., ICML 2004): at every step the
    candidate that lowers the log-loss of the running average most.

    log_proba (M, N, c) out of fold, labels (N,), weight (N,) -> shares (M,), log-loss ()
    """
    picked = np.exp(log_proba[:, np.arange(len(labels)), labels])
    weight = weight / weight.sum()
    counts, total = np.zeros(len(picked)), np.zeros(len(labels))
    best_counts, best_loss = None, np.inf
    for step in range(1, n_steps + 1):
        losses = -np.log(np.maximum((total + picked) / step, 1e-30)) @ weight
        chosen = int(np.argmin(losses))
        counts[chosen] += 1
        total += picked[chosen]
        if losses[chosen] < best_loss:
            best_counts, best_loss = counts.copy(), float(losses[chosen])
    return best_counts / best_counts.sum(), best_loss


class MPSClassifierCV(ClassifierMixin, BaseEstimator):
    """:class:`MPSClassifier` with basis, strength, interaction penalty and smoothness chosen by
    cross-validation, and the best combinations averaged.

    The grid is searched in the convex limit (unlimited bond dimension), where a fit has no seed, no
    learning rate and a single solution: all strengths and folds of one basis and penalty are one
    batch of problems on one design. The out-of-fold probabilities then decide which combinations
    enter the average and with what share, and those are refitted to all rows as chains of bond
    dimension `bond_dim`.

    Parameters
    ----------
    bases : sequence of (scaling, degree), default=(("standard", 1), ("standard", 3), \
("quantile", 8), ("mixed", 5))
        As in :class:`MPSClassifier`.
    alphas : sequence of float, default=(3.16, 1, ..., 0.000316)
    interaction_penalties : sequence of float, default=(0.25, 1.0, 4.0)
    smoothnesses : sequence of float, default=(1.0,)
        Bases of degree 1 have no use for it and are tried once.
    embedding : str, embedding or callable, default="legendre"
    cv : int, splitter or iterable, default=None
        A splitter whose held-out parts are a partition of the rows. None: 5 stratified folds
        below 1,500 rows, 3 beyond.
    scoring : {"neg_log_loss", "accuracy"}, default="neg_log_loss"
        What ranks the combinations in `cv_results_` and names `best_params_`. The average is
        always built by log-loss.
    max_members : int, default=5
        Combinations in the average; 1 keeps the best alone.
    bond_dim : int, default=24
    max_landmarks : int, default=1000
        Of the refitted networks; the search uses half of it.
    max_search_rows : int, default=3000
        Rows for the search, a random choice beyond.
    tol : float, default=1e-6
        Of the refitted networks, see `MPSClassifier`.
    class_weight : dict or "balanced", default=None
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
        "param_smoothness", "mean_test_neg_log_loss", "mean_test_accuracy", "rank_test_score" and
        "weight" (share in the average). Strengths beyond the point where a path overfits are not
        fitted and have a log-loss of minus infinity.
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
    ['alpha', 'degree', 'interaction_penalty', 'scaling', 'smoothness']
    """

    _parameter_constraints: dict = {
        "bases": ["array-like"],
        "alphas": ["array-like"],
        "interaction_penalties": ["array-like"],
        "smoothnesses": ["array-like"],
        "embedding": MPSClassifier._parameter_constraints["embedding"],
        "cv": ["cv_object"],
        "scoring": [StrOptions({"neg_log_loss", "accuracy"})],
        "max_members": [Interval(Integral, 1, None, closed="left")],
        "bond_dim": [Interval(Integral, 1, None, closed="left")],
        "max_landmarks": [Interval(Integral, 1, None, closed="left")],
        "max_search_rows": [Interval(Integral, 2, None, closed="left")],
        "tol": MPSClassifier._parameter_constraints["tol"],
        "class_weight": [dict, StrOptions({"balanced"}), None],
        "feature_order": MPSClassifier._parameter_constraints["feature_order"],
        "categorical_features": ["array-like", StrOptions({"from_dtype"}), None],
        "missing": [StrOptions({"marginal", "indicator"})],
        "dtype": [StrOptions({"float32", "float64"}), None],
        "n_jobs": [Integral, None],
        "random_state": ["random_state"],
        "verbose": ["verbose"],
    }

    _doc_link_module = "sktn"
    _doc_link_template = MPSClassifier._doc_link_template

    def __init__(
        self,
        *,
        bases=BASES,
        alphas=ALPHAS,
        interaction_penalties=(0.25, 1.0, 4.0),
        smoothnesses=(1.0,),
        embedding="legendre",
        cv=None,
        scoring="neg_log_loss",
        max_members=5,
        bond_dim=24,
        max_landmarks=1000,
        max_search_rows=3000,
        tol=1e-6,
        class_weight=None,
        feature_order="correlation",
        categorical_features="from_dtype",
        missing="marginal",
        dtype=None,
        n_jobs=None,
        random_state=None,
        verbose=0,
    ):
        self.bases = bases
        self.alphas = alphas
        self.interaction_penalties = interaction_penalties
        self.smoothnesses = smoothnesses
        self.embedding = embedding
        self.cv = cv
        self.scoring = scoring
        self.max_members = max_members
        self.bond_dim = bond_dim
        self.max_landmarks = max_landmarks
        self.max_search_rows = max_search_rows
        self.tol = tol
        self.class_weight = class_weight
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
        y : array-like of shape (n_samples,)
        sample_weight : array-like of shape (n_samples,), default=None

        Returns
        -------
        self : object
        """
        table, y = _base.read_table(self, X, y, reset=True, dtype=self.dtype)
        check_classification_targets(y)
        sample_weight = _check_sample_weight(
            sample_weight, table, dtype=table.dtype, ensure_non_negative=True
        )
        classes, labels = np.unique(y, return_inverse=True)
        if len(np.unique(labels[sample_weight > 0])) < 2:
            raise ValueError(
                f"MPSClassifierCV needs at least 2 classes with positive weight; got 1 class of "
                f"{classes!r}."
            )
        class_weight = compute_class_weight(self.class_weight, classes=classes, y=y)
        weight = sample_weight * class_weight[labels]
        grid = self._grid()
        rng = check_random_state(self.random_state)
        rows, folds = self._split(table, y, labels, weight, rng)
        log_proba, losses = self._search(
            table, labels, len(classes), weight, grid, rows, folds, rng
        )
        accuracy = np.average(log_proba.argmax(-1) == labels[rows], weights=weight[rows], axis=1)
        score = -losses if self.scoring == "neg_log_loss" else accuracy
        best = int(np.argmax(score))
        shares = np.zeros(len(grid))
        shares[best] = 1.0
        ensemble_loss = losses[best]
        if self.max_members > 1:
            shares, ensemble_loss = self._choose_members(
                log_proba, losses, labels[rows], weight[rows]
            )
        self.classes_ = classes
        self.best_params_, self.best_score_ = grid[best], float(score[best])
        self.ensemble_score_ = -float(ensemble_loss)
        self.cv_results_ = {
            **{f"param_{key}": np.array([point[key] for point in grid]) for key in grid[0]},
            "mean_test_neg_log_loss": -losses,
            "mean_test_accuracy": accuracy,
            "rank_test_score": 1 + np.argsort(np.argsort(-score, kind="stable"), kind="stable"),
            "weight": shares,
        }
        members = np.flatnonzero(shares)
        members = members[np.argsort(-shares[members], kind="stable")]
        self.weights_ = shares[members]
        self.estimators_ = [
            self._member(grid[i], rng).fit(X, y, sample_weight=sample_weight) for i in members
        ]
        return self

    def _grid(self):
        """All combinations, those of one design next to each other."""
        for name in ("bases", "alphas", "interaction_penalties", "smoothnesses"):
            if len(getattr(self, name)) == 0:
                raise ValueError(f"{name} is empty: give at least one value.")
        for name in ("alphas", "interaction_penalties", "smoothnesses"):
            for value in getattr(self, name):
                if not isinstance(value, Real) or not value >= 0:
                    raise ValueError(f"{name} must be non-negative numbers, got {value!r}.")
        return [
            {
                "scaling": scaling,
                "degree": int(degree),
                "interaction_penalty": float(omega),
                "smoothness": float(q),
                "alpha": float(alpha),
            }
            for scaling, degree in self.bases
            for omega in self.interaction_penalties
            for q in (self.smoothnesses if degree > 1 else self.smoothnesses[:1])
            for alpha in self.alphas
        ]

    def _split(self, X, y, labels, weight, rng):
        """Rows of the search, and the fold of each."""
        rows = np.flatnonzero(weight > 0)
        if len(rows) > self.max_search_rows:
            rows = np.sort(rng.choice(rows, self.max_search_rows, replace=False))
        if self.cv is None:
            folds = stratified_folds(labels[rows], 5 if len(rows) < 600 else 3, rng)
            if folds is None:
                raise ValueError(
                    "The least populated class in y has only 1 member, too few for "
                    "cross-validation: use MPSClassifier with a fixed alpha."
                )
            return rows, folds
        # A splitter, or a list of its parts, speaks of all rows.
        folds = np.full(len(y), -1)
        splitter = check_cv(self.cv, y, classifier=True)
        for k, (_, held_out) in enumerate(splitter.split(X, y)):
            folds[held_out] = k
        folds = folds[rows]
        if (folds < 0).any():
            raise ValueError(
                f"cv={self.cv!r} leaves {np.sum(folds < 0)} rows out of all held-out parts: use a "
                "splitter that partitions the rows, like StratifiedKFold."
            )
        return rows, folds

    def _search(self, X, labels, n_classes, weight, grid, rows, folds, rng):
        """Out-of-fold log-probabilities (M, N, c) and log-losses (M,) of the grid."""
        n_alphas = len(self.alphas)
        sites = {
            basis: _base.fit_sites(
                X[rows], weight[rows], self.is_categorical_, embedding=self.embedding,
                degree=basis[1], scaling=basis[0], missing=self.missing,
            )[1:]
            for basis in dict.fromkeys((p["scaling"], p["degree"]) for p in grid)
        }  # fmt: skip
        seed = rng.randint(2**31 - 1)

        def one(point):
            basis, coords = sites[point["scaling"], point["degree"]]
            g = compressed.penalty_weights(basis, point["interaction_penalty"], point["smoothness"])
            # The same landmarks everywhere: the combinations are compared, not the draws.
            return search_losses(
                basis, coords, g, labels[rows], n_classes, weight[rows], folds, self.alphas,
                max(1, self.max_landmarks // 2), np.random.RandomState(seed),
            )  # fmt: skip

        designs = grid[::n_alphas]
        results = Parallel(n_jobs=self.n_jobs, prefer="threads", verbose=self.verbose)(
            delayed(one)(point) for point in designs
        )
        return tuple(np.concatenate(part) for part in zip(*results, strict=True))

    def _choose_members(self, log_proba, losses, labels, weight):
        """Shares of the average: greedy selection among the best of every design, repeated on those
        with the largest shares when there are too many."""
        n_alphas = len(self.alphas)
        # Neighbouring strengths of one design differ too little to be worth an average.
        best_alpha = losses.reshape(-1, n_alphas).argmin(axis=1)
        candidates = np.arange(len(best_alpha)) * n_alphas + best_alpha
        candidates = candidates[np.argsort(losses[candidates], kind="stable")]
        while True:
            found, loss = average_members(log_proba[candidates], labels, weight, n_steps=25)
            keep = np.flatnonzero(found)
            if len(keep) <= self.max_members:
                break
            candidates = candidates[np.argsort(-found, kind="stable")[: self.max_members]]
        shares = np.zeros(len(losses))
        shares[candidates] = found
        return shares, loss

    def _member(self, point, rng):
        return MPSClassifier(
            **point, embedding=self.embedding, solver="convex", bond_dim=self.bond_dim,
            max_landmarks=self.max_landmarks, tol=self.tol, class_weight=self.class_weight,
            feature_order=self.feature_order, categorical_features=self.categorical_features,
            missing=self.missing, dtype=self.dtype, random_state=rng.randint(2**31 - 1),
        )  # fmt: skip

    def predict_proba(self, X):
        """Class probabilities, the weighted average over the members.

        Parameters
        ----------
        X : array-like or data frame of shape (n_samples, n_features)

        Returns
        -------
        proba : ndarray of shape (n_samples, n_classes)
        """
        check_is_fitted(self)
        parts = [
            np.asarray(weight, dtype=np.float32) * member.predict_proba(X)
            for weight, member in zip(self.weights_, self.estimators_, strict=True)
        ]
        total = np.sum(parts, axis=0)
        return total / total.sum(axis=1, keepdims=True)

    def predict_log_proba(self, X):
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

    def decision_function(self, X):
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

    def predict(self, X):
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

    def __sklearn_tags__(self):
        tags = super().__sklearn_tags__()
        tags.input_tags.allow_nan = True
        return tags
