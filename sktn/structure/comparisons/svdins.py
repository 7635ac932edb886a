"""SVDinsTN: a complete graph with a sparse diagonal factor on every edge.

    min 1/2 ||X - TN(G, S)||^2 + mu/2 sum_k ||G_k||^2 + sum_ij lambda_ij ||S_ij||_1

Y.-B. Zheng, X.-L. Zhao, J. Zeng, C. Li, Q. Zhao, H.-C. Li, T.-Z. Huang, "SVDinsTN: a tensor network
paradigm for efficient structure search from regularized modeling perspective", CVPR 2024.
"""

from math import prod

import numpy as np

from sktn.networks import graph
from sktn.solvers.als import Fit, als, squared_error
from sktn.structure.gates import bond_quadratic

__all__ = ["search"]


def _start(shape, max_rank, rng):
    order = len(shape)
    R = np.full((order, order), max_rank)
    for k, size in enumerate(shape):
        R[k] = np.minimum(R[k], size)
        R[:, k] = R[k]
    np.fill_diagonal(R, 1)
    # The tensor itself bounds what a complete graph may cost.
    while graph.n_parameters(shape, R) > prod(shape) and R.max() > 2:
        R = np.where(R.max() == R, R.max() - 1, R)
        np.fill_diagonal(R, 1)
    return R


def _shrink(X, cores, weights, mu, strength, eps=1e-3):
    """One sweep: ridge updates of all cores, then soft thresholds of the diagonals beside each."""
    order = len(cores)
    for k in range(order):
        A, B = graph.normal_equations(X, cores, k)
        width = A.shape[0]
        lhs = A + (mu + 1e-12 * np.trace(A)) * np.eye(width)
        moved = np.moveaxis(cores[k], k, 0)
        G = np.linalg.solve(lhs, B.T).T
        cores[k] = np.ascontiguousarray(np.moveaxis(G.reshape(moved.shape), 0, k))
        for j in range(order):
            if j == k or cores[k].shape[j] == 1:
                continue
            D, b = bond_quadratic(cores[k], A, B, k, j)
            # The factor is absorbed in the core: its values start at the slices' norms.
            s = np.sqrt(np.maximum(np.diag(D), 0.0))
            unit = np.where(s > 0, s, 1.0)
            D, b = D / np.outer(unit, unit), b / unit
            bound = max(np.linalg.eigvalsh(D)[-1], 1e-12)
            moved_s = s - (D @ s - b) / bound
            threshold = strength / (s / max(s.max(), 1e-300) + eps) / bound
            thin = np.maximum(moved_s - weights * threshold, 0.0)
            shape = [1] * order
            shape[j] = -1
            cores[k] = cores[k] * (thin / unit).reshape(shape)
            keep = thin > 1e-3 * max(thin.max(), 1e-300)
            if not keep.any():
                keep[np.argmax(s)] = True
            if not keep.all():
                cores[k] = np.compress(keep, cores[k], axis=j)
                cores[j] = np.compress(keep, cores[j], axis=k)
                A, B = graph.normal_equations(X, cores, k)
    return cores


def search(evaluator, *, max_rank=5, mu=1e-4, strength=1e-3, sweeps=40, tries=6):
    """Shrink a complete graph, refit without the penalties; a weaker shrinkage until the target.

    -> cores
    """
    X = evaluator.X
    best = None
    for _ in range(tries):
        R = _start(X.shape, max_rank, evaluator.rng)
        cores = graph.random_cores(X.shape, R, evaluator.rng)
        cores = als(X, cores, max_sweeps=5, give_up=False).cores
        for _ in range(sweeps):
            cores = _shrink(X, list(cores), 1.0, mu, strength)
            if evaluator.expired():
                break
        fit = als(
            X, cores, max_sweeps=2 * sweeps, tol=1e-5, target=evaluator.target**2, give_up=False
        )
        fit = Fit(fit.cores, squared_error(X, fit.cores), fit.sweeps)
        value = evaluator.fitness(graph.bond_dims(fit.cores), fit.error)
        if best is None or value < best[0]:
            best = value, fit
            evaluator.record(fit)
        if fit.error <= evaluator.target**2 or evaluator.expired():
            break
        strength *= 0.2
        max_rank += 1
    return best[1].cores
