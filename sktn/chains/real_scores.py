"""Predictions of regressors, the mean of one network or several, and the losses they take."""

from numbers import Real
from typing import Any

import numpy as np
from sklearn.utils._param_validation import StrOptions

from sktn.chains.spread import Intervals
from sktn.chains.target import average_predictions
from sktn.losses import Gamma, Huber, Poisson, Quantile, SquaredError

#: Losses by name.
LOSSES = {
    "squared_error": SquaredError(),
    "absolute_error": Quantile(0.5),
    "huber": Huber(),
    "poisson": Poisson(),
    "gamma": Gamma(),
}

#: What the parameter `loss` may be.
LOSS_CONSTRAINT = [StrOptions(set(LOSSES)), *(type(kind) for kind in LOSSES.values())]


class RealScores(Intervals):
    """A regressor has `_network_scores(X)` (k, N, c) of its k networks, the scaling of its target,
    and the parameter `loss`."""

    _network_scores: Any
    target_center_: np.ndarray
    target_scale_: np.ndarray
    loss: Any

    def _mean(self, X):
        return average_predictions(
            self._network_scores(X), self.target_center_, self.target_scale_, self.loss_
        )

    def __sklearn_tags__(self):
        tags = super().__sklearn_tags__()
        tags.target_tags.single_output = True
        tags.target_tags.multi_output = True
        kind = LOSSES.get(self.loss) if isinstance(self.loss, str) else self.loss
        tags.target_tags.positive_only = getattr(kind, "log_link", False)
        return tags


def checked_loss(loss):
    """A loss by its name, or one whose numbers, a plain record's, are checked."""
    kind = LOSSES[loss] if isinstance(loss, str) else loss
    if isinstance(kind, Quantile) and not _within(kind.quantile, 1):
        raise ValueError(f"Quantile needs a quantile between 0 and 1, got {kind.quantile!r}.")
    if isinstance(kind, Quantile) and not _within(kind.width, np.inf):
        raise ValueError(f"Quantile needs a positive width, got {kind.width!r}.")
    if isinstance(kind, Huber) and not _within(kind.epsilon, np.inf):
        raise ValueError(f"Huber needs a positive epsilon, got {kind.epsilon!r}.")
    return kind


def _within(number, end):
    return isinstance(number, Real) and 0 < number < end
