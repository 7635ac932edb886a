"""What is asked of a fitted detector: scores, labels, p-values, columns that make a row strange."""

from numbers import Real
from typing import Any

import numpy as np
from scipy.stats import false_discovery_control
from sklearn.base import ClassNamePrefixFeaturesOutMixin, TransformerMixin
from sklearn.utils.validation import _check_feature_names_in, check_is_fitted

from sktn.annotations import Data
from sktn.anomaly.base import Contributions, score_rows, scores_of
from sktn.anomaly.calibration import Calibration, Combination
from sktn.anomaly.known_rows import KnownRows
from sktn.tables.arguments import numbers
from sktn.tables.reading import read


class Scoring(ClassNamePrefixFeaturesOutMixin, TransformerMixin):
    """Methods of a detector with `operators_`, `offset_`, and what its scores are made by.

    A transformer itself: `set_output` reaches only a `transform` that such a class defines.
    """

    operators_: list
    offset_: float
    _combination: Combination
    _calibration: Calibration
    _known: KnownRows | None

    def score_samples(self, X: Data) -> np.ndarray:
        """How typical each row is.

        Parameters
        ----------
        X : array-like or data frame of shape (n_samples, n_features)

        Returns
        -------
        scores : ndarray of shape (n_samples,)
            Higher is more normal. Of a single operator a function of its log norm; of several
            the logarithm of a probability, see the notes.
        """
        X = read(self, X)
        return blended_scores(self.operators_, self._combination, self._known, X)

    def decision_function(self, X: Data) -> np.ndarray:
        """`score_samples` minus `offset_`: negative for outliers.

        Parameters
        ----------
        X : array-like or data frame of shape (n_samples, n_features)

        Returns
        -------
        scores : ndarray of shape (n_samples,)
        """
        return self.score_samples(X) - self.offset_

    def predict(self, X: Data) -> np.ndarray:
        """1 for inliers, -1 for outliers.

        Parameters
        ----------
        X : array-like or data frame of shape (n_samples, n_features)

        Returns
        -------
        labels : ndarray of shape (n_samples,)
        """
        return np.where(self.decision_function(X) >= 0, 1, -1)

    def score_to_pvalue(self, scores):
        """How likely a typical row is to score as low.

        Parameters
        ----------
        scores : array-like of shape (n_samples,)
            Of `score_samples`.

        Returns
        -------
        p_values : ndarray of shape (n_samples,)
            (1 + n F) / (n + 1) with the share F of the n training rows that scored as low as if
            each had been held out: a conformal p-value. Trained operators cannot leave a row out,
            and theirs are a little small. The least is 1 / (n + 1).
        """
        check_is_fitted(self)
        scores = numbers(scores, "scores")
        if np.isnan(scores).any():
            raise ValueError("scores must be those of rows, got NaN among them.")
        return self._calibration.p_values(scores)

    def discoveries(self, X, fdr=0.1):
        """Anomalies of which, on average, at most this share are false alarms.

        Parameters
        ----------
        X : array-like or data frame of shape (n_samples, n_features)
        fdr : float, default=0.1
            False discovery rate, controlled by the procedure of Benjamini and Hochberg (1995) on
            the p-values of these rows. Few rows are found among very many by a detector that has
            seen few: no p-value is below 1 / (n + 1) for n training rows.

        Returns
        -------
        found : ndarray of bool of shape (n_samples,)
        """
        if not isinstance(fdr, Real) or not 0 < fdr < 1:
            raise ValueError(f"fdr must be a number between 0 and 1, got {fdr!r}.")
        p = self.score_to_pvalue(self.score_samples(X))
        return false_discovery_control(p, method="bh") <= fdr

    def transform(self, X: Data) -> Any:
        """The compressed representation of each row.

        Parameters
        ----------
        X : array-like or data frame of shape (n_samples, n_features)

        Returns
        -------
        outputs : ndarray of shape (n_samples, n_outputs)
            Closed forms: the output vector, i.e. the kernel principal components of the row.
            Trained operators: for every output leg its distribution in the normalised output
            state. One estimator after the other.
        """
        X = read(self, X)
        parts = [P.transform(X) for P in self.operators_]
        return np.concatenate(parts, axis=1).astype(X.dtype, copy=False)

    def feature_contributions(self, X):
        """Which columns make a row anomalous.

        Parameters
        ----------
        X : array-like or data frame of shape (n_samples, n_features)

        Returns
        -------
        contributions : Contributions
            values : ndarray of shape (n_samples, n_features)
                By how much the score would rise if the value were missing, so that its column is
                averaged over. Large for columns that make the row anomalous.
            feature_names : ndarray of str of shape (n_features,)
                Names of the columns.
        """
        names = _check_feature_names_in(self)
        X = read(self, X)
        scores = score_rows(self.operators_, self._combination, X)
        changes = np.empty(X.shape)
        for j in range(X.shape[1]):
            norms = [P.log_norms_without(X, j) for P in self.operators_]
            changes[:, j] = self._combination(scores_of(self.operators_, norms)) - scores
        return Contributions(changes, names)


def blended_scores(operators, combination, known, X):
    """One score a row, of training rows what is known of them: X (b, n_columns) -> (b,)"""

    def scores_of_new(X):
        return score_rows(operators, combination, X)

    return scores_of_new(X) if known is None else known.blend(X, scores_of_new)
