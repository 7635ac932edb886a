"""How a joint density is learned from a table.

Two parts look at the normalised columns: a Born machine, whose ridge falls from sweep to sweep, and
a mixture of normal distributions, whose number of components rises. Rows that were held out say
where each of them stops, and which share it has in the joint density: that of the largest
likelihood of the held-out rows (stacking, Smyth and Wolpert, Machine Learning 36, 1999). Then both
are learned from all rows.

Both see a repeated value all over the interval that its bin has in the normalised column. In the
middle of it they would learn a peak there, and the bin would not have the probability of its value.
"""

from typing import NamedTuple

import numpy as np

from sktn.density.born_fit import fit_chain
from sktn.density.joint import Joint
from sktn.density.mixture_fit import fit_mixture, wants_mixture
from sktn.density.normal_scores import scores
from sktn.tables.marginals import fit_margins
from sktn.tables.statistics import distinct_rows

# Held-out rows that are wanted: a mean log-likelihood, whose spread is about one a column, is then
# known to a few hundredths. Fewer rows are held out in several folds.
_HELD_OUT_ROWS = 300
_LARGEST_N_FOLDS = 5

# Rows below which nothing is held out: folds of less than four rows say nothing.
_FEWEST_ROWS = 20

# No point has more than its share of the weight, which is a hundredth of a bin of a tenth of it.
_SPREAD_ROWS = 1000


class Settings(NamedTuple):
    """The parameters of `MPSDensityEstimator` of the same names."""

    bond_dim: int
    degree: int
    alpha: float | str
    n_components: int | str
    resolution: float | None
    truncation_tol: float | None
    feature_order: object
    max_iter: int
    validation_fraction: float | None
    tol: float


class Fitted(NamedTuple):
    """joint: the density; alpha, bond_dims, losses: of the Born machine"""

    joint: Joint
    alpha: float
    bond_dims: np.ndarray
    losses: np.ndarray

    @property
    def chain_share(self):
        return float(self.joint.shares[0])

    def fitted(self):
        """Fitted attributes by name."""
        chain, *others = self.joint.parts
        return {
            "joint_": self.joint,
            "margins_": self.joint.margins,
            "cores_": chain.cores,
            "order_": chain.order,
            "bond_dims_": self.bond_dims,
            "alpha_": self.alpha,
            "loss_curve_": self.losses,
            "n_iter_": len(self.losses),
            "chain_share_": self.chain_share,
            "n_components_": len(others[0].mixture.means) if others else 0,
        }


def fit_joint(X, weight, is_categorical, settings, rng):
    """X (b, n) with NaN for missing, weight (b,), is_categorical (n,) bool or None -> Fitted"""
    rows, weight = distinct_rows(X, row_counts(weight))
    margins = fit_margins(rows, weight, is_categorical, settings.resolution)
    fold = make_folds(len(rows), settings.validation_fraction, rng)
    copy, weight = copies(weight)
    fold, u = fold[copy], margins.spread(rows[copy], weight, rng)
    chain = fit_chain(u.astype(X.dtype), margins.shares, weight, fold, settings, rng)
    parts, held_out = [chain.machine], [chain.held_out]
    if wants_mixture(settings.n_components, X.shape[1]):
        data = scores(u, margins.shares)
        seed = rng.randint(2**31 - 1)
        part, logs = fit_mixture(data, margins.shares, weight, fold, settings.n_components, seed)
        parts.append(part)
        held_out.append(logs)
    shares = stacked_shares(np.stack(held_out), weight)
    joint = Joint(margins, tuple(parts), shares)
    return Fitted(joint, chain.alpha, chain.bond_dims, chain.losses)


def row_counts(weight):
    """Weights as numbers of rows: whole ones as they are, others in units in which their sum is
    the number of equal rows that would say as much, (sum w)^2 / sum w^2 (Kish).

    weight (b,) -> (b,)
    """
    largest = weight.max()
    # Larger ones are no counts, and their sum has no exact units any more.
    if largest < 2**31 and np.all(weight == np.round(weight)):
        return weight
    weight = weight / largest
    return weight * (weight.sum() / (weight**2).sum())


def copies(weight):
    """Rows of much weight as several, each with a place of its own in the bins that they are in; at
    one place they would be a peak, for which the rest of the bin has to pay.

    weight (b,) of distinct rows -> index of the row of each copy, weight of each copy (b',)
    """
    most = max(1.0, weight.sum() / _SPREAD_ROWS)
    # Weights of equal rows are rounded.
    number = np.maximum(np.ceil(weight / most * (1 - 1e-9)), 1).astype(int)
    index = np.repeat(np.arange(len(weight)), number)
    return index, (weight / number)[index]


def make_folds(n_rows, fraction, rng):
    """The fold in which a row is held out, -1 for none: -> (b,) integers"""
    fold = np.full(n_rows, -1)
    if fraction is None or n_rows < _FEWEST_ROWS:
        return fold
    size = int(np.ceil(fraction * n_rows))
    wanted = -(-_HELD_OUT_ROWS // size)
    order = rng.permutation(n_rows)
    for k in range(min(wanted, _LARGEST_N_FOLDS, n_rows // size)):
        fold[order[k * size : (k + 1) * size]] = k
    return fold


def stacked_shares(logs, weight):
    """Shares of the parts, of the largest likelihood of the held-out rows, with one row more for
    each part, so that none is 0.

    logs (M, b): of every part where a row was held out, NaN elsewhere, weight (b,) -> (M,)
    """
    known = ~np.isnan(logs).any(axis=0)
    logs, weight = logs[:, known].astype(np.float64), weight[known]
    ratios = np.exp(logs - logs.max(axis=0)) if known.any() else logs
    shares = np.full(len(logs), 1 / len(logs))
    # Converges linearly; the third decimal of a share does not matter.
    for _ in range(200):
        joint = shares[:, None] * ratios
        shares = (joint / joint.sum(axis=0)) @ weight + 1
        shares /= shares.sum()
    return shares
