"""What any predictor says of rows, as numbers that a chain can imitate."""

from copy import copy
from dataclasses import dataclass
from itertools import combinations

import numpy as np
from sklearn.base import is_classifier
from sklearn.svm import SVC, NuSVC

from sktn.inspection.reading import through, unwrapped
from sktn.tables.arguments import numbers

OUTPUTS = ("auto", "decision", "pairwise", "log_odds", "probability", "predict")

# Rows that a predictor is asked about at once.
_BLOCK = 50_000
# Probabilities this small are as good as 0: beyond it log-odds would follow rounding errors.
_SMALLEST = 1e-12
# With a larger share of certain answers (forests, neighbours) log-odds are no scale.
_CERTAIN = 1e-3


@dataclass(frozen=True, eq=False)
class Scores:
    """A function of rows with the name of what it returns.

    Attributes
    ----------
    function : callable
    output : str
    names : ndarray of shape (n_outputs,)
    """

    function: object
    output: str
    names: np.ndarray

    def __call__(self, X):
        """X (b, n) -> (b, n_outputs) in float64"""
        parts = [
            _two_dimensional(self.function(_rows(X, start))) for start in range(0, len(X), _BLOCK)
        ]
        scores = np.concatenate(parts)
        if not np.isfinite(scores).all():
            raise ValueError(
                f"The predictor's {self.output} is not finite for "
                f"{np.sum(~np.isfinite(scores).all(axis=1))} of {len(scores)} rows: choose another "
                f"output, one of {', '.join(map(repr, OUTPUTS[1:]))}."
            )
        return scores


def scores_of(predictor, X, output="auto"):
    """The scores of a predictor or of a function. -> Scores

    "auto" is the decision function where there is one and it counts no votes, then what is behind
    the votes; else log-odds, else (where more than a few probabilities are 0 or 1) probabilities;
    predictions of a regressor.
    """
    if output not in OUTPUTS:
        raise ValueError(f"output must be one of {', '.join(map(repr, OUTPUTS))}, got {output!r}.")
    if output == "auto":
        output = _natural_output(predictor, X)
    if output == "predict" and not hasattr(predictor, "predict"):
        function, output = predictor, "function"
    elif output == "pairwise":
        function = _sums_of_pairs(predictor)
    else:
        method = {"decision": "decision_function", "predict": "predict"}.get(
            output, "predict_proba"
        )
        if not hasattr(predictor, method):
            raise ValueError(f"output={output!r} needs {method}, which {predictor!r} has not.")
        answer = getattr(predictor, method)
        function = {"log_odds": _log_odds_of, "probability": _probability_of}.get(output)
        function = answer if function is None else function(answer)
    width = _two_dimensional(function(_rows(X, 0, 2))).shape[1]
    return Scores(function, output, _names(predictor, width))


def _natural_output(predictor, X):
    if not hasattr(predictor, "predict") and callable(predictor):
        return "predict"
    if hasattr(predictor, "decision_function"):
        return "pairwise" if _votes(predictor) else "decision"
    if hasattr(predictor, "predict_proba"):
        p = np.asarray(predictor.predict_proba(_rows(X, 0, _BLOCK)))
        return "probability" if np.mean(p.min(axis=1) <= 0) > _CERTAIN else "log_odds"
    if not hasattr(predictor, "predict"):
        raise ValueError(
            "Expected an object with decision_function, predict_proba or predict, or a function of "
            f"rows, got {predictor!r}."
        )
    # Predictors of other packages do not say what they are.
    if hasattr(predictor, "__sklearn_tags__") and is_classifier(predictor):
        raise ValueError(
            f"{predictor!r} has only labels: a chain needs decision_function, predict_proba or a "
            "function that returns numbers."
        )
    return "predict"


def _votes(predictor):
    """Whether the decision function is steps: how many classes each of many wins against."""
    final = unwrapped(predictor)[0]
    several = isinstance(final, SVC | NuSVC) and len(final.classes_) > 2
    return several and final.decision_function_shape == "ovr"


def _sums_of_pairs(predictor):
    """What every class has against the others: (b, n_classes), what is behind the votes."""
    if not _votes(predictor):
        raise ValueError(
            "output='pairwise' is for support vector machines of more than two classes with "
            f"decision_function_shape='ovr', got {predictor!r}."
        )
    final, steps = unwrapped(predictor)
    machine = copy(final)
    machine.decision_function_shape = "ovo"
    n = len(final.classes_)

    def sums(X):
        against = machine.decision_function(through(steps, X))
        out = np.zeros((len(against), n))
        for value, (i, j) in zip(against.T, combinations(range(n), 2), strict=True):
            out[:, i] += value
            out[:, j] -= value
        return out

    return sums


def _log_odds_of(answer):
    """Of the second class where there are two, else logarithms less their mean."""

    def log_odds(X):
        logs = np.log(np.maximum(answer(X), _SMALLEST))
        if logs.shape[1] == 2:
            return logs[:, 1] - logs[:, 0]
        return logs - logs.mean(axis=1, keepdims=True)

    return log_odds


def _probability_of(answer):
    def probability(X):
        p = answer(X)
        return p[:, 1] if p.shape[1] == 2 else p

    return probability


def _two_dimensional(values):
    values = numbers(values, "The predictor's answers")
    return values.reshape(len(values), -1)


def _names(predictor, width):
    classes = getattr(predictor, "classes_", None)
    if classes is not None and width == (1 if len(classes) == 2 else len(classes)):
        return classes[1:] if len(classes) == 2 else np.asarray(classes)
    return np.array([f"y{c}" for c in range(width)] if width > 1 else ["y"], dtype=object)


def _rows(X, start, size=_BLOCK):
    part = slice(start, start + size)
    return X.iloc[part] if hasattr(X, "iloc") else X[part]
