"""Predictions of classifiers, one network or the mean probabilities of several."""

from typing import Any

import numpy as np

from sktn.annotations import Data
from sktn.chains.target import average_log_probabilities, class_target


class ClassScores:
    """A classifier has `_network_scores(X)` (k, N, c) of its k networks, and `classes_`."""

    _network_scores: Any
    classes_: np.ndarray

    def decision_function(self, X: Data) -> np.ndarray:
        """Class scores.

        Parameters
        ----------
        X : array-like or data frame of shape (n_samples, n_features)

        Returns
        -------
        scores : ndarray of shape (n_samples,) or (n_samples, n_classes)
            The log-odds of the second class for two classes, otherwise one score a class whose
            softmax is the probability.
        """
        scores = self._network_scores(X)
        if len(scores) > 1:
            log_proba = average_log_probabilities(scores)
            return log_proba[:, 1] - log_proba[:, 0] if log_proba.shape[1] == 2 else log_proba
        return scores[0, :, 0] if scores.shape[2] == 1 else scores[0]

    def predict_log_proba(self, X: Data) -> np.ndarray:
        """Logarithms of the class probabilities.

        Parameters
        ----------
        X : array-like or data frame of shape (n_samples, n_features)

        Returns
        -------
        log_proba : ndarray of shape (n_samples, n_classes)
        """
        return average_log_probabilities(self._network_scores(X))

    def predict_proba(self, X: Data) -> np.ndarray:
        """Class probabilities.

        Parameters
        ----------
        X : array-like or data frame of shape (n_samples, n_features)

        Returns
        -------
        proba : ndarray of shape (n_samples, n_classes)
        """
        return np.exp(self.predict_log_proba(X))

    def predict(self, X: Data) -> np.ndarray:
        """The most probable class.

        Parameters
        ----------
        X : array-like or data frame of shape (n_samples, n_features)

        Returns
        -------
        y : ndarray of shape (n_samples,)
        """
        best = np.argmax(self.predict_log_proba(X), axis=1)
        return self.classes_[best]


def seen_target(model, y, sample_weight):
    """The target of a fit: labels y (N,) of at least two classes of positive weight."""
    target = class_target(np.unique(y), y, sample_weight, model.class_weight)
    seen = target.classes[np.unique(target.labels[target.weight > 0])]
    if len(seen) < 2:
        message = f"{type(model).__name__} needs at least 2 classes"
        found = f"got {len(seen)} class: {seen.tolist()}"
        if len(target.classes) < 2:
            raise ValueError(f"{message}; {found}.")
        raise ValueError(
            f"{message} with positive weight; {found} of {target.classes.tolist()}. Weights that "
            "rounding loses beside the largest one count as zero."
        )
    return target
