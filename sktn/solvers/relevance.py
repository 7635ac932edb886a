"""How much each column matters, before any chain is fitted: automatic relevance determination.

The penalty's kernel prod_i (1 + r_i k_i) is the covariance of a Gaussian process whose draws vary
along column i as r_i says (additive Gaussian processes: Duvenaud, Nickisch and Rasmussen, NIPS
2011). Its marginal likelihood on a few hundred rows, maximised over all r_i, the noise and the
signal at once (Rasmussen and Williams, "Gaussian Processes for Machine Learning", eq. 5.9), tells
columns that matter from the others without a grid. Labels take part as numbers, one-hot.
"""

import numpy as np
from scipy.linalg import cho_factor, cho_solve

from sktn.solvers import convex
from sktn.tables.basis import embed

# Variance of the prior of log r_i: as sure as a handful of rows that r_i is within e^3 of 1.
_PRIOR_VARIANCE = 10.0
# Beyond these a column counts for nothing, or for all.
_BOUND = np.log(1e3)
# Variance of the constant, which is free.
_CONSTANT = 10.0
# Numbers that the kernels of all columns may take together (256 MB in float32).
_LARGEST = 2**26


def relevances(basis, coords, g, response, weight, rng, max_rows=500, max_iter=25):
    """The factors r_i of the columns under which the response is likeliest.

    coords (N, n, k), g (n, d) charges of a penalty, response (N, c), weight (N,)
    -> r (n,), to divide the charges of column i by
    """
    from scipy.optimize import minimize

    n = len(g)
    rows = np.flatnonzero(weight > 0)
    size = min(len(rows), max_rows, max(20, int(np.sqrt(_LARGEST / n))))
    rows = rng.choice(rows, size, replace=False)
    a = convex.weighted_inputs(embed(basis, coords[rows]), g)[:, :, 1:].transpose(1, 0, 2)
    kernels = np.matmul(a, a.transpose(0, 2, 1)).astype(np.float32)
    y = response[rows].astype(np.float64)
    y = y - y.mean(axis=0)
    scale = np.sqrt((y**2).mean())
    if not scale > 0:
        return np.ones(n)
    problem = kernels, y / scale, weight[rows].mean() / weight[rows]
    start = np.zeros(n + 2)
    start[n:] = np.log([0.3, 0.5])
    bounds = [(-_BOUND, _BOUND)] * n + [(np.log(1e-4), np.log(1e3))] * 2
    found = minimize(
        _negative_log_evidence,
        start,
        problem,
        "L-BFGS-B",
        True,
        bounds=bounds,
        options={"maxiter": max_iter},
    )
    return np.exp(found.x[:n])


def _negative_log_evidence(parameters, kernels, y, precision):
    """-log p(y) - log p(r) and its gradient in (log r, log noise, log signal).

    kernels (n, m, m), y (m, c), precision (m,) of the noise, relative
    """
    log_r, noise, signal = parameters[:-2], *np.exp(parameters[-2:])
    r = np.exp(log_r).astype(kernels.dtype)
    product = np.ones(kernels.shape[1:], kernels.dtype)
    for r_i, k in zip(r, kernels, strict=True):
        product *= 1 + r_i * k
    varying = signal * (product.astype(np.float64) - 1)
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
    # d prod_j (1 + r_j k_j) / d log r_i = prod_j (1 + r_j k_j) r_i k_i / (1 + r_i k_i)
    shared = (signal * inner).astype(kernels.dtype) * product
    for i, k in enumerate(kernels):
        step = r[i] * k
        rest = 1 + step
        rest = np.where(np.abs(rest) < 1e-6, np.float32(1e-6), rest)
        gradient[i] = np.vdot(shared, step / rest)
    gradient[-2] = noise * (np.diag(inner) @ precision)
    gradient[-1] = np.vdot(inner, varying)
    prior = log_r / _PRIOR_VARIANCE
    gradient[:-2] += prior
    return value + 0.5 * prior @ log_r, gradient
