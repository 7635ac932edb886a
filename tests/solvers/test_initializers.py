"""Starts of a chain: what they represent, and that they can be trained from."""

import numpy as np
import pytest
from sklearn.datasets import load_iris

from sktn import MPSClassifier
from sktn.chains.solvers import LBFGS
from sktn.initializers import STARTS, linear, near_constant, product_state
from sktn.networks import folding, mps

N, D, C, COMPONENTS = 5, 4, 3, 3


@pytest.fixture
def mask():
    """Five sites of three components, one of which has two; the first place of arm 0 is padding."""
    full = np.ones((N + 1, COMPONENTS))
    full[1, 2] = 0
    full[N, 1:] = 0
    return full[folding.site_index(N, 2)]


def values(arms, readout, phi):
    index = folding.site_index(N, 2)
    out, log_scale = mps.contract_arms(arms, readout, folding.fold_inputs(phi, index))
    return np.asarray(out * np.exp(log_scale)[:, None])


@pytest.fixture
def phi(rng):
    phi = rng.normal(size=(6, N, COMPONENTS))
    phi[..., 0] = 1
    phi[:, 1, 2] = 0
    return phi.astype(np.float32)


@pytest.mark.parametrize("name", STARTS)
def test_shapes_masks_and_sizes(rng, mask, phi, name):
    arms, readout = STARTS[name](rng, N, D, C, mask, np.float32)
    assert arms.shape == (3, 2, D, COMPONENTS, D)
    assert readout.shape == (D, C, D)
    assert arms.dtype == readout.dtype == np.float32
    absent = np.broadcast_to((mask == 0)[:, :, None, :, None], arms.shape)
    np.testing.assert_array_equal(arms[absent], 0)
    assert np.abs(values(arms, readout, phi)).max() < 100


@pytest.mark.parametrize("name", sorted(set(STARTS) - {"constant", "identity"}))
def test_padding_passes_vectors_on(rng, mask, name):
    arms, _ = STARTS[name](rng, N, D, C, mask, np.float32)
    np.testing.assert_array_equal(arms[0, 0, :, 0], np.eye(D))


def test_isometries(rng, mask):
    arms, _ = STARTS["isometric"](rng, N, D, C, mask, np.float64)
    for core in arms.reshape(-1, D * COMPONENTS, D):
        np.testing.assert_allclose(core.T @ core, np.eye(D), atol=1e-12)


def test_the_identity_without_noise_multiplies_sums(rng, mask, phi):
    arms, readout = STARTS["identity"](rng, N, D, C, mask, np.float32, noise=0.0)
    readout[0, :, 0] = 1
    components = np.array([3, 2, 3, 3, 3])
    expected = np.prod(phi.sum(axis=2) / np.sqrt(components), axis=1)
    np.testing.assert_allclose(values(arms, readout, phi)[:, 0], expected, rtol=1e-4)


def test_the_copy_tensor_sums_products_of_components(rng, mask, phi):
    arms, readout = STARTS["copy"](rng, N, D, C, mask, np.float32, noise=0.0)
    # Both arms start at bond index 0: only the first components are reached.
    np.testing.assert_allclose(
        values(arms, readout, phi), np.tile(readout[0, :, 0], (6, 1)), rtol=1e-5
    )


def test_a_product_state_multiplies_overlaps(rng, mask, phi):
    vectors = rng.normal(size=(3, 2, COMPONENTS))
    vectors[0, 0] = [1, 0, 0]
    arms, readout = product_state(rng, N, D, C, mask, np.float32, vectors, noise=0.0)
    readout[0, :, 0] = 1
    overlaps = np.einsum(
        "htbs,hts->bht", folding.fold_inputs(phi, folding.site_index(N, 2)), vectors
    )
    expected = overlaps.reshape(6, -1).prod(axis=1)
    np.testing.assert_allclose(values(arms, readout, phi)[:, 0], expected, rtol=1e-3, atol=1e-5)


def test_a_linear_model_is_exact(rng, mask, phi):
    index = folding.site_index(N, 2)
    weights = rng.normal(size=(N + 1, COMPONENTS, C))
    weights[N] = 0
    intercept = rng.normal(size=C)
    arms, readout = linear(rng, N, D, C, mask, np.float32, (weights[index], intercept))
    expected = intercept + np.einsum("bis,isc->bc", phi, weights[:N])
    np.testing.assert_allclose(values(arms, readout, phi), expected, rtol=1e-4, atol=1e-4)
    with pytest.raises(ValueError, match="bond_dim >= 4"):
        linear(rng, N, 3, C, mask, np.float32, (weights[index], intercept))


def test_near_constant_starts_at_zero(rng, mask, phi):
    arms, readout = near_constant(rng, N, D, C, mask, np.float32, noise=0.0)
    np.testing.assert_array_equal(values(arms, readout, phi), 0)


@pytest.mark.parametrize("init", ["isometric", near_constant])
@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
def test_estimators_take_names_and_functions(init):
    # The shapes and iterations of test_classification.py, whose program serves here.
    X, y = load_iris(return_X_y=True)
    model = MPSClassifier(
        solver=LBFGS(init=init, max_iter=50), bond_dim=4, degree=3, alpha=0.1, random_state=0
    )
    assert model.fit(X, y).score(X, y) > 0.95
