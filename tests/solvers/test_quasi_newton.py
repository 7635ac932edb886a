"""L-BFGS on all cores: its direction against the dense update, its preconditioner, its end."""

import numpy as np
import pytest
from numpy.testing import assert_allclose

from sktn.networks import graph
from sktn.networks.residual import Residual
from sktn.solvers.als import Stop, squared_error
from sktn.solvers.quasi_newton import _Pairs, _preconditioned, joint


def updated(H, s, y):
    """The BFGS update of an inverse Hessian."""
    V = np.eye(len(s)) - np.outer(s, y) / (s @ y)
    return V @ H @ V.T + np.outer(s, s) / (s @ y)


@pytest.mark.parametrize("n_pairs", [0, 1, 3, 5])
def test_direction_is_that_of_the_dense_update(n_pairs, rng):
    n, memory = 7, 3
    A = rng.normal(size=(n, n))
    hessian, start = A @ A.T + np.eye(n), np.diag(rng.uniform(1, 2, n))
    gradient = rng.normal(size=n)

    def direction(fresh):
        return pairs.direction(gradient, lambda v: v @ start, fresh)

    pairs, kept = _Pairs(memory, gradient), []
    for _ in range(n_pairs):
        s = rng.normal(size=n)
        pairs.append(s, hessian @ s, s @ hessian @ s)
        kept = [*kept, (s, hessian @ s)][-memory:]
        direction(False)  # what H_0 makes of a change is remembered
    H = start
    if kept:
        s, y = kept[-1]
        H = start * (s @ y) / (y @ start @ y)
    for s, y in kept:
        H = updated(H, s, y)
    assert_allclose(direction(False), -H @ gradient, rtol=1e-9)
    start = 2.0 * np.eye(n)
    if kept:
        H = start * (s @ y) / (y @ start @ y)
        for s, y in kept:
            H = updated(H, s, y)
        assert_allclose(direction(True), -H @ gradient, rtol=1e-9)


def test_preconditioner_acts_on_the_bonds_of_every_core(rng):
    R = np.array([[1, 2, 3], [2, 1, 1], [3, 1, 1]])
    cores = graph.random_cores((4, 5, 6), R, rng)
    residual = Residual(rng.normal(size=(4, 5, 6)), cores)
    matrices = [rng.normal(size=(w, w)) for w in (6, 2, 3)]
    vector = residual.vector(cores)
    got = residual.cores(_preconditioned(residual, matrices, vector))
    for k, (core, P) in enumerate(zip(cores, matrices, strict=True)):
        assert_allclose(got[k], graph.folded(graph.unfolded(core, k) @ P, core.shape, k))
    both = _preconditioned(residual, matrices, np.stack([vector, 2 * vector]))
    assert_allclose(both[1], 2 * residual.vector(got))


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_all_cores_reach_the_target_together(dtype, rng):
    R = np.array([[1, 2, 2, 1], [2, 1, 1, 2], [2, 1, 1, 1], [1, 2, 1, 1]])
    X = graph.to_dense(graph.random_cores((5, 4, 6, 3), R, rng, dtype))
    X /= np.linalg.norm(X)
    start = graph.random_cores(X.shape, R, np.random.default_rng(1), dtype)
    fit = joint(X, start, Stop(500, 0.0, 1e-6))
    assert 10 < fit.sweeps < 500  # more than are remembered
    assert fit.error <= 1e-6
    assert squared_error(X, fit.cores) == pytest.approx(fit.error, rel=1e-2)
    assert [core.shape for core in fit.cores] == [core.shape for core in start]
    assert all(core.dtype == dtype for core in fit.cores)
