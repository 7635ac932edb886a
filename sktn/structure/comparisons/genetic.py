"""TNGA: a genetic algorithm over bond matrices.

C. Li, Z. Sun, "Evolutionary topology search for tensor network decomposition", ICML 2020.
"""

import numpy as np

__all__ = ["random_matrix", "search"]


def random_matrix(order, max_rank, rng, density=0.5):
    """A random graph with random bond dimensions."""
    upper = np.triu(rng.random((order, order)) < density, 1)
    R = np.where(upper, rng.integers(2, max(max_rank, 2) + 1, (order, order)), 1)
    return np.maximum(R, R.T)


def search(evaluator, *, population=20, generations=10, max_rank=6, mutation=0.2, elite=0.2):
    """Selection by rank, uniform crossover of bonds, mutation of single bonds; the elite survives.

    -> cores
    """
    rng, order = evaluator.rng, evaluator.order
    pool = [random_matrix(order, max_rank, rng) for _ in range(population)]
    pairs = np.triu_indices(order, 1)
    for _ in range(generations):
        scored = []
        for R in pool:
            if evaluator.expired():
                break
            scored.append((evaluator(R)[0], R))
        if len(scored) < 2 or evaluator.expired():
            break
        scored.sort(key=lambda item: item[0])
        weight = np.exp(-np.arange(len(scored)) / max(1.0, 0.25 * len(scored)))
        weight /= weight.sum()
        keep = max(1, int(elite * population))
        pool = [R for _, R in scored[:keep]]
        while len(pool) < population:
            a, b = rng.choice(len(scored), 2, p=weight)
            first, second = scored[a][1][pairs], scored[b][1][pairs]
            genes = np.where(rng.random(len(first)) < 0.5, first, second)
            change = rng.random(len(genes)) < mutation
            fresh = random_matrix(order, max_rank, rng)[pairs]
            step = np.clip(genes + rng.choice([-1, 1], len(genes)), 1, None)
            genes = np.where(change, np.where(rng.random(len(genes)) < 0.5, fresh, step), genes)
            child = np.ones((order, order), dtype=int)
            child[pairs] = genes
            pool.append(np.maximum(child, child.T))
    return evaluator.cores
