"""MPSClassifier and MPSClassifierCV as a user meets them."""

import contextlib
import copy
import io
import pickle
import re
from types import SimpleNamespace

import joblib
import numpy as np
import optax
import pandas as pd
import polars as pl
import pytest
import skops.io
from sklearn.base import clone
from sklearn.datasets import load_breast_cancer, load_iris
from sklearn.exceptions import ConvergenceWarning
from sklearn.metrics import log_loss
from sklearn.model_selection import (
    GridSearchCV,
    PredefinedSplit,
    RepeatedStratifiedKFold,
    ShuffleSplit,
    StratifiedKFold,
    TimeSeriesSplit,
)
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

import sktn.embeddings
from sktn import MPSClassifier, MPSClassifierCV, losses
from sktn.backend import n_compiled
from sktn.chains.classification import ALPHAS
from sktn.chains.solvers import LBFGS, Adam, Convex, Sweep, split_rows
from sktn.chains.solvers.exact import near_enough
from sktn.chains.target import ClassTarget

X_IRIS, Y_IRIS = load_iris(return_X_y=True)
X_BC, Y_BC = load_breast_cancer(return_X_y=True)
FAST = {"bond_dim": 4, "degree": 3, "alpha": 0.1, "random_state": 0}
# One table and one batch size: these fits share a compiled program.
ADAM = {"init": "constant", "batch_size": 25}
SOLVERS = [
    {"solver": "convex"},
    {"solver": "sweep"},
    {"solver": Adam(**ADAM, max_iter=30, n_iter_no_change=None)},
    {"solver": LBFGS(init="constant", max_iter=50)},
]


def fitted(X, y, **settings):
    return MPSClassifier(**{**FAST, **settings}).fit(X, y)


@pytest.mark.parametrize("settings", SOLVERS, ids=lambda s: str(s["solver"])[:5])
@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
def test_every_solver_learns_iris(settings):
    model = fitted(X_IRIS, Y_IRIS, **settings)
    assert model.score(X_IRIS, Y_IRIS) > 0.93
    assert model.loss_curve_[-1] < model.loss_curve_[0]
    check_precision(model, X_IRIS)


def test_one_sweep_is_enough_to_ask_for():
    model = fitted(X_IRIS, Y_IRIS, solver=Sweep(max_iter=1))
    assert len(model.loss_curve_) < len(fitted(X_IRIS, Y_IRIS, solver=Sweep(tol=0)).loss_curve_)


def check_precision(model, X):
    assert model.predict_proba(X).dtype == X.dtype
    assert model.transform(X).dtype == X.dtype
    assert all(core.dtype == X.dtype for core in model.cores_)


@pytest.mark.parametrize(
    "settings",
    # A program of its own, of ten seconds.
    [*SOLVERS[:-1], pytest.param(SOLVERS[-1], marks=pytest.mark.slow)],
    ids=lambda s: str(s["solver"])[:5],
)
@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
def test_single_precision_stays(settings):
    X = X_IRIS.astype(np.float32)
    check_precision(fitted(X, Y_IRIS, **settings), X)


def test_convex_solution_is_the_kernel_solution_when_nothing_is_cut_off():
    exact = Convex(tol=1e-8)
    narrow = fitted(X_IRIS, Y_IRIS, bond_dim=2, degree=2, solver=exact)
    wide = fitted(X_IRIS, Y_IRIS, bond_dim=16, degree=2, solver=exact)
    assert wide.truncation_error_ < 1e-6 < narrow.truncation_error_
    # Once nothing is cut off, the order of the columns and the class index's place mean nothing.
    other = fitted(
        X_IRIS, Y_IRIS, bond_dim=30, degree=2, feature_order=[3, -1, 0, 2, 1], solver=exact
    )
    np.testing.assert_allclose(
        other.predict_proba(X_IRIS), wide.predict_proba(X_IRIS), rtol=1e-3, atol=1e-4
    )


