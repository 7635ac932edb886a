"""Columns of one unit."""

import numpy as np
import pytest
from sklearn.datasets import load_breast_cancer, load_digits, load_wine

from sktn import SMPOAnomalyDetector
from sktn.anomaly import MeanState, Projector
from sktn.anomaly.base import Rows
from sktn.anomaly.units import coordinates_of, share_a_unit
from sktn.tables.coordinates import squash


def test_images_share_a_unit_and_tables_do_not(rng):
    X, y = load_digits(return_X_y=True)
    assert share_a_unit(X[y == 3])
    X[::5, 30] = np.nan
    assert share_a_unit(1e305 * X)
    # No matter where the unit begins.
    assert share_a_unit(X + 1000)
    assert not share_a_unit(X[:, :15])
    for table in (
        load_breast_cancer().data,
        load_wine().data,
        rng.normal(size=(50, 30)),
        # Indicators begin and end at the same values, but are not measured in a unit.
        rng.integers(0, 2, size=(50, 30)).astype(float),
        # Counts of things that differ in frequency.
        rng.poisson(10.0 ** np.linspace(-1, 5, 30), size=(50, 30)).astype(float),
        np.full((5, 20), 3.0),
        np.full((5, 20), np.nan),
    ):
        assert not share_a_unit(table)


def test_common_scale_is_the_root_of_the_mean_variance(rng):
    X = rng.normal(size=(60, 3)) * [0.1, 1.0, 3.0]
    rows = Rows(X, np.ones(60), np.zeros(3, bool))
    found = coordinates_of(rows, "common")
    scale = np.sqrt(X.var(axis=0).mean())
    expected = squash((X - X.mean(axis=0)) / scale)
    np.testing.assert_allclose(found.transform(X), expected, atol=1e-9)
    np.testing.assert_allclose(found.mean, expected.mean(axis=0), atol=1e-9)
    np.testing.assert_allclose(found.variance, expected.var(axis=0), atol=1e-9)
    large = Rows(1e300 * X, rows.weight, rows.categorical)
    assert np.all(np.isfinite(coordinates_of(large, "common").scale))


@pytest.mark.parametrize("operator", ["looks", "robust"])
def test_a_pixel_that_hardly_varies_is_not_magnified(operator):
    X, y = load_digits(return_X_y=True)
    detector = SMPOAnomalyDetector(operator=operator, random_state=0).fit(X[y == 3])
    [scale] = np.unique(detector.operators_[0].coordinates.scale)
    assert scale == pytest.approx(np.sqrt(X[y == 3].var(axis=0).mean()), rel=1e-6)
    apart = SMPOAnomalyDetector(operator=Projector(scaling="standard")).fit(X[y == 3])
    assert len(np.unique(apart.operators_[0].coordinates.scale)) > 10


def test_a_common_scale_beside_a_column_without_values(rng):
    X = np.c_[rng.normal(size=(20, 2)), np.full(20, np.nan)]
    model = SMPOAnomalyDetector(operator=Projector(scaling="common"), random_state=0).fit(X)
    assert np.isfinite(model.score_samples(X)).all()


def test_a_bandwidth_whose_square_is_no_number(rng):
    X = rng.normal(size=(20, 2))
    X[3, 0] = np.nan
    model = SMPOAnomalyDetector(operator=MeanState(bandwidth=1e300), random_state=0).fit(X)
    assert np.ptp(model.score_samples(X)) == 0
