"""Missing values that carry a signal."""

import numpy as np
import pytest
from scipy.stats import chi2_contingency

from sktn.tables.gaps import telling_gaps
from sktn.tables.sites import make_sites


@pytest.fixture
def table(rng):
    """Gaps at random, gaps that tell, gaps of everybody, no gaps."""
    y = rng.integers(0, 3, 600)
    X = rng.normal(size=(600, 4))
    X[rng.random(600) < 0.3, 0] = np.nan
    X[rng.random(600) < np.array([0.1, 0.1, 0.4])[y], 1] = np.nan
    X[:, 2] = np.nan
    return X, np.eye(3)[y], rng.integers(0, 3, 600).astype(float)


def test_gaps_that_tell_are_found(table):
    X, labels, weight = table
    np.testing.assert_array_equal(telling_gaps(X, labels, np.ones(600)), [0, 1, 0, 0])
    np.testing.assert_array_equal(telling_gaps(X, labels @ [0, 0, 1e9], weight), [0, 1, 0, 0])
    assert not telling_gaps(X, np.ones((600, 1)), weight).any()
    assert not telling_gaps(np.ones((5, 2)), np.arange(5.0), np.ones(5)).any()


@pytest.mark.parametrize("share", [0.0, 0.05, 0.1, 0.15, 0.2])
def test_the_threshold_is_that_of_the_chi_squared_statistic(share, rng):
    y = np.arange(200) % 2
    gap = np.where(y == 1, rng.random(200) < 0.2 + share, rng.random(200) < 0.2)
    counts = [[np.sum((y == k) & (gap == g)) for g in (0, 1)] for k in (0, 1)]
    statistic = chi2_contingency(counts, correction=False).statistic
    found = telling_gaps(np.where(gap, np.nan, 0.0)[:, None], np.eye(2)[y], np.ones(200))
    assert found[0] == (statistic > np.log(200))


def test_integer_weights_are_repetitions(table):
    X, labels, weight = table
    X = X + np.where(labels @ [0, 1, 0] > 0, np.where(X > 1.2, np.nan, 0.0).T, 0.0).T
    repeated = weight.astype(int)
    np.testing.assert_array_equal(
        telling_gaps(X, labels, weight),
        telling_gaps(
            X.repeat(repeated, axis=0), labels.repeat(repeated, axis=0), np.ones(repeated.sum())
        ),
    )


def test_chosen_columns_say_where_they_are_missing(table):
    X = table[0][:, [0, 1, 3]]
    chosen = make_sites(X, None, missing=np.array([False, True, False])).basis
    every = make_sites(X, None, missing="indicator").basis
    none = make_sites(X, None).basis
    np.testing.assert_array_equal(chosen.mask[0, : none.dim], none.mask[0])
    np.testing.assert_array_equal(chosen.mask[1], every.mask[1])
    np.testing.assert_array_equal(chosen.missing[1], every.missing[1])
    np.testing.assert_array_equal(chosen.missing[0, : none.dim], none.missing[0])
