"""Which model is behind an object, and in which columns it is explained.

Searches stand for their best estimator. The steps of a pipeline are followed back from the model as
long as each makes every column of a column of its own: scalers, selectors, imputers of single
columns, and column transformers made of them. What is explained are the columns before these steps;
those that a step mixes or multiplies (components, dummies) are explained as they leave it.
"""

from dataclasses import dataclass

import numpy as np
from sklearn.compose import ColumnTransformer
from sklearn.feature_selection import SelectorMixin
from sklearn.impute import SimpleImputer
from sklearn.pipeline import Pipeline
from sklearn.preprocessing import (
    Binarizer,
    FunctionTransformer,
    KBinsDiscretizer,
    MaxAbsScaler,
    MinMaxScaler,
    OrdinalEncoder,
    PowerTransformer,
    QuantileTransformer,
    RobustScaler,
    StandardScaler,
    TargetEncoder,
)
from sklearn.utils.validation import check_is_fitted

from sktn.chains.members import check_chain
from sktn.tables.features import feature_names
from sktn.tables.reading import flattened, read

# Transformers whose output columns are functions of one input column each, and named after it.
_COLUMN_TO_COLUMN = (
    Binarizer,
    KBinsDiscretizer,
    MaxAbsScaler,
    MinMaxScaler,
    OrdinalEncoder,
    PowerTransformer,
    QuantileTransformer,
    RobustScaler,
    SimpleImputer,
    StandardScaler,
    TargetEncoder,
)


@dataclass(frozen=True, eq=False)
class Reading:
    """A fitted chain and the columns that speak of it.

    Attributes
    ----------
    model : estimator
        The chain, or the average of chains.
    head, tail : list of transformers
        What makes the columns explained, and what makes the model's columns of those.
    names : ndarray of shape (n,)
        The columns explained.
    sources : ndarray of shape (n_model_columns,)
        The explained column that each of the model's columns is made of.
    """

    model: object
    head: list
    tail: list
    names: np.ndarray
    sources: np.ndarray

    def rows(self, X):
        """X as the user gives it -> the columns explained, in their container."""
        rows = through(self.head, X)
        return rows if self.head or self.tail else flattened(self.model, rows)

    def table(self, rows):
        """The columns explained -> numbers and category codes of the model in float64."""
        X = through(self.tail, rows)
        return read(self.model, X).astype(np.float64)

    def place(self, order):
        """Model columns -> columns explained: order (n_sites,) -> (n_sites,)"""
        return self.sources[order]

    def shown(self, rows):
        """The rows explained as one array."""
        if self.tail or self.model.encoder_ is not None:
            rows = np.asarray(rows)
            return rows if rows.dtype.kind in "fiub" else rows.astype(object)
        return self.table(rows)


def read_model(model, trees=False):
    """The chain, or tree where `trees`, in a model, a pipeline or a search. -> Reading"""
    model, steps = unwrapped(model)
    check_chain(model, trees)
    sources, tail = np.arange(model.n_features_in_), []
    while steps:
        back = column_sources(steps[-1])
        if back is None or not _invertible(back[sources]):
            break
        sources = back[sources]
        tail.insert(0, steps.pop())
    return Reading(model, steps, tail, _names(model, steps, tail), sources)


def column_sources(step):
    """The input column of every output column of a transformer, or None where there is no such.

    -> (n_out,) integers
    """
    if step is None or isinstance(step, str):
        return None
    if isinstance(step, Pipeline):
        sources = None
        for part in (s for _, s in step.steps if s is not None and s != "passthrough"):
            own = column_sources(part)
            if own is None:
                return None
            sources = own if sources is None else sources[own]
        return np.arange(step.n_features_in_) if sources is None else sources
    if isinstance(step, ColumnTransformer):
        return _compound_sources(step)
    if getattr(step, "_column_to_column", False):
        return np.arange(step.n_features_in_)
    if isinstance(step, SelectorMixin):
        return np.flatnonzero(step.get_support())
    if isinstance(step, FunctionTransformer):
        plain = step.func is None or step.feature_names_out == "one-to-one"
        return np.arange(step.n_features_in_) if plain else None
    if hasattr(step, "image_shape_") and hasattr(step, "index_"):
        return step.index_ if (step.index_ >= 0).all() else None
    if not isinstance(step, _COLUMN_TO_COLUMN):
        return None
    names = [f"x{j}" for j in range(step.n_features_in_)]
    own = getattr(step, "feature_names_in_", names)
    place = {name: j for j, name in enumerate(own)}
    made = step.get_feature_names_out()
    # Indicators, dummies and one column a class have names that the input has not.
    if not all(name in place for name in made):
        return None
    return np.array([place[name] for name in made], dtype=int)


def _compound_sources(step):
    """Of a column transformer: what each block makes of its columns."""
    sources = np.full(sum(s.stop - s.start for s in step.output_indices_.values()), -1)
    for name, transformer, _ in step.transformers_:
        out = step.output_indices_[name]
        if transformer == "drop" or out.stop == out.start:
            continue
        columns = np.asarray(step._transformer_to_input_indices[name], dtype=int)
        inner = (
            np.arange(len(columns)) if transformer == "passthrough" else column_sources(transformer)
        )
        if inner is None:
            return None
        sources[out] = columns[inner]
    return sources


def unwrapped(model):
    """The last estimator behind searches and pipelines, and the steps before it."""
    steps = []
    while True:
        if isinstance(model, Pipeline):
            check_is_fitted(model)
            before = [s for _, s in model.steps[:-1] if s is not None and s != "passthrough"]
            steps, model = steps + before, model.steps[-1][1]
        elif hasattr(model, "cv_results_") and hasattr(model, "best_estimator_"):
            model = model.best_estimator_
        elif hasattr(model, "cv_results_") and getattr(model, "refit", True) is False:
            raise ValueError(
                f"{type(model).__name__} was fitted with refit=False, so that it holds no model: "
                "fit it with refit=True."
            )
        else:
            return model, steps


def _names(model, head, tail):
    n = tail[0].n_features_in_ if tail else model.n_features_in_
    first = tail[0] if tail else model
    names = getattr(first, "feature_names_in_", None)
    if names is None and head:
        names = _made_names(head, n)
    return feature_names(names, n)


def _made_names(head, n):
    """The names of the columns that transformers make, where all of them say so."""
    names = None
    for step in head:
        if not hasattr(step, "get_feature_names_out"):
            return None
        names = step.get_feature_names_out(names)
    return names if len(names) == n else None


def _invertible(sources):
    """Every column explained feeds at most one column of the model."""
    return (sources >= 0).all() and len(set(sources.tolist())) == len(sources)


def through(steps, X):
    for step in steps:
        X = step.transform(X)
    return X.toarray() if hasattr(X, "toarray") else X