def test_string_labels_and_frames():
    names = np.array(["setosa", "versicolor", "virginica"])[Y_IRIS]
    frame = pd.DataFrame(X_IRIS, columns=["a", "b", "c", "d"])
    model = fitted(frame, names)
    assert set(model.predict(frame)) <= set(names)
    assert list(model.feature_names_in_) == ["a", "b", "c", "d"]
    again = fitted(pl.DataFrame(frame.to_dict("list")), names)
    np.testing.assert_allclose(
        again.predict_proba(X_IRIS_polars(frame)), model.predict_proba(frame)
    )


def X_IRIS_polars(frame):
    return pl.DataFrame(frame.to_dict("list"))


def test_set_output_names_the_representation():
    model = fitted(X_IRIS, Y_IRIS).set_output(transform="pandas")
    out = model.transform(X_IRIS)
    assert list(out.columns) == list(model.get_feature_names_out())
    assert out.shape == (150, 8)


@pytest.mark.parametrize("frame", [pd, pl], ids=["pandas", "polars"])
def test_categories_are_found_by_dtype(frame):
    rng = np.random.default_rng(0)
    level = rng.choice(["red", "green", "blue"], 200)
    y = (level == "red").astype(int)
    noise = rng.normal(size=200)
    if frame is pd:
        table = pd.DataFrame({"c": pd.Categorical(level), "x": noise})
        new = pd.DataFrame({"c": pd.Categorical(["red", "violet"]), "x": [0.0, 0.0]})
    else:
        table = pl.DataFrame({"c": pl.Series(level, dtype=pl.Categorical), "x": noise})
        new = pl.DataFrame({"c": pl.Series(["red", "violet"], dtype=pl.Categorical), "x": [0.0, 0]})
    model = fitted(table, y)
    assert model.score(table, y) == 1
    proba = model.predict_proba(new)[:, 1]
    # An unseen level is averaged over: nearer to the base rate than a known one.
    assert proba[0] > 0.9
    assert abs(proba[1] - y.mean()) < 0.4


def test_a_missing_value_averages_over_its_column():
    model = fitted(X_IRIS, Y_IRIS)
    X = X_IRIS[:5].copy()
    X[:, 2:] = np.nan
    proba = model.predict_proba(X)
    assert np.isfinite(proba).all()
    nothing = model.predict_proba(np.full((1, 4), np.nan))
    assert nothing.max() < model.predict_proba(X_IRIS[:1]).max()


def test_missing_values_can_be_a_signal():
    rng = np.random.default_rng(0)
    X = rng.normal(size=(300, 2))
    y = rng.integers(0, 2, 300)
    X[y == 1, 0] = np.where(rng.random(np.sum(y == 1)) < 0.8, np.nan, X[y == 1, 0])
    assert fitted(X, y, missing="indicator").score(X, y) > 0.85


def test_class_weight_and_sample_weight_agree():
    weight = np.where(Y_BC == 0, 3.0, 1.0)
    by_class = fitted(X_BC, Y_BC, class_weight={0: 3.0, 1: 1.0})
    by_sample = MPSClassifier(**FAST).fit(X_BC, Y_BC, sample_weight=weight)
    np.testing.assert_allclose(
        by_class.predict_proba(X_BC), by_sample.predict_proba(X_BC), rtol=1e-5, atol=1e-6
    )


