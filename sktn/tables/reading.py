"""A table of the user becomes an array of numbers: the one path for all estimators."""

from __future__ import annotations

from copy import copy
from dataclasses import dataclass

import numpy as np
from scipy.sparse import issparse
from sklearn.utils import check_array, check_X_y
from sklearn.utils.validation import _check_sample_weight, check_is_fitted, validate_data

from sktn.tables.categories import (
    Encoder,
    check_categorical,
    check_numeric,
    encode,
    fit_encoder,
    is_missing,
    named,
    with_plain_gaps,
)

_NO_TARGET = "no target"
_NAME_THEM = (
    "If they are categories, name it in categorical_features, or pass a data frame with "
    "categorical_features='from_dtype'."
)
_HELD_NUMBERS = "It held numbers in training."


@dataclass(frozen=True, eq=False)
class Reading:
    """What a fit reads, made by :func:`read_fit`; nothing of it is on the estimator yet.

    Attributes
    ----------
    X : ndarray of shape (b, n_features), float32 or float64
        Codes in categorical columns, NaN for missing.
    y : ndarray of shape (b,) or (b, n_outputs), or None
        Labels as they are, numbers in float64.
    encoder : Encoder or None
    is_categorical : ndarray of shape (n_features,), bool, or None
    n_features_in : int
    feature_names_in : ndarray of str of shape (n_features,), or None
    tensor_shape : tuple of int, or None
        (I_1, ..., I_k), where X was of shape (b, I_1, ..., I_k).
    """

    X: np.ndarray
    y: np.ndarray | None
    encoder: Encoder | None
    is_categorical: np.ndarray | None
    n_features_in: int
    feature_names_in: np.ndarray | None
    tensor_shape: tuple | None = None

    @property
    def is_nominal(self):
        """Categorical columns without an order; the codes of the others are ranks, so numbers.

        -> (n_features,) bool, or None where there are none
        """
        if self.encoder is None:
            return None
        nominal = self.is_categorical.copy()
        nominal[self.encoder.columns[self.encoder.ordered]] = False
        return nominal if nominal.any() else None

    def fitted(self):
        """Fitted attributes by name: what :func:`read_more` needs of an estimator."""
        found = {
            "n_features_in_": self.n_features_in,
            "is_categorical_": self.is_categorical,
            "encoder_": self.encoder,
        }
        if self.feature_names_in is not None:
            found["feature_names_in_"] = self.feature_names_in
        if self.tensor_shape is not None:
            found["tensor_shape_"] = self.tensor_shape
        return found


def read_fit(estimator, X, y=_NO_TARGET, *, categorical=None, regression=False, booleans=False):
    """Validate X (and y) and learn categories, without a trace on the estimator.

    Parameters
    ----------
    estimator : object
    X : array-like or data frame of shape (b, n_features)
    y : array-like of shape (b,) or (b, n_outputs), default: there is none
    categorical : "from_dtype", None, or array-like, default=None
        See :func:`~sktn.tables.categories.check_categorical`.
    regression : bool, default=False
        y is numbers, of one or several outputs, instead of labels.
    booleans : bool, default=False
        "from_dtype" takes columns of booleans for categorical, too.

    Returns
    -------
    reading : Reading
    """
    # scikit-learn's checks leave names and counts on whatever they are given.
    scout = copy(estimator)
    X, shape = _flat(X, scout)
    X = _as_table(X, scout)
    given = {} if _is_none(y) else {"y": y}
    validate_data(scout, X, **given, reset=True, skip_check_array=True)
    is_categorical = check_categorical(X, categorical, booleans=booleans)
    encoder = None if is_categorical is None else fit_encoder(X, is_categorical)
    X, y = _numbers(scout, X, y, is_categorical, encoder, regression)
    names = getattr(scout, "feature_names_in_", None)
    return Reading(X, y, encoder, is_categorical, X.shape[1], names, shape)


