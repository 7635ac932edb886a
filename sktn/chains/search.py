"""What the cross-validated estimators share: a grid searched in the convex limit, and the average
of its best combinations."""

from numbers import Integral, Real

import numpy as np
from joblib import Parallel, delayed
from sklearn.base import BaseEstimator, is_classifier
from sklearn.model_selection import check_cv
from sklearn.utils import check_random_state
from sklearn.utils._param_validation import Interval, StrOptions
from sklearn.utils.validation import check_is_fitted

from sktn.chains.base import BaseChain
from sktn.chains.training import search_chains, search_losses, search_rows
from sktn.networks import mps
from sktn.solvers import convex_chain
from sktn.solvers.relevance import relevances
from sktn.tables.sites import fit_sites, order_sites

# Rows that a column must have for its relevance to be found in them: the search, which holds out
# parts of the same rows, would otherwise think too well of it.
_ROWS_A_COLUMN = 30


def greedy_average(candidate_losses, n_candidates, n_steps):
    """Greedy forward selection with replacement (Caruana et al., ICML 2004): at every step the
    candidate that lowers the loss of the running average most.

    candidate_losses: counts (M,), step -> loss of every candidate added to the average (M,)
    -> shares (M,), loss ()
    """
    counts = np.zeros(n_candidates)
    best_counts, best_loss = None, np.inf
    for step in range(1, n_steps + 1):
        losses = candidate_losses(counts, step)
        chosen = int(np.argmin(losses))
        counts[chosen] += 1
        if losses[chosen] < best_loss:
            best_counts, best_loss = counts.copy(), float(losses[chosen])
    return best_counts / best_counts.sum(), best_loss


def _key(point):
    """What relevances depend on; None for a point that does without."""
    equal = point["relevance"] == "equal"
    return None if equal else (point["scaling"], point["degree"], point["smoothness"])


def _charges(basis, factors, point):
    return convex_chain.penalty_weights(
        basis, point["interaction_penalty"], point["smoothness"], factors.get(_key(point), 1.0)
    )