def test_alpha_auto_chooses_within_the_training_rows():
    # Labels that were drawn from probabilities: the choice must not be the weakest, which fits
    # best, nor one that looks at other rows.
    rng = np.random.default_rng(0)
    X = rng.normal(size=(300, 3))
    y = (rng.random(300) < 1 / (1 + np.exp(-2 * X[:, 0]))).astype(int)
    loose = fitted(X, y, alpha=ALPHAS[-1])
    chosen = fitted(X, y, alpha="auto")
    assert chosen.alpha_ in ALPHAS[:5]
    new = rng.normal(size=(2000, 3))
    truth = (rng.random(2000) < 1 / (1 + np.exp(-2 * new[:, 0]))).astype(int)
    losses = [log_loss(truth, model.predict_proba(new)) for model in (chosen, loose)]
    assert losses[0] < losses[1] - 0.05
    ignored = np.r_[np.ones(300), np.zeros(300)]
    again = MPSClassifier(**FAST | {"alpha": "auto"}).fit(
        np.r_[X, X], np.r_[y, 1 - y], sample_weight=ignored
    )
    assert again.alpha_ == chosen.alpha_


def test_probabilities_are_not_bounded_away_from_0():
    X = np.linspace(-1, 1, 200)[:, None]
    y = (X[:, 0] > 0).astype(int)
    assert fitted(X, y, alpha=1e-3).predict_proba(X).max() > 0.99


@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
def test_early_stopping_keeps_the_best_epoch():
    # The rate is so high that the last epochs are worse than the best one.
    solver = Adam(
        init="constant",
        early_stopping=True,
        validation_fraction=0.3,
        max_iter=30,
        learning_rate=0.5,
        n_iter_no_change=None,
    )
    lines = io.StringIO()
    with contextlib.redirect_stdout(lines):
        model = fitted(X_BC, Y_BC, solver=solver, scaling="quantile", verbose=1)
    held_out = [float(x) for x in re.findall(r"held-out loss ([\d.]+)", lines.getvalue())]
    assert min(held_out) < held_out[-1]
    # The same rows as the solver held out: the generator's first draw is theirs.
    _, rows = split_rows(len(X_BC), 0.3, Y_BC, _generator_at_the_split(model))
    loss = log_loss(Y_BC[rows], model.predict_proba(X_BC[rows]))
    assert loss == pytest.approx(min(held_out), abs=2e-5)
    assert model.validation_score_ == pytest.approx(model.score(X_BC[rows], Y_BC[rows]))


@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
@pytest.mark.parametrize(
    "params",
    [
        pytest.param({"bond_dim": 64}, marks=pytest.mark.slow),
        {"bond_dim": 16, "relevance": np.full(30, 100.0)},
    ],
)
def test_steps_are_shorter_where_they_reach_further(params):
    # A step of all entries moves a core's matrices by so much more: at full length the loss rose.
    solver = Adam(**ADAM, max_iter=10, n_iter_no_change=None)
    given = {"degree": 1, "scaling": "quantile", "solver": solver}
    model = fitted(X_BC[:200], Y_BC[:200], **given, **params)
    assert model.loss_curve_[-1] < 0.5 * model.loss_curve_[0]


def test_what_rises_in_training_is_the_best_epoch_and_is_said():
    solver = Adam(batch_size=25, max_iter=40, n_iter_no_change=None, learning_rate=0.3)
    with pytest.warns(ConvergenceWarning, match="rose from .* Lower learning_rate=0.3"):
        model = fitted(X_BC[:200], Y_BC[:200], degree=1, solver=solver)
    assert model.loss_curve_[-1] > model.loss_curve_[0]
    assert log_loss(Y_BC[:200], model.predict_proba(X_BC[:200])) < model.loss_curve_[-1] - 0.1


def _generator_at_the_split(model):
    """The random numbers of a fit with a fixed scaling and strength and an order by correlation,
    which draw none before the rows are parted."""
    return np.random.RandomState(model.random_state)


@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
def test_warm_start_goes_on():
    solver = Adam(**ADAM, max_iter=10, n_iter_no_change=None, warm_start=True)
    model = fitted(X_IRIS, Y_IRIS, solver=solver)
    first = model.loss_curve_[-1]
    assert model.fit(X_IRIS, Y_IRIS).loss_curve_[-1] < first


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
def test_warm_start_begins_anew_on_other_columns():
    model = MPSClassifier(solver=Adam(max_iter=2, warm_start=True), bond_dim=2, degree=2)
    model.fit(X_IRIS, Y_IRIS).fit(X_IRIS[:, :3], Y_IRIS)
    assert model.predict(X_IRIS[:, :3]).shape == (150,)


