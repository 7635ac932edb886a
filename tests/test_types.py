"""The public surface satisfies the type checker."""

import subprocess
import sys
from pathlib import Path

import pytest

pytest.importorskip("mypy")


@pytest.mark.slow
def test_mypy_has_no_complaint():
    root = Path(__file__).parents[1]
    run = subprocess.run(
        [sys.executable, "-m", "mypy"], cwd=root, capture_output=True, text=True, check=False
    )
    assert run.returncode == 0, run.stdout
