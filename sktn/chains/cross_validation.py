"""One search for all chains: a grid of bases and penalties, judged in the convex limit, and the
average of its best combinations."""

from numbers import Integral

import numpy as np
from joblib import Parallel, delayed
from sklearn.base import BaseEstimator, clone, is_classifier
from sklearn.callback import CallbackSupportMixin, with_callbacks
from sklearn.model_selection import check_cv
from sklearn.utils import check_random_state
from sklearn.utils._param_validation import Interval
from sklearn.utils.metadata_routing import MetadataRouter, MethodMapping
from sklearn.utils.validation import check_is_fitted

from sktn.backend import one_blas_thread, with_config
from sktn.chains.base import ONE_THREAD_ROWS, BaseChain
from sktn.chains.copies import without_copies
from sktn.chains.folds import search_rows
from sktn.chains.grid import grid_of
from sktn.chains.importances import FeatureImportances
from sktn.chains.progress import Progress
from sktn.chains.search import Search, basis_of, design_of
from sktn.chains.solvers import ROWS_BEYOND
from sktn.documentation import DocLinks
from sktn.fitted import commit
from sktn.solvers.problem import Clock
from sktn.tables.reading import table_weight

# Rows of the search, in landmarks of the members: three folds, each of whose parts then has the
# rows that the landmarks carry.
_SEARCH_ROWS = 3
# Steps of the greedy selection: shares are multiples of one in so many.
_SELECTION_STEPS = 25
# A member of a smaller share costs a fit: such members are left out where they improve the average
# by less than this share of its loss.
_LEAST_SHARE, _LEAST_GAIN = 0.1, 0.01
# Bases that tell, the best with equal relevances first, whether others are worth a search for them.
_TELLING_BASES = 2
# What a task says that was not begun.
_STOPPED = "stopped"


