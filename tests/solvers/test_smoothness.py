"""The smoothness penalty: its form, its gradient, and what it does to networks and residuals."""

import numpy as np
import pytest
from numpy.testing import assert_allclose

from sktn.networks import graph
from sktn.solvers import als_masked, smoothness
from sktn.solvers.als_masked import Observed, masked_sweep, observed_error, update
from sktn.solvers.conjugate import conjugate_gradient
from sktn.structure.fixed import complete_matrix


@pytest.fixture
def problem():
    """A smooth field of three channels that share their pattern, a third of it observed."""
    rng = np.random.default_rng(0)
    y, x = np.meshgrid(np.linspace(0, 1, 18), np.linspace(0, 1, 20), indexing="ij")
    gray = np.sin(5 * x) * np.cos(4 * y)
    X = gray[:, :, None] * np.array([1.0, 0.8, 0.9]) + 0.02 * np.stack([x, y, -x], axis=2)
    W = (rng.random(X.shape) < 0.3).astype(float)
    return X, Observed(X * W, W), rng


def test_conjugate_gradients_solve():
    rng = np.random.default_rng(0)
    A = rng.normal(size=(6, 6))
    A = A @ A.T + np.eye(6)
    b = rng.normal(size=6)
    found = conjugate_gradient(
        lambda v: A @ v, lambda r: r / np.diag(A), np.zeros(6), b, 30, tol=1e-30
    )
    assert_allclose(found, np.linalg.solve(A, b), rtol=1e-8)


def test_prior_is_measured_on_observed_neighbours(problem):
    X, observed, _ = problem
    found = smoothness.prior(observed, (0, 1))
    assert found.joint == (2,)
    for j in (0, 1):
        assert found.steps[j] == pytest.approx(np.abs(np.diff(X, axis=j)).mean(), rel=0.15)
    nothing = smoothness.prior(Observed(X * 0, X * 0), (0, 1))
    assert nothing.steps == {0: 1.0, 1: 1.0}


def quadratic(form, values):
    """sum_j sum w_j d^T P d by its definition, with one joint mode at the end."""
    P = form.metrics[2]
    return sum(
        np.sum(w[..., 0] * np.einsum("abc,cd,abd->ab", d, P, d))
        for j, w in form.weights.items()
        for d in [np.diff(values, axis=j)]
    )


def test_form_gradient_and_diagonal(problem):
    X, observed, rng = problem
    form = smoothness.penalty(X, smoothness.prior(observed, (0, 1)), 1e-2)
    V = rng.normal(size=X.shape)
    assert np.vdot(V, form.gradient(V)) == pytest.approx(quadratic(form, V))
    diagonal = form.diagonal(X.shape)
    unit = np.zeros(X.shape)
    unit[3, 4, 1] = 1.0
    assert diagonal[3, 4, 1] == pytest.approx(quadratic(form, unit), rel=1e-5)
    moved = form.along(1).gradient(np.moveaxis(V, 1, 0))
    assert_allclose(np.moveaxis(moved, 0, 1), form.gradient(V), atol=1e-12)


@pytest.mark.parametrize("first", [0, 2])
def test_gradient_in_blocks_is_that_of_the_whole(problem, monkeypatch, first):
    """The steps between blocks count, and a joint first mode (mode 2) is never cut."""
    X, observed, rng = problem
    form = smoothness.penalty(X, smoothness.prior(observed, (0, 1)), 1e-2).along(first)
    V = rng.normal(size=np.moveaxis(X, first, 0).shape)
    whole = form.gradient(V)
    for rows in (1, 7):
        monkeypatch.setattr(smoothness, "_BLOCK", rows * V[0].size)
        assert_allclose(form.gradient(V), whole, atol=1e-12)


def test_edges_are_penalised_less_and_rare_directions_more(problem):
    X, observed, _ = problem
    stepped = X.copy()
    stepped[9:] += 3.0
    form = smoothness.penalty(stepped, smoothness.prior(observed, (0, 1)), 1e-3)
    assert form.weights[0][8].max() < 0.2 * form.weights[0][4].max()
    P = form.metrics[2]
    common, rare = np.array([1.0, 0.8, 0.9]), np.array([1.0, -1.0, 0.0])
    assert rare @ P @ rare > 5.0 * common @ P @ common


def test_masked_sweeps_lower_the_penalised_objective(problem):
    X, observed, rng = problem
    cores = graph.random_cores(X.shape, complete_matrix(2, 3), rng)
    form = smoothness.penalty(graph.to_dense(cores), smoothness.prior(observed, (0, 1)), 1e-2)

    def objective(cores):
        return observed_error(observed, cores) + observed.density * quadratic(
            form, graph.to_dense(cores)
        )

    last = objective(cores)
    for k in range(3):
        cores[k] = update(observed, cores, k, form, ridge=0.0)
        assert objective(cores) < last
        last = objective(cores)
    assert objective(masked_sweep(observed, cores, form, ridge=0.0)) < last


@pytest.mark.parametrize("k", [0, 1, 2])
def test_updates_do_without_the_environment(problem, monkeypatch, k):
    X, observed, rng = problem
    cores = graph.random_cores(X.shape, complete_matrix(2, 3), rng)
    form = smoothness.penalty(graph.to_dense(cores), smoothness.prior(observed, (0, 1)), 1e-2)
    with_it = update(observed, cores, k, form)
    monkeypatch.setattr(als_masked, "_SHORT", 0.0)
    monkeypatch.setattr(als_masked.graph, "environment", None)
    assert_allclose(update(observed, cores, k, form), with_it, rtol=1e-8)


def test_smooth_residual_fills_what_a_network_leaves(problem):
    X, observed, _ = problem
    form = smoothness.penalty(X, smoothness.prior(observed, (0, 1)), 1e-2)
    start = np.zeros(X.shape)
    filled = smoothness.smooth_residual(observed, start, form, 1e-3, steps=60)
    assert np.linalg.norm(filled - X) < 0.2 * np.linalg.norm(X)
    held = smoothness.smooth_residual(observed, start, form, 1e6, steps=60)
    assert np.linalg.norm(held) < 1e-3 * np.linalg.norm(X)


@pytest.mark.parametrize("noise", [1e-4, 1e-8, 1e-12])
def test_metric_stays_positive_definite_in_single_precision(noise):
    t = np.linspace(0.0, 1.0, 20)
    layers = [np.sin(3 * t[:, None] + 2 * t + 0.2 * k) * (1 + 0.1 * k) for k in range(10)]
    dense = np.stack(layers, axis=1).astype(np.float32)
    P = smoothness._metric(dense, {0: 0.1, 2: 0.1}, 1, noise)
    assert P.dtype == np.float32
    assert np.linalg.eigvalsh(P.astype(np.float64)).min() > 0.0


def test_a_noise_beyond_the_precision_of_the_entries(problem):
    """Nothing is an edge then; a limit cast to single precision overflowed."""
    X, observed, _ = problem
    form = smoothness.penalty(X.astype(np.float32), smoothness.prior(observed, (0, 1)), 1e300)
    for weight in form.weights.values():
        assert_allclose(weight, 1.0)