@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
def test_gradients_go_on_from_the_convex_limit():
    settings = {**ADAM, "max_iter": 2, "learning_rate": 1e-3}
    anew, solver = Adam(**settings), Adam(**settings | {"init": "convex"})
    anew = fitted(X_IRIS, Y_IRIS, solver=anew)
    model = fitted(X_IRIS, Y_IRIS, solver=solver)
    assert model.loss_curve_[0] < anew.loss_curve_[-1]
    assert model.score(X_IRIS, Y_IRIS) > 0.93
    chunk = MPSClassifier(**FAST, solver=solver).partial_fit(X_IRIS[::3], Y_IRIS[::3], [0, 1, 2])
    assert chunk.score(X_IRIS, Y_IRIS) > 0.93


@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
def test_an_ensemble_averages_networks_of_different_orders():
    model = fitted(X_IRIS, Y_IRIS, bond_dim=2, solver="convex", n_estimators=3)
    assert len({tuple(network.order) for network in model.networks_}) == 3
    parts = []
    for network in model.networks_:
        one = copy.copy(model)
        one.networks_ = [network]
        parts.append(one.predict_proba(X_IRIS))
    assert np.abs(parts[0] - parts[1]).max() > 1e-3
    np.testing.assert_allclose(model.predict_proba(X_IRIS), np.mean(parts, axis=0), rtol=1e-6)
    np.testing.assert_allclose(
        model.decision_function(X_IRIS), np.log(np.mean(parts, axis=0)), rtol=1e-5
    )


def test_the_score_of_an_ensemble_for_two_classes_is_its_log_odds():
    model = fitted(X_BC, Y_BC, bond_dim=2, solver="convex", n_estimators=2)
    absent, present = model.predict_proba(X_BC).T
    scores = model.decision_function(X_BC)
    np.testing.assert_allclose(scores, np.log(present / absent), rtol=1e-6, atol=1e-6)
    np.testing.assert_array_equal(model.predict(X_BC), (scores > 0).astype(int))


def test_partial_fit_needs_classes_and_learns_from_chunks():
    model = MPSClassifier(**FAST, solver=Adam(**ADAM))
    with pytest.raises(ValueError, match="classes must be passed"):
        model.partial_fit(X_IRIS, Y_IRIS)
    order = np.random.default_rng(0).permutation(150)
    for _ in range(15):
        for rows in np.array_split(order, 3):
            model.partial_fit(X_IRIS[rows], Y_IRIS[rows], classes=[0, 1, 2])
    assert model.score(X_IRIS, Y_IRIS) > 0.9
    with pytest.raises(ValueError, match="not in classes"):
        model.partial_fit(X_IRIS[:2], [0, 7])


def test_partial_fit_refuses_what_it_would_pass_over():
    model = MPSClassifier(**FAST, solver=Adam(**ADAM), relevance=np.ones(4))
    model.partial_fit(X_IRIS, Y_IRIS, classes=[0, 1, 2])
    changes = {"bond_dim": 8, "degree": 4, "embedding": sktn.embeddings.Fourier(2), "alpha": 1.0}
    changes["relevance"] = [1.0, 2.0, 1.0, 1.0]
    for name, value in changes.items():
        with pytest.raises(ValueError, match=f"{name} was .* Call fit to begin anew"):
            copy.deepcopy(model).set_params(**{name: value}).partial_fit(X_IRIS, Y_IRIS)
    model.set_params(relevance=[1.0] * 4, smoothness=2.0, verbose=0).partial_fit(X_IRIS, Y_IRIS)
    refit = MPSClassifier(**FAST).fit(X_IRIS, Y_IRIS).set_params(degree=2)
    with pytest.raises(ValueError, match="degree was 3"):
        refit.partial_fit(X_IRIS, Y_IRIS)


