"""The derivative of a score with respect to the values of the columns."""

from dataclasses import replace
from typing import Any

import numpy as np

from sktn.annotations import Data
from sktn.chains.members import in_unit_scale, networks_of
from sktn.inspection.reading import read_model
from sktn.networks import chain as chains
from sktn.tables.basis import embed

# Seven points of this spacing, as a share of the domain, span the polynomial whose slope is taken:
# its error is of the order of spacing^6, that of rounding 1e-16 / spacing.
_SPACING = 2e-3
_POINTS = np.arange(-3, 4)


def input_gradient(model: Any, X: Data) -> np.ndarray:
    """The derivative of the score with respect to every numeric value.

    Parameters
    ----------
    model : MPSClassifier, MPSRegressor or one of their CV versions
        Fitted, alone, at the end of a pipeline or chosen by a search.
    X : array-like or data frame of shape (n_samples, n_features)
        Where the slopes are taken.

    Returns
    -------
    gradient : ndarray of shape (n_samples, n_features) or (n_samples, n_features, n_outputs)
        Score per unit of the column. 0 for categorical columns, missing values and values beyond
        the training range, where the score is constant. With scaling "quantile", "blended" or
        "mixed" the slope of the rank is that of the straight piece between two training values. No
        slope is steeper than the largest float. Behind a pipeline per unit of the column that
        reaches the model.

    Examples
    --------
    >>> import numpy as np
    >>> from sktn import MPSRegressor
    >>> from sktn.inspection import input_gradient
    >>> X = np.random.default_rng(0).uniform(-1, 1, size=(300, 2))
    >>> model = MPSRegressor(scaling="minmax", random_state=0).fit(X, X[:, 0] * X[:, 1])
    >>> bool(abs(input_gradient(model, [[0.5, 0.2]])[0, 0] - 0.2) < 0.05)
    True
    """
    reading = read_model(model)
    members, scale = in_unit_scale(networks_of(reading.model))
    table = reading.table(reading.rows(X))
    n_outputs = len(members[0].scale)
    gradient = np.zeros((len(table), len(reading.names), n_outputs))
    for member in members:
        outputs, order, _ = member.outputs()
        coords = member.columns.transform(table)
        phi = embed(member.basis, coords)[:, order]
        slopes = member.columns.slopes(table)
        # Between values that are next to each other as floats a slope ends where floats end.
        unit = np.maximum(np.abs(slopes).max(axis=-1), np.finfo(np.float64).tiny)
        slopes = slopes / unit[..., None]
        moved = np.einsum("bnkd,bnk->bnd", _embedding_slopes(member.basis, coords), slopes)
        place = reading.place(member.column_order(order))
        for c, chain in enumerate(outputs):
            slope = chains.gradient(chain, phi, moved[:, order])
            with np.errstate(over="ignore"):
                gradient[:, place, c] += member.weight * slope * unit[:, order] * scale
    gradient = np.nan_to_num(gradient)
    return gradient[..., 0] if n_outputs == 1 else gradient


def _embedding_slopes(basis, coords):
    """d phi / d z of every channel, by the polynomial through seven neighbouring points.

    The points lie inside the domain, which is all that an embedding need be defined on.

    basis Basis, coords (b, n, channels) -> (b, n, channels, d), 0 where missing
    """
    low, high = basis.embedding.domain
    h = _SPACING * (high - low)
    known = np.nan_to_num(coords, nan=low)
    centre = np.clip(known, low - h * _POINTS[0], high - h * _POINTS[-1])
    # Weights of the values at the points in the slope at t: V^T w = (p_k'(t))_k.
    powers = np.arange(len(_POINTS))
    t = ((known - centre) / h)[..., None]
    derivative = powers * t ** np.maximum(powers - 1, 0)
    weights = derivative @ np.linalg.inv(np.vander(_POINTS, increasing=True)) / h
    # Without bound: a component that is cut at it has the slope of its continuation.
    free = replace(basis, bound=np.asarray(np.inf))
    out = np.zeros((*coords.shape, basis.dim))
    for channel in range(coords.shape[2]):
        for k, point in enumerate(_POINTS):
            moved = known.copy()
            moved[..., channel] = centre[..., channel] + h * point
            moved[:, basis.sites] = 0  # the first level, whose slope is left out below
            out[:, :, channel] += weights[:, :, channel, k, None] * embed(free, moved)
    out[:, basis.sites] = 0
    return np.where(np.isnan(coords).any(axis=-1)[..., None, None], 0.0, out)
