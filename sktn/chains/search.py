"""What the points of a grid of chains share: rows, folds, bases, relevances, designs."""

import numpy as np

from sktn.chains.base import ordered
from sktn.chains.gaps import said_gaps
from sktn.solvers import convex, convex_chain
from sktn.solvers.problem import ChainProblem
from sktn.solvers.relevance import MAX_ROWS, prior_unit, relevances
from sktn.tables.penalty import penalty_weights
from sktn.tables.sites import make_sites


def design_of(point):
    return tuple(v for k, v in point.items() if k not in ("alpha", "bond_dim"))


def relevance_key(point):
    """What relevances depend on; None for a point that does without."""
    equal = point["relevance"] == "equal"
    return None if equal else (point["scaling"], point["degree"], point["smoothness"])


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
        self.sites, self.factors = {}, {}
        loss, numbers = target.loss(np.float32)
        self.n_scores = loss.n_scores(numbers)

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
            self.factors.get(relevance_key(point), 1.0) if factors is None else factors,
        )
        return ChainProblem(
            sites.basis, sites.coords, loss, numbers[self.rows], weight, penalty
        ).astype(np.float32)

    def find_relevances(self, point, alphas, scores):
        """The relevances of a point, None where those found in one half of the rows are not better
        than equal ones on the other half, by a standard error: the search, which holds out parts of
        the rows that relevances were found in, would think too well of them.

        scores (M, N, c): of the designs of the same basis with equal ones
        """
        rng = np.random.RandomState(self.seeds["relevance"])
        if not len(scores):
            return relevances(self._equal(point), rng).factors
        # Halves that share no row: folds are dealt to distinct ones.
        half = rng.permutation(self.folds.max() + 1)[self.folds] < (self.folds.max() + 1) / 2
        judged = self.folds >= 0
        own, others = np.flatnonzero(half & judged), np.flatnonzero(~half & judged)
        problem = self._equal(point)
        found = relevances(problem.take(own), rng, decisive_only=True)
        if not found.decisive or not len(others):
            return None
        problem = self.problem(point, found.factors)
        unit = prior_unit(problem, self._equal(point))
        tried, _ = convex.search(
            self.design(problem), problem, self.folds, [alpha * unit for alpha in alphas]
        )
        judged = problem.take(others)
        equal, own_loss = (_losses_of_best(judged, part[:, others]) for part in (scores, tried))
        gain, weight = equal - own_loss, judged.weight / judged.total_weight
        mean = float(weight @ gain)
        error = np.sqrt(float(weight**2 @ (gain - mean) ** 2))
        if mean <= error:
            return None
        if len(own) < MAX_ROWS:
            return relevances(self._equal(point), rng).factors
        # Both halves have as many rows as are looked at: the mean of two opinions is the surer one.
        second = relevances(self._equal(point).take(others), rng).factors
        return np.sqrt(found.factors * second)

    def unit(self, point):
        """What the relevances of a point do to the variance of the prior: strengths are tried in
        units of it."""
        return prior_unit(self.problem(point), self._equal(point))

    def _equal(self, point):
        """The problem that relevances of a point are found for."""
        return self.problem({**point, "interaction_penalty": 1.0, "relevance": "equal"})

    def design(self, problem):
        # The same landmarks everywhere: the combinations are compared, not the draws.
        rng = np.random.RandomState(self.seeds["landmarks"])
        landmarks = convex.choose_landmarks(problem.weight, self.n_landmarks, rng)
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
