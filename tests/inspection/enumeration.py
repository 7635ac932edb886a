"""Tables whose product of column distributions can be enumerated, and sums over all coalitions."""

from functools import cache
from itertools import combinations, product
from math import factorial

import numpy as np

FAST = {"bond_dim": 6, "degree": 3, "alpha": 0.1, "random_state": 0}


def few_levels(rng, n_rows=400, n_columns=5, dtype=np.float64):
    """A table whose product of column distributions can be enumerated: three values a column."""
    X = rng.choice([-1.0, 0.0, 2.0], p=[0.2, 0.5, 0.3], size=(n_rows, n_columns))
    score = X[:, 0] + X[:, 1] * X[:, 2] - X[:, 3] * X[:, 4] * X[:, 0]
    return X.astype(dtype), score


def enumerated(X):
    """All rows of the product of the columns' distributions, and their probabilities."""
    values, counts = zip(*(np.unique(c, return_counts=True) for c in X.T), strict=True)
    rows = np.array(list(product(*values)))
    shares = np.array([np.prod(p) for p in product(*(c / len(X) for c in counts))])
    return rows, shares


def conditional_means(f, rows, shares, subset):
    """E[f | columns of the subset] at every row."""
    key = np.unique(rows[:, subset], axis=0, return_inverse=True)[1].ravel()
    if not subset:
        key = np.zeros(len(rows), dtype=int)
    mass = np.bincount(key, weights=shares)
    return (np.bincount(key, weights=shares * f) / mass)[key]


def brute_force_shapley(value, n):
    """value: frozenset -> worth (b,)."""
    value, out = cache(value), []
    for i in range(n):
        others = [j for j in range(n) if j != i]
        total = 0.0
        for k in range(n):
            weight = factorial(k) * factorial(n - k - 1) / factorial(n)
            for s in combinations(others, k):
                total = total + weight * (value(frozenset([*s, i])) - value(frozenset(s)))
        out.append(total)
    return np.stack(out, axis=1)
