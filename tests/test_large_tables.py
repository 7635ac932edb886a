"""The benchmark of large tables runs."""

import sys
from pathlib import Path

import numpy as np
import pytest

sys.path.insert(0, str(Path(__file__).parents[1] / "benchmarks"))
import large_tables
from _results import read


# Every fit is a process.
@pytest.mark.slow
@pytest.mark.parametrize("numbers", [False, True])
def test_tables_of_a_folder_are_fitted_judged_and_summarised(numbers, tmp_path, capsys):
    rng = np.random.default_rng(0)
    X = np.column_stack([rng.normal(size=120), rng.integers(3, size=120)])
    y = X[:, 0] + X[:, 1] + rng.normal(size=120)
    y = y if numbers else (y > 1).astype(int)
    np.savez(tmp_path / "openml_own.npz", X=X, y=y, cat=[False, True])
    out = tmp_path / "found.json"
    words = ["--data", str(tmp_path), "--tables", "own", "--out", str(out), "--train", "80"]
    words += ["--models", "MPS", "hist. boosting"]
    large_tables.main(words)
    rows, _ = read(out)
    assert [row["model"] for row in rows] == ["MPS", "hist. boosting"]
    loss = "rmse" if numbers else "log_loss"
    for row in rows:
        assert row["rows"] == 80
        assert min(row[loss], row["fit_seconds"], row["peak_mb"]) > 0
    large_tables.main([*words, "--tables", "none"])
    large_tables.main(["--summary", str(out)])
    last = capsys.readouterr().out.splitlines()[-1]
    assert last.startswith("own, 80")
    assert f"{rows[0][loss]:.5g}" in last
