"""How wrong predictions are: quantiles of out-of-fold errors, in units of a learned local scale.

Rows that a model has not seen say how wrong it is on average (cross-conformal prediction: Vovk,
Annals of Mathematics and Artificial Intelligence 74, 9 (2015)). How this varies from row to row is
learned by a second chain, the logarithm of the expected error; errors in units of it are more
alike, so that their quantiles serve all rows and widths adapt (Lei et al., JASA 113, 1094 (2018)).
Quantiles of one distribution times one scale do not cross.
"""

from dataclasses import dataclass, replace
from numbers import Real
from typing import Any

import numpy as np
from numpy.typing import ArrayLike
from sklearn.utils.validation import check_is_fitted

from sktn.annotations import Data
from sktn.chains.prior import least_degree
from sktn.chains.solvers import Convex
from sktn.losses import Gamma
from sktn.tables.arguments import numbers

# The scale is smooth and known from errors that scatter by three quarters of it: little can be
# told, and a small chain tells it.
_BOND_DIM, _LANDMARKS = 6, 300
# From next to a constant to what such errors could support.
_STRENGTHS = tuple(float(a) for a in 10.0 ** np.arange(3, -0.1, -0.5))
# Quantiles that are kept of more errors.
_LEVELS = 1000


@dataclass(frozen=True, eq=False)
class Spread:
    """Out-of-fold errors of a regressor, and a model of their size: its `spread_`.

    Attributes
    ----------
    scale : MPSRegressor or None
        Predicts the expected absolute error, one output for each of the target's; None: the same
        everywhere.
    levels : ndarray of shape (q,)
        Shares of rows whose errors are at most `errors`.
    errors : ndarray of shape (q, n_outputs)
        Quantiles of the errors, in units of the scale.
    deviation : ndarray of shape (n_outputs,)
        Root mean square error in units of the scale.

    Examples
    --------
    >>> import numpy as np
    >>> from sktn import MPSRegressor
    >>> rng = np.random.default_rng(0)
    >>> X = rng.uniform(-1, 1, size=(400, 2))
    >>> y = X[:, 0] + (1.1 + X[:, 1]) * rng.normal(size=400)
    >>> spread = MPSRegressor(degree=2, random_state=0).fit(X, y).spread_
    >>> low, high = spread.scales([[0, -0.9], [0, 0.9]])[:, 0]
    >>> bool(high > 3 * low)
    True
    """

    scale: object
    levels: np.ndarray
    errors: np.ndarray
    deviation: np.ndarray

    def scales(self, X):
        """Expected absolute errors: (N, n_outputs), or (1, n_outputs) where they are the same."""
        if self.scale is None:
            return np.ones((1, self.errors.shape[1]))
        return np.reshape(self.scale.predict(X), (-1, self.errors.shape[1]))

    def quantiles(self, X, q):
        """Quantiles of the error: q (k,) -> (N or 1, n_outputs, k)"""
        low, high = self.levels[0], self.levels[-1]
        outside = [level for level in q if not low <= level <= high]
        if outside:
            raise ValueError(
                f"The out-of-fold errors of so few rows have no quantile {outside[0]:.4g}: those "
                f"from {low:.3g} to {high:.3g} are known, which intervals of a coverage up to "
                f"{high - low:.3g} need. Train on more rows, or ask for less."
            )
        own = np.stack([np.interp(q, self.levels, column) for column in self.errors.T])
        return self.scales(X)[:, :, None] * own


def fit_spread(model, reading, rows, errors, weight, seed):
    """A spread from out-of-fold errors.

    model: a regressor, whose columns, basis and penalties the scale takes; reading of the whole
    table; rows (m,), errors (m, c) of these, weight (m,) -> Spread
    """
    sizes = np.abs(errors)
    scale, units = None, np.broadcast_to(_mean_size(sizes, weight), sizes.shape)
    if (sizes.max(axis=0, initial=0) > 0).all():
        part = replace(reading, X=reading.X[rows], y=sizes)
        scale, units = _fit_scale(model, part, weight, seed)
    ratios = errors / units
    deviation = np.sqrt(np.average(ratios**2, weights=weight, axis=0))
    levels, quantiles = _weighted_quantiles(ratios, weight)
    return Spread(scale, levels, quantiles, deviation)


def _fit_scale(model, reading, weight, seed):
    """A chain of the expected sizes of errors, and its out-of-fold predictions."""
    changes = {
        "loss": Gamma(),
        "solver": Convex(max_order=model._max_order),
        "alpha": "auto",
        # Not looked at for rough columns: noise hides what is fine.
        "degree": least_degree(model),
        "bond_dim": min(model.bond_dim, _BOND_DIM),
        "max_landmarks": min(model.max_landmarks, _LANDMARKS),
        "n_estimators": 1,
        "random_state": seed,
        "verbose": 0,
    }
    scale = type(model)(**{**model.get_params(deep=False), **changes})
    scale._alphas = _STRENGTHS
    units = np.broadcast_to(_mean_size(reading.y, weight), reading.y.shape).copy()

    def out_of_fold(reading, target, rows, scores, seed):
        units[rows] = target.predicted(scores[None])
        return {}

    scale._fit(reading, weight, out_of_fold)
    return scale, units


