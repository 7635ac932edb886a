"""Bins of repeated and rounded values."""

import numpy as np
import pytest
from scipy.stats import norm

from sktn.tables.bins import grid_of, make_bins, repetitions
from sktn.tables.marginals import fit_numeric

RESOLUTION = 0.0025


def integral(margin, low, high, n=400_001):
    grid = np.linspace(low, high, n)
    return np.exp(margin.log_density(grid)).sum() * (grid[1] - grid[0])


def test_overlapping_bins_are_a_sum_of_bins():
    values, shares = np.array([0.0, 0.6, 0.7, 3.0]), np.array([0.1, 0.2, 0.3, 0.15])
    bins = make_bins(values, shares, 1.0)
    z = np.linspace(-2, 5, 1001) + 1e-4
    inside = np.abs(z[:, None] - values) < 0.5
    np.testing.assert_allclose(bins.density(z), inside @ shares, atol=1e-12)
    expected = np.clip(z[:, None] - values + 0.5, 0, 1) @ shares
    np.testing.assert_allclose(bins.distribution(z), expected, atol=1e-12)
    assert bins.share == pytest.approx(0.75)


def test_continuous_columns_have_no_bins(rng):
    assert fit_numeric(rng.normal(size=500), np.ones(500), RESOLUTION).bins.share == 0


def test_rounded_columns_put_their_mass_on_the_grid(rng):
    values = np.round(20 * rng.normal(size=500)) / 10 - 3
    margin = fit_numeric(values, np.ones(500), RESOLUTION)
    assert margin.bins.share > 0.99
    # The sum sees a bin by some 25 points, not at the same places in every bin.
    assert integral(margin, -12, 8, 97_003) == pytest.approx(1, abs=0.01)
    # A point of the grid that was not seen is about as likely as its neighbours.
    seen = np.unique(np.round(values, 1))
    unseen = np.setdiff1d(np.round(np.arange(seen[2], seen[-3], 0.1), 1), seen)
    if len(unseen):
        assert margin.log_density(unseen).min() > margin.log_density(seen).min() - 3
    off_grid = margin.log_density(np.array([-3.05]))
    assert off_grid[0] < margin.log_density(np.array([-3.0]))[0] - 5


@pytest.mark.parametrize("ones", [10, 50])
def test_two_values_have_the_width_of_a_normal_distribution(ones):
    """Silverman's rule: whether most values are one, so that the quartiles tell no spread, or the
    quartiles are further apart than a normal distribution's."""
    margin = fit_numeric(np.arange(100) < ones, np.ones(100))
    np.testing.assert_allclose(margin.widths, 0.9 * 100**-0.2 * np.sqrt(3) / np.pi)


def test_draws_return_the_recorded_values(rng):
    values = rng.integers(0, 5, 300) * 0.1 + 7
    margin = fit_numeric(np.sort(values), np.ones(300), RESOLUTION)
    drawn = margin.invert(2 * rng.uniform(size=1000) - 1)
    assert np.isin(drawn, values).mean() > 0.97


def test_zeros_beside_a_continuous_part(rng):
    values = np.where(rng.uniform(size=600) < 0.4, 0.0, rng.exponential(size=600))
    margin = fit_numeric(values, np.ones(600), RESOLUTION)
    zeros = (values == 0).mean()
    assert margin.bins.share > zeros
    u = np.sort(margin.transform(values))
    assert np.all((u > -1) & (u < 1))
    low, high = margin.interval(np.zeros(1))
    assert (high - low)[0] / 2 == pytest.approx(zeros, abs=0.03)


def test_repetitions_leave_a_row_of_the_value_out():
    values, counts, width, discount = np.array([0.0, 1.0, 5.0]), np.array([4.0, 2.0, 1.0]), 0.5, 0.4
    shares, density = repetitions(values, counts, width, discount)
    kept = counts - discount
    np.testing.assert_allclose(shares, kept / kept.sum())
    for k in range(3):
        others = np.maximum(counts - np.eye(3)[k] - discount, 0)
        others[np.arange(3) != k] = np.delete(kept, k)
        left = make_bins(values, others, width).density(values[k : k + 1])[0] / others.sum()
        np.testing.assert_allclose(density[k], left, atol=1e-12)


def test_values_of_a_bin_are_spread_over_its_interval(rng):
    values = np.append(rng.integers(0, 3, 300) * 1.0, np.nan)
    weight = rng.integers(1, 4, 301) * 1.0
    order = np.argsort(values[:-1], kind="stable")
    margin = fit_numeric(values[order], weight[order], RESOLUTION)
    u = margin.spread(values, weight, np.random.RandomState(0))
    assert np.isnan(u[-1])
    for value in range(3):
        own = np.flatnonzero(values == value)
        low, high = margin.interval(np.array([float(value)]))
        own = own[np.argsort(u[own])]
        # Each has a part as large as its weight, and is in it.
        ends = np.append(0, np.cumsum(weight[own]) / weight[own].sum())
        share = (u[own] - low) / (high - low)
        assert ((ends[:-1] <= share + 1e-9) & (share <= ends[1:] + 1e-9)).all()
        assert (np.diff(own) < 0).any()
        np.testing.assert_array_equal(margin.bins.nearest(margin._standardised(values))[1][own], 1)


@pytest.mark.parametrize(
    ("multiples", "beyond"), [([0, 2, 3, 9], 1), ([0, 2, 3, 10], 2), ([0, 1, 40], 5)]
)
def test_a_grid_goes_on_for_a_tenth_of_its_length(multiples, beyond):
    values = 0.1 * np.array(multiples) - 1
    points, chances = grid_of(values, 0.01, norm(scale=2).cdf)
    expected = 0.1 * np.arange(-beyond, multiples[-1] + beyond + 1) - 1
    np.testing.assert_allclose(points, expected, atol=1e-12)
    assert set(values) <= set(points)  # the recorded values, not their neighbours
    cut = norm(scale=2).cdf(np.append(expected - 0.05, expected[-1] + 0.05))
    np.testing.assert_allclose(chances, np.diff(cut) / (cut[-1] - cut[0]), rtol=1e-6)


@pytest.mark.parametrize(
    ("values", "width"),
    [
        ([0.0, 1.0], 0.01),  # two values are on every grid
        ([0.0, 0.1, 0.3], 0.06),  # the bins of neighbours would overlap
        ([0.0, 1.0, 1.0 + 1e-4, 2.0], 1e-6),  # more points than a grid may have
    ],
)
def test_values_without_a_grid(values, width):
    points, chances = grid_of(np.array(values), width, norm.cdf)
    assert len(points) == len(chances) == 0
