"""Densities of the single columns: an operator of bond dimension 1."""

from dataclasses import dataclass, replace

import numpy as np

from sktn.solvers import kernel_bandwidth
from sktn.tables.coordinates import Coordinates

# Quantiles that a marginal density is made of, and points at which it is tabulated; between them it
# is interpolated. A neighbourhood holds a tenth of them.
_GRID = 256

# Quantiles that find the width of a neighbourhood, which is as wide as several of them.
_COARSE = 64

# The table goes on for this many bandwidths beyond the values seen.
_MARGIN = 3.0


@dataclass(frozen=True, eq=False)
class MarginalOperator:
    """The product of the densities of the columns, up to a constant.

    Attributes
    ----------
    coordinates : Coordinates
    grid, density : ndarray of shape (n, g)
        Relative to the highest value that a density of this bandwidth can have.
    bandwidth : ndarray of shape (n,)
    background : ndarray of shape (n,)
        Density that any value has in addition, in the same units: a single column then says no more
        than that its value is news.
    total : float
        Sum of the weights of all rows seen.
    missing : ndarray of shape (n,)
        Mean log density, which a missing value counts as.
    """

    coordinates: Coordinates
    grid: np.ndarray
    density: np.ndarray
    bandwidth: np.ndarray
    background: np.ndarray
    total: float
    missing: np.ndarray

    def log_norms(self, X):
        """sum_i log p_i(x_i): X (b, n_columns) -> (b,)"""
        return self.log_norms_at(self.coordinates.transform(X))

    def log_norms_at(self, x):
        """`log_norms` of coordinates x (b, n) -> (b,)"""
        return self._by_columns(x).sum(axis=1)

    def log_norms_without(self, X, j):
        """`log_norms` if column j were missing: X (b, n_columns) -> (b,)"""
        hidden = X.copy()
        hidden[:, j] = np.nan
        return self.log_norms(hidden)

    def transform(self, X):
        """The log density of every coordinate: X (b, n_columns) -> (b, n)"""
        return self._by_columns(self.coordinates.transform(X))

    def scores(self, log_norms):
        """(b,) -> (b,)"""
        return log_norms

    def held_out(self, x, weight):
        """`log_norms` of training coordinates as if each row had been left out. Among many columns
        there is often one whose largest value it has. -> (b,)"""
        own = np.minimum(weight, 1.0)[:, None]
        shares = own / np.maximum(weight @ ~np.isnan(x), own)
        return self._by_columns(x, shares).sum(axis=1)

    def updated(self, x, weight):
        """The operator that has seen more rows: x (b, n), weight (b,) -> MarginalOperator"""
        mass = float(weight.sum())
        old = self.total / (self.total + mass)
        grid, density, missing = self.grid.copy(), self.density.copy(), self.missing.copy()
        for i in range(x.shape[1]):
            known = ~np.isnan(x[:, i])
            if not known.any():
                continue
            values, w = _quantiles(x[known, i], weight[known])
            h = self.bandwidth[i]
            grid[i] = _reaching(self.grid[i], values[0], values[-1], h)
            before = np.interp(grid[i], self.grid[i], self.density[i], left=0.0, right=0.0)
            density[i] = old * before + (1 - old) * _smooth(grid[i], values, w, h)
            logs = _log_density(values, grid[i], density[i], h, self.background[i])
            missing[i] = old * missing[i] + (1 - old) * (w @ logs)
        return replace(self, grid=grid, density=density, total=self.total + mass, missing=missing)

    def _by_columns(self, x, own=None):
        """x (b, n), own (b, n) shares of the densities that are a row's own, or None -> (b, n)"""
        gaps = np.isnan(x)
        out = np.where(gaps, 0.0, x)
        columns = zip(self.grid, self.density, self.bandwidth, self.background, strict=True)
        for i, column in enumerate(columns):
            out[:, i] = _log_density(out[:, i], *column, None if own is None else own[:, i])
        return np.where(gaps, self.missing, out)


