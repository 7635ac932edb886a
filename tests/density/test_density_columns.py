"""MPSDensityEstimator: what kinds of columns get back."""

import numpy as np
import pandas as pd
import polars as pl
import pytest

from sktn import MPSDensityEstimator

QUICK = {"max_iter": 6, "bond_dim": 4, "degree": 4, "n_components": 2, "random_state": 0}
CHAIN = {**QUICK, "n_components": 0}


@pytest.mark.parametrize("library", ["pandas", "polars"])
def test_drawn_booleans_are_the_nearest(rng, library):
    frame = {"pandas": pd.DataFrame, "polars": pl.DataFrame}[library](
        {"x": rng.normal(size=60), "b": rng.uniform(size=60) < 0.3}
    )
    density = MPSDensityEstimator(**CHAIN, resolution=None).set_output(transform=library).fit(frame)
    drawn = density.sample(500, random_state=0)["b"]
    assert str(drawn.dtype).lower().startswith("bool")
    assert 0.15 < drawn.mean() < 0.5


@pytest.mark.parametrize("library", ["pandas", "polars"])
@pytest.mark.parametrize("dtype", ["uint8", "int8"])
def test_drawn_integers_stay_in_the_range_of_their_dtype(rng, library, dtype):
    """Smooth densities pass the ends 0 and 127: numbers beyond became 255 and -128."""
    counts = np.minimum(rng.poisson(0.7, 80), 3)
    counts = (counts if dtype == "uint8" else 127 - counts).astype(dtype)
    frame = {"pandas": pd.DataFrame, "polars": pl.DataFrame}[library](
        {"x": rng.normal(size=80), "n": counts}
    )
    density = MPSDensityEstimator(**CHAIN, resolution=None).set_output(transform=library).fit(frame)
    drawn = density.sample(500, random_state=0)["n"]
    assert str(drawn.dtype).lower() == dtype
    assert (drawn.max() < 20) if dtype == "uint8" else (drawn.min() > 100)


def test_draws_of_large_numbers_in_single_precision_are_finite(rng):
    X = (rng.normal(size=(60, 1)) * 1e38).clip(-3e38, 3e38).astype(np.float32)
    density = MPSDensityEstimator(**CHAIN, resolution=None).fit(X)
    drawn = density.sample(2000, random_state=0)
    assert drawn.dtype == np.float32
    assert np.isfinite(drawn).all()
    assert np.abs(drawn).max() == np.finfo(np.float32).max


@pytest.mark.parametrize("constant", [1.0, -3e30, 0.1])
@pytest.mark.parametrize("n_components", [0, 2])
@pytest.mark.parametrize("alone", [True, False])
def test_draws_of_a_constant_are_the_constant(rng, constant, n_components, alone):
    X = np.full((60, 1 if alone else 2), constant)
    X[:, 1:] = rng.normal(size=(60, 1 - alone))
    density = MPSDensityEstimator(**{**QUICK, "n_components": n_components}).fit(X)
    assert (density.sample(2000, random_state=0)[:, 0] == constant).all()
    X[0, 0] = np.nan
    assert density.impute(X)[0, 0] == density.conditional_sample(X, 0)[0, 0] == constant
    # One row more, in units of the constant: its share is seen beside the bin.
    grid = constant + np.linspace(-30, 30, 4001)
    rest = np.exp(density.marginal(grid[:, None], [0]))
    if constant == 1.0:
        assert rest[grid != constant].sum() * (grid[1] - grid[0]) == pytest.approx(1 / 61, rel=0.01)
        inside = np.exp(density.marginal([[constant]], [0]))[0]
        assert inside * 0.0025 == pytest.approx(60 / 61, rel=0.01)


def test_only_what_was_seen_fills_booleans(rng):
    frame = pd.DataFrame(
        {"x": rng.normal(size=60), "b": pd.array([False, None] * 30, dtype="boolean")}
    )
    density = MPSDensityEstimator(**QUICK).fit(frame).set_output(transform="pandas")
    assert density.impute(frame)["b"].tolist() == [False] * 60


