"""Trees read off the spectra of a sum of product states."""

import numpy as np

from sktn.networks.tree import below
from sktn.structure.dendrogram import _pair_costs, _Part, found_tree


def product_states(rng, n, m, d=3):
    sites = rng.normal(size=(n, m, d))
    sites[:, :, 0] = 1
    return sites


def test_sites_that_interact_are_joined_first(rng):
    """f = u_0 u_3 + u_1 u_2, each product of few terms: any other pair has a bond of twice that."""
    m = 40
    sites = np.zeros((4, 2 * m, 3))
    sites[:, :, 0] = 1
    sites[:, :, 1:] = 1e-9 * rng.normal(size=(4, 2 * m, 2))
    for k, pair in enumerate([(0, 3), (1, 2)]):
        rows = slice(k * m, (k + 1) * m)
        for site in pair:
            sites[site, rows, 1:] = rng.normal(size=(m, 2))
    merges = found_tree(list(sites), rng.normal(size=(2 * m, 1)))
    assert {tuple(part) for part in below(merges, 4)} >= {(0, 3), (1, 2)}


def test_every_site_is_joined_once(rng):
    sites = list(product_states(rng, 7, 20))
    merges = found_tree(sites, rng.normal(size=(20, 2)))
    assert merges.shape == (6, 2)
    assert list(np.sort(merges.ravel())) == list(range(12))


def test_the_cost_of_a_bond_is_that_of_the_dense_unfolding(rng):
    sites, beta = product_states(rng, 4, 5, d=2), rng.normal(size=(5, 1))
    dense = np.einsum("ma,mb,mc,md,mo->abcdo", *sites, beta).reshape(4, 4)
    dense[0] = 0  # the constant path
    expected = np.linalg.svd(dense, compute_uv=False).sum()
    parts = {i: _Part(x, x @ x.T) for i, x in enumerate(sites)}
    found = _pair_costs(parts, 0, [1], beta @ beta.T)
    np.testing.assert_allclose(found[0, 1], expected, rtol=1e-6)
