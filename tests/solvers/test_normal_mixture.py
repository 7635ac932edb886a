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


@pytest.mark.parametrize("gaps", [False, True])
@pytest.mark.parametrize("common", [0.0, 5.0])
def test_a_row_is_held_out_by_a_change_of_rank_one(rng, gaps, common):
    """Beside the mixture of all rows but one copy of it, in the same components."""
    z = np.concatenate(
        [rng.normal(size=(40, 3)) @ rng.normal(size=(3, 3)), rng.normal(size=(30, 3)) + 30]
    )
    if gaps:
        z[rng.uniform(size=z.shape) < 0.1] = np.nan
        z[np.isnan(z).all(axis=1)] = 0.0
    weight, R = np.ones(70), np.repeat(np.eye(2), [40, 30], axis=0)
    weight[::9] = 2
    strength = (common, 0.0)

    def mixture(weight):
        found = nm.maximize(table(z), weight, R, strength, None)
        return nm.maximize(table(z), weight, R, strength, found) if gaps else found

    held_out = nm.held_out_log_density(mixture(weight), table(z), weight, common)
    for j in range(0, 70, 9):
        left = weight - (np.arange(70) == j)
        joint = nm.log_joint(mixture(left), table(z[j : j + 1]))
        error = held_out[j] - nm.log_density(joint)[0]
        assert abs(error) < (0.2 if gaps else 0.02)
    seen = nm.log_density(nm.log_joint(mixture(weight), table(z)))
    assert np.all(held_out < seen + 0.02)


def test_a_component_of_one_row_does_not_know_it_when_it_is_held_out(rng):
    z = np.concatenate([rng.normal(size=(30, 2)), [[40.0, 0.0]]])
    R = np.repeat(np.eye(2), [30, 1], axis=0)
    mixture = nm.maximize(table(z), np.ones(31), R, (4.0, 1.0), None)
    held_out = nm.held_out_log_density(mixture, table(z), np.ones(31), 4.0)
    seen = nm.log_density(nm.log_joint(mixture, table(z)))
    assert held_out[-1] < seen[-1] - 4
    np.testing.assert_allclose(held_out[:-1], seen[:-1], atol=1.5)


def test_more_rows_are_added_as_if_all_had_been_there(rng):
    z = rng.normal(size=(60, 3)) @ rng.normal(size=(3, 3))
    weight = rng.uniform(0.5, 2, 60)
    first, more = slice(0, 40), slice(40, None)
    ones = np.ones((60, 1))
    few = nm.maximize(table(z[first]), weight[first], ones[first], (0, 0), None)
    got = nm.with_rows(few, weight[first].sum(), table(z[more]), weight[more])
    expected = nm.maximize(table(z), weight, ones, (0, 0), None)
    np.testing.assert_allclose(got.means, expected.means)
    np.testing.assert_allclose(got.covariances, expected.covariances, rtol=1e-4)
    z[45, 1] = np.nan
    assert np.isfinite(nm.with_rows(few, 40.0, table(z[more]), weight[more]).covariances).all()


def test_noise_is_a_smallest_variance_in_every_direction(rng):
    z = np.repeat(rng.normal(size=(50, 1)), 2, axis=1)
    mixture = nm.fit(table(z), np.ones(50), np.ones((50, 1)), 0, 0, noise=0.01)
    np.testing.assert_allclose(np.linalg.eigvalsh(mixture.covariances[0])[0], 0.01, rtol=1e-3)