def read_more(estimator, X, y=_NO_TARGET, *, regression=False):
    """Validate rows as a fitted estimator knows them: names, counts, categories.

    Parameters as in :func:`read_fit` -> Reading
    """
    X = same_columns(estimator, X, **({} if _is_none(y) else {"y": y}))
    is_categorical, encoder = estimator.is_categorical_, estimator.encoder_
    check_numeric(X, is_categorical, otherwise=_HELD_NUMBERS)
    X, y = _numbers(estimator, X, y, is_categorical, encoder, regression, _HELD_NUMBERS)
    names = getattr(estimator, "feature_names_in_", None)
    return Reading(X, y, encoder, is_categorical, X.shape[1], names)


def same_columns(estimator, X, **given):
    """Rows, refused in the name of a fitted estimator where their columns are not those that it
    knows: -> X (b, n_features), not yet numbers"""
    check_is_fitted(estimator)
    X = _as_table(flattened(estimator, X), estimator)
    validate_data(estimator, X, **given, reset=False, skip_check_array=True)
    return X


def read(estimator, X):
    """:func:`read_more` for prediction: -> X (b, n_features), float32 or float64"""
    return read_more(estimator, X).X


def table_weight(sample_weight, X):
    """Weights of the rows in double, of which at least one is positive, in a range that their
    squares and single precision can hold: -> (b,)"""
    try:
        weight = _check_sample_weight(sample_weight, X, dtype=np.float64, ensure_non_negative=True)
    except (TypeError, ValueError) as error:
        if "sample" in str(error).lower():
            raise
        raise ValueError(f"sample_weight must be numbers, one a row: {error}.") from error
    return ranged(weight)


def ranged(weight):
    """Weights whose squares, and single precision, hold them; too small ones are 0: (b,) -> (b,)"""
    largest = weight.max(initial=0.0)
    if not 0 < largest < np.inf:
        return weight
    if not 2.0**-40 < largest < 2.0**40:
        # Only the ratios of such weights mean anything.
        weight = weight / largest
    # All together these are less than the rounding of the largest one.
    lost = np.finfo(np.float64).eps / len(weight) * weight.max()
    return np.where(weight < lost, 0.0, weight)


# Sums of scikit-learn's checks overflow where values are as large as floats are.
@np.errstate(over="ignore", invalid="ignore")
def _numbers(estimator, X, y, is_categorical, encoder, regression, of_strings=_NAME_THEM):
    """X (b, n_features) in floating point, y (b,), (b, n_outputs) or None

    of_strings: what to do about a column of them
    """
    options = {
        "dtype": [np.float64, np.float32],
        "ensure_all_finite": "allow-nan",
        "estimator": estimator,
    }
    try:
        if 0 in np.shape(X):
            table = np.empty(np.shape(X))  # refused below
        else:
            table = X if encoder is None else encode(X, is_categorical, encoder)
        if _is_none(y):
            return check_array(table, input_name="X", **options), None
        check_target(y)
        if not regression:
            return check_X_y(table, y, **options)
        X, y = check_X_y(table, y, multi_output=True, y_numeric=True, **options)
        return X, number_target(y)
    except (TypeError, ValueError) as error:
        if "float() argument must be" in str(error):
            _refuse_objects(X, is_categorical, error)
        if not speaks_of_strings(error):
            raise
        column = _unreadable_column(X, is_categorical)
        if column is None:
            raise ValueError(
                f"{error}: y holds strings, and a regressor needs numbers. Labels are for a "
                "classifier."
            ) from error
        raise ValueError(f"{error}: column {column} of X holds strings. {of_strings}") from error


def speaks_of_strings(error):
    """Whether an error of a conversion to numbers, NumPy's or pandas', means strings."""
    words = str(error)
    return "could not convert string to float" in words or "Cannot cast str" in words


def _refuse_objects(X, is_categorical, error):
    """Name the first column whose values are neither numbers nor strings."""
    column = _unreadable_column(X, is_categorical)
    if column is not None:
        kind = str(error).rpartition("not ")[2]
        # NumPy's type and words, which scikit-learn's checks want.
        raise TypeError(
            f"{error}. Column {column} of X holds values of the type {kind}: turn them into "
            "numbers, dates e.g. into days since a first date, months, weekdays."
        ) from error


