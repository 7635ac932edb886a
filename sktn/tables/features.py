"""Features of a table by name or by number."""

from numbers import Integral

import numpy as np


def feature_names(names, n_features):
    """The names of a table's columns, "x0", "x1", ... where it has none: -> (n_features,) of str"""
    if names is None:
        names = [f"x{j}" for j in range(n_features)]
    return np.asarray(names, dtype=object)


def feature_indices(features, names):
    """Names or numbers of distinct columns -> (k,) integers

    features : int, str or a list of them; names (n,)
    """
    if isinstance(features, str | Integral):
        features = [features]
    indices = [_feature_index(feature, names) for feature in features]
    if len(set(indices)) < len(indices):
        raise ValueError(f"Features must not repeat, got {features!r}.")
    return np.array(indices, dtype=int)


def _feature_index(feature, names):
    if isinstance(feature, str):
        found = np.flatnonzero(names == feature)
        if not len(found):
            raise ValueError(f"There is no feature {feature!r}; the features are {list(names)}.")
        return int(found[0])
    if not isinstance(feature, Integral) or isinstance(feature, bool | np.bool_):
        raise ValueError(f"A feature is a name or a number, got {feature!r}.")
    if not 0 <= feature < len(names):
        raise ValueError(
            f"Feature {feature} is out of range: there are {len(names)}, counted from 0."
        )
    return int(feature)
