"""Cells of ranks give what a search among the knots gives."""

import numpy as np
import pytest

from sktn.embeddings import Legendre
from sktn.tables import lazy
from sktn.tables.column_fit import fit_columns
from sktn.tables.lazy import LazyCoordinates


@pytest.fixture
def table(rng):
    X = rng.normal(size=(3000, 5))
    X[:, 1] = X[:, 1].round(1)
    X[:, 2] = np.exp(4 * X[:, 2])  # most knots in a few cells
    X[:, 3] = rng.integers(0, 3, 3000)
    return X


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("scaling", ["quantile", "capped", "blended", "mixed"])
def test_cells_give_the_same_coordinates(rng, table, dtype, scaling):
    categorical = np.arange(5) == 3
    columns = fit_columns(table, scaling=scaling, categorical=categorical, domain=Legendre.domain)
    cells = columns.rank_cells
    np.testing.assert_array_equal(cells.columns, [0, 1, 4])
    # Others, values at the knots, beyond them and missing.
    X = np.concatenate([rng.normal(size=(3000, 5)), table, [[9.0] * 5, [-9.0] * 5]]).astype(dtype)
    X[::7, 0] = X[5, 2] = np.nan
    np.testing.assert_array_equal(columns.transform(X, None, cells), columns.transform(X))


def test_columns_without_ranks_have_no_cells(table):
    assert fit_columns(table, scaling="standard").rank_cells is None
    assert fit_columns(table[:, 2:3], scaling="quantile").rank_cells is None
    assert fit_columns(np.ones((50, 1)), scaling="quantile").rank_cells is None


@pytest.mark.parametrize("n_rows", [3000, 2999])
def test_coordinates_of_many_rows_are_made_by_cells(table, monkeypatch, n_rows):
    monkeypatch.setattr(lazy, "_MANY_ROWS", 3000)
    columns, asked = fit_columns(table, scaling="quantile"), []
    transform = type(columns).transform

    def watched(self, X, dtype=None, cells=None):
        asked.append(cells)
        return transform(self, X, dtype, cells)

    monkeypatch.setattr(type(columns), "transform", watched)
    coords = LazyCoordinates(columns, table[:n_rows], np.float64)
    parts = np.concatenate([coords[:100], coords[100:]])
    np.testing.assert_array_equal(parts, columns.transform(table[:n_rows]))
    assert asked[0] is asked[1]  # made once
    assert (asked[0] is not None) == (n_rows == 3000)
