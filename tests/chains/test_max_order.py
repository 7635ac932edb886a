"""Models whose columns interact in pairs at most, or not at all."""

import numpy as np
import pytest

from sktn import MPSClassifier, MPSClassifierCV, MPSRegressor, MPSRegressorCV
from sktn.chains.prior import charged, table_sites
from sktn.chains.solvers import Convex
from sktn.inspection import limit_order, variance_shares
from sktn.solvers.relevance import prior_variance
from sktn.tables.reading import read_fit


@pytest.fixture
def table(rng):
    X = rng.uniform(-1, 1, size=(150, 4))
    X[::9, 3] = np.nan
    return X, X[:, 0] + X[:, 1] * X[:, 2] + X[:, 0] * X[:, 1] * X[:, 2]


@pytest.mark.parametrize("max_order", [1, 2])
@pytest.mark.parametrize("n_classes", [2, 3])
def test_no_part_of_a_score_has_more_columns(table, max_order, n_classes):
    X, y = table
    labels = np.digitize(y, np.quantile(y, np.arange(1, n_classes) / n_classes))
    model = MPSClassifier(solver=Convex(max_order=max_order), degree=3, random_state=0).fit(
        X, labels
    )
    by_order = variance_shares(model).by_order
    np.testing.assert_allclose(by_order[:max_order].sum(), 1, rtol=1e-9)
    # There is nothing left to cut.
    cut = limit_order(model, max_order)
    np.testing.assert_allclose(cut.lost_share, 0, atol=1e-9)
    np.testing.assert_allclose(cut.model.predict_proba(X), model.predict_proba(X), atol=1e-6)


def test_a_large_bond_dimension_is_the_minimum_of_the_convex_problem(table):
    X, y = table
    model = MPSRegressor(
        solver=Convex(max_order=2), degree=3, alpha=0.1, bond_dim=30, random_state=0
    ).fit(X, y)
    assert model.truncation_error_ < 1e-9
    # The last loss is that of the chain, the one before that of the convex limit.
    np.testing.assert_allclose(model.loss_curve_[-1], model.loss_curve_[0], rtol=1e-6)


def test_a_refit_is_better_than_a_cut(rng):
    # Columns that depend on each other: what a cut leaves was meant to be completed by the rest.
    X = rng.normal(size=(300, 3)) + rng.normal(size=(300, 1))
    y = X[:, 0] * X[:, 1] * X[:, 2] + X[:, 0]
    cut = limit_order(MPSRegressor(degree=4, random_state=0).fit(X[:200], y[:200]), 2).model
    refit = MPSRegressor(degree=4, solver=Convex(max_order=2), random_state=0).fit(X[:200], y[:200])
    assert refit.score(X[200:], y[200:]) > cut.score(X[200:], y[200:])


def test_intervals_are_known_of_models_of_pairs(table):
    X, y = table
    model = MPSRegressor(solver=Convex(max_order=2), degree=3, random_state=0).fit(X, y)
    assert model.predict_interval(X).shape == (150, 2)
    np.testing.assert_allclose(variance_shares(model.spread_.scale).by_order[2:], 0, atol=1e-9)


@pytest.mark.parametrize("search", [MPSClassifierCV, MPSRegressorCV])
def test_a_search_has_members_of_pairs(table, search):
    X, y = table
    classifier = search is MPSClassifierCV
    member = (MPSClassifier if classifier else MPSRegressor)(solver=Convex(max_order=2))
    small = {"bases": [("quantile", 3)], "smoothnesses": [1.0], "bond_dims": (2, 12)}
    model = search(estimator=member, **small, random_state=0).fit(X, y > 0 if classifier else y)
    for one in model.estimators_:
        np.testing.assert_allclose(variance_shares(one).by_order[2:], 0, atol=1e-9)
    # Smaller bond dimensions would be found by sweeps, which have no limit.
    assert set(model.cv_results_["param_bond_dim"]) == {12}


def test_chunks_are_refused(table):
    X, y = table
    with pytest.raises(ValueError, match="partial_fit cannot keep max_order=2"):
        MPSRegressor(solver=Convex(max_order=2)).partial_fit(X, y)


@pytest.mark.parametrize("max_order", [0, 3, 1.5])
def test_orders_that_are_none(table, max_order):
    X, y = table
    with pytest.raises(ValueError, match="max_order"):
        MPSRegressor(solver=Convex(max_order=max_order)).fit(X, y)


@pytest.mark.parametrize("max_order", [1, 2])
def test_variance_of_the_prior_is_that_of_the_parts(table, max_order, rng):
    X, y = table
    model = MPSRegressor(solver=Convex(max_order=max_order), degree=3, alpha=1.0)
    reading = read_fit(model, X, y, regression=True)
    target = model._make_target(reading.y, np.ones(len(y)))
    sites = table_sites(model, reading, target, np.random.RandomState(0))
    _, problem, *_ = charged(model, sites, target, np.random.RandomState(0))
    a = problem.vectors(np.arange(len(X)))
    own = np.sum(a[:, :, 1:] ** 2, axis=2)
    expected = own.sum(axis=1)
    if max_order == 2:
        expected += sum(own[:, i] * own[:, j] for i in range(4) for j in range(i))
    np.testing.assert_allclose(prior_variance(problem), expected.mean())
