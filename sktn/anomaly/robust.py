"""Looks for training rows of which a share is strange: nothing that a clump of them can bend."""

from dataclasses import dataclass
from numbers import Real

import numpy as np
from sklearn.utils._param_validation import Interval

from sktn.anomaly.base import Solution
from sktn.anomaly.closed_form import ClosedForm, Projector, fit_mean_state, select_rows
from sktn.anomaly.units import coordinates_of
from sktn.solvers import kernel_novelty
from sktn.tables.coordinates import Coordinates

# Rows that bandwidths and marginal densities are made of: a tenth of them is a neighbourhood, and
# its share is known to a tenth of itself.
_ROWS = 1000

# Points at which the density of a column is tabulated; between them it is interpolated.
_GRID = 256

# The table goes on for this many bandwidths beyond the values seen.
_MARGIN = 3.0


class RobustLooks(ClosedForm):
    """For training rows of which a share is anomalous, and nobody knows which.

    A fine look at such rows finds clumps of anomalies typical, since they are close to each other.
    Two looks do not: a density so wide that the neighbourhood of a row holds more rows than a clump
    of anomalies does, as isolation forests and distances between few rows do, and the densities of
    the single columns, an operator of bond dimension 1. Logarithms of the shares of rows that score
    as low are averaged.

    Parameters
    ----------
    neighbourhood : float, default=0.1
        Share of the rows in a neighbourhood: more than the largest clump of anomalies. Anomalies
        that are apart from each other may be many more.
    bond_dim : int, default=None
        Number of landmark rows of the density; None: at most 5000.
    scaling : {"auto", "standard", "common"}, default="auto"
        As in :class:`Projector`.

    Examples
    --------
    >>> from sklearn.datasets import load_iris
    >>> from sktn import SMPOAnomalyDetector
    >>> from sktn.anomaly import RobustLooks
    >>> X = load_iris().data
    >>> detector = SMPOAnomalyDetector(operator=RobustLooks(), random_state=0).fit(X[:50])
    >>> bool(detector.score_samples(X[:50]).mean() > detector.score_samples(X[50:]).mean())
    True
    """

    _parameter_constraints: dict = {
        "neighbourhood": [Interval(Real, 0, 1, closed="neither")],
        "bond_dim": Projector._parameter_constraints["bond_dim"],
        "scaling": Projector._parameter_constraints["scaling"],
    }

    def __init__(self, *, neighbourhood=0.1, bond_dim=None, scaling="auto"):
        self.neighbourhood = neighbourhood
        self.bond_dim = bond_dim
        self.scaling = scaling

    def solve(self, rows, rng, n_members):
        """One operator of either kind: rows Rows -> Solution"""
        coordinates = coordinates_of(rows, self.scaling)
        x = coordinates.transform(rows.X)
        some, weight = select_rows(x, rows.weight, rng, _ROWS)
        width = kernel_novelty.choose_wide_bandwidth(
            some, weight, coordinates.mean, coordinates.variance, self.neighbourhood
        )
        density = fit_mean_state(
            x, rows.weight, rng, coordinates, (self.bond_dim or 5 * _ROWS, width)
        )
        marginals = _fit_marginals(some, weight, coordinates, self.neighbourhood)
        operators = [density, marginals]
        held_out = np.array([operator.held_out(x, rows.weight) for operator in operators])
        summary = {"n_iter_": 1, "bandwidths_": np.array([width])}
        # One group: shares are averaged.
        return Solution(operators, held_out, np.zeros(2, int), summary)


@dataclass(frozen=True, eq=False)
class MarginalOperator:
    """The product of the densities of the columns, up to a constant.

    Attributes
    ----------
    coordinates : Coordinates
    grid, log_density : ndarray of shape (n, g)
    bandwidth : ndarray of shape (n,)
    missing : ndarray of shape (n,)
        Mean log density, which a missing value counts as.
    """

    coordinates: Coordinates
    grid: np.ndarray
    log_density: np.ndarray
    bandwidth: np.ndarray
    missing: np.ndarray

    def log_norms(self, X):
        """sum_i log p_i(x_i): X (b, n_columns) -> (b,)"""
        return self._by_columns(self.coordinates.transform(X)).sum(axis=1)

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
        """`log_norms` of training coordinates. A row is one of many in its neighbourhood: leaving
        it out changes nothing to speak of. -> (b,)"""
        return self._by_columns(x).sum(axis=1)

    def updated(self, x, weight):
        """Wide densities of a representative first batch stay as they are: -> MarginalOperator"""
        return self

    def _by_columns(self, x):
        out = np.empty(x.shape)
        for i, (grid, logs) in enumerate(zip(self.grid, self.log_density, strict=True)):
            within = np.clip(x[:, i], grid[0], grid[-1])
            beyond = (x[:, i] - within) / self.bandwidth[i]
            out[:, i] = np.interp(within, grid, logs) - beyond**2 / 2
        return np.where(np.isnan(x), self.missing, out)


def _fit_marginals(x, weight, coordinates, share):
    n = x.shape[1]
    grid, logs = np.empty((n, _GRID)), np.empty((n, _GRID))
    bandwidth, missing = np.ones(n), np.zeros(n)
    for i in range(n):
        known = ~np.isnan(x[:, i])
        if not known.any():
            grid[i], logs[i] = np.linspace(-_MARGIN, _MARGIN, _GRID), 0.0
            continue
        values, mass = x[known, i], weight[known] / weight[known].sum()
        h = kernel_novelty.choose_wide_bandwidth(values[:, None], mass, None, None, share)
        low, high = values.min() - _MARGIN * h, values.max() + _MARGIN * h
        grid[i], bandwidth[i] = np.linspace(low, high, _GRID), h
        kernel = np.exp(-0.5 * ((grid[i][:, None] - values) / h) ** 2)
        logs[i] = np.log(np.maximum(kernel @ mass, np.finfo(np.float64).tiny))
        missing[i] = mass @ np.interp(values, grid[i], logs[i])
    return MarginalOperator(coordinates, grid, logs, bandwidth, missing)
