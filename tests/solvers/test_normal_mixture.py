"""Mixtures of normal distributions against the dense definition and scikit-learn."""

import numpy as np
import pytest
from scipy.stats import multivariate_normal
from sklearn.mixture import GaussianMixture

from sktn.solvers import normal_mixture as nm


def table(z, codes=None, n_levels=()):
    codes = np.zeros((len(z), 0), int) if codes is None else codes
    return nm.Table(z, codes, n_levels)


def some_mixture(rng, K=3, n=4):
    roots = rng.normal(size=(K, n, n))
    return nm.Mixture(
        np.log(rng.dirichlet(np.ones(K))),
        rng.normal(size=(K, n)),
        roots @ roots.swapaxes(1, 2) + 0.1 * np.eye(n),
        [],
    )


def with_gaps(rng, N=30, n=4):
    z = rng.normal(size=(N, n))
    z[rng.uniform(size=z.shape) < 0.4] = np.nan
    return z


def test_log_joint_integrates_over_gaps(rng, monkeypatch):
    mixture, z = some_mixture(rng), with_gaps(rng)
    monkeypatch.setattr(nm, "_BLOCK", 200)
    got = nm.log_joint(mixture, table(z))
    for i, row in enumerate(z):
        o = ~np.isnan(row)
        for k in range(3):
            expected = mixture.log_weights[k]
            if o.any():
                S = mixture.covariances[k][np.ix_(o, o)]
                expected += multivariate_normal(mixture.means[k, o], S).logpdf(row[o])
            assert got[i, k] == pytest.approx(expected)


def test_completed_rows_are_conditional_means_and_covariances(rng):
    mixture, z = some_mixture(rng), with_gaps(rng)
    filled, spread = nm.completed(mixture, z)
    for i, row in enumerate(z):
        o, m = ~np.isnan(row), np.isnan(row)
        for k in range(3):
            S, center = mixture.covariances[k], mixture.means[k]
            gain = np.linalg.solve(S[np.ix_(o, o)], S[np.ix_(o, m)]).T
            np.testing.assert_array_equal(filled[i, k, o], row[o])
            np.testing.assert_allclose(filled[i, k, m], center[m] + gain @ (row[o] - center[o]))
            expected = np.zeros((4, 4))
            expected[np.ix_(m, m)] = S[np.ix_(m, m)] - gain @ S[np.ix_(o, m)]
            np.testing.assert_allclose(spread[i, k], expected, atol=1e-9)


def test_fit_is_maximum_likelihood(rng):
    z = np.concatenate(
        [rng.normal(size=(150, 2)) - 4, rng.normal(size=(100, 2)) @ [[1, 1], [0, 2]]]
    )
    start = nm.spread_start(table(z), np.ones(250), 2, np.random.RandomState(0))
    found = nm.fit(table(z), np.ones(250), start, 0.0, 0.0, tol=1e-9, max_iter=500)
    ours = nm.log_density(nm.log_joint(found, table(z))).mean()
    theirs = GaussianMixture(2, tol=1e-9, max_iter=500, random_state=0).fit(z).score(z)
    assert ours == pytest.approx(theirs, abs=1e-4)


def test_expectation_maximisation_ascends_with_gaps_and_levels(rng):
    z, codes = with_gaps(rng, 80), rng.integers(-1, 3, (80, 1))
    data, weight = table(z, codes, (3,)), rng.uniform(0.5, 2, 80)
    mixture = nm.maximize(
        data, weight, nm.spread_start(data, weight, 2, np.random.RandomState(0)), (0, 0), None
    )
    values = []
    for _ in range(20):
        joint = nm.log_joint(mixture, data)
        logs = nm.log_density(joint)
        values.append(weight @ logs)
        mixture = nm.maximize(data, weight, np.exp(joint - logs[:, None]), (0, 0), mixture)
    # The floor of the variances and the prior of the levels are worth next to nothing.
    assert np.all(np.diff(values[1:]) > -0.05)
    assert values[-1] > values[1]
    np.testing.assert_allclose(mixture.levels[0].sum(axis=1), 1)


def test_the_prior_leads_to_one_covariance_and_to_none_between_columns(rng):
    z = rng.normal(size=(60, 3)) @ rng.normal(size=(3, 3))
    start = nm.spread_start(table(z), np.ones(60), 2, np.random.RandomState(0))
    tied = nm.fit(table(z), np.ones(60), start, 1e9, 0.0)
    np.testing.assert_allclose(tied.covariances[0], tied.covariances[1], rtol=1e-5)
    diagonal = nm.fit(table(z), np.ones(60), start, 1e9, 1e9).covariances[0]
    np.testing.assert_allclose(diagonal, np.diag(np.diagonal(diagonal)), atol=1e-5)


def test_a_column_that_is_constant_but_not_zero(rng):
    """Its scatter is a rounding error, of either sign."""
    z = np.c_[rng.normal(size=(60, 2)), np.full(60, -0.3), np.full(60, 1e3 / 7)]
    for K in (1, 3):
        start = nm.spread_start(table(z), np.ones(60), K, rng)
        mixture = nm.fit(table(z), np.ones(60), start, 6.0, 6.0)
        assert np.all(np.isfinite(nm.log_joint(mixture, table(z))))
