"""The benchmark of devices runs, and both executors compute the same."""

import importlib.util
from pathlib import Path

import pytest

PATH = Path(__file__).parents[1] / "benchmarks" / "device.py"
SPEC = importlib.util.spec_from_file_location("device", PATH)
device = importlib.util.module_from_spec(SPEC)
SPEC.loader.exec_module(device)


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
