"""Interaction indices against sums over all coalitions."""

import itertools
from functools import cache
from itertools import combinations
from math import comb, factorial

import numpy as np
import pytest
from enumeration import FAST, brute_force_shapley, few_levels
from sklearn.datasets import load_iris
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from sktn import MPSClassifier, MPSRegressor, TTNRegressor
from sktn.inspection import interactions, shapley_values
from sktn.networks import chain as chains
from sktn.networks import interactions as kernel
from sktn.networks import topology, tree_interactions, tree_readings
from sktn.networks.tree import TTN


def brute_force(value, n, order, index):
    """value: frozenset -> worth (b,). All sets up to the order -> index, by its definition."""
    value, out = cache(value), {}

    def effect(S, T):
        """The discrete derivative of S at T."""
        return sum(
            (-1) ** (len(S) - k) * value(frozenset(T) | frozenset(L))
            for k in range(len(S) + 1)
            for L in combinations(S, k)
        )

    for s in range(1, order + 1):
        for S in combinations(range(n), s):
            others = [j for j in range(n) if j not in S]
            if index == "faithful":
                total = effect(S, ())
                for t in range(order + 1, n + 1):
                    share = (-1) ** (order - s) * s / (order + s) * comb(order, s)
                    share *= comb(t - 1, order) / comb(t + order - 1, order + s)
                    for T in combinations(range(n), t):
                        if set(S) <= set(T):
                            total = total + share * effect(T, ())
            elif index == "shapley-taylor" and s < order:
                total = effect(S, ())
            else:
                total = 0.0
                for k in range(len(others) + 1):
                    share = {
                        "shapley": factorial(k) * factorial(n - k - s) / factorial(n - s + 1),
                        "banzhaf": 0.5 ** (n - s),
                        "shapley-taylor": s / n / comb(n - 1, k),
                    }[index]
                    for T in combinations(others, k):
                        total = total + share * effect(S, T)
            out[S] = total
    return out


@pytest.mark.parametrize("index", kernel.INDICES)
@pytest.mark.parametrize(
    "groups",
    [
        [[0], [1], [2], [3], [4], [5], [6]],
        [[2, 3], [0, 1, 6], [4, 5]],
        [[0, 6], [1, 3], [2, 5, 4]],
        [[0, 4], [1], [2, 5], [3], [6]],
    ],
)
def test_kernel_sums_over_all_coalitions(rng, index, groups):
    chain, m = rng.normal(size=(7, 3, 2, 3)), rng.normal(size=(7, 2))
    phi = rng.normal(size=(2, 7, 2))

    def value(S):
        vectors = np.broadcast_to(m, phi.shape).copy()
        for g in S:
            vectors[:, groups[g]] = phi[:, groups[g]]
        return chains.evaluate(chain, vectors)

    matrices, numbers = kernel.players(chain, m, phi, groups)
    for order in (1, 2, 3):
        expected = brute_force(value, len(groups), order, index)
        subsets, values = kernel.interactions(
            matrices, kernel.quadrature(index, len(groups), order)
        )
        assert sum(map(len, subsets)) == len(expected)
        for sets, columns in zip(subsets, values, strict=True):
            for subset, column in zip(sets, columns.T, strict=True):
                key = tuple(sorted(numbers[j] for j in subset))
                np.testing.assert_allclose(column, expected[key], rtol=1e-8, atol=1e-8)


@pytest.fixture(scope="module")
def model():
    X, y = few_levels(np.random.default_rng(0))
    return MPSRegressor(**FAST).fit(X, y), X


def of_rows(model, explained, background, features):
    """The game of players that replace their features in background rows."""

    def value(S):
        total = 0.0
        for row in background:
            mixed = np.broadcast_to(row, explained.shape).copy()
            for g in S:
                mixed[:, features[g]] = explained[:, features[g]]
            total = total + model.predict(mixed)
        return total / len(background)

    return value


