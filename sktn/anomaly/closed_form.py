"""Closed-form operators of an anomaly detector: table -> coordinates -> diagonal network."""

from dataclasses import dataclass, replace
from numbers import Integral, Real

import numpy as np
from sklearn.base import BaseEstimator
from sklearn.utils._param_validation import Interval, StrOptions

from sktn.anomaly.base import Solution
from sktn.anomaly.units import SCALINGS, coordinates_of
from sktn.networks import product_sum
from sktn.solvers import kernel_bandwidth, kernel_novelty
from sktn.tables.coordinates import Coordinates

# Landmark rows where the user names no bond dimension: fits and scores cost their square.
LANDMARKS = 800

# A density is a single sum over its landmarks, and gains from all of them.
DENSITY_LANDMARKS = 5000

# Mean novelties of held-out rows that choose the widths: one fine look at the data, one coarse.
FINE, COARSE = 0.3, 0.03

# Bandwidths are chosen on at most this many rows. That of a density depends on their number.
_SELECTION_ROWS, _DENSITY_SELECTION_ROWS = 500, 1000


class ClosedForm(BaseEstimator):
    """What closed forms share: coordinates, exact updates.

    Subclasses have `_looks`, which chooses widths and returns a function () -> pairs of an operator
    and its `held_out` of the training rows.
    """

    def suspicion(self, rows, rng):
        """How typical the training rows are if some of them are strange, (b,), or None for as
        typical as if each had been held out: rows Rows"""
        return None

    def solve(self, rows, rng, n_members):
        """Operators with the same coordinates, one for every set of landmarks and look.

        rows Rows -> Solution
        """
        coordinates = coordinates_of(rows, self.scaling)
        x = coordinates.transform(rows.X)
        if len(x) <= self._size:
            # Every row is a landmark: repetitions would only repeat.
            n_members = 1
        looks = self._looks(x, rows.weight, rng, coordinates)
        found = [look for _ in range(n_members) for look in looks()]
        operators, held_out = (list(each) for each in zip(*found, strict=True))
        n_looks = len(found) // n_members
        widths = [P.width for P in operators[:n_looks] if isinstance(P, KernelOperator)]
        summary = {"n_iter_": 1, "bandwidths_": np.array(widths)}
        groups = np.tile(np.arange(n_looks), n_members)
        return Solution(operators, np.array(held_out), groups, summary)

    def update(self, operators, rows, rng, stream):
        """Add rows to the moments, exact up to directions dropped as empty: -> operators, stream"""
        x = operators[0].coordinates.transform(rows.X)
        return [operator.updated(x, rows.weight) for operator in operators], stream


