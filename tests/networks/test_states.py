"""Rows that are matrix product states, against dense contractions."""

import jax
import numpy as np
import pytest

from sktn.networks import mps, states

# One program each is faster than one for every operation.
split = jax.jit(states.split, static_argnums=(1, 2))
contract = jax.jit(states.contract, static_argnums=3)


@pytest.fixture(autouse=True)
def _double_precision():
    with jax.enable_x64(True):
        yield


@pytest.mark.parametrize(("d", "q"), [(2, 1), (2, 2), (2, 5), (3, 3)])
def test_split_without_truncation_is_exact(rng, d, q):
    vectors = rng.normal(size=(3, d**q))
    chains = split(vectors, d, 100)
    np.testing.assert_allclose(states.to_dense(chains).reshape(3, -1), vectors, atol=1e-12)


def test_truncation_is_the_best_at_a_single_cut(rng):
    vectors = rng.normal(size=(2, 16))
    # Two sites of dimension 4: one cut, where Eckart and Young hold.
    chains = states.to_dense(split(vectors, 4, 2)).reshape(2, 4, 4)
    for chain, vector in zip(chains, vectors.reshape(2, 4, 4), strict=True):
        lost = np.linalg.svd(vector, compute_uv=False)[2:]
        np.testing.assert_allclose(((chain - vector) ** 2).sum(), (lost**2).sum())


def test_split_refuses_other_lengths():
    with pytest.raises(ValueError, match="6 numbers"):
        states.split(np.zeros((1, 6)), 2, 4)


@pytest.mark.parametrize("p", [0, 2, 6])
def test_contraction_agrees_with_the_dense_one(rng, p):
    # Two patches of three sites each, joined.
    patches = rng.normal(size=(4, 2, 8))
    chains = np.concatenate([split(patches[:, k], 2, 4) for k in range(2)], axis=1)
    cores, readout = rng.normal(size=(6, 3, 2, 3)), rng.normal(size=(3, 2, 3))
    out, log_scale = contract(cores, readout, chains, p)
    W = mps.to_dense(cores, readout, p).reshape(8, 8, 2)
    expected = np.einsum("bi,bj,ijc->bc", patches[:, 0], patches[:, 1], W)
    np.testing.assert_allclose(out * np.exp(log_scale)[:, None], expected, rtol=1e-10)


def test_product_states_are_bond_dimension_one(rng):
    cores, readout = rng.normal(size=(5, 3, 2, 3)), rng.normal(size=(3, 2, 3))
    phi = rng.normal(size=(4, 5, 2))
    out, log_scale = contract(cores, readout, states.from_product(phi), 2)
    expected, expected_log_scale = mps.contract(cores, readout, phi, 2)
    np.testing.assert_allclose(
        out * np.exp(log_scale)[:, None], expected * np.exp(expected_log_scale)[:, None]
    )


@pytest.mark.parametrize("encode", [states.amplitude_vectors, states.flexible_image_vectors])
@pytest.mark.parametrize("n_pixels", [1, 4, 6])
def test_encodings_are_unit_vectors_on_black_patches_too(rng, encode, n_pixels):
    pixels = np.concatenate([rng.uniform(size=(3, n_pixels)), np.zeros((1, n_pixels))])
    np.testing.assert_allclose((np.asarray(encode(pixels)) ** 2).sum(axis=1), 1)


def test_amplitudes_are_square_roots(rng):
    pixels = rng.uniform(size=(2, 4))
    vectors = np.asarray(states.amplitude_vectors(pixels))
    np.testing.assert_allclose(vectors**2, pixels / pixels.sum(axis=1, keepdims=True))


def test_colour_is_the_last_site_of_a_flexible_image():
    vectors = np.asarray(states.flexible_image_vectors(np.array([[0.0, 1.0]])))
    np.testing.assert_allclose(vectors, np.array([[1, 0, 0, 1]]) / np.sqrt(2), atol=1e-15)


def test_long_chains_stay_finite_in_float32(rng):
    cores = rng.normal(size=(1500, 4, 2, 4)).astype(np.float32)
    chains = rng.normal(size=(2, 1500, 3, 2, 3)).astype(np.float32)
    readout = rng.normal(size=(4, 2, 4)).astype(np.float32)
    out, log_scale = contract(cores, readout, chains, 700)
    assert out.dtype == np.float32
    assert np.isfinite(out).all()
    assert np.isfinite(log_scale).all()
