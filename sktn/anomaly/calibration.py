"""Scores of several operators become one, and one becomes labels and probabilities.

Everything here is learned from scores of training rows, held-out ones where operators have them:
no anomaly is needed.
"""

from dataclasses import dataclass, replace

import numpy as np

# Beyond the score that this share of the training rows is below, a tail takes over: a tenth of the
# rows is far enough out for the limit law and enough to fit its one number.
_TAIL = 0.1

# Scores closer than this, relative to their size, are equal: their digits beyond it depend on which
# rows are computed together.
_EQUAL = 1e-9


def levels_of(scores):
    """Distinct scores in ascending order, the highest of those that are equal up to rounding, and
    which of them each score is: (b,) -> (q,), (b,)"""
    order = np.argsort(scores, kind="stable")
    ascending = scores[order]
    apart = np.diff(ascending) > _EQUAL * np.maximum(1.0, np.abs(ascending[1:]))
    index = np.empty(len(scores), dtype=int)
    index[order] = np.concatenate([[0], np.cumsum(apart)])
    return ascending[np.append(apart, True)], index


@dataclass(frozen=True, eq=False)
class Calibration:
    """How often a typical row scores as low, from the scores of typical rows.

    Attributes
    ----------
    levels : ndarray of shape (q,)
        Distinct scores in ascending order.
    shares : ndarray of shape (q,)
        Share of the weight at or below each.
    start, scale : float
        Below `start` an exponential tail with this mean, the limit law of excesses over a high
        threshold (Pickands, Annals of Statistics 3, 1975) for all that is not heavy-tailed.
    n_rows : int
    """

    levels: np.ndarray
    shares: np.ndarray
    start: float
    scale: float
    n_rows: int

    def p_values(self, scores):
        """(1 + n F(s)) / (n + 1) with the empirical distribution F of n typical rows: of a new
        typical row it is at most p with probability p. scores (b,) -> (b,)"""
        reach = scores + _EQUAL * np.maximum(1.0, np.abs(scores))
        below = np.searchsorted(self.levels, reach, side="right")
        share = np.concatenate([[0.0], self.shares])[below]
        return (1 + self.n_rows * share) / (self.n_rows + 1)

    def log_p_values(self, scores):
        """log of `p_values`, going on below the scores seen: (b,) -> (b,)"""
        scores = self._settled(np.asarray(scores))
        share = np.interp(scores, self.levels, self.shares)
        within = np.log((1 + self.n_rows * share) / (self.n_rows + 1))
        # The two meet where the tail begins.
        at_start = np.interp(self.start, self.levels, self.shares)
        beyond = np.log((1 + self.n_rows * at_start) / (self.n_rows + 1))
        beyond = beyond + (scores - self.start) / self.scale
        return np.where(scores < self.start, beyond, within)

    def _settled(self, scores):
        """Scores, of which those that are a level but for rounding are this level: next to levels
        shares may rise by anything, and again in what is computed from them. (b,) -> (b,)"""
        above = np.searchsorted(self.levels, scores).clip(max=len(self.levels) - 1)
        for level in (self.levels[np.maximum(above - 1, 0)], self.levels[above]):
            equal = np.abs(scores - level) <= _EQUAL * np.maximum(1.0, np.abs(level))
            scores = np.where(equal, level, scores)
        return scores


def fit_calibration(scores, weight):
    """scores of typical rows (b,), weight (b,) -> Calibration"""
    levels, index = levels_of(scores)
    mass = np.bincount(index, weights=weight)
    shares = np.minimum(np.cumsum(mass) / mass.sum(), 1.0)
    # Shares of exactly a tenth are so whatever the unit of the weights.
    k = min(np.searchsorted(shares, _TAIL * (1 - 1e-9)), len(levels) - 1)
    start = levels[k]
    excess = mass[:k] @ (start - levels[:k]) / mass[:k].sum() if k > 0 else 0.0
    # Where the lowest scores are equal, anything below them is further out than can be told.
    smallest = 10 * _EQUAL * max(1.0, abs(start))
    return Calibration(levels, shares, float(start), float(max(excess, smallest)), len(scores))


@dataclass(frozen=True, eq=False)
class Combination:
    """A row is strange where a look finds it strange, and stranger where several do.

    The units of every look are logarithms of how often typical rows score as low; repetitions of a
    look are averaged. Of different looks the root mean square counts, between the mean, in which
    one look is drowned by the others, and the largest, which asks one look alone; and it is brought
    to such units again. A single operator keeps its own scores.

    Attributes
    ----------
    calibrations : list of Calibration, one for every operator
    groups : ndarray of int of shape (k,)
        The look that each operator is a repetition of.
    overall : Calibration or None
        Of the root mean square.
    """

    calibrations: list
    groups: np.ndarray
    overall: Calibration | None = None

    def __call__(self, scores):
        """(k, b) -> (b,)"""
        if len(scores) == 1:
            return scores[0]
        logs = np.array([c.log_p_values(s) for c, s in zip(self.calibrations, scores, strict=True)])
        looks = [logs[self.groups == group].mean(axis=0) for group in np.unique(self.groups)]
        seen = np.log(self.calibrations[0].n_rows + 1)
        strangeness = _within_sight(-np.array(looks), seen)
        mean = -np.sqrt(np.mean(strangeness**2, axis=0))
        return mean if self.overall is None else self.overall.log_p_values(mean)


def _within_sight(logs, seen):
    """Minus logarithms of shares, of which those beyond the least share that is seen are brought
    between once and twice it: how much rarer than all rows a row is, is a guess, and must not drown
    the other looks.

    logs (k, b), seen () -> (k, b)
    """
    return np.where(logs > seen, seen * (2 - seen / np.maximum(logs, seen)), logs)


def fit_combination(scores, groups, weight):
    """scores (k, b), groups (k,), weight (b,) -> Combination"""
    found = Combination([fit_calibration(s, weight) for s in scores], groups)
    if len(scores) == 1:
        return found
    # Equal shares in different looks are equal up to rounding, and one level.
    return replace(found, overall=fit_calibration(np.round(found(scores), 9), weight))


def trimmed(scores, weight, share):
    """Weights without those of the rows of lowest score, at most `share` of the whole.

    scores (b,), weight (b,) -> (b,)
    """
    order = np.argsort(scores, kind="stable")
    out = np.cumsum(weight[order]) <= share * weight.sum() * (1 + 1e-12)
    kept = weight.copy()
    kept[order[out]] = 0
    return kept


def offset_below(scores, weight, share):
    """A threshold that at most this share of the weight is below, and at least the lowest score.

    Equal scores are on one side of it. If all are equal, none is an outlier.

    scores (b,), weight (b,) -> float
    """
    levels, index = levels_of(scores)
    cumulated = np.cumsum(np.bincount(index, weights=weight))
    k = np.searchsorted(cumulated, share * cumulated[-1] * (1 + 1e-12), side="right")
    k = min(max(k, 1), len(levels) - 1)
    if k == 0:
        # Nor is a row that is read by itself, whose last digits are others.
        return float(levels[0] - _EQUAL * max(1.0, abs(levels[0])))
    return float(levels[k - 1] / 2 + levels[k] / 2)
