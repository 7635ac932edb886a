"""MPSRegressor and MPSRegressorCV as a user of scikit-learn meets them."""

import copy
import pickle

import joblib
import numpy as np
import pandas as pd
import pytest
from sklearn.base import clone
from sklearn.datasets import make_friedman1
from sklearn.exceptions import ConvergenceWarning
from sklearn.metrics import d2_pinball_score, r2_score
from sklearn.model_selection import GridSearchCV, cross_val_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from sktn import MPSRegressor, MPSRegressorCV
from sktn.chains.solvers import LBFGS, Adam, Sweep, split_rows
from sktn.losses import Huber, Quantile

X, Y = make_friedman1(n_samples=260, n_features=6, noise=0.3, random_state=0)
TRAIN, TEST = slice(0, 200), slice(200, None)
FAST = {"bond_dim": 8, "degree": 4, "alpha": 0.03, "random_state": 0}
FAST_CV = {
    "bases": [("standard", 2), ("quantile", 4)],
    "alphas": [1.0, 0.1, 0.01],
    "interaction_penalties": [1.0],
    "smoothnesses": [1.0],
    "random_state": 0,
}


@pytest.mark.parametrize("loss", ["squared_error", "absolute_error", "huber", "poisson", "gamma"])
def test_every_loss_learns(loss):
    model = MPSRegressor(**FAST, loss=loss).fit(X[TRAIN], Y[TRAIN])
    assert model.score(X[TEST], Y[TEST]) > 0.9
    assert np.all(np.isfinite(model.loss_curve_))


@pytest.mark.parametrize(
    "params",
    [
        {"solver": Adam(init="constant", max_iter=150, learning_rate=0.05)},
        pytest.param(
            {"solver": LBFGS(init="constant", max_iter=200)}, marks=pytest.mark.slow, id="LBFGS"
        ),
        {"solver": "convex"},
        {"solver": Sweep(truncation_tol=0.05)},
    ],
    ids=lambda params: str(params["solver"])[:5],
)
@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
def test_every_solver_learns(params):
    model = MPSRegressor(**{**FAST, **params}).fit(X[TRAIN], Y[TRAIN])
    assert model.score(X[TEST], Y[TEST]) > 0.85


@pytest.mark.parametrize("quantile", [0.1, 0.9])
def test_quantiles_cover_their_share(quantile):
    rng = np.random.default_rng(0)
    x = rng.uniform(-1, 1, (900, 1))
    y = np.sin(2 * x[:, 0]) + (1 + x[:, 0]) * rng.exponential(size=900)
    model = MPSRegressor(loss=Quantile(quantile), random_state=0).fit(x, y)
    assert np.mean(y <= model.predict(x)) == pytest.approx(quantile, abs=0.03)
    assert d2_pinball_score(y, model.predict(x), alpha=quantile) > 0


def test_outliers_do_not_move_the_robust_losses():
    rng = np.random.default_rng(0)
    x = rng.normal(size=(400, 2))
    truth = x[:, 0] + x[:, 0] * x[:, 1]
    y = truth + 0.1 * rng.normal(size=400)
    y[::20] += 100

    def error(loss):
        model = MPSRegressor(loss=loss, random_state=0).fit(x, y)
        return np.sqrt(np.mean((model.predict(x) - truth) ** 2))

    errors = {loss: error(loss) for loss in ("squared_error", "huber", "absolute_error")}
    assert errors["huber"] < 0.15
    assert errors["absolute_error"] < 0.15
    assert errors["squared_error"] > 1


def test_poisson_predicts_positive_means():
    rng = np.random.default_rng(0)
    x = rng.normal(size=(500, 2))
    counts = rng.poisson(np.exp(1 + x[:, 0]))
    model = MPSRegressor(loss="poisson", random_state=0).fit(x, counts)
    predicted = model.predict(x)
    assert predicted.min() > 0
    assert predicted.mean() == pytest.approx(counts.mean(), rel=0.02)
    assert np.corrcoef(np.log(predicted), x[:, 0])[0, 1] > 0.98


