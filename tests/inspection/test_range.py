"""Explanations of values as small, as large and as near each other as floats can be."""

import numpy as np
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer

from sktn import MPSRegressor
from sktn.inspection import input_gradient, marginal_effect, shapley_values

N = 120
LARGEST = np.finfo(float).max
EVEN = (np.arange(N) / (N - 1) * 2 - 1) * LARGEST


def test_no_slope_is_steeper_than_the_largest_float():
    X = np.column_stack([np.arange(N) * 5e-324, EVEN])
    y = np.arange(N) * 1e290
    gradient = input_gradient(MPSRegressor(scaling="quantile", random_state=0).fit(X, y), X)
    assert gradient[N // 2, 0] == LARGEST
    assert np.isfinite(gradient).all()


def test_a_grid_runs_from_end_to_end_of_the_floats():
    X, y = EVEN[:, None], np.arange(float(N))
    model = MPSRegressor(random_state=0)
    # Alone, and behind a step, where the grid is made of values that were seen.
    for explained in (model, make_pipeline(FunctionTransformer(), model)):
        effect = marginal_effect(explained.fit(X, y), X, 0, grid_resolution=10)
        assert np.isfinite(effect.average).all()
        assert np.ptp(effect.grid_values[0] / 2) > 0.8 * LARGEST


def test_means_of_shapley_values_are_finite_where_their_sums_are_not():
    X, y = EVEN[:, None], EVEN * 0.4
    model = MPSRegressor(random_state=0).fit(X, y)
    explanation = shapley_values(model, X[-3:], background=X[:9])
    score = explanation.base_values / 2 + explanation.values[:, 0] / 2
    np.testing.assert_allclose(score, model.predict(X[-3:]) / 2, rtol=1e-6)


def test_slopes_beside_a_category_are_found_in_any_domain(rng):
    # The slope of every column is read at neighbouring points of a domain, which has no levels.
    X = np.column_stack([rng.integers(2, size=60), rng.normal(size=60)]).astype(float)
    X[::7, 0] = np.nan
    y = X[:, 1] + np.nan_to_num(X[:, 0])
    for embedding in ("hermite", "fourier"):
        model = MPSRegressor(embedding=embedding, categorical_features=[0], alpha=0.1)
        slopes = input_gradient(model.fit(X, y), X)
        assert (slopes[:, 0] == 0).all()
        assert np.isfinite(slopes).all()
        assert slopes[:, 1].any()
