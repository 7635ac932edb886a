"""TnALE: alternating local enumeration of one structural variable at a time.

C. Li, J. Zeng, C. Li, C. Caiafa, Q. Zhao, "Alternating local enumeration (TnALE): solving tensor
network structure search with fewer evaluations", ICML 2023.
"""

import numpy as np

from sktn.structure.comparisons.genetic import random_matrix
from sktn.structure.evaluate import padded

__all__ = ["search"]


def search(evaluator, *, rounds=4, reach=2, max_rank=6):
    """For each bond in turn, there and back, try ranks within ``reach``; then every swap of modes.

    Candidates start from the solution beside them: they differ in one bond.

    -> cores
    """
    rng, order = evaluator.rng, evaluator.order
    R = np.minimum(random_matrix(order, max_rank, rng), evaluator.capacity)
    value, fit = evaluator(R)
    bonds = [(i, j) for i in range(order) for j in range(i + 1, order)]
    for _ in range(rounds):
        before = value
        for i, j in bonds + bonds[-2::-1]:
            center, most = R[i, j], evaluator.capacity[i, j]
            for rank in range(max(1, center - reach), min(center + reach, most) + 1):
                if rank == center:
                    continue
                if evaluator.expired():
                    return evaluator.cores
                candidate = R.copy()
                candidate[i, j] = candidate[j, i] = rank
                start = padded(fit.cores, candidate, rng) if fit.cores else None
                trial, solution = evaluator(candidate, start)
                if trial < value:
                    R, value, fit = candidate, trial, solution
        for i, j in bonds:
            if evaluator.expired():
                return evaluator.cores
            swap = np.arange(order)
            swap[[i, j]] = j, i
            candidate = R[np.ix_(swap, swap)]
            trial, solution = evaluator(candidate)
            if trial < value:
                R, value, fit = candidate, trial, solution
        if not value < before:
            break
    return evaluator.cores
