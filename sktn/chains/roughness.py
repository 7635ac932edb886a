"""Whether the columns of a table want a relevance each, and a rough part beside the smooth one:
found on some rows by the evidence, judged on others, in the convex limit.

A rough part costs two kernels a column, and a hundred waves in all that follows: a look at few rows
says where it is not to be looked for. What may lead is found on all rows of the evidence.
"""

from dataclasses import dataclass, replace
from functools import cached_property
from typing import NamedTuple

import numpy as np

from sktn.chains import prior
from sktn.chains.gaps import said_gaps
from sktn.chains.look import look, look_losses
from sktn.chains.prior import penalised
from sktn.chains.selection import clearly_worse, gain
from sktn.chains.streamed import STREAMED_ROWS
from sktn.solvers import convex
from sktn.solvers.problem import ChainProblem
from sktn.solvers.relevance import STAGES, prior_unit, relevances
from sktn.tables.sites import make_sites
from sktn.tables.spectra import rough_parts, telling_degrees, up_to, with_spectra

# Rows from which on columns are looked at one by one: fewer cannot tell.
_LEAST_ROWS = 1000
# Rows by whose evidence the parts are found, at most, and by which they are judged.
_EVIDENCE_ROWS, _JUDGED_ROWS, _LANDMARKS = 1600, 3000, 500
# Of a first look: rows of evidence, and degrees, which have half of a rough part.
_LOOK_ROWS, _LOOK_DEGREE = 400, 32
#: Stages of a search from what a look has found, as of `relevances`, and those of a look.
FROM_LOOK, _LOOK = ((1.0, 10),), ((1.0, 12),)
# Numbers that the kernels of all columns may take together: what a step costs (a tenth of a second
# for 1,000 rows of 30 columns).
_KERNELS = 2**25
# Rows of evidence for every column: fewer cannot tell so many factors from chance.
_ROWS_A_COLUMN = 8
#: Powers of the relevances that are judged: those found, and half of their logarithms.
POWERS = (1.0, 0.5)
# Degrees that are looked at. Those that say nothing are left out again.
_MAX_DEGREE = 128
# Waves are as fine at the ends of a column as in its middle, polynomials finer.
_EMBEDDING = "fourier"
# Components of all columns that mini-batches carry on tables that are streamed: a pass over a
# million rows then takes some four minutes.
_STREAMED_COMPONENTS = 2048
# Ranks in which a value that most rows have leaves room for the others.
_SCALING = "capped"


class Table(NamedTuple):
    """What rows are taken from: an estimator, its input read, how gaps are said, and the target."""

    model: object
    reading: object
    missing: str
    target: object


class Roughness(NamedTuple):
    """relevance (n_columns,): of every column
    shares (n_columns, 2): of the smooth and the rough part in it
    largest (n_columns,): degree up to which the column is looked at
    alpha : strength, float, where it was chosen
    decisive : whether the evidence for them is more than what chance gives
    """

    relevance: np.ndarray
    shares: np.ndarray
    largest: np.ndarray
    alpha: float | None = None
    decisive: bool = True

    def shrunk(self, power):
        """With relevances nearer to equal ones: what few rows say of them is too much."""
        return self._replace(relevance=self.relevance**power)

    def sites(self, table, dtype, rows=slice(None)):
        """Waves over the capped ranks of the columns, as many as each needs."""
        sites = _waves(table, rows, int(self.largest.max()), dtype)
        kept = sites.columns.kept
        basis = with_spectra(sites.basis, table.model.smoothness, self.shares[kept])
        return replace(sites, basis=up_to(basis, self.largest[kept]))

    @property
    def factors(self):
        """Of the smooth and the rough part: (n_columns, 2)"""
        return self.relevance[:, None] * self.shares

    @property
    def rough(self):
        """Whether any column has a rough part."""
        return bool((self.shares[:, 1] > 0).any())

    @property
    def alone(self):
        """Without the rough parts."""
        smooth = np.tile([1.0, 0.0], (len(self.shares), 1))
        largest = np.minimum(self.largest, prior.SMOOTH_DEGREE)
        return self._replace(relevance=self.factors[:, 0], shares=smooth, largest=largest)

    @property
    def smooth_part(self):
        return Smooth(self.factors[:, 0])


