"""A first look at designs: ridge regressions in the convex limit of few landmarks, judged by rows
that are held out, the response taken for numbers. A closed form serves all strengths at once."""

from dataclasses import replace

import numpy as np

from sktn.losses import SquaredError
from sktn.solvers import convex
from sktn.solvers.relevance import prior_variance

#: Rows that are looked at, and landmarks.
LOOK_ROWS, LOOK_LANDMARKS = 1000, 200
# In units of the prior's variance, which penalties, relevances and levels change.
_STRENGTHS = 10.0 ** np.arange(1.5, -5.1, -0.5)


def look(parts, folds, landmarks):
    """By how much scores out of the fold miss the response, at the best of all strengths.

    parts: the problem of a design, or one for every share of the folds; folds (m,), landmarks:
    indices of rows -> (m, c)
    """
    numbers = parts[0].loss.response(parts[0].target).astype(np.float32)
    parts = [replace(part, loss=SquaredError(), target=numbers) for part in parts]
    strengths = np.outer(_STRENGTHS, [prior_variance(part) for part in parts])
    designs = [convex.make_design(part, landmarks) for part in parts]
    scores, losses = convex.search(designs, parts[0], folds, strengths)
    return scores[np.argmin(losses)] - numbers


def look_landmarks(weight, rng):
    """Those of a first look: indices of rows of positive weight."""
    return convex.choose_landmarks(weight, LOOK_LANDMARKS, rng)


def look_losses(missed):
    """Half the squares of a look: (m, c) -> (m,)"""
    return SquaredError().values(missed.astype(np.float64), 0.0)


def look_loss(missed, weight):
    """Half the mean square of a look: (m, c), (m,) -> ()"""
    return float(weight @ look_losses(missed) / weight.sum())
