"""Shapes of samples, modes of length one, and what bonds modes can carry."""

from math import prod

import numpy as np
import pytest
from numpy.testing import assert_array_equal

from sktn.networks import graph
from sktn.structure import modes


@pytest.mark.parametrize(
    ("n", "expected"),
    [(1, (1,)), (7, (7,)), (16, (16,)), (32, (16, 2)), (60, (15, 4)), (34, (17, 2)), (49, (7, 7))],
)
def test_small_modes_are_grouped_prime_factors(n, expected):
    assert modes.small_modes(n) == expected


def test_a_smaller_bound_makes_more_modes():
    assert modes.small_modes(64, largest=4) == (4, 4, 4)
    assert modes.small_modes(64, largest=3) == (2,) * 6


@pytest.mark.parametrize(
    ("given", "expected"),
    [((3, 4), (3, 4)), ((-1, 4), (3, 4)), ((2, -1, 2), (2, 3, 2)), (12, (12,)), (-1, (12,))],
)
def test_what_is_left_has_one_place(given, expected):
    assert modes.whole_shape(given, 12) == expected


@pytest.mark.parametrize("given", [(0, 12), (-2, -6), (-1, -1), (), (True, 12), (3.0, 4)])
def test_what_is_no_shape_is_refused(given):
    with pytest.raises(ValueError, match="is no shape"):
        modes.whole_shape(given, 12)


@pytest.mark.parametrize("given", [(3, 5), (-1, 5), (24,)])
def test_another_number_of_entries_is_refused(given):
    with pytest.raises(ValueError, match="Give a shape whose product is 12"):
        modes.whole_shape(given, 12)


def test_modes_of_length_one_come_back_without_bonds(rng):
    shape = (1, 3, 1, 4)
    kept = modes.squeezed(shape)
    assert kept == [1, 3]
    cores = [rng.normal(size=(3, 2)), rng.normal(size=(2, 4))]
    full = modes.unsqueezed(cores, kept, shape)
    assert [core.shape for core in full] == [(1, 1, 1, 1), (1, 3, 1, 2), (1, 1, 1, 1), (1, 2, 1, 4)]
    np.testing.assert_allclose(graph.to_dense(full)[0, :, 0], cores[0] @ cores[1])
    alone = modes.unsqueezed([], [], (1, 1))
    assert_array_equal(graph.to_dense(alone), [[1.0]])


def test_a_bond_is_no_wider_than_all_other_modes_of_either_end():
    sizes = (2, 3, 40)
    expected = np.ones((3, 3), dtype=int)
    for i in range(3):
        for j in range(3):
            if i != j:
                expected[i, j] = min(prod(sizes) // sizes[i], prod(sizes) // sizes[j])
    assert_array_equal(modes.capacity(sizes), expected)
    assert modes.capacity((10**6,) * 4)[0, 1] == np.iinfo(np.int32).max


def test_a_bond_is_no_wider_than_the_rest_of_either_core():
    R = np.full((3, 3), 999)
    np.fill_diagonal(R, 1)
    cut = modes.carried((3, 257, 3), R)
    assert_array_equal(cut, [[1, 9, 27], [9, 1, 9], [27, 9, 1]])
    assert_array_equal(modes.carried((3, 257, 3), cut), cut)
    # A ring of enough room is left as it is; a train is cut to what its ends carry.
    ring = np.array([[1, 4, 4], [4, 1, 4], [4, 4, 1]])
    assert_array_equal(modes.carried((3, 5, 6), ring), ring)
    train = np.array([[1, 4, 1], [4, 1, 9], [1, 9, 1]])
    assert_array_equal(modes.carried((3, 5, 6), train), [[1, 3, 1], [3, 1, 6], [1, 6, 1]])


def test_modes_of_sixteen_entries_are_taken_for_ordered():
    assert modes.ordered("auto", (15, 16, 3, 17)) == [1, 3]
    assert modes.ordered([-1, 0, 3], (15, 16, 3, 17)) == [0, 3]
    for wrong in (4, -5, 1.0):
        with pytest.raises(ValueError, match="outside the 4 modes"):
            modes.ordered([wrong], (15, 16, 3, 17))


def test_bond_matrices_are_symmetric_whole_and_positive():
    R = np.array([[9, 2, 1], [2, 5, 3], [1, 3, 7]])
    assert_array_equal(modes.bond_matrix(R, 3), [[1, 2, 1], [2, 1, 3], [1, 3, 1]])
    assert R[0, 0] == 9  # not changed
    for wrong in (R[:2], R.astype(float)):
        with pytest.raises(ValueError, match="integer matrix of shape"):
            modes.bond_matrix(wrong, 3)
    for wrong in (np.triu(R), np.where(R == 2, 0, R)):
        with pytest.raises(ValueError, match="symmetric with entries of at least 1"):
            modes.bond_matrix(wrong, 3)
