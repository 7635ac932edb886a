"""Chains that imitate other predictors."""

from types import SimpleNamespace

import numpy as np
import pandas as pd
import polars as pl
import pytest
from sklearn.datasets import load_iris, make_friedman1
from sklearn.ensemble import (
    HistGradientBoostingClassifier,
    HistGradientBoostingRegressor,
    IsolationForest,
    RandomForestClassifier,
)
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import r2_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.svm import SVC, LinearSVC

from sktn.inspection import distill, distillation, marginal_effect, shapley_values, variance_shares
from sktn.inspection.modes import ColumnFunctions, ColumnPositions, column_functions
from sktn.inspection.rows import mixed_rows
from sktn.inspection.scores import scores_of


@pytest.fixture(scope="module", autouse=True)
def small_fits():
    """Fits of a part of a second in place of those for real tables."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(distillation, "_FITS", ((1500, 12, 300), (2500, 16, 400), (3500, 20, 400)))
        patch.setattr(distillation, "_PROBES", 20_000)
        yield


@pytest.fixture(scope="module")
def friedman():
    X, y = make_friedman1(400, n_features=5, random_state=0)
    return HistGradientBoostingRegressor(max_iter=40).fit(X[:300], y[:300]), X


@pytest.fixture(scope="module")
def imitation(friedman):
    predictor, X = friedman
    return distill(predictor, X[:300], random_state=0, max_fits=1)


def test_the_fidelity_holds_on_other_rows(friedman, imitation, rng):
    predictor, X = friedman
    rows = X[300:]
    permuted = rng.permuted(np.repeat(rows, 5, axis=0), axis=0)
    for part in (rows, permuted):
        assert r2_score(predictor.predict(part), imitation.model.predict(part)) > 0.95
    assert imitation.fidelity.lowest > 0.95
    assert imitation.fidelity.max_error_observed >= imitation.fidelity.rmse_observed > 0
    assert len(imitation.fidelity.worst_rows) == 10
    feature, low, high, size = imitation.fidelity.worst_places[0]
    assert feature in {f"x{j}" for j in range(5)}
    assert low < high
    assert size >= 1


def test_explanations_go_back_to_the_columns(friedman, imitation):
    _predictor, X = friedman
    explanation = shapley_values(imitation.model, X[:4])
    np.testing.assert_array_equal(explanation.data, X[:4])
    score = explanation.base_values + explanation.values.sum(axis=1)
    np.testing.assert_allclose(score, imitation.model.predict(X[:4]))
    shares = variance_shares(imitation.model)
    # The first two columns act through sin(pi x0 x1).
    assert np.unravel_index(np.argmax(shares.pairs), (5, 5)) == (0, 1)
    effect = marginal_effect(imitation.model, X[:300], 3)
    assert np.corrcoef(effect.grid_values[0], effect.average[0])[0, 1] > 0.95
    assert len(effect.average[0]) > 50


def test_the_same_seed_gives_the_same_chain(friedman, imitation):
    predictor, X = friedman
    again = distill(predictor, X[:300], random_state=0, max_fits=1)
    np.testing.assert_array_equal(again.model.predict(X), imitation.model.predict(X))


def test_more_is_fitted_until_the_fidelity_is_reached(rng, capsys):
    X = rng.uniform(-1, 1, size=(300, 4))

    def parity(X):
        return np.sign(X[:, 0] * X[:, 1]) * np.sign(X[:, 2] * X[:, 3] + 0.2)

    easy = distill(lambda X: X[:, 0] + X[:, 1], X, random_state=0, verbose=1)
    assert len(easy.history) == 1
    assert easy.output == "function"
    assert capsys.readouterr().out.count("distill: ") == 1
    with pytest.warns(UserWarning, match="explains less"):
        hard = distill(parity, X, random_state=0, min_fidelity=1.0, max_fits=2)
    assert len(hard.history) == 2
    assert hard.history[0]["n_rows"] < hard.history[1]["n_rows"]
    assert hard.history[0]["bond_dim"] < hard.history[1]["bond_dim"]


def test_what_is_not_imitated_is_refused(rng):
    X = rng.uniform(-1, 1, size=(200, 4))

    def noise(X):
        return np.random.default_rng(len(X)).normal(size=len(X))

    with pytest.raises(ValueError, match="does not imitate"):
        distill(noise, X, random_state=0, max_fits=1)


def test_outputs_of_classifiers():
    X, y = load_iris(return_X_y=True)
    boosting = HistGradientBoostingClassifier(max_iter=10).fit(X, y)
    result = distill(boosting, X, random_state=0, max_fits=1, min_fidelity=0.9)
    assert result.output == "decision"
    explanation = shapley_values(result.model, X[:2])
    assert explanation.values.shape == (2, 4, 3)
    assert list(explanation.output_names) == [0, 1, 2]
    forest = RandomForestClassifier(20, random_state=0).fit(X, y == 1)
    assert scores_of(forest, X).output == "probability"
    linear = LogisticRegression(max_iter=500).fit(X, y)
    smooth = scores_of(linear, X, "log_odds")
    np.testing.assert_allclose(
        smooth(X),
        np.log(linear.predict_proba(X)) - np.log(linear.predict_proba(X)).mean(1)[:, None],
    )
    assert scores_of(LinearSVC().fit(X, y == 0), X).output == "decision"
    assert scores_of(IsolationForest(n_estimators=10).fit(X), X).output == "decision"
    with pytest.raises(ValueError, match="needs decision_function"):
        scores_of(forest, X, "decision")
    with pytest.raises(ValueError, match="Expected an object"):
        scores_of(StandardScaler().fit(X), X)
    with pytest.raises(ValueError, match="not finite"):
        scores_of(lambda X: np.full(len(X), np.nan), X)(X)


@pytest.mark.parametrize("library", ["pandas", "polars"])
def test_frames_with_strings_and_gaps(rng, library):
    X = pd.DataFrame(
        {
            "size": rng.normal(size=300),
            "colour": rng.choice(["blue", "green", "red"], 300),
            "price": np.where(rng.random(300) < 0.1, np.nan, rng.normal(size=300)),
        },
        index=np.arange(300)[::-1],
    )
    frame = (
        X if library == "pandas" else pl.DataFrame({c: X[c].to_list() for c in X}).fill_nan(None)
    )
    red = {"blue": 0.0, "green": 1.0, "red": 3.0}

    def predictor(rows):
        assert list(rows.columns) == ["size", "colour", "price"]
        colour = np.array([red[c] for c in rows["colour"].to_numpy()])
        price = np.asarray(rows["price"].to_numpy(), dtype=float)
        return rows["size"].to_numpy() * colour + np.where(np.isnan(price), 2.0, price)

    result = distill(predictor, frame, random_state=0)
    assert result.fidelity.lowest > 0.97
    effect = marginal_effect(result.model, frame, "colour")
    assert list(effect.grid_values[0]) == ["blue", "green", "red"]
    values = shapley_values(result.model, frame[:3])
    assert list(values.feature_names) == ["size", "colour", "price"]
    assert values.data[0, 1] == X["colour"].iloc[0]


def test_rows_are_mixed_column_by_column(rng):
    X = pd.DataFrame({"a": [1.0, 2.0, 3.0], "b": pd.Categorical(["u", "v", "u"])}, index=[5, 5, 7])
    index = np.array([[0, 1], [2, 2], [1, 0], [1, 1]])
    mixed = mixed_rows(X, index)
    assert list(mixed["a"]) == [1.0, 3.0, 2.0, 2.0]
    assert list(mixed["b"]) == ["v", "u", "u", "v"]
    assert mixed["b"].dtype == X["b"].dtype
    assert mixed_rows(X.to_numpy(), index).tolist() == mixed.to_numpy().tolist()


def test_column_functions_span_what_the_predictor_does_along_a_column(rng):
    X = rng.uniform(-1, 1, size=(200, 3))

    def scores(X):
        return (np.sign(X[:, 0]) * (1 + X[:, 1]) + np.sin(3 * X[:, 0])).reshape(-1, 1)

    positions = ColumnPositions(32).fit(X)
    assert (np.diff(positions.starts_) == 32).all()
    table, variances = column_functions(scores, X, positions, 40, 4, rng)
    own, grid = table[:32, 1:3], positions.grids_[0]
    for function in (np.sign(grid), np.sin(3 * grid)):
        function = function - positions.masses_[0] @ function
        fitted = own @ np.linalg.lstsq(own, function, rcond=None)[0]
        np.testing.assert_allclose(fitted, function, atol=1e-6)
    assert variances[0] > variances[1] > variances[2] == 0
    # Nothing to span where the predictor does not change.
    np.testing.assert_array_equal(table[64:, 1:], 0)
    embedding = ColumnFunctions(table)
    place = positions.transform(X[:5])
    halfway = embedding.evaluate(np.full((1, 1, 1), 10.5))[0, 0]
    np.testing.assert_allclose(halfway, (table[10] + table[11]) / 2)
    assert embedding.evaluate(place[..., None]).shape == (5, 3, 5)


def test_unknown_levels_and_values_beyond_the_grid():
    X = np.array([["a", 1.0], ["b", 2.0], ["a", 4.0]], dtype=object)
    positions = ColumnPositions().fit(pd.DataFrame(X, columns=["k", "v"]).astype({"v": float}))
    rows = pd.DataFrame({"k": ["b", "z", None], "v": [3.0, 9.0, np.nan]})
    np.testing.assert_array_equal(
        positions.transform(rows), [[1, 2 + 1.5], [np.nan, 4], [np.nan, np.nan]]
    )


def test_errors_name_the_value(friedman):
    predictor, X = friedman
    for argument, value in (
        ("background", "shuffled"),
        ("min_fidelity", 2),
        ("max_fits", 9),
        ("output", "logits"),
    ):
        with pytest.raises(ValueError, match=argument):
            distill(predictor, X, **{argument: value})
    with pytest.raises(ValueError, match="too few"):
        distill(predictor, X[:5])
    with pytest.raises(ValueError, match="Expected an object with decision_function"):
        distill(3, X)
    with pytest.raises(ValueError, match="The predictor's answers must be real numbers"):
        distill(lambda rows: np.full(len(rows), "a"), X)


def test_predictors_of_other_packages_do_not_say_what_they_are(friedman):
    predictor, X = friedman
    stranger = SimpleNamespace(predict=predictor.predict)
    assert scores_of(stranger, X).output == "predict"
    np.testing.assert_array_equal(scores_of(stranger, X)(X), scores_of(predictor, X)(X))


def test_observed_rows_alone():
    X, y = load_iris(return_X_y=True)
    kernel = make_pipeline(StandardScaler(), SVC()).fit(X, y == 1)
    result = distill(kernel, X, background="observed", random_state=0, max_fits=1)
    assert result.fidelity.r2_observed > 0.95
    assert np.isnan(result.fidelity.r2_permuted)
    assert result.history[0]["n_rows"] < len(X)


def test_votes_give_way_to_what_is_behind_them():
    X, y = load_iris(return_X_y=True)
    machine = make_pipeline(StandardScaler(), SVC()).fit(X, y)
    scores = scores_of(machine, X)
    assert scores.output == "pairwise"
    assert list(scores.names) == [0, 1, 2]
    values = scores(X)
    np.testing.assert_allclose(values.sum(axis=1), 0, atol=1e-12)
    # What scikit-learn adds to the votes, so that there are no ties.
    votes = machine.decision_function(X) - values / (3 * (np.abs(values) + 1))
    np.testing.assert_allclose(votes, votes.round(), atol=1e-9)
    assert machine[-1].decision_function_shape == "ovr"
    for smooth in (SVC(decision_function_shape="ovo").fit(X, y), SVC().fit(X[:100], y[:100])):
        assert scores_of(smooth, X).output == "decision"
        with pytest.raises(ValueError, match="more than two classes"):
            scores_of(smooth, X, "pairwise")
