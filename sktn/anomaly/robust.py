"""Looks for training rows of which a share is strange: nothing that a clump of them can bend."""

from dataclasses import dataclass
from numbers import Real

import numpy as np
from sklearn.utils._param_validation import Interval

from sktn.anomaly.base import Solution
from sktn.anomaly.calibration import fit_combination
from sktn.anomaly.closed_form import (
    ClosedForm,
    MeanStateOperator,
    Projector,
    fit_mean_state,
    select_rows,
)
from sktn.anomaly.marginals import fit_marginals
from sktn.anomaly.units import coordinates_of
from sktn.solvers import kernel_bandwidth, kernel_novelty

# A tenth of so many landmarks is a neighbourhood, whose share is known to a tenth of itself.
_ROWS = 1000


class RobustLooks(ClosedForm):
    """For training rows of which a share is anomalous, and nobody knows which.

    A fine look at such rows finds clumps of anomalies typical, since they are close to each other.
    Two looks do not: how far a row has to look for a tenth of all rows, which is more than a clump
    of anomalies holds, and the densities of the single columns, an operator of bond dimension 1.
    Logarithms of the shares of rows that score as low are averaged.

    Parameters
    ----------
    neighbourhood : float, default=0.1
        Share of the rows in a neighbourhood: more than the largest clump of anomalies. Anomalies
        that are apart from each other may be many more.
    bond_dim : int, default=None
        Number of landmark rows; None: at most 1000, of which a tenth is known to a tenth of itself.
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
        size = self.bond_dim or _ROWS
        operators = fit_robust(x, rows.weight, rng, coordinates, (self.neighbourhood, size))
        held_out = np.array([operator.held_out(x, rows.weight) for operator in operators])
        summary = {"n_iter_": 1, "bandwidths_": np.array([operators[0].width])}
        # One group: shares are averaged.
        return Solution(operators, held_out, np.zeros(2, int), summary)


def fit_robust(x, weight, rng, coordinates, share_and_size):
    """The two looks.

    x (b, n), weight (b,), (share of the rows in a neighbourhood, landmarks at most)
    -> ReachOperator, MarginalOperator
    """
    share, size = share_and_size
    some, mass = select_rows(x, weight, rng, size)
    width = kernel_bandwidth.choose_wide_bandwidth(
        some, mass, coordinates.mean, coordinates.variance, share
    )
    density = fit_mean_state(x, weight, rng, coordinates, (size, width))
    reach = ReachOperator(coordinates, density.network, density.total, share)
    return reach, fit_marginals(x, weight, coordinates, share)


def suspicion(x, weight, rng, coordinates, share):
    """How typical training rows are if some of them are strange: the logarithm of the share of
    them that is as untypical.

    x (b, n), weight (b,), share of the rows in a neighbourhood -> (b,)
    """
    reach, columns = fit_robust(x, weight, rng, coordinates, (share, _ROWS))
    # A value counts as one of its column: left out, it would be stranger than one of a clump.
    scores = np.array([reach.held_out(x, weight), columns.log_norms_at(x)])
    return fit_combination(scores, np.zeros(2, int), weight)(scores)


@dataclass(frozen=True, eq=False)
class ReachOperator(MeanStateOperator):
    """The overlap with the landmark that a share of all landmarks is nearer than.

    Attributes
    ----------
    share : float
    """

    share: float

    def log_norms_at(self, x, own=None):
        """`log_norms` of coordinates x (b, n); own as in `kernel_novelty.novelty` -> (b,)"""
        return kernel_novelty.reach(self.network, self.total, self.share, x, own)

    def held_out(self, x, weight):
        """`log_norms` of training coordinates: a row is no landmark of itself. -> (b,)"""
        return self.log_norms_at(x)

    def updated(self, x, weight):
        """A representative first batch has the neighbourhoods: -> ReachOperator"""
        return self
