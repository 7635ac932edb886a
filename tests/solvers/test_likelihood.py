"""One sweep at every strength of a ridge: what the steps say of themselves."""

import numpy as np
import pytest

from sktn.solvers import born_sweep, likelihood


def problem(rng, n_rows=40, D=2, dims=(3, 2, 4)):
    bonds = [1, *[D] * (len(dims) - 1), 1]
    cores = [rng.normal(size=(bonds[k], d, 1, bonds[k + 1])) for k, d in enumerate(dims)]
    sites = [rng.normal(size=(n_rows, 1, d)) for d in dims]
    return cores, sites, [np.arange(d, dtype=float) for d in dims]


def dense(cores):
    out = np.ones((1, 1))
    for core in cores:
        out = np.tensordot(out, core[:, :, 0], 1)
    return out[0, ..., 0]


def test_a_strength_is_settled_when_a_second_sweep_gains_little(rng):
    cores, sites, degrees = problem(rng)
    alphas, tol = [0.3, 0.1, *[0.05] * 25], 1e-3
    steps = list(likelihood.path(cores, sites, np.ones(40), degrees, alphas, tol=tol))
    assert [step.alpha for step in steps] == alphas
    losses = np.array([step.loss for step in steps])
    expected = [False] + [
        alphas[k] == alphas[k - 1] and losses[k - 1] - losses[k] < tol for k in range(1, len(steps))
    ]
    assert [step.settled for step in steps] == expected
    assert not expected[3]  # a second sweep still gains
    assert expected[-1]
    assert np.all(np.diff(losses[2:]) <= 1e-12)


def test_steps_are_normed_densities_that_pay_for_degrees(rng):
    cores, sites, degrees = problem(rng)
    weight = rng.integers(0, 3, 40) / 2.0
    alpha = 0.7
    (step,) = likelihood.path(cores, sites, weight, degrees, [alpha], tol=1e-3)
    psi = dense(step.cores)
    assert np.sum(psi**2) == pytest.approx(1)
    values = np.einsum("abc,na,nb,nc->n", psi, *[x[:, 0] for x in sites])
    np.testing.assert_allclose(step.logs, np.log(values**2), atol=1e-10)
    # The loss is that of the functions divided by sqrt(1 + alpha k^2).
    roots = [np.sqrt(1 + alpha * s**2) for s in degrees]
    heavy = psi * np.einsum("a,b,c->abc", *roots)
    expected = np.log(values**2) - np.log(np.sum(heavy**2))
    assert step.loss == pytest.approx(-np.average(expected, weights=weight))


def test_a_root_stays_where_single_precision_holds_its_square():
    root = likelihood._roots(1e30, np.array([0, 1, 3], np.float32))
    assert root[0] == 1
    assert np.isfinite(root**2).all()
    np.testing.assert_allclose(likelihood._roots(2.0, np.array([0.0, 1, 3])) ** 2, [1, 3, 19])


def test_the_objective_is_the_weighted_mean(rng):
    weight, logs = rng.integers(0, 3, 9) / 2.0, rng.normal(size=9)
    objective = born_sweep.LogLikelihood(weight)
    assert objective.value(logs) == pytest.approx(-np.average(logs, weights=weight))
