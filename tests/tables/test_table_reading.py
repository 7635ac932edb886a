"""One path from a table of the user to numbers, with and without categories."""

import datetime

import numpy as np
import pandas as pd
import polars as pl
import pytest
import scipy.sparse as sp
from sklearn.base import BaseEstimator, ClassifierMixin

from sktn.fitted import commit
from sktn.tables.reading import read, read_fit, table_weight

LEVELS = ["x", "y", None, "x", "z", "y"]
CODES = [0, 1, np.nan, 0, 2, 1]
NUMBERS = {"a": np.arange(6) * 0.5}
Y = np.arange(6) % 2


class Model(ClassifierMixin, BaseEstimator):
    def __init__(self, categorical_features="from_dtype"):
        self.categorical_features = categorical_features

    def fit(self, X, y):
        return commit(self, read_fit(self, X, y, categorical=self.categorical_features).fitted())

    def __sklearn_tags__(self):
        tags = super().__sklearn_tags__()
        tags.input_tags.allow_nan = True
        return tags


def frame(values):
    return pd.DataFrame(NUMBERS | {"k": values})


def polars_frame(values, dtype=None):
    return pl.DataFrame(NUMBERS | {"k": pl.Series(values, dtype=dtype)})


CATEGORIES = {
    "pandas str": frame(LEVELS),
    "pandas object": frame(np.array(LEVELS, dtype=object)),
    "pandas string": frame(pd.array(LEVELS, dtype="string")),
    "pandas category": frame(pd.Categorical(LEVELS)),
    "polars string": polars_frame(LEVELS),
    "polars categorical": polars_frame(LEVELS, pl.Categorical),
    "polars enum": polars_frame(LEVELS, pl.Enum(["z", "y", "x"])),
}


@pytest.mark.parametrize("name", CATEGORIES)
def test_categories_and_strings_become_codes(name):
    X = CATEGORIES[name]
    model = Model()
    reading = read_fit(model, X, Y, categorical="from_dtype")
    assert vars(model) == {"categorical_features": "from_dtype"}
    np.testing.assert_array_equal(reading.X, np.c_[NUMBERS["a"], CODES])
    np.testing.assert_array_equal(reading.is_categorical, [False, True])
    np.testing.assert_array_equal(reading.is_nominal, [False, True])
    np.testing.assert_array_equal(reading.y, Y)
    np.testing.assert_array_equal(read(model.fit(X, Y), X), reading.X)
    assert list(model.feature_names_in_) == ["a", "k"]


def test_the_codes_of_ordered_levels_are_their_ranks():
    levels = pd.Categorical(LEVELS, categories=["z", "w", "y", "x"], ordered=True)
    reading = read_fit(Model(), frame(levels), Y, categorical="from_dtype")
    np.testing.assert_array_equal(reading.X[:, 1], [3, 2, np.nan, 3, 0, 2])
    assert reading.is_categorical[1]
    assert reading.is_nominal is None


def test_columns_of_numbers_stay_numbers():
    X = pd.DataFrame(
        {
            "objects": np.array([1, 2, None, 3, 4, 5.5], dtype=object),
            "nothing": np.array([None] * 6, dtype=object),
            "flags": np.arange(6) > 2,
            "nullable": pd.array([1, None, 2, 3, 4, 5], dtype="Int64"),
        }
    )
    reading = read_fit(Model(), X, Y, categorical="from_dtype")
    assert reading.is_categorical is None
    assert reading.encoder is None
    nan = np.nan
    np.testing.assert_array_equal(
        reading.X.T,
        [[1, 2, nan, 3, 4, 5.5], [nan] * 6, [0, 0, 0, 1, 1, 1], [1, nan, 2, 3, 4, 5]],
    )


@pytest.mark.parametrize("dtype", [np.int64, np.float32, object])
def test_masked_values_are_missing(dtype):
    data = np.arange(12).reshape(6, 2).astype(dtype)
    X = np.ma.masked_array(data, mask=np.eye(6, 2, dtype=bool))
    expected = np.where(np.eye(6, 2, dtype=bool), np.nan, np.arange(12.0).reshape(6, 2))
    model = Model().fit(X, Y)
    np.testing.assert_array_equal(read(model, X), expected)
    np.testing.assert_array_equal(data, np.arange(12).reshape(6, 2))


