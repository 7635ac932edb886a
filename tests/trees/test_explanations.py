"""Explanations of trees: those of a chain that says the same, and words where there are none."""

import numpy as np
import pytest
from sklearn.datasets import load_diabetes, load_iris

from sktn import MPSClassifier, MPSRegressor, TTNClassifier, TTNRegressor, inspection
from sktn.display import MarginalEffectDisplay

PARAMS = {"bond_dim": 24, "degree": 2, "alpha": 0.1, "random_state": 0}
# Of which no chain has the shape.
TREE = (((0, 3), (2, 5)), (4, 1))


@pytest.fixture(scope="module")
def regressors():
    X, y = load_diabetes(return_X_y=True)
    X, y = X[:150, :6], y[:150]
    return X, TTNRegressor(**PARAMS, topology=TREE).fit(X, y), MPSRegressor(**PARAMS).fit(X, y)


def test_shapley_values_add_up_to_the_score(regressors):
    X, tree, chain = regressors
    found, expected = (inspection.shapley_values(model, X[:9]) for model in (tree, chain))
    np.testing.assert_allclose(found.base_values + found.values.sum(axis=1), tree.predict(X[:9]))
    scale = np.abs(expected.values).max()
    np.testing.assert_allclose(found.values, expected.values, atol=0.02 * scale)


def test_variance_shares_and_importances(regressors):
    _, tree, chain = regressors
    found, expected = (
        inspection.variance_shares(model, subsets=[(0, 1, 2)]) for model in (tree, chain)
    )
    for name in ("first_order", "total", "pairs", "by_order", "subsets"):
        np.testing.assert_allclose(found[name], expected[name], atol=0.01)
    np.testing.assert_allclose(found.by_order.sum(), 1)
    np.testing.assert_allclose(tree.feature_importances_, found.total)
    np.testing.assert_allclose(inspection.feature_importances(tree), found.total)


def test_marginal_effects(regressors):
    X, tree, chain = regressors
    for features in (0, [1, 2]):
        found, expected = (inspection.marginal_effect(m, X, features) for m in (tree, chain))
        spread = np.ptp(expected.average)
        np.testing.assert_allclose(found.average, expected.average, atol=0.05 * spread)
        np.testing.assert_allclose(found.mean, expected.mean, rtol=1e-3)


def test_interactions_of_a_model(regressors):
    X, tree, chain = regressors
    for background in (None, X[:3]):
        found, expected = (
            inspection.interactions(model, X[:5], index="faithful", background=background)
            for model in (tree, chain)
        )
        total = found.base_values + found.values.sum(axis=1)
        np.testing.assert_allclose(total, tree.predict(X[:5]))
        assert found.subsets == expected.subsets
        scale = np.abs(expected.values).max()
        np.testing.assert_allclose(found.values, expected.values, atol=0.05 * scale)
    single = inspection.interactions(tree, X[:5], order=1)
    np.testing.assert_allclose(single.values, inspection.shapley_values(tree, X[:5]).values)


def test_tensors_are_explained_entry_by_entry(regressors):
    X, y = regressors[0].reshape(-1, 2, 3), regressors[0][:, 0]
    model = TTNRegressor(**PARAMS, topology="grid", max_iter=0).fit(X, y)
    flat = X.reshape(len(X), -1)
    np.testing.assert_array_equal(inspection.shapley_values(model, X[:3]).data, flat[:3])
    for density in (False, True):
        found, expected = (
            MarginalEffectDisplay.from_estimator(model, rows, 0, density=density).effect.average
            for rows in (X, flat)
        )
        np.testing.assert_array_equal(found, expected)
    with pytest.raises(ValueError, match="fitted to tensors"):
        inspection.shapley_values(model, X.swapaxes(1, 2))


def test_columns_without_a_site_interact_with_none(regressors):
    X = regressors[0].copy()
    X[:, 1] = 2.0
    model = TTNRegressor(**PARAMS, topology=TREE, max_iter=0).fit(X, X[:, 0] * X[:, 2])
    found = inspection.interactions(model, X[:3])
    assert (found.of(0, 1) == 0).all()
    assert (found.of(0, 2) != 0).all()


def test_scores_of_several_classes():
    X, y = load_iris(return_X_y=True)
    tree, chain = (kind(**PARAMS).fit(X, y) for kind in (TTNClassifier, MPSClassifier))
    found, expected = (inspection.shapley_values(model, X[:5]) for model in (tree, chain))
    np.testing.assert_allclose(found.values, expected.values, atol=0.2)
    total = found.base_values + found.values.sum(axis=1)
    np.testing.assert_allclose(total, tree.decision_function(X[:5]), rtol=1e-6)


@pytest.mark.parametrize(
    "read",
    [
        lambda model, X: inspection.bond_entropy(model),
        lambda model, X: inspection.truncate(model, bond_dim=2),
        lambda model, X: inspection.prune(model, X),
        lambda model, X: inspection.input_gradient(model, X),
    ],
)
def test_readings_of_chains_alone_say_so(regressors, read):
    X, tree, _ = regressors
    with pytest.raises(ValueError, match="is a tree, and this reading is one of chains"):
        read(tree, X)
