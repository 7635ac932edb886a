"""Bandwidths of closed-form anomaly operators, by held-out rows: no anomaly is needed."""

import numpy as np

from sktn.networks import product_sum
from sktn.solvers.kernel_novelty import JITTER, NOTHING, TINY, inverse_factor, positive

# Widths between which one is searched, in units of sqrt(n), the distance scale of n standardised
# columns: no two rows overlap at the one, all do at the other.
NARROW, WIDE = 0.02, 8.0

# Noise beside which an overlap, which is 1 at most, is nothing.
_DROWNED = 1e100

# Halvings of the logarithm of that range: to 1 %.
_BISECTIONS = 9

# Widths of a density tried, seven to a decade: the held-out likelihood is flat around its maximum.
_DENSITY_WIDTHS = tuple(float(width) for width in np.geomspace(0.03, 2.0, 14))


def choose_bandwidths(x, weight, mean, variance, ridge, levels):
    """Widths at which a held-out row has the given mean novelties, by bisection.

    A narrow kernel sees every new row as novel, a wide one sees none: the levels fix how finely
    the data are looked at, relative to how dense they are, and need no anomalies. All rows are
    landmarks here; with fewer, a narrow width would be blamed for what the landmarks do not span.

    x (b, n), weight (b,) -> (len(levels),) in units of sqrt(n)
    """
    log_unit = _log_overlaps_at_unit(x, mean, variance)

    def mean_novelty(log_width):
        overlaps = np.exp(log_unit(log_width))
        return np.average(_exact_held_out(overlaps, weight, ridge), weights=weight)

    widths = []
    for level in levels:
        low, high = np.log(NARROW), np.log(WIDE)
        for _ in range(_BISECTIONS):
            middle = (low + high) / 2
            low, high = (middle, high) if mean_novelty(middle) > level else (low, middle)
        widths.append(np.exp((low + high) / 2))
    return np.array(widths)


def choose_density_bandwidth(x, weight, mean, variance):
    """The width of largest held-out likelihood of a kernel density estimate on the rows.

    x (b, n), weight (b,) -> (1,) in units of sqrt(n)
    """
    log_unit = _log_overlaps_at_unit(x, mean, variance)
    # A row of weight 2 keeps one of its two terms.
    with np.errstate(divide="ignore"):
        log_left = np.log(np.maximum(weight - 1, 0) / weight)
    quality = []
    for width in _DENSITY_WIDTHS:
        logs = log_unit(np.log(width)) + np.log(weight)
        logs[np.diag_indices_from(logs)] += log_left
        top = np.maximum(logs.max(axis=1), NOTHING)
        total = np.exp(logs - top[:, None]).sum(axis=1)
        density = top + np.log(np.maximum(total, TINY)) - x.shape[1] * np.log(width)
        quality.append(np.average(np.maximum(density, -1e300), weights=weight))
    return np.array([_DENSITY_WIDTHS[int(np.argmax(quality))]])


def choose_wide_bandwidth(x, weight, mean, variance, share):
    """The width at which the mean overlap of a row with the others is `share`: its neighbourhood
    holds that share of all rows, more than a clump of strange ones does.

    x (b, n), weight (b,), share () -> () in units of sqrt(n)
    """
    log_unit = _log_overlaps_at_unit(x, mean, variance)
    others = weight[:, None] * weight
    # A row of weight 2 is beside itself once.
    np.fill_diagonal(others, weight * np.maximum(weight - 1, 0))
    others /= max(others.sum(), TINY)
    low, high = np.log(NARROW), np.log(WIDE)
    for _ in range(_BISECTIONS):
        middle = (low + high) / 2
        held = np.sum(others * np.exp(log_unit(middle)))
        low, high = (low, middle) if held > share else (middle, high)
    return np.exp((low + high) / 2)


def _log_overlaps_at_unit(x, mean, variance):
    """A function of the logarithm of a width, in units of sqrt(n), that gives `log_overlaps` of the
    rows with each other: one distance matrix for all widths where nothing is missing."""
    unit = np.sqrt(x.shape[1])
    if np.isnan(x).any():
        return lambda log_width: product_sum.log_overlaps(
            x, x, np.exp(log_width) * unit, mean, variance
        )
    squares = -0.5 * product_sum.squared_distances(x / unit, x / unit)
    return lambda log_width: squares * np.exp(-2 * log_width)


def _exact_held_out(overlaps, weight, ridge):
    """`held_out_novelty` with all rows as landmarks: overlaps (b, b), weight (b,) -> (b,)"""
    # Heavy rows are close to exact, and the Gram matrix of close ones is singular.
    with np.errstate(over="ignore"):
        noise = np.clip(ridge / weight, JITTER, _DROWNED)
        gram = overlaps.copy()
        gram[np.diag_indices_from(gram)] += noise
        inverse = inverse_factor(gram)
        # w t = 1 - noise [(K + noise)^-1]_bb, with t as in `held_out_novelty`.
        leverage = (1 - noise * np.einsum("kb,kb->b", inverse, inverse)) / weight
        own = np.minimum(weight, 1.0) * leverage
        novelty = np.minimum(positive(ridge * leverage / np.maximum(1 - own, 1e-12)), 1)
    # Where the ridge leaves nothing of a row, nothing is known.
    return np.where(noise < _DROWNED, novelty, 1.0)
