"""What an estimator's parameters say of a table before anything is learned: its sites, how much
every column matters, the ridge and its strength.

`model` is the estimator, of which parameters are read, never changed.
"""

import warnings

import numpy as np

from sktn.backend import get_config
from sktn.chains.folds import distinct, random_folds, search_rows
from sktn.chains.gaps import said_gaps
from sktn.chains.look import LOOK_ROWS, look, look_landmarks
from sktn.chains.selection import gain
from sktn.chains.streamed import STREAMED_ROWS
from sktn.solvers import convex
from sktn.solvers.problem import ChainProblem
from sktn.solvers.relevance import few_or_all, prior_unit
from sktn.tables.penalty import penalty_weights
from sktn.tables.sites import make_sites

# Rows and landmarks on which the strength is chosen: its loss is flat around the minimum, and both
# are enough to find it.
_ALPHA_ROWS, _ALPHA_LANDMARKS = 3000, 500
#: The degree of smooth columns: what is taken where the data do not say.
SMOOTH_DEGREE = 8
#: The strength where it cannot be chosen: partial_fit, which cannot look ahead, and tables too
#: small for folds.
DEFAULT_ALPHA = 0.1
# Folds of the look by which ranks and values are compared.
_LOOK_FOLDS = 3
# The logarithm of a kernel in single precision ends at 88.
_LARGEST_LOG = 80.0
# Of `max_memory`: site vectors of landmarks in double precision.
_WIDE = 1 / 8


def charged(model, sites, target, rng):
    """The sites of the columns that are not ruled out, the problem with its penalty, the relevances
    of the table's columns, and what they do to the variance of the prior: strengths are tried in
    units of it."""
    equal = penalised(model, bare_problem(sites, target, model._max_order), 1.0)
    relevance = column_relevances(model, sites, equal, rng)
    sites = sites.only(relevance[sites.columns.kept])
    kept = relevance[sites.columns.kept]
    problem = penalised(model, bare_problem(sites, target, model._max_order), kept)
    unit = 1.0
    if model.alpha == "auto" and np.any(relevance[relevance > 0] != 1):
        unit = prior_unit(problem, equal)
    return sites, problem, relevance, unit


def table_attributes(reading, target, sites, relevance, problem):
    """The fitted attributes that come from the table."""
    return {
        **reading.fitted(),
        **target.fitted(),
        "columns_": sites.columns,
        "basis_": sites.basis,
        "relevance_": relevance,
        "alpha_": problem.alpha,
        "loss_": problem.loss,
    }


def bare_problem(sites, target, max_order=None):
    """The problem before its penalty and strength are known."""
    loss, numbers = target.loss(sites.coords.dtype)
    weight = target.weight.astype(sites.coords.dtype)
    return ChainProblem(sites.basis, sites.coords, loss, numbers, weight, None, max_order=max_order)


def table_sites(model, reading, target, rng):
    missing, dtype = said_gaps(model.missing, reading, target), _precision(model, reading.X)
    if model.scaling == "auto":
        return _told_sites(model, reading, missing, target, dtype, rng)
    return sites_of(model, reading, missing, target, model.scaling, dtype)


def sites_of(model, reading, missing, target, scaling, dtype, rows=slice(None)):
    return make_sites(
        reading.X[rows],
        target.weight[rows],
        reading.is_nominal,
        embedding=model.embedding,
        degree=least_degree(model),
        scaling=scaling,
        missing=missing,
        dtype=dtype,
    )


def _told_sites(model, reading, missing, target, dtype, rng):
    """The sites whose columns are read by ranks or by values, whichever tells held-out rows better
    by a standard error. Where neither does, by the mean of both, or by ranks if the table has more
    rows than were looked at: from ranks rough parts are told."""

    def made(scaling, *rows):
        return sites_of(model, reading, missing, target, scaling, dtype, *rows)

    rows = search_rows(target.weight, LOOK_ROWS, rng)
    folds = random_folds(distinct(reading.X[rows]), _LOOK_FOLDS, rng)
    if folds is None or not _between(reading, rows):
        return made("quantile")
    part, errors, seed = target.merged(rows, target.weight[rows]), [], rng.randint(2**31 - 1)
    looked = {scaling: made(scaling, rows) for scaling in ("quantile", "standard")}
    for sites in looked.values():
        problem = equally_charged(model, sites, part)
        if not _in_range(problem):
            return made("quantile")
        landmarks = look_landmarks(problem.weight, np.random.RandomState(seed))
        missed = look([problem.astype(np.float32)], folds, landmarks)
        errors.append((missed.astype(np.float64) ** 2).sum(axis=1))
    mean, error = gain(*errors, part.weight / part.weight.sum())
    whole = len(rows) == len(reading.X)
    if abs(mean) > error:
        scaling = "standard" if mean > 0 else "quantile"
    else:
        scaling = "blended" if whole else "quantile"
    sites = looked[scaling] if whole and scaling in looked else made(scaling)
    safe = scaling == "quantile" or _in_range(equally_charged(model, sites, target))
    return sites if safe else made("quantile")


