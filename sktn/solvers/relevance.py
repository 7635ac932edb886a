"""How much each column matters, before any chain is fitted: automatic relevance determination.

The penalty's kernel prod_i (1 + r_i k_i) is the covariance of a Gaussian process whose draws vary
along column i as r_i says (additive Gaussian processes: Duvenaud, Nickisch and Rasmussen, NIPS
2011). Its marginal likelihood on a few hundred rows, maximised over all r_i, the noise and the
signal at once (Rasmussen and Williams, "Gaussian Processes for Machine Learning", eq. 5.9), tells
columns that matter from the others without a grid. Labels take part as numbers, one-hot.
"""

import warnings

import numpy as np
from scipy.linalg import cho_factor, cho_solve
from scipy.optimize import minimize

# Variance of the prior of log r_i: as sure as a handful of rows that r_i is within e^3 of 1.
_PRIOR_VARIANCE = 10.0
# Beyond these a column counts for nothing, or for all.
_BOUND = np.log(1e3)
# Variance of the constant, which is free.
_CONSTANT = 10.0
# Mean variance of the prior, in units of the response's, beyond which it is not told apart.
_HOPELESS = 1e12
# Numbers that the kernels of all columns may take together (256 MB in float32).
_LARGEST = 2**26


def relevances(problem, rng, max_rows=500, max_iter=25):
    """The factors r_i of the sites under which the response is likeliest, to divide the charges of
    site i by. Where the search fails they are equal, with a warning.

    problem ChainProblem, its penalty that of equal relevances -> r (n,)
    """
    n = problem.n_sites
    rows = np.flatnonzero(np.asarray(problem.weight) > 0)
    size = min(len(rows), max_rows, max(20, int(np.sqrt(_LARGEST / n))))
    rows = rng.choice(rows, size, replace=False)
    a = np.asarray(problem.vectors(rows))[:, :, 1:].transpose(1, 0, 2)
    kernels = np.matmul(a, a.transpose(0, 2, 1)).astype(np.float32)
    y = np.asarray(problem.loss.response(problem.target[rows]), np.float64)
    y = y - y.mean(axis=0)
    scale = np.sqrt((y**2).mean())
    if not scale > 0:
        return np.ones(n)
    weight = np.asarray(problem.weight[rows], np.float64)
    start = np.zeros(n + 2)
    start[n:] = np.log([0.3, 0.5])
    bounds = [(-_BOUND, _BOUND)] * n + [(np.log(1e-4), np.log(1e3))] * 2
    try:
        found = minimize(
            _negative_log_evidence,
            start,
            (kernels, y / scale, weight.mean() / weight),
            "L-BFGS-B",
            True,
            bounds=bounds,
            options={"maxiter": max_iter},
        ).x
    except np.linalg.LinAlgError as error:
        found = np.full(n + 2, np.nan)
        reason = str(error)
    else:
        reason = "the evidence is not finite"
    if not np.isfinite(found).all():
        warnings.warn(
            f"The search for relevances failed ({reason}): all columns are charged alike, as with "
            "relevance='equal'.",
            UserWarning,
            stacklevel=2,
        )
        return np.ones(n)
    return np.exp(found[:n])


def _negative_log_evidence(parameters, kernels, y, precision):
    """-log p(y) - log p(r) and its gradient in (log r, log noise, log signal), for the covariance

        C = signal V + constant + noise / precision ,  V = prod_i (1 + r_i k_i) - 1 .

    The product is carried with the logarithm of its scale: over dozens of columns with large values
    it leaves the range of floats. A mean variance beyond `_HOPELESS` counts as that much: y has
    unit variance, and no search ends there.

    kernels (n, m, m), y (m, c), precision (m,) of the noise, relative
    """
    log_r, noise, log_signal = parameters[:-2], np.exp(parameters[-2]), parameters[-1]
    r = np.exp(log_r).astype(kernels.dtype)
    product, log_scale = np.ones(kernels.shape[1:], kernels.dtype), 0.0
    for r_i, k in zip(r, kernels, strict=True):
        product *= 1 + r_i * k
        size = float(np.abs(product).max())
        if not 1e-6 < size < 1e6:
            product /= size
            log_scale += np.log(size)
    # e^-700 is the least number that is not lost in the subtraction anyway.
    varying = product.astype(np.float64) - np.exp(-min(log_scale, 700.0))
    mean = max(float(np.mean(varying.diagonal())), np.finfo(float).tiny)
    variance = log_signal + log_scale + np.log(mean)
    hopeless = variance > np.log(_HOPELESS)
    factor_of_product = np.exp(min(variance, np.log(_HOPELESS))) / mean
    varying *= factor_of_product
    covariance = varying + _CONSTANT
    # Single precision has rounded the product.
    rounding = len(y) * np.finfo(product.dtype).eps * np.abs(varying.diagonal()).max()
    np.einsum("ii->i", covariance)[:] += noise * precision + rounding
    factor = cho_factor(covariance, overwrite_a=True)
    solved = cho_solve(factor, y)
    c = y.shape[1]
    value = 0.5 * np.vdot(y, solved) + c * np.log(np.diag(factor[0])).sum()
    inner = 0.5 * (c * cho_solve(factor, np.eye(len(y))) - solved @ solved.T)
    gradient = np.empty_like(parameters)
    along_signal = np.vdot(inner, varying)
    # d prod_j (1 + r_j k_j) / d log r_i = prod_j (1 + r_j k_j) r_i k_i / (1 + r_i k_i)
    shared = (factor_of_product * inner).astype(kernels.dtype) * product
    diagonal = product.diagonal()
    for i, k in enumerate(kernels):
        step = r[i] * k
        rest = 1 + step
        rest = np.where(np.abs(rest) < 1e-6, np.float32(1e-6), rest)
        change = step / rest
        gradient[i] = np.vdot(shared, change)
        if hopeless:
            of_mean = float(np.mean(diagonal * change.diagonal(), dtype=np.float64)) / mean
            gradient[i] -= along_signal * of_mean
    gradient[-2] = noise * (np.diag(inner) @ precision)
    gradient[-1] = 0.0 if hopeless else along_signal
    prior = log_r / _PRIOR_VARIANCE
    gradient[:-2] += prior
    return value + 0.5 * prior @ log_r, gradient
