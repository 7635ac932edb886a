from dataclasses import dataclass

import numpy as np
from sklearn.utils.validation import _check_sample_weight

from sktn.tables.reading import read_table


@dataclass
class Reading:
    X: object
    y: object
    state: dict

    @property
    def is_categorical(self):
        return self.state.get("is_categorical_")

    def fitted(self):
        return self.state


class _C:
    pass


def read_fit(estimator, X, y="no target", *, categorical=None, regression=False):
    import copy

    e = copy.copy(estimator)
    for k in list(vars(e)):
        if k.endswith("_"):
            delattr(e, k)
    e.__dict__["categorical_features"] = categorical
    X, y = read_table(e, X, y, reset=True, regression=regression)
    state = {k: v for k, v in vars(e).items() if k.endswith("_")}
    return Reading(X, y, state)


def read_more(estimator, X, y, regression=False):
    X, y = read_table(estimator, X, y, reset=False, regression=regression)
    return Reading(X, y, {})


def read(estimator, X):
    return read_table(estimator, X, reset=False)


def table_weight(w, X):
    return _check_sample_weight(w, X, dtype=np.float64, ensure_non_negative=True)
