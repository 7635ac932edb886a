"""Predictions with what is known of their errors."""

import pickle

import numpy as np
import pytest
from sklearn.datasets import make_friedman1

from sktn import MPSRegressor, MPSRegressorCV
from sktn.losses import Huber, Quantile
from sktn.solvers.leave_one_out import left_out_predictions

FAST_CV = {
    "bases": [("standard", 2), ("quantile", 4)],
    "alphas": [10.0, 1.0, 0.1],
    "interaction_penalties": [1.0],
    "smoothnesses": [1.0],
    "random_state": 0,
}


def uneven(n, seed):
    """Noise whose size depends on a column that the mean does not depend on."""
    rng = np.random.default_rng(seed)
    X = rng.uniform(-1, 1, (n, 3))
    noise = np.where(X[:, 2] > 0, 1.0, 0.2)
    return X, X[:, 0] * X[:, 1] + noise * rng.normal(size=n), noise


X, Y, _ = uneven(500, 0)
X_NEW, Y_NEW, NOISE = uneven(4000, 1)


@pytest.fixture(scope="module", params=["fixed", "chosen", "searched", "huber"])
def model(request):
    made = {
        "fixed": MPSRegressor(alpha=3.0, degree=4, random_state=0),
        "chosen": MPSRegressor(degree=4, random_state=0),
        "searched": MPSRegressorCV(**FAST_CV),
        "huber": MPSRegressor(loss="huber", degree=4, random_state=0),
    }
    return made[request.param].fit(X, Y)


def test_intervals_cover_and_adapt(model):
    for coverage in (0.8, 0.9, 0.95):
        low, high = model.predict_interval(X_NEW, coverage).T
        inside = (low <= Y_NEW) & (high >= Y_NEW)
        assert inside.mean() == pytest.approx(coverage, abs=0.05)
        # As much missed below as above, and in the noisy half as in the other.
        assert np.mean(low > Y_NEW) == pytest.approx((1 - coverage) / 2, abs=0.045)
        assert inside[NOISE == 1].mean() == pytest.approx(inside[NOISE < 1].mean(), abs=0.22)
    assert np.median((high - low)[NOISE == 1]) > 2.5 * np.median((high - low)[NOISE < 1])


def test_the_deviation_is_that_of_the_noise(model):
    mean, std = model.predict(X_NEW, return_std=True)
    np.testing.assert_array_equal(mean, model.predict(X_NEW))
    assert np.median(std[NOISE == 1]) == pytest.approx(1.0, rel=0.2)
    # The step of the scale is a smooth curve to the chain.
    assert 0.15 < np.median(std[NOISE < 1]) < 0.4


def test_the_scale_is_a_model_that_says_which_column_makes_unsure(model):
    assert np.argmax(model.spread_.scale.feature_importances_) == 2


def test_quantiles_do_not_cross_and_make_the_interval(model):
    q = np.linspace(0.02, 0.98, 9)
    found = model.predict_quantiles(X_NEW[:50], q)
    assert found.shape == (50, 9)
    assert np.all(np.diff(found, axis=1) > 0)
    np.testing.assert_array_equal(model.predict_quantiles(X_NEW[:50], q[2]), found[:, 2])
    interval = model.predict_interval(X_NEW[:50], 0.6)
    np.testing.assert_allclose(interval, model.predict_quantiles(X_NEW[:50], [0.2, 0.8]))


def test_what_is_kept_is_small_and_numpy(model):
    stored = pickle.dumps(model.spread_)
    assert len(stored) < 200_000
    assert b"jaxlib" not in stored
    again = pickle.loads(stored)
    np.testing.assert_array_equal(again.scales(X_NEW[:5]), model.spread_.scales(X_NEW[:5]))


@pytest.mark.parametrize("make", [MPSRegressor, MPSRegressorCV])
def test_several_targets_have_an_interval_each(make):
    params = FAST_CV if make is MPSRegressorCV else {"degree": 3, "random_state": 0}
    targets = np.stack([Y, 1000 * X[:, 0]], axis=1)
    model = make(**params).fit(X, targets)
    mean, std = model.predict(X_NEW[:7], return_std=True)
    assert mean.shape == std.shape == (7, 2)
    intervals = model.predict_interval(X_NEW[:7])
    assert intervals.shape == (7, 2, 2)
    assert np.all((intervals[..., 0] <= mean) & (mean <= intervals[..., 1]))
    # The second target has no noise; its scale is its own.
    assert std[:, 1].max() < 1000 * std[:, 0].min()
    assert model.predict_quantiles(X_NEW[:7], 0.3).shape == (7, 2)


