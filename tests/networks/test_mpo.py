"""The algebra of matrix product operators against dense matrices."""

import jax
import numpy as np
import pytest

from sktn.networks import born, mpo


@pytest.fixture(autouse=True)
def _double_precision():
    with jax.enable_x64(True):
        yield


def operator(rng, n=3, D=2, d=2, o=2):
    return rng.normal(size=(n, D, d, o, D))


def matrix(cores):
    """Inputs to outputs: (o^n, d^n)"""
    n, _, d, o, _ = cores.shape
    return mpo.to_dense(cores).reshape(d**n, o**n).T


def test_composition_is_the_matrix_product(rng):
    P, Q = operator(rng, o=3), operator(rng, D=3, d=3, o=2)
    np.testing.assert_allclose(matrix(mpo.compose(P, Q)), matrix(Q) @ matrix(P), rtol=1e-10)


@pytest.mark.parametrize("n", [1, 2, 4])
def test_sum(rng, n):
    P, Q = operator(rng, n), operator(rng, n, D=3)
    np.testing.assert_allclose(matrix(mpo.add(P, Q)), matrix(P) + matrix(Q), atol=1e-10)


def test_adjoint_is_the_transpose(rng):
    P = operator(rng, o=3)
    np.testing.assert_allclose(matrix(mpo.adjoint(P)), matrix(P).T)


def test_trace(rng):
    P = operator(rng)
    value, log_scale = mpo.trace(P)
    np.testing.assert_allclose(value * np.exp(log_scale), np.trace(matrix(P)), rtol=1e-10)


def test_identity(rng):
    one = mpo.identity(3, 2, np.float64)
    np.testing.assert_allclose(matrix(one), np.eye(8))
    P = operator(rng)
    np.testing.assert_allclose(matrix(mpo.compose(one, P)), matrix(P))


def test_applied_to_a_state(rng):
    P, state = operator(rng, o=3), rng.normal(size=(3, 2, 2, 2))
    applied = born.to_dense(mpo.apply_to_state(P, state))
    np.testing.assert_allclose(applied.ravel(), matrix(P) @ born.to_dense(state).ravel())
