"""Several closed forms that look at the same rows differently, and one seen from surroundings."""

from dataclasses import dataclass
from numbers import Integral, Real

import numpy as np
from sklearn.utils._param_validation import Interval

from sktn.anomaly.closed_form import (
    COARSE,
    DENSITY_LANDMARKS,
    LANDMARKS,
    ClosedForm,
    KernelOperator,
    Projector,
    ProjectorOperator,
    choose_density_width,
    choose_widths,
    fit_mean_state,
    fit_projector,
)
from sktn.anomaly.marginals import fit_marginals
from sktn.anomaly.mixture import LARGEST_COVARIANCE, fit_mixture
from sktn.anomaly.robust import suspicion
from sktn.anomaly.units import coordinates_of
from sktn.solvers import kernel_novelty

# Of the single columns: a tenth of the rows is a neighbourhood, and a tenth may have any value.
_SHARE, _BACKGROUND = 0.1, 0.1


class Looks(ClosedForm):
    """Several closed forms that look at the training rows differently.

    A density, whose width has the largest held-out likelihood; the distance to the subspace of the
    training states at a coarse width, see :class:`Projector`; the same relative to that of the
    landmarks nearest to a row, as local outlier factors are relative to the neighbours' [1]_; the
    densities of the single columns, unless these are pixels or alike, which see values that are
    rare by themselves; and, of at most 300 columns, a mixture of normal distributions, which sees
    what hangs together. Each says how likely a held-out training row is as strange as a row; the
    root mean square of the logarithms of these probabilities counts, so that one look is enough to
    find a row strange.

    Training rows are judged as what may be strange itself: by the looks of :class:`RobustLooks`,
    which a clump of them cannot bend. New rows are judged against the training rows. It is the
    difference between outlier detection and novelty detection.

    Parameters
    ----------
    ridge : float, default=0.01
        As in :class:`Projector`.
    bond_dim : int, default=None
        Number of landmark rows; None: at most 800, of the density 5000.
    scaling : {"auto", "standard", "common"}, default="auto"
        As in :class:`Projector`.
    n_neighbors : int, default=20
        Landmarks that are the surroundings of a row.
    neighbourhood : float, default=0.1
        Share of the training rows that are the neighbourhood of one of them: more than the largest
        clump of anomalies. None: training rows are taken for normal, and are scored as if each had
        been held out.

    References
    ----------
    .. [1] M. M. Breunig, H.-P. Kriegel, R. T. Ng and J. Sander, "LOF: identifying density-based
       local outliers", SIGMOD (2000) 93-104.

    Examples
    --------
    >>> from sklearn.datasets import load_iris
    >>> from sktn import SMPOAnomalyDetector
    >>> from sktn.anomaly import Looks
    >>> X = load_iris().data
    >>> detector = SMPOAnomalyDetector(operator=Looks(), random_state=0).fit(X[:50])
    >>> bool(detector.score_samples(X[:50]).mean() > detector.score_samples(X[50:]).mean())
    True
    """

    _parameter_constraints: dict = {
        **{
            name: Projector._parameter_constraints[name]
            for name in ("ridge", "bond_dim", "scaling")
        },
        "n_neighbors": [Interval(Integral, 1, None, closed="left")],
        "neighbourhood": [Interval(Real, 0, 1, closed="neither"), None],
    }

    def __init__(
        self, *, ridge=0.01, bond_dim=None, scaling="auto", n_neighbors=20, neighbourhood=0.1
    ):
        self.ridge = ridge
        self.bond_dim = bond_dim
        self.scaling = scaling
        self.n_neighbors = n_neighbors
        self.neighbourhood = neighbourhood

    def suspicion(self, rows, rng):
        """As in :class:`ClosedForm`."""
        if self.neighbourhood is None:
            return None
        coordinates = coordinates_of(rows, self.scaling)
        x = coordinates.transform(rows.X)
        return suspicion(x, rows.weight, rng, coordinates, self.neighbourhood)

    @property
    def _size(self):
        return self.bond_dim or LANDMARKS

    def _looks(self, x, weight, rng, coordinates):
        [coarse] = choose_widths(x, weight, rng, coordinates, self.ridge, [COARSE])
        density = (
            self.bond_dim or DENSITY_LANDMARKS,
            choose_density_width(x, weight, rng, coordinates),
        )
        value = Projector(ridge=self.ridge, bond_dim=self.bond_dim)

        def looks():
            mean_state = fit_mean_state(x, weight, rng, coordinates, density)
            yield mean_state, mean_state.held_out(x, weight)
            projector = fit_projector(x, weight, rng, coordinates, (value, coarse))
            novelty = projector.held_out(x, weight)
            yield projector, novelty
            # The look before it, seen from the surroundings.
            local = LocalOperator.around(projector, self.n_neighbors)
            yield local, local.relative(novelty, x)
            # A pixel taken alone says nothing.
            if not coordinates.one_unit:
                columns = fit_marginals(x, weight, coordinates, _SHARE, _BACKGROUND)
                yield columns, columns.held_out(x, weight)
            if x.shape[1] <= LARGEST_COVARIANCE:
                yield fit_mixture(x, weight, rng, coordinates)

        return looks


@dataclass(frozen=True, eq=False)
class LocalOperator(KernelOperator):
    """The log norm of a projector, relative to that of a row's surroundings.

    Attributes
    ----------
    projector : ProjectorOperator
    field : ndarray of shape (m,)
        Its log norms of the landmarks, each as if held out.
    n_neighbors : int
    """

    projector: ProjectorOperator
    field: np.ndarray
    n_neighbors: int

    @classmethod
    def around(cls, projector, n_neighbors):
        field = projector.log_norms_at(projector.network.landmarks)
        return cls(projector, field, n_neighbors)

    @property
    def coordinates(self):
        return self.projector.coordinates

    @property
    def network(self):
        return self.projector.network

    def transform(self, X):
        """The log norm around a row, since the outputs are those of the projector: -> (b, 1)"""
        x = self.coordinates.transform(X)
        return self._around(x)[:, None]

    def log_norms_at(self, x, own=None):
        """`log_norms` of coordinates x (b, n); own as in `kernel_novelty.novelty` -> (b,)"""
        return self.projector.log_norms_at(x, own) - self._around(x, own)

    def relative(self, log_norms, x):
        """Log norms of the projector at coordinates x (b, n), less those around: -> (b,)"""
        return log_norms - self._around(x)

    def updated(self, x, weight):
        """The operator that has seen more rows: x (b, n), weight (b,) -> LocalOperator"""
        return self.around(self.projector.updated(x, weight), self.n_neighbors)

    def _around(self, x, own=None):
        return kernel_novelty.surroundings(self.network, self.field, self.n_neighbors, x, own)
