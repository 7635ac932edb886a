"""Periodic chains against their dense tensors."""

import jax
import numpy as np
import pytest

from sktn.networks import born, ring


@pytest.fixture(autouse=True)
def _double_precision():
    with jax.enable_x64(True):
        yield


def dense_values(tensor, phi):
    values = []
    for x in phi:
        T = tensor
        for vector in x:
            T = np.tensordot(vector, T, axes=(0, 0))
        values.append(T)
    return np.array(values)


@pytest.mark.parametrize(("n", "D", "d"), [(1, 3, 2), (2, 1, 3), (5, 3, 2)])
def test_values_and_norm_agree_with_the_dense_ring(rng, n, D, d):
    cores, phi = rng.normal(size=(n, D, d, D)), rng.normal(size=(4, n, d))
    dense = ring.to_dense(cores)
    out, log_scale = ring.contract(cores, phi)
    np.testing.assert_allclose(out * np.exp(log_scale), dense_values(dense, phi), rtol=1e-10)
    np.testing.assert_allclose(ring.log_squared_norm(cores), np.log((dense**2).sum()), rtol=1e-10)


def test_dense_is_the_trace_of_products(rng):
    cores = rng.normal(size=(3, 2, 2, 2))
    expected = np.einsum("asb,btc,cua->stu", *cores)
    np.testing.assert_allclose(ring.to_dense(cores), expected)


def test_inner_product_with_a_metric(rng):
    cores, other = rng.normal(size=(3, 2, 2, 2)), rng.normal(size=(3, 4, 2, 4))
    metric = rng.normal(size=(3, 2, 2))
    value, log_scale = ring.inner(cores, other, metric)
    expected = np.einsum("abc,ad,be,cf,def", ring.to_dense(cores), *metric, ring.to_dense(other))
    np.testing.assert_allclose(value * np.exp(log_scale), expected, rtol=1e-10)


def test_readout_closes_the_ring(rng):
    cores, readout, phi = (rng.normal(size=s) for s in [(3, 2, 2, 2), (2, 4, 2), (5, 3, 2)])
    out, log_scale = ring.contract_readout(cores, readout, phi)
    closed = [ring.to_dense(np.concatenate([cores, readout[None, :, [k] * 2]])) for k in range(4)]
    for k, dense in enumerate(closed):
        expected = dense_values(dense[..., 0], phi)
        np.testing.assert_allclose(out[:, k] * np.exp(log_scale), expected, rtol=1e-10)


@pytest.mark.parametrize("n", [2, 4])
def test_an_open_chain_holds_every_ring(rng, n):
    cores = rng.normal(size=(n, 3, 2, 3))
    np.testing.assert_allclose(born.to_dense(ring.to_open(cores)), ring.to_dense(cores))


def test_long_rings_stay_finite_in_float32(rng):
    cores = rng.normal(size=(1500, 4, 2, 4)).astype(np.float32)
    phi = rng.normal(size=(2, 1500, 2)).astype(np.float32)
    out, log_scale = ring.contract(cores, phi)
    assert out.dtype == np.float32
    assert np.isfinite(out).all()
    assert np.isfinite(log_scale).all()
    assert np.isfinite(ring.log_squared_norm(cores))
