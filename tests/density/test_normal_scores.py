"""Mixtures of normal distributions as a part of a density, against their closed forms."""

import numpy as np
import pytest
from numpy.testing import assert_allclose
from scipy.special import ndtr, ndtri
from scipy.stats import multivariate_normal, norm

from sktn.density.normal_scores import NormalScores
from sktn.solvers.normal_mixture import Mixture

WEIGHTS = np.array([0.3, 0.7])
MEANS = np.array([[-1.0, 0.5], [0.4, -0.2]])
COVARIANCES = np.array([[[0.5, 0.2], [0.2, 0.4]], [[0.8, -0.3], [-0.3, 0.6]]])
LEVELS = np.array([[0.1, 0.2, 0.7], [0.5, 0.4, 0.1]])
SHARES = np.array([0.3, 0.4, 0.3])
# A numeric column, one of three levels, another numeric one.
PART = NormalScores(
    Mixture(np.log(WEIGHTS), MEANS, COVARIANCES, [LEVELS]), (np.empty(0), SHARES, np.empty(0))
)


def to_scores(u):
    return ndtri((u + 1) / 2)


def joint(z, level):
    """Density of what is there of a row, for every component."""
    there = ~np.isnan(z)
    out = WEIGHTS.copy()
    for k in range(2):
        if there.any():
            part = np.ix_(there, there)
            out[k] *= multivariate_normal(MEANS[k][there], COVARIANCES[k][part]).pdf(z[there])
        if not np.isnan(level):
            out[k] *= LEVELS[k, int(level)]
    return out


@pytest.mark.parametrize("gone", [[], [0], [1], [2], [0, 1], [0, 2], [1, 2], [0, 1, 2]])
def test_a_ratio_is_that_of_the_densities(gone):
    row = np.array([0.3, 2.0, -0.6])
    row[gone] = np.nan
    z = to_scores(row[[0, 2]])
    own = np.nanprod(norm.pdf(z)) * (1.0 if np.isnan(row[1]) else SHARES[2])
    found = PART.log_ratio(np.stack([row, row]))
    assert_allclose(found, np.log(joint(z, row[1]).sum() / own), rtol=1e-10, atol=1e-12)


def test_conditionals_are_those_of_the_mixture():
    u = np.array([[0.3, np.nan, -0.6], [np.nan, 1.0, 0.2], [0.1, 0.0, 0.2], [np.nan] * 3])
    found = PART.conditionals(u)
    assert sorted(found) == [0, 1, 2]
    z = to_scores(u[:, [0, 2]])
    chances = [joint(z[0], np.nan), joint(z[3], np.nan)]
    chances = [p / p.sum() for p in chances]
    assert_allclose(found[1](None), np.stack(chances) @ LEVELS, rtol=1e-10)
    t = np.array([0.4, -0.5])
    p = joint(z[1], 1.0) / joint(z[1], 1.0).sum()
    slope = COVARIANCES[:, 0, 1] / COVARIANCES[:, 1, 1]
    mean = MEANS[:, 0] + slope * (z[1, 1] - MEANS[:, 1])
    deviation = np.sqrt(COVARIANCES[:, 0, 0] - slope * COVARIANCES[:, 0, 1])
    expected = [
        p @ norm.cdf((to_scores(t[0]) - mean) / deviation),
        WEIGHTS @ norm.cdf((to_scores(t[1]) - MEANS[:, 0]) / np.sqrt(COVARIANCES[:, 0, 0])),
    ]
    assert_allclose(found[0](t), expected, rtol=1e-10)
    alone = norm.cdf((to_scores(t[:1]) - MEANS[:, 1]) / np.sqrt(COVARIANCES[:, 1, 1]))
    assert_allclose(found[2](t[:1]), [WEIGHTS @ alone], rtol=1e-10)


def test_draws_have_the_distribution_of_the_mixture():
    n, rng = 40_000, np.random.RandomState(0)
    drawn = PART.draw(np.full((n, 3), np.nan), rng)
    z, mean = to_scores(drawn[:, [0, 2]]), WEIGHTS @ MEANS
    assert_allclose(z.mean(axis=0), mean, atol=0.02)
    moments = COVARIANCES + MEANS[:, :, None] * MEANS[:, None]
    expected = np.tensordot(WEIGHTS, moments, 1) - np.outer(mean, mean)
    assert_allclose(np.cov(z.T), expected, atol=0.02)
    assert_allclose(np.bincount(drawn[:, 1].astype(int)) / n, WEIGHTS @ LEVELS, atol=0.01)
    # Levels and numbers come from the same component.
    share = WEIGHTS * LEVELS[:, 2] / (WEIGHTS @ LEVELS[:, 2])
    assert_allclose(z[drawn[:, 1] == 2].mean(axis=0), share @ MEANS, atol=0.03)


def test_draws_keep_what_is_there_and_depend_on_it():
    n, rng = 40_000, np.random.RandomState(0)
    row = np.array([2 * ndtr(-1.2) - 1, np.nan, np.nan])
    drawn = PART.draw(np.tile(row, (n, 1)), rng)
    assert np.all(drawn[:, 0] == row[0])
    p = joint(np.array([-1.2, np.nan]), np.nan)
    p /= p.sum()
    mean = MEANS[:, 1] + COVARIANCES[:, 0, 1] / COVARIANCES[:, 0, 0] * (-1.2 - MEANS[:, 0])
    assert_allclose(to_scores(drawn[:, 2]).mean(), p @ mean, atol=0.02)
    assert_allclose(np.bincount(drawn[:, 1].astype(int)) / n, p @ LEVELS, atol=0.01)
