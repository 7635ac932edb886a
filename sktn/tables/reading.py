"""A table of the user becomes an array of numbers."""

import numpy as np
from sklearn.utils import check_array, check_consistent_length, column_or_1d
from sklearn.utils.validation import validate_data

from sktn.tables.categories import check_categorical, encode_fit, encode_transform


def read_table(estimator, X, y="no target", *, reset, dtype=None, regression=False):
    """Validate X (and y), encode its categorical columns as numbers; missing values become NaN.

    Sets `n_features_in_`, `feature_names_in_` and, when `reset`, `is_categorical_` and
    `encoder_` (None without categorical columns).

    Returns
    -------
    X : ndarray of shape (n_samples, n_features), float32 or float64
    y : ndarray of shape (n_samples,), only if a target was given; for `regression` floats, and
        (n_samples, n_outputs) too
    """
    with_target = not (isinstance(y, str) and y == "no target")
    names = getattr(X, "columns", None) if reset else None
    if reset:
        categorical = estimator.categorical_features
        frame_like = names is not None or categorical is not None
        mask = None
        if frame_like and getattr(X, "ndim", 2) == 2:
            X_2d = X if hasattr(X, "shape") else check_array(X, dtype=None, ensure_all_finite=False)
            mask = check_categorical(X_2d, categorical)
    else:
        mask = estimator.is_categorical_
    arguments = {"y": y} if with_target else {}
    if with_target and regression:
        arguments.update(multi_output=True, y_numeric=True)
    if mask is None:
        out = validate_data(
            estimator,
            X,
            **arguments,
            reset=reset,
            dtype=[np.float64, np.float32],
            ensure_all_finite="allow-nan",
        )
        X, y = out if with_target else (out, None)
        encoder = None
    else:
        validate_data(estimator, X, **arguments, reset=reset, skip_check_array=True)
        if with_target:
            if regression:
                y = check_array(y, ensure_2d=False, dtype="numeric", input_name="y")
            else:
                y = column_or_1d(y, warn=True)
            check_consistent_length(X, y)
        encoder = encode_fit(X, mask) if reset else estimator.encoder_
        X = encode_transform(X, mask, encoder)
    if reset:
        estimator.is_categorical_, estimator.encoder_ = mask, encoder
    if dtype is not None:
        X = X.astype(dtype, copy=False)
    if with_target and regression:
        y = y.astype(X.dtype, copy=False)
    return (X, y) if with_target else X