@pytest.mark.parametrize("index", kernel.INDICES)
def test_interactions_against_a_background_of_rows(model, index):
    model, X = model
    explained, background = X[:3], X[50:53]
    found = interactions(model, explained, order=3, index=index, background=background)
    value = of_rows(model, explained, background, [[j] for j in range(5)])
    expected = brute_force(value, 5, 3, index)
    assert found.subsets == list(expected)
    np.testing.assert_allclose(
        found.values, np.stack(list(expected.values()), axis=1), rtol=1e-6, atol=1e-8
    )
    np.testing.assert_allclose(found.base_values, value(frozenset()))


def test_groups_play_together(model):
    model, X = model
    explained, background = X[:3], X[50:53]
    found = interactions(
        model, explained, order=1, groups={"outer": ["x0", 4]}, background=background
    )
    assert list(found.player_names) == ["outer", "x1", "x2", "x3"]
    value = of_rows(model, explained, background, [[0, 4], [1], [2], [3]])
    np.testing.assert_allclose(found.values, brute_force_shapley(value, 4), rtol=1e-6, atol=1e-8)
    named = interactions(model, explained, groups=[["x1", "x2"]])
    assert named.player_names[1] == "x1 + x2"


@pytest.mark.parametrize("index", ["shapley-taylor", "faithful"])
def test_all_sets_together_make_the_score(index):
    X, y = load_iris(return_X_y=True)
    X = np.column_stack([X, np.ones(len(X))])
    model = make_pipeline(StandardScaler(), MPSClassifier(**FAST)).fit(X, y)
    found = interactions(model, X[::40], order=3, index=index)
    np.testing.assert_allclose(
        found.base_values + found.values.sum(axis=1), model.decision_function(X[::40])
    )
    assert found.values.shape == (4, 25, 3)
    # The constant column takes part in nothing.
    idle = [4 in subset for subset in found.subsets]
    np.testing.assert_array_equal(found.values[:, idle], 0)


def test_values_beyond_the_floats_are_the_largest_of_them():
    X = np.r_[np.zeros((40, 2)), np.eye(2), np.ones((2, 2))]
    model = MPSRegressor(alpha=1e-3, bond_dim=4, random_state=0).fit(X, X[:, 0] - X[:, 1])
    model.target_scale_ = np.full_like(model.target_scale_, 1.7e308)
    found = interactions(model, X[40:42])
    assert np.isfinite(found.values).all()
    assert np.isfinite(found.base_values).all()
    assert np.abs(found.values).max() > 1e308


def test_order_one_is_the_shapley_value(model):
    model, X = model
    for index in ("shapley", "shapley-taylor", "faithful"):
        found = interactions(model, X[:4], order=1, index=index)
        np.testing.assert_allclose(found.values, shapley_values(model, X[:4]).values, atol=1e-10)


def test_pairs_as_matrices(model):
    model, X = model
    found = interactions(model, X[:4])
    matrix = found.matrix()
    assert matrix.shape == (4, 5, 5)
    np.testing.assert_array_equal(matrix[:, 3, 1], found.of("x1", "x3"))
    np.testing.assert_array_equal(matrix[:, 1, 3], matrix[:, 3, 1])
    np.testing.assert_array_equal(matrix[:, 2, 2], found.of(2))
    with pytest.raises(ValueError, match="larger order"):
        found.of(0, 1, 2)


