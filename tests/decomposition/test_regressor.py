"""RGTNRegressor: linear regression whose weight tensor is a network."""

import numpy as np
import pandas as pd
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from sklearn.linear_model import Ridge, RidgeCV
from sklearn.utils.estimator_checks import parametrize_with_checks

from sktn import RGTNRegressor
from sktn.networks import graph
from sktn.solvers import tensor_regression
from sktn.solvers.tensor_regression import Samples


@parametrize_with_checks(
    [RGTNRegressor(random_state=0), RGTNRegressor(random_state=0, tensor_shape=(-1, 1))]
)
def test_estimator_checks(estimator, check):
    check(estimator)


def planted(n=200, seed=0, noise=0.3):
    """A chain of two modes and one by itself: few parameters, more entries than samples."""
    rng = np.random.default_rng(seed)
    pair = rng.normal(size=(8, 2)) @ rng.normal(size=(2, 7))
    W = np.einsum("ij,k->ijk", pair, rng.normal(size=6))
    W /= np.linalg.norm(W)
    X = rng.normal(size=(n + 400, 8, 7, 6))
    y = np.einsum("bijk,ijk->b", X, W)
    return X[:n], y[:n] + noise * rng.normal(size=n), X[n:], y[n:]


def test_a_network_is_learned_from_fewer_samples_than_entries():
    X, y, X_test, y_test = planted()
    model = RGTNRegressor(random_state=0).fit(X, y)
    flat = RidgeCV(np.logspace(-2, 4, 13)).fit(X.reshape(len(X), -1), y)
    assert flat.score(X_test.reshape(len(X_test), -1), y_test) < 0.7
    assert model.score(X_test, y_test) > 0.93
    assert model.bond_dims_[0, 1] >= 2
    assert model.n_parameters_ < 100
    assert {entry["action"] for entry in model.history_} == {"ridge", "network", "strength"}
    error = np.sqrt(np.mean((model.predict(X_test) - y_test) ** 2) + 0.3**2) / y.std()
    assert model.validation_error_ == pytest.approx(error, rel=0.3)
    assert_allclose(graph.to_dense(model.cores_), model.coef_, atol=1e-10)
    expected = np.tensordot(X_test, model.coef_, 3) + model.intercept_
    assert_allclose(model.predict(X_test), expected)


def test_without_a_structure_it_is_ridge_regression():
    rng = np.random.default_rng(0)
    X, W = rng.normal(size=(120, 4, 5)) + 2, rng.normal(size=(4, 5))
    y = 7 + np.tensordot(X, W, 2) + rng.normal(size=120)
    model = RGTNRegressor(random_state=0).fit(X, y)
    flat = X.reshape(120, -1)
    unit = np.sum((flat - flat.mean(axis=0)) ** 2) / 20
    ridge = Ridge(model.alpha_ * unit).fit(flat, y)
    assert_allclose(model.coef_.ravel(), ridge.coef_)
    assert model.intercept_ == pytest.approx(ridge.intercept_)
    assert model.bond_dims_[0, 1] == 4
    # Given rows in place of tensors, and the strength that leaving rows out tells best.
    of_rows = RGTNRegressor(tensor_shape=(4, 5), random_state=0).fit(flat, y)
    assert_array_equal(of_rows.coef_, model.coef_)
    vector = RGTNRegressor().fit(flat, y)
    chosen = RidgeCV(tensor_regression._STRENGTHS * unit).fit(flat, y)
    assert vector.alpha_ * unit == pytest.approx(chosen.alpha_)
    assert_allclose(vector.coef_, chosen.coef_)


def test_several_targets_have_a_mode():
    rng = np.random.default_rng(1)
    X = rng.normal(size=(90, 6, 5))
    W = np.einsum("q,i,j->qij", [1.0, -2.0, 0.5], rng.normal(size=6), rng.normal(size=5))
    Y = np.einsum("bij,qij->bq", X, W)
    Y = (Y + 0.1 * Y.std(axis=0) * rng.normal(size=Y.shape)) * [1, 1, 1000] + [0, 5, 0]
    model = RGTNRegressor(random_state=0).fit(X[:60], Y[:60])
    assert model.score(X[60:], Y[60:]) > 0.97
    assert model.coef_.shape == (3, 6, 5)
    assert_array_equal(model.bond_dims_, np.ones((3, 3)))
    assert_allclose(model.intercept_[:2], [0, 5], atol=0.5)
    one = RGTNRegressor(random_state=0).fit(X, Y[:, :1])
    assert one.predict(X).shape == (90, 1)