def test_partial_fit_takes_another_optimiser():
    model = MPSClassifier(**FAST, solver=Adam(**ADAM))
    model.partial_fit(X_IRIS, Y_IRIS, classes=[0, 1, 2])
    before = model.loss_curve_[0]
    model.set_params(solver__optimizer=optax.sgd(0.1)).partial_fit(X_IRIS, Y_IRIS)
    assert model.loss_curve_[1] < before


def test_partial_fit_weights_classes():
    solver = Adam(**ADAM)
    weight = np.array([1.0, 8.0, 1.0])
    by_class = MPSClassifier(**FAST, solver=solver, class_weight=dict(enumerate(weight)))
    by_row, equal = MPSClassifier(**FAST, solver=solver), MPSClassifier(**FAST, solver=solver)
    X, y = X_IRIS[::3], Y_IRIS[::3]
    for _ in range(6):  # the second chunk has the target of a fitted model
        by_class.partial_fit(X, y, [0, 1, 2])
        by_row.partial_fit(X, y, [0, 1, 2], sample_weight=weight[y])
        equal.partial_fit(X, y, [0, 1, 2])
        proba = by_class.predict_proba(X_IRIS)
        np.testing.assert_allclose(proba, by_row.predict_proba(X_IRIS), rtol=1e-6)
        assert proba[:, 1].mean() > equal.predict_proba(X_IRIS)[:, 1].mean() + 0.02


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"solver": Sweep(max_iter=0)}, "max_iter"),
        ({"solver": Adam(init="nowhere")}, "init"),
        ({"feature_order": [-1, 0, 1, 2, 3, -1]}, "feature_order must be a permutation"),
        ({"time_limit": 0}, "time_limit"),
        ({"feature_order": [0, 0, 1, 2]}, "feature_order must be a permutation"),
        ({"bond_dim": 100_000}, "use a smaller bond_dim"),
        ({"bond_dim": 0}, "bond_dim"),
    ],
)
def test_contradictory_parameters_are_named(settings, message):
    with pytest.raises(ValueError, match=message):
        fitted(X_IRIS, Y_IRIS, **settings)


def test_bad_data_is_refused():
    with pytest.raises(ValueError, match="1 class"):
        fitted(X_IRIS, np.zeros(150))
    X = X_IRIS.copy()
    X[0, 0] = np.inf
    with pytest.raises(ValueError, match="infinity"):
        fitted(X, Y_IRIS)
    y = Y_IRIS.astype(float)
    y[0] = np.nan
    with pytest.raises(ValueError, match="NaN"):
        fitted(X_IRIS, y)


def test_odd_tables():
    rng = np.random.default_rng(0)
    y = rng.integers(0, 2, 60)
    one = y[:, None] + rng.normal(size=(60, 1))
    assert fitted(one, y).score(one, y) > 0.5
    huge = np.column_stack([one, np.ones(60), 1e30 * rng.normal(size=60)]).astype(np.float32)
    assert np.isfinite(fitted(huge, y).predict_proba(huge)).all()
    # A last batch of a single row.
    with pytest.warns(ConvergenceWarning):
        fitted(X_IRIS[:126], Y_IRIS[:126], solver=Adam(max_iter=2, batch_size=25))


@pytest.mark.slow
@pytest.mark.parametrize(
    "embedding",
    [
        name if name in ("legendre", "fourier") else pytest.param(name, marks=pytest.mark.slow)
        for name in sorted(set(sktn.embeddings.EMBEDDINGS) - {"mixed"})
    ],
)
@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
def test_two_thousand_columns_in_float32(embedding):
    rng = np.random.default_rng(0)
    X = rng.normal(size=(40, 2000)).astype(np.float32)
    y = (X[:, 0] > 0).astype(int)
    model = fitted(
        X,
        y,
        embedding=embedding,
        degree=2,
        solver=Adam(init="constant", max_iter=2),
        bond_dim=3,
        feature_order="given",
    )
    assert np.isfinite(model.loss_curve_).all()
    assert np.isfinite(model.predict_proba(X)).all()