def test_errors_name_the_value(model):
    model, X = model
    with pytest.raises(ValueError, match="index must be one of"):
        interactions(model, X, index="owen")
    with pytest.raises(ValueError, match="order must be"):
        interactions(model, X, order=6)
    with pytest.raises(ValueError, match="one group only"):
        interactions(model, X, groups=[[0, 1], [1, 2]])
    other = str(interactions(model, X, order=1).player_names[3])
    with pytest.raises(ValueError, match="name of a feature outside"):
        interactions(model, X, groups={other: [0, 1]})
    wide = np.random.default_rng(0).normal(size=(60, 14))
    interleaved = MPSRegressor(**{**FAST, "degree": 1, "feature_order": "given"})
    interleaved.fit(wide, wide[:, 0])
    pairs = [[k, k + 6] for k in range(6)]
    assert kernel.open_groups(pairs) == 5
    interactions(interleaved, wide[:2], groups=pairs[:5])
    with pytest.raises(ValueError, match="feature_order"):
        interactions(interleaved, wide[:2], groups=[[k, 13 - k] for k in range(7)])
    with pytest.raises(ValueError, match="has no features"):
        interactions(model, X, groups={"none": []})


@pytest.mark.parametrize("index", kernel.INDICES)
@pytest.mark.parametrize(
    "groups", [[[0], [1], [2], [3], [4], [5]], [[0, 3], [1], [2, 4, 5]], [[0, 1], [2, 3, 5], [4]]]
)
def test_trees_have_sums_over_coalitions(rng, index, groups):
    """The value of a coalition is the tree with mean vectors at the sites of other players."""
    merges = topology.from_nested((((0, 3), 5), (1, (2, 4))))
    leaves = tuple(rng.normal(size=(3, 2)) for _ in range(6))
    cores = tuple(rng.normal(size=(2, 2, 2)) for _ in merges[:-1])
    tree = TTN(leaves, cores, rng.normal(size=(2, 1, 2)), merges)
    phi, mean = rng.normal(size=(4, 6, 3)), rng.normal(size=(4, 6, 3))

    def value(coalition):
        sites = [site for g in coalition for site in groups[g]]
        present = np.isin(np.arange(6), sites)[:, None]
        return tree_readings.evaluate(tree, np.where(present, phi, mean))

    for order in (1, 3):
        rule = kernel.quadrature(index, len(groups), order)
        subsets, values = tree_interactions.interactions(tree, mean, phi, groups, rule)
        expected = brute_force(value, len(groups), order, index)
        assert sorted(itertools.chain.from_iterable(subsets)) == sorted(expected)
        for sets, found in zip(subsets, values, strict=True):
            wanted = np.stack([expected[subset] for subset in sets], axis=1)
            np.testing.assert_allclose(found, wanted, atol=1e-10 * np.abs(wanted).max())


def test_groups_of_a_fitted_tree(monkeypatch):
    X, y = few_levels(np.random.default_rng(0))
    tree = TTNRegressor(topology=((0, 3), (1, (2, 4))), bond_dim=3, alpha=0.1, random_state=0)
    tree.fit(X, y)
    explained, background = X[:3], X[50:53]
    asked = {"order": 2, "groups": {"outer": [0, 4]}, "background": background}
    found = interactions(tree, explained, **asked)
    value = of_rows(tree, explained, background, [[0, 4], [1], [2], [3]])
    expected = brute_force(value, 4, 2, "shapley")
    np.testing.assert_allclose(
        found.values, np.stack(list(expected.values()), axis=1), rtol=1e-6, atol=1e-8
    )
    # In blocks of one row as together.
    monkeypatch.setattr(tree_interactions, "_BLOCK_SIZE", 1)
    np.testing.assert_allclose(interactions(tree, explained, **asked).values, found.values)
    wide = np.random.default_rng(0).normal(size=(60, 24))
    halves = (tuple(range(1, 12)), tuple(range(13, 24)))

    def joined(sites):
        return sites[0] if len(sites) == 1 else (joined(sites[:-1]), sites[-1])

    apart = TTNRegressor(
        topology=((0, joined(halves[0])), (12, joined(halves[1]))), degree=1, alpha=1.0, max_iter=0
    )
    apart.fit(wide, wide[:, 0])
    with pytest.raises(ValueError, match="12 groups meet"):
        interactions(apart, wide[:2], groups=[[k, k + 12] for k in range(12)])
