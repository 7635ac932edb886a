"""A row of weight two is two rows, and one of weight zero is none, for every option of a chain."""

import numpy as np
import pytest
from sklearn.base import is_classifier

from sktn import MPSClassifier, MPSClassifierCV, MPSRegressor, MPSRegressorCV
from sktn.chains.solvers import Adam, Sweep

SEARCH = {"bases": [("quantile", 3), ("standard", 1)], "max_members": 3, "random_state": 0}
MODELS = {
    "classifier": MPSClassifier(random_state=0),
    "fixed strength": MPSClassifier(alpha=0.1, random_state=0),
    "balanced": MPSClassifier(class_weight="balanced", random_state=0),
    "relevances": MPSClassifier(relevance="auto", random_state=0),
    "few landmarks": MPSClassifier(max_landmarks=10, random_state=0),
    "sweeps": MPSClassifier(solver="sweep", max_landmarks=10, random_state=0),
    "cutting sweeps": MPSClassifier(solver=Sweep(truncation_tol=1e-3), alpha=0.1, random_state=0),
    "several orders": MPSClassifier(n_estimators=2, feature_order="random", random_state=0),
    "batches": MPSClassifier(alpha=0.1, solver=Adam(max_iter=2, batch_size=16), random_state=0),
    "mixed": MPSRegressor(scaling="mixed", feature_order="correlation", random_state=0),
    "regressor": MPSRegressor(random_state=0),
    "relevances of numbers": MPSRegressor(relevance="auto", random_state=0),
    "huber": MPSRegressor(loss="huber", random_state=0),
    "absolute": MPSRegressor(loss="absolute_error", random_state=0),
    "counts": MPSRegressor(loss="poisson", random_state=0),
    "search": MPSClassifierCV(**SEARCH),
    "search of numbers": MPSRegressorCV(**SEARCH),
}


@pytest.mark.filterwarnings("ignore:Adam:sklearn.exceptions.ConvergenceWarning")
@pytest.mark.parametrize("name", MODELS)
def test_weights_are_repetitions(name, rng):
    X = rng.normal(size=(60, 3))
    X[::9, 2] = np.nan
    y = np.abs(X[:, 0] + 0.5 * X[:, 1] ** 2 + 0.5 * rng.normal(size=60)).round(2)
    weight = rng.integers(0, 4, 60)
    rows = np.repeat(np.arange(60), weight)
    model = MODELS[name]
    if is_classifier(model):
        y = np.digitize(y, [0.7, 1.5])
    found = []
    for data in ((X, y, weight), (X[rows], y[rows], None)):
        model.fit(*data)
        found.append(model.predict_proba(X) if is_classifier(model) else model.predict(X))
    # Sums of another order decide where a search for relevances stops.
    tolerance = 1e-3 if "relevances" in name else 1e-9
    np.testing.assert_allclose(*found, rtol=tolerance, atol=tolerance)


def test_intervals_of_weights_are_those_of_repetitions(rng):
    X = rng.normal(size=(60, 2))
    y, weight = X[:, 0] + 0.3 * rng.normal(size=60), rng.integers(0, 4, 60)
    rows = np.repeat(np.arange(60), weight)
    found = [
        MPSRegressor(random_state=0).fit(*data).predict_interval(X)
        for data in ((X, y, weight), (X[rows], y[rows]))
    ]
    np.testing.assert_allclose(*found, rtol=1e-9)