def fit_marginals(x, weight, coordinates, share, background=0.0):
    """Densities of the columns, so wide that a neighbourhood holds a share of the rows.

    x (b, n), weight (b,), share of the rows, share of the rows that may have any value of the range
    -> MarginalOperator
    """
    n = x.shape[1]
    grid, density = np.empty((n, _GRID)), np.empty((n, _GRID))
    bandwidth, missing, floor = np.ones(n), np.zeros(n), np.zeros(n)
    for i in range(n):
        known = ~np.isnan(x[:, i])
        if not known.any():
            grid[i], density[i] = np.linspace(-_MARGIN, _MARGIN, _GRID), 1.0
            continue
        few, share_of = _quantiles(x[known, i], weight[known], _COARSE)
        h = kernel_bandwidth.choose_wide_bandwidth(
            few[:, None], share_of * np.count_nonzero(known), None, None, share
        )
        values, mass = _quantiles(x[known, i], weight[known])
        low, high = values[0] - _MARGIN * h, values[-1] + _MARGIN * h
        grid[i], bandwidth[i] = np.linspace(low, high, _GRID), h
        density[i] = _smooth(grid[i], values, mass, h)
        floor[i] = background / (1 - background) * np.sqrt(2 * np.pi) * h / (high - low)
        missing[i] = mass @ _log_density(values, grid[i], density[i], h, floor[i])
    return MarginalOperator(
        coordinates, grid, density, bandwidth, floor, float(weight.sum()), missing
    )


def _log_density(values, grid, density, bandwidth, background, own=None):
    """Logarithms between the points of the grid, and the tails of a kernel beyond; without the
    shares that are the rows' own: (b,) -> (b,)"""
    tiny = np.finfo(np.float64).tiny
    within = np.clip(values, grid[0], grid[-1])
    beyond = (values - within) / bandwidth
    logs = np.interp(within, grid, np.log(np.maximum(density, tiny))) - beyond**2 / 2
    if own is not None:
        every = np.exp(logs)
        others = (every - own) / np.maximum(1 - own, 1e-9)
        # Another row is at most as far away as the table goes on.
        logs = np.log(np.clip(others, own * np.exp(-(_MARGIN**2) / 2), np.maximum(every, tiny)))
    return np.logaddexp(logs, np.log(background)) if background > 0 else logs


def _smooth(grid, values, mass, bandwidth):
    """Gaussian kernels of height 1 on values of some mass: (g,), (b,), (b,) -> (g,)"""
    return np.exp(-0.5 * ((grid[:, None] - values) / bandwidth) ** 2) @ mass


def _reaching(grid, low, high, bandwidth):
    """As many points that reach these values too, but are no further apart than half a bandwidth:
    what is beyond them is in the tail. -> (g,)"""
    margin, most = _MARGIN * bandwidth, bandwidth / 2 * (len(grid) - 1)
    spare = max(0.0, most - (grid[-1] - grid[0])) / 2
    first = max(min(grid[0], low - margin), grid[0] - spare)
    last = min(max(grid[-1], high + margin), grid[-1] + spare)
    return np.linspace(first, last, len(grid))


def _quantiles(values, weight, most=_GRID):
    """At most so many values and their shares, equal values as one: (b,), (b,) -> (q,), (q,)"""
    levels, index = np.unique(values, return_inverse=True)
    mass = np.bincount(index, weights=weight)
    mass = mass / mass.sum()
    if len(levels) > most:
        bins = np.minimum((np.cumsum(mass) - mass / 2) * most, most - 1).astype(int)
        total = np.bincount(bins, weights=mass)
        means = np.bincount(bins, weights=mass * levels)[total > 0] / total[total > 0]
        # The ends as they are: what lies beyond them is what has not been seen.
        means[0], means[-1] = levels[0], levels[-1]
        levels, mass = means, total[total > 0]
    return levels, mass