def _mean_size(sizes, weight):
    """Mean sizes of errors (m, c), 1 where all are 0; sums of large ones are no floats. -> (c,)"""
    peak = sizes.max(axis=0)
    peak = np.where(peak > 0, peak, 1.0)
    mean = np.average(sizes / peak, weights=weight, axis=0) * peak
    return np.where(mean > 0, mean, 1.0)


def _weighted_quantiles(values, weight):
    """Shares of the rows and the values below which they are: the i-th of n equal rows has
    i / (n + 1), so that a new row is below it with that probability.

    values (m, c), weight (m,) -> (q,), (q, c)
    """
    n = len(values)
    order = np.argsort(values, axis=0, kind="stable")
    reached = np.cumsum(weight[order], axis=0)
    reached /= reached[-1] * (1 + 1 / n)
    values = np.take_along_axis(values, order, axis=0)
    low, high = reached[0].max(), reached[-1].min()
    levels = np.linspace(low, high, min(n, _LEVELS))
    columns = [np.interp(levels, r, v) for r, v in zip(reached.T, values.T, strict=True)]
    return levels, np.stack(columns, axis=1)


class Intervals:
    """Predictions with what is known of their errors. A regressor has `_mean(X)` (N, c), `loss_`,
    `flat_target_` and `spread_`."""

    _mean: Any
    loss_: Any
    flat_target_: bool

    def predict(self, X: Data, return_std: bool = False) -> Any:
        """Predictions in the units of the target.

        Parameters
        ----------
        X : array-like or data frame of shape (n_samples, n_features)
        return_std : bool, default=False
            Also the root mean square of the error to be expected, of the noise and of the model.

        Returns
        -------
        y : ndarray of shape (n_samples,) or (n_samples, n_outputs)
        y_std : ndarray of the same shape
            Only if `return_std`.
        """
        mean = self._mean(X)
        if not return_std:
            return self._flat(mean)
        spread = self._known_spread()
        std = np.broadcast_to(spread.scales(X) * spread.deviation, mean.shape)
        return self._flat(mean), self._flat(std.copy())

    def predict_quantiles(self, X: Data, q: ArrayLike) -> np.ndarray:
        """Quantiles of the target: the prediction and quantiles of out-of-fold errors, in units of
        their expected size at each row. They do not cross.

        Parameters
        ----------
        X : array-like or data frame of shape (n_samples, n_features)
        q : float or array-like of shape (n_quantiles,)
            Between 0 and 1.

        Returns
        -------
        quantiles : ndarray of shape (n_samples, [n_outputs,] n_quantiles)
            Without the last axis if q is a number.
        """
        levels = np.atleast_1d(numbers(q, "q"))
        if levels.ndim != 1 or not ((levels > 0) & (levels < 1)).all():
            raise ValueError(f"q must be numbers between 0 and 1, got {q!r}.")
        spread = self._known_spread()
        found = self._mean(X)[:, :, None] + spread.quantiles(X, levels)
        if self.loss_.log_link:
            found = np.maximum(found, 0)
        found = found[..., 0] if np.ndim(q) == 0 else found
        return self._flat(found)

    def predict_interval(self, X: Data, coverage: float = 0.9) -> np.ndarray:
        """Intervals that have the target of a new row inside with a given probability, as much of
        it missed below as above.

        Parameters
        ----------
        X : array-like or data frame of shape (n_samples, n_features)
        coverage : float, default=0.9

        Returns
        -------
        intervals : ndarray of shape (n_samples, [n_outputs,] 2)
            Lower and upper ends.

        Examples
        --------
        >>> from sklearn.datasets import load_diabetes
        >>> from sktn import MPSRegressor
        >>> X, y = load_diabetes(return_X_y=True)
        >>> model = MPSRegressor(random_state=0).fit(X[:300], y[:300])
        >>> low, high = model.predict_interval(X[300:], coverage=0.8).T
        >>> bool(0.7 < ((low <= y[300:]) & (y[300:] <= high)).mean() < 0.9)
        True
        """
        if not isinstance(coverage, Real) or not 0 < coverage < 1:
            raise ValueError(f"coverage must be between 0 and 1, got {coverage!r}.")
        return self.predict_quantiles(X, [(1 - coverage) / 2, (1 + coverage) / 2])

    def _known_spread(self):
        check_is_fitted(self)
        if getattr(self, "spread_", None) is None:
            raise ValueError(
                f"This {type(self).__name__} does not know how wrong it is: that takes rows to "
                "hold out, so a table of more than a few distinct rows, `fit` instead of "
                "`partial_fit`, time left by time_limit, and the model as it was fitted, not a "
                "truncated or pruned one."
            )
        return self.spread_

    def _flat(self, values):
        return values[:, 0] if self.flat_target_ else values