def test_several_targets_share_a_chain():
    both = np.c_[Y, 1000 * X[:, 0]]
    model = MPSRegressor(**FAST).fit(X[TRAIN], both[TRAIN])
    predicted = model.predict(X[TEST])
    assert predicted.shape == (60, 2)
    assert model.score(X[TEST], both[TEST]) > 0.9
    assert model.n_outputs_ == 2
    with pytest.raises(ValueError, match="2 outputs"):
        MPSRegressor(**FAST).fit(X[TRAIN], Y[TRAIN]).partial_fit(X, both)


@pytest.mark.parametrize("factor", [1e-6, 1e6])
def test_units_of_the_target_do_not_matter(factor):
    base = MPSRegressor(**FAST).fit(X[TRAIN], Y[TRAIN]).predict(X[TEST])
    other = MPSRegressor(**FAST).fit(X[TRAIN], factor * Y[TRAIN] + 5 * factor).predict(X[TEST])
    np.testing.assert_allclose(other / factor - 5, base, rtol=1e-5)


def test_a_constant_target_is_predicted():
    model = MPSRegressor(**FAST).fit(X, np.full(len(X), 0.1))
    np.testing.assert_allclose(model.predict(X), 0.1, rtol=1e-6)


def test_weights_are_repetitions():
    weight = np.random.default_rng(0).integers(0, 3, 200).astype(float)
    rows = np.repeat(np.arange(200), weight.astype(int))
    exact = {**FAST, "solver": Sweep(tol=1e-10, max_iter=3), "feature_order": "given"}
    for loss in ("squared_error", "absolute_error"):
        weighted = MPSRegressor(**exact, loss=loss).fit(X[TRAIN], Y[TRAIN], sample_weight=weight)
        repeated = MPSRegressor(**exact, loss=loss).fit(X[rows], Y[rows])
        np.testing.assert_allclose(weighted.predict(X[TEST]), repeated.predict(X[TEST]), rtol=1e-4)


@pytest.mark.parametrize("loss", ["squared_error", pytest.param("huber", marks=pytest.mark.slow)])
def test_partial_fit_goes_on(loss):
    model = MPSRegressor(
        **FAST, loss=loss, solver=Adam(init="constant", batch_size=20, learning_rate=0.03)
    )
    first = None
    for _ in range(40):
        model.partial_fit(X[TRAIN], Y[TRAIN])
        first = first or model.score(X[TEST], Y[TEST])
    assert model.score(X[TEST], Y[TEST]) > max(first, 0.8)


def test_partial_fit_refuses_another_loss():
    model = MPSRegressor(**FAST).fit(X[TRAIN], Y[TRAIN]).set_params(loss=Quantile(0.9))
    with pytest.raises(ValueError, match=r"loss was 'squared_error' .* Call fit to begin anew"):
        model.partial_fit(X[TRAIN], Y[TRAIN])


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
def test_early_stopping_scores_held_out_rows():
    solver = Adam(init="constant", early_stopping=True, validation_fraction=0.2, max_iter=60)
    # A look at the columns would draw before the rows are split.
    model = MPSRegressor(**FAST, scaling="quantile", solver=solver).fit(X, Y)
    _, rows = split_rows(len(X), 0.2, None, np.random.RandomState(0))
    assert model.validation_score_ == pytest.approx(model.score(X[rows], Y[rows]), abs=1e-6)
    assert MPSRegressor(**FAST).fit(X, Y).validation_score_ is None


@pytest.mark.parametrize("loss", ["squared_error", "poisson"])
def test_an_ensemble_averages_the_predictions_of_its_networks(loss):
    params = FAST | {"bond_dim": 2}
    model = MPSRegressor(**params, loss=loss, solver="convex", n_estimators=3).fit(X, Y)
    parts = []
    for network in model.networks_:
        one = copy.copy(model)
        one.networks_ = [network]
        parts.append(one.predict(X))
    assert min(np.abs(parts[0] - part).max() for part in parts[1:]) > 1e-2
    # Of means, not of their logarithms.
    np.testing.assert_allclose(model.predict(X), np.mean(parts, axis=0), rtol=1e-9)


