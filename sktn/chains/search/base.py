"""One search for all chains: a grid of bases and penalties, judged in the convex limit, and the
average of its best combinations."""

import warnings
from numbers import Integral

import numpy as np
from sklearn.base import BaseEstimator, clone, is_classifier
from sklearn.callback import CallbackSupportMixin, with_callbacks
from sklearn.model_selection import check_cv
from sklearn.utils import check_random_state
from sklearn.utils._param_validation import Interval
from sklearn.utils.metadata_routing import MetadataRouter, MethodMapping

from sktn.backend import one_blas_thread
from sktn.chains.base import ONE_THREAD_ROWS, BaseChain
from sktn.chains.copies import without_copies
from sktn.chains.folds import folds_of_parts, search_rows
from sktn.chains.importances import FeatureImportances
from sktn.chains.search.exploration import Exploration
from sktn.chains.search.grid import grid_of
from sktn.chains.search.points import Search, basis_of
from sktn.chains.search.progress import Progress
from sktn.chains.solvers import ROWS_BEYOND
from sktn.documentation import DocLinks
from sktn.fitted import commit
from sktn.solvers.problem import Clock
from sktn.tables.reading import same_columns, table_weight

# Rows of the search, in landmarks of the members: three folds, each of whose parts then has the
# rows that the landmarks carry.
_SEARCH_ROWS = 3
# Parameters of the members that the search chooses, and its lists of values.
_LISTS = {
    "scaling": "bases",
    "degree": "bases",
    "alpha": "alphas",
    "interaction_penalty": "interaction_penalties",
    "smoothness": "smoothnesses",
    "relevance": "relevances",
    "bond_dim": "bond_dims",
}
# A member of a smaller share costs a fit: such members are left out where they improve the average
# by less than this share of its loss.
_LEAST_SHARE, _LEAST_GAIN = 0.1, 0.01


