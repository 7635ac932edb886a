"""Categorical columns of data frames and arrays: which they are, and numbers for their levels.

By the conventions of HistGradientBoosting, except that columns of strings are categories too where
the dtypes decide: nothing else could be meant by them.
"""

from __future__ import annotations

import warnings
from collections.abc import Hashable
from dataclasses import dataclass
from numbers import Number

import narwhals.stable.v2 as nw
import numpy as np
from sklearn.utils import check_array

from sktn.tables.frames import is_frame

# What a column without a meaning as numbers holds, and what to do about it.
_REMEDIES = {
    nw.Datetime: "Turn it into numbers, e.g. days since a first date, its month, its weekday.",
    nw.Date: "Turn it into numbers, e.g. days since a first date, its month, its weekday.",
    nw.Duration: "Turn it into a number of seconds or days.",
    nw.Time: "Turn it into a number, e.g. of seconds since midnight.",
    nw.List: "Spread it over several columns.",
    nw.Array: "Spread it over several columns.",
    nw.Struct: "Spread it over several columns.",
    nw.Binary: "Decode it to numbers or strings.",
}


@dataclass(frozen=True, eq=False)
class Encoder:
    """Codes 0, 1, ... of the levels of categorical columns, fitted by :func:`fit_encoder`.

    Attributes
    ----------
    columns : ndarray of shape (m,)
        The columns of the table that it encodes.
    categories_ : tuple of m ndarrays of objects
        Level of every code. Those of ordered columns in their order, the others sorted.
    ordered : ndarray of shape (m,), bool
        Columns whose dtype says that the levels are ordered.
    """

    columns: np.ndarray
    categories_: tuple
    ordered: np.ndarray

    def transform(self, X):
        """X (b, n_columns) -> codes (b, m) in float64, NaN for missing values and unknown levels"""
        values = _levels(X, self.columns)
        codes = np.empty(values.shape)
        for j, levels in enumerate(self.categories_):
            numbers = {level: code for code, level in enumerate(levels)}
            _check_levels(X, self.columns[j], values[:, j])
            codes[:, j] = [numbers.get(value, np.nan) for value in values[:, j]]
            if np.isnan(codes[:, j]).all():
                _warn_of_type(X, self.columns[j], values[:, j], levels)
        return codes


def check_categorical(X, categorical_features, feature_names=None, booleans=False):
    """Which columns are categorical.

    Parameters
    ----------
    X : array-like or data frame of shape (b, n_columns)
        As the user gave it, since validation loses the dtypes.
    categorical_features : "from_dtype", None, or array-like of bool, int or str
        "from_dtype": the columns of a data frame that hold categories or strings.
    feature_names : sequence of str, default=None
        Default: the columns of a data frame.
    booleans : bool, default=False
        Whether the dtypes of booleans say category, too.

    Returns
    -------
    is_categorical : ndarray of shape (n_columns,), bool, or None
        None where no column is categorical.
    """
    frame = _as_frame(X)
    n_columns = np.shape(X)[1]
    mask = np.zeros(n_columns, dtype=bool)
    if isinstance(categorical_features, str) and categorical_features == "from_dtype":
        if frame is not None:
            mask[:] = [
                _says_category(frame, j) or (booleans and _says_boolean(frame[:, j]))
                for j in range(n_columns)
            ]
    elif categorical_features is not None:
        mask = _chosen(categorical_features, frame, n_columns, feature_names)
    check_numeric(X, mask)
    return mask if mask.any() else None


def _chosen(categorical_features, frame, n_columns, feature_names):
    """The mask that names, numbers or a mask of the user stand for: (n_columns,)"""
    chosen = np.asarray(categorical_features)
    mask = np.zeros(n_columns, dtype=bool)
    if chosen.size == 0:
        return mask
    if chosen.dtype.kind == "O" and all(isinstance(name, str) for name in chosen):
        chosen = chosen.astype(str)
    if chosen.dtype.kind not in "biuU":
        kinds = sorted({type(item).__name__ for item in chosen.ravel().tolist()})
        raise ValueError(
            'categorical_features must be None, "from_dtype" or an array-like of bool, int or '
            f"str, got an array-like of {', '.join(kinds)}."
        )
    if chosen.dtype.kind == "b":
        if chosen.shape != (n_columns,):
            raise ValueError(
                "categorical_features set as a boolean mask must have shape (n_features,) = "
                f"({n_columns},), got {chosen.shape}."
            )
        return chosen.copy()
    if chosen.dtype.kind == "U":
        names = frame.columns if feature_names is None and frame is not None else feature_names
        if names is None:
            raise ValueError(
                "categorical_features should be indices or a boolean mask, since the model is "
                "fitted on data without feature names."
            )
        names = list(names)
        unknown = [str(name) for name in chosen if name not in names]
        if unknown:
            raise ValueError(
                f"categorical_features has the values {unknown} that are not feature names of "
                f"the training data. Observed feature names: {names}."
            )
        mask[[names.index(name) for name in chosen]] = True
        return mask
    if chosen.min() < 0 or chosen.max() >= n_columns:
        raise ValueError(
            "categorical_features set as indices must be in [0, n_features - 1] = "
            f"[0, {n_columns - 1}], got {chosen.tolist()}."
        )
    mask[chosen] = True
    return mask


