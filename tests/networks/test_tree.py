"""Trees: contraction, dense form, what a sum of product states becomes."""

import pickle

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sktn.networks import tree
from sktn.networks.rounding import compress
from sktn.networks.tree import TTN
from sktn.networks.tree_rounding import compress_tree


def random_merges(rng, n):
    """A random binary tree of n sites."""
    if n < 2:
        return np.array([[0, -1]])
    alive, merges = list(range(n)), []
    while len(alive) > 1:
        pair = rng.choice(len(alive), 2, replace=False)
        merges.append([alive[k] for k in pair])
        alive = [a for k, a in enumerate(alive) if k not in pair] + [n + len(merges) - 1]
    return np.array(merges)


def random_tree(rng, n=5, d=3, D=4, c=2, dtype=np.float64):
    merges = random_merges(rng, n)
    ranks = [*rng.integers(1, D + 1, n + len(merges) - 1), 1]
    leaves = tuple(rng.normal(size=(d, ranks[i])).astype(dtype) for i in range(n))
    cores = tuple(
        rng.normal(size=(ranks[a], ranks[b], ranks[n + j])).astype(dtype)
        for j, (a, b) in enumerate(merges[:-1])
    )
    a, b = merges[-1]
    return TTN(leaves, cores, rng.normal(size=(ranks[a], c, ranks[b])).astype(dtype), merges)


def dense_scores(tensor, phi):
    """tensor (d, .., d, c), phi (b, n, d) -> (b, c)"""
    out = np.broadcast_to(tensor, (len(phi), *tensor.shape))
    for i in range(phi.shape[1]):
        out = np.einsum("bd...,bd->b...", out, phi[:, i])
    return out


def product_states(rng, n, m=6, d=3, c=2, dtype=np.float64):
    """Site vectors (n, m, d) whose first component is 1, coefficients (m, c)."""
    sites = rng.normal(size=(n, m, d)).astype(dtype)
    sites[:, :, 0] = 1
    return sites, rng.normal(size=(m, c)).astype(dtype)


def dense_sum(sites, beta):
    out = np.ones((len(beta), 1))
    for x in [*sites, beta]:
        out = (out[:, :, None] * x[:, None, :]).reshape(len(beta), -1)
    return out.sum(0).reshape(*(x.shape[1] for x in sites), beta.shape[1])


@given(seed=st.integers(0, 2**31 - 1), n=st.integers(1, 6))
def test_contraction_is_that_of_the_dense_tensor(seed, n):
    rng = np.random.default_rng(seed)
    network = random_tree(rng, n)
    phi = rng.normal(size=(4, n, 3))
    expected = dense_scores(tree.to_dense(network), phi)
    found = tree.contract(network, phi.transpose(1, 2, 0))
    np.testing.assert_allclose(found, expected, rtol=1e-9, atol=1e-9)


def test_dense_form_of_a_small_tree_by_einsum(rng):
    a, b, c = (rng.normal(size=(3, 2)) for _ in range(3))
    core, readout = rng.normal(size=(2, 2, 4)), rng.normal(size=(2, 5, 4))
    network = TTN((a, b, c), (core,), readout, np.array([[2, 0], [1, 3]]))
    expected = np.einsum("za,xb,abk,yl,lck->xyzc", c, a, core, b, readout)
    np.testing.assert_allclose(tree.to_dense(network), expected)


@pytest.mark.parametrize("n", [1, 2, 7])
def test_compiled_scan_agrees(rng, executor, n):
    network = random_tree(rng, n)
    phi = rng.normal(size=(4, n, 3))
    with executor.precision(np.float64):
        arguments = executor.put((*network.padded(), phi))
        found = executor.get(executor.jit(tree.contract_padded)(*arguments))
    np.testing.assert_allclose(found, tree.contract(network, phi.transpose(1, 2, 0)))


def test_many_sites_stay_in_range(rng):
    network = random_tree(rng, 300, dtype=np.float32)
    phi = np.full((300, 3, 2), 1e3, np.float32)
    left, right, log_scale = tree.root_messages(network, phi)
    assert np.isfinite(left).all()
    assert np.isfinite(right).all()
    assert np.isfinite(log_scale).all()


