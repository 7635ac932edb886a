"""Explanations of trees: those of a chain that says the same, and words where there are none."""

import numpy as np
import pytest
from sklearn.datasets import load_diabetes, load_iris

from sktn import MPSClassifier, MPSRegressor, TTNClassifier, TTNRegressor, inspection

PARAMS = {"bond_dim": 24, "degree": 2, "alpha": 0.1, "random_state": 0}


@pytest.fixture(scope="module")
def regressors():
    X, y = load_diabetes(return_X_y=True)
    X, y = X[:150, :4], y[:150]
    return X, TTNRegressor(**PARAMS).fit(X, y), MPSRegressor(**PARAMS).fit(X, y)


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
        lambda model, X: inspection.interactions(model, X),
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