def test_frames_pipelines_and_searches():
    # Of its own: before pandas 3, gaps in the frame were gaps in X.
    frame = pd.DataFrame(X.copy(), columns=list("abcdef"))
    frame["g"] = pd.Categorical(np.where(X[:, 0] > 0.5, "high", "low"))
    frame.loc[::7, "b"] = np.nan
    model = MPSRegressor(**FAST).fit(frame, Y)
    assert list(model.feature_names_in_) == [*"abcdefg"]
    assert model.score(frame, Y) > 0.8
    assert len(model.get_feature_names_out()) == model.transform(frame).shape[1]
    grid = GridSearchCV(
        make_pipeline(StandardScaler(), MPSRegressor(**FAST)),
        {"mpsregressor__alpha": [0.01, 10.0]},
        cv=2,
    )
    assert grid.fit(X, Y).best_params_ == {"mpsregressor__alpha": 0.01}
    assert cross_val_score(MPSRegressor(**FAST), X, Y, cv=2).min() > 0.8


def test_models_survive_pickle_and_hold_numpy_only(tmp_path):
    model = MPSRegressor(**FAST, solver=Adam(init="constant", max_iter=2))
    with pytest.warns(ConvergenceWarning):
        model.fit(X[TRAIN], Y[TRAIN])
    joblib.dump(model, tmp_path / "model")
    for again in (pickle.loads(pickle.dumps(model)), joblib.load(tmp_path / "model")):
        np.testing.assert_array_equal(again.predict(X), model.predict(X))
    assert b"jaxlib" not in pickle.dumps(model)


@pytest.mark.parametrize(
    ("params", "y", "message"),
    [
        ({"loss": "poisson"}, -Y, "non-negative targets"),
        ({"loss": "poisson"}, 0 * Y, "positive mean"),
        ({"loss": "absolute"}, Y, "loss"),
        ({"loss": Quantile(1.0)}, Y, "quantile between 0 and 1"),
        ({"loss": Quantile("0.5")}, Y, "quantile between 0 and 1, got '0.5'"),
        ({"loss": Huber(0.0)}, Y, "positive epsilon"),
        ({"loss": Huber("1")}, Y, "positive epsilon, got '1'"),
        ({}, np.where(Y > 20, np.nan, Y), "NaN"),
        ({}, np.where(Y > 20, np.inf, Y), "infinity"),
    ],
)
def test_bad_input_is_named(params, y, message):
    with pytest.raises(ValueError, match=message):
        MPSRegressor(**{**FAST, **params}).fit(X, y)


def test_cv_chooses_and_averages():
    model = MPSRegressorCV(**FAST_CV, bond_dims=(3, 12), max_members=3).fit(X[TRAIN], Y[TRAIN])
    assert model.score(X[TEST], Y[TEST]) > 0.95
    assert np.isclose(model.weights_.sum(), 1)
    assert len(model.estimators_) <= 3
    assert set(model.cv_results_["param_bond_dim"]) == {3, 12}
    assert model.ensemble_score_ >= model.best_score_ - 1e-6
    best = np.argmax(model.cv_results_["mean_test_neg_loss"])
    assert model.cv_results_["rank_test_score"][best] == 1
    for name, value in model.best_params_.items():
        assert model.cv_results_[f"param_{name}"][best] == value
    expected = sum(
        w * member.predict(X) for w, member in zip(model.weights_, model.estimators_, strict=True)
    )
    np.testing.assert_allclose(model.predict(X), expected, rtol=1e-5)


def test_cv_takes_the_restriction_that_fits():
    # A product over the columns has bond dimension 1 at every cut.
    rng = np.random.default_rng(0)
    x = rng.normal(size=(400, 6))
    y = np.prod(1 + 0.7 * x, axis=1)
    params = FAST_CV | {"bases": [("standard", 1)], "alphas": [0.1, 0.01, 0.001]}
    model = MPSRegressorCV(**params, bond_dims=(2, 24), max_members=1).fit(x[:200], y[:200])
    assert model.best_params_["bond_dim"] == 2
    wide = clone(model).set_params(bond_dims=(24,)).fit(x[:200], y[:200])
    assert model.score(x[200:], y[200:]) > wide.score(x[200:], y[200:])


