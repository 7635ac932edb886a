"""Models with fewer features: the score averaged over the others."""

import copy
from typing import Any

import numpy as np
from sklearn.utils import Bunch

from sktn.annotations import Data
from sktn.chains.members import in_unit_scale, networks_of, with_networks
from sktn.inspection.average import orthonormal_outputs
from sktn.inspection.reading import read_model, unwrapped
from sktn.networks import sobol
from sktn.tables.features import feature_indices


def prune(
    model: Any, X: Data | None = None, *, max_share: float = 0.01, features: Any = None
) -> Bunch:
    """Take features out of a model: the score averaged over them.

    Parameters
    ----------
    model : MPSClassifier, MPSRegressor or one of their CV versions
        Fitted, alone, at the end of a pipeline or chosen by a search; it is not changed.
    X : array-like or data frame of shape (n_samples, n_features), default=None
        Needed where members with different bases are averaged, as in :func:`variance_shares`.
    max_share : float, default=0.01
        Share of the score's variance that may go. The features of least total share go first.
    features : list of int or str, default=None
        Take out these instead.

    Returns
    -------
    result : :class:`~sklearn.utils.Bunch`
        model : object
            The same function averaged over the removed features. It takes the same columns; the
            values of removed ones have no influence.
        removed : ndarray of str
            Names of the features taken out.
        lost_share : float
            Share of the variance that went with them; 0 where the score is constant.

    Examples
    --------
    >>> import numpy as np
    >>> from sktn import MPSRegressor
    >>> from sktn.inspection import prune
    >>> X = np.random.default_rng(0).uniform(-1, 1, size=(300, 3))
    >>> model = MPSRegressor(random_state=0).fit(X, X[:, 0] * X[:, 2])
    >>> prune(model).removed
    array(['x1'], dtype=object)
    """
    reading = read_model(model)
    members, names = networks_of(reading.model), reading.names
    if not 0 <= max_share < 1:
        raise ValueError(f"max_share must be in [0, 1), got {max_share!r}.")
    outputs, column = orthonormal_outputs(reading, in_unit_scale(members)[0], X)
    variances = [sobol.total_variances(chain) for chain in outputs]
    whole = sum(variance for variance, _ in variances)

    def lost_without(removed):
        if whole <= 0:
            return 0.0
        kept = np.setdiff1d(np.arange(len(column)), removed)
        return max(0.0, 1 - sum(sobol.variance_given(chain, kept) for chain in outputs) / whole)

    if features is not None:
        removed = np.flatnonzero(np.isin(column, feature_indices(features, names)))
    else:
        removed = np.zeros(0, dtype=int)
        for place in np.argsort(sum(involving for _, involving in variances), kind="stable"):
            more = np.append(removed, place)
            if lost_without(more) > max_share:
                break
            removed = more
    smaller = copy.deepcopy(model)
    gone = column[removed]
    with_networks(unwrapped(smaller)[0], lambda member: _averaged_over(member, reading, gone))
    return Bunch(model=smaller, removed=names[gone], lost_share=lost_without(removed))


def _averaged_over(member, reading, gone):
    """The network with the mean in place of some columns: constant there, whatever they are."""
    cores, readout, _, order = member.open()
    places = np.flatnonzero(np.isin(reading.place(member.column_order(order)), gone))
    mean = np.asarray(member.basis.mean)[order]
    constant = np.einsum("nlsr,ns->nlr", cores[places], mean[places])
    cores[places] = 0
    cores[places, :, 0] = constant
    return member.with_cores(cores, readout)
