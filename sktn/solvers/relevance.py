"""How much each column matters, before any chain is fitted: automatic relevance determination.

The penalty's kernel prod_i (1 + r_i k_i) is the covariance of a Gaussian process whose draws vary
along column i as r_i says (additive Gaussian processes: Duvenaud, Nickisch and Rasmussen, NIPS
2011). Its marginal likelihood on a few hundred rows, maximised over all r_i, the noise and the
signal at once (Rasmussen and Williams, "Gaussian Processes for Machine Learning", eq. 5.9), tells
columns that matter from the others without a grid. Labels take part as numbers, one-hot.

k_i may have several parts, smooth and rough, with a factor each: prod_i (1 + sum_p r_ip k_ip).
"""

import warnings
from functools import lru_cache
from typing import NamedTuple

import numpy as np
from scipy.linalg import cho_solve, cholesky, get_lapack_funcs
from scipy.optimize import minimize

from sktn.solvers.convex import kernel_diagonal

# Variance of the prior of log r_i: as sure as a handful of rows that r_i is within e^3 of 1.
_PRIOR_VARIANCE = 10.0
# Beyond these a column counts for nothing, or for all.
_BOUND = np.log(1e3)
# Variance of the constant, which is free.
_CONSTANT = 10.0
# Mean variance of the prior, in units of the response's, beyond which it is not told apart.
_HOPELESS = 1e12
# Rows that are looked at.
MAX_ROWS = 500
# Shares of them and iterations of the two stages of the search: an iteration costs the square of
# the rows.
_STAGES = ((0.5, 20), (1.0, 15))
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


def relevances(problem, rng, first_stage=False, parts=None, max_rows=MAX_ROWS, known=None):
    """The factors of the sites under which the response is likeliest. Where the search fails they
    are equal, with a warning.

    The search begins on a part of the rows, which is enough to find the columns that matter, and
    ends on more of them.

    problem : ChainProblem, its penalty that of equal relevances
    first_stage : whether the search ends after its first stage
    parts : (p, n, d), default one of ones: what the prior variances of the components are
        multiplied by in each part. Sites with components of one degree have the first part only
    max_rows : rows of the second stage
    known : (n,), factors that other rows of the table gave, of one part: the first stage is left
        out
    """
    parts = np.ones((1, *problem.penalty.shape)) if parts is None else parts
    wanted = _telling(problem, parts)
    n = int(wanted.sum())
    rows = rng.permutation(np.flatnonzero(np.asarray(problem.weight) > 0))
    y = np.asarray(problem.loss.response(problem.target), np.float64)
    # Equal ones: the parts of a site share its variance.
    start = -np.log(np.repeat(wanted.sum(axis=1), wanted.sum(axis=1)))
    found, decisive = np.append(start, np.log([0.3, 0.5])), False
    if known is not None:
        found[:n] = np.log(known)
    for share, max_iter in _STAGES if known is None else _STAGES[1:]:
        size = min(len(rows), int(share * max_rows), max(20, int(np.sqrt(_LARGEST / n))))
        data = _data(problem, y, rows[:size], parts, wanted)
        if data is None:
            break
        equal = _negative_log_evidence(np.append(start, found[n:]), *data)[0]
        found, value, failure = _search(found, data, max_iter)
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
        if size == len(rows) or first_stage:
            break
    factors = np.zeros(wanted.shape)
    factors[wanted] = np.exp(found[:n])
    return Relevances(factors[:, 0] if len(parts) == 1 else factors, bool(decisive))


def _telling(problem, parts):
    """The parts of every site that can be told apart: (n, p)"""
    degrees = np.asarray(problem.basis.degrees)
    several = np.array([len(np.unique(d[d > 0])) > 1 for d in degrees])
    wanted = np.repeat(several[:, None], len(parts), axis=1)
    wanted[:, 0] = True
    return wanted


def prior_unit(problem, equal):
    """The variance of the prior of a problem, in that of the same with equal relevances: strengths
    are tried in units of it. 1 where nothing varies."""
    units = prior_variance(problem), prior_variance(equal)
    return units[0] / units[1] if min(units) > 0 else 1.0


def prior_variance(problem):
    """The mean variance of a score before any row is seen, alpha = 1."""
    rows = np.flatnonzero(np.asarray(problem.weight) > 0)
    # The variance of a mean over so many rows tells factors of ten apart.
    rows = rows[np.linspace(0, len(rows) - 1, min(len(rows), 500)).astype(int)]
    a = np.asarray(problem.vectors(rows), np.float64)
    return float(np.mean(kernel_diagonal(a, problem.max_order)))


def _data(problem, y, rows, parts, wanted):
    """Kernels of the columns, response and precision of some rows; None for a constant response.

    parts (p, n, d), wanted (n, p) -> n arrays (at most p, m (m + 1) / 2), (m, c), (m,)
    """
    y = y[rows] - y[rows].mean(axis=0)
    scale = np.sqrt((y**2).mean())
    if not scale > 0:
        return None
    a = np.asarray(problem.vectors(rows))[:, :, 1:].transpose(1, 0, 2)
    kernels = [
        packed([(site * parts[p, i, 1:]) @ site.T for p in np.flatnonzero(wanted[i])], np.float32)
        for i, site in enumerate(a)
    ]
    weight = np.asarray(problem.weight[rows], np.float64)
    return kernels, y / scale, weight.mean() / weight