@pytest.mark.parametrize("loss", ["poisson", Huber(2.0), Quantile(0.4)])
def test_cv_of_other_losses(loss):
    params = {**FAST_CV, "bases": [("standard", 2)], "alphas": [0.1, 0.01]}
    model = MPSRegressorCV(**params, loss=loss, bond_dims=(3, 8))
    assert model.fit(X[TRAIN], Y[TRAIN]).score(X[TEST], Y[TEST]) > 0.9


@pytest.mark.parametrize(
    ("params", "message"),
    [
        ({"bond_dims": []}, "bond_dims is empty"),
        ({"bond_dims": [0]}, "positive integers"),
        ({"alphas": [-1.0]}, "non-negative"),
    ],
)
def test_cv_names_bad_grids(params, message):
    with pytest.raises(ValueError, match=message):
        MPSRegressorCV(**params).fit(X, Y)


@pytest.mark.parametrize("loss", ["squared_error", "absolute_error", "huber"])
@pytest.mark.parametrize("size", [1e-300, 1e-200, 1e200, 5e307])
def test_targets_of_any_size_are_fitted_alike(rng, loss, size):
    X = rng.normal(size=(60, 2))
    y = X[:, 0] + 0.1 * rng.normal(size=60)
    options = {"loss": loss, "alpha": 0.1, "degree": 2, "solver": "convex", "random_state": 0}
    wanted = MPSRegressor(**options).fit(X, y).predict(X)
    found = MPSRegressor(**options).fit(X, y * size).predict(X)
    np.testing.assert_allclose(found / size, wanted, atol=1e-4)
    # Next to the smallest number there are few digits left, but no division by zero.
    assert np.isfinite(MPSRegressor(**options).fit(X, np.sign(y) * 5e-324).predict(X)).all()


def test_one_target_far_out_moves_no_robust_fit(rng):
    X = rng.normal(size=(80, 2))
    y = X[:, 0] + 0.1 * rng.normal(size=80)
    out = y.copy()
    out[0] = 1e300
    for loss in ("absolute_error", "huber"):
        model = MPSRegressor(loss=loss, alpha=0.1, degree=2, solver="convex", random_state=0)
        assert r2_score(y[1:], model.fit(X, out).predict(X[1:])) > 0.9


@pytest.mark.parametrize("d", [1, 3])
@pytest.mark.parametrize("solver", ["convex", "sweep"])
def test_a_column_of_one_value_and_gaps_leaves_the_mean(rng, solver, d):
    """A kernel of zeros has no landmark that says anything."""
    X = np.where(rng.random((20, d)) < 0.3, np.nan, 0.0)
    X[0] = 1e-300
    y = rng.normal(size=20)
    for alpha in (0.1, 1e300):
        model = MPSRegressor(alpha=alpha, degree=1, solver=solver, random_state=0).fit(X, y)
        assert np.isfinite(model.predict(X)).all()
        model.set_params(relevance=np.zeros(d)).fit(X, y)
        np.testing.assert_allclose(model.predict(X), y.mean(), atol=1e-6)


def test_an_endless_strength_leaves_the_mean(rng):
    X, y = rng.normal(size=(30, 2)), rng.normal(size=30)
    for alpha in (1e30, 1e300):
        model = MPSRegressor(alpha=alpha, solver="sweep", random_state=0).fit(X, y)
        np.testing.assert_allclose(model.predict(X), y.mean(), atol=1e-9)


def test_weights_that_are_no_numbers_are_refused(rng):
    X, y = rng.normal(size=(30, 2)), rng.normal(size=30)
    for weight in (np.full(30, "heavy"), [None] * 30, [[1, 2]] * 29 + [[1]]):
        with pytest.raises(ValueError, match="sample_weight"):
            MPSRegressor().fit(X, y, sample_weight=weight)


def test_a_spread_beyond_the_floats_scales_targets_all_the_same():
    y = np.tile([-1.0, 1.0], 20) * np.finfo(float).max
    X = np.arange(40.0)[:, None]
    model = MPSRegressor(loss="absolute_error", degree=1, alpha=1.0, random_state=0).fit(X, y)
    assert np.isfinite(model.target_scale_).all()
    assert np.isfinite(model.predict(X)).all()
