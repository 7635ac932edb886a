"""The score as a function of one feature or two, averaged over the others."""

from typing import Any

import numpy as np
from sklearn.utils import Bunch, _safe_indexing

from sktn.annotations import Data
from sktn.chains.members import estimators_of, in_unit_scale, in_units, networks_of, output_names
from sktn.inspection.reading import read_model
from sktn.networks.readings import kernels_of
from sktn.tables.features import feature_indices


def marginal_effect(
    model: Any,
    X: Data,
    features: Any,
    *,
    grid_resolution: int = 100,
    percentiles: tuple[float, float] = (0.05, 0.95),
) -> Bunch:
    """E[score | feature], or of two features: partial dependence with an exact average.

    Parameters
    ----------
    model : MPSClassifier, MPSRegressor, one of their CV versions, TTNClassifier or TTNRegressor
        Fitted, alone, at the end of a pipeline or chosen by a search.
    X : array-like or data frame of shape (n_samples, n_features)
        Where the features live: only the grid is taken from it.
    features : int, str or pair of them
        Positions or names of the columns.
    grid_resolution : int, default=100
        Number of grid points of a numeric feature that has more values.
    percentiles : tuple of float, default=(0.05, 0.95)
        Ends of that grid. Behind a pipeline the grid consists of values in X.

    Returns
    -------
    effect : :class:`~sklearn.utils.Bunch`
        average : ndarray of shape (n_outputs, n_values) or (n_outputs, n_values_0, n_values_1)
            The score averaged over all other columns.
        grid_values : list of ndarray
            Values on the original scale, the levels of a categorical column.
        mean : ndarray of shape (n_outputs,)
            The score averaged over all columns.
        std : ndarray of the shape of `average`
            Standard error of what the average gains on the mean: how much it would differ had
            there been another sample of rows. Only of classifiers and of regressors of squared
            errors, as they were fitted; of several classes one for all.
        feature_names : list of str
            The features asked for.
        output_names : ndarray of shape (n_outputs,)
            The class of each score, or the name of the target.

    See Also
    --------
    sklearn.inspection.partial_dependence : Averages over rows, which keeps the dependence between
        columns and costs a prediction of all rows a grid point.

    Examples
    --------
    >>> import numpy as np
    >>> from sktn import MPSRegressor
    >>> from sktn.inspection import marginal_effect
    >>> X = np.random.default_rng(0).uniform(-1, 1, size=(300, 2))
    >>> model = MPSRegressor(random_state=0).fit(X, X[:, 0] + X[:, 0] * X[:, 1])
    >>> effect = marginal_effect(model, X, 0, grid_resolution=3)
    >>> effect.average.shape, effect.grid_values[0].shape
    ((1, 3), (3,))
    """
    reading = read_model(model, trees=True)
    indices = feature_indices(features, reading.names)
    if not 1 <= len(indices) <= 2:
        raise ValueError(f"features must be one feature or two, got {features!r}.")
    rows = reading.rows(X)
    grids, labels = zip(
        *(_grid(reading, rows, j, grid_resolution, percentiles) for j in indices), strict=True
    )
    members, scale = in_unit_scale(networks_of(reading.model))
    shape = tuple(map(len, grids))
    average = np.zeros((len(members[0].scale), *shape))
    mean = np.zeros(len(average))
    for member in members:
        outputs, order, mean_vectors = member.outputs()
        place = reading.place(member.column_order(order))
        sites, factors = [], []
        for j, table in zip(indices, grids, strict=True):
            at = np.flatnonzero(place == j)
            if len(at):
                sites.append(int(at[0]))
                factors.append(member.site_vectors(table)[:, order[at[0]]])
        # A column without a site has no influence.
        here = tuple(len(g) if j in place else 1 for j, g in zip(indices, grids, strict=True))
        for c, chain in enumerate(outputs):
            conditional_mean = kernels_of(chain).conditional_mean
            K = conditional_mean(chain, mean_vectors, sites)
            for factor in factors:
                K = np.tensordot(K, factor, axes=(0, 1))
            average[c] += member.weight * in_units(K.reshape(here), scale, member.offset[c])
            centre = conditional_mean(chain, mean_vectors, [])
            mean[c] += member.weight * in_units(centre, scale, member.offset[c])
    effect = Bunch(
        average=average,
        grid_values=list(labels),
        mean=mean,
        feature_names=[reading.names[j] for j in indices],
        output_names=output_names(reading.model),
    )
    estimators = estimators_of(reading.model)
    if all(getattr(estimator, "certainty_", None) is not None for estimator in estimators):
        effect.std = _standard_errors(reading, estimators, indices, grids)
    return effect


