"""Structure search on the observed entries of a tensor, for the sake of the missing ones.

The size of a network no longer matters, its generalisation does. Several networks grow, from
different starts, with and without an order of the modes, with more and with less ridge. Observed
entries that none of them has seen decide which one is kept, and the last sweeps use all entries.
"""

from dataclasses import dataclass

import numpy as np

from sktn.networks import graph
from sktn.solvers.deadline import NEVER, Deadline
from sktn.structure import holdout
from sktn.structure.growth import Growth, Plan

__all__ = ["Completion", "Settings", "complete"]

# Weights of the cores' squared norms: for data with much noise, with some, with next to none.
_RIDGES = (1e-2, 1e-1, 1e-3)
# Growths that are compared at most: beyond, the best of them differ by less than the held-out tell.
_MOST_GROWTHS = 8
# Entries over all growths that are finished, at least one: two minutes of one core. Their errors
# cancel: of a video's 3.8 million entries, 90 % missing, the average of two is .3 dB better than
# one; a third one, from the start that was the worst at the finest scale, was not missed.
_ENTRIES = 8_000_000
# A tensor with more entries than this has all its scales compared, but no growth without them.
_SMALL = 200_000


@dataclass(frozen=True)
class Settings:
    """What the completion uses; None is chosen by the held-out entries.

    ordered modes that may be averaged and smoothed, noise variance relative to the data's (0: no
    smoothness), growth share of the parameters added per step, held_out share of the observed
    entries, growths number of networks compared, deadline after which nothing new is begun
    """

    ordered: tuple | None = None
    noise: float | None = None
    ridge: float | None = None
    held_out: float | None = None
    growths: int | None = None
    n_scales: int = 3
    max_steps: int = 30
    growth: float = 0.6
    sweeps: int = 2
    patience: int = 2
    residual: bool = True
    deadline: Deadline = NEVER

    def expired(self):
        """Whether the time is up."""
        return self.deadline.expired()


@dataclass(frozen=True)
class Completion:
    """What was found.

    cores N arrays, values (I_1, .., I_N) with the smooth residual, loss mean squared error of the
    held-out entries, ordered modes that were taken for ordered, caveat what a user should know
    """

    cores: list
    values: np.ndarray
    loss: float
    ordered: tuple
    caveat: str | None = None


def complete(X, W, rng, settings, callback=None):
    """Network that predicts the missing entries, and what it predicts with its smooth residual.

    X (I_1, .., I_N) zero where missing, W (I_1, .., I_N) of zeros and ones
    -> Completion
    """
    held_out = settings.held_out or holdout.share(float(W.sum()))
    train, held = holdout.split(W, rng, held_out)
    levels = holdout.Levels(X, train, held)
    growths = []
    for plan in _plans(X, W, rng, settings):
        growths.append(Growth(levels, plan, settings, rng.spawn(1)[0], callback).begin(X.shape))
        if settings.expired():
            break
    most = max(1, _ENTRIES // X.size)
    if X.size > _SMALL and np.isfinite(growths[0].loss):
        # The data themselves are dear to see; which growth is the best has shown before.
        growths = _best(growths, most)
    finished = []
    for growth in _best([growth.lift() for growth in growths], most):
        finished.append(growth.go_on())
        if settings.expired():
            break
    best = min(finished, key=lambda growth: growth.loss)
    nothing = best.data.error(np.zeros_like(best.held_values))
    if not best.loss < nothing:
        cores = [np.zeros_like(core) for core in best.cores]
        caveat = (
            "No network predicted the held-out entries better than their mean does: the mean fills "
            "the gaps."
        )
        return Completion(cores, np.zeros_like(X), nothing, best.plan.ordered, caveat)
    counts, loss = _average(finished, best)
    values = sum(n * g.refit() for n, g in zip(counts, finished, strict=True) if n) / counts.sum()
    caveat = _caveat(best, nothing, settings)
    return Completion(best.cores, values.astype(X.dtype), loss, best.plan.ordered, caveat)


def _best(growths, number):
    return sorted(growths, key=lambda growth: growth.loss)[:number]


def _average(growths, best, most=10):
    """How often each growth counts in the average that predicts the held-out entries best.

    Errors of different growths differ, and cancel. Growths are added one at a time, again where
    that helps most [1], from the best one on, as long as the held-out error falls by a fiftieth;
    more could not be told from chance.

    growths finished ones -> counts (g,), held-out mean squared error

    [1] R. Caruana et al., "Ensemble selection from libraries of models", ICML 2004.
    """
    counts = np.array([int(growth is best) for growth in growths])
    total, loss = best.held_values, best.loss
    while counts.sum() < most:
        n = counts.sum() + 1
        trials = [best.data.error((total + growth.held_values) / n) for growth in growths]
        k = int(np.argmin(trials))
        if not trials[k] < 0.98 * loss:
            break
        counts[k] += 1
        total, loss = total + growths[k].held_values, trials[k]
    return counts, loss


def _caveat(best, nothing, settings):
    """What a user should know of a network that explains little of the held-out entries.

    best growth, nothing mean squared error of the mean -> str or None
    """
    # Where rank one explains most of the variance it is not a failure but what the data are.
    wide = graph.bond_dims(best.cores).max() > 1
    if wide or settings.max_steps == 0 or best.loss < 0.5 * nothing:
        return None
    why = (
        "the time limit ended the search"
        if settings.expired()
        else "no wider bond predicted the held-out entries better"
    )
    return (
        f"The network did not grow beyond rank one: {why}. Products of one factor for each mode "
        f"fill the gaps, with an error of about {(best.loss / nothing) ** 0.5:.2f} standard "
        "deviations."
    )


def _plans(X, W, rng, settings):
    """What the growths start with, the likeliest first."""
    small = X.size <= _SMALL
    if settings.expired():
        orders = [()]
    elif settings.ordered is not None:
        orders = [tuple(settings.ordered)]
    else:
        # The order of a table's rows is not one; that of a short mode has little to say.
        long = [k for k, n in enumerate(X.shape) if n >= 16 and X.ndim > 2]
        found = tuple(k for k in long if holdout.has_order(X, W, k, rng))
        orders = [found, ()] if found and small else [found]
    ridges = _RIDGES if settings.ridge is None else (settings.ridge,)
    plans = [Plan(order, settings.noise, ridge) for ridge in ridges for order in orders]
    if orders[0] and settings.noise is None and small:
        plans.append(Plan(orders[0], 0.0, ridges[0]))
    # The rest differ in their random starts alone.
    number = settings.growths or (_MOST_GROWTHS if small else len(ridges))
    return [plans[i % len(plans)] for i in range(number)]