def _says_category(frame, j):
    """Whether the dtype of a column of a data frame, or what its objects are, says category."""
    series = frame[:, j]
    if _holds_objects(series):
        return _types(series) == {str}
    return series.dtype in (nw.Categorical, nw.Enum, nw.String)


def _says_boolean(series):
    """Whether a column of a data frame holds booleans, as objects where some are missing."""
    if _holds_objects(series):
        return bool(_types(series)) and _types(series) <= {bool, np.bool_}
    return series.dtype == nw.Boolean


def listed_levels(series):
    """Levels that a column of a data frame lists, whether it has values or not."""
    if series.dtype == nw.Boolean:
        return [False, True]
    # A Categorical of polars may list what other columns have seen.
    lists = nw.Enum if series.implementation.is_polars() else (nw.Categorical, nw.Enum)
    return series.cat.get_categories().to_list() if isinstance(series.dtype, lists) else []


_NAME_IT = "If its values are categories, name it in categorical_features."


def check_numeric(X, is_categorical=None, otherwise=_NAME_IT):
    """Refuse, by name, columns of a data frame, or a whole array of dates, that are to be numbers
    and hold something else.

    X array-like or data frame (b, n_columns), is_categorical (n_columns,) bool or None, otherwise:
    what else to do
    """
    if isinstance(X, np.ndarray) and X.dtype.kind in "mM":
        raise ValueError(
            f"X holds dates ({X.dtype}). Turn them into numbers, e.g. days since a first date, "
            "months, weekdays."
        )
    frame = _as_frame(X)
    if frame is None:
        return
    for j in range(len(frame.columns)):
        if is_categorical is not None and is_categorical[j]:
            continue
        series = frame[:, j]
        found, remedy = str(series.dtype), None
        if _holds_objects(series):
            types = _types(series)
            found = " and ".join(sorted(kind.__name__ for kind in types))
            if str in types and len(types) > 1:
                remedy = "Give its values one type, e.g. by astype(str) or pandas.to_numeric."
            elif not all(issubclass(kind, (Number, np.generic, str)) for kind in types):
                remedy = "Turn it into numbers."
        else:
            for kind, text in _REMEDIES.items():
                if isinstance(series.dtype, kind) or series.dtype == kind:
                    remedy = text
        if remedy is not None:
            raise ValueError(
                f"Column {frame.columns[j]!r} holds {found}, which are not numbers. {remedy} "
                f"{otherwise}"
            )


def fit_encoder(X, is_categorical, *, max_categories=255):
    """Learn the levels of the categorical columns.

    Parameters
    ----------
    X : array-like or data frame of shape (b, n_columns)
    is_categorical : ndarray of shape (n_columns,), bool
    max_categories : int, default=255
        A column with more of them is most likely an identifier.

    Returns
    -------
    encoder : Encoder
    """
    columns = np.flatnonzero(is_categorical)
    values = _levels(X, columns)
    frame = _as_frame(X)
    categories, ordered = [], np.zeros(len(columns), dtype=bool)
    for j, column in enumerate(columns):
        _check_levels(X, column, values[:, j])
        # NaN stands for missing and is no category; it is unequal to itself.
        levels = {level for level in values[:, j].tolist() if level == level}
        if frame is not None and _is_ordered(frame[:, int(column)]):
            ordered[j] = True
            levels = frame[:, int(column)].cat.get_categories().to_list()
        else:
            try:
                levels = sorted(levels)
            except TypeError as error:
                kinds = " and ".join(sorted({type(level).__name__ for level in levels}))
                raise ValueError(
                    f"Categorical column {named(X, column)} mixes {kinds}: give its levels one "
                    "type, e.g. by astype(str)."
                ) from error
        if len(levels) > max_categories:
            raise ValueError(
                f"Categorical feature {named(X, column)} has a cardinality of {len(levels)}, but "
                f"at most {max_categories} is supported. Group its rare categories, encode it "
                "(e.g. with TargetEncoder), or leave it out."
            )
        array = np.empty(len(levels), dtype=object)
        array[:] = levels
        categories.append(array)
    return Encoder(columns, tuple(categories), ordered)


