"""Closed-form operators of an anomaly detector: table -> coordinates -> diagonal network."""

from dataclasses import dataclass, replace
from numbers import Integral, Real

import numpy as np
from sklearn.base import BaseEstimator
from sklearn.utils._param_validation import Interval, StrOptions

from sktn.anomaly.base import Solution
from sktn.networks import product_sum
from sktn.solvers import kernel_novelty
from sktn.tables.coordinates import Coordinates, fit_coordinates

# Landmark rows where the user names no bond dimension.
_LANDMARKS = 1500

# Bandwidths are chosen on at most this many rows.
_SELECTION_ROWS = 1000


class _ClosedForm(BaseEstimator):
    """What the two closed forms share: landmarks, bandwidths, exact updates."""

    def solve(self, rows, rng, n_members):
        """Operators with the same coordinates, one for every set of landmarks and bandwidth.

        rows Rows -> Solution
        """
        coordinates = fit_coordinates(rows.X, rows.weight, rows.categorical)
        x = coordinates.transform(rows.X)
        size = self.bond_dim or _LANDMARKS
        if len(x) <= size:
            # Every row is a landmark: repetitions would only repeat.
            n_members = 1
        widths = np.array([self.bandwidth])
        if isinstance(self.bandwidth, str):
            widths = self._choose_widths(*_selection(x, rows.weight, rng), coordinates)
        operators, held_out = [], []
        for _ in range(n_members):
            landmarks = kernel_novelty.choose_landmarks(x, rows.weight, size, rng)
            for width in widths * np.sqrt(x.shape[1]):
                moments = kernel_novelty.start_moments(
                    landmarks, width, coordinates.mean, coordinates.variance
                )
                moments = kernel_novelty.add_rows(moments, x, rows.weight)
                operator = self._operator(coordinates, moments, rows.weight.sum())
                operators.append(operator)
                held_out.append(operator.held_out(x, rows.weight))
        return Solution(operators, np.array(held_out), {"bandwidths_": widths, "n_iter_": 1})

    def update(self, operators, rows, rng, stream):
        """Add rows to the moments, exact up to directions dropped as empty: -> operators, stream"""
        updated = []
        for operator in operators:
            x = operator.coordinates.transform(rows.X)
            moments = kernel_novelty.add_rows(operator.moments(), x, rows.weight)
            total = operator.total + rows.weight.sum()
            updated.append(self._operator(operator.coordinates, moments, total))
        return updated, stream


class Projector(_ClosedForm):
    """The complement of the leading subspace of the training states, with a soft edge [1]_.

    States live in a Gaussian product kernel; the operator has diagonal cores, and its bond
    dimension is the number of landmark rows.

    Parameters
    ----------
    bandwidth : float or "auto", default="auto"
        Width of the kernel in units of sqrt(n_features) standard deviations. "auto": two operators,
        a fine one and a coarse one, at the widths at which held-out training rows have a mean
        novelty of 30 % and of 3 %.
    ridge : float, default=0.01
        Directions with less than this many rows' worth of training states count as empty.
    bond_dim : int, default=None
        Number of landmark rows; None: at most 1500.
    output_dim : int, default=None
        Dimension of the output leg; None: as many as the training states span.

    References
    ----------
    .. [1] H. Hoffmann, "Kernel PCA for novelty detection", Pattern Recognition 40 (2007) 863-874.
    """

    _parameter_constraints: dict = {
        "bandwidth": [Interval(Real, 0, None, closed="neither"), StrOptions({"auto"})],
        "ridge": [Interval(Real, 0, None, closed="neither")],
        "bond_dim": [Interval(Integral, 1, None, closed="left"), None],
        "output_dim": [Interval(Integral, 1, None, closed="left"), None],
    }

    def __init__(self, *, bandwidth="auto", ridge=0.01, bond_dim=None, output_dim=None):
        self.bandwidth = bandwidth
        self.ridge = ridge
        self.bond_dim = bond_dim
        self.output_dim = output_dim

    def _choose_widths(self, x, weight, coordinates):
        return kernel_novelty.choose_bandwidths(
            x, weight, coordinates.mean, coordinates.variance, self.ridge
        )

    def _operator(self, coordinates, moments, total):
        network, spectrum = kernel_novelty.projector(moments, self.ridge, self.output_dim)
        return ProjectorOperator(
            coordinates, network, spectrum, moments.mass, float(total), self.ridge
        )