def _search(start, data, max_iter):
    """-> parameters, minus the log evidence, and what failed, if anything did"""
    bounds = [(-_BOUND, _BOUND)] * (len(start) - 2) + [(np.log(1e-4), np.log(1e3))] * 2
    try:
        result = minimize(
            _negative_log_evidence,
            start,
            data,
            "L-BFGS-B",
            True,
            bounds=bounds,
            options={"maxiter": max_iter},
        )
    except np.linalg.LinAlgError as error:
        return start, np.inf, str(error)
    finite = np.isfinite(result.x).all() and np.isfinite(result.fun)
    return result.x, float(result.fun), "" if finite else "the evidence is not finite"


def _negative_log_evidence(parameters, kernels, y, precision):
    """-log p(y) - log p(r) and its gradient in (log r, log noise, log signal), for the covariance

        C = signal V + constant + noise / precision ,  V = prod_i (1 + sum_p r_ip k_ip) - 1 .

    The product is carried with the logarithm of its scale: over dozens of columns with large values
    it leaves the range of floats. A mean variance beyond `_HOPELESS` counts as that much: y has
    unit variance, and no search ends there.

    kernels n arrays (p_i, m (m + 1) / 2), lower triangles; y (m, c), precision (m,) of the noise,
    relative
    """
    log_r, noise, log_signal = parameters[:-2], np.exp(parameters[-2]), parameters[-1]
    dtype, (lower, diagonal) = kernels[0].dtype, _triangle(len(y))
    ends = np.cumsum([len(k) for k in kernels])
    factors = np.split(np.exp(log_r).astype(dtype), ends[:-1])
    product, log_scale = np.ones(kernels[0].shape[1], dtype), 0.0
    for r, k in zip(factors, kernels, strict=True):
        product *= _one_and(r, k)
        # Of a positive semi-definite matrix the diagonal has the largest.
        size = float(product[diagonal].max())
        if not 1e-6 < size < 1e6:
            product /= size
            log_scale += np.log(size)
    # e^-700 is the least number that is not lost in the subtraction anyway.
    varying = product.astype(np.float64) - np.exp(-min(log_scale, 700.0))
    mean = max(float(np.mean(varying[diagonal])), np.finfo(float).tiny)
    variance = log_signal + log_scale + np.log(mean)
    hopeless = variance > np.log(_HOPELESS)
    factor_of_product = np.exp(min(variance, np.log(_HOPELESS))) / mean
    varying *= factor_of_product
    covariance = np.zeros((len(y), len(y)))
    covariance[lower] = varying + _CONSTANT
    # Single precision has rounded the product.
    rounding = len(y) * np.finfo(dtype).eps * np.abs(varying[diagonal]).max()
    np.einsum("ii->i", covariance)[:] += noise * precision + rounding
    factor = _factor(covariance, rounding)
    solved = cho_solve((factor, True), y, check_finite=False)
    c = y.shape[1]
    value = 0.5 * np.vdot(y, solved) + c * np.log(np.diag(factor)).sum()
    (invert,) = get_lapack_funcs(("potri",), (factor,))
    inner = 0.5 * (c * invert(factor, lower=True)[0][lower] - (solved @ solved.T)[lower])
    gradient = np.empty_like(parameters)
    gradient[-2] = noise * (inner[diagonal] @ precision)
    # The other triangle has the same.
    inner *= 2
    inner[diagonal] /= 2
    along_signal = inner @ varying
    # With k_i = sum_p r_ip k_ip:
    # d prod_j (1 + k_j) / d log r_ip = prod_j (1 + k_j) r_ip k_ip / (1 + k_i)
    shared = (factor_of_product * inner).astype(dtype) * product
    for end, r, k in zip(ends, factors, kernels, strict=True):
        rest, own = _one_and(r, k), slice(end - len(k), end)
        if hopeless:
            ratio = (product[diagonal] / rest[diagonal]).astype(np.float64)
            of_mean = r * (k[:, diagonal] @ ratio) / (len(y) * mean)
        # 0 / 0, in an entry of all others' product that is left out.
        rest[rest == 0] = np.inf
        gradient[own] = r * (k @ np.divide(shared, rest, out=rest))
        if hopeless:
            gradient[own] -= along_signal * of_mean
    gradient[-1] = 0.0 if hopeless else along_signal
    prior = log_r / _PRIOR_VARIANCE
    gradient[:-2] += prior
    return value + 0.5 * prior @ log_r, gradient


def packed(matrices, dtype):
    """The lower triangles of symmetric matrices: p of (m, m) -> (p, m (m + 1) / 2)"""
    lower, _ = _triangle(len(matrices[0]))
    return np.stack([k[lower] for k in matrices]).astype(dtype)


@lru_cache(maxsize=8)
def _triangle(m):
    """Indices of the lower triangle, and where it has the diagonal."""
    rows, columns = np.tril_indices(m)
    return (rows, columns), np.flatnonzero(rows == columns)


def _one_and(r, k):
    """1 + sum_p r_p k_p: (p,), (p, T) -> (T,)"""
    combined = r[0] * k[0] if len(r) == 1 else r @ k
    combined += 1
    return combined


def _factor(covariance, rounding):
    """The lower Cholesky factor; where rounding was larger than the bound says, with ten times as
    much on the diagonal, twice at most."""
    for _ in range(2):
        try:
            return cholesky(covariance, lower=True, check_finite=False)
        except np.linalg.LinAlgError:
            rounding *= 10
            np.einsum("ii->i", covariance)[:] += rounding
    return cholesky(covariance, lower=True, check_finite=False)