@pytest.mark.parametrize(
    ("X", "message"),
    [
        (frame(pd.date_range("2020", periods=6)), "Column 'k' holds Datetime.*days since"),
        (frame(pd.to_timedelta(np.arange(6), "D")), "Column 'k' holds Duration.*number of seconds"),
        (polars_frame([datetime.date(2020, 1, 1)] * 6), "Column 'k' holds Date.*days since"),
        (polars_frame([[1]] * 6), "Column 'k' holds List.*several columns"),
        (frame(np.array([datetime.date(2020, 1, 1)] * 6, object)), "Column 'k' holds date"),
        (frame(np.array(["x", 1, 2, 3, 4, "y"], object)), "Column 'k' holds int and str.*one type"),
        (frame(pd.Categorical(["x", 1, 2, 1, 1, "x"])), "column 'k' mixes int and str"),
        (frame(pd.Categorical([1.0, np.inf, 1, 1, 1, 1])), "infinity.* column 'k'"),
        (np.array([["a", 1.0]] * 6, dtype=object), "column at index 0 of X holds strings"),
        ([["a", 1.0]] * 6, "column at index 0 of X holds strings"),
        (np.zeros((6, 2), dtype="datetime64[D]"), "X holds dates"),
        (frame(pd.period_range("2020", periods=6)), "Column 'k' .* type 'Period'.*days since"),
        (np.full((6, 2), pd.Timestamp(0), object), "Column at index 0 .* type 'Timestamp'"),
        (pl.LazyFrame({"a": range(6)}), r"X is a LazyFrame.*X\.collect\(\)"),
        (frame(LEVELS)[:0], r"0 sample\(s\) \(shape=\(0, 2\)\)"),
        (np.arange(6.0), "Expected 2D array, got 1D array instead"),
    ],
)
def test_what_is_no_number_is_named_with_a_remedy(X, message):
    with pytest.raises((TypeError, ValueError), match=message):
        read_fit(Model(), X, Y, categorical="from_dtype")


def test_without_categories_strings_are_named():
    with pytest.raises(ValueError, match=r"column 'k' of X holds strings.*categorical_features"):
        read_fit(Model(), frame(LEVELS), Y)
    model = Model().fit(frame(np.arange(6.0)), Y)
    with pytest.raises(ValueError, match=r"column 'k' of X holds strings\. It held numbers in"):
        read(model, frame(LEVELS))


def test_levels_of_another_type_are_told_from_new_ones():
    model = Model().fit(frame(pd.Categorical([1, 2, 1, 2, 3, 3])), Y)
    with pytest.warns(
        UserWarning, match="column 'k' holds values such as '1', and .* 1 in training"
    ):
        found = read(model, frame(pd.Categorical(list("121233"))))
    assert np.isnan(found[:, 1]).all()
    assert np.isnan(read(model, frame(pd.Categorical([7] * 6)))[:, 1]).all()


def test_tables_of_arrow_are_frames():
    table = pytest.importorskip("pyarrow").table({"k": ["x", "y", "x", "x", "z", "y"], **NUMBERS})
    model = Model().fit(table, Y)
    np.testing.assert_array_equal(read(model, table)[:, 0], [0, 1, 0, 0, 2, 1])
    assert model.feature_names_in_.tolist() == ["k", "a"]


def test_labels_given_to_a_regressor_are_not_blamed_on_the_table():
    labels = np.array(["a", "b"] * 3, dtype=object)
    with pytest.raises(ValueError, match="y holds strings, and a regressor needs numbers"):
        read_fit(Model(), frame(np.arange(6.0)), labels, regression=True)
    with pytest.raises(ValueError, match="y contains NaN or None, the first in row 2"):
        read_fit(Model(), frame(np.arange(6.0)), ["1", "2", "nan", *"456"], regression=True)
    with pytest.raises(ValueError, match=r"y contains infinity .* the first in row 1"):
        read_fit(Model(), frame(np.arange(6.0)), ["1", "1e400", *"3456"], regression=True)