class MeanState(_ClosedForm):
    """The mean of the training states: a kernel density estimate as a network.

    Parameters
    ----------
    bandwidth : float or "auto", default="auto"
        Width of the kernel in units of sqrt(n_features) standard deviations. "auto": that of the
        largest held-out likelihood.
    bond_dim : int, default=None
        Number of landmark rows; None: at most 1500.
    """

    _parameter_constraints: dict = {
        "bandwidth": Projector._parameter_constraints["bandwidth"],
        "bond_dim": Projector._parameter_constraints["bond_dim"],
    }

    def __init__(self, *, bandwidth="auto", bond_dim=None):
        self.bandwidth = bandwidth
        self.bond_dim = bond_dim

    def _choose_widths(self, x, weight, coordinates):
        return kernel_novelty.choose_density_bandwidth(
            x, weight, coordinates.mean, coordinates.variance
        )

    def _operator(self, coordinates, moments, total):
        return MeanStateOperator(coordinates, kernel_novelty.mean_state(moments), float(total))


class _KernelOperator:
    """What a closed-form operator does with tables; subclasses say what with coordinates."""

    def log_norms(self, X):
        """log ||P Phi(x)||^2: X (b, n_columns) -> (b,)"""
        return self._log_norms(self.coordinates.transform(X))

    def log_norms_without(self, X, j):
        """`log_norms` if column j were missing: X (b, n_columns) -> (b,)"""
        hidden = X.copy()
        hidden[:, j] = np.nan
        return self._log_norms(self.coordinates.transform(hidden), self.coordinates.transform(X))

    def transform(self, X):
        """Q Phi(x): X (b, n_columns) -> (b, r)"""
        return product_sum.outputs(self.network, self.coordinates.transform(X))


@dataclass(frozen=True, eq=False)
class ProjectorOperator(_KernelOperator):
    """P^2 = 1 - Q^T Q.

    Attributes
    ----------
    coordinates : Coordinates
    network : DiagonalNetwork
        Q, whose outputs are the kernel principal components of a row.
    spectrum : ndarray of shape (r,)
        Eigenvalues of the second moment of the training states that Q keeps.
    mass : ndarray of shape (m,)
        Weight of the rows nearest to each landmark.
    total : float
        Sum of the weights of all rows seen.
    ridge : float
    """

    coordinates: Coordinates
    network: product_sum.DiagonalNetwork
    spectrum: np.ndarray
    mass: np.ndarray
    total: float
    ridge: float

    def scores(self, log_norms):
        """A projector annihilates typical rows: (b,) -> (b,)"""
        return -log_norms

    def held_out(self, x, weight):
        """`log_norms` of training coordinates as if each row had been left out: -> (b,)"""
        return np.log(
            kernel_novelty.held_out_novelty(self.network, self.spectrum, self.ridge, x, weight)
        )

    def moments(self):
        """The moments that the operator was made of: -> Moments"""
        moments = kernel_novelty.restore(self.network, self.spectrum, self.ridge)
        return replace(moments, mass=self.mass)

    def _log_norms(self, x, own=None):
        return np.log(kernel_novelty.novelty(self.network, self.spectrum, self.ridge, x, own))


@dataclass(frozen=True, eq=False)
class MeanStateOperator(_KernelOperator):
    """<mean state|, a row vector: the norm is the overlap with it.

    Attributes
    ----------
    coordinates : Coordinates
    network : DiagonalNetwork
    total : float
        Sum of the weights of all rows seen.
    """

    coordinates: Coordinates
    network: product_sum.DiagonalNetwork
    total: float

    def scores(self, log_norms):
        """(b,) -> (b,)"""
        return log_norms

    def held_out(self, x, weight):
        """`log_norms` of training coordinates as if each row had been left out: -> (b,)"""
        return kernel_novelty.held_out_log_density(self.network, self.total, x, weight)

    def moments(self):
        """The moments that the operator was made of: -> Moments"""
        network = self.network
        start = kernel_novelty.start_moments(
            network.landmarks, network.bandwidth, network.mean, network.variance
        )
        return replace(start, mass=network.readout[:, 0] * self.total)

    def _log_norms(self, x, own=None):
        return kernel_novelty.log_density(self.network, self.total, x, own)


def _selection(x, weight, rng):
    if len(x) <= _SELECTION_ROWS:
        return x, weight
    rows = np.sort(rng.choice(len(x), _SELECTION_ROWS, False, weight / weight.sum()))
    return x[rows], weight[rows]
