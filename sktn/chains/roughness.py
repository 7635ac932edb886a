"""Whether the columns of a table want a rough prior, each its own: found on some rows by the
evidence, judged on others, in the convex limit."""

from dataclasses import replace
from typing import NamedTuple

import numpy as np

from sktn.chains.folds import search_rows
from sktn.chains.gaps import said_gaps
from sktn.chains.streamed import STREAMED_ROWS
from sktn.solvers import convex
from sktn.solvers.relevance import prior_unit, relevances
from sktn.tables.penalty import penalty_weights
from sktn.tables.sites import make_sites
from sktn.tables.spectra import rough_parts, telling_degrees, up_to, with_spectra

# Rows from which on columns are looked at one by one: fewer cannot tell.
_LEAST_ROWS = 2000
# Rows by whose evidence the parts are found, at most, and by which they are judged.
_EVIDENCE_ROWS, _JUDGED_ROWS, _LANDMARKS = 800, 3000, 500
# Rows of evidence for every column: fewer cannot tell so many factors from chance.
_ROWS_A_COLUMN = 8
# Degrees that are looked at. Those that say nothing are left out again.
_MAX_DEGREE = 128
# Waves are as fine at the ends of a column as in its middle, polynomials finer.
_EMBEDDING = "fourier"


class Roughness(NamedTuple):
    """relevance (n_columns,): of every column
    shares (n_columns, 2): of the smooth and the rough part in it
    largest (n_columns,): degree up to which the column is looked at
    alpha : strength, float
    """

    relevance: np.ndarray
    shares: np.ndarray
    largest: np.ndarray
    alpha: float

    def sites(self, model, reading, target, missing, dtype):
        """Waves over the ranks of the columns, as many as each needs."""
        sites = _waves(reading, slice(None), target.weight, missing, int(self.largest.max()), dtype)
        kept = sites.columns.kept
        basis = with_spectra(sites.basis, model.smoothness, self.shares[kept])
        return replace(sites, basis=up_to(basis, self.largest[kept]))


def may_be_rough(model, problem):
    """Whether columns are looked at one by one: nothing that was given speaks against it, there are
    rows enough, and not so many that mini-batches would have to carry all these waves."""
    n_rows = np.count_nonzero(np.asarray(problem.weight) > 0)
    n_evidence = min(_EVIDENCE_ROWS, n_rows // 3)
    return (
        model.degree == "auto"
        and model.alpha == "auto"
        and isinstance(model.relevance, str)
        and model.relevance == "equal"
        and (model.embedding, model.scaling) == ("legendre", "quantile")
        and _LEAST_ROWS <= n_rows <= STREAMED_ROWS
        and n_evidence >= _ROWS_A_COLUMN * problem.n_sites
    )


def roughened(model, reading, target, smooth, rng, clock):
    """Sites, problem with its strength, and relevances of all columns: those of the smooth prior,
    or rough ones where they are better."""
    sites, problem, relevance = smooth
    missing = said_gaps(model.missing, reading, target)
    found = find_roughness(model, reading, missing, target, problem, rng)
    if found is None:
        return smooth
    sites = found.sites(model, reading, target, missing, problem.dtype)
    relevance = np.where(relevance > 0, found.relevance, 0.0)
    penalty = penalty_weights(
        sites.basis, model.interaction_penalty, model.smoothness, relevance[sites.columns.kept]
    )
    problem = replace(problem, basis=sites.basis, coords=sites.coords, alpha=found.alpha)
    problem = problem.with_penalty(penalty)
    clock.say(f"rough prior, alpha={problem.alpha:.3g}, d={sites.dim}")
    return sites, problem, relevance


def find_roughness(model, reading, missing, target, problem, rng):
    """The parts of the columns, None where those rows that had no say in them are not told better
    by a standard error.

    problem : ChainProblem of the smooth prior, its strength chosen -> Roughness or None
    """
    rows = rng.permutation(search_rows(problem.weight, _EVIDENCE_ROWS + _JUDGED_ROWS, rng))
    n_first = min(_EVIDENCE_ROWS, len(rows) // 3)
    folds = target.folds(rows[n_first:], reading.X[rows[n_first:]], rng)
    if folds is None:
        return None
    sites = _waves(reading, rows, target.weight[rows], missing, _MAX_DEGREE, np.float32)
    smooth, kept = problem.take(rows).astype(np.float32), sites.columns.kept

    def on(basis, relevance=1.0):
        penalty = penalty_weights(basis, model.interaction_penalty, model.smoothness, relevance)
        return replace(smooth, basis=basis, coords=sites.coords, penalty=penalty)

    equal = on(sites.basis)
    parts = rough_parts(sites.basis, model.smoothness)
    found = relevances(equal.take(slice(n_first)), rng, parts=parts, max_rows=n_first)
    if not found.decisive:
        return None
    relevance = found.factors.sum(axis=1)
    shares = found.factors / relevance[:, None]
    basis = with_spectra(sites.basis, model.smoothness, shares)
    largest = telling_degrees(basis, model.smoothness, relevance)
    rough = on(up_to(basis, largest), relevance)
    unit, last = prior_unit(rough, equal), slice(n_first, None)
    near = [problem.alpha * factor for factor in (10**0.5, 1.0, 10**-0.5)]
    alphas = [alpha * unit for alpha in model._alphas]
    tries = [(smooth.take(last), near), (rough.take(last), alphas)]
    gain, error, best = _gain(tries, folds, rng)
    if gain <= error:
        return None
    # Columns that are constant in those rows are as they were.
    n_columns = sites.columns.n_columns
    every = Roughness(
        np.ones(n_columns), np.tile([1.0, 0.0], (n_columns, 1)), np.ones(n_columns), alphas[best]
    )
    every.relevance[kept], every.shares[kept], every.largest[kept] = relevance, shares, largest
    return every


def _waves(reading, rows, weight, missing, degree, dtype):
    return make_sites(
        reading.X[rows],
        weight,
        reading.is_nominal,
        embedding=_EMBEDDING,
        degree=degree,
        scaling="quantile",
        missing=missing,
        dtype=dtype,
    )


def _gain(tries, folds, rng):
    """What the second of two problems on the same rows gains on the first in loss per unit of
    weight, its standard error, and the number of its best strength."""
    first = tries[0][0]
    landmarks = convex.choose_landmarks(first.weight, _LANDMARKS, rng)
    judged, losses = np.flatnonzero(folds >= 0), []
    for problem, strengths in tries:
        design = convex.make_design(problem, landmarks)
        scores, means = convex.search(design, problem, folds, strengths)
        best, part = int(np.argmin(means)), problem.take(judged)
        losses.append(part.loss.values(scores[best][judged], part.target).astype(np.float64))
    share = first.weight[judged] / first.weight[judged].sum()
    gain = losses[0] - losses[1]
    mean = float(share @ gain)
    return mean, float(np.sqrt(share**2 @ (gain - mean) ** 2)), best