class BaseChainCV(BaseEstimator):
    """Searches a grid of bases and penalties, averages its best.

    A subclass names its scores (`_SCORES`, the loss first), and has `_chain` (the class of the
    members), `_member_params`, `_make_folds` and `_average`.
    """

    _parameter_constraints: dict = {
        "bases": ["array-like"],
        "alphas": ["array-like"],
        "interaction_penalties": ["array-like"],
        "smoothnesses": ["array-like"],
        "relevances": ["array-like"],
        "embedding": BaseChain._parameter_constraints["embedding"],
        "cv": ["cv_object"],
        "max_members": [Interval(Integral, 1, None, closed="left")],
        "bond_dims": ["array-like"],
        "max_landmarks": [Interval(Integral, 1, None, closed="left")],
        "max_search_rows": [Interval(Integral, 2, None, closed="left")],
        "tol": BaseChain._parameter_constraints["tol"],
        "feature_order": BaseChain._parameter_constraints["feature_order"],
        "categorical_features": ["array-like", StrOptions({"from_dtype"}), None],
        "missing": [StrOptions({"marginal", "indicator"})],
        "dtype": [StrOptions({"float32", "float64"}), None],
        "n_jobs": [Integral, None],
        "random_state": ["random_state"],
        "verbose": ["verbose"],
    }

    # The search uses the members' landmarks divided by this.
    _search_share = 2
    _member_solver = "sweep"

    _doc_link_module = "sktn"
    _doc_link_template = BaseChain._doc_link_template

    def _search_and_refit(self, X, y, sample_weight, table, objective, weight):
        """Everything `fit` does once the objective is known; `table` is X as numbers."""
        rng = check_random_state(self.random_state)
        rows, folds = self._split(table, y, objective, weight, rng)
        held, row_weight = objective.take(rows), weight[rows]
        grid = self._grid(n_rows=np.count_nonzero(row_weight), n_columns=table.shape[1])
        sites = self._sites(table[rows], row_weight, grid)
        factors = self._find_relevances(sites, held, row_weight, grid, rng)
        scores, losses = self._search(sites, factors, held, row_weight, grid, folds, rng)
        # Neighbouring strengths of one design differ too little to be worth an average.
        n_alphas = len(self.alphas)
        candidates = losses.reshape(-1, n_alphas).argmin(axis=1)
        candidates += np.arange(len(candidates)) * n_alphas
        if len(self.bond_dims) > 1:
            more = self._search_small(
                sites, factors, held, row_weight, grid, losses, candidates, folds, rng
            )
            candidates = np.append(candidates, len(grid) + more[3])
            grid = grid + more[0]
            scores, losses = np.concatenate([scores, more[1]]), np.append(losses, more[2])
        columns = self._report(held, scores, losses, row_weight)
        score = columns[f"mean_test_{self.scoring}"]
        best = int(np.argmax(score))
        shares = np.zeros(len(grid))
        shares[best] = 1.0
        ensemble_loss = losses[best]
        if self.max_members > 1:
            shares, ensemble_loss = self._choose_members(
                held, scores, losses, row_weight, candidates
            )
        self.best_params_, self.best_score_ = grid[best], float(score[best])
        self.ensemble_score_ = -float(ensemble_loss)
        self.cv_results_ = {
            **{f"param_{key}": np.array([point[key] for point in grid]) for key in grid[0]},
            **columns,
            "rank_test_score": 1 + np.argsort(np.argsort(-score, kind="stable"), kind="stable"),
            "weight": shares,
        }
        members = np.flatnonzero(shares)
        members = members[np.argsort(-shares[members], kind="stable")]
        self.weights_ = shares[members]
        self.estimators_ = [
            self._member(grid[i], sites, factors, rng).fit(X, y, sample_weight=sample_weight)
            for i in members
        ]
        return self

    def _grid(self, n_rows, n_columns):
        """All combinations, those of one design next to each other."""
        for name in (
            "bases",
            "alphas",
            "interaction_penalties",
            "smoothnesses",
            "relevances",
            "bond_dims",
        ):
            if len(getattr(self, name)) == 0:
                raise ValueError(f"{name} is empty: give at least one value.")
        for name in ("alphas", "interaction_penalties", "smoothnesses"):
            for value in getattr(self, name):
                if not isinstance(value, Real) or not value >= 0:
                    raise ValueError(f"{name} must be non-negative numbers, got {value!r}.")
        for value in self.bond_dims:
            if not isinstance(value, Integral) or value < 1:
                raise ValueError(f"bond_dims must be positive integers, got {value!r}.")
        for value in self.relevances:
            if value not in ("equal", "auto"):
                raise ValueError(f'relevances must be "equal" or "auto", got {value!r}.')
        weights = [("equal", omega) for omega in self.interaction_penalties]
        if "equal" not in self.relevances:
            weights = []
        if "auto" in self.relevances and (n_rows >= _ROWS_A_COLUMN * n_columns or not weights):
            # Relevances found from the data settle the size of interactions, too.
            weights.append(("auto", 1.0))
        return [
            {
                "scaling": scaling,
                "degree": int(degree),
                "interaction_penalty": float(omega),
                "smoothness": float(q),
                "relevance": relevance,
                "alpha": float(alpha),
                "bond_dim": int(max(self.bond_dims)),
            }
            for scaling, degree in self.bases
            for relevance, omega in weights
            for q in (self.smoothnesses if degree > 1 else self.smoothnesses[:1])
            for alpha in self.alphas
        ]

    def _find_relevances(self, sites, objective, weight, grid, rng):
        """The relevances of the sites for every basis and smoothness that asks for them."""
        seed = rng.randint(2**31 - 1)
        keys = [key for key in dict.fromkeys(map(_key, grid)) if key is not None]

        def one(scaling, degree, smoothness):
            _, basis, coords = sites[scaling, degree]
            g = convex_chain.penalty_weights(basis, 1.0, smoothness)
            return relevances(
                basis, coords, g, objective.response, weight, np.random.RandomState(seed)
            )

        found = Parallel(n_jobs=self.n_jobs, prefer="threads")(delayed(one)(*key) for key in keys)
        return dict(zip(keys, found, strict=True))

    def _split(self, X, y, objective, weight, rng):
        """Rows of the search, and the fold of each."""
        rows = search_rows(weight, self.max_search_rows, rng)
        if self.cv is None:
            folds = self._make_folds(objective, rows, rng)
            if folds is None:
                raise ValueError(
                    f"{type(self).__name__} has too few rows for cross-validation: "
                    f"{self._too_few(y)}. Use {self._chain.__name__} with a fixed alpha."
                )
            return rows, folds
        # A splitter, or a list of its parts, speaks of all rows.
        folds = np.full(len(y), -1)
        splitter = check_cv(self.cv, y, classifier=is_classifier(self))
        for k, (_, held_out) in enumerate(splitter.split(X, y)):
            folds[held_out] = k
        folds = folds[rows]
        if (folds < 0).any():
            raise ValueError(
                f"cv={self.cv!r} leaves {np.sum(folds < 0)} rows out of all held-out parts: use a "
                "splitter that partitions the rows, like StratifiedKFold or KFold."
            )
        return rows, folds

    def _sites(self, X, weight, grid):
        """Columns, basis and coordinates of every basis of the grid."""
        return {
            basis: fit_sites(
                X,
                weight,
                self.is_categorical_,
                embedding=self.embedding,
                degree=basis[1],
                scaling=basis[0],
                missing=self.missing,
            )
            for basis in dict.fromkeys((p["scaling"], p["degree"]) for p in grid)
        }

    def _search(self, sites, factors, objective, weight, grid, folds, rng):
        """Out-of-fold scores (M, N, c) and losses (M,) of the grid in the convex limit."""
        seed = rng.randint(2**31 - 1)

        def one(point):
            _, basis, coords = sites[point["scaling"], point["degree"]]
            g = _charges(basis, factors, point)
            # The same landmarks everywhere: the combinations are compared, not the draws.
            return search_losses(
                basis,
                coords,
                g,
                objective,
                weight,
                folds,
                self.alphas,
                self._n_landmarks(),
                np.random.RandomState(seed),
            )

        return self._each(one, [(point,) for point in grid[:: len(self.alphas)]])

    def _search_small(
        self, sites, factors, objective, weight, grid, losses, candidates, folds, rng
    ):
        """The bond dimensions below the largest, which are a restriction of their own: the best
        two designs of every basis, at their best strength and, warm-started, weaker ones.

        -> points, scores (M, N, c), losses (M,), the best point of every path
        """
        seed = rng.randint(2**31 - 1)
        paths = []
        for basis in sites:
            own = [i for i in candidates if (grid[i]["scaling"], grid[i]["degree"]) == basis]
            columns, fitted, coords = sites[basis]
            order = order_sites(
                self.feature_order, columns, fitted, coords, np.random.RandomState(seed), weight
            )
            index = mps.site_index(columns.n_sites, columns.n_sites // 2, order)
            for i in sorted(own, key=losses.__getitem__)[:2]:
                weaker = sorted((a for a in self.alphas if a <= grid[i]["alpha"]), reverse=True)
                for bond_dim in sorted(self.bond_dims)[:-1]:
                    path = [
                        {**grid[i], "alpha": float(alpha), "bond_dim": int(bond_dim)}
                        for alpha in weaker[:4]
                    ]
                    # Worth pursuing where it is no worse than without a bound, or nearly.
                    paths.append((path, index, 1.05 * losses[i]))

        def one(path, index, limit):
            _, basis, coords = sites[path[0]["scaling"], path[0]["degree"]]
            g = _charges(basis, factors, path[0])
            return search_chains(
                basis,
                coords,
                g,
                objective,
                weight,
                folds,
                [point["alpha"] for point in path],
                index,
                path[0]["bond_dim"],
                limit,
                self._n_landmarks(),
                np.random.RandomState(seed),
            )

        scores, losses = self._each(one, paths)
        paths = [path for path, *_ in paths]
        ends = np.cumsum([len(path) for path in paths])
        best = [
            end - len(path) + int(np.argmin(losses[end - len(path) : end]))
            for path, end in zip(paths, ends, strict=True)
        ]
        return [point for path in paths for point in path], scores, losses, np.array(best)

    def _n_landmarks(self):
        return max(1, self.max_landmarks // self._search_share)

    def _each(self, function, items):
        results = Parallel(n_jobs=self.n_jobs, prefer="threads", verbose=self.verbose)(
            delayed(function)(*item) for item in items
        )
        return tuple(np.concatenate(part) for part in zip(*results, strict=True))

    def _choose_members(self, objective, scores, losses, weight, candidates):
        """Shares of the average: greedy selection among the best of every design, repeated on those
        with the largest shares when there are too many."""
        candidates = candidates[np.argsort(losses[candidates], kind="stable")]
        while True:
            found, loss = self._average(objective, scores[candidates], weight)
            if np.count_nonzero(found) <= self.max_members:
                break
            candidates = candidates[np.argsort(-found, kind="stable")[: self.max_members]]
        shares = np.zeros(len(losses))
        shares[candidates] = found
        return shares, loss

    def _member(self, point, sites, factors, rng):
        if (key := _key(point)) is not None:
            columns = sites[point["scaling"], point["degree"]][0]
            relevance = np.ones(columns.n_columns)
            relevance[columns.kept] = factors[key]
            point = {**point, "relevance": relevance}
        return self._chain(
            **point,
            **self._member_params(),
            embedding=self.embedding,
            solver=self._member_solver,
            max_landmarks=self.max_landmarks,
            tol=self.tol,
            feature_order=self.feature_order,
            categorical_features=self.categorical_features,
            missing=self.missing,
            dtype=self.dtype,
            random_state=rng.randint(2**31 - 1),
        )

    def _weighted(self, method, X):
        """The members' answers, averaged with their shares."""
        check_is_fitted(self)
        parts = [
            np.asarray(weight, dtype=np.float32) * getattr(member, method)(X)
            for weight, member in zip(self.weights_, self.estimators_, strict=True)
        ]
        return np.sum(parts, axis=0)

    def __sklearn_tags__(self):
        tags = super().__sklearn_tags__()
        tags.input_tags.allow_nan = True
        return tags
