"""A few of many columns, told by fewer rows than factors of all columns would ask for."""

import numpy as np
import pytest

from sktn import MPSClassifierCV, MPSRegressor, MPSRegressorCV, losses
from sktn.solvers import few_columns as selection
from sktn.solvers.evidence import negative_log_evidence
from sktn.solvers.few_columns import few_columns, value_of
from sktn.solvers.problem import ChainProblem
from sktn.solvers.relevance import _data, few_or_all, relevances
from sktn.tables.penalty import penalty_weights
from sktn.tables.sites import make_sites


def problem(X, y):
    sites = make_sites(X, np.ones(len(X)), degree=3, scaling="standard", dtype=np.float32)
    target, weight = np.reshape(y, (len(X), -1)).astype(np.float32), np.ones(len(X), np.float32)
    penalty = penalty_weights(sites.basis, 1.0, 1.0)
    return ChainProblem(sites.basis, sites.coords, losses.SquaredError(), target, weight, penalty)


def data_of(X, y):
    task = problem(X, y)
    parts = np.ones((1, *task.penalty.shape))
    return _data(task, np.arange(len(X)), parts, np.ones((task.n_sites, 1), bool))


@pytest.fixture
def X(rng):
    return rng.normal(size=(120, 60))


@pytest.mark.parametrize(
    ("target", "expected"),
    [
        (lambda X: X[:, 7] + X[:, 20] ** 2 - np.tanh(2 * X[:, 41]), [7, 20, 41]),
        # Neither of the first two says anything by itself.
        (lambda X: X[:, 3] * X[:, 50] + 0.5 * X[:, 9], [3, 9, 50]),
        (lambda X: X[:, 3] * X[:, 50], [3, 50]),
    ],
)
def test_the_columns_that_matter_are_found(X, rng, target, expected):
    data = data_of(X, target(X) + 0.2 * rng.normal(size=len(X)))
    found = few_columns(data, np.random.RandomState(0))
    np.testing.assert_array_equal(np.sort(found.columns), expected)
    assert found.cost(60) < value_of(np.ones(data[0].n_sites), data) - 20
    np.testing.assert_array_equal(np.flatnonzero(found.factors(60)), expected)


def test_noise_has_no_column_that_matters(X, rng):
    data = data_of(X, rng.normal(size=len(X)))
    found = few_columns(data, np.random.RandomState(0))
    assert found.cost(60) > value_of(np.ones(data[0].n_sites), data) - 1
    assert len(found.columns) <= 1


def test_columns_that_are_known_go_where_they_say_nothing_and_others_come(X, rng):
    known = np.zeros(60)
    known[[7, 30, 31]] = 5.0
    data = data_of(X, 2 * X[:, 7] + X[:, 20] + 0.2 * rng.normal(size=len(X)))
    found = few_columns(data, np.random.RandomState(0), known)
    np.testing.assert_array_equal(np.sort(found.columns), [7, 20])


def test_of_two_copies_of_a_column_one_stays(X, rng):
    X[:, 8] = X[:, 7]
    data = data_of(X, 2 * X[:, 7] + X[:, 20] + 0.2 * rng.normal(size=len(X)))
    known = np.where(np.isin(np.arange(60), [7, 8, 20]), 5.0, 0.0)
    found = few_columns(data, np.random.RandomState(0), known)
    assert np.isin([7, 8], found.columns).sum() == 1
    assert 20 in found.columns


def test_a_search_without_success_ends_after_two_rounds(X, rng, monkeypatch):
    rounds = []
    joined = selection._joined
    monkeypatch.setattr(selection, "_joined", lambda *a: rounds.append(1) or joined(*a))
    data = data_of(X, X @ rng.normal(size=60))
    few_columns(data, np.random.RandomState(0), rival=-1e9)
    assert len(rounds) <= 3
    few_columns(data, np.random.RandomState(0), stop=lambda: True)
    assert len(rounds) <= 5


def test_the_value_of_equal_factors_is_that_of_their_best_noise_and_signal(X, rng):
    data = data_of(X[:, :10], X[:, 0] + 0.5 * rng.normal(size=len(X)))
    grid = [
        negative_log_evidence(np.append(np.zeros(10), [noise, signal]), *data)[0]
        for noise in np.arange(-3, 1, 0.25)
        for signal in np.arange(-4, 3, 0.5)
    ]
    assert value_of(np.ones(data[0].n_sites), data) == pytest.approx(min(grid), abs=1.0)


def test_few_are_taken_where_rows_are_few_and_all_where_all_matter(X, rng):
    few = problem(X, X[:, 3] - 2 * X[:, 9] + 0.3 * rng.normal(size=len(X)))
    found = few_or_all(few, np.random.RandomState(0))
    assert found.decisive
    assert np.flatnonzero(found.factors).tolist() == [3, 9]
    assert np.all(relevances(few, np.random.RandomState(0)).factors)
    X = rng.normal(size=(400, 12))
    every = problem(X, X @ np.geomspace(1, 20, 12) + 0.1 * rng.normal(size=400))
    found = few_or_all(every, np.random.RandomState(0))
    assert found.decisive
    assert np.all(found.factors)
    constant = few_or_all(problem(X, np.ones(400)), np.random.RandomState(0))
    np.testing.assert_array_equal(constant.factors, 1)


@pytest.mark.parametrize("classes", [False, True])
def test_models_of_many_columns_have_those_that_matter(rng, classes):
    X = rng.normal(size=(600, 60))
    y = 2 * np.sin(X[:, 11]) * X[:, 30] + X[:, 50]
    given = {"bases": [("standard", 3)], "max_members": 1, "random_state": 0}
    if classes:
        model = MPSClassifierCV(**given).fit(X[:260], y[:260] > 0)
        assert model.score(X[260:], y[260:] > 0) > 0.9
    else:
        y += 0.2 * rng.normal(size=600)
        model = MPSRegressorCV(bond_dims=[8], **given).fit(X[:260], y[:260])
        assert model.score(X[260:], y[260:]) > 0.9
    assert np.flatnonzero(model.estimators_[0].relevance_).tolist() == [11, 30, 50]


def test_few_have_to_be_likelier_than_all(X, rng):
    # Two columns say most, but twelve others say something together.
    X, weights = X[:, :20], np.repeat([4.0, 0.5, 0.0], [2, 12, 6])
    every = problem(X, X @ weights + 0.1 * rng.normal(size=len(X)))
    assert np.all(few_or_all(every, np.random.RandomState(0)).factors)
    # Where two matter, all are decisive, too, and dearer.
    few = problem(X, X[:, 3] - 2 * X[:, 9] + 0.1 * rng.normal(size=len(X)))
    assert relevances(few, np.random.RandomState(0)).decisive
    found = few_or_all(few, np.random.RandomState(0))
    assert np.flatnonzero(found.factors).tolist() == [3, 9]


def test_columns_of_noise_are_charged_alike(X, rng):
    model = MPSRegressor(relevance="auto", solver="convex", degree=2, random_state=0)
    model.fit(X, rng.normal(size=len(X)))
    np.testing.assert_array_equal(model.relevance_, 1)
