"""Monotonic models: what is promised for all rows, and how little is changed for it."""

import numpy as np
import pytest
from scipy.optimize import minimize
from sklearn.datasets import load_iris
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from sktn import MPSClassifier, MPSClassifierCV, MPSRegressor
from sktn.chains.solvers import Convex
from sktn.inspection import limit_order, make_monotonic, monotonicity
from sktn.tables import bernstein


def pairs(**options):
    return MPSRegressor(solver=Convex(max_order=2), random_state=0, **options)


@pytest.fixture(scope="module")
def table():
    """Columns 0 and 1 matter monotonically, up to noise; 2 has gaps, 3 is categorical."""
    rng = np.random.default_rng(0)
    X = rng.normal(size=(120, 4))
    X[:, 3] = rng.integers(0, 4, len(X))
    y = np.tanh(2 * X[:, 0]) * (1 + 0.5 * X[:, 1]) - X[:, 1] + 0.2 * X[:, 3]
    X[rng.random(len(X)) < 0.1, 2] = np.nan
    return X, y + 0.7 * rng.normal(size=len(X))


def rises(answer, column, sign, n_rows=40):
    """The smallest step of an answer along a column, for any values of the others."""
    rng = np.random.default_rng(1)
    rows = 2 * rng.normal(size=(n_rows, 4))
    rows[:, 3] = rng.integers(0, 6, n_rows)
    rows[rng.random(rows.shape) < 0.1] = np.nan
    lines = np.repeat(rows[:, None], 200, axis=1)
    lines[:, :, column] = np.linspace(-6, 6, 200)
    found = answer(lines.reshape(-1, 4)).reshape(n_rows, 200)
    return (sign * np.diff(found, axis=1)).min()


@pytest.mark.parametrize("scaling", ["quantile", "standard", "minmax"])
@pytest.mark.parametrize("missing", ["marginal", "indicator"])
def test_predictions_rise_and_fall_for_all_values_of_the_others(table, scaling, missing):
    X, y = table
    model = pairs(scaling=scaling, missing=missing, categorical_features=[3]).fit(X, y)
    assert rises(model.predict, 0, 1) < -1e-3
    assert rises(model.predict, 1, -1) < -1e-3
    result = make_monotonic(model, [1, -1, 0, 0], X=X, y=y)
    assert rises(result.model.predict, 0, 1) > -1e-9
    assert rises(result.model.predict, 1, -1) > -1e-9
    assert set(result.kept) == {"x0", "x1"}
    assert all(0.1 < left < 1 for left in result.kept.values())
    assert result.score == (model.score(X, y), result.model.score(X, y))
    assert result.score[1] > result.score[0] - 0.1


def test_columns_without_a_constraint_keep_their_effects(table):
    X, y = table
    model = pairs(categorical_features=[3]).fit(X, y)
    changed = make_monotonic(model, {"x0": 1}).model
    row = np.full((9, 4), np.nan)
    for column in (1, 2):
        row[:, column] = np.linspace(-2, 2, 9)
        before, after = model.predict(row), changed.predict(row)
        np.testing.assert_allclose(after - after[0], before - before[0], atol=1e-9)
        row[:, column] = np.nan


def test_a_model_that_is_monotonic_stays_as_it_is():
    X = np.random.default_rng(0).uniform(-1, 1, size=(100, 2))
    model = pairs(degree=1, scaling="minmax").fit(X, 3 * X[:, 0] + X[:, 1])
    result = make_monotonic(model, {0: 1})
    assert result.kept == {"x0": 1.0}
    np.testing.assert_allclose(result.model.predict(X), model.predict(X), atol=1e-12)
    np.testing.assert_array_equal(
        make_monotonic(model, {}).model.predict(X), make_monotonic(model, [0, 0]).model.predict(X)
    )


def test_an_effect_of_the_wrong_direction_becomes_flat():
    X = np.random.default_rng(0).uniform(-1, 1, size=(100, 2))
    model = pairs(degree=1, scaling="minmax").fit(X, X[:, 0] + 2 * X[:, 1])
    flat = make_monotonic(model, {0: -1}).model
    lines = np.column_stack([np.linspace(-1, 1, 5), np.zeros(5)])
    assert np.ptp(flat.predict(lines)) < 1e-3


