"""MPSImputer: a data frame for a data frame, with its dtypes."""

import numpy as np
import pandas as pd
import polars as pl
import pytest

from sktn import MPSImputer


def imputer(**options):
    return MPSImputer(max_iter=2, random_state=0, **options)


@pytest.fixture
def nullable(rng):
    x = rng.normal(size=90)
    frame = pd.DataFrame(
        {
            "b": pd.array(x > 0, dtype="boolean"),
            "n": pd.array(np.round(3 * x) + 9, dtype="UInt8"),
            "f": pd.array(x, dtype="Float32"),
            "s": x.astype(np.float32),
        }
    )
    for k, name in enumerate(frame.columns):
        frame.loc[k::5, name] = None
    return frame


def as_polars(frame):
    columns = {name: [None if pd.isna(v) else v for v in frame[name]] for name in frame}
    dtypes = {"b": pl.Boolean, "n": pl.UInt8, "f": pl.Float32, "s": pl.Float32}
    return pl.DataFrame(columns, schema_overrides=dtypes)


@pytest.mark.parametrize("categorical", ["from_dtype", None])
@pytest.mark.parametrize("convert", [pd.DataFrame, as_polars])
def test_a_frame_without_categories_comes_back_as_it_came(nullable, convert, categorical):
    frame = convert(nullable)
    model = imputer(categorical_features=categorical, add_indicator=True)
    filled = model.fit_transform(frame)
    for table in (filled, model.transform(frame), model.sample_imputations(frame, 1)[0]):
        assert isinstance(table, type(frame))
        assert list(table.columns) == list(model.get_feature_names_out())
        assert list(table.dtypes)[: len(frame.columns)] == list(frame.dtypes)
        gaps = table.isna() if isinstance(table, pd.DataFrame) else table.null_count()
        assert gaps.to_numpy().sum() == 0
    # x is in the other columns: its sign fills the booleans.
    assert (model.is_categorical_ is not None) == (categorical == "from_dtype")
    truth = np.asarray(nullable["s"]) > 0
    seen = ~np.isnan(np.asarray(nullable["s"]))
    right = np.asarray(filled["b"].to_list())[seen] == truth[seen]
    assert right.mean() > 0.9


def test_booleans_among_objects_are_levels(rng):
    x = rng.normal(size=60)
    flags = (x > 0).astype(object)
    flags[::4] = None
    frame = pd.DataFrame({"x": x, "b": flags})
    filled = imputer().fit_transform(frame)
    assert filled["b"].dtype == object
    assert set(filled["b"]) == {True, False}
    assert all(type(value) is bool for value in filled["b"])
    assert (filled["b"] == (x > 0)).mean() > 0.9


def test_frames_without_names_of_strings_come_back_as_frames(rng):
    X = rng.normal(size=(40, 2))
    X[::5, 0] = np.nan
    frame = pd.DataFrame(X, index=np.arange(40) + 7)
    filled = imputer().fit_transform(frame)
    assert filled.columns.tolist() == [0, 1]
    assert filled.index.equals(frame.index)
    np.testing.assert_allclose(filled, imputer().fit_transform(X), rtol=1e-9)


@pytest.mark.parametrize("output", ["pandas", "polars"])
def test_set_output_says_the_library(nullable, output):
    wanted = {"pandas": pd.DataFrame, "polars": pl.DataFrame}[output]
    for frame in (nullable, as_polars(nullable)):
        filled = imputer().set_output(transform=output).fit_transform(frame)
        assert isinstance(filled, wanted)
        assert list(filled.columns) == list(frame.columns)
        assert set(filled["b"]) == {True, False}


EMPTY = {
    "category": (pd.Series(pd.Categorical([None] * 50, categories=["u", "v"])), "u"),
    "ordered": (pd.Series(pd.Categorical([None] * 50, categories=["v", "u"], ordered=True)), "v"),
    "no levels": (pd.Series(pd.Categorical([None] * 50)), "missing"),
    "boolean": (pd.Series([None] * 50, dtype="boolean"), False),
    "objects": (pd.Series([None] * 50, dtype=object), 0.0),
    "integers": (pd.Series([None] * 50, dtype="Int64"), 0),
    "enum": (pl.Series([None] * 50, dtype=pl.Enum(["u", "v"])), "u"),
    "polars' category": (pl.Series([None] * 50, dtype=pl.Categorical), "missing"),
    "polars' string": (pl.Series([None] * 50, dtype=pl.String), "missing"),
    "polars' boolean": (pl.Series([None] * 50, dtype=pl.Boolean), False),
    "nulls": (pl.Series([None] * 50, dtype=pl.Null), 0.0),
}


@pytest.mark.parametrize("name", EMPTY)
def test_empty_columns_are_kept_with_the_first_level(name):
    column, expected = EMPTY[name]
    library = pd if isinstance(column, pd.Series) else pl
    frame = library.DataFrame({"c": column, "x": np.arange(50.0)})
    model = imputer(keep_empty_features=True)
    with pytest.warns(UserWarning, match=r"\['c'\] is observed. They are filled with 0, or with"):
        filled = model.fit_transform(frame)
    for table in (filled, model.transform(frame[:3])):
        assert set(table["c"].to_list()) == {expected}
        if name not in ("objects", "nulls", "no levels"):
            assert table["c"].dtype == column.dtype
    with pytest.warns(UserWarning, match=r"\['c'\] is observed. They are left out"):
        assert list(imputer().fit_transform(frame).columns) == ["x"]


@pytest.mark.parametrize("kind", ["pandas", "polars", "array"])
def test_empty_numbers_declared_as_categories_are_kept_as_numbers(kind):
    X = np.column_stack([np.full(50, np.nan), np.arange(50.0)])
    if kind != "array":
        X = {"pandas": pd, "polars": pl}[kind].DataFrame(dict(zip("cx", X.T, strict=True)))
    model = imputer(keep_empty_features=True, categorical_features=[0])
    with pytest.warns(UserWarning, match="filled with 0, or with"):
        filled = np.asarray(model.fit_transform(X))
    assert filled.dtype == float
    np.testing.assert_array_equal(filled, np.nan_to_num(np.asarray(X)))
