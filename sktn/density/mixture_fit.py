"""A mixture of normal distributions learned from normal scores, its size by held-out rows."""

from typing import NamedTuple

import numpy as np

from sktn.density.normal_scores import NormalScores, log_reference
from sktn.solvers import normal_mixture

# Numbers of components that are tried, each about 1.4 times the one before.
_COMPONENTS = (1, 2, 3, 4, 6, 8, 12, 16, 24, 32, 48, 64)

# Fewer rows tell nothing of the covariance of a component, whose mean alone they would be.
_ROWS_PER_COMPONENT = 5

# Strengths of the prior of no relation between columns, in units of the rows that a covariance
# needs to have full rank.
_DIAGONALS = (0.01, 0.1, 1.0, 10.0)

# Strengths of the prior of one covariance for all components, in the same units.
_COMMONS = (0.2, 1.0, 5.0)

# Columns beyond which no covariance is learned by default: it costs their cube in every step.
_LARGEST_COVARIANCE = 300


class Choice(NamedTuple):
    """Components, and rows that the prior counts for: towards one covariance for all components,
    and towards none between columns."""

    components: int
    common: float
    diagonal: float


def wants_mixture(n_components, n_columns):
    """Whether there is one: a column alone is known from its own density."""
    if n_components == "auto":
        return 1 < n_columns <= _LARGEST_COVARIANCE
    return n_components > 0


def fit_mixture(data, shares, weight, fold, n_components, seed):
    """data: table of normal scores, shares: of the levels of every column, weight (b,), fold
    (b,): in which a row is held out, -1 for none -> NormalScores, log ratios of the rows that were
    held out (b,), NaN for the others"""
    first = 1 if n_components == "auto" else n_components
    # As many rows as a covariance needs to have full rank.
    scale = len(shares) + 2.0
    choice, held_out = Choice(first, scale, scale), np.full(len(weight), np.nan)
    if fold.max() >= 0:
        search = MixtureSearch(data, weight, fold, log_reference(data, shares), seed)
        choice = search.choose(choice, grow=n_components == "auto")
        held_out = search.logs(choice)
    return NormalScores(solve(data, weight, choice, seed), shares), held_out


def solve(data, weight, choice, seed):
    """-> normal_mixture.Mixture"""
    rng = np.random.RandomState(seed)
    start = normal_mixture.spread_start(data, weight, choice.components, rng)
    return normal_mixture.fit(data, weight, start, choice.common, choice.diagonal)


class MixtureSearch:
    """Which mixture explains held-out rows best, one coordinate of the choice after the other.

    reference (b,): log of the density that ratios refer to
    """

    def __init__(self, data, weight, fold, reference, seed):
        self.weight, self.fold, self.reference, self.seed = weight, fold, reference, seed
        folds = [(fold != k, fold == k) for k in range(fold.max() + 1)]
        self.folds = [
            (data.take(train), weight[train], data.take(test), test) for train, test in folds
        ]
        self.n_rows = min(train.sum() for train, _ in folds)
        self.tried = {}

    def logs(self, choice):
        """Log ratios of the rows that were held out, NaN for the others: -> (b,)"""
        if choice not in self.tried:
            found = np.full(len(self.weight), np.nan)
            for train, weight, test, rows in self.folds:
                mixture = solve(train, weight, choice, self.seed)
                joint = normal_mixture.log_joint(mixture, test)
                found[rows] = normal_mixture.log_density(joint) - self.reference[rows]
            self.tried[choice] = found
        return self.tried[choice]

    def quality(self, choice):
        rows = self.fold >= 0
        return float(self.weight[rows] @ self.logs(choice)[rows])

    def choose(self, first, grow):
        """-> Choice"""
        scale = first.diagonal
        first = self._best(first._replace(diagonal=scale * f) for f in _DIAGONALS)
        starts = [first._replace(common=scale * f) for f in _COMMONS]
        return self._best(self._grow(start) if grow else start for start in starts)

    def _best(self, choices):
        return max(choices, key=self.quality)

    def _grow(self, best):
        """More components, until two numbers in a row are no better."""
        worse = 0
        for K in _COMPONENTS:
            if not best.components < K <= self.n_rows / _ROWS_PER_COMPONENT or worse == 2:
                continue
            new = best._replace(components=K)
            better = self.quality(new) > self.quality(best)
            best, worse = (new, 0) if better else (best, worse + 1)
        return best
