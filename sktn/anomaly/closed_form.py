"""The closed-form operator of an anomaly detector: table -> coordinates -> diagonal network."""

from dataclasses import dataclass, replace

import numpy as np

from sktn.networks import product_sum
from sktn.solvers import kernel_novelty
from sktn.tables.coordinates import Coordinates, fit_coordinates

# Landmark rows where the user names no bond dimension.
_LANDMARKS = 1500

# Bandwidths are chosen on at most this many rows.
_SELECTION_ROWS = 1000


@dataclass(frozen=True, eq=False)
class KernelOperator:
    """P^2 = 1 - Q^T Q, and the mean state beside it.

    Attributes
    ----------
    coordinates : Coordinates
    projector : DiagonalNetwork
        Q.
    spectrum : ndarray of shape (r,)
        Eigenvalues of the second moment of the training states that Q keeps.
    mean_state : DiagonalNetwork
    total : float
        Sum of the weights of all rows seen.
    ridge : float
    density : bool
        Whether the score is the overlap with the mean state.
    """

    coordinates: Coordinates
    projector: product_sum.DiagonalNetwork
    spectrum: np.ndarray
    mean_state: product_sum.DiagonalNetwork
    total: float
    ridge: float
    density: bool

    def log_norms(self, X):
        """log ||P Phi(x)||^2, or log <mean state, Phi(x)>: X (b, n_columns) -> (b,)"""
        return self._log_norms(self.coordinates.transform(X))

    def log_norms_without(self, X, j):
        """`log_norms` if column j were missing: X (b, n_columns) -> (b,)"""
        x = self.coordinates.transform(X)
        hidden = X.copy()
        hidden[:, j] = np.nan
        return self._log_norms(self.coordinates.transform(hidden), x)

    def _log_norms(self, x, own=None):
        if self.density:
            return kernel_novelty.log_density(self.mean_state, self.total, x, own)
        return np.log(kernel_novelty.novelty(self.projector, self.spectrum, self.ridge, x, own))

    def transform(self, X):
        """Q Phi(x), the kernel principal components of a row: X (b, n_columns) -> (b, r)"""
        network = self.mean_state if self.density else self.projector
        return product_sum.outputs(network, self.coordinates.transform(X))


def fit(X, weight, rng, *, categorical, bond_dim, output_dim, bandwidth, ridge, density, members):
    """Operators with the same coordinates, one for every set of landmarks and every bandwidth.

    X (b, n_columns) distinct rows, weight (b,) positive -> list of KernelOperator, their log norms
    on the training rows as if each had been held out (k, b), bandwidths in units of sqrt(n)
    """
    coordinates = fit_coordinates(X, weight, categorical)
    x = coordinates.transform(X)
    size = bond_dim or _LANDMARKS
    if len(x) <= size:
        # Every row is a landmark: repetitions would only repeat.
        members = 1
    widths = np.array([bandwidth])
    if bandwidth == "auto":
        widths = _select(x, weight, rng, coordinates, ridge, density)
    operators, held_out = [], []
    for _ in range(members):
        landmarks = kernel_novelty.choose_landmarks(x, weight, size, rng)
        for width in widths * np.sqrt(x.shape[1]):
            moments = kernel_novelty.start_moments(
                landmarks, width, coordinates.mean, coordinates.variance
            )
            moments = kernel_novelty.add_rows(moments, x, weight)
            operator, values = _operator(
                coordinates, moments, weight.sum(), ridge, output_dim, density, x, weight
            )
            operators.append(operator)
            held_out.append(values)
    return operators, np.array(held_out), widths


def update(operator, X, weight):
    """The operator that has seen more rows, exact up to directions it had dropped as empty.

    X (b, n_columns), weight (b,) -> KernelOperator
    """
    x = operator.coordinates.transform(X)
    old = operator.projector
    moments = kernel_novelty.restore(old, operator.spectrum, operator.ridge)
    mass = operator.mean_state.readout[:, 0] * operator.total
    moments = kernel_novelty.add_rows(replace(moments, mass=mass), x, weight)
    return _operator(
        operator.coordinates,
        moments,
        operator.total + weight.sum(),
        operator.ridge,
        old.output_dim,
        operator.density,
        x,
        weight,
    )[0]


def _operator(coordinates, moments, total, ridge, output_dim, density, x, weight):
    Q, spectrum = kernel_novelty.projector(moments, ridge, output_dim)
    state = kernel_novelty.mean_state(moments)
    if density:
        held_out = kernel_novelty.held_out_log_density(state, total, x, weight)
    else:
        held_out = np.log(kernel_novelty.held_out_novelty(Q, spectrum, ridge, x, weight))
    return KernelOperator(coordinates, Q, spectrum, state, float(total), ridge, density), held_out


def _select(x, weight, rng, coordinates, ridge, density):
    if len(x) > _SELECTION_ROWS:
        rows = np.sort(rng.choice(len(x), _SELECTION_ROWS, False, weight / weight.sum()))
        x, weight = x[rows], weight[rows]
    if density:
        return kernel_novelty.choose_density_bandwidth(
            x, weight, coordinates.mean, coordinates.variance
        )
    return kernel_novelty.choose_bandwidths(
        x, weight, coordinates.mean, coordinates.variance, ridge
    )
