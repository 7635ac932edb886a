"""Missing values that carry a signal, seen from the estimators."""

import numpy as np
import pytest

from sktn import MPSClassifier, MPSRegressor


@pytest.mark.parametrize("estimator", [MPSClassifier, MPSRegressor])
def test_gaps_that_tell_are_used(estimator, rng):
    y = rng.integers(0, 2, 300)
    X = rng.normal(size=(300, 3))
    X[rng.random(300) < np.where(y, 0.6, 0.1), 0] = np.nan
    X[rng.random(300) < 0.3, 1] = np.nan
    options = {"solver": "convex", "alpha": 0.1, "degree": 2, "bond_dim": 4, "random_state": 0}
    models = {
        missing: estimator(missing=missing, **options).fit(X, y)
        for missing in ("auto", "marginal", "indicator")
    }
    n_components = {name: model.basis_.mask.sum(axis=1) for name, model in models.items()}
    np.testing.assert_array_equal(n_components["auto"] - n_components["marginal"], [1, 0, 0])
    np.testing.assert_array_equal(n_components["indicator"] - n_components["marginal"], [1, 1, 0])
    assert models["auto"].score(X, y) > models["marginal"].score(X, y)