def test_scaled_is_the_tree_for_divided_vectors(rng):
    network = random_tree(rng, 4)
    factors, phi = rng.uniform(0.5, 2, (4, 3)), rng.normal(size=(4, 3, 6))
    found = tree.contract(network.scaled(factors), phi / factors[:, :, None])
    np.testing.assert_allclose(found, tree.contract(network, phi))


def test_attributes_and_pickle(rng):
    network = pickle.loads(pickle.dumps(random_tree(rng, 5, c=3)))
    assert (network.n_sites, network.n_outputs, network.dtype) == (5, 3, np.float64)
    assert len(network.bond_dims) == 8
    assert network.astype(np.float32).dtype == np.float32
    assert network.isfinite()
    assert network.n_parameters > network.readout.size


def test_sites_below_every_node():
    found = tree.below(np.array([[2, 0], [1, 3]]), 3)
    assert [list(sites) for sites in found] == [[0], [1], [2], [0, 2], [0, 1, 2]]


@given(seed=st.integers(0, 2**31 - 1), n=st.integers(1, 5))
def test_compression_is_exact_where_the_bond_dimension_is_enough(seed, n):
    rng = np.random.default_rng(seed)
    sites, beta = product_states(rng, n)
    network = compress_tree(random_merges(rng, n), list(sites), beta, 7, rng)
    expected = dense_sum(sites, beta)
    atol = 1e-10 * np.abs(expected).max()
    np.testing.assert_allclose(tree.to_dense(network), expected, atol=atol)


@given(seed=st.integers(0, 2**31 - 1), D=st.integers(1, 5))
def test_isometries_and_the_constant_path(seed, D):
    rng = np.random.default_rng(seed)
    sites, beta = product_states(rng, 5)
    network = compress_tree(random_merges(rng, 5), list(sites), beta, D, rng)
    assert network.bond_dims[5:].max() <= D
    for core in (*network.leaves, *network.cores):
        flat = core.reshape(-1, core.shape[-1])
        np.testing.assert_allclose(flat.T @ flat, np.eye(flat.shape[1]), atol=1e-10)
        assert flat[0, 0] == 1
    np.testing.assert_allclose(network.readout[0, :, 0], beta.sum(0), atol=1e-10)


def test_long_vectors_of_a_site_are_cut_to_the_bond_dimension(rng):
    sites, beta = product_states(rng, 3, m=40, d=25)
    network = compress_tree(random_merges(rng, 3), list(sites), beta, 20, rng)
    assert [core.shape for core in network.leaves] == [(25, 20)] * 3
    network = compress_tree(random_merges(rng, 3), list(sites[:, :, :9]), beta, 4, rng)
    assert [core.shape for core in network.leaves] == [(9, 9)] * 3


@pytest.mark.slow
def test_compression_runs_on_either_executor(rng, executor, monkeypatch):
    sites, beta = product_states(rng, 4)
    merges = random_merges(rng, 4)
    monkeypatch.setattr("sktn.networks.tree_rounding.executor_for", lambda entries: executor)
    with executor.precision(np.float64):
        network = compress_tree(merges, list(sites), beta, 7, np.random.default_rng(0))
    np.testing.assert_allclose(tree.to_dense(network), dense_sum(sites, beta), atol=1e-9)


def test_a_caterpillar_keeps_what_the_chain_keeps(rng):
    """The same search in the same network: both end near the optimum."""
    sites, beta = product_states(rng, 4, m=40, c=1)
    *_, readout = compress(sites[:2], sites[:1:-1], beta, 4, np.random.default_rng(0))
    merges = np.array([[0, 1], [3, 2], [4, 5]])
    network = compress_tree(merges, list(sites), beta, 4, np.random.default_rng(0))
    np.testing.assert_allclose(np.sum(network.readout**2), np.sum(readout**2), rtol=0.02)