def equally_charged(model, sites, target):
    """The problem in which all columns are charged alike."""
    return penalised(model, bare_problem(sites, target, model._max_order), 1.0)


def _in_range(problem):
    """Whether kernels stay numbers, though a row may be an outlier in every column at once."""
    basis = problem.basis
    largest = basis.mask[:, 1:] * (float(basis.bound) ** 2 / problem.penalty[:, 1:])
    if np.log1p(largest.sum(axis=1)).sum() < _LARGEST_LOG:
        return True
    return all(
        np.log1p((a[:, :, 1:] ** 2).sum(axis=2)).sum(axis=1).max() < _LARGEST_LOG
        for _, a in problem.blocks()
    )


def _between(reading, rows):
    """Whether some column has more than two values, which are the same wherever they are."""
    X, nominal = reading.X[rows], reading.is_nominal
    X = X if nominal is None else X[:, ~nominal]
    there = ~np.isnan(X)
    low = np.min(X, axis=0, initial=np.inf, where=there)
    high = np.max(X, axis=0, initial=-np.inf, where=there)
    return bool(((low < X) & (high > X)).any())


def undecided(model):
    """Whether degrees, relevances and their strength are for the rows to say."""
    equal = isinstance(model.relevance, str) and model.relevance == "equal"
    return model.degree == "auto" and model.alpha == "auto" and equal


def least_degree(model):
    return SMOOTH_DEGREE if model.degree == "auto" else model.degree


def _precision(model, X):
    """Single where site vectors of the landmarks would fill memory in double, and for tables that
    are streamed: mini-batches are noise enough. Else that of the table."""
    vectors = min(len(X), model.max_landmarks) * X.shape[1] * (least_degree(model) + 1)
    large = 8 * vectors > _WIDE * get_config()["max_memory"] or len(X) > STREAMED_ROWS
    return np.float32 if large else X.dtype


def penalised(model, problem, relevance):
    """The problem with its ridge; relevance (n_sites,) or one for all."""
    return problem.with_penalty(
        penalty_weights(problem.basis, model.interaction_penalty, model.smoothness, relevance)
    )


def column_relevances(model, sites, problem, rng):
    """The factors of all columns of the table, 0 for those without a site, by the problem of equal
    ones: (n_columns,)"""
    columns = sites.columns
    relevance = np.zeros(columns.n_columns)
    if isinstance(model.relevance, str):
        relevance[columns.kept] = 1.0
        if model.relevance == "auto":
            found = few_or_all(problem, rng)
            if found.decisive:
                relevance[columns.kept] = found.factors
        return relevance
    try:
        given = np.asarray(model.relevance, dtype=np.float64)
    except (TypeError, ValueError):
        given = np.zeros(0)
    if given.shape != relevance.shape or not (np.isfinite(given) & (given >= 0)).all():
        raise ValueError(
            f"relevance must be {len(relevance)} finite numbers, none negative, one for every "
            f"column of X (or group of columns that shares a site); got {model.relevance!r}."
        )
    relevance[columns.kept] = given[columns.kept]
    return relevance


def with_strength(model, problem, target, rng, unit):
    """The problem with its strength, and what the data say of the shape of its loss."""
    rows = search_rows(problem.weight, _ALPHA_ROWS, rng)
    folds = []

    def search(problem, alphas):
        if not folds:
            folds.append(target.folds(rows, problem.coords[rows], rng))
        if folds[0] is None:
            return None
        part = problem.take(rows).astype(np.float32)
        landmarks = convex.choose_landmarks(part.weight, _ALPHA_LANDMARKS, rng)
        scores, found = convex.search(convex.make_design(part, landmarks), part, folds[0], alphas)
        best = int(np.argmin(found))
        return float(alphas[best]), scores[best]

    automatic = model.alpha == "auto"
    alphas = [a * unit for a in model._alphas] if automatic else [float(model.alpha)]

    def out_of_fold(problem):
        found = search(problem, alphas)
        return None if found is None else (found[1], rows)

    problem = target.shaped(problem, out_of_fold)
    if not automatic:
        return problem.with_alpha(float(model.alpha))
    found = search(problem, alphas)
    if found is None:
        warnings.warn(
            f"alpha='auto' needs distinct rows to hold out, and there are too few: alpha="
            f"{DEFAULT_ALPHA} was taken. Give more rows, or a number.",
            UserWarning,
            stacklevel=6,
        )
    return problem.with_alpha(DEFAULT_ALPHA * unit if found is None else found[0])
