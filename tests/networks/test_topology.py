"""Shapes of trees."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.cluster.hierarchy import linkage

from sktn.networks import topology as shapes
from sktn.networks.tree import below


def test_a_chain_is_joined_from_both_ends():
    assert shapes.chain_topology([3, 1, 0, 2], 2).tolist() == [[3, 1], [2, 0], [4, 5]]
    assert shapes.chain_topology([0, 1, 2], 3).tolist() == [[0, 1], [3, 2], [4, -1]]
    assert shapes.chain_topology([0, 1, 2], 0).tolist() == [[2, 1], [3, 0], [4, -1]]
    assert shapes.chain_topology([0], 0).tolist() == [[0, -1]]
    assert shapes.chain_topology([], 0).tolist() == [[-1, -1]]


def test_halves():
    assert shapes.halved([2, 0, 1, 3]).tolist() == [[2, 0], [1, 3], [4, 5]]
    assert shapes.halved([0]).tolist() == [[0, -1]]
    assert shapes.halved([]).tolist() == [[-1, -1]]


def test_nested_tuples():
    found = shapes.from_nested((0, 1, (2, 3)))
    assert {tuple(part) for part in below(found, 4)} >= {(0, 1), (2, 3), (0, 1, 2, 3)}
    assert shapes.from_nested((0,)).tolist() == [[0, -1]]


def test_nesting_may_be_as_deep_as_a_chain():
    tree = 0
    for site in range(1, 3000):
        tree = (tree, site)
    assert len(shapes.from_nested(tree)) == 2999


def test_a_linkage_matrix_is_a_tree(rng):
    merges = shapes.from_linkage(linkage(rng.normal(size=(6, 2))))
    assert list(below(merges, 6)[-1]) == list(range(6))
    assert list(shapes.sites_of(merges)) == list(range(6))


@pytest.mark.parametrize("shape", [(1,), (3,), (2, 3), (4, 4), (2, 3, 4)])
def test_every_pixel_of_a_grid_is_in_its_tree_once(shape):
    tree = shapes.grid_topology(shape)
    merges = shapes.from_nested((tree,) if isinstance(tree, int) else tree)
    assert list(shapes.sites_of(merges)) == list(range(np.prod(shape)))


def test_bonds_of_a_grid_are_around_patches():
    parts = {tuple(part) for part in below(shapes.from_nested(shapes.grid_topology((4, 4))), 16)}
    assert {(0, 1, 4, 5), (2, 3, 6, 7), (0, 1, 2, 3, 4, 5, 6, 7)} <= parts


def test_one_axis_needs_no_tuple():
    assert shapes.grid_topology(5) == shapes.grid_topology((5,))


@pytest.mark.parametrize("shape", [(), (0, 2), (2.5,), 2.5])
def test_a_shape_that_is_none_is_refused(shape):
    with pytest.raises(ValueError, match="shape must be positive integers"):
        shapes.grid_topology(shape)


@given(n=st.integers(1, 8), seed=st.integers(0, 1000))
def test_what_is_left_of_a_tree_keeps_its_shape(n, seed):
    rng = np.random.default_rng(seed)
    kept = np.flatnonzero(rng.random(n) < 0.6)
    merges = shapes.halved(rng.permutation(n))
    found = shapes.pruned(merges, kept)
    if not len(kept):
        assert found.tolist() == [[-1, -1]]
        return
    assert list(shapes.sites_of(found)) == list(range(len(kept)))
    before = {tuple(np.intersect1d(part, kept)) for part in below(merges, n)}
    after = {tuple(kept[part]) for part in below(found, len(kept))}
    assert after == before - {()}


def bonds_of(merges, n):
    """The parts on either side of every bond."""
    parts = [frozenset(part.tolist()) for part in below(merges, n)[:-1]]
    return {frozenset({part, frozenset(range(n)) - part}) for part in parts}


@given(n=st.integers(3, 9), seed=st.integers(0, 1000))
def test_a_new_root_leaves_all_bonds_and_halves_the_sites(n, seed):
    rng = np.random.default_rng(seed)
    alive, merges = list(range(n)), []
    while len(alive) > 1:
        pair = [alive.pop(rng.integers(len(alive))) for _ in range(2)]
        merges.append(pair)
        alive.append(n + len(merges) - 1)
    found = shapes.balanced(merges)
    assert bonds_of(found, n) == bonds_of(merges, n)
    halves = [len(part) for part in below(found, n) if 2 * len(part) <= n]
    sides = [min(len(part), n - len(part)) for part in below(merges, n)[:-1]]
    assert max(halves) == max(sides)
    left, right = (len(below(found, n)[child]) for child in found[-1])
    assert min(left, right) == max(sides)


def test_the_depth_of_a_tree():
    assert shapes.depth(shapes.from_nested(shapes.grid_topology((4, 4)))) == 4
    assert shapes.depth(shapes.chain_topology(range(7), 3)) == 4
    assert shapes.depth([[0, -1]]) == 1