@pytest.mark.slow
def test_a_grid_over_numbers_compiles_once():
    before = n_compiled()
    grid = {"alpha": [0.01, 0.1], "solver__learning_rate": [0.01, 0.02]}
    model = MPSClassifier(**{**FAST, "bond_dim": 3}, solver=Adam(max_iter=2))
    with pytest.warns(ConvergenceWarning):
        GridSearchCV(model, grid, cv=3).fit(X_BC, Y_BC)
    # Folds of 379 and 380 rows share one; the refit to all rows has another number of batches; the
    # optimiser's start is a third.
    assert n_compiled() - before <= 3


def test_fitted_models_hold_numpy_only_and_travel(tmp_path):
    model = fitted(X_IRIS, Y_IRIS)
    expected = model.predict_proba(X_IRIS)
    assert "jax" not in repr({type(v) for v in vars(model).values()})
    copy = pickle.loads(pickle.dumps(model))
    np.testing.assert_array_equal(copy.predict_proba(X_IRIS), expected)
    joblib.dump(model, tmp_path / "model.joblib")
    np.testing.assert_array_equal(
        joblib.load(tmp_path / "model.joblib").predict_proba(X_IRIS), expected
    )
    blob = skops.io.dumps(model)
    unknown = skops.io.get_untrusted_types(data=blob)
    assert all(name.startswith("sktn.") for name in unknown), unknown
    loaded = skops.io.loads(blob, trusted=unknown)
    np.testing.assert_array_equal(loaded.predict_proba(X_IRIS), expected)


@pytest.mark.slow
def test_a_loky_worker_can_predict():
    model = fitted(X_IRIS, Y_IRIS)
    (there,) = joblib.Parallel(n_jobs=2)([joblib.delayed(model.predict_proba)(X_IRIS)])
    np.testing.assert_allclose(there, model.predict_proba(X_IRIS))


def test_pipeline_and_clone():
    pipeline = make_pipeline(StandardScaler(), MPSClassifier(**FAST))
    assert clone(pipeline).fit(X_IRIS, Y_IRIS).score(X_IRIS, Y_IRIS) > 0.93
    assert "MPSClassifier" in pipeline._repr_html_()


def test_cv_chooses_and_averages():
    model = MPSClassifierCV(
        bases=[("standard", 1), ("quantile", 4)],
        alphas=[1.0, 0.1, 0.01],
        interaction_penalties=[1.0],
        bond_dims=[4],
        max_members=2,
        random_state=0,
    ).fit(X_IRIS, Y_IRIS)
    assert model.score(X_IRIS, Y_IRIS) > 0.93
    # Of so few rows relevances are not asked for.
    assert list(model.cv_results_["param_relevance"]) == ["equal"] * 6
    assert np.isclose(model.cv_results_["weight"].sum(), 1)
    assert len(model.estimators_) == len(model.weights_) <= 2
    assert model.ensemble_score_ >= model.best_score_ - 1e-6
    np.testing.assert_allclose(model.predict_proba(X_IRIS).sum(1), 1, rtol=1e-5)


@pytest.mark.parametrize(("without", "expected"), [(1.005, [0.52, 0.48, 0]), (1.1, None)])
def test_members_of_small_shares_are_left_out_where_they_hardly_matter(
    monkeypatch, without, expected
):
    model = MPSClassifierCV(max_members=3)

    def average(target, rows, scores):
        if len(scores) == 3:
            return np.array([0.5, 0.46, 0.04]), 1.0
        return np.array([0.52, 0.48]), without

    monkeypatch.setattr(model, "_average", average)
    shares, loss = model._choose_members(
        None, None, np.zeros((3, 5, 1)), np.arange(3.0), np.arange(3)
    )
    np.testing.assert_array_equal(shares, expected or [0.5, 0.46, 0.04])
    assert loss == (without if expected else 1.0)


