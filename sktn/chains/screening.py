"""Of more columns than rows can tell the worth of, those along which the evidence rises.

Where a column has no say yet, the slope of the evidence in its relevance is, up to what chance
gives, the square of the sums of its site vectors, each row times what the mean misses of it: a pass
over the rows, of any number of columns. How many of the first ones are kept is judged by rows that
had no say in their order.
"""

from dataclasses import replace

import numpy as np

from sktn.chains import prior
from sktn.chains.folds import distinct, random_folds, search_rows
from sktn.chains.gaps import said_gaps
from sktn.chains.look import LOOK_ROWS, look, look_losses
from sktn.chains.roughness import rows_can_tell
from sktn.chains.selection import gain
from sktn.chains.streamed import STREAMED_ROWS
from sktn.tables.penalty import penalty_weights

# Columns and rows from which on columns are screened: of fewer columns all are affordable, and
# fewer rows do not tell one choice of columns from another.
_LEAST_COLUMNS, _LEAST_ROWS = 100, 200
# The fewest columns that are tried; twice as many after them, up to half of all and to a quarter of
# the rows that judge.
_FEWEST, _ROWS_A_COLUMN = 8, 4
# Of the smoothness: on eight planted tables of 1,000 columns, of which 10 or 14 matter, 6.6 of the
# first eight mattered, and 6.0 where waves were charged in full.
_ROUGHER = 0.5
_FOLDS = 3
# Standard errors by which some columns have to be better than all: those that judge are fewer than
# those that the model learns from, which favours few columns.
_ERRORS = 2


def screened(model, reading, target, rng, clock):
    """The table, where held-out rows are told better by two standard errors by some of the columns:
    the others are constant from here on, and have no site."""
    if not _may_be_screened(model, reading, target) or clock.over():
        return reading
    rows = search_rows(target.weight, LOOK_ROWS, rng)
    folds = random_folds(distinct(reading.X[rows]), _FOLDS, rng)
    if folds is None:
        return reading
    missing = said_gaps(model.missing, reading, target)
    scaling = "quantile" if model.scaling == "auto" else model.scaling
    sites = prior.sites_of(model, reading, missing, target, scaling, np.float32)
    problem = prior.equally_charged(model, sites, target).astype(np.float32)
    part = problem.take(rows)
    # Every row is a landmark: of few landmarks many columns make less than the model will.
    landmarks = np.arange(len(rows))

    held_in = np.ones((folds.max() + 2, problem.n_rows), bool)
    held_in[folds, rows] = False
    rougher = penalty_weights(
        problem.basis, model.interaction_penalty, _ROUGHER * model.smoothness, 1.0
    )
    rises = _slopes(problem.with_penalty(rougher), held_in)
    *orders, final = np.argsort(-rises, kind="stable")

    kept, looked = sites.columns.kept, sites.take(rows)

    def few(order, size):
        """The problem on the rows that are looked at, with the first columns of an order."""
        own = looked.only(np.isin(np.arange(len(kept)), order[:size]))
        bare = replace(part, basis=own.basis, coords=own.coords)
        return prior.penalised(model, bare, 1.0)

    def losses(parts):
        return look_losses(look(parts, folds, landmarks))

    share = part.weight.astype(np.float64) / part.total_weight
    sizes = [_FEWEST]
    most = min(len(kept) / 2, len(rows) / _ROWS_A_COLUMN)
    while 2 * sizes[-1] <= most:
        sizes.append(2 * sizes[-1])
    whole = losses([part])
    tried = [losses([few(order, size) for order in orders]) for size in sizes]
    best = int(np.argmin([share @ lost for lost in tried]))
    less, error = gain(whole, tried[best], share)
    if not less > _ERRORS * error:
        return reading
    clock.say(f"{sizes[best]} of {len(kept)} columns tell held-out rows better")
    X = reading.X.copy()
    X[:, kept[final[sizes[best] :]]] = 0
    return replace(reading, X=X)


def _may_be_screened(model, reading, target):
    """Whether all that is said of columns is for the rows to say, and they are too many."""
    n_rows, n_columns = np.count_nonzero(target.weight > 0), reading.X.shape[1]
    return (
        prior.undecided(model)
        and isinstance(model.embedding, str)
        and reading.tensor_shape is None
        and _LEAST_ROWS <= n_rows <= STREAMED_ROWS
        and n_columns >= _LEAST_COLUMNS
        and not rows_can_tell(target.weight, n_columns)
    )


def _slopes(problem, parts):
    """The slope of the evidence along every column by each of some parts of the rows, in deviations
    from what chance gives: parts (p, N) bool -> (p, n)"""
    y = np.asarray(problem.loss.response(problem.target), np.float64)
    weight = parts * np.asarray(problem.weight, np.float64)
    total = weight.sum(axis=1)[:, None]
    missed = y - (weight @ y / total)[:, None]
    variance = np.einsum("pi,pic->pc", weight, missed**2) / total
    missed /= np.sqrt(np.maximum(variance, np.finfo(float).tiny))[:, None]
    missed = (weight[:, :, None] * missed).astype(problem.dtype)
    weight = weight.astype(problem.dtype)
    (n, d), (p, _, c) = problem.penalty.shape, missed.shape
    scores, squares = np.zeros((c, p, n * d)), np.zeros((p, n * d))
    for rows, a in problem.blocks():
        flat = a.reshape(len(a), -1)
        scores += missed[:, rows].transpose(2, 0, 1) @ flat
        squares += weight[:, rows] @ flat**2
    # The first component is the constant.
    scores = scores.reshape(c, p, n, d)[..., 1:]
    squares = squares.reshape(p, n, d)[..., 1:]
    risen = (scores**2).sum(axis=(0, 3)) - c * squares.sum(axis=2)
    deviation = np.sqrt(2 * c * (squares**2).sum(axis=2))
    return risen / np.maximum(deviation, np.finfo(float).tiny)
