"""A design on a device: the same features, solutions and searches as on the host."""

import numpy as np
import pytest

import sktn
from sktn import backend


@pytest.mark.parametrize("estimator", [sktn.MPSClassifier, sktn.MPSRegressor])
def test_a_design_on_a_device_gives_the_same_model(estimator, rng, monkeypatch):
    X = rng.normal(size=(60, 3))
    y = X[:, 0] * X[:, 1] + 0.1 * rng.normal(size=60)
    y = (y > 0).astype(int) if estimator is sktn.MPSClassifier else y
    model = estimator(solver="convex", degree=3, bond_dim=4, random_state=0)
    host = model.fit(X, y)
    alpha = host.alpha_
    expected = getattr(host, "predict_proba", host.predict)(X)
    monkeypatch.setattr(backend.executors, "_DEVICE_ENTRIES", 1)
    with sktn.config_context(backend="jax"):
        found = model.fit(X, y)
        scores = getattr(found, "predict_proba", found.predict)(X)
    assert found.alpha_ == alpha
    np.testing.assert_allclose(scores, expected, rtol=1e-4, atol=1e-4)
