"""How much each column matters, before any chain is fitted: automatic relevance determination.

The penalty's kernel prod_i (1 + r_i k_i) is the covariance of a Gaussian process whose draws vary
along column i as r_i says (additive Gaussian processes: Duvenaud, Nickisch and Rasmussen, NIPS
2011). Its marginal likelihood on a few hundred rows, maximised over all r_i, the noise and the
signal at once (Rasmussen and Williams, "Gaussian Processes for Machine Learning", eq. 5.9), tells
columns that matter from the others without a grid. Labels take part as numbers, one-hot.

k_i may have several parts, smooth and rough, with a factor each: prod_i (1 + sum_p r_ip k_ip).
"""

import warnings
from typing import NamedTuple

import numpy as np

from sktn.solvers.evidence import negative_log_evidence, packed
from sktn.solvers.evidence_search import BOUND, search
from sktn.solvers.few_columns import few_columns, value_of
from sktn.solvers.kernel import kernel_diagonal
from sktn.tables.penalty import n_counted

# Rows that are looked at.
MAX_ROWS = 500
#: Shares of them and iterations of the two stages of the search: an iteration costs the square of
#: the rows.
STAGES = ((0.5, 20), (1.0, 15))
#: From factors that are nearly known, fewer iterations are enough.
FROM_KNOWN = ((0.5, 10), (1.0, 10))
#: Rows a column from which factors of all columns are told from chance.
ROWS_A_COLUMN = 8
# Rows of the first stage.
FIRST_ROWS = MAX_ROWS // 2
# Numbers that the kernels of all columns may take together (256 MB in float32).
_LARGEST = 2**26


class Relevances(NamedTuple):
    """factors : (n,), to divide the charges of the sites by; (n, p) for p parts
    decisive : whether the evidence for them, over equal ones, is more than what as many free
        numbers would gain by chance
    """

    factors: np.ndarray
    decisive: bool


def relevances(problem, rng, stages=STAGES, parts=None, max_rows=MAX_ROWS, known=None, stop=None):
    """The factors of the sites under which the response is likeliest. Where the search fails they
    are equal, with a warning.

    The search begins on a part of the rows, which is enough to find the columns that matter, and
    ends on more of them.

    problem : ChainProblem, its penalty that of equal relevances
    stages : share of the rows and iterations of each
    parts : (p, n, d), default one of ones: what the prior variances of the components are
        multiplied by in each part. Sites with components of one degree have the first part only
    max_rows : rows of the second stage
    known : (n,), or (n, p) of several parts, factors near the best ones, to begin at
    stop : `stop() -> bool`, asked after every step: the search then ends where it is
    """
    parts = np.ones((1, *problem.penalty.shape)) if parts is None else parts
    wanted = _telling(problem, parts)
    n = int(wanted.sum())
    rows = rng.permutation(np.flatnonzero(np.asarray(problem.weight) > 0))
    # Equal ones: the parts of a site share its variance.
    start = -np.log(np.repeat(wanted.sum(axis=1), wanted.sum(axis=1)))
    found, decisive = np.append(start, np.log([0.3, 0.5])), False
    if known is not None:
        known = np.reshape(known, wanted.shape)[wanted]
        found[:n] = np.log(np.clip(known, np.exp(-BOUND), np.exp(BOUND)))
    for share, max_iter in stages:
        size = min(len(rows), int(share * max_rows), _most_rows(n))
        data = _data(problem, rows[:size], parts, wanted)
        if data is None:
            break
        equal = negative_log_evidence(np.append(start, found[n:]), *data)[0]
        found, value, failure = search(found, data, max_iter, stop)
        if failure:
            warnings.warn(
                f"The search for relevances failed ({failure}): all columns are charged alike, as "
                "with relevance='equal'.",
                UserWarning,
                stacklevel=2,
            )
            found, decisive = np.append(start, found[n:]), False
            break
        # Akaike, IEEE Trans. Automatic Control 19 (1974): what a number gains by chance.
        decisive = equal - value > n
        if size == len(rows) or (stop is not None and stop()):
            break
    factors = np.zeros(wanted.shape)
    factors[wanted] = np.exp(found[:n])
    return Relevances(factors[:, 0] if len(parts) == 1 else factors, bool(decisive))


