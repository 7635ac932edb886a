"""Everything that takes more than seconds says where it is, if asked."""

import numpy as np
import pytest

import sktn

SHAPES = {
    sktn.MPSClassifier: "table",
    sktn.MPSRegressor: "table",
    sktn.MPSClassifierCV: "table",
    sktn.MPSRegressorCV: "table",
    sktn.MPSDensityEstimator: "table",
    sktn.TTNClassifier: "table",
    sktn.TTNRegressor: "table",
    sktn.SMPOAnomalyDetector: "table",
    sktn.MPSImputer: "gaps",
    sktn.RGTNDecomposer: "tensor",
    sktn.RGTNImputer: "gaps",
}
SMALL = {
    sktn.MPSClassifierCV: {"bases": [("standard", 1)], "relevances": ("equal",)},
    sktn.MPSRegressorCV: {"bases": [("standard", 1)], "relevances": ("equal",)},
}


def fitted(kind, verbose):
    rng = np.random.default_rng(0)
    X = rng.normal(size=(40, 3))
    y = X[:, 0] + X[:, 1] if "Regressor" in kind.__name__ else X[:, 0] > 0
    if SHAPES[kind] == "tensor":
        X = rng.normal(size=(5, 4, 3))
    if SHAPES[kind] == "gaps":
        X = np.outer(X[:, 0], [1.0, 2.0, 3.0])
        X[::7, 1] = np.nan
    return kind(**SMALL.get(kind, {}), random_state=0, verbose=verbose).fit(X, y)


@pytest.mark.parametrize("kind", SHAPES)
@pytest.mark.filterwarnings("ignore")
def test_a_line_for_every_stage(kind, capsys):
    fitted(kind, verbose=1)
    assert len(capsys.readouterr().out.splitlines()) >= 1


@pytest.mark.parametrize("kind", [sktn.MPSDensityEstimator, sktn.SMPOAnomalyDetector])
def test_silence_otherwise(kind, capsys):
    fitted(kind, verbose=0)
    assert capsys.readouterr().out == ""
