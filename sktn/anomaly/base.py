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
class KnownRows:
    """Rows with a score of their own: training rows, as what may be strange itself.

    Attributes
    ----------
    keys : ndarray of uint64 of shape (b,), ascending
        A number made of all values of a row.
    scores : ndarray of shape (b,)
    """

    keys: np.ndarray
    scores: np.ndarray

    @classmethod
    def of(cls, X, scores):
        """X (b, n) with NaN for missing, scores (b,) -> KnownRows"""
        keys = _keys(X)
        order = np.argsort(keys)
        return cls(keys[order], scores[order])

    def find(self, X):
        """Which rows are known, and the scores of these: X (b, n) -> (b,) bool, (b',)"""
        keys = _keys(X)
        place = np.minimum(np.searchsorted(self.keys, keys), len(self.keys) - 1)
        known = self.keys[place] == keys
        return known, self.scores[place[known]]


def _keys(X):
    """A number for every row, another one for another row but for one chance in 2^64: (b,)"""
    # All NaN are one, and so are both zeros.
    X = np.where(np.isnan(X), np.nan, np.asarray(X, dtype=np.float64)) + 0.0
    bits = np.ascontiguousarray(X).view(np.uint64)
    keys = np.zeros(len(X), dtype=np.uint64)
    with np.errstate(over="ignore"):
        for j in range(X.shape[1]):
            # The steps of splitmix64 (Steele, Lea and Flood, OOPSLA 2014).
            keys = (keys ^ bits[:, j]) + np.uint64(0x9E3779B97F4A7C15)
            keys = (keys ^ (keys >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
            keys = (keys ^ (keys >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
            keys = keys ^ (keys >> np.uint64(31))
    return keys


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
    """Weights of mean 1: only their ratios mean something. weight (b,) -> (b,)"""
    weight = unit_weights(weight)
    return weight / weight.mean()


def scores_of(operators, log_norms):
    """(k, b) -> (k, b)"""
    return np.array([P.scores(norms) for P, norms in zip(operators, log_norms, strict=True)])


def score_rows(operators, combination, X, known=None):
    """One score a row: X (b, n_columns), known KnownRows or None -> (b,)"""
    if known is not None:
        found, scores = known.find(X)
        out = np.empty(len(X))
        out[found] = scores
        out[~found] = score_rows(operators, combination, X[~found])
        return out
    if len(X) == 0:
        return np.zeros(0)
    return combination(scores_of(operators, [P.log_norms(X) for P in operators]))
