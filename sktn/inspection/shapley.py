"""Shapley values: how much each feature moved the score of each row."""

from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from sktn.annotations import Data
from sktn.chains.members import in_unit_scale, in_units, networks_of, output_names
from sktn.inspection.background import averaged
from sktn.inspection.reading import read_model
from sktn.networks.readings import kernels_of


@dataclass(frozen=True, eq=False)
class ShapleyValues:
    """What :func:`shapley_values` returns; the fields are named as in the shap package.

    Attributes
    ----------
    values : ndarray of shape (n_samples, n_features) or (n_samples, n_features, n_outputs)
        What each feature moved the score.
    base_values : ndarray of shape (n_samples,) or (n_samples, n_outputs)
        The score averaged over the background.
    data : ndarray of shape (n_samples, n_features)
        The rows explained.
    feature_names, output_names : ndarray of str
        As fitted; classes, or the columns of the target.
    """

    values: np.ndarray
    base_values: np.ndarray
    data: np.ndarray
    feature_names: np.ndarray
    output_names: np.ndarray

    def to_shap(self):
        """The same as a ``shap.Explanation``, for the plots of the shap package.

        Returns
        -------
        explanation : shap.Explanation
        """
        try:
            import shap  # lazy: an optional package
        except ImportError as error:
            raise ImportError(
                "to_shap needs the shap package: pip install 'sktn[explain]'."
            ) from error
        return shap.Explanation(
            self.values,
            self.base_values,
            self.data,
            feature_names=list(self.feature_names),
            output_names=list(self.output_names) if self.values.ndim == 3 else None,
        )


def shapley_values(model: Any, X: Data, *, background: ArrayLike | None = None) -> ShapleyValues:
    """Exact Shapley values: how much each feature moved the score of each row.

    The value of a set S of features is the score with the columns of S as they are in the row and
    the others averaged. No coalition is sampled: the cost is that of a few hundred predictions.

    Parameters
    ----------
    model : MPSClassifier, MPSRegressor, one of their CV versions, TTNClassifier or TTNRegressor
        Fitted, alone, at the end of a pipeline or chosen by a search.
    X : array-like or data frame of shape (n_samples, n_features)
        The rows to explain.
    background : array-like or data frame of shape (n_background, n_features), default=None
        None: columns are averaged independently, over their training distributions. Rows: columns
        are replaced by those of one row at a time, and the values averaged over the rows, as the
        model-agnostic explainers of the shap package do; the cost grows with their number.

    Returns
    -------
    explanation : ShapleyValues
        ``base_values + values.sum(axis=1)`` is the score; of several networks, whose scores are
        averaged here, the mean score, from which the log-odds of a mean of probabilities
        (`decision_function` of an averaging classifier) differ a little.

    See Also
    --------
    interactions : What sets of features do together; with ``order=1`` and ``groups`` the Shapley
        values of groups.

    References
    ----------
    .. [1] Shapley, "A value for n-person games", 1953.
    .. [2] Owen, "Multilinear extensions of games", Management Science, 1972.

    Examples
    --------
    >>> import numpy as np
    >>> from sktn import MPSRegressor
    >>> from sktn.inspection import shapley_values
    >>> X = np.random.default_rng(0).uniform(-1, 1, size=(300, 3))
    >>> model = MPSRegressor(random_state=0).fit(X, X[:, 0] + 3 * X[:, 1] * X[:, 2])
    >>> explanation = shapley_values(model, X[:5])
    >>> score = explanation.base_values + explanation.values.sum(axis=1)
    >>> bool(np.allclose(score, model.predict(X[:5])))
    True
    """
    reading = read_model(model, trees=True)
    members, unit = in_unit_scale(networks_of(reading.model))
    rows = reading.rows(X)
    table = reading.table(rows)
    absent = None if background is None else reading.table(reading.rows(background))
    n_outputs = len(members[0].scale)
    values = np.zeros((len(table), len(reading.names), n_outputs))
    base, offset = np.zeros(n_outputs), np.zeros(n_outputs)
    for member in members:
        outputs, order, mean = member.outputs()
        phi = member.site_vectors(table)[:, order]
        vectors = mean[None] if absent is None else member.site_vectors(absent)[:, order]
        place = reading.place(member.column_order(order))
        for c, chain in enumerate(outputs):
            kernels = kernels_of(chain)
            kernel = partial(kernels.shapley_values, chain)
            values[:, place, c] += member.weight * averaged(kernel, vectors, phi)
            base[c] += np.sum(member.weight / len(vectors) * kernels.evaluate(chain, vectors))
            offset[c] += member.weight * member.offset[c]
    values, base = in_units(values, unit), in_units(base, unit, offset)
    base = np.broadcast_to(base, (len(table), n_outputs)).copy()
    single = n_outputs == 1
    return ShapleyValues(
        values[..., 0] if single else values,
        base[:, 0] if single else base,
        reading.shown(rows),
        reading.names,
        output_names(reading.model),
    )
