"""A tensor of the user becomes an array of numbers: the one path for all decomposers."""

import numpy as np
from sklearn.utils.validation import validate_data

from sktn.tables.categories import check_numeric, with_plain_gaps
from sktn.tables.reading import speaks_of_strings

_ENCODE = "Encode columns that hold words, e.g. with OneHotEncoder, or leave them out."


# Sums of scikit-learn's checks overflow where values are as large as floats are.
@np.errstate(over="ignore", invalid="ignore")
def read_tensor(estimator, X, *, reset, allow_nan=True, allow_nd=True, copy=False):
    """X (n_samples, I_1, ..., I_k) in floating point, NaN where missing, if that is allowed."""
    X = with_plain_gaps(X)
    check_numeric(X, otherwise=_ENCODE)
    if 0 in getattr(X, "shape", ()):
        X = np.empty(X.shape)  # refused below: a frame without columns has no dtype
    try:
        X = validate_data(
            estimator,
            X,
            reset=reset,
            allow_nd=allow_nd,
            dtype=[np.float64, np.float32],
            ensure_all_finite="allow-nan" if allow_nan else True,
            copy=copy,
        )
    except ValueError as error:
        if not speaks_of_strings(error):
            raise
        raise ValueError(f"{error}: {type(estimator).__name__} needs numbers. {_ENCODE}") from error
    if X.size == 0:
        raise ValueError(
            f"X has no entries: its shape is {X.shape}. Every mode needs a length of at least 1."
        )
    return X