class Projector(ClosedForm):
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
        Number of landmark rows; None: at most 800.
    output_dim : int, default=None
        Dimension of the output leg; None: as many as the training states span.
    scaling : {"auto", "standard", "common"}, default="auto"
        "standard": every column by its own standard deviation. "common": one scale for all, for
        columns of one unit such as pixels and spectra. "auto": "common" where sixteen or more
        columns begin and end at the same values, else "standard".

    References
    ----------
    .. [1] H. Hoffmann, "Kernel PCA for novelty detection", Pattern Recognition 40 (2007) 863-874.

    Examples
    --------
    >>> from sklearn.datasets import load_iris
    >>> from sktn import SMPOAnomalyDetector
    >>> from sktn.anomaly import Projector
    >>> X = load_iris().data
    >>> detector = SMPOAnomalyDetector(operator=Projector(), random_state=0).fit(X[:50])
    >>> bool(detector.score_samples(X[:50]).mean() > detector.score_samples(X[50:]).mean())
    True
    """

    _parameter_constraints: dict = {
        "bandwidth": [Interval(Real, 0, None, closed="neither"), StrOptions({"auto"})],
        "ridge": [Interval(Real, 0, None, closed="neither")],
        "bond_dim": [Interval(Integral, 1, None, closed="left"), None],
        "output_dim": [Interval(Integral, 1, None, closed="left"), None],
        "scaling": [StrOptions(set(SCALINGS))],
    }

    def __init__(
        self, *, bandwidth="auto", ridge=0.01, bond_dim=None, output_dim=None, scaling="auto"
    ):
        self.bandwidth = bandwidth
        self.ridge = ridge
        self.bond_dim = bond_dim
        self.output_dim = output_dim
        self.scaling = scaling

    @property
    def _size(self):
        return self.bond_dim or LANDMARKS

    def _looks(self, x, weight, rng, coordinates):
        widths = [self.bandwidth]
        if isinstance(self.bandwidth, str):
            widths = choose_widths(x, weight, rng, coordinates, self.ridge, (FINE, COARSE))

        def looks():
            for width in widths:
                projector = fit_projector(x, weight, rng, coordinates, (self, width))
                yield projector, projector.held_out(x, weight)

        return looks


class MeanState(ClosedForm):
    """The mean of the training states: a kernel density estimate as a network.

    Parameters
    ----------
    bandwidth : float or "auto", default="auto"
        Width of the kernel in units of sqrt(n_features) standard deviations. "auto": that of the
        largest held-out likelihood.
    bond_dim : int, default=None
        Number of landmark rows; None: at most 5000.
    scaling : {"auto", "standard", "common"}, default="auto"
        As in :class:`Projector`.

    Examples
    --------
    >>> from sklearn.datasets import load_iris
    >>> from sktn import SMPOAnomalyDetector
    >>> from sktn.anomaly import MeanState
    >>> X = load_iris().data
    >>> detector = SMPOAnomalyDetector(operator=MeanState(), random_state=0).fit(X[:50])
    >>> bool(detector.score_samples(X[:50]).mean() > detector.score_samples(X[50:]).mean())
    True
    """

    _parameter_constraints: dict = {
        name: Projector._parameter_constraints[name]
        for name in ("bandwidth", "bond_dim", "scaling")
    }

    def __init__(self, *, bandwidth="auto", bond_dim=None, scaling="auto"):
        self.bandwidth = bandwidth
        self.bond_dim = bond_dim
        self.scaling = scaling

    @property
    def _size(self):
        return self.bond_dim or DENSITY_LANDMARKS

    def _looks(self, x, weight, rng, coordinates):
        width = self.bandwidth
        if isinstance(width, str):
            width = choose_density_width(x, weight, rng, coordinates)

        def looks():
            density = fit_mean_state(x, weight, rng, coordinates, (self._size, width))
            yield density, density.held_out(x, weight)

        return looks


class KernelOperator:
    """What a closed-form operator does with tables; subclasses say what with coordinates."""

    @property
    def width(self):
        """Bandwidth in units of sqrt(n)."""
        return self.network.bandwidth / np.sqrt(self.network.landmarks.shape[1])

    def log_norms(self, X):
        """log ||P Phi(x)||^2: X (b, n_columns) -> (b,)"""
        return self.log_norms_at(self.coordinates.transform(X))

    def log_norms_without(self, X, j):
        """`log_norms` if column j were missing: X (b, n_columns) -> (b,)"""
        hidden = X.copy()
        hidden[:, j] = np.nan
        return self.log_norms_at(self.coordinates.transform(hidden), self.coordinates.transform(X))

    def transform(self, X):
        """Q Phi(x): X (b, n_columns) -> (b, r)"""
        return product_sum.by_rows(product_sum.outputs, self.network, self.coordinates.transform(X))

    def scores(self, log_norms):
        """A projector annihilates typical rows: (b,) -> (b,)"""
        return -log_norms


@dataclass(frozen=True, eq=False)
class ProjectorOperator(KernelOperator):
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
    own : ndarray of shape (m,)
        Weight of the rows that are landmarks.
    lacking : ndarray of shape (m,)
        Novelty that landmarks lack even if left out, see `kernel_novelty.lacking_novelty`.
    ridge : float
    output_dim : int or None
    """

    coordinates: Coordinates
    network: product_sum.DiagonalNetwork
    spectrum: np.ndarray
    mass: np.ndarray
    own: np.ndarray
    lacking: np.ndarray
    ridge: float
    output_dim: int | None

    @classmethod
    def of(cls, coordinates, moments, own, ridge, output_dim):
        network, spectrum = kernel_novelty.projector(moments, ridge, output_dim)
        lacking = kernel_novelty.lacking_novelty(moments.frame, network, spectrum, ridge, own)
        return cls(coordinates, network, spectrum, moments.mass, own, lacking, ridge, output_dim)

    def log_norms_at(self, x, own=None):
        """`log_norms` of coordinates x (b, n); own as in `kernel_novelty.novelty` -> (b,)"""
        filtered = self.network, self.spectrum, self.ridge
        return np.log(kernel_novelty.novelty(*filtered, x, own, self.lacking))

    def held_out(self, x, weight):
        """`log_norms` of training coordinates as if each row had been left out: -> (b,)"""
        filtered = self.network, self.spectrum, self.ridge
        return np.log(kernel_novelty.held_out_novelty(*filtered, x, weight, self.lacking))

    def updated(self, x, weight):
        """The operator that has seen more rows: x (b, n), weight (b,) -> ProjectorOperator"""
        moments = kernel_novelty.restore(self.network, self.spectrum, self.ridge)
        moments = kernel_novelty.add_rows(replace(moments, mass=self.mass), x, weight)
        return self.of(self.coordinates, moments, self.own, self.ridge, self.output_dim)


