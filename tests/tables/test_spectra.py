"""Smooth and rough parts of a column's prior, and bases with as many components as it needs."""

import numpy as np
import pytest

from sktn.tables.basis import embed
from sktn.tables.penalty import penalty_weights
from sktn.tables.sites import make_sites
from sktn.tables.spectra import rough_parts, telling_degrees, up_to, with_spectra


@pytest.fixture
def sites(rng):
    """Two numeric columns, one of them with gaps that have a component, and three levels."""
    X = rng.normal(size=(300, 3))
    X[:, 2] = rng.integers(3, size=300)
    X[::7, 1] = np.nan
    kinds = [False, False, True]
    return make_sites(
        X, np.ones(300), np.array(kinds), embedding="fourier", degree=12, missing="indicator"
    )


def variances(basis, relevance=1.0):
    g = penalty_weights(basis, 1.0, 1.0, relevance)
    return np.where(basis.degrees > 0, 1 / g, 0)


def test_both_parts_have_the_same_variance(sites):
    parts = rough_parts(sites.basis, 1.0)
    smooth, rough = (variances(sites.basis) * part for part in parts)
    np.testing.assert_allclose(smooth.sum(axis=1), rough.sum(axis=1), rtol=1e-5)
    # Of one degree only, there is nothing to tell apart.
    np.testing.assert_allclose(smooth[2], rough[2], rtol=1e-5)
    assert rough[0, 12] > 10 * smooth[0, 12]


def test_components_vary_as_the_mean_of_the_parts(sites):
    shares = np.array([[0.3, 0.7], [1.0, 0.0], [1.0, 0.0]])
    basis = with_spectra(sites.basis, 1.0, shares)
    parts = rough_parts(sites.basis, 1.0)
    expected = variances(sites.basis) * np.einsum("np,pnd->nd", shares, parts)
    np.testing.assert_allclose(variances(basis), expected, rtol=1e-5)


def test_degrees_that_say_nothing_are_found(sites):
    shares = np.array([[0.0, 1.0], [1.0, 0.0], [1.0, 0.0]])
    basis = with_spectra(sites.basis, 1.0, shares)
    relevance = np.array([1.0, 0.1, 1.0])
    largest = telling_degrees(basis, 1.0, relevance)
    assert largest[0] == 12
    assert largest[1] < 6
    kept = variances(up_to(basis, largest), relevance).sum()
    assert 0.98 <= kept / variances(basis, relevance).sum() < 1


def test_components_up_to_a_degree_are_what_they_were(sites):
    basis = up_to(sites.basis, np.array([3.0, 5.0, 1.0]))
    full, phi = (embed(b, sites.coords) for b in (sites.basis, basis))
    assert basis.dim == 7  # the constant, five degrees, and the gap of the second column
    np.testing.assert_allclose(phi[:, 0, :4], full[:, 0, :4], atol=1e-12)
    np.testing.assert_array_equal(phi[:, 0, 4:], 0)
    np.testing.assert_allclose(phi[:, 1], full[:, 1][:, [0, 1, 2, 3, 4, 5, 13]], atol=1e-12)
    np.testing.assert_allclose(phi[:, 2, :3], full[:, 2, :3], atol=1e-12)
    weights = np.full(len(phi), 1 / len(phi))
    gram = np.einsum("b,bns,bnt->nst", weights, phi, phi)
    np.testing.assert_allclose(gram, basis.gram, atol=1e-8)
    np.testing.assert_allclose(weights @ phi.reshape(len(phi), -1), basis.mean.ravel(), atol=1e-8)
