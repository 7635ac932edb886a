"""A time limit is a limit."""

import time
import warnings

import numpy as np
import pytest
from hostile_checks import attempt

import sktn

# A second more than the limit, and another for what a busy machine adds to it.
LIMIT, ALLOWED = 0.5, 2.5
SEARCHES = {
    "RGTNDecomposer": {"target_error": 1e-4},
    "RGTNImputer": {},
    "TRDecomposer": {"target_error": 1e-4},
    "FCTNDecomposer": {"target_error": 1e-4},
    "SVDinsTNDecomposer": {"target_error": 1e-4},
    "GreedyTNDecomposer": {"target_error": 1e-4},
    "LocalSearchTNDecomposer": {"target_error": 1e-4},
    "GeneticTNDecomposer": {"target_error": 1e-4},
    "EnumerationTNDecomposer": {"target_error": 1e-4},
}


def test_nothing_is_begun_when_the_time_is_over(rng):
    X = rng.normal(size=(600, 3))
    y = X[:, 0] * X[:, 1] + 0.1 * rng.normal(size=600)
    found = {}
    for limit in (None, 1e-9):
        model = sktn.MPSRegressor(solver="sweep", bond_dim=4, alpha=0.1, time_limit=limit)
        member = sktn.MPSRegressor(solver="sweep", time_limit=limit)
        search = sktn.MPSRegressorCV(estimator=member, bases=[("standard", 2)], random_state=0)
        found[limit] = model.fit(X, y), search.fit(X, y)
    limited, search = found[1e-9]
    convex = sktn.MPSRegressor(solver="convex", bond_dim=4, alpha=0.1).fit(X, y)
    assert limited.n_iter_ == convex.n_iter_ < found[None][0].n_iter_
    assert [len(member.loss_curve_) for member in search.estimators_] == [convex.n_iter_]
    assert hasattr(found[None][1], "spread_")
    assert not hasattr(search, "spread_")
    with pytest.raises(ValueError, match="does not know how wrong it is"):
        search.predict_interval(X)


@pytest.mark.slow
@pytest.mark.parametrize("shape", [(30, 31, 32), (9, 9, 9, 9), (3,) * 8])
@pytest.mark.parametrize("name", SEARCHES)
def test_a_time_limit_is_kept(name, shape):
    rng = np.random.default_rng(len(shape))
    T = rng.standard_normal(shape)
    if name == "RGTNImputer":
        T[rng.random(shape) < 0.2] = np.nan
    model = getattr(sktn, name)(random_state=0, time_limit=LIMIT, **SEARCHES[name])
    start = time.process_time()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)
        attempt(model.fit, T)  # Some have nothing to show yet, and say so.
    assert time.process_time() - start < ALLOWED
