"""Result files of the benchmarks."""

import json
import sys
from pathlib import Path

import numpy as np
import pytest

sys.path.insert(0, str(Path(__file__).parents[1] / "benchmarks"))
from _results import FOLDER, Results, digest, read


@pytest.fixture
def path(tmp_path):
    return tmp_path / "results" / "speed.json"


def test_rows_are_in_the_file_at_once_with_their_run(path):
    results = Results(path, key=("table", "model"), packages=("pytest", "no-such-package"))
    results.used("sonar", np.eye(2))
    results.add(table="sonar", model="ours", seconds=np.float64(0.123456789), rank=np.nan)
    [row], [run] = read(path)
    assert row == {"table": "sonar", "model": "ours", "seconds": 0.123457, "rank": None, "run": 0}
    assert run["data"] == {"sonar": digest(np.eye(2))}
    assert run["packages"]["pytest"] == pytest.__version__
    assert "no-such-package" not in run["packages"]
    assert {"date", "commit", "machine", "command", "python"} <= run.keys()


def test_a_new_row_takes_the_place_of_the_old_and_runs_without_rows_go(path):
    for seconds in (1.0, 2.0):
        Results(path, key=("model",)).add(model="ours", seconds=seconds)
    rows, runs = read(path)
    assert [(row["seconds"], row["run"]) for row in rows] == [(2.0, 0)]
    assert len(runs) == 1


def test_a_run_goes_on_where_the_last_one_stopped(path):
    Results(path, key=("model",)).add(model="ours", seconds=1.0)
    later = Results(path, key=("model",))
    assert later.has(model="ours")
    assert not later.has(model="theirs")
    later.add(model="theirs", seconds=2.0)
    rows, runs = read(path)
    assert [row["run"] for row in rows] == [0, 1]
    assert len(runs) == 2


def test_again_measures_what_earlier_runs_have_but_not_twice(path):
    Results(path, key=("model",)).add(model="ours", seconds=1.0)
    later = Results(path, key=("model",), again=True)
    assert not later.has(model="ours")
    later.add(model="ours", seconds=2.0)
    assert later.has(model="ours")


def test_the_command_has_no_folder_of_this_machine(path, tmp_path, monkeypatch):
    monkeypatch.setattr(
        sys, "argv", ["/x/y/tabular.py", "--data", str(tmp_path), "--cap", "5", "--orders", ""]
    )
    Results(path, key=("model",)).add(model="ours")
    assert (
        read(path)[1][0]["command"]
        == "python benchmarks/tabular.py --data FOLDER --cap 5 --orders ''"
    )


def test_hashes_are_of_values_not_of_types(path):
    ones = np.ones((2, 3))
    assert digest(ones) == digest(ones.astype(np.float32)) != digest(ones.T)
    assert digest(np.array([0.0, np.nan])) == digest(np.array([-0.0, np.float32("nan")]))
    assert digest(np.array([1, 2])) == digest(np.array([1, 2], np.uint8))
    assert digest(np.array(["a", "bc"])) != digest(np.array(["ab", "c"]))


def test_without_a_path_nothing_is_written(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    results = Results(None, key=("model",))
    results.add(model="ours", seconds=1.0)
    assert results.has(model="ours")
    assert list(tmp_path.iterdir()) == []


def test_a_file_is_plain_json_with_one_row_a_line(path):
    results = Results(path, key=("model", "fold"))
    for fold in (2, 0, 1):
        results.add(model="ours", fold=fold)
    assert [row["fold"] for row in json.loads(path.read_text())["rows"]] == [0, 1, 2]
    assert sum('"fold"' in line for line in path.read_text().splitlines()) == 3


@pytest.mark.parametrize("name", sorted(path.name for path in FOLDER.glob("*.json")))
def test_every_result_says_where_it_comes_from(name):
    """One had been edited by hand into what no reader takes."""
    rows, runs = read(FOLDER / name)
    assert rows
    for run in runs:
        assert run["command"].startswith("python benchmarks/")
        assert {"date", "commit", "machine"} <= run.keys()
    assert all(0 <= row["run"] < len(runs) for row in rows)
