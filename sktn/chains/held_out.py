"""What a model of the convex limit says of rows that it has not seen."""

import numpy as np

from sktn.chains.folds import distinct, search_rows
from sktn.solvers import convex
from sktn.solvers.leave_one_out import left_out_predictions

# Rows whose errors are looked at, and landmarks: quantiles of so many errors are known to a
# hundredth.
_ROWS, _LANDMARKS = 3000, 500


def held_out_scores(problem, target, max_landmarks, rng):
    """Rows and their scores by models without them: without a single row and its copies for squared
    losses, which have a closed form for it, without a fold for the others. None where there are too
    few rows.

    problem : ChainProblem with its strength; target: what deals the folds -> rows (m,), (m, c)
    """
    rows = search_rows(problem.weight, _ROWS, rng)
    part = problem.take(rows).astype(np.float32)
    groups = distinct(part.coords)
    if groups.max() == 0:
        return None
    n_landmarks = min(max_landmarks, _LANDMARKS)
    design = convex.make_design(part, convex.choose_landmarks(part.weight, n_landmarks, rng))
    if part.loss.quadratic:
        scores = left_out_predictions(
            np.asarray(design.Z), part.target, part.weight, groups, part.strength
        )
        return rows, scores
    folds = target.folds(rows, problem.coords[rows], rng)
    return rows, convex.search(design, part, folds, [part.alpha])[0][0]


def told_by_held_out(tell, known, max_landmarks, rng):
    """The fitted attributes that rows say which a model has not seen, none of too few rows.

    tell: (reading, target, rows (m,), scores (m, c), seed) -> attributes
    known: reading, problem, target
    """
    reading, problem, target = known
    held_out = held_out_scores(problem, target, max_landmarks, rng)
    seed = rng.randint(2**31 - 1)
    return {} if held_out is None else tell(reading, target, *held_out, seed)
