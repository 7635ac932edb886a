"""Models behind pipelines and searches."""

import numpy as np
import pandas as pd
import pytest
from enumeration import FAST
from sklearn.compose import make_column_transformer
from sklearn.decomposition import PCA
from sklearn.ensemble import RandomForestRegressor
from sklearn.feature_selection import (
    RFE,
    SelectFromModel,
    SelectKBest,
    VarianceThreshold,
    f_regression,
)
from sklearn.impute import SimpleImputer
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import (
    FunctionTransformer,
    Normalizer,
    OneHotEncoder,
    OrdinalEncoder,
    PolynomialFeatures,
    StandardScaler,
)

from sktn import MPSRegressor, PixelOrder
from sktn.embeddings import Averaged, Trigonometric
from sktn.inspection import (
    bond_entropy,
    feature_importances,
    input_gradient,
    marginal_effect,
    mutual_information,
    prune,
    shapley_values,
    truncate,
    variance_shares,
)


@pytest.fixture
def data(rng):
    X = pd.DataFrame(rng.normal(size=(150, 4)), columns=["a", "b", "c", "d"])
    X["e"] = 1.0
    return X, X["b"] * X["c"] + X["d"] ** 2


def test_columns_before_the_steps_that_go_column_by_column(data):
    X, y = data
    X = X.mask(np.random.default_rng(1).random(X.shape) < 0.02)
    model = make_pipeline(
        SimpleImputer(),
        VarianceThreshold(),
        StandardScaler(),
        SelectKBest(f_regression, k=3),
        "passthrough",
        MPSRegressor(**FAST),
    ).fit(X, y.fillna(0))
    shares = variance_shares(model)
    kept = model[:-1].get_feature_names_out()
    assert list(shares.feature_names) == list("abcde")
    assert set(shares.feature_names[shares.total > 0]) == set(kept)
    inner = variance_shares(model[-1])
    place = [list("abcde").index(name) for name in kept]
    np.testing.assert_allclose(shares.total[place], inner.total)
    np.testing.assert_allclose(shares.pairs[np.ix_(place, place)], inner.pairs)
    np.testing.assert_allclose(feature_importances(model), shares.total)

    explanation = shapley_values(model, X[:6])
    assert explanation.values.shape == (6, 5)
    np.testing.assert_array_equal(explanation.data, X[:6].to_numpy())
    score = explanation.base_values + explanation.values.sum(axis=1)
    np.testing.assert_allclose(score, model.predict(X[:6]))
    against = shapley_values(model, X[:2], background=X[10:13])
    np.testing.assert_allclose(against.base_values, model.predict(X[10:13]).mean())

    effect = marginal_effect(model, X, kept[0], grid_resolution=9)
    assert effect.feature_names == [kept[0]]
    assert len(effect.grid_values[0]) <= 9
    assert set(effect.grid_values[0]) <= set(X[kept[0]])
    inner = marginal_effect(model[-1], model[:-1].transform(X), 0)
    np.testing.assert_allclose(effect.mean, inner.mean)
    gradient = input_gradient(model, X[:3])
    assert gradient.shape == (3, 5)
    assert set(bond_entropy(model).site_names) == {*kept, "output"}
    assert mutual_information(model, kept[0], kept[1]) > 0
    smaller = truncate(model, bond_dim=1, X=X, y=y.fillna(0))
    assert smaller.n_parameters[1] < smaller.n_parameters[0]
    pruned = prune(model, features=[kept[2]])
    moved = X[:5].assign(**{kept[2]: 0.3})
    np.testing.assert_allclose(pruned.model.predict(moved), pruned.model.predict(X[:5]))
    assert not np.allclose(model.predict(moved), model.predict(X[:5]))