def test_cv_refuses_splitters_that_train_on_some_of_the_other_rows():
    for cv in (TimeSeriesSplit(3), ShuffleSplit(2, test_size=0.2, train_size=0.5)):
        with pytest.raises(ValueError, match=r"Part 0 of cv trains on .* PredefinedSplit"):
            MPSClassifierCV(cv=cv).fit(X_IRIS, Y_IRIS)
    with pytest.raises(ValueError, match="does not have"):
        MPSClassifierCV(cv=StratifiedKFold(3).split(X_IRIS, Y_IRIS)).fit(X_IRIS[:90], Y_IRIS[:90])
    with pytest.raises(ValueError, match="at once, or none"):
        MPSClassifierCV(cv=[(np.arange(150), [])]).fit(X_IRIS, Y_IRIS)


SMALL = {"bases": [("quantile", 3)], "alphas": [0.01, 1.0], "bond_dims": [2], "random_state": 0}


def test_cv_takes_validation_rows_that_are_given():
    held_out = np.where(np.arange(150) % 3 == 0, 0, -1)
    model = MPSClassifierCV(**SMALL, cv=PredefinedSplit(held_out), relevances=["equal", "auto"])
    model.fit(X_IRIS, Y_IRIS)
    # Those rows alone are judged: others may say what they like.
    wrong = np.where(held_out == 0, (Y_IRIS + 1) % 3, Y_IRIS)
    misled = clone(model).fit(X_IRIS, wrong)
    assert model.best_score_ > -0.4
    assert misled.best_score_ < -1


def test_cv_judges_a_row_once():
    repeated = RepeatedStratifiedKFold(n_splits=3, n_repeats=2, random_state=0)
    parts = list(repeated.split(X_IRIS, Y_IRIS))
    with pytest.warns(UserWarning, match="more than once, 150 times"):
        model = MPSClassifierCV(**SMALL, cv=repeated).fit(X_IRIS, Y_IRIS)
    first = MPSClassifierCV(**SMALL, cv=parts[:3]).fit(X_IRIS, Y_IRIS)
    np.testing.assert_array_equal(model.predict_proba(X_IRIS), first.predict_proba(X_IRIS))


def test_greedy_average_takes_complementary_members():
    labels = np.array([0, 0, 1, 1])
    log_proba = np.log(
        [
            [[0.9, 0.1], [0.4, 0.6], [0.1, 0.9], [0.6, 0.4]],
            [[0.4, 0.6], [0.9, 0.1], [0.6, 0.4], [0.1, 0.9]],
            [[0.5, 0.5]] * 4,
        ]
    )
    target = ClassTarget(np.arange(2), labels, np.ones(4))
    shares, loss = MPSClassifierCV()._average(target, np.arange(4), log_proba)
    np.testing.assert_allclose(shares, [0.5, 0.5, 0])
    assert np.isclose(loss, -np.log(0.65))


@pytest.mark.parametrize("make", [MPSClassifier, MPSClassifierCV])
def test_class_weights_of_any_size(make, rng):
    X = rng.normal(size=(40, 2))
    y = (X[:, 0] + rng.normal(size=40) > 0).astype(int)
    options = {"random_state": 0}
    if make is MPSClassifierCV:
        options |= {"bases": [("quantile", 2)], "alphas": [1.0], "relevances": ["equal"]}
    else:
        options["alpha"] = 1.0
    with pytest.raises(ValueError, match="beside the largest one"):
        make(class_weight={0: 1e300, 1: 1.0}, **options).fit(X, y)
    ratio = [
        make(class_weight=w, **options).fit(X, y).predict_proba(X)
        for w in ({0: 2e300, 1: 1e300}, {0: 1.0, 1: 0.5})
    ]
    np.testing.assert_allclose(*ratio, atol=1e-5)


