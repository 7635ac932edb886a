"""Alternating least squares on full and on masked tensors."""

import numpy as np
import pytest
from numpy.testing import assert_allclose

from sktn.networks import graph
from sktn.solvers.als import Stop, als, balance, solve_core, squared_error, update
from sktn.solvers.als_masked import Observed, masked_sweep, observed_error
from sktn.solvers.als_masked import update as masked_update
from sktn.solvers.smoothness import Penalty
from sktn.structure.fixed import complete_matrix


@pytest.fixture
def planted():
    rng = np.random.default_rng(0)
    R = complete_matrix(2, 4)
    cores = graph.random_cores([9, 8, 10, 9], R, rng)
    return graph.to_dense(cores), R, rng


def test_every_update_lowers_the_error_and_reports_it(planted):
    X, R, rng = planted
    cores = graph.random_cores(X.shape, R, rng)
    norm2 = float(np.vdot(X, X))
    last = squared_error(X, cores)
    for _ in range(3):
        for k in range(X.ndim):
            cores[k], error, _ = update(X, cores, k, norm2, 1e-9)
            assert error <= last * (1 + 1e-9)
            assert error == pytest.approx(squared_error(X, cores), rel=1e-6, abs=1e-9 * norm2)
            last = error


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_planted_network_is_found(planted, dtype):
    X, R, rng = planted
    X = X.astype(dtype)
    norm2 = float(np.vdot(X, X))
    stop = Stop(300, target=1e-5 * norm2, give_up=True)
    best = min(
        (als(X, graph.random_cores(X.shape, R, rng, dtype), stop) for _ in range(4)),
        key=lambda fit: fit.error,
    )
    assert best.error <= 1e-5 * norm2
    assert squared_error(X, best.cores) <= 1.2e-5 * norm2
    assert all(core.dtype == dtype for core in best.cores)


def test_singular_and_dead_environments_stay_finite():
    A, B, old = np.zeros((2, 2)), np.ones((3, 2)), np.ones((3, 2))
    assert_allclose(solve_core(A, B, old, 1e-9), old)
    A = np.array([[1.0, 1.0], [1.0, 1.0]])
    assert np.isfinite(solve_core(A, B, old, 1e-9)).all()


def test_balance_keeps_the_tensor(planted):
    X, R, rng = planted
    cores = graph.random_cores(X.shape, R, rng)
    cores[0] = cores[0] * 1e6
    even = balance(cores)
    assert_allclose(graph.to_dense(even), graph.to_dense(cores), rtol=1e-9)
    assert np.ptp([np.linalg.norm(core) for core in even]) < 1e-6 * np.linalg.norm(even[0])


def test_giving_up_saves_sweeps():
    X = np.random.default_rng(3).normal(size=(8, 8, 8))
    start = graph.random_cores(X.shape, complete_matrix(2, 3), np.random.default_rng(0))
    target = 1e-4 * float(np.vdot(X, X))
    early = als(X, start, Stop(200, 0.0, target, give_up=True))
    assert early.sweeps < 100


NO_PENALTY = Penalty({}, {})


def masked_problem():
    rng = np.random.default_rng(5)
    R = complete_matrix(2, 3)
    X = graph.to_dense(graph.random_cores([12, 13, 14], R, rng))
    W = (rng.random(X.shape) < 0.5).astype(float)
    return X, W, R, rng


def test_masked_update_is_least_squares_on_observed_entries():
    X, W, R, rng = masked_problem()
    cores = graph.random_cores(X.shape, R, rng)
    observed = Observed(X * W, W)
    core = masked_update(observed, cores, 1, NO_PENALTY, ridge=0.0, steps=200)
    env = graph.environment(cores, 1)
    data, mask = np.moveaxis(X, 1, 0).reshape(13, -1), np.moveaxis(W, 1, 0).reshape(13, -1)
    for row in range(13):
        on = mask[row] > 0
        exact = np.linalg.lstsq(env[on], data[row, on], rcond=None)[0]
        assert_allclose(np.moveaxis(core, 1, 0).reshape(13, -1)[row], exact, rtol=1e-3, atol=1e-4)


def test_masked_sweeps_complete_a_planted_network():
    X, W, R, rng = masked_problem()
    observed = Observed(X * W, W)
    for _ in range(6):  # A random start may end in a local minimum; one of a few does not.
        cores = graph.random_cores(X.shape, R, rng)
        for _ in range(60):
            cores = masked_sweep(observed, cores, ridge=1e-6, steps=5)
        if observed_error(observed, cores) < 1e-4 * np.sum((X * W) ** 2):
            break
    assert observed_error(observed, cores) < 1e-4 * np.sum((X * W) ** 2)
    assert np.linalg.norm(graph.to_dense(cores) - X) < 0.05 * np.linalg.norm(X)
