"""Whether the columns of a table want a rough prior, each its own: found on some rows by the
evidence, judged on others, in the convex limit."""

from dataclasses import replace
from typing import NamedTuple

import numpy as np

from sktn.chains import prior
from sktn.chains.gaps import said_gaps
from sktn.chains.prior import penalised
from sktn.chains.streamed import STREAMED_ROWS
from sktn.solvers import convex
from sktn.solvers.problem import ChainProblem
from sktn.solvers.relevance import prior_unit, relevances
from sktn.tables.sites import make_sites
from sktn.tables.spectra import rough_parts, telling_degrees, up_to, with_spectra

# Rows from which on columns are looked at one by one: fewer cannot tell.
_LEAST_ROWS = 1000
# Rows by whose evidence the parts are found, at most, and by which they are judged.
_EVIDENCE_ROWS, _JUDGED_ROWS, _LANDMARKS = 1600, 3000, 500
# Rows of evidence for every column: fewer cannot tell so many factors from chance.
_ROWS_A_COLUMN = 8
#: Powers of the relevances that are judged: those found, and half of their logarithms.
POWERS = (1.0, 0.5)
# Degrees that are looked at. Those that say nothing are left out again.
_MAX_DEGREE = 128
# Waves are as fine at the ends of a column as in its middle, polynomials finer.
_EMBEDDING = "fourier"
# Ranks in which a value that most rows have leaves room for the others.
_SCALING = "capped"


class Roughness(NamedTuple):
    """relevance (n_columns,): of every column
    shares (n_columns, 2): of the smooth and the rough part in it
    largest (n_columns,): degree up to which the column is looked at
    alpha : strength, float, where it was chosen
    """

    relevance: np.ndarray
    shares: np.ndarray
    largest: np.ndarray
    alpha: float | None = None

    def shrunk(self, power):
        """With relevances nearer to equal ones: what few rows say of them is too much."""
        return self._replace(relevance=self.relevance**power)

    def sites(self, model, reading, target, missing, dtype, rows=slice(None)):
        """Waves over the capped ranks of the columns, as many as each needs."""
        weight, largest = target.weight[rows], int(self.largest.max())
        sites = _waves(reading, rows, weight, missing, largest, dtype)
        kept = sites.columns.kept
        basis = with_spectra(sites.basis, model.smoothness, self.shares[kept])
        return replace(sites, basis=up_to(basis, self.largest[kept]))


def posed(model, reading, target, rng, clock, rough=None):
    """A table's sites, the problem with its strength and the relevances of all columns, smooth or
    rough.

    rough: Roughness that a search has found, None: looked for where it may be
    """
    sites = prior.table_sites(model, reading, target)
    problem, relevance = prior.pose(model, sites, target, rng)
    clock.say(f"strength alpha={problem.alpha:.3g}")
    smooth = sites, problem, relevance
    if rough is not None:
        return with_roughness(rough, model, reading, target, smooth, clock)
    if may_be_rough(model, problem) and not clock.over():
        return roughened(model, reading, target, smooth, rng, clock)
    return smooth


def may_be_rough(model, problem):
    """Whether columns are looked at one by one: nothing that was given speaks against it, there are
    rows enough, and not so many that mini-batches would have to carry all these waves."""
    return (
        model.degree == "auto"
        and model.alpha == "auto"
        and isinstance(model.relevance, str)
        and model.relevance == "equal"
        and (model.embedding, model.scaling) == ("legendre", "quantile")
        and rows_can_tell(np.asarray(problem.weight), problem.n_sites)
    )


def rows_can_tell(weight, n_columns):
    n_rows = np.count_nonzero(weight > 0)
    enough = _n_evidence(n_rows) >= _ROWS_A_COLUMN * n_columns
    return enough and _LEAST_ROWS <= n_rows <= STREAMED_ROWS