class BaseChainCV(DocLinks, FeatureImportances, CallbackSupportMixin, BaseEstimator):
    """Searches a grid of bases and penalties, averages its best.

    A subclass has `_template()` (what every member starts from), `_read`, `_report`
    (columns of `cv_results_`), `_average` and `_fitted`.
    """

    _parameter_constraints: dict = {
        "estimator": [BaseChain, None],
        "bases": ["array-like"],
        "alphas": ["array-like"],
        "interaction_penalties": ["array-like"],
        "smoothnesses": ["array-like"],
        "relevances": ["array-like"],
        "bond_dims": ["array-like"],
        "cv": ["cv_object"],
        "max_members": [Interval(Integral, 1, None, closed="left")],
        "n_jobs": [Integral, None],
        "random_state": ["random_state"],
        "verbose": ["verbose"],
    }

    # Groups are for the splitter: where metadata are routed, a search over this one passes them on.
    __metadata_request__fit = {"groups": True}

    # As its members do.
    _takes_tensors = True
    # The search uses the members' landmarks divided by this.
    _search_share = 2
    _scoring = "neg_loss"

    @with_callbacks
    def _fit(self, X, y, sample_weight, groups):
        rng, template = check_random_state(self.random_state), self._template()
        template._validate_params()
        clock = Clock(template.time_limit, self.verbose)
        reading = self._read(X, y, template)
        weight = table_weight(sample_weight, reading.X)
        target = template._make_target(reading.y, weight)
        # A splitter counts rows as they are.
        searched = without_copies(reading, target) if self.cv is None else (reading, target)
        search = self._search(X, *searched, groups, template, rng)
        grid = grid_of(self)
        progress = Progress(self, self._init_callback_context(max_subtasks=None), X, y)
        few = len(reading.X) < ONE_THREAD_ROWS
        with one_blas_thread(few), progress.stage("search"):
            found = Exploration(search, self, clock).of(grid)
            points, scores, losses, candidates = found
        results, shares, found = self._choose(search, points, scores, losses, candidates)
        members = np.flatnonzero(shares)
        members = members[np.argsort(-shares[members], kind="stable")]
        seeds = rng.randint(2**31 - 1, size=len(members))
        estimators, weaker = [], 1.0
        if self.estimator is None and len(search.reading.X) >= ROWS_BEYOND * template.max_landmarks:
            # Beyond what landmarks carry, chains learn from all rows.
            template.set_params(solver="auto")
        for i, seed in zip(members, seeds, strict=True):
            clock.say(f"member {len(estimators) + 1} of {len(members)}: {points[i]}")
            with one_blas_thread(few):
                point = points[i] if clock.over() else search.refined(points[i])
            weakened = {**point, "alpha": weaker * point["alpha"]}
            member, rough = self._member(template, weakened, search, seed)
            first = not estimators
            with progress.member(len(estimators), member):
                known = {"rough": rough, "weaker": first, "clock": clock}
                estimators.append(member._fit(reading, weight, **known))
            if first:
                # What the first bears is tried once, and taken for the others.
                weaker = estimators[0].alpha_ / point["alpha"] if point["alpha"] else 1.0
            if clock.over() or progress.stopped:
                break
        kept = shares[members[: len(estimators)]]
        more, seed = {}, rng.randint(2**31 - 1)
        if not clock.over():
            more = self._held_out(search, points, scores, shares, seed)
        commit(
            self,
            {
                **reading.fitted(),
                **self._fitted(target),
                **found,
                **more,
                "cv_results_": results,
                "estimators_": estimators,
                "weights_": kept / kept.sum(),
            },
        )
        progress.end()
        return self

    def _held_out(self, search, points, scores, shares, seed):
        """More fitted attributes, from the out-of-fold scores (M, N, c) of the search and the
        shares (M,) of the average."""
        return {}

    def _search(self, X, reading, target, groups, template, rng):
        """Rows of the search, and the fold of each."""
        rows = search_rows(target.weight, _SEARCH_ROWS * template.max_landmarks, rng)
        seeds = {name: rng.randint(2**31 - 1) for name in ("relevance", "landmarks", "order")}
        seeds["share"] = self._search_share
        if self.cv is None:
            folds = target.folds(rows, reading.X[rows], rng)
            if folds is None:
                raise ValueError(
                    f"{type(self).__name__} has too few distinct rows for cross-validation, "
                    f"of {len(rows)} sample{'s' * (len(rows) != 1)} of positive weight. Use "
                    f"{type(template).__name__} with a fixed alpha."
                )
            return Search(template, reading, target, rows, folds, seeds)
        splitter = check_cv(self.cv, reading.y, classifier=is_classifier(self))
        with np.errstate(invalid="ignore"):  # a stratified one reads numbers as labels
            parts = splitter.split(X, reading.y, groups)
            folds = folds_of_parts(parts, target.weight)[rows]
        # Parts without a row that the search looks at do not count.
        folds = np.unique(folds, return_inverse=True)[1] - int(folds.min() < 0)
        if folds.min() == folds.max():
            raise ValueError(
                f"cv holds out all rows of positive weight ({len(rows)}) at once, or none: give "
                "weight to more rows, or use a splitter that divides them."
            )
        return Search(template, reading, target, rows, folds, seeds)

    def _choose(self, search, points, scores, losses, candidates):
        """`cv_results_`, the shares of the average, and the attributes that describe the choice."""
        judged = np.flatnonzero(search.folds >= 0)
        rows = search.rows[judged]
        scores = scores[:, judged]
        columns = self._report(search.target, rows, scores, losses)
        score = columns[f"mean_test_{self._scoring_name()}"]
        best = int(np.argmax(score))
        shares = np.zeros(len(points))
        shares[best], loss = 1.0, losses[best]
        if self.max_members > 1:
            shares, loss = self._choose_members(search.target, rows, scores, losses, candidates)
        results = {
            **{f"param_{key}": _column([point[key] for point in points]) for key in points[0]},
            **columns,
            "rank_test_score": 1 + np.argsort(np.argsort(-score, kind="stable"), kind="stable"),
            "weight": shares,
        }
        found = {
            "best_params_": points[best],
            "best_score_": float(score[best]),
            "ensemble_score_": -float(loss),
        }
        return results, shares, found

    def _choose_members(self, target, rows, scores, losses, candidates):
        """Shares of the average: greedy selection among the best of every design, repeated on those
        with the largest shares when there are too many, or where small ones hardly matter."""
        candidates = candidates[np.argsort(losses[candidates], kind="stable")]
        found, loss = self._average(target, rows, scores[candidates])
        while np.count_nonzero(found) > self.max_members:
            candidates = candidates[np.argsort(-found, kind="stable")[: self.max_members]]
            found, loss = self._average(target, rows, scores[candidates])
        larger = candidates[found >= min(_LEAST_SHARE, found.max())]
        fewer, without = self._average(target, rows, scores[larger])
        if without <= loss + _LEAST_GAIN * abs(loss):
            candidates, found, loss = larger, fewer, without
        shares = np.zeros(len(losses))
        shares[candidates] = found
        return shares, loss

    def _scoring_name(self):
        return self._scoring

    def _member(self, template, point, search, seed):
        """A model of a point, and the parts of its columns where they have any."""
        rough = None
        if point["degree"] == "auto":
            point, rough = {**point, "relevance": "equal"}, search.rough
        elif isinstance(point["relevance"], str) and point["relevance"] == "auto":
            point = {**point, "relevance": search.factors[basis_of(point)]}
        return clone(template).set_params(**point, random_state=int(seed)), rough

    def _weighted(self, method, X):
        """The members' answers, averaged with their shares."""
        same_columns(self, X)
        parts = [
            weight * getattr(member, method)(X)
            for weight, member in zip(self.weights_.tolist(), self.estimators_, strict=True)
        ]
        return np.sum(parts, axis=0)

    def get_metadata_routing(self):
        """Where metadata such as `groups` goes.

        Returns
        -------
        routing : MetadataRouter
        """
        router = MetadataRouter(owner=self).add_self_request(self)
        cv = check_cv(self.cv, classifier=is_classifier(self))
        mapping = MethodMapping().add(caller="fit", callee="split")
        return router.add(splitter=cv, method_mapping=mapping)

    def __sklearn_tags__(self):
        tags = super().__sklearn_tags__()
        tags.input_tags.allow_nan = True
        tags.input_tags.three_d_array = True
        return tags


def _column(values):
    """Values of a parameter; of several types as they are."""
    return np.array(values, dtype=object if len(set(map(type, values))) > 1 else None)


def _warn_of_searched(estimator):
    """Say which parameters of an estimator the lists of a search take the place of."""
    given, default = estimator.get_params(), type(estimator)().get_params()
    taken = {k: lists for k, lists in _LISTS.items() if repr(given[k]) != repr(default[k])}
    if taken:
        warnings.warn(
            f"{', '.join(f'{name}={given[name]!r}' for name in taken)} of estimator give way to "
            f"the values that are searched: {', '.join(dict.fromkeys(taken.values()))}.",
            UserWarning,
            stacklevel=3,
        )


def with_template(estimator, default, **changes):
    """What the members of a search start from: a copy of `estimator`, or of the default, with the
    parameters that the search itself was given."""
    if estimator is not None:
        _warn_of_searched(estimator)
    template = clone(default if estimator is None else estimator)
    return template.set_params(**{k: v for k, v in changes.items() if v is not None})
