"""Planted tables of any length: log-odds that are known, so that the least log-loss is, too."""

import numpy as np

# Columns that matter; the others are noise beside them.
_SMOOTH, _ROUGH = 14, 10


def columns(rng, n_rows, n_columns):
    """Columns of three kinds, of which every other one leans on the one before: float32."""
    X = rng.standard_normal((n_rows, n_columns), dtype=np.float32)
    X[:, 1::2] = 0.6 * X[:, : 2 * (n_columns // 2) : 2] + 0.8 * X[:, 1::2]
    X[:, 3::5] = np.exp(X[:, 3::5])
    X[:, 4::5] = np.arctan(X[:, 4::5])
    return X


def smooth(X, seed=0):
    """Log-odds: curves of 14 columns, and products of 10 pairs and 3 triples of them."""
    rng = np.random.default_rng(seed)
    score = np.zeros(len(X))
    curves = [_curve(X[:, j], *rng.uniform(0.5, 1.5, 2)) for j in range(_SMOOTH)]
    for curve in curves:
        score += rng.normal(0, 0.5) * curve
    for size, number in ((2, 10), (3, 3)):
        for _ in range(number):
            chosen = rng.choice(_SMOOTH, size, replace=False)
            score += rng.normal(0, 1.0) * np.prod([curves[j] for j in chosen], axis=0)
    return score


def _curve(x, frequency, phase):
    return 1.4 * np.sin(frequency * np.arctan(x.astype(np.float64)) * 2 + phase)


def rough(X, seed=0):
    """Log-odds: 40 trees of depth 3 over 10 columns, thresholds at random ranks."""
    rng = np.random.default_rng(seed)
    score = np.zeros(len(X))
    sample = np.sort(X[:: max(1, len(X) // 2000)], axis=0)
    for _ in range(40):
        leaf = np.zeros(len(X), dtype=np.int64)
        for level in range(3):
            # Another column and threshold in every node of the level.
            chosen = rng.integers(_ROUGH, size=2**level)
            at = sample[(rng.uniform(0.1, 0.9, 2**level) * len(sample)).astype(int), chosen]
            leaf = 2 * leaf + (X[np.arange(len(X)), chosen[leaf]] > at[leaf])
        score += rng.normal(0, 0.6, 8)[leaf]
    return score


def labels(score, seed=0):
    """Draws with these log-odds, and the mean log-loss of who knows them."""
    probability = 1 / (1 + np.exp(-score))
    y = (np.random.default_rng(seed).uniform(size=len(score)) < probability).astype(np.int64)
    return y, float(np.mean(np.logaddexp(0, (1 - 2 * y) * score)))
