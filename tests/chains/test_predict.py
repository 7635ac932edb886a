"""The forward pass of a fitted chain: NumPy's loop over trimmed cores and the compiled one."""

from dataclasses import replace

import numpy as np
import pytest

import sktn
from sktn.chains import predict
from sktn.networks import mps
from sktn.tables.sites import make_sites


def table_and_network(rng, n=5, D=4, c=2, output_site=2, dtype=np.float64, bonds=None):
    X = rng.normal(size=(70, n)).astype(dtype)
    X[:, 1] = rng.integers(3, size=70)
    X[::7, 0] = np.nan
    X[3, 1] = np.nan
    sites = make_sites(X, None, np.arange(n) == 1, dtype=dtype)
    shape = (max(output_site, n - output_site), 2, D, sites.dim, D)
    arms = (rng.normal(size=shape) / np.sqrt(D)).astype(dtype)
    if bonds is not None:
        arms[..., bonds:] = 0
    readout = rng.normal(size=(D, c, D)).astype(dtype)
    return sites, mps.from_padded(arms, readout, rng.permutation(n), output_site)


def dense_scores(sites, network):
    """The reference: the whole weight tensor against the product of the site vectors."""
    out, n = np.ones((1, 1)), sites.n_sites
    chain = network.cores()
    chain.insert(network.output_site, network.readout)
    for core in chain:
        out = np.einsum("kl,lsr->ksr", out, core.astype(np.float64)).reshape(-1, core.shape[2])
    shape = [core.shape[1] for core in chain]
    out = np.moveaxis(out.reshape(shape), network.output_site, n)[None]
    phi = sites.vectors().astype(np.float64)
    out = np.repeat(out, len(phi), axis=0)
    for i in network.order:
        out = np.einsum("bs...,bs->b...", out, phi[:, i])
    return out


@pytest.mark.parametrize("output_site", [0, 2, 5])
@pytest.mark.parametrize("bonds", [None, 2])
def test_scores_are_the_dense_contraction(executor, output_site, bonds, rng):
    sites, network = table_and_network(rng, output_site=output_site, bonds=bonds)
    with sktn.config_context(backend=executor.name):
        found = predict.scores(sites.basis, network, sites.coords)
    np.testing.assert_allclose(found, dense_scores(sites, network), rtol=1e-9, atol=1e-11)


@pytest.mark.parametrize("overflows", [False, True])
def test_many_rows_are_told_in_single_precision_where_that_is_enough(rng, monkeypatch, overflows):
    sites, network = table_and_network(rng)
    if overflows:
        network = replace(network, readout=1e45 * network.readout)
    expected, asked = predict.scores(sites.basis, network, sites.coords), []
    compute = predict._scores

    def watched(basis, network, rows):
        asked.append((len(rows), rows.dtype))
        return compute(basis, network, rows)

    monkeypatch.setattr(predict, "_scores", watched)
    monkeypatch.setattr(predict, "_MANY_ROWS", 70)
    monkeypatch.setattr(predict, "_ASKED_ROWS", 7)
    found = predict.scores(sites.basis, network, sites.coords)
    assert found.dtype == np.float64
    assert sum(size for size, dtype in asked if dtype == np.float64) == (77 if overflows else 7)
    error = np.abs(found - expected).max() / np.abs(expected).max()
    assert error == 0 if overflows else 0 < error < 1e-5
    # What is a difference of large numbers keeps all digits.
    monkeypatch.setattr(predict, "_MISSED", 0.0)
    found = predict.scores(sites.basis, network, sites.coords)
    np.testing.assert_allclose(found, expected, rtol=1e-12)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_the_executors_agree_on_scores_and_bond_vectors(dtype, rng):
    sites, network = table_and_network(rng, n=40, D=5, output_site=13, dtype=dtype)
    # The product of either arm leaves the range of float32, that of both does not.
    sizes = np.repeat([1e4, 1e-4], 20)[:, None] * np.ones(sites.dim)
    network = network.scaled(sizes)
    found = {}
    for name in ("numpy", "jax"):
        with sktn.config_context(backend=name):
            found[name] = [
                function(sites.basis, network, sites.coords)
                for function in (predict.bond_vectors, predict.scores)
            ]
    tolerance = 1e-3 if dtype == np.float32 else 1e-10
    vectors, others = found["numpy"][0], found["jax"][0]
    assert vectors.dtype == others.dtype == dtype
    finite = np.isfinite(others)
    np.testing.assert_array_equal(np.isfinite(vectors), finite)
    size = np.abs(others[finite]).max()
    np.testing.assert_allclose(vectors[finite] / size, others[finite] / size, atol=tolerance)


def test_a_network_without_bonds_scores_zero(executor, rng):
    sites, network = table_and_network(rng)
    network = network.scaled(np.zeros((5, sites.dim)))
    with sktn.config_context(backend=executor.name):
        assert not predict.scores(sites.basis, network, sites.coords).any()


def test_scores_do_not_depend_on_the_blocks(rng, monkeypatch):
    from sktn import backend

    sites, network = table_and_network(rng)
    whole = predict.scores(sites.basis, network, sites.coords)
    monkeypatch.setattr(backend.executors, "_NUMPY_BLOCK", 400)
    np.testing.assert_allclose(predict.scores(sites.basis, network, sites.coords), whole)
