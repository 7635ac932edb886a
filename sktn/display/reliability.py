"""How far what a model says of its own certainty is true."""

import numpy as np
from sklearn.utils import Bunch
from sklearn.utils.validation import check_consistent_length

from sktn.display._axes import despine, new_axes, shorten

# Levels of a regressor's quantiles that are drawn.
_LEVELS = np.arange(1, 20) / 20


class ReliabilityDisplay:
    """Shares of rows beside the probabilities that were said: a curve a class, or one for the
    quantiles of a regressor. On the diagonal a model means what it says.

    Parameters
    ----------
    curves : list of :class:`~sklearn.utils.Bunch`
        `name`, `predicted`, `observed`, `error` (standard error of `observed`), one each.
    calibration_error : float
        Mean distance of `observed` from `predicted`, weighted by rows, in the mean over the curves.

    Attributes
    ----------
    ax_ : matplotlib axes
    figure_ : matplotlib figure
    """

    def __init__(self, curves, calibration_error):
        self.curves = curves
        self.calibration_error = calibration_error

    @classmethod
    def from_estimator(cls, estimator, X, y, *, n_bins=10, ax=None):
        """Draw how reliable a fitted model is.

        Parameters
        ----------
        estimator : object
            A classifier with `predict_proba`, or a regressor with `predict_quantiles`.
        X : array-like or data frame of shape (n_samples, n_features)
            Rows that the model was not fitted to.
        y : array-like of shape (n_samples,)
        n_bins : int, default=10
            Bins of a class's probabilities, of equally many rows.
        ax : matplotlib axes, default=None

        Returns
        -------
        display : ReliabilityDisplay

        Examples
        --------
        >>> from sklearn.datasets import load_iris
        >>> from sktn import MPSClassifier
        >>> from sktn.display import ReliabilityDisplay
        >>> X, y = load_iris(return_X_y=True)
        >>> model = MPSClassifier(random_state=0).fit(X[::2], y[::2])
        >>> ReliabilityDisplay.from_estimator(model, X[1::2], y[1::2])  # doctest: +SKIP
        """
        y = np.asarray(y)
        check_consistent_length(X, y)
        if hasattr(estimator, "predict_proba"):
            return cls.from_predictions(
                y, estimator.predict_proba(X), classes=estimator.classes_, n_bins=n_bins, ax=ax
            )
        if not hasattr(estimator, "predict_quantiles"):
            raise ValueError(
                f"{type(estimator).__name__} says nothing of its certainty: a classifier, or a "
                "regressor with predict_quantiles, does."
            )
        if y.ndim > 1:
            raise ValueError("A picture shows one target: y has more than one dimension.")
        below = y[:, None] <= estimator.predict_quantiles(X, _LEVELS)
        return cls(*_quantile_curve(below.mean(axis=0), len(y))).plot(ax=ax)

    @classmethod
    def from_predictions(cls, y_true, y_prob, *, classes=None, n_bins=10, ax=None):
        """Draw how reliable probabilities are.

        Parameters
        ----------
        y_true : array-like of shape (n_samples,)
        y_prob : array-like of shape (n_samples, n_classes)
        classes : array-like of shape (n_classes,), default=None
            The labels of the columns; None: the sorted labels of `y_true`.
        n_bins : int, default=10
        ax : matplotlib axes, default=None

        Returns
        -------
        display : ReliabilityDisplay
        """
        y_true, y_prob = np.asarray(y_true), np.asarray(y_prob)
        classes = np.unique(y_true) if classes is None else np.asarray(classes)
        if y_prob.shape != (len(y_true), len(classes)):
            raise ValueError(
                f"y_prob must have a row for each of {len(y_true)} labels and a column for each of "
                f"{len(classes)} classes; it has shape {y_prob.shape}."
            )
        # Of two classes the first says the same as the second.
        shown = [1] if len(classes) == 2 else range(len(classes))
        found = [
            _class_curve(y_true == classes[k], y_prob[:, k], classes[k], n_bins) for k in shown
        ]
        curves, errors = zip(*found, strict=True)
        return cls(list(curves), float(np.mean(errors))).plot(ax=ax)

    def plot(self, *, ax=None):
        """Draw.

        Parameters
        ----------
        ax : matplotlib axes, default=None

        Returns
        -------
        display : ReliabilityDisplay
        """
        ax = new_axes(ax, figsize=(4.2, 4))
        ax.plot([0, 1], [0, 1], color="0.75", lw=1, ls=":")
        for k, curve in enumerate(self.curves):
            ax.errorbar(
                curve.predicted,
                curve.observed,
                yerr=2 * curve.error,
                color=f"C{k}",
                marker="o",
                ms=4,
                lw=1.6,
                elinewidth=0.8,
                label=shorten(curve.name),
            )
        ax.set(xlabel="probability said", ylabel="share of rows", xlim=(0, 1), ylim=(0, 1))
        ax.set_title(f"mean distance {self.calibration_error:.3f}", fontsize=10)
        if len(self.curves) > 1:
            ax.legend(frameon=False, fontsize=8)
        ax.set_aspect("equal")
        despine(ax)
        self.ax_, self.figure_ = ax, ax.figure
        return self


def _class_curve(hits, probability, name, n_bins):
    """hits (b,) bool, probability (b,) -> curve, calibration error"""
    edges = np.unique(np.quantile(probability, np.linspace(0, 1, n_bins + 1)))
    place = np.searchsorted(edges[1:-1], probability, side="right")
    count = np.bincount(place)
    used = count > 0
    count = count[used]
    predicted = np.bincount(place, weights=probability)[used] / count
    observed = np.bincount(place, weights=hits)[used] / count
    curve = Bunch(name=name, predicted=predicted, observed=observed)
    curve.error = _standard_error(observed, count)
    return curve, float(np.average(np.abs(observed - predicted), weights=count))


def _quantile_curve(observed, n_rows):
    error = _standard_error(observed, n_rows)
    curve = Bunch(name="quantiles", predicted=_LEVELS, observed=observed, error=error)
    return [curve], float(np.mean(np.abs(observed - _LEVELS)))


def _standard_error(share, count):
    # Laplace's rule: bins in which all rows agree are not certain.
    share = (share * count + 1) / (count + 2)
    return np.sqrt(share * (1 - share) / count)
