"""Drawings: what they show, without looking at pixels."""

import matplotlib as mpl
import numpy as np
import pytest

from sktn import NetworkDisplay, RGTNDecomposer
from sktn.display import plot_history

mpl.use("Agg")


@pytest.fixture
def model():
    X = np.cumsum(np.random.default_rng(0).normal(size=(9, 8, 7)), axis=0)
    return RGTNDecomposer(0.2, random_state=0).fit(X)


def test_one_line_per_edge(model):
    display = model.draw()
    assert len(display.lines_) == display.n_edges == np.sum(np.triu(model.bond_dims_, 1) > 1)
    named = NetworkDisplay.from_estimator(model, labels=["a", "b", "c"], ax=display.ax_)
    assert {"a", "b", "c"} <= {text.get_text() for text in named.ax_.texts}
    assert named.figure_ is display.figure_
    mpl.pyplot.close("all")


def test_history_has_a_line_per_scale(model):
    ax = plot_history(model)
    assert ax.get_xlabel() == "parameters"
    assert len(ax.lines) == len({entry["scale"] for entry in model.history_}) + 1
    mpl.pyplot.close("all")