def test_strings_through_a_column_transformer(rng):
    X = pd.DataFrame(
        {
            "size": rng.normal(size=120),
            "colour": rng.choice(["blue", "green", "red"], 120),
            "noise": rng.normal(size=120),
        }
    )
    y = X["size"] + 2.0 * (X["colour"] == "red")
    model = make_pipeline(
        make_column_transformer(
            (OrdinalEncoder(), ["colour"]), (StandardScaler(), ["size"]), remainder="passthrough"
        ),
        MPSRegressor(categorical_features=[0], **FAST),
    ).fit(X, y)
    shares = variance_shares(model)
    assert list(shares.feature_names) == ["size", "colour", "noise"]
    assert shares.total[2] < 0.05 < shares.total[:2].min()
    effect = marginal_effect(model, X, "colour")
    assert list(effect.grid_values[0]) == ["blue", "green", "red"]
    np.testing.assert_allclose(effect.average[0, 2] - effect.average[0, 0], 2, atol=0.3)
    explanation = shapley_values(model, X[:4])
    assert explanation.data[0, 1] == X["colour"][0]
    score = explanation.base_values + explanation.values.sum(axis=1)
    np.testing.assert_allclose(score, model.predict(X[:4]))


def test_what_a_step_mixes_is_explained_as_it_leaves_it(data):
    X, y = data
    model = make_pipeline(
        StandardScaler(), PCA(3, random_state=0), StandardScaler(), MPSRegressor(**FAST)
    ).fit(X, y)
    shares = variance_shares(model)
    assert list(shares.feature_names) == ["pca0", "pca1", "pca2"]
    explanation = shapley_values(model, X[:3])
    np.testing.assert_allclose(explanation.data, model[:2].transform(X[:3]))
    score = explanation.base_values + explanation.values.sum(axis=1)
    np.testing.assert_allclose(score, model.predict(X[:3]))
    assert marginal_effect(model, X, "pca1").average.ndim == 2
    for step in (Normalizer(), PolynomialFeatures(), FunctionTransformer(lambda x: x - x.mean())):
        mixed = make_pipeline(step, MPSRegressor(**FAST)).fit(X[["a", "b"]], y)
        assert len(variance_shares(mixed).total) == mixed[-1].n_features_in_
    frame = pd.DataFrame({"k": np.where(X["a"] > 0, "u", "v"), "a": X["a"]})
    dummies = make_pipeline(
        make_column_transformer((OneHotEncoder(), ["k"]), ("passthrough", ["a"])),
        MPSRegressor(**FAST),
    ).fit(frame, y)
    names = ["onehotencoder__k_u", "onehotencoder__k_v", "passthrough__a"]
    assert list(variance_shares(dummies).feature_names) == names


def test_searches_stand_for_their_best_estimator(data):
    X, y = data
    pipeline = make_pipeline(PixelOrder((1, 5)), StandardScaler(), MPSRegressor(**FAST))
    search = GridSearchCV(pipeline, {"mpsregressor__degree": [1, 2]}, cv=2).fit(X, y)
    expected = variance_shares(search.best_estimator_[-1]).total
    np.testing.assert_allclose(variance_shares(search).total, expected)
    score = shapley_values(search, X[:2])
    np.testing.assert_allclose(score.base_values + score.values.sum(axis=1), search.predict(X[:2]))
    without = GridSearchCV(MPSRegressor(**FAST), {"degree": [1]}, cv=2, refit=False).fit(X, y)
    with pytest.raises(ValueError, match="refit=True"):
        variance_shares(without)
    forest = make_pipeline(StandardScaler(), RandomForestRegressor(2)).fit(X, y)
    with pytest.raises(ValueError, match=r"Expected a fitted MPSClassifier.*distill"):
        variance_shares(forest)


def test_selectors_find_the_importances(data):
    X, y = data
    model = MPSRegressor(**FAST).fit(X, y)
    np.testing.assert_allclose(model.feature_importances_, variance_shares(model).total)
    elimination = RFE(MPSRegressor(**FAST), n_features_to_select=3).fit(X, y)
    assert set(X.columns[elimination.support_]) == {"b", "c", "d"}
    selection = SelectFromModel(MPSRegressor(**FAST), max_features=3, threshold=0.1).fit(X, y)
    assert set(X.columns[selection.get_support()]) == {"b", "c", "d"}
    assert not hasattr(MPSRegressor(), "feature_importances_")
    grouped = MPSRegressor(
        **{**FAST, "embedding": Averaged(Trigonometric(), group=2), "scaling": "minmax"}
    ).fit(X[["a", "b", "c", "d"]], y)
    assert not hasattr(grouped, "feature_importances_")