def test_smooth_densities_of_constants_stay_smooth():
    density = MPSDensityEstimator(**CHAIN, resolution=None).fit(np.ones((30, 1)))
    assert len(set(density.sample(20, random_state=0)[:, 0])) == 20


@pytest.mark.parametrize("n_components", [0, 2])
def test_a_column_without_values_stays_missing(rng, n_components):
    X = np.column_stack([rng.normal(size=60), np.full(60, np.nan)])
    density = MPSDensityEstimator(**{**QUICK, "n_components": n_components})
    with pytest.warns(UserWarning, match=r"\['x1'\] is observed: they have no density"):
        density.fit(X)
    assert np.isnan(density.sample(5, random_state=0)[:, 1]).all()
    holes = np.array([[np.nan, np.nan], [0.3, 7.0], [0.3, np.nan]])
    for filled in (density.impute(holes), density.conditional_sample(holes, random_state=0)):
        assert np.isfinite(filled[:, 0]).all()
        np.testing.assert_array_equal(filled[:, 1], [np.nan, 7.0, np.nan])
    assert np.ptp(density.score_samples(holes)[1:]) == 0
    # Rows of weight 0 are no rows.
    X[:2, 1] = 1.0
    with pytest.warns(UserWarning, match="is observed"):
        density.fit(X, sample_weight=np.arange(60) > 1)


@pytest.mark.parametrize("output", ["pandas", "polars"])
@pytest.mark.parametrize(
    ("library", "dtype"),
    [
        ("pandas", "Int64"),
        ("pandas", "boolean"),
        ("pandas", "Float32"),
        ("pandas", "float64"),
        ("pandas", "object"),
        ("polars", pl.UInt8),
        ("polars", pl.Float64),
        ("polars", pl.Null),
    ],
)
def test_gaps_of_frames_keep_their_dtype(rng, library, dtype, output):
    """Of whole columns, beside one that has values."""
    x = rng.normal(size=30)
    if library == "pandas":
        frame = pd.DataFrame({"e": pd.Series([None] * 30, dtype=dtype), "x": x})
    else:
        frame = pl.DataFrame({"e": pl.Series([None] * 30, dtype=dtype), "x": x})
    with pytest.warns(UserWarning, match=r"\['e'\] is observed"):
        density = MPSDensityEstimator(**CHAIN).fit(frame).set_output(transform=output)
    for drawn in (density.sample(4, random_state=0), density.impute(frame[:4])):
        gone = drawn["e"].isna() if output == "pandas" else drawn["e"].is_null()
        assert gone.all()
        if isinstance(frame, type(drawn)):
            assert list(drawn.dtypes) == list(frame.dtypes)


@pytest.mark.parametrize(("n_components", "alone"), [(0, True), (0, False), ("auto", False)])
def test_repeated_values_are_drawn_as_often_as_they_were_seen(rng, n_components, alone):
    """Whether rows repeat or not: a chain that saw all of a bin's rows in its middle made the
    commoner of two values commoner still."""
    flags = np.arange(200) < 30
    X = np.column_stack([flags] if alone else [flags, rng.normal(size=200)]).astype(float)
    density = MPSDensityEstimator(n_components=n_components, max_iter=20, random_state=0).fit(X)
    drawn = density.sample(8000, random_state=0)[:, 0]
    # To three standard errors; the smooth part has a row's share.
    assert (drawn == 1).mean() == pytest.approx(0.15, abs=0.012)
    assert (drawn == 0).mean() == pytest.approx(0.85, abs=0.017)
    # And the density at a value is its probability over the width of its bin.
    width = 0.0025 * flags.std()
    found = np.exp(density.marginal([[0.0], [1.0]], [0])) * width
    np.testing.assert_allclose(found, [0.85, 0.15], rtol=0.15)