def _unreadable_column(X, is_categorical):
    """The first column that is no category and not readable as numbers, as a message names it;
    None if there is none."""
    values = np.asarray(X, dtype=object)
    for j in range(values.shape[1]):
        if is_categorical is not None and is_categorical[j]:
            continue
        try:
            values[:, j].astype(np.float64)
        except (TypeError, ValueError):
            return named(X, j)
    return None


def check_target(y):
    """Say of a target what scikit-learn would say in words that mislead, or not at all: y
    array-like (b,) or (b, n_outputs)"""
    if isinstance(y, np.ma.MaskedArray) and np.ma.is_masked(y):
        raise ValueError("Input y has masked values: leave those rows out.")
    y = np.asarray(y)
    if y.dtype.kind not in "fO" or y.ndim == 0 or y.size == 0:
        return
    isnan = np.isnan if y.dtype.kind == "f" else np.frompyfunc(is_missing, 1, 1)
    missing = np.flatnonzero(isnan(y).astype(bool).reshape(len(y), -1).any(axis=1))
    if len(missing):
        raise ValueError(
            f"Input y contains NaN or None, the first in row {missing[0]}: leave rows without a "
            "target out."
        )
    kinds = {type(label) for label in y.ravel().tolist()}
    if 0 < sum(issubclass(kind, str) for kind in kinds) < len(kinds):
        names = " and ".join(sorted(kind.__name__ for kind in kinds))
        raise ValueError(f"Input y mixes {names}: give them one type, e.g. by astype(str).")


def number_target(y):
    """The target of a regression in double: y ndarray -> ndarray"""
    if y.dtype.kind in "mM":
        raise ValueError(
            f"Input y holds {y.dtype}, which NumPy would turn into a count of its units: subtract "
            "a first date, and divide by a unit such as np.timedelta64(1, 'D')."
        )
    y = y.astype(np.float64, copy=False)
    # Strings of numbers may have been gaps, or beyond all floats.
    check_target(y)
    beyond = np.flatnonzero(np.isinf(y).reshape(len(y), -1).any(axis=1))
    if len(beyond):
        raise ValueError(
            f"Input y contains infinity or a value too large for float64, the first in row "
            f"{beyond[0]}: divide all by a power of ten, or leave such rows out."
        )
    return y


def _is_none(y):
    return isinstance(y, str) and y == _NO_TARGET


def flattened(estimator, X):
    """Tensors as rows in C order, where a fitted estimator knows those of their shape; what is no
    tensor as it is."""
    X, shape = _flat(X, estimator)
    known = getattr(estimator, "tensor_shape_", None)
    if shape is not None and shape != known:
        fitted = "a table" if known is None else f"tensors of shape {known}"
        name = type(estimator).__name__
        raise ValueError(f"X has tensors of shape {shape}, but {name} was fitted to {fitted}.")
    return X


def _flat(X, estimator):
    """Tensors as rows in C order, where an estimator takes them, and their shape: X
    (b, I_1, ..., I_k) -> (b, n), (I_1, ..., I_k); what is no tensor as it is, None"""
    if not getattr(estimator, "_takes_tensors", False) or not hasattr(X, "shape"):
        return X, None
    shape = tuple(X.shape[1:])
    return (X.reshape(len(X), -1), shape) if len(shape) > 1 and X.size else (X, None)


def _as_table(X, estimator):
    """X as a data frame or an array with two axes, NaN where it is masked; or scikit-learn's words
    for what it is instead."""
    if hasattr(X, "collect") and not hasattr(X, "shape"):
        raise ValueError(f"X is a {type(X).__name__}, which has no rows yet: pass X.collect().")
    if not (hasattr(X, "shape") or issparse(X)):
        array = np.asarray(X)
        # An array of strings would have turned the numbers beside them into strings, too.
        X = np.asarray(X, dtype=object) if array.dtype.kind in "US" else array
    if issparse(X) or len(X.shape) != 2:
        return check_array(X, dtype=None, estimator=estimator, input_name="X")
    X = with_plain_gaps(X)
    if not isinstance(X, np.ma.MaskedArray):
        return X
    X = X.astype(np.float64) if X.dtype.kind in "biu" else X.copy()
    if X.dtype.kind in "fO":
        X.data[np.ma.getmaskarray(X)] = np.nan
    return X.data
