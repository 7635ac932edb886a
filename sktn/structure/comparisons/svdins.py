"""SVDinsTN: a complete graph with a sparse diagonal factor on every edge.

    min 1/2 ||X - TN(G, S)||^2 + mu/2 sum_k ||G_k||^2 + sum_ij lambda_ij ||S_ij||_1

Y.-B. Zheng, X.-L. Zhao, J. Zeng, C. Li, Q. Zhao, H.-C. Li, T.-Z. Huang, "SVDinsTN: a tensor network
paradigm for efficient structure search from regularized modeling perspective", CVPR 2024.
"""

from math import prod

import numpy as np

from sktn.networks import graph, normal
from sktn.solvers.als import Fit, als, squared_error
from sktn.structure.gates import bond_quadratic

__all__ = ["search"]


def _start(evaluator, max_rank):
    """Bond matrix of the complete graph, or of what of it can be contracted."""
    shape = evaluator.X.shape
    R = np.minimum(np.full((len(shape),) * 2, max_rank), np.minimum.outer(shape, shape))
    np.fill_diagonal(R, 1)
    # The tensor itself bounds what a complete graph may cost.
    while graph.n_parameters(shape, R) > prod(shape) and R.max() > 2:
        R = np.where(R.max() == R, R.max() - 1, R)
        np.fill_diagonal(R, 1)
    # From order nine on no machine contracts the complete graph: distant modes go without a bond.
    for distance in range(len(shape) - 1, 1, -1):
        if evaluator.affordable(R):
            break
        apart = np.subtract.outer(range(len(shape)), range(len(shape)))
        R = np.where(np.abs(apart) >= distance, 1, R)
    return R


def _shrink(X, cores, mu, strength, deadline, eps=1e-3):
    """One sweep: ridge updates of all cores, then soft thresholds of the diagonals beside each."""
    order = len(cores)
    for k in range(order):
        if deadline.expired():
            break
        A, B = normal.normal_equations(X, cores, k)
        width = A.shape[0]
        lhs = A + (mu + 1e-12 * np.trace(A)) * np.eye(width)
        moved = np.moveaxis(cores[k], k, 0)
        G = np.linalg.solve(lhs, B.T).T
        cores[k] = np.ascontiguousarray(np.moveaxis(G.reshape(moved.shape), 0, k))
        for j in range(order):
            if j == k or cores[k].shape[j] == 1 or deadline.expired():
                continue
            D, b = bond_quadratic(cores[k], A, B, k, j)
            # The factor is absorbed in the core: its values start at the slices' norms.
            s = np.sqrt(np.maximum(np.diag(D), 0.0))
            unit = np.where(s > 0, s, 1.0)
            D, b = D / np.outer(unit, unit), b / unit
            bound = max(np.linalg.eigvalsh(D)[-1], 1e-12)
            moved_s = s - (D @ s - b) / bound
            threshold = strength / (s / max(s.max(), 1e-300) + eps) / bound
            thin = np.maximum(moved_s - threshold, 0.0)
            shape = [1] * order
            shape[j] = -1
            cores[k] = cores[k] * (thin / unit).reshape(shape)
            keep = thin > 1e-3 * max(thin.max(), 1e-300)
            if not keep.any():
                keep[np.argmax(s)] = True
            if not keep.all():
                cores[k] = np.compress(keep, cores[k], axis=j)
                cores[j] = np.compress(keep, cores[j], axis=k)
                if not deadline.expired():
                    A, B = normal.normal_equations(X, cores, k)
    return cores


def search(evaluator, *, max_rank=5, mu=1e-4, strength=1e-3, sweeps=40, tries=6):
    """Shrink a complete graph, refit without the penalties; a weaker shrinkage until the target.

    -> cores
    """
    X, deadline = evaluator.X, evaluator.task.deadline
    for _ in range(tries):
        cores = graph.random_cores(X.shape, _start(evaluator, max_rank), evaluator.rng)
        cores = als(X, cores, max_sweeps=5, give_up=False, deadline=deadline).cores
        for _ in range(sweeps):
            if deadline.expired():
                break
            cores = _shrink(X, list(cores), mu, strength, deadline)
        fit = als(
            X,
            cores,
            max_sweeps=2 * sweeps,
            tol=1e-5,
            target=evaluator.budget,
            give_up=False,
            deadline=deadline,
        )
        fit = Fit(fit.cores, squared_error(X, fit.cores), fit.sweeps)
        evaluator.offer(fit)
        if fit.error <= evaluator.budget or deadline.expired():
            break
        strength *= 0.2
        max_rank += 1
    return evaluator.cores
