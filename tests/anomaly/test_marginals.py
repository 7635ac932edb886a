"""The densities of the single columns as a look of the detector."""

import numpy as np
import pytest

from sktn import SMPOAnomalyDetector
from sktn.anomaly import Looks
from sktn.anomaly.marginals import MarginalOperator, fit_marginals
from sktn.tables.coordinates import fit_coordinates


def operator_of(X, background=0.1, weight=None):
    weight = np.ones(len(X)) if weight is None else weight
    coordinates = fit_coordinates(X, weight)
    return fit_marginals(coordinates.transform(X), weight, coordinates, 0.1, background)


def the_columns(detector):
    [found] = [P for P in detector.operators_ if isinstance(P, MarginalOperator)]
    return found


def test_logarithms_of_densities_of_the_columns_are_added(rng):
    X = rng.normal(size=(5000, 2))
    X[:, 1] = X[:, 0]
    operator = operator_of(X, background=0.0)
    grid = np.array([[-1.0, 1.0], [0.0, 0.0], [1.0, 0.0]])
    # Normal densities, of the deviations of the column and of its kernel, up to a constant.
    variance = 1 + operator.bandwidth**2
    expected = -(grid**2 / variance / 2).sum(axis=1)
    found = operator.log_norms(grid)
    np.testing.assert_allclose(np.diff(found), np.diff(expected), atol=0.25)


def test_a_value_that_nobody_has_is_news_but_no_more_than_that(rng):
    X = rng.normal(size=(500, 4))
    far, farther = np.zeros((2, 1, 4))
    far[0, 0], farther[0, 0] = 8.0, 1e6
    strict, lenient = operator_of(X, background=0.0), operator_of(X)
    assert strict.log_norms(farther)[0] < strict.log_norms(far)[0] - 100
    assert lenient.log_norms(farther)[0] == pytest.approx(lenient.log_norms(far)[0], abs=0.01)
    assert lenient.log_norms(far)[0] < np.quantile(lenient.log_norms(X), 0.25)


def test_values_are_held_out(rng):
    X = rng.normal(size=(40, 2))
    X[0], weight = 20.0, np.ones(40)
    operator = operator_of(X, background=0.0)
    x = operator.coordinates.transform(X)
    kernel = np.exp(-(((x[:, None] - x) / operator.bandwidth) ** 2) / 2)
    # A lonely value has what a value three bandwidths away would have.
    others = np.maximum((kernel.sum(axis=1) - 1) / 39, np.exp(-4.5) / 40)
    found = operator.held_out(x, weight)
    np.testing.assert_allclose(found, np.log(others).sum(axis=1), atol=0.1)
    # Of a row that is there twice, one copy is left out.
    weight[0] = 2.0
    operator = operator_of(X, background=0.0, weight=weight)
    [twice, *_] = operator.held_out(operator.coordinates.transform(X), weight)
    assert twice == pytest.approx(2 * np.log(1 / 40), abs=0.2)


@pytest.mark.parametrize(("n_rows", "n_columns", "bond_dim"), [(60, 25, None), (400, 5, 100)])
def test_new_rows_have_the_p_values_of_typical_ones(n_rows, n_columns, bond_dim):
    found = []
    for seed in range(4):
        rng = np.random.default_rng(seed)
        X = rng.normal(size=(n_rows + 500, n_columns))
        detector = SMPOAnomalyDetector(operator=Looks(bond_dim=bond_dim), random_state=0)
        detector.fit(X[:n_rows])
        found.append(detector.score_to_pvalue(detector.score_samples(X[n_rows:])))
    assert 0.4 < np.mean(found) < 0.6
    assert 0.05 < np.mean(np.array(found) < 0.1) < 0.15


def test_more_rows_are_as_if_they_had_been_there(rng):
    X, more = rng.normal(size=(400, 2)), rng.normal(size=(1200, 2)) + 2
    first, whole = operator_of(X), operator_of(np.concatenate([X, more]))
    both = first.updated(first.coordinates.transform(more), np.ones(1200))
    assert both.total == 1600
    grid = np.linspace(-2, 4, 50)[:, None] * np.ones(2)
    off, far_off = (np.ptp(P.log_norms(grid) - whole.log_norms(grid)) for P in (both, first))
    # Coordinates and widths are those of the first rows.
    assert off < 0.25 * far_off


def test_rows_elsewhere_become_typical_by_partial_fit(rng):
    X = rng.normal(size=(300, 3))
    detector = SMPOAnomalyDetector(random_state=0).fit(X)
    elsewhere = rng.normal(size=(300, 3)) + 6
    before = the_columns(detector).log_norms(elsewhere).mean()
    for _ in range(3):
        detector.partial_fit(elsewhere)
    assert the_columns(detector).log_norms(elsewhere).mean() > before + 3
    assert the_columns(detector).log_norms(X).mean() > before + 1


def test_pixels_are_not_looked_at_alone(rng):
    pixels = rng.integers(0, 17, size=(60, 20)).astype(float)
    of_pixels, of_columns = (
        SMPOAnomalyDetector(operator=Looks(scaling=scaling), random_state=0).fit(pixels)
        for scaling in ("auto", "standard")
    )
    assert not any(isinstance(P, MarginalOperator) for P in of_pixels.operators_)
    assert the_columns(of_columns).grid.shape == (20, 256)


def test_gaps_count_as_the_column_on_average(rng):
    X = rng.normal(size=(400, 3))
    X[::4, 0] = np.nan
    operator = operator_of(X)
    row = np.array([[np.nan, 0.0, 0.0]])
    assert np.isfinite(operator.log_norms(row)).all()
    known = operator.log_norms(np.c_[X[1:4, :1], np.zeros((3, 2))])
    assert known.min() <= operator.log_norms(row)[0] <= known.max()
    strange = np.array([[9.0, 0.0, 0.0]])
    assert operator.log_norms_without(strange, 0)[0] == pytest.approx(operator.log_norms(row)[0])


def test_a_far_value_in_a_later_batch_leaves_the_grid_fine(rng):
    X = rng.normal(size=(300, 1))
    operator = operator_of(X)
    far = operator.updated(operator.coordinates.transform(np.array([[1e30]])), np.ones(1))
    step = far.grid[0, 1] - far.grid[0, 0]
    assert step <= far.bandwidth[0] / 2 + 1e-12
    np.testing.assert_allclose(far.log_norms(X), operator.log_norms(X), atol=0.05)
