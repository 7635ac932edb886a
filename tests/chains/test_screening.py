"""Of many columns those along which the evidence rises, where rows are told better so."""

import numpy as np
import pytest

from sktn import MPSClassifier, MPSRegressor
from sktn.chains.screening import _slopes
from sktn.losses import SquaredError
from sktn.solvers.problem import ChainProblem
from sktn.tables.penalty import penalty_weights
from sktn.tables.sites import make_sites

SMALL = {"bond_dim": 4, "solver": "convex", "random_state": 0}


@pytest.fixture
def few(rng):
    """Two of 150 columns matter, one of them by its square."""
    X = rng.normal(size=(500, 150))
    return X, 2 * X[:, 7] + 1.5 * X[:, 40] ** 2 + 0.5 * rng.normal(size=500)


def test_columns_that_say_nothing_have_no_site(few):
    X, y = few
    model = MPSRegressor(**SMALL).fit(X[:300], y[:300])
    kept = model.columns_.kept
    assert {7, 40} <= set(kept)
    assert len(kept) == 8
    assert np.array_equal(np.flatnonzero(model.relevance_), kept)
    assert model.score(X[300:], y[300:]) > 0.85


def test_classes_are_told_by_few_columns(few):
    X, y = few
    labels = np.digitize(y, np.quantile(y, [1 / 3, 2 / 3]))
    model = MPSClassifier(**SMALL).fit(X[:300], labels[:300])
    assert {7, 40} <= set(model.columns_.kept)
    assert len(model.columns_.kept) < 75
    assert model.score(X[300:], labels[300:]) > 0.6


def test_all_columns_stay_where_all_of_them_say_something(rng):
    hidden = rng.normal(size=(300, 1))
    X = hidden + 3 * rng.normal(size=(300, 150))
    model = MPSRegressor(**SMALL).fit(X, hidden[:, 0])
    assert model.columns_.n_sites == 150


@pytest.mark.parametrize(
    "given", [{"degree": 2}, {"alpha": 0.1}, {"relevance": np.ones(150)}], ids=str
)
def test_what_is_said_of_columns_rules_screening_out(few, given):
    X, y = few
    model = MPSRegressor(**(SMALL | {"degree": "auto"} | given)).fit(X[:300], y[:300])
    assert model.columns_.n_sites == 150


def test_slopes_are_those_of_the_evidence(rng):
    X, y, weight = rng.normal(size=(60, 4)), rng.normal(size=(60, 2)), rng.uniform(0.5, 2, 60)
    y[:, 0] += 3 * X[:, 2]
    sites = make_sites(X, None, degree=3)
    penalty = penalty_weights(sites.basis, 1.0, 1.0, 1.0)
    problem = ChainProblem(sites.basis, sites.coords, SquaredError(), y, weight, penalty)
    parts = np.ones((2, 60), bool)
    parts[1, :20] = False
    found = _slopes(problem, parts)
    a = problem.vectors(np.arange(60))[:, :, 1:]
    for part, slopes in zip(parts, found, strict=True):
        w, own = weight[part], y[part] - np.average(y[part], axis=0, weights=weight[part])
        own = w[:, None] * own / np.sqrt(np.average(own**2, axis=0, weights=w))
        for i, slope in enumerate(slopes):
            vectors = a[part, i]
            chance = np.einsum("b,bd->d", w, vectors**2)
            risen = np.trace(own.T @ vectors @ vectors.T @ own) - 2 * chance.sum()
            assert slope == pytest.approx(risen / np.sqrt(4 * (chance**2).sum()))
    assert found.argmax(axis=1).tolist() == [2, 2]