class Smooth(NamedTuple):
    """The smooth prior, with relevances.

    relevance (n_columns,), alpha, decisive: as of :class:`Roughness`
    """

    relevance: np.ndarray
    alpha: float | None = None
    decisive: bool = True

    def shrunk(self, power):
        """As of :class:`Roughness`."""
        return self._replace(relevance=self.relevance**power)


def posed(model, reading, target, rng, clock, rough=None):
    """A table's sites, the problem with its strength and the relevances of all columns, smooth or
    rough.

    rough: Roughness that a search has found, None: looked for where there may be any
    """
    sites = prior.table_sites(model, reading, target, rng)
    clock.say(f"columns by {sites.columns.scaling!r}")
    sites, problem, relevance, unit = prior.charged(model, sites, target, rng)
    looked_for = rough is None and may_be_rough(model, problem)

    def with_strength(problem):
        problem = prior.with_strength(model, problem, target, rng, unit)
        clock.say(f"strength alpha={problem.alpha:.3g}")
        return problem

    # What compares the priors of several classes does not ask for it.
    late = looked_for and _several_classes(problem)
    if not late:
        problem = with_strength(problem)
    table, smooth = table_of(model, reading, target), (sites, problem, relevance)
    if looked_for and not clock.over():
        rough = find_roughness(table, smooth, rng, clock.over)
    if len(reading.X) > STREAMED_ROWS:
        rough = for_mini_batches(rough)
    if rough is not None:
        return with_roughness(rough, table, smooth, clock)
    return sites, with_strength(problem) if late else problem, relevance


def _several_classes(problem):
    """Whether scores are of classes, and each of them has its own Newton steps to pay."""
    return problem.loss.log_likelihood and problem.n_scores > 1


def may_be_rough(model, problem):
    """Whether columns are looked at one by one: nothing given forbids it, and rows are enough."""
    return (
        prior.undecided(model)
        and isinstance(model.embedding, str)
        and model.embedding == "legendre"
        and model.scaling in ("auto", "quantile")
        and rows_can_tell(np.asarray(problem.weight), problem.n_sites)
    )


def rows_can_tell(weight, n_columns):
    n_rows = np.count_nonzero(weight > 0)
    enough = _n_evidence(n_rows) >= _ROWS_A_COLUMN * n_columns
    return enough and n_rows >= _LEAST_ROWS


