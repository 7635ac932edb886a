"""Several closed forms that look at the same rows differently, and one seen from surroundings."""

from dataclasses import dataclass
from functools import partial

import numpy as np

from sktn.anomaly.closed_form import (
    DENSITY_LANDMARKS,
    LANDMARKS,
    ClosedForm,
    KernelOperator,
    Projector,
    ProjectorOperator,
    choose_density_width,
    choose_levels,
    fit_mean_state,
    fit_projector,
)
from sktn.solvers import kernel_novelty


class Looks(ClosedForm):
    """Several closed forms that look at the training rows differently.

    A density, whose width has the largest held-out likelihood; the distances to the subspace of the
    training states at a fine and at a coarse width, see :class:`Projector`; and the coarse one
    relative to that of a row's surroundings, as local outlier factors are relative to the
    neighbours' [1]_. A row is as strange as it is in the look that finds it strangest, in units
    that held-out training rows give.

    Parameters
    ----------
    ridge : float, default=0.01
        As in :class:`Projector`.
    bond_dim : int, default=None
        Number of landmark rows; None: at most 800, of the density 5000.
    scaling : {"auto", "standard", "common"}, default="auto"
        As in :class:`Projector`.

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
        name: Projector._parameter_constraints[name] for name in ("ridge", "bond_dim", "scaling")
    }

    def __init__(self, *, ridge=0.01, bond_dim=None, scaling="auto"):
        self.ridge = ridge
        self.bond_dim = bond_dim
        self.scaling = scaling

    @property
    def _size(self):
        return self.bond_dim or LANDMARKS

    def _looks(self, x, weight, rng, coordinates):
        fine, coarse = choose_levels(x, weight, rng, coordinates, self.ridge)
        density = (
            self.bond_dim or DENSITY_LANDMARKS,
            choose_density_width(x, weight, rng, coordinates),
        )
        value = Projector(ridge=self.ridge, bond_dim=self.bond_dim)
        found = []

        def fit_coarse():
            found.append(fit_projector(x, weight, rng, coordinates, (value, coarse)))
            return found[-1]

        return [
            partial(fit_mean_state, x, weight, rng, coordinates, density),
            partial(fit_projector, x, weight, rng, coordinates, (value, fine)),
            fit_coarse,
            # The look before it, seen from the surroundings.
            lambda: LocalOperator.around(found[-1]),
        ]


@dataclass(frozen=True, eq=False)
class LocalOperator(KernelOperator):
    """The log norm of a projector, relative to that of a row's surroundings.

    Attributes
    ----------
    projector : ProjectorOperator
    field : ndarray of shape (m,)
        Its log norms of the landmarks, each as if held out.
    """

    projector: ProjectorOperator
    field: np.ndarray

    @classmethod
    def around(cls, projector):
        return cls(projector, projector.log_norms_at(projector.network.landmarks))

    @property
    def coordinates(self):
        return self.projector.coordinates

    @property
    def network(self):
        return self.projector.network

    def transform(self, X):
        """The log norm around a row, since the outputs are those of the projector: -> (b, 1)"""
        x = self.coordinates.transform(X)
        return kernel_novelty.surroundings(self.network, self.field, x)[:, None]

    def log_norms_at(self, x, own=None):
        """`log_norms` of coordinates x (b, n); own as in `kernel_novelty.novelty` -> (b,)"""
        around = kernel_novelty.surroundings(self.network, self.field, x, own)
        return self.projector.log_norms_at(x, own) - around

    def held_out(self, x, weight):
        """`log_norms` of training coordinates as if each row had been left out: -> (b,)"""
        around = kernel_novelty.surroundings(self.network, self.field, x)
        return self.projector.held_out(x, weight) - around

    def updated(self, x, weight):
        """The operator that has seen more rows: x (b, n), weight (b,) -> LocalOperator"""
        return self.around(self.projector.updated(x, weight))
