"""Tables of the benchmarks."""

import importlib.util
from pathlib import Path

import numpy as np
import pytest

PATH = Path(__file__).parents[1] / "benchmarks" / "_tables.py"
SPEC = importlib.util.spec_from_file_location("_tables", PATH)
tables = importlib.util.module_from_spec(SPEC)
SPEC.loader.exec_module(tables)


@pytest.fixture
def folder(tmp_path):
    y = np.repeat(["a", "b", "c"], [60, 36, 4])
    X = np.arange(200).reshape(100, 2)
    np.savez(tmp_path / "openml_own.npz", X=X, y=y, cat=[False, True])
    return tmp_path


def test_what_is_bundled_is_not_read_again(folder):
    np.savez(folder / "wine.npz", X=np.zeros((9, 2)), y=np.arange(9))
    assert [name for name, *_ in tables.labelled(("wine",), folder, 1000)] == ["wine", "own"]


def test_tables_are_the_bundled_ones_and_those_of_the_folder(folder):
    found = {name: (X, y) for name, X, y, _ in tables.labelled(("wine",), folder, 1000)}
    assert list(found) == ["wine", "own"]
    assert found["wine"][0].shape == (178, 13)
    assert np.bincount(found["own"][1]).tolist() == [60, 36, 4]
    assert [nominal.tolist() for *_, nominal in tables.labelled((), folder, 1000)] == [
        [False, True]
    ]


def test_a_cap_keeps_the_shares_of_the_classes(folder):
    [(_, X, y, _)] = tables.labelled((), folder, 50)
    assert np.bincount(y).tolist() == [30, 18, 2]
    assert len(np.unique(X[:, 0])) == 50


def test_small_classes_may_be_left_out(folder):
    [(_, X, y, _)] = tables.labelled((), folder, 1000, fewest=10)
    assert np.bincount(y).tolist() == [60, 36]
    assert len(X) == 96