def _n_evidence(n_rows):
    return min(_EVIDENCE_ROWS, n_rows // 3)


def for_mini_batches(found):
    """What tables that are streamed take of what was found: rough parts, of as many components as
    mini-batches carry. Relevances alone are left to their many rows, and would only slow down what
    few rows said little of.

    found : Roughness, Smooth or None -> Roughness or None
    """
    if not isinstance(found, Roughness):
        return None
    most = max(prior.SMOOTH_DEGREE, _STREAMED_COMPONENTS // len(found.largest) - 1)
    return found._replace(largest=np.minimum(found.largest, most))


def table_of(model, reading, target):
    return Table(model, reading, said_gaps(model.missing, reading, target), target)


def with_roughness(found, table, smooth, clock):
    """Sites, problem and relevances of all columns with the relevances, and the parts, that were
    found, from those of the smooth prior.

    found : Roughness or Smooth
    """
    sites, problem, relevance = smooth
    if isinstance(found, Roughness):
        sites = found.sites(table, problem.dtype)
    else:
        own = found.relevance[sites.columns.kept]
        largest = telling_degrees(sites.basis, table.model.smoothness, own)
        sites = replace(sites, basis=up_to(sites.basis, largest))
    problem = replace(problem, basis=sites.basis, coords=sites.coords)
    relevance = np.where(relevance > 0, found.relevance, 0.0)
    alpha = problem.alpha if found.alpha is None else found.alpha
    problem = penalised(table.model, problem.with_alpha(alpha), relevance[sites.columns.kept])
    kind = "rough prior" if isinstance(found, Roughness) else "relevances"
    clock.say(f"{kind}, alpha={problem.alpha:.3g}, d={sites.dim}")
    return sites, problem, relevance


def find_roughness(table, smooth, rng, stop=None):
    """The relevances of the columns, and their parts, None where those rows that had no say in them
    are not told better by a standard error, or where there is no time for the search to end.

    smooth : sites, ChainProblem, with its strength unless there are several classes, and relevances
        of the smooth prior, stop : `stop() -> bool`
    -> Roughness, Smooth or None
    """
    first, rows = evidence_rows(table.target, rng)
    folds = table.target.folds(rows, table.reading.X[rows], rng)
    if folds is None:
        return None
    part = smooth[1].take(rows).astype(np.float32)
    landmarks = convex.choose_landmarks(part.weight, _LANDMARKS, rng)
    judge = _Judge(table, smooth[0].columns, part, rows, folds, landmarks)

    looked = look_at(table, first, rng, stop)
    if stop is not None and stop():
        return None
    near = np.array([10**0.5, 1.0, 10**-0.5])
    equal, _ = judge.losses(judge.part, near * (judge.part.alpha or 1.0))
    # What few rows say of relevances is too much.
    gentle = POWERS[-1:]
    before = min(equal, judge.best(looked.smooth_part, gentle)[0], key=judge.mean)
    searches = []
    if looked.rough and not clearly_worse(judge.best(looked, gentle)[0], before, judge.share):
        searches.append(lambda: parts_of(table, first, rng, stop, looked, FROM_LOOK))
    if before is not equal:
        near = looked.smooth_part
        searches.append(lambda: relevances_from(near, table.model, smooth, first, rng, stop))
    better = []
    for search in searches:
        found = search()
        if stop is not None and stop():
            break
        if found.decisive:
            better += judge.better(found, equal)
    best = min(better, key=lambda one: judge.mean(one[0]), default=(None, None))[1]
    if best is None or best.alpha is not None:
        return best
    # What is too sure of itself has a large log-loss, and not so large a square.
    return judge.best(best, told=judge.searched)[1]


def relevances_from(near, model, smooth, rows, rng, stop=None):
    """The relevances of the columns under the smooth prior, by the evidence of some rows: near and
    result `Smooth`."""
    (sites, problem, _), kept = smooth, smooth[0].columns.kept
    part = penalised(model, problem, 1.0).take(rows).astype(np.float32)
    known, most = near.relevance[kept], _most_rows(part.n_sites)
    own = relevances(part, rng, FROM_LOOK, max_rows=most, known=known, stop=stop)
    relevance = np.ones(sites.columns.n_columns)
    relevance[kept] = own.factors
    return Smooth(relevance, decisive=own.decisive)


def _most_rows(n_kernels):
    return int(np.sqrt(_KERNELS / n_kernels))


def evidence_rows(target, rng):
    """Rows to find the parts of columns on, and random ones of the others, to judge them by."""
    rows = rng.permutation(np.flatnonzero(target.weight > 0))
    n_first = _n_evidence(len(rows))
    judged, others = np.split(rows, [min(len(rows) - n_first, _JUDGED_ROWS)])
    return target.telling_rows(others, n_first), judged


def look_at(table, rows, rng, stop=None):
    """The parts of the columns by the evidence of few of some rows: -> Roughness"""
    rows = rng.permutation(rows)[:_LOOK_ROWS]
    return parts_of(table, rows, rng, stop, stages=_LOOK, degree=_LOOK_DEGREE)


def parts_of(table, rows, rng, stop=None, known=None, stages=STAGES, degree=_MAX_DEGREE):
    """The parts of the columns by the evidence of some rows.

    known : Roughness to begin at, stages : as of :func:`relevances`, degree : the largest
    -> Roughness
    """
    model, target = table.model, table.target
    sites = _waves(table, rows, degree, np.float32)
    loss, numbers = target.loss(np.float32)
    weight = target.weight[rows].astype(np.float32)
    equal = ChainProblem(sites.basis, sites.coords, loss, numbers[rows], weight, None)
    equal = penalised(model, equal, 1.0)
    parts, kept = rough_parts(sites.basis, model.smoothness), sites.columns.kept
    near = None if known is None else known.factors[kept]
    found = relevances(
        equal, rng, stages, parts, max_rows=_most_rows(2 * len(kept)), known=near, stop=stop
    )
    relevance = found.factors.sum(axis=1)
    shares = found.factors / relevance[:, None]
    basis = with_spectra(sites.basis, model.smoothness, shares)
    largest = telling_degrees(basis, model.smoothness, relevance)
    # Columns that are constant in those rows are as they were.
    n_columns = sites.columns.n_columns
    one, smooth = np.ones(n_columns), np.tile([1.0, 0.0], (n_columns, 1))
    every = Roughness(one, smooth, one.copy(), decisive=found.decisive)
    every.relevance[kept], every.shares[kept], every.largest[kept] = relevance, shares, largest
    return every


def _waves(table, rows, degree, dtype):
    return make_sites(
        table.reading.X[rows],
        table.target.weight[rows],
        table.reading.is_nominal,
        embedding=_EMBEDDING,
        degree=degree,
        scaling=_SCALING,
        missing=table.missing,
        dtype=dtype,
    )


@dataclass(frozen=True)
class _Judge:
    """What priors are compared by: the losses of the same rows, held out. Those of several classes
    are squares of a ridge regression, whose closed form serves all scores at once.

    table : Table
    columns : of the smooth prior, part : its problem on these rows
    rows (N,) of the table, folds (N,), landmarks: indices of these rows
    """

    table: Table
    columns: object
    part: ChainProblem
    rows: np.ndarray
    folds: np.ndarray
    landmarks: np.ndarray

    def losses(self, problem, strengths):
        """At the best of some strengths, which that is, None of several classes: (m,), ()"""
        if _several_classes(problem):
            return look_losses(look([problem], self.folds, self.landmarks))[self.judged], None
        return self.searched(problem, strengths)

    def searched(self, problem, strengths):
        """As `losses`, whatever there are: those that the model minimises."""
        design = convex.make_design(problem, self.landmarks)
        scores, means = convex.search(design, problem, self.folds, strengths)
        best, judged = int(np.argmin(means)), problem.take(self.judged)
        losses = judged.loss.values(scores[best][self.judged], judged.target)
        return losses.astype(np.float64), float(strengths[best])

    def best(self, found, powers=POWERS, told=None):
        """The losses, as told, under the best power of what was found, and that: as `losses`"""
        model, columns, part = self.table.model, self.columns, self.part
        if isinstance(found, Roughness):
            sites = found.sites(self.table, np.float32, self.rows)
            columns, part = sites.columns, replace(part, basis=sites.basis, coords=sites.coords)
        equal, tries = penalised(model, part, 1.0), []
        for power in powers:
            shrunk = found.shrunk(power)
            own = penalised(model, part, shrunk.relevance[columns.kept])
            strengths = np.multiply(model._alphas, prior_unit(own, equal))
            losses, alpha = (told or self.losses)(own, strengths)
            tries.append((losses, shrunk._replace(alpha=alpha)))
        return min(tries, key=lambda one: self.mean(one[0]))

    def better(self, found, equal):
        """The losses under the best power of what was found, and that (of several classes as it was
        found), in a list: empty where equal relevances are not worse by a standard error"""
        losses, best = self.best(found)
        mean, error = gain(equal, losses, self.share)
        return [(losses, best if best.alpha is not None else found)] if mean > error else []

    def mean(self, losses):
        return float(self.share @ losses)

    @cached_property
    def judged(self):
        return np.flatnonzero(self.folds >= 0)

    @cached_property
    def share(self):
        weight = self.part.weight[self.judged].astype(np.float64)
        return weight / weight.sum()
