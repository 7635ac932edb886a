"""Repeated and rounded values of a column: a histogram of narrow bins around these values.

A value that has been seen c times of N was recorded with a limited resolution, which no smooth
density explains. Its bin gets a share; the shares of the three explanations

- it repeats a value of another row, of which c - 1 of N - 1 have it,
- it lies on the grid that all values lie on, with the probability of its rounding interval,
- it is a new number, of the smooth density,

are those of the largest likelihood of every row given the others (Good and Turing's idea: values
that are new are about as many as values seen once).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

# What is taken off every count: nothing, where any value may come again; one, where a few values
# repeat among others that do not (absolute discounting).
_DISCOUNTS = (0.0, 0.5, 0.8, 1.0)

# Points of a grid: more are no rounding that a row could tell.
_LARGEST_GRID = 4000


@dataclass(frozen=True, eq=False)
class Bins:
    """A sum of bins of one width around values (V,), sorted, with shares (V,) of sum `share`: a
    piecewise constant function, heights (E - 1,) between knots (E,), zero elsewhere, and its
    integral `below` (E,) up to every knot. Bins may overlap."""

    values: np.ndarray
    width: float
    share: float
    knots: np.ndarray
    heights: np.ndarray
    below: np.ndarray

    def density(self, z):
        """(b,) -> (b,)"""
        place = np.searchsorted(self.knots, z) - 1
        inside = (place >= 0) & (place < len(self.heights))
        return np.where(inside, self.heights[place.clip(0, len(self.heights) - 1)], 0.0)

    def distribution(self, z):
        """Integral of the density: (b,) -> (b,)"""
        return np.interp(z, self.knots, self.below)

    def nearest(self, z):
        """Index of the nearest value, and whether z is in its bin: (b,) -> (b,), (b,) bool"""
        place = np.searchsorted((self.values[1:] + self.values[:-1]) / 2, z)
        place = place.clip(0, len(self.values) - 1)
        inside = (np.abs(z - self.values[place]) <= self.width / 2) & (self.share > 0)
        return place, inside

    def edges_at(self, z):
        """Ends of the bin around z, twice z where there is none: (b,) -> (b,), (b,)"""
        place, inside = self.nearest(z)
        centre, half = np.where(inside, self.values[place], z), np.where(inside, self.width / 2, 0)
        return centre - half, centre + half


def make_bins(values, shares, width):
    """values (V,) sorted, shares (V,) -> Bins"""
    ends = np.concatenate([values - width / 2, values + width / 2])
    jumps = np.concatenate([shares, -shares]) / width
    order = np.argsort(ends, kind="stable")
    knots = ends[order]
    # What cancels must not leave a negative rest.
    heights = np.maximum(np.cumsum(jumps[order])[:-1], 0.0)
    below = np.concatenate([[0.0], np.cumsum(heights * np.diff(knots))])
    total = float(shares.sum())
    below = below * (total / below[-1]) if below[-1] > 0 else below
    return Bins(values, width, total, knots, heights, below)


NO_BINS = make_bins(np.zeros(1), np.zeros(1), 1.0)


def fit_bins(values, counts, width, distribution, density):
    """values (V,) sorted, counts (V,), width; distribution, density: of the smooth part -> Bins"""
    if counts.sum() <= 1:
        return NO_BINS
    points, chances = grid_of(values, width, distribution)
    on_grid = len(points) > 0
    rounded, smooth = np.zeros(len(values)), density(values)
    if on_grid:
        place = np.searchsorted(points, values - width / 4)
        rounded = chances[place] / width
    best, shares, again = _log_likelihood(smooth, counts) + np.log(counts.sum()), None, None
    for discount in _DISCOUNTS:
        mass, others = repetitions(values, counts, width, discount)
        table = np.stack([others, rounded, smooth])
        found = _mixture_shares(table, counts)
        # Shares have to pay for themselves (Bayesian information criterion).
        quality = _log_likelihood(found @ table, counts)
        if quality > best:
            best, shares, again = quality, found, mass
    if shares is None:
        return NO_BINS
    if not on_grid:
        return make_bins(values, shares[0] * again, width)
    # The bins of a grid are those of all values.
    mass = shares[1] * chances
    mass[place] += shares[0] * again
    return make_bins(points, mass, width)


def _log_likelihood(density, counts):
    """-inf for a density that gives a value no chance: (V,), (V,) -> ()"""
    with np.errstate(divide="ignore"):
        return counts @ np.log(density)


def repetitions(values, counts, width, discount):
    """Shares of the values in proportion to their counts minus a discount, and the density at every
    value of the bins of all rows but one of its own: -> (V,), (V,)"""
    kept = np.maximum(counts - discount, 0.0)
    left_out = kept - np.maximum(counts - 1 - discount, 0.0)
    total = kept.sum()
    around = make_bins(values, kept, width).density(values) if total > 0 else np.zeros(len(values))
    others = np.maximum(around - left_out / width, 0.0)
    rest = total - left_out
    return kept / max(total, 1e-300), np.where(rest > 0, others / np.where(rest > 0, rest, 1), 0.0)


def grid_of(values, width, distribution):
    """The coarsest grid that holds all values, its points beyond their range included as far as the
    smooth part reaches, and their probabilities: -> (G,), (G,), empty without a grid"""
    none = np.zeros(0), np.zeros(0)
    if len(values) < 3:
        return none
    extent = values[-1] - values[0]
    # Bins of neighbours must not touch.
    smallest = max(2 * width, extent / _LARGEST_GRID)
    step = _common_divisor(np.diff(values), 1e-7 * extent, smallest)
    if step < smallest:
        return none
    steps = np.round((values - values[0]) / step).astype(int)
    beyond = min(steps[-1] // 10 + 1, _LARGEST_GRID)
    points = values[0] + step * np.arange(-beyond, steps[-1] + beyond + 1)
    # What was seen is met exactly, whatever rounding the multiples have.
    points[steps + beyond] = values
    cut = distribution(np.concatenate([points - step / 2, points[-1:] + step / 2]))
    chances = np.diff(cut)
    return points, chances / chances.sum()


def _common_divisor(gaps, tol, smallest):
    """Euclid's algorithm on real numbers that are multiples of something up to `tol`; 0 when it is
    less than `smallest`."""
    step = gaps[0]
    for gap in gaps[1:]:
        if step < smallest:
            return 0.0
        a, b = max(step, gap), min(step, gap)
        while b > tol:
            a, b = b, abs(a - np.round(a / b) * b)
        step = a
    return step


def _mixture_shares(table, counts):
    """Shares of the largest likelihood by expectation maximisation, with one row more that the
    last explains, so that its share is never 0: table (3, V), counts (V,) -> (3,)"""
    shares = np.where(table.any(axis=1), 1.0, 0.0)
    shares /= shares.sum()
    for _ in range(200):
        joint = shares[:, None] * table
        new = (joint / np.maximum(joint.sum(axis=0), 1e-300)) @ counts
        new[2] += 1
        new /= new.sum()
        if np.abs(new - shares).max() < 1e-6:
            break
        shares = new
    return new
