"""One-dimensional densities that a joint density refers to: invertible, known everywhere.

A numeric column has a mixture of logistic densities at its quantiles, and, where its values repeat
or are rounded, narrow bins at these values,

    F(x) = (1 - lambda) mean_k expit((x - m_k) / s_k) + lambda B(x),    u = 2 F(x) - 1 in (-1, 1),

so the Jacobian of the scaling is its own density, and tails fall exponentially: a value of 1e30
has a finite log-density. A categorical column has the shares of its levels. A column of one value,
which says nothing of others, is one level to them.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import ClassVar

import numpy as np
from scipy.special import expit, logsumexp

from sktn.networks.linalg import within_floats
from sktn.tables.bins import NO_BINS, Bins, fit_bins, make_bins
from sktn.tables.statistics import fenced_moments, level_weights, quantiles

# Centres of a mixture; more would only resolve what the joint density is there for.
_CENTRES = 100

# Beyond this many widths a logistic density has left floating point.
_LARGEST = 1e300

# Rows that choose the widths: the error of a bandwidth falls with the tenth root of their number.
_ROWS_FOR_WIDTHS = 1000

# Widths that are compared, in units of Silverman's rule, and powers of the local spacing of the
# quantiles that they follow: 0 is one width for all, 1 follows it, as a skew column needs.
_WIDTHS = (0.35, 0.5, 0.7, 1.0, 1.4, 2.0)
_POWERS = (0.0, 0.5, 1.0)


@dataclass(frozen=True, eq=False)
class Levels:
    """A categorical column. shares (L,): of its levels, sum 1."""

    shares: np.ndarray

    def transform(self, column):
        """Codes, NaN for missing or unknown: (b,) -> (b,)"""
        known = (column >= 0) & (column < len(self.shares))
        known[known] = self.shares[column[known].astype(int)] > 0
        return np.where(known, column, np.nan)

    def invert(self, codes):
        """Codes as they are: (b,) -> (b,)"""
        return codes

    def log_density(self, column):
        """(b,) -> (b,), 0 for missing or unknown"""
        codes = self.transform(column)
        known, out = ~np.isnan(codes), np.zeros(len(codes))
        out[known] = np.log(self.shares[codes[known].astype(int)])
        return out


@dataclass(frozen=True, eq=False)
class Numeric:
    """A numeric column, in units z = (x - center) / scale.

    centres, widths (K,): m_k and s_k; bins: `Bins`, their total share is lambda; recorded (V,):
    what their values are in the table
    """

    center: float
    scale: float
    centres: np.ndarray
    widths: np.ndarray
    bins: Bins = NO_BINS
    recorded: np.ndarray = field(default_factory=lambda: np.zeros(1))
    shares: ClassVar = np.zeros(0)

    def transform(self, column):
        """u in (-1, 1), NaN for missing: (b,) -> (b,)"""
        return 2 * self._distribution(self._standardised(column)) - 1

    def log_density(self, column):
        """log f(x), 0 for missing: (b,) -> (b,)"""
        out, there = np.zeros(len(column)), ~np.isnan(column)
        z = self._standardised(column[there])
        logs = log_smooth(z, self.centres, self.widths)
        if self.bins.share > 0:
            with np.errstate(divide="ignore"):
                logs = np.logaddexp(np.log1p(-self.bins.share) + logs, np.log(self.bins.density(z)))
        out[there] = logs - np.log(self.scale)
        return out

    def invert(self, u):
        """x with 2 F(x) - 1 = u, or the value of its bin: (b,) in [-1, 1] -> (b,)"""
        margin = 40 * self.widths
        low = np.full(u.shape, (self.centres - margin).min())
        high = np.full(u.shape, (self.centres + margin).max())
        if len(u) > len(self.centres):
            # A table of F tells most of the bits.
            grid = np.linspace(low[0], high[0], 2**14)
            place = np.searchsorted(2 * self._distribution(grid) - 1, u).clip(1, len(grid) - 1)
            low, high = grid[place - 1], grid[place]
        for _ in range(70):
            middle = (low + high) / 2
            below = 2 * self._distribution(middle) - 1 < u
            low, high = np.where(below, middle, low), np.where(below, high, middle)
            if np.all(high - low <= 1e-13 * (1 + np.abs(low))):
                break
        z = (low + high) / 2
        place, inside = self.bins.nearest(z)
        return np.where(inside, self.recorded[place], self.original(z))

    def original(self, z):
        """x of z, the largest numbers in place of larger ones: (b,) -> (b,)"""
        with np.errstate(over="ignore"):
            return within_floats(self.center + self.scale * z)

    def interval(self, column):
        """u at both ends of the bin of a value, twice its own u where it is in none.

        (b,) -> (b,), (b,)
        """
        z = self._standardised(column)
        low, high = self.bins.edges_at(z)
        return 2 * self._distribution(low) - 1, 2 * self._distribution(high) - 1

    def spread(self, column, weight, rng):
        """As `transform`, with the values of a bin all over its interval of u: in random order,
        each in a part of it as large as its share of the bin's weight. (b,), (b,) -> (b,)"""
        low, high = self.interval(column)
        place, inside = self.bins.nearest(self._standardised(column))
        place = np.where(inside, place, -1)
        order = rng.permutation(len(column))
        order = order[np.argsort(place[order], kind="stable")]
        place, mass = place[order], weight[order]
        reached = np.concatenate([[0.0], np.cumsum(mass)])
        first, last = (reached[np.searchsorted(place, place, side)] for side in ("left", "right"))
        share = (reached[:-1] + mass * rng.random_sample(len(mass)) - first) / (last - first)
        u = np.empty(len(column))
        # Sums of weights are rounded.
        u[order] = low[order] + (high - low)[order] * share.clip(0, 1)
        return u

    def _distribution(self, z):
        block = max(1, 2**22 // len(self.centres))
        smooth = [
            expit((z[start : start + block, None] - self.centres) / self.widths).mean(axis=1)
            for start in range(0, len(z), block)
        ]
        smooth = np.concatenate(smooth) if smooth else np.zeros(0)
        return (1 - self.bins.share) * smooth + self.bins.distribution(z)

    def _standardised(self, column):
        with np.errstate(over="ignore"):
            # Halved, since the difference of two large numbers may not be finite.
            z = (column / 2 - self.center / 2) / self.scale * 2
        return np.clip(z, -_LARGEST * self.widths.min(), _LARGEST * self.widths.min())


@dataclass(frozen=True, eq=False)
class Constant:
    """A numeric column of one value, which is the only one that is drawn.

    density: `Numeric`, a bin around the value and the share of one row more around it for others
    """

    density: Numeric
    shares: ClassVar = np.ones(1)

    def transform(self, column):
        """The code 0, NaN for missing: (b,) -> (b,)"""
        return np.where(np.isnan(column), np.nan, 0.0)

    def log_density(self, column):
        """(b,) -> (b,), 0 for missing"""
        return self.density.log_density(column)

    def invert(self, codes):
        """The value: (b,) -> (b,)"""
        return np.full(len(codes), self.density.center)


@dataclass(frozen=True, eq=False)
class Empty:
    """A numeric column without any value, of which nothing is known: every entry counts as the one
    level that there is, so none is filled in."""

    shares: ClassVar = np.ones(1)

    def transform(self, column):
        """(b,) -> (b,)"""
        return np.zeros(len(column))

    def log_density(self, column):
        """(b,) -> (b,)"""
        return np.zeros(len(column))


@dataclass(frozen=True, eq=False)
class Margins:
    """Fitted by :func:`fit_margins`. columns: tuple of `Numeric`, `Levels`, `Constant` or `Empty`,
    one a column."""

    columns: tuple

    @property
    def n_sites(self):
        return len(self.columns)

    @property
    def shares(self):
        """Shares of the levels of every column, empty for a numeric one."""
        return tuple(column.shares for column in self.columns)

    def has_levels(self, i):
        return len(self.columns[i].shares) > 0

    def transform(self, X):
        """u for numeric columns, codes for categorical ones, NaN for missing or unknown: (b, n)"""
        return self._by_column(X, lambda margin, column: margin.transform(column))

    def log_density(self, X):
        """log f_i(x_i) of every value, 0 for missing or unknown ones: (b, n) -> (b, n)"""
        return self._by_column(X, lambda margin, column: margin.log_density(column))

    def invert(self, i, u):
        """x with 2 F_i(x) - 1 = u, or the code of a level: u (b,) in [-1, 1] -> (b,)"""
        return self.columns[i].invert(u)

    def spread(self, X, weight, rng):
        """As `transform`, with values of bins all over the interval of u that is theirs, so that a
        column's u is uniform however often its values repeat: (b, n), (b,) -> (b, n)"""
        out = self.transform(X)
        for i, margin in enumerate(self.columns):
            if isinstance(margin, Numeric) and margin.bins.share > 0:
                out[:, i] = margin.spread(X[:, i].astype(np.float64), weight, rng)
        return out

    def _by_column(self, X, function):
        out = np.empty(X.shape)
        for i, margin in enumerate(self.columns):
            out[:, i] = function(margin, X[:, i].astype(np.float64))
        return out


def log_smooth(z, centres, widths):
    """log mean_k expit'((z - m_k) / s_k) / s_k: z (b,), centres, widths (K,) -> (b,)"""
    out = np.empty(len(z))
    block = max(1, 2**22 // len(centres))
    for start in range(0, len(z), block):
        rows = slice(start, start + block)
        # log of expit' = -|t| - 2 log(1 + exp(-|t|)), without overflow.
        size = np.abs((z[rows, None] - centres) / widths)
        logs = -size - 2 * np.log1p(np.exp(-size)) - np.log(widths)
        out[rows] = logsumexp(logs, axis=1) - np.log(len(centres))
    return out


def fit_margins(X, weight, categorical=None, resolution=None):
    """Learn the reference density of every column.

    X (b, n) with NaN for missing, weight (b,) positive, counts of rows, categorical (n,) bool or
    None, resolution: width of bins in standard deviations, None for none -> Margins

    A column without spread has the scale 1 around its value.
    """
    columns = []
    for i in range(X.shape[1]):
        present = ~np.isnan(X[:, i])
        values, mass = X[present, i].astype(np.float64), weight[present]
        if categorical is not None and categorical[i]:
            count = level_weights(X[:, i], weight, 1)
            columns.append(Levels(count / count.sum() if count.any() else np.ones(1)))
        else:
            columns.append(fit_numeric(values, mass, resolution))
    return Margins(tuple(columns))


def fit_numeric(values, mass, resolution=None):
    """values, mass (b,) -> Numeric, Constant or Empty"""
    if len(values) == 0:
        return Empty()
    order = np.argsort(values, kind="stable")
    values, mass = values[order], mass[order]
    low, center, high = quantiles(values, mass, [0.25, 0.5, 0.75])
    _, scale = fenced_moments(values, mass)
    if not scale > 0:
        smooth = Numeric(float(center), 1.0, np.zeros(1), np.ones(1))
        if resolution is None:
            return smooth
        known = np.array([mass.sum() / (mass.sum() + 1)])
        return Constant(replace(smooth, bins=make_bins(np.zeros(1), known, resolution)))
    with np.errstate(over="ignore"):
        # Far outliers get a finite place.
        z = np.clip((values / 2 - center / 2) / scale * 2, -1e6, 1e6)
    half = high / 2 - low / 2
    # The interquartile range of a normal distribution is 1.34 deviations.
    spread = min(1.0, 2 * (half / scale) / 1.34) if half > 0 else 1.0
    # Silverman's rule in the logistic family.
    width = 0.9 * spread * max(mass.sum(), 1.0) ** -0.2 * np.sqrt(3) / np.pi
    factor, power = choose_widths(z, mass, width)
    smooth = Numeric(float(center), float(scale), *kernels(z, mass, factor * width, power))
    return smooth if resolution is None else _with_bins(smooth, values, z, mass, resolution)


def _with_bins(smooth, values, z, mass, resolution):
    """values (b,) sorted and the same as z (b,), mass (b,) -> Numeric"""
    distinct, first, index = np.unique(z, return_index=True, return_inverse=True)
    bins = fit_bins(
        distinct,
        np.bincount(index, weights=mass),
        resolution,
        smooth._distribution,
        lambda at: np.exp(log_smooth(at, smooth.centres, smooth.widths)),
    )
    # What was seen is drawn as it was; other points of a grid are round numbers again.
    recorded = np.array([float(f"{x:.12g}") for x in smooth.original(bins.values)])
    place = np.searchsorted(bins.values, distinct)
    seen = place < len(recorded)
    seen[seen] = bins.values[place[seen]] == distinct[seen]
    recorded[place[seen]] = values[first][seen]
    return replace(smooth, bins=bins, recorded=recorded)


def kernels(z, mass, width, power):
    """Centres at the quantiles and widths that follow their spacing to some power, of geometric
    mean `width`: z (b,) sorted -> (K,), (K,)"""
    centres = quantiles(z, mass, (np.arange(_CENTRES) + 0.5) / _CENTRES)
    if power == 0:
        return centres, np.full(_CENTRES, width)
    reach = _CENTRES // 20
    padded = np.pad(centres, reach, mode="edge")
    # One-sided at the ends, where half of the reach is missing.
    span = np.minimum(np.arange(_CENTRES) + reach, _CENTRES - 1) - np.maximum(
        np.arange(_CENTRES) - reach, 0
    )
    spacing = (padded[2 * reach :] - padded[: -2 * reach]) / span
    # Where values repeat the spacing is 0, and without end beside an outlier.
    local = np.clip(spacing / np.median(spacing) if np.median(spacing) > 0 else 1, 0.1, 100)
    local = np.broadcast_to(local, centres.shape) ** power
    return centres, width * local / np.exp(np.mean(np.log(local)))


def choose_widths(z, mass, width):
    """Factor and power of the largest likelihood in two folds: z (b,) sorted, mass (b,)

    What is compared is the probability between the midpoints of neighbouring values: the density
    times their distance, which repeated values do not tempt to widths of 0.
    """
    rng = np.random.RandomState(0)
    if len(z) > _ROWS_FOR_WIDTHS:
        rows = np.sort(rng.permutation(len(z))[:_ROWS_FOR_WIDTHS])
        z, mass = z[rows], mass[rows]
    fold = rng.permutation(len(z)) % 2
    distinct = np.unique(z)
    if len(distinct) < 3 or min(np.bincount(fold, minlength=2)) < 3:
        return 1.0, 0.0
    edges = np.concatenate([[-np.inf], (distinct[1:] + distinct[:-1]) / 2, [np.inf]])
    place = np.searchsorted(distinct, z)
    scores = np.zeros((len(_WIDTHS), len(_POWERS)))
    for held_out in range(2):
        train = fold != held_out
        for a, factor in enumerate(_WIDTHS):
            for b, power in enumerate(_POWERS):
                centres, widths = kernels(z[train], mass[train], factor * width, power)
                F = expit((edges[:, None] - centres) / widths).mean(axis=1)
                logs = np.log(np.maximum(np.diff(F), np.finfo(float).tiny))
                scores[a, b] += mass[~train] @ logs[place[~train]]
    a, b = np.unravel_index(np.argmax(scores), scores.shape)
    return _WIDTHS[a], _POWERS[b]
