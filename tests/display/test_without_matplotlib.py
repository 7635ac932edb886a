"""Drawing where matplotlib is not installed."""

import sys

import numpy as np
import pytest

from sktn import NetworkDisplay


def test_without_matplotlib_drawing_says_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "matplotlib.pyplot", None)
    with pytest.raises(ImportError, match=r"pip install 'sktn\[plot\]'"):
        NetworkDisplay(np.ones((2, 2), dtype=int), (3, 4)).plot()
