"""Readings of averages of networks, against the enumeration of the averaged score."""

import numpy as np
import pytest
from enumeration import FAST, conditional_means, enumerated, few_levels

from sktn import MPSRegressor, MPSRegressorCV
from sktn.inspection import feature_importances, prune, shapley_values, variance_shares
from sktn.inspection.average import _with_constant_sites
from sktn.networks import averages
from sktn.networks import chain as chains


def random_chain(rng, n, D=3, d=2):
    chain = rng.normal(size=(n, D, d, D))
    return chain


@pytest.mark.parametrize("n", [1, 2, 5, 7])
def test_reordered_chains_are_the_same_function(rng, n):
    chain, phi = random_chain(rng, n), rng.normal(size=(9, n, 2))
    target = rng.permutation(n)
    moved = averages.reordered(chain, target, tol=1e-12)
    expected = chains.evaluate(chain, phi)
    np.testing.assert_allclose(chains.evaluate(moved, phi[:, target]), expected, rtol=1e-8)


def test_reordering_keeps_to_its_tolerance(rng):
    chain = random_chain(rng, 6, D=4)
    target = rng.permutation(6)
    loose = averages.reordered(chain, target, tol=0.2)
    exact = averages.reordered(chain, target, tol=1e-13)
    difference = averages.weighted_sum([loose, exact], [1.0, -1.0], tol=0.0)
    norm = np.linalg.norm(chains.right_canonical(exact)[0])
    error = np.linalg.norm(chains.right_canonical(difference)[0]) / norm
    assert 1e-6 < error <= 0.2
    assert loose.shape[1] < exact.shape[1]


@pytest.mark.parametrize("n", [1, 2, 6])
def test_weighted_sums_of_chains(rng, n):
    parts = [random_chain(rng, n, D) for D in (2, 4, 1)]
    phi, weights = rng.normal(size=(5, n, 2)), [0.5, -2.0, 3.0]
    total = averages.weighted_sum(parts, weights)
    expected = sum(w * chains.evaluate(c, phi) for w, c in zip(weights, parts, strict=True))
    np.testing.assert_allclose(chains.evaluate(total, phi), expected, rtol=1e-4, atol=1e-4)
    single = averages.weighted_sum(parts[:1], weights[:1])
    np.testing.assert_allclose(chains.evaluate(single, phi), 0.5 * chains.evaluate(parts[0], phi))


def test_columns_that_a_network_does_not_read_change_nothing(rng):
    chain, phi = random_chain(rng, 3), rng.normal(size=(5, 6, 2))
    phi[:, :, 0] = 1  # the constant
    longer = _with_constant_sites(chain, 6)
    expected = chains.evaluate(chain, phi[:, :3])
    np.testing.assert_allclose(chains.evaluate(longer, phi), expected)
    assert _with_constant_sites(chain, 3) is chain


def check_shares(shares, f, rows, mass):
    variance = mass @ f**2 - (mass @ f) ** 2
    np.testing.assert_allclose(shares.variance, variance, rtol=1e-3)
    for i in range(rows.shape[1]):
        alone = conditional_means(f, rows, mass, [i])
        np.testing.assert_allclose(
            shares.first_order[i], (mass @ alone**2 - (mass @ f) ** 2) / variance, atol=1e-3
        )
        others = [j for j in range(rows.shape[1]) if j != i]
        rest = conditional_means(f, rows, mass, others)
        np.testing.assert_allclose(
            shares.total[i], 1 - (mass @ rest**2 - (mass @ f) ** 2) / variance, atol=1e-3
        )
    np.testing.assert_allclose(shares.by_order.sum(), 1)


def test_shares_of_an_ensemble_are_those_of_its_mean(rng):
    X, y = few_levels(rng)
    model = MPSRegressor(n_estimators=3, **FAST).fit(X, y)
    orders = {tuple(network.order) for network in model.networks_}
    assert len(orders) > 1
    rows, mass = enumerated(X)
    check_shares(variance_shares(model), model.predict(rows), rows, mass)


def test_shares_of_members_with_different_bases_need_rows(rng):
    X, y = few_levels(rng)
    model = MPSRegressorCV(bases=[("standard", 1)], alphas=[0.1], cv=2, random_state=0).fit(X, y)
    # Chosen by hand, so that bases and orders surely differ.
    model.estimators_ = [
        MPSRegressor(**{**FAST, "scaling": "standard", "degree": 1}).fit(X, y),
        MPSRegressor(**{**FAST, "feature_order": [4, 1, 3, 0, 2]}).fit(X, y**2),
    ]
    model.weights_ = np.array([0.4, 0.6])
    with pytest.raises(ValueError, match="pass X"):
        variance_shares(model)
    rows, mass = enumerated(X)
    f = model.predict(rows)
    check_shares(variance_shares(model, X), f, rows, mass)
    # Without rows: the weighted mean of the members' shares.
    expected = sum(
        w * variance_shares(m).total
        for w, m in zip(model.weights_ / model.weights_.sum(), model.estimators_, strict=True)
    )
    np.testing.assert_allclose(feature_importances(model), expected)
    smaller = prune(model, X, features=[1])
    expected = conditional_means(f, rows, mass, [0, 2, 3, 4])
    np.testing.assert_allclose(smaller.model.predict(rows), expected, rtol=1e-4, atol=1e-4)
    explanation = shapley_values(model, X[:3])
    score = explanation.base_values + explanation.values.sum(axis=1)
    np.testing.assert_allclose(score, model.predict(X[:3]), rtol=1e-4)


def test_a_constant_model_has_nothing_to_lose(rng):
    X = rng.normal(size=(40, 3))
    model = MPSRegressor(**FAST).fit(X, np.full(40, 2.0))
    result = prune(model)
    assert result.lost_share == 0
    assert variance_shares(model).variance == pytest.approx(0, abs=1e-20)
    np.testing.assert_allclose(result.model.predict(X), 2.0)
