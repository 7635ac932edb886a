"""Where the variance of a score comes from: Sobol's shares, and importances made of them."""

from typing import Any

import numpy as np
from sklearn.utils import Bunch

from sktn.annotations import Data
from sktn.chains.importances import total_shares
from sktn.chains.members import checked_output, in_unit_scale, networks_of
from sktn.inspection.average import orthonormal_outputs
from sktn.inspection.reading import read_model
from sktn.networks.readings import kernels_of
from sktn.tables.features import feature_indices


def variance_shares(
    model: Any, X: Data | None = None, *, output: int | None = None, subsets: Any = None
) -> Bunch:
    """Sobol indices: how the variance of the score splits over features and their interactions.

    The variance is that of the score over independent columns with their training distributions. It
    is the sum of one part for every set of features, and all shares below are exact sums of such
    parts. Of several networks the shares are those of their mean score.

    Parameters
    ----------
    model : MPSClassifier, MPSRegressor, one of their CV versions, TTNClassifier or TTNRegressor
        Fitted, alone, at the end of a pipeline or chosen by a search.
    X : array-like or data frame of shape (n_samples, n_features), default=None
        Needed where members with different bases are averaged: the distributions of the columns
        are then those of these rows.
    output : int, default=None
        Which score. None: the variances of all scores are added up.
    subsets : list of tuple of int or str, default=None
        Sets of features whose own interaction to report, of any size.

    Returns
    -------
    shares : :class:`~sklearn.utils.Bunch`
        first_order : ndarray of shape (n_features,)
            What a feature does alone.
        total : ndarray of shape (n_features,)
            All parts that involve the feature; their sum exceeds 1 where there are interactions.
        pairs : ndarray of shape (n_features, n_features)
            What two features do together beyond what each does alone; 0 on the diagonal.
        by_order : ndarray of shape (n_features,)
            Share of the interactions of 1, 2, ... features; sums to 1.
        subsets : ndarray of shape (len(subsets),)
            Only with `subsets`.
        variance : float
            Of the score, which the shares are of; infinite where floats end.
        feature_names : ndarray of shape (n_features,)
            Those of the training table, or "x0", "x1", ...

    References
    ----------
    .. [1] Sobol, "Global sensitivity indices for nonlinear mathematical models and their Monte
       Carlo estimates", Mathematics and Computers in Simulation, 2001.

    Examples
    --------
    >>> import numpy as np
    >>> from sktn import MPSRegressor
    >>> from sktn.inspection import variance_shares
    >>> X = np.random.default_rng(0).uniform(-1, 1, size=(300, 3))
    >>> model = MPSRegressor(random_state=0).fit(X, X[:, 0] + 3 * X[:, 1] * X[:, 2])
    >>> shares = variance_shares(model)
    >>> shares.by_order.round(1)
    array([0.3, 0.7, 0. ])
    """
    reading = read_model(model, trees=True)
    members, names = networks_of(reading.model), reading.names
    if output is not None:
        output = checked_output(output, len(members[0].scale))
    members, scale = in_unit_scale(members, output)
    outputs, column = orthonormal_outputs(reading, members, X)
    outputs = outputs if output is None else [outputs[output]]
    kernels = kernels_of(outputs[0])
    n_features = len(names)
    wanted = [feature_indices(subset, names) for subset in subsets or []]
    variance = 0.0
    total, by_order = np.zeros(n_features), np.zeros(n_features)
    pairs, parts = np.zeros((n_features, n_features)), np.zeros(len(wanted))
    for chain in outputs:
        whole, involving = kernels.total_variances(chain)
        variance += whole
        total[column] += involving
        by_order[: len(column)] += kernels.variance_by_order(chain)[1:]
        pairs[np.ix_(column, column)] += kernels.pair_variances(chain)
        for k, subset in enumerate(wanted):
            # The interaction with a constant column is 0.
            if np.isin(subset, column).all():
                sites = np.flatnonzero(np.isin(column, subset))
                parts[k] += kernels.subset_variance(chain, sites)
    unit = variance if variance > 0 else 1.0
    first_order = np.diag(pairs) / unit
    np.fill_diagonal(pairs, 0)
    shares = Bunch(
        first_order=first_order,
        total=total / unit,
        pairs=pairs / unit,
        by_order=by_order / unit,
        variance=float(variance) * scale * scale,
        feature_names=names,
    )
    if subsets is not None:
        shares.subsets = parts / unit
    return shares


def feature_importances(model: Any) -> np.ndarray:
    """Total variance shares, one number a feature: what :attr:`feature_importances_` returns.

    The share of the score's variance in which a feature has a part, alone or with others; see
    :func:`variance_shares`. They add up to more than 1 where features interact. Of several networks
    the weighted mean of their shares, which needs no rows; for the shares of the mean score see
    :func:`variance_shares` with `X`.

    Parameters
    ----------
    model : MPSClassifier, MPSRegressor, one of their CV versions, TTNClassifier or TTNRegressor
        Fitted, alone, at the end of a pipeline or chosen by a search.

    Returns
    -------
    importances : ndarray of shape (n_features,)

    Examples
    --------
    >>> import numpy as np
    >>> from sktn import MPSRegressor
    >>> from sktn.inspection import feature_importances
    >>> X = np.random.default_rng(0).uniform(-1, 1, size=(300, 3))
    >>> model = MPSRegressor(random_state=0).fit(X, X[:, 0] + 3 * X[:, 1] * X[:, 2])
    >>> feature_importances(model).round(1)
    array([0.3, 0.7, 0.7])
    """
    reading = read_model(model, trees=True)
    importances = np.zeros(len(reading.names))
    importances[reading.sources] = total_shares(reading.model)
    return importances