def test_single_labels_are_named_as_they_are(rng):
    X, y = rng.normal(size=(60, 2)), np.arange(60) % 2
    y[0] = 2
    with pytest.warns(UserWarning, match=r"Classes \[2\] have a single row"):
        MPSClassifier(random_state=0).fit(X, y)


@pytest.mark.parametrize(("copies", "swept"), [(1, False), (100, True)])
def test_sweeps_are_made_for_what_is_more_than_chance(copies, swept):
    # The same chain, whose loss is as far from the limit by its share of it, on more rows.
    rng = np.random.default_rng(0)
    X = rng.normal(size=(120, 6))
    pairs = X[:, 0] * X[:, 1] + X[:, 2] * X[:, 3] + X[:, 4] * X[:, 5]
    y, weight = pairs + 0.3 * rng.normal(size=120) > 0, np.full(120, float(copies))
    model = MPSClassifier(bond_dim=6, degree=2, alpha=0.1 * copies, random_state=0)
    sweeps, limit = (
        clone(model).set_params(solver=solver).fit(X, y, weight)
        for solver in (Sweep(tol=1e-3), Convex(tol=1e-6))
    )
    assert (sweeps.loss_curve_[-1] < limit.loss_curve_[-1] - 1e-4) == swept


def test_classes_that_are_missing_are_told_from_those_without_weight():
    X, y = np.arange(8.0)[:, None], np.repeat([0, 1], 4)
    with pytest.raises(ValueError, match=r"at least 2 classes; got 1 class: \[0\]\.$"):
        MPSClassifier().fit(X, 0 * y)
    with pytest.raises(
        ValueError, match=r"positive weight; got 1 class: \[1\] of \[0, 1\]\. Weights"
    ):
        MPSClassifier().fit(X, y, sample_weight=y)


def test_last_sweeps_go_on_from_the_chain_of_the_search_for_a_strength():
    rng = np.random.default_rng(0)
    X = rng.normal(size=(150, 5))
    y = np.digitize(X[:, 0] * X[:, 1] + X[:, 2], [-0.5, 0.5])
    model = MPSClassifier(bond_dim=3, degree=2, max_landmarks=40, random_state=0).fit(X, y)
    # The loss before any sweep, and after each: no convex limit was solved again.
    assert model.loss_curve_[0] < 1.3 * model.loss_curve_[-1]
    assert (np.diff(model.loss_curve_) <= 0).all()
    limit = clone(model).set_params(alpha=model.alpha_, solver="convex").fit(X, y)
    assert model.loss_curve_[-1] < limit.loss_curve_[-1]
    assert 0 < model.truncation_error_ < 1
    # A strength that is given is not looked for.
    given = clone(model).set_params(alpha=model.alpha_).fit(X, y)
    assert given.loss_curve_[0] > 2 * given.loss_curve_[-1]


@pytest.mark.parametrize("n_classes", [2, 10])
def test_sweeps_rest_where_one_unit_of_log_likelihood_is_lacking(n_classes):
    """However many scores there are."""
    loss = losses.Softmax(n_classes)
    problem = SimpleNamespace(loss=loss, n_scores=n_classes, total_weight=500.0)
    assert near_enough(problem, 0.1, 0.1 - 0.9 / 500, tol=1e-4)
    assert not near_enough(problem, 0.1, 0.1 - 1.1 / 500, tol=1e-4)
    assert near_enough(problem, 0.1, 0.1 - 1.1 / 500, tol=0.1)
    problem.loss = losses.SquaredError()
    assert not near_enough(problem, 0.1, 0.1 - 0.9 / 500, tol=1e-4)