def test_given_bonds_and_strength():
    X, y, X_test, y_test = planted()
    bonds = np.array([[1, 2, 1], [2, 1, 1], [1, 1, 1]])
    model = RGTNRegressor(bond_dims=bonds, alpha=0.05, random_state=0).fit(X, y)
    assert_array_equal(model.bond_dims_, bonds)
    assert model.alpha_ == 0.05
    assert model.score(X_test, y_test) > 0.96
    # No rows are held out of so few.
    few = RGTNRegressor(bond_dims=bonds, random_state=0).fit(X[:15], y[:15])
    assert few.validation_error_ is None
    with pytest.warns(UserWarning, match="is cut to that"):
        RGTNRegressor(bond_dims=[[1, 9], [9, 1]], random_state=0).fit(X[:, :, :4, 0], y)
    with pytest.raises(ValueError, match="bond_dims has shape"):
        RGTNRegressor(bond_dims=[[1, 9], [9, 1]]).fit(X, y)


@pytest.mark.parametrize("k", range(3))
def test_a_core_is_the_minimum_of_the_loss(rng, k):
    samples = Samples(rng.normal(size=(9, 3, 4)), rng.normal(size=(9, 2)))
    cores = graph.random_cores((3, 4, 2), np.array([[1, 2, 2], [2, 1, 3], [2, 3, 1]]), rng)
    cores[k] = tensor_regression._solved(samples, cores, k, 0.3)

    def loss(core):
        W = graph.to_dense([*cores[:k], core, *cores[k + 1 :]])
        return samples.errors(W).sum() + 0.3 * np.sum(W**2)

    least = loss(cores[k])
    for _ in range(5):
        step = rng.normal(size=cores[k].shape)
        slope = (loss(cores[k] + 1e-4 * step) - loss(cores[k] - 1e-4 * step)) / 2e-4
        assert abs(slope) < 1e-6 * least
        assert loss(cores[k] + 0.1 * step) > least


def test_compressed_samples_have_the_same_errors(rng):
    samples = Samples(rng.normal(size=(50, 3, 4)), rng.normal(size=(50, 2)))
    W = rng.normal(size=(3, 4, 2))
    few = samples.compressed()
    assert len(few.X) == 14
    assert_allclose(few.errors(W).sum(axis=0), samples.errors(W).sum(axis=0))
    assert few.unit == pytest.approx(samples.unit)


def test_what_it_says_of_inputs(capsys):
    X, y, *_ = planted(60)
    frame = pd.DataFrame(X[:, :2, :3, 0].reshape(60, 6), columns=list("abcdef"))
    model = RGTNRegressor(tensor_shape=(2, 3), random_state=0, verbose=True).fit(frame, y)
    assert "[RGTNRegressor]" in capsys.readouterr().out
    assert list(model.feature_names_in_) == list("abcdef")
    gaps = X.copy()
    gaps[0, 0] = np.nan
    with pytest.raises(ValueError, match="contains NaN"):
        RGTNRegressor().fit(gaps, y)
    with pytest.raises(ValueError, match="tensors of shape"):
        RGTNRegressor(random_state=0).fit(X[:, 0], y).predict(X[:, :, 0])
    single = RGTNRegressor().fit(X[:, :1, 0, 0], 3 * X[:, 0, 0, 0] + 1)
    assert_allclose(single.coef_, [3], rtol=1e-3)
    hurried = RGTNRegressor(time_limit=1e-6, random_state=0).fit(X, y)
    assert len(hurried.history_) <= 3
    assert np.isfinite(hurried.predict(X)).all()
    constant = RGTNRegressor(random_state=0).fit(X, np.full(60, 2.0))
    assert_allclose(constant.predict(X), 2.0)
    huge = RGTNRegressor(random_state=0).fit(X * 1e200, y * 1e150)
    assert_allclose(
        huge.predict(X * 1e200) / 1e150,
        RGTNRegressor(random_state=0).fit(X, y).predict(X),
        rtol=1e-6,
    )


def test_another_shape_than_that_of_tensors_is_refused(rng):
    X = rng.normal(size=(30, 4, 3))
    with pytest.raises(ValueError, match=r"not the shape of a sample of X, \(4, 3\)"):
        RGTNRegressor(tensor_shape=(3, 4)).fit(X, X[:, 0, 0])
    RGTNRegressor(tensor_shape=(4, -1)).fit(X, X[:, 0, 0])
