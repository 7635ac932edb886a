"""What a detector and its operators agree on: training rows in, operators out, scores of norms."""

from dataclasses import dataclass, field
from typing import NamedTuple, Protocol, runtime_checkable

import numpy as np

from sktn.tables.statistics import unit_weights


@dataclass(frozen=True, eq=False)
class Rows:
    """A training table: distinct rows, and how often each occurs relative to the mean row.

    Attributes
    ----------
    X : ndarray of shape (b, n_columns), NaN where missing
    weight : ndarray of shape (b,), positive with mean 1
    categorical : ndarray of bool of shape (n_columns,) or None
    """

    X: np.ndarray
    weight: np.ndarray
    categorical: np.ndarray | None


@runtime_checkable
class Operator(Protocol):
    """A fitted operator P: a record of NumPy arrays."""

    def log_norms(self, X):
        """log ||P Phi(x)||^2: X (b, n_columns) -> (b,)"""

    def log_norms_without(self, X, j):
        """`log_norms` if column j were missing: X (b, n_columns) -> (b,)"""

    def transform(self, X):
        """The compressed representation: X (b, n_columns) -> (b, r)"""

    def scores(self, log_norms):
        """Higher is more typical: (b,) -> (b,)"""


@dataclass(frozen=True, eq=False)
class Solution:
    """What fitting an operator value returns.

    Attributes
    ----------
    operators : list of Operator
    log_norms : ndarray of shape (k, b)
        Of the training rows; as if each had been held out where that has a closed form.
    groups : ndarray of int of shape (k,)
        The look at the rows that each operator is a repetition of.
    summary : dict
        Further fitted attributes of the detector.
    stream : object
        What `update` needs beside the operators.
    """

    operators: list
    log_norms: np.ndarray
    groups: np.ndarray
    summary: dict = field(default_factory=dict)
    stream: object = None


class Contributions(NamedTuple):
    """What :meth:`SMPOAnomalyDetector.feature_contributions` returns."""

    values: np.ndarray
    feature_names: np.ndarray


def relative_weights(weight):
    """Weights of mean 1: only their ratios mean something. Where all rows are copies of one, others
    are there when one is left out. weight (b,) -> (b,)"""
    weight = unit_weights(weight)
    return weight / weight.mean() if len(weight) > 1 else np.full(1, 2.0)


def scores_of(operators, log_norms):
    """(k, b) -> (k, b)"""
    return np.array([P.scores(norms) for P, norms in zip(operators, log_norms, strict=True)])


def score_rows(operators, combination, X):
    """One score a row: X (b, n_columns) -> (b,)"""
    if len(X) == 0:
        return np.zeros(0)
    return combination(scores_of(operators, [P.log_norms(X) for P in operators]))