def _n_evidence(n_rows):
    return min(_EVIDENCE_ROWS, n_rows // 3)


def roughened(model, reading, target, smooth, rng, clock):
    """Sites, problem with its strength, and relevances of all columns: those of the smooth prior,
    or rough ones where they are better."""
    missing = said_gaps(model.missing, reading, target)
    found = find_roughness(model, reading, missing, target, smooth[1], rng, clock.over)
    return smooth if found is None else with_roughness(found, model, reading, target, smooth, clock)


def with_roughness(found, model, reading, target, smooth, clock):
    """Sites, problem and relevances of all columns with the parts that were found, from those of
    the smooth prior."""
    sites, problem, relevance = smooth
    missing = said_gaps(model.missing, reading, target)
    sites = found.sites(model, reading, target, missing, problem.dtype)
    relevance = np.where(relevance > 0, found.relevance, 0.0)
    alpha = problem.alpha if found.alpha is None else found.alpha
    problem = replace(problem, basis=sites.basis, coords=sites.coords, alpha=alpha)
    problem = penalised(model, problem, relevance[sites.columns.kept])
    clock.say(f"rough prior, alpha={problem.alpha:.3g}, d={sites.dim}")
    return sites, problem, relevance


def find_roughness(model, reading, missing, target, problem, rng, stop=None):
    """The parts of the columns, None where those rows that had no say in them are not told better
    by a standard error, or where there is no time for the search to end.

    problem : ChainProblem of the smooth prior, its strength chosen, stop : `stop() -> bool`
    -> Roughness or None
    """
    first, rows = evidence_rows(target, rng)
    folds = target.folds(rows, reading.X[rows], rng)
    if folds is None:
        return None
    found = parts_of(model, reading, missing, target, first, rng, stop)
    if found is None or (stop is not None and stop()):
        return None
    smooth = problem.take(rows).astype(np.float32)
    sites = found.sites(model, reading, target, missing, np.float32, rows)
    waves = replace(smooth, basis=sites.basis, coords=sites.coords)
    equal, candidates = penalised(model, waves, 1.0), [found.shrunk(power) for power in POWERS]
    near = [problem.alpha * factor for factor in (10**0.5, 1.0, 10**-0.5)]
    tries = [(smooth, near)]
    for candidate in candidates:
        rough = penalised(model, waves, candidate.relevance[sites.columns.kept])
        tries.append((rough, np.multiply(model._alphas, prior_unit(rough, equal))))
    gain, error, which, alpha = _gain(tries, folds, rng)
    return None if gain <= error else candidates[which]._replace(alpha=alpha)


def evidence_rows(target, rng):
    """Rows to find the parts of columns on, and random ones of the others, to judge them by."""
    rows = rng.permutation(np.flatnonzero(target.weight > 0))
    n_first = _n_evidence(len(rows))
    judged, others = np.split(rows, [min(len(rows) - n_first, _JUDGED_ROWS)])
    return target.telling_rows(others, n_first), judged


def parts_of(model, reading, missing, target, rows, rng, stop=None):
    """The parts of the columns by the evidence of some rows, None where they say too little."""
    sites = _waves(reading, rows, target.weight[rows], missing, _MAX_DEGREE, np.float32)
    loss, numbers = target.loss(np.float32)
    weight = target.weight[rows].astype(np.float32)
    equal = ChainProblem(sites.basis, sites.coords, loss, numbers[rows], weight, None)
    equal = penalised(model, equal, 1.0)
    parts = rough_parts(sites.basis, model.smoothness)
    found = relevances(equal, rng, parts=parts, max_rows=len(rows), stop=stop)
    if not found.decisive:
        return None
    relevance = found.factors.sum(axis=1)
    shares = found.factors / relevance[:, None]
    basis = with_spectra(sites.basis, model.smoothness, shares)
    largest = telling_degrees(basis, model.smoothness, relevance)
    # Columns that are constant in those rows are as they were.
    n_columns, kept = sites.columns.n_columns, sites.columns.kept
    every = Roughness(np.ones(n_columns), np.tile([1.0, 0.0], (n_columns, 1)), np.ones(n_columns))
    every.relevance[kept], every.shares[kept], every.largest[kept] = relevance, shares, largest
    return every


def _waves(reading, rows, weight, missing, degree, dtype):
    return make_sites(
        reading.X[rows],
        weight,
        reading.is_nominal,
        embedding=_EMBEDDING,
        degree=degree,
        scaling=_SCALING,
        missing=missing,
        dtype=dtype,
    )


def _gain(tries, folds, rng):
    """What the best of the problems after the first gains on it in loss per unit of weight, all on
    the same rows: the gain, its standard error, which it is, and its best strength."""
    first = tries[0][0]
    landmarks = convex.choose_landmarks(first.weight, _LANDMARKS, rng)
    judged, losses, chosen = np.flatnonzero(folds >= 0), [], []
    for problem, strengths in tries:
        design = convex.make_design(problem, landmarks)
        scores, means = convex.search(design, problem, folds, strengths)
        best, part = int(np.argmin(means)), problem.take(judged)
        losses.append(part.loss.values(scores[best][judged], part.target).astype(np.float64))
        chosen.append(float(strengths[best]))
    share = first.weight[judged] / first.weight[judged].sum()
    which = int(np.argmin(np.array(losses[1:]) @ share))
    gain = losses[0] - losses[1 + which]
    mean = float(share @ gain)
    return mean, float(np.sqrt(share**2 @ (gain - mean) ** 2)), which, chosen[1 + which]
