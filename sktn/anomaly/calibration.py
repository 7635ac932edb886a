"""Scores of several operators become one, and one becomes labels and probabilities.

Everything here is learned from scores of training rows, held-out ones where operators have them:
no anomaly is needed.
"""

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True, eq=False)
class Combination:
    """The mean of standardised scores.

    Attributes
    ----------
    center, spread : ndarray of shape (k,)
        Weighted moments of every operator's scores on the training rows.
    """

    center: np.ndarray
    spread: np.ndarray

    def __call__(self, scores):
        """(k, b) -> (b,)"""
        if len(scores) == 1:
            return scores[0]
        return np.mean((scores - self.center[:, None]) / self.spread[:, None], axis=0)


def fit_combination(scores, weight):
    """scores (k, b), weight (b,) -> Combination"""
    center = np.average(scores, axis=1, weights=weight)
    spread = np.sqrt(np.average((scores - center[:, None]) ** 2, axis=1, weights=weight))
    return Combination(center, np.where(spread > 0, spread, 1.0))


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
    levels, index = np.unique(scores, return_inverse=True)
    cumulated = np.cumsum(np.bincount(index, weights=weight))
    k = np.searchsorted(cumulated, share * cumulated[-1] * (1 + 1e-12), side="right")
    k = min(max(k, 1), len(levels) - 1)
    if k == 0:
        return float(levels[0])
    middle = levels[k - 1] / 2 + levels[k] / 2
    # Between neighbouring numbers there is no third one, and outliers are strictly below.
    return float(middle if middle > levels[k - 1] else levels[k])
