"""Scores that scikit-learn has no function for: one point of the receiver operating curve."""

from typing import Any

import numpy as np
from numpy.typing import ArrayLike
from sklearn.metrics import roc_curve

__all__ = ["fpr_at_tpr", "tpr_at_fpr"]


def fpr_at_tpr(
    y_true: ArrayLike,
    y_score: ArrayLike,
    *,
    tpr: float = 0.95,
    pos_label: Any = None,
    sample_weight: ArrayLike | None = None,
) -> float:
    """Smallest false positive rate among the thresholds that find a share `tpr` of the positives.

    Parameters
    ----------
    y_true : array-like of shape (n_samples,)
        Two classes.
    y_score : array-like of shape (n_samples,)
        High for the positive class.
    tpr : float, default=0.95
        In [0, 1].
    pos_label : int, float, bool or str, default=None
        As in :func:`sklearn.metrics.roc_curve`.
    sample_weight : array-like of shape (n_samples,), default=None
        How often every row counts.

    Returns
    -------
    fpr : float
        Lower is better.

    Examples
    --------
    >>> from sklearn.metrics import make_scorer
    >>> from sktn.metrics import fpr_at_tpr
    >>> fpr_at_tpr([0, 0, 1, 1], [0.1, 0.4, 0.3, 0.8])
    0.5
    >>> scorer = make_scorer(fpr_at_tpr, greater_is_better=False, response_method="predict_proba")
    """
    rates = _rates(y_true, y_score, "tpr", tpr, pos_label, sample_weight)
    # Rates are sums of weights divided by another such sum: an equality holds up to rounding.
    return float(rates[0][rates[1] >= tpr - _ROUNDING].min())


def tpr_at_fpr(
    y_true: ArrayLike,
    y_score: ArrayLike,
    *,
    fpr: float = 0.05,
    pos_label: Any = None,
    sample_weight: ArrayLike | None = None,
) -> float:
    """Largest true positive rate among the thresholds that raise a share `fpr` of false alarms.

    Parameters
    ----------
    y_true : array-like of shape (n_samples,)
        Two classes.
    y_score : array-like of shape (n_samples,)
        High for the positive class.
    fpr : float, default=0.05
        In [0, 1].
    pos_label : int, float, bool or str, default=None
        As in :func:`sklearn.metrics.roc_curve`.
    sample_weight : array-like of shape (n_samples,), default=None
        How often every row counts.

    Returns
    -------
    tpr : float
        Higher is better.

    Examples
    --------
    >>> from sktn.metrics import tpr_at_fpr
    >>> tpr_at_fpr([0, 0, 1, 1], [0.1, 0.4, 0.3, 0.8])
    0.5
    """
    rates = _rates(y_true, y_score, "fpr", fpr, pos_label, sample_weight)
    return float(rates[1][rates[0] <= fpr + _ROUNDING].max())


_ROUNDING = 1e-12


def _rates(y_true, y_score, name, share, pos_label, sample_weight):
    """False and true positive rates at every threshold."""
    if not 0 <= share <= 1:
        raise ValueError(f"{name} must be in [0, 1], got {share!r}.")
    rates = roc_curve(
        y_true, y_score, pos_label=pos_label, sample_weight=sample_weight, drop_intermediate=False
    )[:2]
    if np.isnan(rates).any():
        raise ValueError("y_true has one class only: a rate of the other one is not defined.")
    return rates
