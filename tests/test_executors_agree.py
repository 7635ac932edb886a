"""Estimators give the same on both executors, with all that could go to a device there."""

import numpy as np
import pytest
from sklearn.datasets import (
    load_breast_cancer,
    load_diabetes,
    load_iris,
    load_linnerud,
    load_wine,
)

import sktn
from sktn.backend import executors
from sktn.chains.solvers import Sweep
from sktn.networks import graph

# Relative to the largest output: what rounding may make of a fit, on either executor.
TOLERANCES = {np.float64: 1e-5, np.float32: 1e-3}

CHAIN = {"degree": 2, "bond_dim": 3, "alpha": 0.1, "random_state": 0}
GRID = {"bases": [("standard", 2)], "alphas": [1.0, 0.1], "max_members": 1, "bond_dims": [3]}
SWEEPS = Sweep(tol=1e-3, max_iter=2)
TABLES = {
    "classifier-iris": (sktn.MPSClassifier(**CHAIN), load_iris),
    "classifier-wine": (sktn.MPSClassifier(**CHAIN, solver=SWEEPS), load_wine),
    "tree": (sktn.TTNClassifier(**CHAIN, topology="halves", max_iter=2), load_wine),
    "regressor": (sktn.MPSRegressor(**CHAIN, solver=SWEEPS), load_diabetes),
    "regressor-several": (sktn.MPSRegressor(**CHAIN, solver=SWEEPS), load_linnerud),
    "regressor-convex": (sktn.MPSRegressor(**CHAIN, solver="convex"), load_diabetes),
    "search": (sktn.MPSClassifierCV(**GRID, random_state=0), load_iris),
    "detector": (sktn.SMPOAnomalyDetector(random_state=0), load_iris),
    "classifier-cancer": (sktn.MPSClassifier(**CHAIN), load_breast_cancer),
    "density": (sktn.MPSDensityEstimator(bond_dim=2, max_iter=2, random_state=0), load_iris),
}
TENSORS = [(8, 6, 7), (5, 4, 6, 5), (4, 9, 8)]


def tensor(shape):
    """A smooth tensor, and a little noise."""
    axes = np.meshgrid(*(np.linspace(0, 1, n) for n in shape), indexing="ij")
    smooth = np.sin(3 * axes[0] + axes[1]) * np.exp(-axes[2]) + axes[0] * axes[2]
    return smooth + 0.01 * np.random.default_rng(0).normal(size=shape)


def outputs(name, dtype):
    """What an estimator says of the data that it was fitted to."""
    if "decomposer" in name:
        found = [
            sktn.RGTNDecomposer(0.02, random_state=0).fit(tensor(shape).astype(dtype)).to_tensor()
            for shape in (TENSORS[:1] if name == "decomposer" else TENSORS)
        ]
        return np.concatenate([T.ravel() for T in found])
    if name == "imputer":
        T = tensor(TENSORS[0]).astype(dtype)
        T[np.random.default_rng(1).random(T.shape) < 0.3] = np.nan
        return sktn.RGTNImputer(n_growths=1, max_steps=4, random_state=0).fit_transform(T)
    model, load = TABLES[name]
    X, y = load(return_X_y=True)
    model = model.fit(X.astype(dtype), y)
    for method in ("predict_proba", "predict", "score_samples"):
        if hasattr(model, method) and name != "detector":
            return getattr(model, method)(X.astype(dtype))
    return model.score_samples(X.astype(dtype))


NAMES = [*TABLES, "decomposer", "decomposer of more", "imputer"]
# Others take the same way.
SLOW = ["regressor-convex", "classifier-iris", "classifier-cancer", "tree", "decomposer of more"]
SLOW += ["regressor", "classifier-wine", "search"]
# Precision is lost in solvers, kernels of detectors and contractions of tensors: one of each.
SINGLE = ["classifier-wine", "detector", "decomposer"]


@pytest.mark.parametrize(
    ("name", "dtype"),
    [
        pytest.param(name, dtype, marks=pytest.mark.slow if name in slow else ())
        for dtype, slow in (
            (np.float64, SLOW),
            (np.float32, [name for name in NAMES if name not in SINGLE]),
        )
        for name in NAMES
    ],
)
def test_both_executors_agree(name, dtype, monkeypatch):
    for module in (executors, graph):
        monkeypatch.setattr(module, "_DEVICE_ENTRIES", 1)
    found = {}
    for executor in ("numpy", "jax"):
        with sktn.config_context(backend=executor):
            found[executor] = outputs(name, dtype)
    host, device = found["numpy"], found["jax"]
    assert type(device) is np.ndarray
    assert device.dtype == host.dtype
    tolerance = TOLERANCES[dtype]
    np.testing.assert_allclose(device, host, rtol=0, atol=tolerance * np.abs(host).max())
