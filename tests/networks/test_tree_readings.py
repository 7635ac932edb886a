"""Readings of trees against their dense tensors, by enumeration."""

from itertools import combinations
from math import factorial

import numpy as np
import pytest
from test_tree import random_tree

from sktn.networks import tree
from sktn.networks import tree_readings as readings


@pytest.fixture(params=[1, 2, 5])
def scalar(request, rng):
    return readings.scalar_tree(random_tree(rng, request.param, c=3), 1)


def coefficients(network):
    """Squared coefficients, and for each the set of sites that vary: (d^n,), (d^n, n)"""
    dense = tree.to_dense(network)[..., 0]
    index = np.indices(dense.shape).reshape(dense.ndim, -1).T
    return dense.ravel() ** 2, index > 0


def test_a_scalar_tree_is_one_output_times_a_number(rng):
    network = random_tree(rng, 5, c=3)
    scalar = readings.scalar_tree(network, 2, 10.0)
    np.testing.assert_allclose(tree.to_dense(scalar)[..., 0], 10 * tree.to_dense(network)[..., 2])
    for core in (*scalar.leaves, *scalar.cores):
        flat = core.reshape(-1, core.shape[-1])
        np.testing.assert_allclose(flat.T @ flat, np.eye(flat.shape[1]), atol=1e-12)


def test_sobol_terms(scalar):
    squared, varies = coefficients(scalar)
    n = scalar.n_sites
    variance, involving = readings.total_variances(scalar)
    np.testing.assert_allclose(variance, squared[1:].sum())
    np.testing.assert_allclose(involving, [squared[varies[:, i]].sum() for i in range(n)])
    by_order = [squared[varies.sum(axis=1) == k].sum() for k in range(n + 1)]
    np.testing.assert_allclose(readings.variance_by_order(scalar), by_order, atol=1e-10)
    pairs = readings.pair_variances(scalar)
    for i in range(n):
        for j in range(n):
            own = np.isin(np.arange(n), [i, j])
            np.testing.assert_allclose(pairs[i, j], squared[(varies == own).all(axis=1)].sum())
    own = np.arange(n) < 3
    expected = squared[(varies == own).all(axis=1)].sum()
    np.testing.assert_allclose(readings.subset_variance(scalar, range(3)), expected)


def test_shapley_values_by_enumeration(scalar, rng):
    n, b = scalar.n_sites, 3
    phi, background = rng.normal(size=(b, n, 3)), rng.normal(size=(n, 3))

    def worth(players):
        mixed = np.broadcast_to(background, phi.shape).copy()
        mixed[:, list(players)] = phi[:, list(players)]
        return readings.evaluate(scalar, mixed)

    expected = np.zeros((b, n))
    for i in range(n):
        others = [j for j in range(n) if j != i]
        for k in range(n):
            share = factorial(k) * factorial(n - k - 1) / factorial(n)
            for subset in combinations(others, k):
                expected[:, i] += share * (worth((*subset, i)) - worth(subset))
    np.testing.assert_allclose(readings.shapley_values(scalar, background, phi), expected)
    by_row = np.broadcast_to(background, phi.shape)
    np.testing.assert_allclose(readings.shapley_values(scalar, by_row, phi), expected)


def test_conditional_means(scalar, rng):
    n, mean = scalar.n_sites, rng.normal(size=(scalar.n_sites, 3))
    dense = tree.to_dense(scalar)[..., 0]
    sites = list(range(min(n, 2)))[::-1]
    for i in reversed([i for i in range(n) if i not in sites]):
        dense = np.tensordot(dense, mean[i], (i, 0))
    found = readings.conditional_mean(scalar, mean, sites)
    np.testing.assert_allclose(found, dense.T)


def test_change_of_basis(scalar, rng):
    matrices, phi = rng.normal(size=(scalar.n_sites, 3, 4)), rng.normal(size=(2, scalar.n_sites, 4))
    found = readings.evaluate(readings.change_basis(scalar, matrices), phi)
    moved = np.einsum("bne,nde->bnd", phi, matrices)
    np.testing.assert_allclose(found, readings.evaluate(scalar, moved))
