"""Levels of a category as a random effect."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from sktn.tables.levels import MAX_LEVELS, level_components

masses = arrays(np.float64, st.integers(2, 8), elements=st.integers(1, 50))


@given(masses)
def test_components_are_orthonormal_under_the_shares(mass):
    phi, variances = level_components(mass)
    share = mass / mass.sum()
    np.testing.assert_allclose(phi.T * share @ phi, np.eye(len(variances)), atol=1e-7)
    np.testing.assert_array_equal(phi[:, 0], 1)


@given(masses)
def test_effects_of_levels_are_independent_of_each_other(mass):
    phi, variances = level_components(mass)
    share = mass / mass.sum()
    centred = np.eye(len(share)) - share
    expected = centred @ centred.T
    found = phi[:, 1:] * variances[1:] @ phi[:, 1:].T
    # One variance for all levels, such that the column has the variance sqrt(L - 1).
    total = np.sqrt(len(mass) - 1)
    np.testing.assert_allclose(found, total * expected / (1 - np.sum(share**2)), atol=1e-5)
    assert variances[1:].sum() == pytest.approx(total)
    assert (np.diff(variances[1:]) <= 1e-9).all()


def test_a_binary_column_is_a_number():
    table, variances = level_components(np.array([3.0, 1.0]))
    np.testing.assert_allclose(table, [[1, np.sqrt(1 / 3)], [1, -np.sqrt(3)]])
    np.testing.assert_allclose(variances, [1, 1])


def test_levels_beyond_the_most_frequent_share_a_vector():
    table, variances = level_components(np.arange(400.0, 0, -1))
    assert table.shape == (400, MAX_LEVELS + 1)
    assert len(variances) == MAX_LEVELS + 1
    np.testing.assert_array_equal(table[MAX_LEVELS:], table[MAX_LEVELS:][:1].repeat(336, axis=0))
    assert len(np.unique(table[:, 1:].round(6), axis=0)) == MAX_LEVELS + 1


@pytest.mark.parametrize("mass", [[0.0], [0.0, 0.0], [5.0]])
def test_columns_without_information(mass):
    table, variances = level_components(np.array(mass))
    np.testing.assert_array_equal(table, np.ones((len(mass), 1)))
    np.testing.assert_array_equal(variances, [1])