def _standard_errors(reading, estimators, indices, grids):
    """Of the effect of columns on their grids, the mean of the members': (c, n_values, ...)"""
    shape = tuple(map(len, grids))
    shares = np.asarray(getattr(reading.model, "weights_", [1.0]), np.float64)
    std = np.zeros(())
    for share, estimator in zip(shares / shares.sum(), estimators, strict=True):
        member = networks_of(estimator)[0]
        column = reading.sources[estimator.columns_.kept]
        phi = np.tile(member.basis.mean, (*shape, 1, 1))
        for axis, (j, table) in enumerate(zip(indices, grids, strict=True)):
            for site in np.flatnonzero(column == j):
                own = member.site_vectors(table)[:, site]
                phi[..., site, :] = own[:, None] if axis == 0 and len(shape) == 2 else own
        phi = phi.reshape(-1, *member.basis.mean.shape)
        own = np.sqrt(estimator.certainty_.effect_variance(phi)) * member.scale
        std = std + share * own.T.reshape(-1, *shape)
    return std


def columns_of(model, X, features):
    """The values of features in the rows of X, as :func:`marginal_effect` shows them: list of
    (n_samples,)"""
    reading = read_model(model, trees=True)
    rows = reading.rows(X)
    columns = [_safe_indexing(rows, j, axis=1) for j in feature_indices(features, reading.names)]
    return [np.asarray(column) for column in columns]


def _grid(reading, rows, j, grid_resolution, percentiles):
    """Rows of the model's table that run through the values of a column, and those values."""
    if reading.tail:
        return _observed_grid(reading, rows, j, grid_resolution, percentiles)
    model, table = reading.model, reading.table(rows)
    values = np.unique(table[~np.isnan(table[:, j]), j])
    if len(values) == 0:
        raise ValueError(f"Column {j} of X has no values to make a grid of.")
    labels = values
    if model.encoder_ is not None and model.is_categorical_[j]:
        categories = model.encoder_.categories_[
            np.flatnonzero(model.is_categorical_).tolist().index(j)
        ]
        labels = np.asarray(categories)[values.astype(int)]
    elif len(values) > grid_resolution:
        values = labels = 4.0 * _quartered_grid(
            table[~np.isnan(table[:, j]), j], grid_resolution, percentiles
        )
    grid = np.full((len(values), table.shape[1]), np.nan)
    grid[:, j] = values
    return grid, labels


def _quartered_grid(values, grid_resolution, percentiles):
    """Quarters of evenly spaced values: floats hold their differences even where they end."""
    low, high = np.quantile(values / 4.0, percentiles)
    return np.linspace(low, high, grid_resolution)


def _observed_grid(reading, rows, j, grid_resolution, percentiles):
    """The same before a pipeline, which may take only what its steps know: rows of X."""
    column = np.asarray(_safe_indexing(rows, j, axis=1))
    numeric = column.dtype.kind in "fiu"
    # What does not equal itself is missing, in any container.
    known = np.flatnonzero([value is not None and value == value for value in column])
    if len(known) == 0:
        raise ValueError(f"Column {j} of X has no values to make a grid of.")
    present = column[known] if numeric else column[known].astype(str)
    values, first = np.unique(present, return_index=True)
    if numeric and len(values) > grid_resolution:
        wanted, quarter = _quartered_grid(present, grid_resolution, percentiles), values / 4.0
        right = np.searchsorted(quarter, wanted).clip(1, len(values) - 1)
        nearer = wanted - quarter[right - 1] < quarter[right] - wanted
        chosen = np.unique(right - nearer)
        values, first = values[chosen], first[chosen]
    return reading.table(_safe_indexing(rows, known[first])), values
