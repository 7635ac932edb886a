"""scaling="auto": columns by ranks, by values, or by the mean of both."""

import numpy as np
import pytest

from sktn import MPSClassifier, MPSClassifierCV, MPSRegressor
from sktn.chains import prior
from sktn.chains.target import fit_scaling
from sktn.losses import Huber, Quantile, SquaredError

GIVEN = {"bond_dim": 2, "degree": 4, "alpha": 0.1, "solver": "convex", "random_state": 0}


def skewed(rng, n=400):
    normal = rng.normal(size=(n, 3))
    return normal, np.exp(1.5 * normal)


def chosen(X, y, model=MPSRegressor, **given):
    return model(**GIVEN, **given).fit(X, y).columns_.scaling


def test_the_better_of_ranks_and_values_is_taken(rng):
    normal, X = skewed(rng)
    noise = rng.normal(size=len(X))
    assert chosen(X, normal.sum(axis=1) + 0.1 * noise) == "quantile"
    values = np.clip(X, None, 8).sum(axis=1)
    assert chosen(X, values + 0.1 * noise) == "standard"
    assert chosen(X, (values > np.median(values)).astype(int), MPSClassifier) != "quantile"


@pytest.mark.parametrize("loss", [SquaredError(), Quantile(0.5), Huber()], ids=str)
def test_a_unit_of_the_target_is_its_standard_deviation(rng, loss):
    y = 3 + 7 * rng.normal(size=20_000)
    center, scale = fit_scaling(y[:, None], np.ones(len(y)), loss)
    assert center == pytest.approx(3, abs=0.2)
    assert scale == pytest.approx(7, rel=0.03)


def test_both_are_taken_where_nothing_tells_them_apart(rng):
    _, X = skewed(rng)
    assert chosen(X, rng.normal(size=len(X))) == "blended"


def test_ranks_stay_where_a_part_of_the_rows_does_not_tell(rng):
    _, X = skewed(rng, 1100)
    assert chosen(X, rng.normal(size=len(X))) == "quantile"


def test_tables_of_two_values_are_not_looked_at(rng, monkeypatch):
    monkeypatch.setattr(prior, "look", None)
    X = rng.integers(2, size=(100, 3)).astype(float)
    X[:20, 0] = np.nan
    assert chosen(X, X[:, 1] + rng.normal(size=100)) == "quantile"
    levels = rng.integers(5, size=(100, 2)).astype(float)
    assert chosen(levels, levels[:, 0], categorical_features=[0, 1]) == "quantile"


def test_a_single_distinct_row_tells_nothing():
    assert chosen(np.ones((5, 2)), np.arange(5.0)) == "quantile"


def test_what_is_chosen_is_what_is_fitted(rng):
    normal, X = skewed(rng)
    y = normal.sum(axis=1)
    found = MPSRegressor(**GIVEN).fit(X, y).columns_
    given = MPSRegressor(**GIVEN, scaling=found.scaling).fit(X, y).columns_
    np.testing.assert_array_equal(found.transform(X), given.transform(X))


@pytest.mark.parametrize("n_rows", [300, 1100])
def test_rows_that_are_outliers_everywhere_are_ranked(rng, n_rows):
    X = rng.normal(size=(n_rows, 120))
    y = X[:, 0] + 0.1 * rng.normal(size=n_rows)
    X[:2] = 1e6 * np.sign(X[:2])
    model = MPSRegressor(**{**GIVEN, "degree": 8}, max_landmarks=300).fit(X, y)
    assert model.columns_.scaling == "quantile"
    assert np.isfinite(model.predict(X)).all()


def test_the_look_is_weighted(rng):
    """Rows by which ranks are better count for nothing beside heavy ones."""
    normal, X = skewed(rng)
    values = np.clip(X, None, 8).sum(axis=1)
    y = np.where(np.arange(400) < 200, values, 3 * normal.sum(axis=1))
    light = np.arange(400) < 200
    first, second = (
        MPSRegressor(**GIVEN).fit(X, y, np.where(light, *pair)).columns_.scaling
        for pair in ((1e4, 1), (1, 1e4))
    )
    assert first != "quantile"
    assert second == "quantile"


def test_a_chunk_settles_the_scaling(rng):
    normal, X = skewed(rng)
    model = MPSRegressor(degree=2, bond_dim=2, random_state=0)
    model.partial_fit(X[:300], normal[:300].sum(axis=1))
    before = model.columns_
    assert model.partial_fit(X[300:], normal[300:].sum(axis=1)).columns_ is before


def test_a_search_chooses_by_itself(rng):
    with pytest.raises(ValueError, match="bases has the scaling 'auto'"):
        MPSClassifierCV(bases=[("auto", 2)]).fit(rng.normal(size=(30, 2)), np.arange(30) % 2)
