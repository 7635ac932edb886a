"""Sums of main effects and pairs as chains."""

from itertools import combinations

import numpy as np
import pytest

from sktn.networks.low_order import compress_low_order


def site_vectors(rng, n, m, d=3):
    a = rng.normal(size=(n, m, d))
    a[:, :, 0] = 1
    return a


def weights(a, beta, max_order):
    """The weight tensor of the parts of 1 to `max_order` sites: (d, .., d, c)"""
    n, m, d = a.shape
    W = np.zeros((d,) * n + (beta.shape[1],))
    for k in range(1, max_order + 1):
        for sites in combinations(range(n), k):
            part = beta
            for i in reversed(range(n)):
                vectors = a[i].copy() if i in sites else np.eye(d)[np.zeros(m, int)]
                vectors[:, 0] *= i not in sites
                part = vectors[:, :, None] * part.reshape(m, 1, -1)
                part = part.reshape(m, -1)
            W += part.sum(axis=0).reshape(W.shape)
    return W


def dense(arms, readout):
    """The weight tensor of a chain in two arms: (d, .., d, c)"""
    ends = []
    for arm in arms:
        end = np.eye(1, len(readout))
        for core in arm:
            end = np.tensordot(end, core, 1).reshape(-1, len(readout))
        ends.append(end)
    W, d = np.einsum("al,lcr,br->abc", ends[0], readout, ends[1]), 3
    # The right arm begins at its end.
    q = len(arms[1])
    W = W.reshape(-1, *(d,) * q, W.shape[2]).transpose(0, *range(q, 0, -1), q + 1)
    return W.reshape(*(d,) * (len(arms[0]) + q), -1)


@pytest.mark.parametrize("max_order", [1, 2])
@pytest.mark.parametrize("p", [0, 2, 4])
def test_a_large_bond_dimension_holds_all_main_effects_and_pairs(rng, max_order, p):
    a, beta = site_vectors(rng, 4, 9), rng.normal(size=(9, 2))
    left, right, readout, allowed = compress_low_order(a[:p], a[p:][::-1], beta, 20, max_order)
    np.testing.assert_allclose(
        dense((left, right), readout), weights(a, beta, max_order), atol=1e-9
    )
    assert not readout.transpose(0, 2, 1)[~allowed].any()


def test_no_product_that_is_allowed_has_more_sites_in_it(rng):
    a, beta = site_vectors(rng, 4, 9), rng.normal(size=(9, 2))
    left, right, readout, allowed = compress_low_order(a[:2], a[2:][::-1], beta, 6, 2)
    every = dense((left, right), rng.normal(size=readout.shape) * allowed[:, None])
    n_sites = np.sum(np.indices(every.shape[:-1]) > 0, axis=0)
    assert not every[n_sites > 2].any()
    assert every[n_sites == 2].all()


@pytest.mark.parametrize("bond_dim", [1, 2, 5])
def test_what_a_small_bond_dimension_keeps_is_a_projection(rng, bond_dim):
    # The arms are isometries, so that the squared norm of the readout is that of the tensor.
    a, beta = site_vectors(rng, 5, 9), rng.normal(size=(9, 2))
    left, right, readout, _ = compress_low_order(a[:2], a[2:][::-1], beta, bond_dim, 2)
    kept, whole = dense((left, right), readout), weights(a, beta, 2)
    np.testing.assert_allclose(np.sum(kept**2), np.sum(readout**2), rtol=1e-9)
    np.testing.assert_allclose(np.sum((whole - kept) * kept), 0, atol=1e-9 * np.sum(whole**2))


def test_precision_is_that_of_the_coefficients(rng):
    a, beta = site_vectors(rng, 4, 9).astype(np.float32), rng.normal(size=(9, 1))
    found = compress_low_order(a[:2], a[2:][::-1], beta.astype(np.float32), 5, 2)
    assert [x.dtype for x in found[:3]] == [np.float32] * 3