def encode(X, is_categorical, encoder):
    """A float array with codes in the categorical columns and NaN for missing or unknown values.

    X (b, n_columns) -> (b, n_columns), float32 if all numeric columns are, else float64
    """
    numeric = np.flatnonzero(~is_categorical)
    dtype = np.float64
    if len(numeric):
        values = check_array(
            _select(X, numeric), dtype=[np.float64, np.float32], ensure_all_finite="allow-nan"
        )
        dtype = values.dtype
    result = np.empty(np.shape(X), dtype=dtype)
    if len(numeric):
        result[:, numeric] = values
    result[:, is_categorical] = encoder.transform(X)
    return result


def with_plain_gaps(X):
    """X with NaN for NA and NaT among objects, which NumPy does not read as numbers.

    X array or data frame (b, n_columns), whose names must differ
    """
    if isinstance(X, np.ndarray):
        return _plain(X) if X.dtype.kind == "O" else X
    names = list(getattr(X, "columns", []))
    twice = sorted({str(name) for name in names if names.count(name) > 1})
    if twice:
        raise ValueError(f"X has several columns of the names {twice}: rename them.")
    frame = _as_frame(X)
    plain = X
    for series in [] if frame is None else frame.iter_columns():
        # The dtype "string" of pandas, not the one of pandas 3, has NA among its objects.
        if _holds_objects(series) or str(_native_dtype(series)) == "string":
            values = series.to_numpy()
            if _plain(values) is not values:
                # Only pandas has columns of objects that hold numbers.
                plain = plain.copy() if plain is X else plain
                plain[series.name] = _plain(values)
    return plain


def _plain(values):
    """Objects (...) with NaN for what is missing; the same array where that is all there is."""
    odd = np.frompyfunc(lambda v: type(v).__name__ in ("NAType", "NaTType"), 1, 1)
    odd = odd(np.ma.getdata(values)).astype(bool)
    if not odd.any():
        return values
    values = values.copy()
    values[odd] = np.nan
    return values


def _as_frame(X):
    return nw.from_native(X, eager_only=True) if is_frame(X) else None


def named(X, column):
    """A column as a message names it."""
    return repr(_as_frame(X).columns[column]) if is_frame(X) else f"at index {column}"


def _select(X, columns):
    """The given columns of an array-like or a data frame, in its own type."""
    frame = _as_frame(X)
    if frame is not None:
        return frame[:, columns.tolist()].to_native()
    if not hasattr(X, "dtype"):
        X = check_array(X, dtype=None, ensure_all_finite=False)
    return X[:, columns]


def _is_ordered(series):
    """Whether a column says that its levels are ordered. An Enum of polars only lists them."""
    return bool(getattr(_native_dtype(series), "ordered", False))


def _holds_objects(series):
    """Whether values have their own types: narwhals judges such columns by the first of them."""
    return str(_native_dtype(series)).lower() == "object"


def _native_dtype(series):
    """The dtype in the words of the library; those of Arrow's columns are called types."""
    native = series.to_native()
    return native.dtype if hasattr(native, "dtype") else native.type


def _types(series):
    """Types of the values of a column of objects, missing ones aside."""
    return {type(value) for value in series.drop_nulls().to_list() if not is_missing(value)}


def is_missing(value):
    """Whether a value says that there is none: None, NaN, NaT, NA."""
    # NA of pandas is neither equal nor unequal to itself.
    return value is None or type(value).__name__ == "NAType" or value != value


def _levels(X, columns):
    """The given columns as objects, with NaN for every way to say missing."""
    frame = _as_frame(X)
    if frame is None:
        values = np.asarray(_select(X, columns))
        levels = values.astype(object)
        if values.dtype.kind == "O":
            levels[np.frompyfunc(is_missing, 1, 1)(values).astype(bool)] = np.nan
        return levels
    levels = np.empty((len(frame), len(columns)), dtype=object)
    for j, column in enumerate(columns):
        series = frame[:, int(column)]
        levels[:, j] = series.to_list()
        # None in polars, NaN or NA in pandas.
        levels[series.is_null().to_numpy(), j] = np.nan
    return levels


def _warn_of_type(X, column, values, levels):
    """Say that no value of a column is of the type of its levels, such as "1" for 1."""
    values = [value for value in values.tolist() if not is_missing(value)]
    words, known = ({isinstance(level, str) for level in part} for part in (values, levels))
    if words and known and not words & known:
        warnings.warn(
            f"Categorical column {named(X, column)} holds values such as {values[0]!r}, and held "
            f"levels such as {levels[0]!r} in training: all of them count as missing. Give it "
            "the type that it had.",
            UserWarning,
            stacklevel=2,
        )


def _check_levels(X, column, values):
    odd = [value for value in values.tolist() if not isinstance(value, Hashable)]
    if odd:
        raise ValueError(
            f"Categorical column {named(X, column)} holds a {type(odd[0]).__name__}, which is no "
            "level. Spread it over several columns."
        )
    if any(isinstance(value, float) and np.isinf(value) for value in values.tolist()):
        raise ValueError(
            f"Input X contains infinity: it is no level of categorical column {named(X, column)}. "
            "Use NaN for a missing value."
        )
