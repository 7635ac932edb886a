"""The mixture of normal distributions as a look of the detector."""

import numpy as np
import pytest

from sktn import SMPOAnomalyDetector
from sktn.anomaly import mixture
from sktn.anomaly.mixture import MixtureOperator, fit_mixture
from sktn.tables.coordinates import fit_coordinates


def plane(rng, n_rows=400, n=8):
    """Rows near a plane of three dimensions."""
    return rng.normal(size=(n_rows, 3)) @ rng.normal(size=(3, n)) + 0.02 * rng.normal(
        size=(n_rows, n)
    )


def operator_of(X, rng):
    weight = np.ones(len(X))
    coordinates = fit_coordinates(X, weight)
    return fit_mixture(coordinates.transform(X), weight, np.random.RandomState(0), coordinates)


def the_mixture(detector):
    [found] = [P for P in detector.operators_ if isinstance(P, MixtureOperator)]
    return found


def test_rows_that_break_a_relation_between_columns_are_found(rng):
    X = plane(rng)
    detector = SMPOAnomalyDetector(random_state=0).fit(X)
    broken = X[:100].copy()
    broken[:, 0] = X[100:200, 0]
    operator, typical = operator_of(X, rng)
    assert np.mean(operator.log_norms(broken) < np.quantile(typical, 0.02)) > 0.8
    assert np.mean(detector.predict(broken) == -1) > 0.8


def test_components_are_as_many_as_held_out_rows_want(rng):
    one = rng.normal(size=(400, 3))
    corners = 8 * rng.integers(0, 2, size=(400, 3))
    assert len(operator_of(one, rng)[0].mixture.means) == 1
    assert len(operator_of(one + corners, rng)[0].mixture.means) >= 8


def test_training_rows_are_scored_as_new_ones_are(rng, monkeypatch):
    monkeypatch.setattr(mixture, "_COMPONENTS", (2,))
    X, new = rng.normal(size=(2, 60, 6))
    operator, typical = operator_of(X, rng)
    held_out = typical.mean()
    seen, unseen = operator.log_norms(X).mean(), operator.log_norms(new).mean()
    assert held_out - unseen < 0.5 * (seen - unseen)


def test_all_rows_are_used_where_few_choose(rng, monkeypatch):
    X = plane(rng)
    monkeypatch.setattr(mixture, "_ROWS", 100)
    monkeypatch.setattr(mixture, "_COMPONENTS", (1,))
    operator, _ = operator_of(X, rng)
    x = operator.coordinates.transform(X)
    np.testing.assert_allclose(operator.mixture.means[0], x.mean(axis=0), atol=1e-6)


def test_a_missing_value_counts_as_a_column_on_average(rng):
    X = rng.normal(size=(300, 4))
    operator, typical = operator_of(X, rng)
    hidden = X.copy()
    hidden[:, 1] = np.nan
    assert operator.log_norms(hidden).mean() == pytest.approx(operator.log_norms(X).mean(), abs=0.1)
    nothing = operator.log_norms(np.full((1, 4), np.nan))[0]
    assert nothing == pytest.approx(typical.mean())
    strange = np.array([[0.0, 9.0, 0.0, 0.0]])
    assert operator.log_norms_without(strange, 1)[0] > operator.log_norms(strange)[0] + 5


def test_many_columns_have_no_covariance(rng, monkeypatch):
    monkeypatch.setattr("sktn.anomaly.looks.LARGEST_COVARIANCE", 3)
    few, many = (
        SMPOAnomalyDetector(random_state=0).fit(rng.normal(size=(50, n))).operators_ for n in (3, 4)
    )
    assert [sum(isinstance(P, MixtureOperator) for P in found) for found in (few, many)] == [1, 0]


def test_the_mixture_goes_on_with_partial_fit(rng):
    X = rng.normal(size=(200, 3))
    detector = SMPOAnomalyDetector(random_state=0).fit(X)
    elsewhere = rng.normal(size=(200, 3)) + 5
    before = the_mixture(detector).log_norms(elsewhere).mean()
    for _ in range(3):
        detector.partial_fit(elsewhere)
    assert the_mixture(detector).total == pytest.approx(800)
    assert the_mixture(detector).log_norms(elsewhere).mean() > before + 3
    shares = the_mixture(detector).transform(X)
    np.testing.assert_allclose(shares.sum(axis=1), 1)
