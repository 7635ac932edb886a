"""ONNX models say what the fitted ones say, and what has no counterpart is refused."""

import numpy as np
import pandas as pd
import pytest
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from sktn import (
    MPSClassifier,
    MPSClassifierCV,
    MPSRegressor,
    MPSRegressorCV,
    TTNClassifier,
    TTNRegressor,
)
from sktn.interchange import to_onnx

pytest.importorskip("onnx")
runtime = pytest.importorskip("onnxruntime")

rng = np.random.default_rng(0)
X = np.round(rng.normal(size=(150, 5)), 2)
X[:, 3] = rng.choice([2.0, 5.0, 7.0], 150)
X[::9, 1] = np.nan
Y = np.nan_to_num(X[:, 0] * X[:, 1]) + (X[:, 3] == 5)
# Beyond the training range, missing where nothing was, an unknown level.
NEW = X[:20].copy()
NEW[0], NEW[1, 0], NEW[2, 3], NEW[3] = 50, -50, 6, np.nan
LABELS = np.array(["low", "middle", "high"])[np.digitize(Y, [0, 0.7])]


def answers(model, table, dtype=np.float64):
    session = runtime.InferenceSession(
        to_onnx(model, dtype=dtype).SerializeToString(), providers=["CPUExecutionProvider"]
    )
    return session.run(None, {"X": table.astype(dtype)})


@pytest.mark.parametrize(
    "params",
    [
        {},
        {"scaling": "standard", "missing": "indicator"},
        {"scaling": "mixed", "embedding": "mixed", "degree": 3},
        {"scaling": "minmax", "embedding": "chebyshev", "n_estimators": 2},
        {"scaling": "common", "embedding": "hermite", "degree": 3},
        {"scaling": "standard", "embedding": "laguerre", "categorical_features": [3]},
        {"embedding": "linear_complement", "categorical_features": [3]},
        {"embedding": "polynomial", "loss": "poisson"},
    ],
    ids=str,
)
@pytest.mark.parametrize("dtype", [np.float64, np.float32])
def test_a_regressor(params, dtype):
    params = {"degree": 4, **params}
    y = np.stack([Y - Y.min(), X[:, 0] ** 2], axis=1)
    model = MPSRegressor(alpha=0.1, random_state=0, **params).fit(X, y)
    [found] = answers(model, NEW, dtype)
    assert found.dtype == dtype
    atol = 1e-9 if dtype == np.float64 else 2e-3
    np.testing.assert_allclose(found, model.predict(NEW), atol=atol, rtol=atol)


@pytest.mark.parametrize("topology", ["chain", (((0, 3), (2, 1)), 4), (0, (1, ((2, 3), 4)))])
@pytest.mark.parametrize("dtype", [np.float64, np.float32])
def test_a_tree(topology, dtype):
    params = {"bond_dim": 4, "degree": 3, "alpha": 0.1, "random_state": 0}
    model = TTNRegressor(topology=topology, categorical_features=[3], **params).fit(X, Y)
    [found] = answers(model, NEW, dtype)
    atol = 1e-9 if dtype == np.float64 else 2e-3
    np.testing.assert_allclose(found[:, 0], model.predict(NEW), atol=atol, rtol=atol)
    model = TTNClassifier(topology=topology, **params).fit(X, LABELS)
    labels, proba = answers(model, NEW, dtype)
    np.testing.assert_allclose(proba, model.predict_proba(NEW), atol=atol)
    assert list(labels) == list(model.predict(NEW))


@pytest.mark.parametrize("n_classes", [2, 3])
def test_a_classifier(n_classes):
    y = LABELS if n_classes == 3 else Y > 0.5
    model = MPSClassifier(
        degree=3, alpha=0.1, categorical_features=[3], n_estimators=2, random_state=0
    ).fit(X, y)
    label, proba = answers(model, NEW)
    np.testing.assert_allclose(proba, model.predict_proba(NEW), atol=1e-9)
    np.testing.assert_array_equal(label.astype(model.classes_.dtype), model.predict(NEW))


@pytest.mark.parametrize("kind", [MPSRegressorCV, MPSClassifierCV])
def test_averages(kind):
    params = {
        "bases": [("standard", 1), ("quantile", 3)],
        "alphas": [1.0, 0.1],
        "interaction_penalties": [1.0],
        "smoothnesses": [1.0],
        "random_state": 0,
    }
    model = kind(**params).fit(X, Y if kind is MPSRegressorCV else LABELS)
    found = answers(model, NEW)[-1]
    if kind is MPSRegressorCV:
        np.testing.assert_allclose(found[:, 0], model.predict(NEW), atol=1e-8)
    else:
        np.testing.assert_allclose(found, model.predict_proba(NEW), atol=1e-8)


def test_a_long_chain_stays_in_range():
    table = rng.normal(size=(60, 150))
    model = MPSRegressor(degree=1, bond_dim=4, alpha=1.0, random_state=0)
    model.fit(table, table[:, 0] + table[:, 1])
    for dtype in (np.float64, np.float32):
        [found] = answers(model, 3 * table, dtype)
        np.testing.assert_allclose(found[:, 0], model.predict(3 * table), rtol=1e-3, atol=1e-3)


def test_what_has_no_counterpart_is_refused():
    model = MPSRegressor(degree=2, alpha=0.1, embedding="fourier").fit(X, Y)
    with pytest.raises(ValueError, match="basis of polynomials"):
        to_onnx(model)
    frame = pd.DataFrame({"a": X[:, 0], "b": pd.Categorical(np.where(X[:, 2] > 0, "u", "v"))})
    with pytest.raises(ValueError, match="OrdinalEncoder"):
        to_onnx(MPSRegressor(degree=2, alpha=0.1).fit(frame, Y))
    known = MPSRegressor(degree=2, alpha=0.1).fit(X, Y)
    with pytest.raises(ValueError, match="pass the last step"):
        to_onnx(make_pipeline(StandardScaler(), known).fit(X, Y))
    with pytest.raises(ValueError, match="dtype must be"):
        to_onnx(known, dtype=np.int32)
