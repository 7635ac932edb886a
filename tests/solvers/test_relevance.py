"""Relevances of columns: the evidence and its gradient, and what estimators do with them."""

import numpy as np
import pytest
from sklearn.datasets import load_iris

from sktn import MPSClassifier, MPSRegressor, MPSRegressorCV, losses
from sktn.chains.solvers import Adam
from sktn.embeddings import Averaged, Legendre
from sktn.solvers import evidence_search
from sktn.solvers.evidence import negative_log_evidence, packed
from sktn.solvers.problem import ChainProblem
from sktn.solvers.relevance import prior_unit, relevances
from sktn.tables.penalty import penalty_weights
from sktn.tables.sites import make_sites


@pytest.fixture
def table(rng):
    """The target depends on the first two of five columns, and on the second one more."""
    X = rng.normal(size=(400, 5))
    return X, X[:, 0] + 2 * np.sin(2 * X[:, 1]) + 0.1 * rng.normal(size=400)


def problem(X, y, weight):
    sites = make_sites(X, np.ones(len(X)), degree=4, scaling="standard")
    target = np.reshape(y, (len(X), -1)).astype(X.dtype)
    penalty = penalty_weights(sites.basis, 1.0, 1.0)
    return ChainProblem(
        sites.basis, sites.coords, losses.SquaredError(), target, weight.astype(X.dtype), penalty
    )


def test_the_gradient_is_that_of_the_evidence(rng):
    a = rng.normal(size=(4, 30, 4))
    k = a @ a.transpose(0, 2, 1) / 4
    # The second site has two parts.
    kernels = packed((k[:1], k[1:3], k[3:]), np.float64)
    task = kernels, rng.normal(size=(30, 2)), rng.uniform(0.5, 2, 30)
    x = np.array([0.1, -0.3, 0.2, 0.4, -1.0, -0.5])
    steps = 1e-5 * np.eye(6)
    numeric = [
        (negative_log_evidence(x + h, *task)[0] - negative_log_evidence(x - h, *task)[0]) / 2e-5
        for h in steps
    ]
    np.testing.assert_allclose(negative_log_evidence(x, *task)[1], numeric, rtol=1e-5)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_columns_that_matter_are_found(table, dtype):
    X, y = table
    weight = np.ones(len(y))
    weight[300:] = 0
    y[300:] = 1e6
    task = problem(X.astype(dtype), y, weight)
    r = relevances(task, np.random.RandomState(0)).factors
    assert r[:2].min() > 3 * r[2:].max()
    again = relevances(task, np.random.RandomState(0)).factors
    np.testing.assert_array_equal(r, again)


def test_a_search_begins_with_a_short_step_and_ends_where_little_is_gained(table, monkeypatch):
    points, values = [], []

    def watched(parameters, *data):
        value, gradient = negative_log_evidence(parameters, *data)
        points.append(parameters.copy())
        values.append(value)
        return value, gradient

    monkeypatch.setattr(evidence_search, "negative_log_evidence", watched)
    X, y = table
    task = problem(X, y, np.ones(len(y)))
    n_calls = {}
    for least in (evidence_search._LEAST_GAIN, 0.0):
        points.clear()
        monkeypatch.setattr(evidence_search, "_LEAST_GAIN", least)
        relevances(task, np.random.RandomState(0), ((1.0, 500),))
        n_calls[least] = len(points)
        assert np.linalg.norm(points[1] - points[0]) < 1.001
    assert n_calls[0.1] < 0.7 * n_calls[0.0]


def test_a_search_ends_where_it_is_told_to(table, monkeypatch):
    calls = []

    def watched(*args):
        calls.append(args)
        return negative_log_evidence(*args)

    monkeypatch.setattr(evidence_search, "negative_log_evidence", watched)
    X, y = table
    task = problem(X, y, np.ones(len(y)))
    found = relevances(task, np.random.RandomState(0), stop=lambda: True)
    assert len(calls) < 6
    assert np.isfinite(found.factors).all()


def test_a_constant_response_says_nothing(table):
    task = problem(table[0], np.ones(400), np.ones(400))
    np.testing.assert_array_equal(relevances(task, np.random.RandomState(0)).factors, 1)


def test_heavy_tailed_related_columns_do_not_overflow(rng):
    # A product over many columns with large values is beyond single precision.
    X = np.exp(2 * rng.normal(size=(300, 1)) + 0.3 * rng.normal(size=(300, 60)))
    y = X[:, 0] > np.median(X[:, 0])
    r = relevances(problem(X, y, np.ones(300)), np.random.RandomState(0)).factors
    assert np.isfinite(r).all()
    assert r.std() > 0


def test_a_search_that_fails_charges_all_columns_alike_and_says_so(table, monkeypatch):
    def fail(*arguments, **options):
        raise np.linalg.LinAlgError("not positive definite")

    monkeypatch.setattr("sktn.solvers.evidence_search.minimize", fail)
    task = problem(*table, np.ones(400))
    with pytest.warns(UserWarning, match="search for relevances failed"):
        np.testing.assert_array_equal(relevances(task, np.random.RandomState(0)).factors, 1)


