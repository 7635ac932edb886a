"""What the points of a grid of chains share: rows, folds, bases, relevances, designs."""

from dataclasses import replace

import numpy as np

from sktn.chains.base import ordered
from sktn.chains.folds import search_rows
from sktn.chains.gaps import said_gaps
from sktn.losses import SquaredError
from sktn.solvers import convex, convex_chain
from sktn.solvers.problem import ChainProblem
from sktn.solvers.relevance import MAX_ROWS, prior_unit, prior_variance, relevances
from sktn.tables.penalty import penalty_weights
from sktn.tables.sites import make_sites

# Of a first look, by least squares: rows, landmarks, strengths, which a closed form serves at once.
_LOOK_ROWS, _LOOK_LANDMARKS = 1000, 200
# Rows x scores from which a look is cheap beside the path of Newton steps that it may save.
_LOOK_PAYS = 2000
# Designs that it leaves.
_MOST_PROMISING = 4
_LOOK_STRENGTHS = 10.0 ** np.arange(1.5, -5.1, -0.5)


def design_of(point):
    return tuple(v for k, v in point.items() if k not in ("alpha", "bond_dim"))


def of_basis(point, grid, scores):
    """The scores of the points of a grid that share basis and smoothness with a point."""
    names = ("scaling", "degree", "smoothness")
    same = [all(point[name] == other[name] for name in names) for other in grid]
    return scores[np.flatnonzero(same)]


def _losses_of_best(problem, scores):
    """Losses of all rows of the best of several scores: (M, N, c) -> (N,)"""
    best = int(np.argmin(problem.mean_loss(scores)))
    return problem.loss.values(scores[best], problem.target).astype(np.float64)


