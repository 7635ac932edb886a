"""Categorical columns of data frames and arrays, by the conventions of HistGradientBoosting.

A table with categories is encoded before it is validated as numbers: ``validate_data(self, X,
skip_check_array=True)`` for the names and the number of columns, then :func:`encode`.
"""

from __future__ import annotations

import narwhals.stable.v2 as nw
import numpy as np
from sklearn.preprocessing import OrdinalEncoder
from sklearn.utils import check_array


def check_categorical(X, categorical_features, feature_names=None):
    """Which columns are categorical.

    Parameters
    ----------
    X : array-like or data frame of shape (b, n_columns)
        As the user gave it, since validation loses the dtypes.
    categorical_features : "from_dtype", None, or array-like of bool, int or str
    feature_names : sequence of str, default=None
        Default: the columns of a data frame.

    Returns
    -------
    is_categorical : ndarray of shape (n_columns,), bool, or None
        None where no column is categorical.
    """
    frame = _as_frame(X)
    n_columns = np.shape(X)[1]
    if categorical_features is None:
        return None
    if isinstance(categorical_features, str) and categorical_features == "from_dtype":
        if frame is None:
            return None
        dtypes = frame.schema.dtypes()
        mask = np.array([dtype in (nw.Categorical, nw.Enum) for dtype in dtypes], dtype=bool)
        return mask if mask.any() else None
    chosen = np.asarray(categorical_features)
    if chosen.size == 0:
        return None
    if chosen.dtype.kind == "O" and all(isinstance(name, str) for name in chosen):
        chosen = chosen.astype(str)
    if chosen.dtype.kind not in "biuU":
        kinds = sorted({type(item).__name__ for item in chosen.ravel().tolist()})
        raise ValueError(
            'categorical_features must be None, "from_dtype" or an array-like of bool, int or '
            f"str, got an array-like of {', '.join(kinds)}."
        )
    mask = np.zeros(n_columns, dtype=bool)
    if chosen.dtype.kind == "b":
        if chosen.shape != (n_columns,):
            raise ValueError(
                "categorical_features set as a boolean mask must have shape (n_features,) = "
                f"({n_columns},), got {chosen.shape}."
            )
        mask = chosen.copy()
    elif chosen.dtype.kind == "U":
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
    else:
        if chosen.min() < 0 or chosen.max() >= n_columns:
            raise ValueError(
                "categorical_features set as indices must be in [0, n_features - 1] = "
                f"[0, {n_columns - 1}], got {chosen.tolist()}."
            )
        mask[chosen] = True
    return mask if mask.any() else None


def encode_fit(X, is_categorical, *, max_categories=255):
    """Learn the categories of the categorical columns.

    Parameters
    ----------
    X : array-like or data frame of shape (b, n_columns)
    is_categorical : ndarray of shape (n_columns,), bool
    max_categories : int, default=255
        A column with more of them is most likely an identifier.

    Returns
    -------
    encoder : OrdinalEncoder
        Codes 0, 1, ... in the order of the sorted categories; NaN where missing or unknown.
    """
    encoder = OrdinalEncoder(
        handle_unknown="use_encoded_value",
        unknown_value=np.nan,
        encoded_missing_value=np.nan,
        dtype=np.float64,
    )
    encoder.set_output(transform="default")
    columns = np.flatnonzero(is_categorical)
    encoder.fit(_levels(X, columns))
    frame = _as_frame(X)
    for column, categories in zip(columns, encoder.categories_, strict=True):
        # NaN stands for missing and is no category; it is unequal to itself.
        count = sum(level == level for level in categories.tolist())
        if count > max_categories:
            name = f"at index {column}" if frame is None else repr(frame.columns[column])
            raise ValueError(
                f"Categorical feature {name} has a cardinality of {count}, but at most "
                f"{max_categories} is supported. Group its rare categories, encode it (e.g. "
                "with TargetEncoder), or leave it out of categorical_features."
            )
    return encoder


def encode_transform(X, is_categorical, encoder):
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
    result[:, is_categorical] = encoder.transform(_levels(X, np.flatnonzero(is_categorical)))
    return result


def _as_frame(X):
    return nw.from_native(X, eager_only=True) if nw.dependencies.is_into_dataframe(X) else None


def _select(X, columns):
    """The given columns of an array-like or a data frame, in its own type."""
    frame = _as_frame(X)
    if frame is not None:
        return frame[:, columns.tolist()].to_native()
    if not hasattr(X, "dtype"):
        X = check_array(X, dtype=None, ensure_all_finite=False)
    return X[:, columns]


def _levels(X, columns):
    """The given columns as objects, with NaN for every way to say missing."""
    frame = _as_frame(X)
    if frame is None:
        levels = np.array(_select(X, columns), dtype=object)
        levels[np.equal(levels, None).astype(bool)] = np.nan
        return levels
    levels = np.empty((len(frame), len(columns)), dtype=object)
    for j, column in enumerate(columns):
        series = frame[:, int(column)]
        levels[:, j] = series.to_list()
        # None in polars, NaN or NA in pandas.
        levels[series.is_null().to_numpy(), j] = np.nan
    return levels
