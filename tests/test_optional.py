"""What needs a package that is not installed says which extra of sktn brings it."""

import sys
import tomllib
from pathlib import Path

import numpy as np
import pytest

from sktn import MPSRegressor, NetworkDisplay
from sktn.inspection import ShapleyValues
from sktn.interchange import to_onnx, to_quimb, to_tensorly

EXTRAS = tomllib.loads((Path(__file__).parents[1] / "pyproject.toml").read_text())["project"][
    "optional-dependencies"
]
CHAIN = [np.ones((1, 3, 2)), np.ones((2, 3, 1))]
ONE = np.ones((1, 1))
X = np.linspace(0, 1, 20).reshape(10, 2)
CASES = {
    "matplotlib.pyplot": ("plot", lambda: NetworkDisplay(np.ones((2, 2), int), (3, 4)).plot()),
    "shap": ("explain", lambda: ShapleyValues(ONE, ONE[0], ONE, ONE, ONE).to_shap()),
    "quimb.tensor": ("interchange", lambda: to_quimb(CHAIN)),
    "tensorly": ("interchange", lambda: to_tensorly(CHAIN)),
    "onnx": ("interchange", lambda: to_onnx(MPSRegressor(degree=1, alpha=1.0).fit(X, X[:, 0]))),
}


@pytest.mark.parametrize("module", CASES)
def test_the_extra_is_named(module, monkeypatch):
    extra, call = CASES[module]
    for name in [name for name in sys.modules if name.startswith(f"{module}.")]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, module, None)
    with pytest.raises(ImportError, match=rf"pip install 'sktn\[{extra}\]'"):
        call()
    assert any(need.startswith(module.split(".")[0]) for need in EXTRAS[extra])


def test_the_progress_bar_of_scikit_learn_finds_what_it_needs_in_an_extra():
    assert [need.split(">")[0] for need in EXTRAS["progress"]] == ["rich"]
