"""Categories of data frames and arrays, by HistGradientBoosting's conventions."""

import narwhals.stable.v2 as nw
import numpy as np
import pandas as pd
import polars as pl
import pytest
from sklearn.utils.validation import _check_categorical_features

from sktn import MPSClassifier
from sktn.tables import categories
from sktn.tables.categories import check_categorical, encode, fit_encoder
from sktn.tables.reading import read_fit

nan = np.nan


def pandas_frame(b):
    return pd.DataFrame({"a": [1.0, 2.0, nan], "b": pd.Categorical(b), "c": [1, 2, 3]})


def polars_frame(b):
    frame = pl.DataFrame({"a": [1.0, 2.0, None], "b": b, "c": [1, 2, 3]})
    return frame.with_columns(pl.col("b").cast(pl.Categorical))


def polars_enum(b):
    frame = pl.DataFrame({"a": [1.0, 2.0, None], "b": b, "c": [1, 2, 3]})
    return frame.with_columns(pl.col("b").cast(pl.Enum(["w", "x", "y", "z"])))


def object_array(b):
    return np.array([[1.0, 2.0, nan], b, [1, 2, 3]], dtype=object).T


def nested_list(b):
    return object_array(b).tolist()


frames = pytest.mark.parametrize("frame", [pandas_frame, polars_frame, polars_enum])
every_input = pytest.mark.parametrize(
    "make", [pandas_frame, polars_frame, polars_enum, object_array, nested_list]
)


@frames
@pytest.mark.parametrize(
    "given", ["from_dtype", [1], ["b"], [False, True, False], np.array(["b"], dtype=object)]
)
def test_ways_to_name_a_column(frame, given):
    X = frame(["x", "y", "x"])
    np.testing.assert_array_equal(check_categorical(X, given), [False, True, False])
    np.testing.assert_array_equal(
        check_categorical(X, given), _check_categorical_features(X, given)
    )


@pytest.mark.parametrize("given", ["from_dtype", None, [], [False, False]])
def test_no_categories(given):
    assert check_categorical(np.ones((3, 2)), given) is None


def test_names_of_an_array_can_be_given():
    mask = check_categorical(np.ones((3, 2)), ["v"], feature_names=["u", "v"])
    np.testing.assert_array_equal(mask, [False, True])


@every_input
def test_codes(make):
    X = make(["y", None, "x"])
    mask = np.array([False, True, False])
    encoder = fit_encoder(X, mask)
    np.testing.assert_array_equal(encode(X, mask, encoder), [[1, 1, 1], [2, nan, 2], [nan, 0, 3]])
    # Unknown levels are missing values, like in HistGradientBoosting.
    np.testing.assert_array_equal(
        encode(make(["z", "y", None]), mask, encoder)[:, 1], [nan, 1, nan]
    )


def test_nullable_strings_and_integers():
    X = pd.DataFrame(
        {
            "a": pd.array([1, None, 3], dtype="Int64"),
            "b": pd.array(["x", None, "y"], dtype="string").astype("category"),
        }
    )
    mask = check_categorical(X, "from_dtype")
    np.testing.assert_array_equal(
        encode(X, mask, fit_encoder(X, mask)), [[1, 0], [nan, nan], [3, 1]]
    )


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_dtype_follows_the_numeric_columns(dtype):
    X = np.array([[0.5, 3], [1.5, 7]], dtype=dtype)
    mask = np.array([False, True])
    codes = encode(X, mask, fit_encoder(X, mask))
    assert codes.dtype == dtype
    np.testing.assert_array_equal(codes, [[0.5, 0], [1.5, 1]])
    only = np.array([True, True])
    assert encode(X, only, fit_encoder(X, only)).dtype == np.float64


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ([0.5], "got an array-like of float"),
        ([True], r"shape \(n_features,\) = \(3,\), got \(1,\)"),
        ([3], r"in \[0, n_features - 1\] = \[0, 2\], got \[3\]"),
        ([-1], r"in \[0, n_features - 1\]"),
        (["d"], r"values \['d'\] that are not feature names"),
    ],
)
def test_errors_name_the_value(given, message):
    with pytest.raises(ValueError, match=message):
        check_categorical(pandas_frame(["x", "y", "x"]), given)


def test_names_need_names():
    with pytest.raises(ValueError, match="fitted on data without feature names"):
        check_categorical(np.ones((3, 2)), ["a"])


@pytest.mark.parametrize(
    ("X", "name"),
    [
        (np.arange(20.0).reshape(10, 2), "at index 1"),
        (pd.DataFrame({"a": range(10), "b": map(str, range(10))}), "'b'"),
    ],
)
def test_too_many_categories(X, name):
    mask = np.array([False, True])
    fit_encoder(X, mask, max_categories=10)
    with pytest.raises(ValueError, match=f"{name} has a cardinality of 10, but at most 9"):
        fit_encoder(X, mask, max_categories=9)


def test_infinite_values_are_refused():
    X = np.array([[np.inf, 1.0], [2.0, 2.0]])
    mask = np.array([False, True])
    with pytest.raises(ValueError, match="infinity"):
        encode(X, mask, fit_encoder(X, mask))


@pytest.mark.parametrize("gap", [pd.NA, pd.NaT, None, np.nan])
def test_every_way_to_say_missing_among_objects(gap):
    """In a column of a frame, in an array, and in a list."""
    wanted = np.array([[1.0, 2.0], [np.nan, 3.0], [2.5, np.nan]])
    rows = [[1, 2.0], [gap, 3], [2.5, gap]]
    for X in (pd.DataFrame(rows, dtype=object), np.array(rows, dtype=object), rows):
        np.testing.assert_array_equal(read_fit(MPSClassifier(), X).X, wanted)
    assert rows[1][0] is gap


def test_equal_names_and_levels_that_are_none_are_refused():
    twice = pd.DataFrame(np.ones((3, 3)), columns=["a", "b", "a"])
    with pytest.raises(ValueError, match=r"several columns of the names \['a'\]"):
        read_fit(MPSClassifier(), twice)
    lists = pd.DataFrame({"a": [[1], [2], [1]]})
    with pytest.raises(ValueError, match="'a' holds a list, which is no level"):
        read_fit(MPSClassifier(), lists, categorical=["a"])


@pytest.mark.parametrize(
    ("column", "boolean"),
    [
        (pd.Series([True, False, True]), True),
        (pd.Series([True, None, np.False_], dtype=object), True),
        (pd.Series([True, None, False], dtype="boolean"), True),
        (pd.Series([True, 1, False], dtype=object), False),
        (pd.Series([None, None], dtype=object), False),
        (pd.Series([0, 1, 1]), False),
        (pd.Series(["True", "False"], dtype=object), False),
        (pl.Series([True, None]), True),
        (pl.Series(["True", None]), False),
    ],
)
def test_columns_of_booleans_say_so_as_objects_too(column, boolean):
    assert categories._says_boolean(nw.from_native(column, series_only=True)) is boolean