@pytest.mark.parametrize("loss", ["poisson", "gamma"])
def test_intervals_of_counts_are_not_negative_and_grow_with_the_mean(loss):
    rng = np.random.default_rng(0)
    mean = np.exp(2 * X[:, 0])
    y = rng.poisson(mean) if loss == "poisson" else mean * rng.gamma(4, 1 / 4, len(X))
    model = MPSRegressor(loss=loss, degree=3, random_state=0).fit(X, y)
    low, high = model.predict_interval(X_NEW, 0.9).T
    assert low.min() >= 0
    wide = np.median((high - low)[X_NEW[:, 0] > 0.5])
    assert wide > 2 * np.median((high - low)[X_NEW[:, 0] < -0.5])


def test_an_asymmetric_prediction_has_quantiles_all_the_same():
    model = MPSRegressor(loss=Quantile(0.9), degree=4, random_state=0).fit(X, Y)
    share = np.mean(model.predict_quantiles(X_NEW, 0.5) >= Y_NEW)
    assert share == pytest.approx(0.5, abs=0.05)


def test_weights_are_repetitions():
    X, y = make_friedman1(90, n_features=5, noise=1, random_state=0)
    weight = np.random.default_rng(0).integers(0, 3, 90)
    rows = np.repeat(np.arange(90), weight)
    params = {"alpha": 1.0, "degree": 3, "scaling": "standard", "random_state": 0}
    weighted = MPSRegressor(**params).fit(X, y, weight)
    repeated = MPSRegressor(**params).fit(X[rows], y[rows])
    for coverage in (0.5, 0.9):
        np.testing.assert_allclose(
            weighted.predict_interval(X, coverage),
            repeated.predict_interval(X, coverage),
            atol=0.15 * y.std(),
        )


def test_a_target_without_noise_has_intervals_next_to_nothing():
    model = MPSRegressor(scaling="standard", degree=2, random_state=0).fit(X, 2 * X[:, 0])
    low, high = model.predict_interval(X_NEW).T
    assert np.max(high - low) < 0.02
    flat = MPSRegressor(random_state=0).fit(X, np.full(len(X), 3.0))
    np.testing.assert_allclose(flat.predict_interval(X_NEW[:3]), 3.0)
    np.testing.assert_allclose(flat.predict(X_NEW[:3], return_std=True)[1], 0.0, atol=1e-6)


def test_what_is_not_known_is_refused_by_name():
    model = MPSRegressor(degree=2, alpha=1.0, random_state=0)
    with pytest.raises(ValueError, match="does not know how wrong it is"):
        MPSRegressor(degree=2, alpha=1.0, time_limit=1e-9).fit(X, Y).predict(X, return_std=True)
    model.fit(X[:30], Y[:30])
    with pytest.raises(ValueError, match=r"no quantile 0\.005.*coverage up to 0\.9\d* "):
        model.predict_interval(X, 0.99)
    with pytest.raises(ValueError, match="coverage must be"):
        model.predict_interval(X, 1.0)
    with pytest.raises(ValueError, match="q must be"):
        model.predict_quantiles(X, [0.5, 90])


@pytest.mark.slow
def test_a_stream_holds_nothing_out():
    model = MPSRegressor(degree=2, alpha=1.0, random_state=0).fit(X, Y)
    with pytest.raises(ValueError, match="does not know how wrong it is"):
        model.partial_fit(X, Y).predict_interval(X)


def test_the_robust_loss_keeps_its_intervals_beside_outliers():
    y = Y.copy()
    y[::50] += 1000
    model = MPSRegressor(loss=Huber(), degree=4, random_state=0).fit(X, y)
    low, high = model.predict_interval(X_NEW, 0.9).T
    assert np.mean((low <= Y_NEW) & (high >= Y_NEW)) > 0.88


@pytest.mark.parametrize("strength", [1e-3, 1.0])
def test_left_out_predictions_are_those_of_refits(rng, strength):
    distinct, r = 20, 6
    groups = rng.integers(0, distinct, 40)
    Z = np.append(rng.normal(size=(distinct, r)), np.ones((distinct, 1)), axis=1)[groups]
    y, weight = rng.normal(size=(40, 2)), rng.integers(0, 3, 40).astype(float)
    found = left_out_predictions(Z, y, weight, np.unique(groups, return_inverse=True)[1], strength)
    ridge = strength * np.diag([1.0] * r + [0.0])
    for i in range(40):
        w = np.where(groups == groups[i], 0, weight)
        B = np.linalg.solve(Z.T @ (w[:, None] * Z) + ridge, Z.T @ (w[:, None] * y))
        np.testing.assert_allclose(found[i], Z[i] @ B, rtol=1e-3, atol=1e-4)
