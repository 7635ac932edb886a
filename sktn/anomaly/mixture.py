"""A mixture of normal distributions as one more look: what hangs together with what."""

from dataclasses import dataclass, replace

import numpy as np

from sktn.anomaly.closed_form import select_rows
from sktn.solvers import normal_mixture
from sktn.tables.coordinates import Coordinates

# Coordinates beyond which no covariance is learned, as in `MPSDensityEstimator`: it costs their
# cube. Of many columns there are few components.
LARGEST_COVARIANCE = 300
_MOST_NUMBERS = 800

# Numbers of components that are tried on at most this many rows. Each needs some rows, and as many
# as there are columns: of fewer, where a component is depends on each of them, and a row would be
# near a component that it made.
_COMPONENTS = (1, 2, 4, 8, 16, 32)
_ROWS, _ROWS_PER_COMPONENT = 1000, 5

# A tenth of a standard deviation is no news, even where all typical rows lie on a plane.
_NOISE = 0.01

# Steps of expectation maximisation on these rows, and on all.
_STEPS, _TOLERANCE, _LAST_STEPS = 20, 0.01, 2


@dataclass(frozen=True, eq=False)
class MixtureOperator:
    """log sum_k w_k N(x; m_k, S_k), up to a constant.

    A normal distribution is the limit of a product kernel in rotated columns; it sees a row that
    breaks a linear relation, which a product kernel as wide as the columns does not.

    Attributes
    ----------
    coordinates : Coordinates
    mixture : Mixture
    total : float
        Sum of the weights of all rows seen.
    missing : float
        Mean log density a column, which a missing value counts as.
    """

    coordinates: Coordinates
    mixture: normal_mixture.Mixture
    total: float
    missing: float = 0.0

    def log_norms(self, X):
        """log p(x): X (b, n_columns) -> (b,)"""
        x = self.coordinates.transform(X)
        logs = normal_mixture.log_density(normal_mixture.log_joint(self.mixture, _table(x)))
        return logs + self.missing * np.isnan(x).sum(axis=1)

    def log_norms_without(self, X, j):
        """`log_norms` if column j were missing: X (b, n_columns) -> (b,)"""
        hidden = X.copy()
        hidden[:, j] = np.nan
        return self.log_norms(hidden)

    def transform(self, X):
        """The probabilities of the components: X (b, n_columns) -> (b, K)"""
        joint = normal_mixture.log_joint(self.mixture, _table(self.coordinates.transform(X)))
        return np.exp(joint - normal_mixture.log_density(joint)[:, None])

    def scores(self, log_norms):
        """(b,) -> (b,)"""
        return log_norms

    def updated(self, x, weight):
        """The operator that has seen more rows: x (b, n), weight (b,) -> MixtureOperator"""
        mixture = normal_mixture.with_rows(self.mixture, self.total, _table(x), weight)
        return replace(self, mixture=mixture, total=self.total + float(weight.sum()))


def fit_mixture(x, weight, rng, coordinates):
    """The mixture of so many components that the likelihood of held-out rows is largest: x (b, n),
    weight (b,) -> MixtureOperator, its `log_norms` of these rows as if each had been left out (b,)
    """
    some, mass = select_rows(x, weight, rng, _ROWS)
    mixture, logs = _best(some, mass, rng)
    if len(some) < len(x):
        joint = normal_mixture.log_joint(mixture, _table(x))
        start = np.exp(joint - normal_mixture.log_density(joint)[:, None])
        mixture = _solve(x, weight, start, _LAST_STEPS)
        logs = _held_out(mixture, x, weight)
    gaps = np.isnan(x).sum(axis=1)
    missing = float(weight @ logs / max(weight @ (x.shape[1] - gaps), 1.0))
    operator = MixtureOperator(coordinates, mixture, float(weight.sum()), missing)
    return operator, logs + missing * gaps


def _best(x, weight, rng):
    """The mixture of largest held-out likelihood, and the log densities: -> Mixture, (b,)"""
    n = x.shape[1]
    best, best_quality, worse = None, -np.inf, 0
    for K in _COMPONENTS:
        too_many = len(x) < K * max(_ROWS_PER_COMPONENT, n) or K * n > _MOST_NUMBERS
        if worse == 2 or (K > 1 and too_many):
            break
        start = normal_mixture.spread_start(_table(x), weight, K, rng)
        mixture = _solve(x, weight, start, _STEPS)
        logs = _held_out(mixture, x, weight)
        quality = np.average(logs, weights=weight)
        worse += 1
        if best is None or quality > best_quality:
            best, best_quality, worse = (mixture, logs), quality, 0
    return best


def _solve(x, weight, start, steps):
    return normal_mixture.fit(
        _table(x), weight, start, _common(x), 1.0, noise=_NOISE, max_iter=steps, tol=_TOLERANCE
    )


def _held_out(mixture, x, weight):
    return normal_mixture.held_out_log_density(mixture, _table(x), weight, _common(x))


def _common(x):
    """As many rows as a covariance needs to have full rank."""
    return x.shape[1] + 2.0


def _table(x):
    return normal_mixture.Table(x, np.zeros((len(x), 0), int), ())
