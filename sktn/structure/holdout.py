"""Observed entries to train on and observed entries to decide by, at every scale.

The held-out entries are the same for everything that is compared: growths, scales, hyperparameters.
"""

import itertools
from dataclasses import dataclass

import numpy as np

from sktn.solvers import smoothness
from sktn.solvers.als_masked import Observed
from sktn.structure import scales

__all__ = ["Holdout", "Levels", "has_order", "share", "split"]


@dataclass
class Holdout:
    """Observed entries of one scale: to train on, to decide by, and together."""

    train: Observed
    held: Observed
    full: Observed
    prior: smoothness.Prior

    def __getitem__(self, window):
        """The same for a part of the tensor."""
        parts = (Observed(o.X[window], o.W[window]) for o in (self.train, self.held, self.full))
        return Holdout(*parts, self.prior)

    def held_out(self, dense):
        """What a tensor says of the held-out entries.

        dense (I_1, .., I_N) -> (n_held,)
        """
        return dense[self.held.W > 0]

    def error(self, values):
        """Mean squared error of values of the held-out entries.

        values (n_held,) -> float
        """
        seen = self.held.W > 0
        weight = self.held.W[seen]
        residual = values - self.held.X[seen] / weight
        return float(np.vdot(residual, residual * weight)) / max(float(weight.sum()), 1e-12)

    def loss(self, dense):
        """Mean squared error on the held-out entries."""
        return self.error(self.held_out(dense))


def share(n_observed):
    """Share of the observed entries that is held out.

    One in twenty of many. Of few it is more, since the error of n entries is known to one part in
    sqrt(n / 2): 200 tell growths apart that differ by a tenth. More than a fifth would be missed.
    """
    return float(np.clip(200.0 / n_observed, 0.05, 0.2))


def split(W, rng, fraction):
    """Observed entries to train on and to decide by; at least one of each where there are two."""
    held = W * (rng.random(W.shape) < fraction)
    total = W.sum()
    if total > 1 and not 0 < held.sum() < total:
        held = np.zeros_like(W)
        where = np.argwhere(W > 0)
        held[tuple(where[rng.integers(len(where))])] = 1.0
    held = held.astype(W.dtype)
    return W - held, held


def has_order(X, W, k, rng, sure=3.0, most=0.9):
    """Whether neighbours along mode k resemble each other more than slices at random do.

    Squared differences of entries observed side by side, in the order given and in random ones;
    differences of random orders scatter, and what counts is how many times their scatter the given
    order is below them. A tenth has to be gained besides: less is not worth a penalty, and the
    scatter of eight orders is itself known to a quarter only.

    X (I_1, .., I_N) zero where missing, W (I_1, .., I_N) of zeros and ones -> bool
    """
    X, W = np.moveaxis(X, k, 0), np.moveaxis(W, k, 0)

    def difference(order):
        square = both = 0.0
        # Slice by slice: a copy of a large tensor in another order is not needed.
        for a, b in itertools.pairwise(order):
            pair = W[a] * W[b]
            both += float(pair.sum(dtype=np.float64))
            square += float(np.vdot(pair, (X[a] - X[b]) ** 2))
        return square / both if both > 0 else np.nan

    given = difference(np.arange(len(X)))
    others = [difference(rng.permutation(len(X))) for _ in range(8)]
    others = np.array([d for d in others if np.isfinite(d)])
    if not (np.isfinite(given) and len(others) > 1):
        return False
    return bool(given < min(others.mean() - sure * others.std(), most * others.mean()))


def _average(X, W, halvings):
    """Weighted block means: sums of values over sums of weights stay exact through scales."""
    total, weight = X * W, W.astype(X.dtype)
    n = 2.0 ** sum(halvings)
    return scales.coarsen(total, halvings) * n, scales.coarsen(weight, halvings) * n


def _observed(total, weight):
    """Observed data with weights of at most about one, values times weights as data."""
    top = max(float(weight.max()), 1.0)
    return Observed(total / top, weight / top)


class Levels:
    """A tensor with held-out entries at any scale, each scale averaged once.

    X (I_1, .., I_N) zero where missing, train and held (I_1, .., I_N) of zeros and ones
    """

    def __init__(self, X, train, held):
        self._X, self._train, self._held = X, train, held
        self._made = {}

    def at(self, halvings, ordered):
        """Observed entries after averaging pairs, with what is known along the ordered modes."""
        if halvings not in self._made:
            parts = [_observed(*_average(self._X, W, halvings)) for W in (self._train, self._held)]
            full = _observed(*_average(self._X, self._train + self._held, halvings))
            self._made[halvings] = (*parts, full)
        train, held, full = self._made[halvings]
        return Holdout(train, held, full, smoothness.prior(full, ordered))
