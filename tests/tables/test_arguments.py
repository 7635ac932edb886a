"""Arguments of methods that are no tables."""

import re

import numpy as np
import pytest

from sktn import MPSRegressor, SMPOAnomalyDetector, TTDecomposer, pool_estimates
from sktn.tables.arguments import numbers

RNG = np.random.default_rng(0)
X = RNG.normal(size=(40, 3))
METHODS = {
    "scores": SMPOAnomalyDetector(random_state=0).fit(X).score_to_pvalue,
    "q": lambda q: MPSRegressor(alpha=0.1, degree=2).fit(X, X[:, 0]).predict_quantiles(X[:2], q),
    "X": TTDecomposer(0.5).fit(X).inverse_transform,
    "variances": lambda variances: pool_estimates([1.0, 2.0], variances),
}


@pytest.mark.parametrize("name", METHODS)
@pytest.mark.parametrize("given", [["0.1", "0.2"], [0.1, 0.2j], [0.1, "word"], [[0.1], [0.1, 0.2]]])
def test_what_is_no_number_is_refused_by_name(name, given):
    with pytest.raises(ValueError, match=re.escape(f"{name} must be real numbers")):
        METHODS[name](given)


def test_numbers_of_all_kinds_are_doubles():
    for given in [True, False], [1, 2], np.array([1.5, np.nan], "f4"), np.array([1, 2.5], object):
        found = numbers(given, "q")
        assert found.dtype == np.float64
        np.testing.assert_array_equal(found, np.asarray(given, float))
    assert numbers(0.5, "q").shape == ()


def test_nan_is_no_score():
    with pytest.raises(ValueError, match="scores must be those of rows, got NaN"):
        METHODS["scores"]([0.0, np.nan])
