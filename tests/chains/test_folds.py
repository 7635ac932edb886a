"""Folds are dealt to distinct rows."""

import numpy as np
import pytest

from sktn import MPSRegressorCV
from sktn.chains.folds import distinct, random_folds, stratified_folds


def test_copies_of_a_row_share_a_fold_wherever_they_stand(rng):
    X, labels = rng.normal(size=(30, 2)), rng.integers(0, 3, 30)
    X[4, 1] = np.nan
    rows = rng.permutation(np.repeat(np.arange(30), rng.integers(1, 4, 30)))
    for deal in (
        lambda X, y: stratified_folds(y, distinct(X, y), 3, np.random.RandomState(0)),
        lambda X, y: random_folds(distinct(X), 3, np.random.RandomState(0)),
    ):
        once = deal(X, labels)
        np.testing.assert_array_equal(deal(X[rows], labels[rows]), once[rows])
        assert set(once) == {0, 1, 2}


def test_every_class_is_dealt_out_evenly(rng):
    labels = np.repeat([0, 1, 2], [50, 9, 1])
    folds = stratified_folds(labels, np.arange(60), 3, np.random.RandomState(0))
    counts = [np.bincount(folds[labels == k], minlength=3) for k in (0, 1)]
    assert max(np.ptp(c) for c in counts) <= 1
    # A class of a single row is never held out.
    assert folds[labels == 2] == -1


@pytest.mark.parametrize("n", [1, 2])
def test_too_few_rows_have_no_folds(n):
    assert stratified_folds(np.arange(n), np.arange(n), 5, np.random.RandomState(0)) is None
    found = random_folds(np.arange(n), 5, np.random.RandomState(0))
    assert (found is None) == (n == 1)


def test_copies_of_one_row_are_no_rows_to_hold_out():
    wanted = "too few distinct rows for cross-validation, of 60 samples"
    with pytest.raises(ValueError, match=wanted):
        MPSRegressorCV().fit(np.ones((60, 2)), np.arange(60))