@dataclass(frozen=True, eq=False)
class MeanStateOperator(KernelOperator):
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

    def log_norms_at(self, x, own=None):
        """`log_norms` of coordinates x (b, n); own as in `kernel_novelty.novelty` -> (b,)"""
        return kernel_novelty.log_density(self.network, self.total, x, own)

    def held_out(self, x, weight):
        """`log_norms` of training coordinates as if each row had been left out: -> (b,)"""
        return kernel_novelty.held_out_log_density(self.network, self.total, x, weight)

    def updated(self, x, weight):
        """The operator that has seen more rows: x (b, n), weight (b,) -> MeanStateOperator"""
        mass = kernel_novelty.add_mass(
            self.network, self.network.readout[:, 0] * self.total, x, weight
        )
        network = kernel_novelty.mean_state(self.network, mass)
        return replace(self, network=network, total=self.total + float(weight.sum()))


def fit_projector(x, weight, rng, coordinates, value_and_width):
    """x (b, n), weight (b,), (value, width) -> ProjectorOperator"""
    value, width = value_and_width
    rows = kernel_novelty.choose_landmarks(weight, value._size, rng)
    bandwidth = width * np.sqrt(x.shape[1])
    start = kernel_novelty.start_moments(x[rows], bandwidth, coordinates.mean, coordinates.variance)
    moments = kernel_novelty.add_rows(start, x, weight)
    return ProjectorOperator.of(coordinates, moments, weight[rows], value.ridge, value.output_dim)


def fit_mean_state(x, weight, rng, coordinates, size_and_width):
    """x (b, n), weight (b,), (landmarks at most, width) -> MeanStateOperator"""
    size, width = size_and_width
    rows = kernel_novelty.choose_landmarks(weight, size, rng)
    network = product_sum.DiagonalNetwork(
        x[rows],
        np.zeros((len(rows), 1)),
        float(width * np.sqrt(x.shape[1])),
        coordinates.mean,
        coordinates.variance,
    )
    if len(rows) == len(x):  # Every row is its own landmark.
        return MeanStateOperator(
            coordinates, kernel_novelty.mean_state(network, weight), float(weight.sum())
        )
    return MeanStateOperator(coordinates, network, 0.0).updated(x, weight)


def choose_widths(x, weight, rng, coordinates, ridge, levels):
    """Widths of projectors at which held-out rows have these mean novelties, in units of sqrt(n):
    -> (len(levels),)"""
    x, weight = select_rows(x, weight, rng, _SELECTION_ROWS)
    return kernel_bandwidth.choose_bandwidths(
        x, weight, coordinates.mean, coordinates.variance, ridge, levels
    )


def choose_density_width(x, weight, rng, coordinates):
    """Width of the largest held-out likelihood, in units of sqrt(n): -> ()"""
    x, weight = select_rows(x, weight, rng, _DENSITY_SELECTION_ROWS)
    [width] = kernel_bandwidth.choose_density_bandwidth(
        x, weight, coordinates.mean, coordinates.variance
    )
    return width


def select_rows(x, weight, rng, size):
    """At most `size` rows, drawn with their weights: x (b, n), weight (b,) -> (b', n), (b',)"""
    if len(x) <= size:
        return x, weight
    rows = np.sort(rng.choice(len(x), size, False, weight / weight.sum()))
    return x[rows], weight[rows]
