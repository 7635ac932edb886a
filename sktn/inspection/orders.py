"""Models of main effects and interactions of few features: all higher ones left out."""

import copy
from numbers import Integral
from typing import Any

import numpy as np
from numpy.typing import ArrayLike
from sklearn.utils import Bunch

from sktn.annotations import Data
from sktn.chains.members import in_unit_scale, networks_of, with_networks
from sktn.inspection.average import orthonormal_outputs
from sktn.inspection.reading import read_model, unwrapped
from sktn.inspection.truncation import with_fewest_bonds
from sktn.networks import chain as chains
from sktn.networks import sobol

# Of the norm of the score: what is cut beside the interactions is rounding.
_EXACT = 1e-7


def limit_order(
    model: Any, max_order: int = 2, *, X: Data | None = None, y: ArrayLike | None = None
) -> Bunch:
    """A model of the same class without interactions of more than a few features.

    Of the parts that the score decomposes into, one for every set of features [1]_, those of up to
    `max_order` features are kept as they are. With two, all that the model says can be looked at in
    curves and surfaces, as of an explainable boosting machine.

    Parameters
    ----------
    model : MPSClassifier, MPSRegressor or one of their CV versions
        Fitted, alone, at the end of a pipeline or chosen by a search; it is not changed.
    max_order : int, default=2
        1 keeps the main effects, 2 pairs, too.
    X : array-like or data frame of shape (n_samples, n_features), default=None
        Rows on which to compare `score` before and after, best not those of the training. Also
        needed where members with different bases are averaged, as in :func:`variance_shares`.
    y : array-like of shape (n_samples,), default=None
        Their targets.

    Returns
    -------
    result : :class:`~sklearn.utils.Bunch`
        model : object
            The model without the higher interactions. Regressors lose their intervals: errors of
            another model say nothing of this one's.
        lost_share : float
            Share of the score's variance, over independent columns, that went with them.
        score : tuple of two float
            Before and after, only with `X` and `y`.

    Notes
    -----
    The projection is exact: the bond counts the features that have had a say so far, which makes it
    `max_order + 1` times as large before what is redundant is cut again. Where columns depend on
    each other the best model of this kind on their rows is another one, which
    ``solver=Convex(max_order=2)`` fits; `score` says by how much it matters.

    References
    ----------
    .. [1] Sobol, "Global sensitivity indices for nonlinear mathematical models and their Monte
       Carlo estimates", Mathematics and Computers in Simulation, 2001.

    Examples
    --------
    >>> import numpy as np
    >>> from sktn import MPSRegressor
    >>> from sktn.inspection import limit_order, variance_shares
    >>> X = np.random.default_rng(0).uniform(-1, 1, size=(300, 3))
    >>> model = MPSRegressor(random_state=0).fit(X, X[:, 0] + 3 * X[:, 1] * X[:, 2])
    >>> result = limit_order(model, max_order=1)
    >>> round(result.lost_share, 1), variance_shares(result.model).by_order.round(1)
    (0.7, array([1., 0., 0.]))
    """
    if not isinstance(max_order, Integral) or max_order < 1:
        raise ValueError(f"max_order must be an int of at least 1, got {max_order!r}.")
    if y is not None and X is None:
        raise ValueError("y needs X, the rows to take the score on.")
    reading = read_model(model)
    members, _ = in_unit_scale(networks_of(reading.model))
    outputs, _ = orthonormal_outputs(reading, members, X)
    by_order = sum(sobol.variance_by_order(chain)[1:] for chain in outputs)
    whole = by_order.sum()
    smaller = copy.deepcopy(model)
    with_networks(unwrapped(smaller)[0], lambda member: _limited(member, int(max_order)))
    lost = float(by_order[max_order:].sum() / whole) if whole > 0 else 0.0
    result = Bunch(model=smaller, lost_share=lost)
    if y is not None:
        result.score = (model.score(X, y), smaller.score(X, y))
    return result


def _limited(member, max_order):
    """The network of a member projected to interactions of at most `max_order` sites.

    Bond indices become (k, l), k the number of sites between the end of the chain and here whose
    component is not the constant. The two ends meet at the readout, where both numbers are known.
    """
    cores, readout, p, order = member.open()
    matrices = member.whitening(order)
    cores = chains.change_basis(cores, matrices)
    n, D, d, _ = cores.shape
    counts = max_order + 1
    counted = np.zeros((n, counts, D, d, counts, D))
    for k in range(counts):
        counted[:, k, :, 0, k] = cores[:, :, 0]
    for k in range(max_order):
        counted[:p, k, :, 1:, k + 1] = cores[:p, :, 1:]
        counted[p:, k + 1, :, 1:, k] = cores[p:, :, 1:]
    output = np.zeros((counts, D, readout.shape[1], counts, D))
    for k in range(counts):
        output[k, :, :, : counts - k] = readout[:, :, None]
    counted = counted.reshape(n, counts * D, d, counts * D)
    output = output.reshape(counts * D, -1, counts * D)
    return with_fewest_bonds(member, counted, output, matrices, _EXACT)[0]