class Search:
    """The table of a search: its rows, and everything that points of the grid share."""

    def __init__(self, estimator, reading, target, rows, folds, seeds):
        self.estimator, self.rows, self.folds = estimator, rows, folds
        self.reading, self.target, self.seeds = reading, target, seeds
        self.n_landmarks = max(1, estimator.max_landmarks // seeds["share"])
        self.sites, self.factors = {}, None
        loss, numbers = target.loss(np.float32)
        self.n_scores = loss.n_scores(numbers)
        rng = np.random.RandomState(seeds["landmarks"])
        self.look_rows = search_rows(folds + 1, _LOOK_ROWS, rng)

    def add_basis(self, scaling, degree):
        model, weight = self.estimator, self.target.weight[self.rows]
        self.sites[scaling, degree] = make_sites(
            self.reading.X[self.rows],
            weight,
            self.reading.is_nominal,
            embedding=model.embedding,
            degree=degree,
            scaling=scaling,
            missing=said_gaps(model.missing, self.reading, self.target),
            dtype=np.float32,
        )

    def problem(self, point, factors=None):
        """The problem of a point, in single precision: what is compared are whole digits."""
        sites = self.sites[point["scaling"], point["degree"]]
        loss, numbers = self.target.loss(np.float32)
        weight = self.target.weight[self.rows].astype(np.float32)
        penalty = penalty_weights(
            sites.basis,
            point["interaction_penalty"],
            point["smoothness"],
            self._factors(point) if factors is None else factors,
        )
        return ChainProblem(
            sites.basis, sites.coords, loss, numbers[self.rows], weight, penalty
        ).astype(np.float32)

    def _factors(self, point):
        """Relevances of the sites of a point."""
        if point["relevance"] == "equal":
            return 1.0
        # A column that one basis has a site for, another may have none for.
        return self.factors[self.sites[point["scaling"], point["degree"]].columns.kept]

    def look(self, point):
        """Squared out-of-fold errors of the rows looked at, at the best of all strengths, the
        response taken for numbers: (m,)"""
        part = self.problem(point).take(self.look_rows)
        numbers = part.loss.response(part.target).astype(np.float32)
        part = replace(part, loss=SquaredError(), target=numbers)
        design = self.design(part, _LOOK_LANDMARKS)
        # In units of the prior's variance, which penalties, relevances and levels change.
        strengths = _LOOK_STRENGTHS * prior_variance(part)
        scores, losses = convex.search(design, part, self.folds[self.look_rows], strengths)
        return part.loss.values(scores[np.argmin(losses)], numbers).astype(np.float64)

    def mean(self, errors):
        """Mean over the rows of a look: (..., m) -> (...,)"""
        weight = self.target.weight[self.rows[self.look_rows]]
        return np.asarray(errors) @ (weight / weight.sum())

    @property
    def look_pays(self):
        """Whether designs are looked at before their paths are computed."""
        n_rows, quadratic = len(self.rows), self.target.loss(np.float32)[0].quadratic
        large = min(n_rows, self.n_landmarks) >= 2 * _LOOK_LANDMARKS
        return large and (quadratic or n_rows * self.n_scores >= _LOOK_PAYS)

    def promising(self, looks):
        """The designs to go on with, by their looks (M, m): indices, the best first. Those that are
        worse than the best by two standard errors are not among them."""
        means = self.mean(looks)
        order = np.argsort(means, kind="stable")[:_MOST_PROMISING]
        excess = np.asarray(looks) - looks[order[0]]
        weight = self.target.weight[self.rows[self.look_rows]]
        weight = weight / weight.sum()
        errors = np.sqrt((excess - self.mean(excess)[:, None]) ** 2 @ weight**2)
        return [i for i in order if means[i] - means[order[0]] <= 2 * errors[i]]

    def find_relevances(self, point, alphas, scores):
        """The relevances of the columns by the basis of a point, None where those found in one half
        of the rows are not better than equal ones on the other half, by a standard error: the
        search, which holds out parts of the rows that relevances were found in, would think too
        well of them.

        scores (M, N, c): of the designs of the same basis with equal ones -> (n_columns,) or None
        """
        rng = np.random.RandomState(self.seeds["relevance"])
        if len(scores):
            factors = self._judged_relevances(point, alphas, scores, rng)
        else:
            factors = relevances(self._equal(point), rng).factors
        if factors is None:
            return None
        columns = self.sites[point["scaling"], point["degree"]].columns
        every = np.ones(columns.n_columns)
        every[columns.kept] = factors
        return every

    def _judged_relevances(self, point, alphas, scores, rng):
        # Halves that share no row: folds are dealt to distinct ones.
        half = rng.permutation(self.folds.max() + 1)[self.folds] < (self.folds.max() + 1) / 2
        judged = self.folds >= 0
        own, others = np.flatnonzero(half & judged), np.flatnonzero(~half & judged)
        equal = self._equal(point)
        found = relevances(equal.take(own), rng, decisive_only=True)
        if not found.decisive or not len(others):
            return None
        problem = self.problem(point, found.factors)
        strengths = np.multiply(alphas, prior_unit(problem, equal))
        tried, _ = convex.search(self.design(problem), problem, self.folds, strengths)
        judged = problem.take(others)
        before, after = (_losses_of_best(judged, part[:, others]) for part in (scores, tried))
        gain, weight = before - after, judged.weight / judged.total_weight
        mean = float(weight @ gain)
        error = np.sqrt(float(weight**2 @ (gain - mean) ** 2))
        if mean <= error:
            return None
        if len(own) < MAX_ROWS:
            return relevances(equal, rng, known=found.factors).factors
        # Both halves have as many rows as are looked at: the mean of two opinions is the surer one.
        second = relevances(equal.take(others), rng, known=found.factors)
        return np.sqrt(found.factors * second.factors)

    def unit(self, point):
        """What the relevances of a point do to the variance of the prior: strengths are tried in
        units of it."""
        if point["relevance"] == "equal":
            return 1.0
        return prior_unit(self.problem(point), self._equal(point))

    def _equal(self, point):
        """The problem that relevances of a point are found for."""
        return self.problem({**point, "interaction_penalty": 1.0, "relevance": "equal"})

    def design(self, problem, n_landmarks=None):
        # The same landmarks everywhere: the combinations are compared, not the draws.
        rng = np.random.RandomState(self.seeds["landmarks"])
        n_landmarks = self.n_landmarks if n_landmarks is None else n_landmarks
        landmarks = convex.choose_landmarks(problem.weight, n_landmarks, rng)
        return convex.make_design(problem, landmarks)

    def path(self, point, alphas):
        """Out-of-fold scores (A, N, c) and losses (A,) of a design, in the convex limit."""
        problem = self.problem(point)
        return convex.search(self.design(problem), problem, self.folds, alphas)

    def chain_path(self, path, limit):
        """The same of chains of the bond dimension of a path of points."""
        sites = self.sites[path[0]["scaling"], path[0]["degree"]]
        problem = self.problem(path[0])
        rng = np.random.RandomState(self.seeds["order"])
        order, output_site = ordered(sites, self.estimator.feature_order, rng, problem.weight)
        return convex_chain.search_chains(
            problem,
            self.design(problem),
            (order, output_site, path[0]["bond_dim"]),
            self.folds,
            [point["alpha"] for point in path],
            limit,
            np.random.default_rng(self.seeds["order"]),
        )