def greedy_average(candidate_losses, n_candidates, n_steps=_SELECTION_STEPS):
    """Greedy forward selection with replacement (Caruana et al., ICML 2004): at every step the
    candidate that lowers the loss of the running average most.

    candidate_losses: counts (M,), step -> loss of every candidate added to the average (M,)
    -> shares (M,), loss ()
    """
    counts = np.zeros(n_candidates)
    best_counts, best_loss = None, np.inf
    for step in range(1, n_steps + 1):
        losses = candidate_losses(counts, step)
        chosen = int(np.argmin(np.where(np.isnan(losses), np.inf, losses)))
        counts[chosen] += 1
        if best_counts is None or losses[chosen] < best_loss:
            best_counts, best_loss = counts.copy(), float(losses[chosen])
    return best_counts / best_counts.sum(), best_loss


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
        with one_blas_thread(len(reading.X) < ONE_THREAD_ROWS), progress.stage("search"):
            points, scores, losses, candidates = self._explore(search, grid, clock)
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
            point = {**points[i], "alpha": weaker * points[i]["alpha"]}
            member, rough = self._member(template, point, search, seed)
            first = not estimators
            with progress.member(len(estimators), member):
                known = {"rough": rough, "weaker": first, "clock": clock}
                estimators.append(member._fit(reading, weight, **known))
            if first:
                # What the first bears is tried once, and taken for the others.
                weaker = estimators[0].alpha_ / points[i]["alpha"] if points[i]["alpha"] else 1.0
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
                    f"{type(self).__name__} has too few rows for cross-validation: "
                    f"{len(rows)} sample{'s' * (len(rows) != 1)} of positive weight. Use "
                    f"{type(template).__name__} with a fixed alpha."
                )
            return Search(template, reading, target, rows, folds, seeds)
        # A splitter, or a list of its parts, speaks of all rows.
        folds = np.full(len(reading.X), -1)
        splitter = check_cv(self.cv, reading.y, classifier=is_classifier(self))
        for k, (_, held_out) in enumerate(splitter.split(X, reading.y, groups)):
            try:
                folds[held_out] = k
            except IndexError as error:
                raise ValueError(
                    f"cv holds out rows that X, of {len(folds)} rows, does not have ({error}): its "
                    "parts belong to another table."
                ) from error
        if (folds[rows] < 0).any():
            raise ValueError(
                f"cv={self.cv!r} leaves {np.sum(folds[rows] < 0)} rows out of all held-out parts: "
                "use a splitter that partitions the rows, like StratifiedKFold or KFold."
            )
        if folds[rows].min() == folds[rows].max():
            raise ValueError(
                f"cv={self.cv!r} holds out all rows of positive weight ({len(rows)}) at once, and "
                "none is left to train on: give weight to more rows, or use a splitter that "
                "divides them."
            )
        return Search(template, reading, target, rows, folds[rows], seeds)

    def _explore(self, search, grid, clock):
        """Designs that a first look finds promising, in the convex limit, then the bond dimensions
        below the largest.

        -> points, scores (M, N, c), losses (M,), candidates for the average
        """
        for scaling, degree in dict.fromkeys(map(basis_of, grid)):
            search.add_basis(scaling, degree)
        n_alphas, rough = len(self.alphas), self._rough(search, clock)
        equal = [p for p in grid[::n_alphas] if p["relevance"] == "equal"]
        wanted = [p for p in grid[::n_alphas] if p["relevance"] == "auto"]
        grid, scores, losses = self._paths(search, self._promising(search, equal, clock), clock)
        found = self._explore_relevant(search, wanted, rough, (grid, scores, losses), clock)
        grid, scores, losses = found
        # Neighbouring strengths of one design differ too little to be worth an average.
        candidates = losses.reshape(-1, n_alphas).argmin(axis=1)
        candidates += np.arange(len(candidates)) * n_alphas
        # Sweeps, which find the best of a bond dimension, would bring higher interactions back.
        smaller = [] if search.estimator._max_order else sorted(self.bond_dims)[:-1]
        if not smaller or clock.over():
            return grid, scores, losses, candidates
        clock.say(f"bond dimensions {smaller}")
        paths = list(self._smaller_bonds(grid, losses, candidates, smaller))
        found = self._each(search.chain_path, paths, stop=clock.over)
        for (path, _), (more_scores, more_losses) in zip(paths, found, strict=False):
            candidates = np.append(candidates, len(grid) + int(np.argmin(more_losses)))
            grid = grid + path
            scores, losses = np.concatenate([scores, more_scores]), np.append(losses, more_losses)
        return grid, scores, losses, candidates

    def _rough(self, search, clock):
        """The designs whose degrees are for the data to say, where they say any."""
        bases = [tuple(basis) for basis in self.bases if basis[1] == "auto"]
        if not bases or clock.over():
            return []
        clock.say("smooth and rough parts of the columns")
        model = search.estimator
        points = [
            {
                "scaling": scaling,
                "degree": degree,
                "interaction_penalty": float(model.interaction_penalty),
                "smoothness": float(model.smoothness),
                "relevance": "auto",
                "alpha": 1.0,
                "bond_dim": int(max(self.bond_dims)),
            }
            for scaling, degree in dict.fromkeys(bases)
        ]
        return [point for point in points if search.add_roughness(point)]

    def _explore_relevant(self, search, wanted, rough, equal, clock):
        """What was found with equal relevances and, where they are decisively better, designs with
        others and of rough parts. Where the two best bases have none, others are not asked for.

        equal: points, scores (M, N, c), losses (M,) -> the same, and more
        """
        n_alphas, (grid, scores, losses), alone = len(self.alphas), equal, not equal[0]
        ranks = {}
        for i in np.argsort(losses, kind="stable"):
            ranks.setdefault(basis_of(grid[i]), len(ranks))
        bases = dict.fromkeys(map(basis_of, wanted))
        bases = sorted(bases, key=lambda basis: ranks.get(basis, len(ranks)))
        n_first = len(bases) if alone else _TELLING_BASES
        for part in (bases[:n_first], bases[n_first:]):
            # Whatever the time, there is one path.
            if grid and clock.over():
                break
            points = [point for point in wanted if basis_of(point) in part]
            points, rough = self._with_relevances(search, points, alone, clock) + rough, []
            if not points or (grid and clock.over()):
                break
            more, *parts = self._paths(search, self._promising(search, points, clock), clock)
            if not alone:
                more, *parts = search.decisive(n_alphas, *equal[1:], (more, *parts))
            grid = grid + more
            scores, losses = (
                np.concatenate(pair) for pair in zip((scores, losses), parts, strict=True)
            )
            if not more:
                break
        return grid, scores, losses

    def _with_relevances(self, search, points, needed, clock):
        """Those of the points for which there are relevances."""
        if not points:
            return []
        clock.say("relevances")
        asked = list({basis_of(point): (point, needed) for point in points}.values())
        for part in (asked[:1], asked[1:]):
            # Others begin at those of the first basis.
            self._each(search.find_relevances, part, stop=clock.over)
        return [point for point in points if basis_of(point) in search.factors]

    def _promising(self, search, designs, clock):
        """The designs that are worth a path of strengths."""
        if not search.look_pays or len(designs) < 2:
            return designs
        clock.say(f"a look at {len(designs)} designs")
        looks = self._each(search.look, [(point,) for point in designs], stop=clock.over)
        return [designs[i] for i in search.promising(looks)]

    def _paths(self, search, designs, clock):
        """All strengths of designs in the convex limit, as many as the time allows.

        -> points, scores (M, N, c), losses (M,)
        """
        clock.say(f"{len(designs)} designs x {len(self.alphas)} strengths")
        items = [(point, self.alphas) for point in designs]
        paths = self._each(search.path, items, stop=clock.over)
        if not paths:
            shape = 0, len(search.rows), search.n_scores
            return [], np.zeros(shape, np.float32), np.zeros(0)
        scores, losses = (np.concatenate(part) for part in zip(*paths, strict=True))
        losses[np.isnan(losses)] = np.inf  # of what diverged
        points = [
            {**point, "alpha": float(alpha * search.unit(point))}
            for point in designs[: len(paths)]
            for alpha in self.alphas
        ]
        return points, scores, losses

    def _smaller_bonds(self, grid, losses, candidates, bond_dims):
        """Bond dimensions that are a restriction of their own: for the best design of every basis,
        paths from its best strength to, warm-started, weaker ones, and a limit beyond which a path
        is not pursued."""
        bases = {}
        for i in sorted(candidates, key=losses.__getitem__):
            bases.setdefault(basis_of(grid[i]), i)
        for i in bases.values():
            own = [point["alpha"] for point in grid if design_of(point) == design_of(grid[i])]
            weaker = sorted((a for a in own if a <= grid[i]["alpha"]), reverse=True)
            for bond_dim in bond_dims:
                path = [
                    {**grid[i], "alpha": float(alpha), "bond_dim": int(bond_dim)}
                    for alpha in weaker[:4]
                ]
                # Worth pursuing where it is no worse than without a bound, or nearly.
                yield path, 1.05 * losses[i]

    def _each(self, function, items, stop=None):
        """function(*item) of all items in threads; those that begin after `stop()` are left out,
        but for the first."""
        function = with_config(function)

        def one(k, item):
            return _STOPPED if k and stop is not None and stop() else function(*item)

        found = Parallel(n_jobs=self.n_jobs, prefer="threads")(
            delayed(one)(k, item) for k, item in enumerate(items)
        )
        done = [k for k, part in enumerate(found) if isinstance(part, str) and part == _STOPPED]
        return found[: done[0]] if done else found

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
        elif point["relevance"] == "auto":
            point = {**point, "relevance": search.factors[basis_of(point)]}
        return clone(template).set_params(**point, random_state=int(seed)), rough

    def _weighted(self, method, X):
        """The members' answers, averaged with their shares."""
        check_is_fitted(self)
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
        return tags


def _column(values):
    """Values of a parameter; of several types as they are."""
    return np.array(values, dtype=object if len(set(map(type, values))) > 1 else None)


def with_template(estimator, default, **changes):
    """What the members of a search start from: a copy of `estimator`, or of the default, with the
    parameters that the search itself was given."""
    template = clone(default if estimator is None else estimator)
    return template.set_params(**{k: v for k, v in changes.items() if v is not None})