@pytest.mark.parametrize("seed", range(4))
def test_the_change_is_the_least_that_does(seed):
    rng = np.random.default_rng(seed)
    slopes, main = rng.normal(size=(7, 3)), rng.normal(size=3)
    slopes[:, 0], main[0] = 1 + np.abs(slopes[:, 0]), 0.0
    lowest, variances = -rng.random((7, 3)), np.array([0.5, 0.0, 0.1])
    lowest[:, 1] = 0
    change, factors = monotonicity._least_change(slopes, main, lowest, variances, 1e-6)
    found = minimize(
        lambda u: np.sum(u[:3] ** 2) + (1 - u[3:]) ** 2 @ variances,
        np.append(np.zeros(3), np.full(3, 0.5)),
        constraints={"type": "ineq", "fun": lambda u: slopes @ (main + u[:3]) + lowest @ u[3:]},
        bounds=[(None, None)] * 3 + [(0, 1)] * 3,
        tol=1e-12,
    )
    np.testing.assert_allclose(change, found.x[:3], atol=1e-3)
    np.testing.assert_allclose(factors[[0, 2]], found.x[[3, 5]], atol=1e-3)
    assert factors[1] == 1


def test_classes_averages_and_pipelines(table):
    X, y = table
    labels = np.where(y > 0, "yes", "no")
    member = MPSClassifier(solver=Convex(max_order=2), categorical_features=[3])
    search = MPSClassifierCV(
        estimator=member,
        bases=[("standard", 3), ("quantile", 8)],
        relevances=("equal",),
        max_members=2,
        random_state=0,
    )
    for model in (member, search, make_pipeline(StandardScaler(), member)):
        model.fit(X, labels)
        risen = make_monotonic(model, {"x1": -1}).model
        assert type(risen) is type(model)
        assert rises(lambda rows, risen=risen: risen.predict_proba(rows)[:, 1], 1, -1) > -1e-9


def test_limited_models_of_all_orders_are_taken(table):
    X, y = table
    model = MPSRegressor(random_state=0).fit(X, y)
    with pytest.raises(ValueError, match="more than two columns"):
        make_monotonic(model, {"x0": 1})
    changed = make_monotonic(limit_order(model, 2).model, {"x0": 1}).model
    assert rises(changed.predict, 0, 1) > -1e-9


def test_what_cannot_be_promised_is_refused(table):
    X, y = table
    model = pairs(categorical_features=[3]).fit(X, y)
    for constraint, message in (
        ([1, 0], "one number a column"),
        ([1, 0, 0, 2], "-1, 0 and 1"),
        ({"x3": 1}, "categorical"),
        ({"height": 1}, "no feature"),
    ):
        with pytest.raises(ValueError, match=message):
            make_monotonic(model, constraint)
    with pytest.raises(ValueError, match="X, the rows"):
        make_monotonic(model, {}, y=y)
    with pytest.raises(ValueError, match="no polynomial"):
        make_monotonic(pairs(embedding="fourier").fit(X, y), {"x0": 1})
    with pytest.raises(ValueError, match="two ways"):
        make_monotonic(pairs(scaling="mixed", degree=5).fit(X, y), {"x0": 1})
    iris = MPSClassifier(solver=Convex(max_order=2)).fit(*load_iris(return_X_y=True))
    with pytest.raises(ValueError, match="3 scores"):
        make_monotonic(iris, [1, 0, 0, 0])


@pytest.mark.parametrize("scaling", ["quantile", "standard"])
def test_bernstein_coefficients_enclose_values_and_slopes(table, scaling):
    X, y = table
    model = pairs(scaling=scaling, categorical_features=[3], degree=8).fit(X, y)
    basis = model.basis_
    z = np.linspace(*basis.embedding.domain, 3001)
    for site in (0, 1, 2):
        values = bernstein._at(basis, site, z)
        slopes = np.diff(values, axis=0) / np.diff(z)[:, None]
        for inside, hull in (
            (values, bernstein.places_of(basis, site)),
            (slopes, bernstein.slopes_of(basis, site)),
        ):
            slack = 1e-6 * np.abs(hull).max()
            assert (inside.max(axis=0) <= hull.max(axis=0) + slack).all()
            assert (inside.min(axis=0) >= hull.min(axis=0) - slack).all()
            # Not more than a fraction wider.
            assert (np.ptp(hull, axis=0) <= 1.5 * np.ptp(inside, axis=0) + slack).all()
    assert len(bernstein.places_of(basis, 3)) == 5
