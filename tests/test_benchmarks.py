"""Benchmarks run: that of devices, whose executors compute the same, and that of glass boxes."""

import json
import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parents[1] / "benchmarks"))
import device
import glass_box

# Those that compile little, or search little.
QUICK = ("fit", "anomaly", "predict", "video")


@pytest.mark.parametrize(
    "case",
    [pytest.param(name, marks=() if name in QUICK else pytest.mark.slow) for name in device.CASES],
)
def test_the_device_benchmark_runs_and_both_executors_agree(case, capsys):
    rows = device.main(["--tiny", "--only", case])
    assert "numpy first" in capsys.readouterr().out
    assert rows
    for label, found in rows:
        (*numpy, ours), (*jax, theirs) = found
        assert min(numpy + jax) > 0
        assert ours == pytest.approx(theirs, abs=0.02), label


def test_the_benchmark_of_glass_boxes_runs(tmp_path, monkeypatch, capsys):
    out = tmp_path / "found.json"
    models = [name for name in glass_box.MODELS if name != "EBM" and "searched" not in name]
    words = ["glass_box.py", "--tables", "iris", "--cap", "60", "--folds", "1", "--out", str(out)]
    monkeypatch.setattr(sys, "argv", [*words, "--models", *models])
    glass_box.main()
    rows = {row["model"]: row for row in json.loads(out.read_text())["rows"]}
    assert set(rows) == set(models)
    assert rows["main effects"]["terms"] <= 4
    assert rows["pairs"]["terms"] <= 10
    assert all(row["accuracy"] > 0.8 and row["fit_seconds"] > 0 for row in rows.values())
    assert "mean rank" in capsys.readouterr().out
