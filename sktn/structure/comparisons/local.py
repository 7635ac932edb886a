"""TNLS: random local sampling in a shrinking neighbourhood of the best structure.

C. Li, J. Zeng, Z. Tao, Q. Zhao, "Permutation search of tensor network structures via local
sampling", ICML 2022.
"""

import numpy as np

from sktn.structure.comparisons.genetic import random_matrix

__all__ = ["search"]

# No bond is this wide: larger steps need not fit an integer.
_FARTHEST = 2**31


def _neighbour(R, radius, rng):
    """A random change of bonds by about ``radius``, and now and then two modes that swap places."""
    order = len(R)
    pairs = np.triu_indices(order, 1)
    change = np.clip(radius * rng.standard_normal(len(pairs[0])), -_FARTHEST, _FARTHEST)
    bonds = R[pairs] + np.rint(change).astype(int)
    result = np.ones_like(R)
    result[pairs] = np.maximum(bonds, 1)
    result = np.maximum(result, result.T)
    if rng.random() < 0.3:
        swap = np.arange(order)
        a, b = rng.choice(order, 2, replace=False)
        swap[[a, b]] = swap[[b, a]]
        result = result[np.ix_(swap, swap)]
    return result


def search(evaluator, *, iterations=20, samples=10, max_rank=6, radius=1.5, decay=0.9):
    """Sample neighbours of the best structure, move when one is better, narrow the radius.

    -> cores
    """
    rng, order = evaluator.rng, evaluator.order
    center = random_matrix(order, max_rank, rng)
    value, _ = evaluator(center)
    for _ in range(iterations):
        for _ in range(samples):
            if evaluator.expired():
                return evaluator.cores
            candidate = _neighbour(center, max(radius, 0.5), rng)
            trial, _ = evaluator(candidate)
            if trial < value:
                center, value = candidate, trial
        radius *= decay
    return evaluator.cores