def few_or_all(problem, rng, stages=STAGES, **options):
    """The relevances of all columns, or of a few of them, 0 for the others, which are told by fewer
    rows. They are looked for where there are less than eight rows a column, or too few to tell all
    from chance, and taken where the response is likelier so, what numbers gain by chance taken off.

    as of :func:`relevances`, of one part -> Relevances
    """
    weight, known, stop = np.asarray(problem.weight), options.get("known"), options.get("stop")
    n, parts, rival = problem.n_sites, np.ones((1, *problem.penalty.shape)), np.inf
    rows = rng.permutation(np.flatnonzero(weight > 0))[: min(MAX_ROWS, _most_rows(n))]
    found, sparse = None, known is not None and not np.all(known)
    if not sparse:
        found = relevances(problem, rng, stages, **options)
        enough = found.decisive and len(rows) >= ROWS_A_COLUMN * n
        if enough or (stop is not None and stop()):
            return found
    data = _data(problem, rows, parts, _telling(problem, parts))
    if data is None:
        return Relevances(np.ones(n), False)
    if not sparse and found.decisive:
        rival = value_of(found.factors, data, stop) + n
    rival = min(rival, value_of(np.ones(n), data, stop))
    few = few_columns(data, rng, known if sparse else (), rival, stop)
    factors, cost = few.factors(n), few.cost(n)
    # The interactions of fewer columns are charged less.
    factors *= n_counted(problem.basis, factors) / n_counted(problem.basis)
    fewer = Relevances(factors, bool(len(few.columns) and cost < rival))
    return fewer if sparse or fewer.decisive else found


def _most_rows(n_kernels):
    return max(20, int(np.sqrt(_LARGEST / n_kernels)))


def _telling(problem, parts):
    """The parts of every site that can be told apart: (n, p)"""
    degrees = np.asarray(problem.basis.degrees)
    several = np.array([len(np.unique(d[d > 0])) > 1 for d in degrees])
    wanted = np.repeat(several[:, None], len(parts), axis=1)
    wanted[:, 0] = True
    return wanted


def site_variances(problem):
    """The mean variance that every site gives a score by itself, alpha = 1: (n,)"""
    a = np.asarray(problem.vectors(_spaced_rows(problem)), np.float64)
    return (a[:, :, 1:] ** 2).sum(-1).mean(0)


def prior_unit(problem, equal):
    """The variance of the prior of a problem, in that of the same with equal relevances: strengths
    are tried in units of it. 1 where nothing varies."""
    units = prior_variance(problem), prior_variance(equal)
    return units[0] / units[1] if min(units) > 0 else 1.0


def prior_variance(problem):
    """The mean variance of a score before any row is seen, alpha = 1."""
    a = np.asarray(problem.vectors(_spaced_rows(problem)), np.float64)
    return float(np.mean(kernel_diagonal(a, problem.max_order)))


def _spaced_rows(problem):
    rows = np.flatnonzero(np.asarray(problem.weight) > 0)
    # The variance of a mean over so many rows tells factors of ten apart.
    return rows[np.linspace(0, len(rows) - 1, min(len(rows), 500)).astype(int)]


def _data(problem, rows, parts, wanted):
    """Kernels of the columns, response and precision of some rows; None for a constant response.

    parts (p, n, d), wanted (n, p) -> Kernels, (m, c), (m,)
    """
    y = np.asarray(problem.loss.response(problem.target), np.float64)[rows]
    y -= y.mean(axis=0)
    scale = np.sqrt((y**2).mean())
    if not scale > 0:
        return None
    a = np.asarray(problem.vectors(rows))[:, :, 1:].transpose(1, 0, 2)
    kernels = [
        [(site * parts[p, i, 1:]) @ site.T for p in np.flatnonzero(wanted[i])]
        for i, site in enumerate(a)
    ]
    weight = np.asarray(problem.weight[rows], np.float64)
    return packed(kernels, np.float32), y / scale, weight.mean() / weight