def test_a_column_of_relevance_0_has_no_influence(table):
    X, y = table
    model = MPSRegressor(degree=3, bond_dim=4, relevance=[1, 1, 0, 1, 1], alpha=0.1).fit(X, y)
    other = X.copy()
    other[:, 2] = X[::-1, 2]
    np.testing.assert_allclose(model.predict(other), model.predict(X), atol=1e-3)


def test_a_model_that_rules_columns_out_is_that_of_the_others(table):
    X, y = table
    given = {"degree": 3, "bond_dim": 4, "random_state": 0}
    model = MPSRegressor(relevance=[1, 1, 0, 0, 1], **given).fit(X, y)
    own = MPSRegressor(**given).fit(X[:, [0, 1, 4]], y)
    assert model.alpha_ == own.alpha_
    np.testing.assert_array_equal(model.columns_.kept, [0, 1, 4])
    np.testing.assert_allclose(model.predict(X), own.predict(X[:, [0, 1, 4]]), rtol=1e-12)
    np.testing.assert_array_equal(model.feature_importances_[2:4], 0)


def test_columns_that_share_a_site_are_ruled_out_together(table):
    X, y = np.column_stack(table[0].T[[0, 1, 2, 3]]), table[1]
    embedding = Averaged(Legendre(2), 2)
    model = MPSRegressor(embedding=embedding, relevance=[1, 0], alpha=0.1).fit(X, y)
    other = X.copy()
    other[:, 2:] = X[::-1, 2:]
    np.testing.assert_array_equal(model.predict(other), model.predict(X))
    assert model.basis_.mask.shape[0] == 1


def test_relevances_of_an_estimator(table):
    X, y = table
    X = np.column_stack([X, np.ones(len(X))])
    model = MPSRegressor(degree=3, bond_dim=4, relevance="auto", random_state=0).fit(X, y)
    assert model.relevance_.shape == (6,)
    assert model.relevance_[5] == 0
    given = MPSRegressor(degree=3, bond_dim=4, relevance=model.relevance_, random_state=0)
    assert given.fit(X, y).score(X, y) == pytest.approx(model.score(X, y), abs=0.02)
    equal = MPSRegressor(degree=3, bond_dim=4, random_state=0).fit(X, y)
    np.testing.assert_array_equal(equal.relevance_, [1, 1, 1, 1, 1, 0])
    for wrong in ([1, 1], [1, 1, 1, 1, 1, -1], [np.nan] * 6):
        with pytest.raises(ValueError, match="relevance must be 6 finite numbers"):
            MPSRegressor(relevance=wrong).fit(X, y)


def test_relevances_are_found_on_the_first_chunk():
    # The rows of a chunk in test_classification.py, whose program serves here.
    X, y = (part[::3] for part in load_iris(return_X_y=True))
    solver = Adam(init="constant", batch_size=25)
    stream = MPSClassifier(bond_dim=4, degree=3, relevance="auto", solver=solver, random_state=0)
    stream.partial_fit(X, y, [0, 1, 2]).partial_fit(X, y)
    # Petals tell more than the width of sepals.
    assert min(stream.relevance_[2:]) > stream.relevance_[1]


def test_the_search_asks_for_relevances_where_rows_allow(table):
    X, noise = table[0], 0.1 * np.random.default_rng(1).normal(size=400)
    y = X[:, 0] * np.sin(X[:, 1]) + noise
    settings = {
        "bases": [("standard", 4)],
        "alphas": [1.0, 0.1],
        "interaction_penalties": [1.0],
        "smoothnesses": [1.0],
        "bond_dims": [4],
        "max_members": 1,
        "random_state": 0,
    }
    few = MPSRegressorCV(**settings).fit(X[:140], y[:140])
    assert set(few.cv_results_["param_relevance"]) == {"auto", "equal"}
    many = MPSRegressorCV(**settings).fit(X, y)
    assert many.best_params_["relevance"] == "auto"
    assert many.estimators_[0].relevance_[1] > many.estimators_[0].relevance_[4]
    with pytest.raises(ValueError, match=r"relevances must be .* got 'some'"):
        MPSRegressorCV(**settings | {"relevances": ["some"]}).fit(X, y)


def test_strengths_are_in_units_of_the_priors_variance(table):
    task = problem(*table, np.ones(400))
    charged = task.with_penalty(np.where(task.penalty > 1, task.penalty / 100, 1.0))
    assert prior_unit(task, task) == 1
    assert prior_unit(charged, task) > 50
    # Nothing varies: there is no unit.
    constant = task.with_penalty(np.where(task.penalty > 1, np.inf, 1.0))
    assert prior_unit(charged, constant) == 1


def test_a_table_that_does_not_vary_is_fitted():
    X, y = np.zeros((40, 2)), np.arange(40) % 2
    with pytest.warns(UserWarning, match="distinct rows to hold out"):
        model = MPSClassifier(relevance="auto", random_state=0).fit(X, y)
    np.testing.assert_allclose(model.predict_proba(X), 0.5, atol=1e-6)
