"""MPSDensityEstimator: what kinds of columns get back."""

import numpy as np
import pandas as pd
import polars as pl
import pytest

from sktn import MPSDensityEstimator

QUICK = {"max_iter": 6, "bond_dim": 4, "degree": 4, "n_components": 2, "random_state": 0}


@pytest.mark.parametrize("library", ["pandas", "polars"])
def test_drawn_booleans_are_the_nearest(rng, library):
    frame = {"pandas": pd.DataFrame, "polars": pl.DataFrame}[library](
        {"x": rng.normal(size=60), "b": rng.uniform(size=60) < 0.3}
    )
    density = MPSDensityEstimator(**QUICK, resolution=None).set_output(transform=library).fit(frame)
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
    density = MPSDensityEstimator(**QUICK, resolution=None).set_output(transform=library).fit(frame)
    drawn = density.sample(500, random_state=0)["n"]
    assert str(drawn.dtype).lower() == dtype
    assert (drawn.max() < 20) if dtype == "uint8" else (drawn.min() > 100)