@pytest.mark.parametrize("categories", [True, False])
@pytest.mark.parametrize(
    ("y", "message"),
    [
        (np.array(["a", np.nan] * 3, dtype=object), "y contains NaN or None, the first in row 1"),
        (["a", None] * 3, "y contains NaN or None"),
        (np.array(["a", 1] * 3, dtype=object), "y mixes int and str: give them one type"),
        (np.ma.masked_array(Y, mask=Y == 1), "y has masked values"),
        (np.array([1.0, np.nan] * 3), "Input y contains NaN or None, the first in row 1"),
        (Y[:3], "inconsistent numbers of samples"),
        (np.ones((6, 2)), "y should be a 1d array"),
        (None, "requires y to be passed"),
    ],
)
def test_targets_are_checked_alike(y, message, categories):
    X = frame(LEVELS) if categories else np.ones((6, 2))
    with pytest.raises(ValueError, match=message):
        read_fit(Model(), X, y, categorical="from_dtype")


@pytest.mark.parametrize("categories", [True, False])
def test_dates_as_targets_of_regressors_are_refused(categories):
    X = frame(LEVELS) if categories else np.ones((6, 2))
    for y in pd.date_range("2020", periods=6), pd.to_timedelta(np.arange(6), unit="D"):
        with pytest.raises(ValueError, match=r"y holds (date|time).*: subtract"):
            read_fit(Model(), X, y, categorical="from_dtype", regression=True)


@pytest.mark.parametrize("categories", [True, False])
def test_numbers_as_targets(categories):
    X = frame(LEVELS) if categories else np.ones((6, 2), dtype=np.float32)
    # Double whatever X is: a target of 1.7e9 + signal is centred later.
    for y in (Y, Y.astype(str).astype(object), np.c_[Y, Y]):
        reading = read_fit(Model(), X, y, categorical="from_dtype", regression=True)
        assert reading.y.dtype == np.float64
        np.testing.assert_array_equal(reading.y, y.astype(float))


@pytest.mark.parametrize("categories", [True, False])
def test_new_rows_are_checked_as_scikit_learn_does(categories):
    X = np.c_[np.arange(6.0), Y]
    model = Model([1] if categories else None).fit(X, Y)
    with pytest.raises(TypeError, match="Sparse data was passed for X"):
        read(model, sp.csr_array(X))
    with pytest.raises(ValueError, match="Expected 2D array, got 1D array instead"):
        read(model, X[0])
    with pytest.raises(ValueError, match="X has 1 features, but Model is expecting 2 features"):
        read(model, X[:, :1])
    with pytest.raises(ValueError, match="infinity"):
        read(model, np.where(X == 1, np.inf, X))
    named = model.fit(frame(Y), Y)
    with pytest.raises(ValueError, match="feature names should match"):
        read(named, frame(Y).rename(columns={"a": "b"}))


def test_a_refused_fit_leaves_no_trace():
    model = Model().fit(frame(LEVELS), Y)
    before = dict(vars(model))
    with pytest.raises(ValueError, match="inconsistent"):
        model.fit(np.ones((6, 3)), Y[:2])
    assert vars(model) == before
    model.fit(np.ones((6, 3)), Y)
    assert model.n_features_in_ == 3
    assert not hasattr(model, "feature_names_in_")


def test_weights_are_checked():
    X = np.ones((3, 2), dtype=np.float32)
    np.testing.assert_array_equal(table_weight(None, X), np.ones(3))
    assert table_weight([1, 0, 2], X).dtype == np.float64
    with pytest.raises(ValueError, match="at least one non-zero"):
        table_weight(np.zeros(3), X)
    with pytest.raises(ValueError, match="Negative"):
        table_weight([1, -1, 2], X)


def test_frames_without_columns_are_refused_as_arrays_are():
    for X in (pd.DataFrame(index=range(6)), np.empty((6, 0)), pl.DataFrame()):
        with pytest.raises(ValueError, match="Found array with 0"):
            read_fit(Model(), X, Y[: len(X)])


def test_gaps_of_string_columns_that_are_no_categories_are_gaps():
    text = pd.Series([pd.NA, "1", "2", "3", "4", "5"], dtype="string")
    reading = read_fit(Model(), pd.DataFrame({"text": text}), Y, categorical=None)
    np.testing.assert_array_equal(reading.X[:, 0], [np.nan, 1, 2, 3, 4, 5])
    words = text.replace("1", "one")
    with pytest.raises(ValueError, match="column 'text' of X holds strings"):
        read_fit(Model(), pd.DataFrame({"text": words}), Y, categorical=None)
    categories = read_fit(Model(), pd.DataFrame({"text": words}), Y, categorical="from_dtype")
    assert categories.is_categorical.all()
    assert "one" in categories.encoder.categories_[0]
