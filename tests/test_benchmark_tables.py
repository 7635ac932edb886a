"""Tables of the benchmarks."""

import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

sys.path.insert(0, str(Path(__file__).parents[1] / "benchmarks"))
import _tables as tables
import fetch_data
from _results import digest


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


def test_whole_tables_are_told_to_who_notes_their_hashes(folder):
    noted = {}
    list(tables.labelled((), folder, 50, used=lambda name, *arrays: noted.update({name: arrays})))
    assert noted["own"][0].shape == (100, 2)


def test_frames_of_public_tables_become_arrays():
    frame = pd.DataFrame({"a": ["x", None, "w"], "b": [1, 2, 3]})
    X, y, nominal = fetch_data.as_arrays(frame, pd.Series(["no", "yes", "no"]), classes=True)
    np.testing.assert_array_equal(X, [[1, 1], [np.nan, 2], [0, 3]])
    assert y.tolist() == [0, 1, 0]
    assert nominal.tolist() == [True, False]


def test_a_fetched_table_is_compared_with_what_was_measured(tmp_path):
    X, y = np.eye(3), np.array(["a", "b", "a"])
    np.savez(tmp_path / "2_own.npz", X=X, y=y)
    known = {"own": {digest(X, np.array([0, 1, 0]))}}
    assert fetch_data.verdict(tmp_path / "2_own.npz", known) == "as measured"
    np.savez(tmp_path / "2_own.npz", X=X + 1, y=y)
    assert fetch_data.verdict(tmp_path / "2_own.npz", known) == "different"
    assert fetch_data.verdict(tmp_path / "2_own.npz", {}) == "not measured"
