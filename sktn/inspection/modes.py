"""Of which functions of single columns a predictor is made.

Let one column run through its values and hold the others at those of many rows: the responses,
centred, span the functions of that column which the predictor combines with the others. Their
principal components are the factor of the column in the higher-order singular value decomposition
of the predictor (De Lathauwer, De Moor and Vandewalle, 2000), the best basis of a given size: steps
where a tree has steps, curves where a kernel is smooth.
"""

from dataclasses import dataclass
from typing import ClassVar

import jax.numpy as jnp
import numpy as np
from sklearn.base import BaseEstimator, OneToOneFeatureMixin, TransformerMixin
from sklearn.utils.validation import check_is_fitted, validate_data

from sktn.inspection.rows import column_values, mixed_rows, observed_index

# Singular values below this share of a column's largest are rounding errors of the predictor.
_NOISE = 1e-6


class ColumnPositions(OneToOneFeatureMixin, TransformerMixin, BaseEstimator):
    """Every value as its place on a grid of the column's values, the grids one after the other.

    Between two values of the grid places are interpolated; a level that is not on the grid and a
    missing value have none (NaN).

    Parameters
    ----------
    n_values : int, default=128
        Largest size of the grid of a numeric column, at equal steps of probability.

    Attributes
    ----------
    grids_ : list of ndarray
        The values, ascending numbers or levels.
    rows_ : list of ndarray of int
        A training row that has each of them.
    masses_ : list of ndarray
        The share of the training rows that is nearest to each of them.
    starts_ : ndarray of shape (n_features + 1,)
        The places at which the grids begin, and the end.
    n_features_in_ : int
    feature_names_in_ : ndarray of str
    """

    # Readings go back to the columns before it.
    _column_to_column = True

    def __init__(self, n_values=128):
        self.n_values = n_values

    def fit(self, X, y=None):
        """Learn the grids.

        Parameters
        ----------
        X : array-like or data frame of shape (n_samples, n_features)
        y : Ignored

        Returns
        -------
        self : object
        """
        validate_data(self, X, reset=True, skip_check_array=True)
        grids = [_grid(column_values(X, j), self.n_values) for j in range(self.n_features_in_)]
        self.grids_, self.rows_, self.masses_ = map(list, zip(*grids, strict=True))
        self.starts_ = np.cumsum([0, *map(len, self.grids_)])
        return self

    def transform(self, X):
        """The places.

        Parameters
        ----------
        X : array-like or data frame of shape (n_samples, n_features)

        Returns
        -------
        places : ndarray of shape (n_samples, n_features)
        """
        check_is_fitted(self)
        validate_data(self, X, reset=False, skip_check_array=True)
        places = [
            start + _places(column_values(X, j), grid)
            for j, (start, grid) in enumerate(zip(self.starts_[:-1], self.grids_, strict=True))
        ]
        return np.stack(places, axis=1)


@dataclass(frozen=True, eq=False)
class ColumnFunctions:
    """The embedding of a place on concatenated grids: a row of a table, interpolated in between.

    Attributes
    ----------
    table : ndarray of shape (n_places, d)
        The functions of every column on its grid, the constant first.
    """

    table: np.ndarray

    name: ClassVar[str] = "column_functions"
    channels: ClassVar[int] = 1
    constant: ClassVar[int | None] = 0

    @property
    def dim(self):
        return self.table.shape[1]

    @property
    def domain(self):
        return 0.0, float(max(1, len(self.table) - 1))

    @property
    def degrees(self):
        """Functions of less variance count as rougher."""
        return tuple(float(k) for k in range(self.dim))

    def evaluate(self, z):
        xp = np if isinstance(z, np.ndarray) else jnp
        table = xp.asarray(self.table.astype(z.dtype))
        low = xp.clip(xp.floor(z[..., 0]), 0, len(self.table) - 2).astype(int)
        share = z - low[..., None]
        return (1 - share) * table[low] + share * table[low + 1]


def column_functions(scores, X, positions, n_rows, n_functions, rng, permuted=True):
    """The functions of every column, and how much the scores vary along it.

    scores: table -> (b, c); X training rows; positions: fitted ColumnPositions
    -> table (n_places, 1 + n_functions), variances (n_features,)
    """
    N, n = len(X), positions.n_features_in_
    around = observed_index(rng.integers(N, size=n_rows), n)
    if permuted:
        # Half of the rows as they are, so that both kinds of rows are known.
        around[::2] = rng.integers(N, size=around[::2].shape)
    tables, variances = [], np.zeros(n)
    for j, (rows, mass) in enumerate(zip(positions.rows_, positions.masses_, strict=True)):
        table = np.zeros((len(rows), 1 + n_functions))
        table[:, 0] = 1
        if len(rows) > 1:
            index = np.repeat(around, len(rows), axis=0)
            index[:, j] = np.tile(rows, n_rows)
            responses = scores(mixed_rows(X, index)).reshape(n_rows, len(rows), -1)
            responses = responses.transpose(0, 2, 1).reshape(-1, len(rows))
            functions, variances[j] = _components(responses, mass, n_functions)
            table[:, 1 : 1 + functions.shape[1]] = functions
        tables.append(table)
    return np.concatenate(tables), variances


def _components(responses, mass, n_functions):
    """Principal components of functions on a grid, and the variance along it.

    responses (m, G), mass (G,) -> (G, r), ()
    """
    centred = responses - (responses @ mass)[:, None]
    _, sigma, functions = np.linalg.svd(centred * np.sqrt(mass), full_matrices=False)
    kept = sigma > _NOISE * sigma[0]
    # A column that does nothing leaves what rounding makes of the scores.
    kept &= sigma > _NOISE**1.5 * np.linalg.norm(responses)
    variance = np.sum(sigma[kept] ** 2) / len(responses)
    kept = np.flatnonzero(kept)[:n_functions]
    return (functions[kept] / np.sqrt(mass)).T, variance


def _grid(column, n_values):
    """-> values (G,), a row that has each (G,), their masses (G,)"""
    numeric = column.dtype.kind in "fiub"
    # What does not equal itself is missing, in any container.
    known = np.flatnonzero([value is not None and value == value for value in column])
    if len(known) == 0:
        return np.zeros(1), np.zeros(1, dtype=int), np.ones(1)
    present = column[known] if numeric else column[known].astype(str)
    values, first, inverse, counts = np.unique(
        present, return_index=True, return_inverse=True, return_counts=True
    )
    if not numeric or len(values) <= n_values:
        return values, known[first], counts / len(known)
    middle = np.cumsum(counts) - counts / 2
    wanted = np.linspace(middle[0], middle[-1], n_values)
    chosen = np.unique(np.searchsorted(middle, wanted).clip(max=len(values) - 1))
    values = values.astype(np.float64)
    borders = (values[chosen][1:] + values[chosen][:-1]) / 2
    nearest = np.searchsorted(borders, values[inverse])
    mass = np.bincount(nearest, minlength=len(chosen)) / len(known)
    return values[chosen], known[first[chosen]], mass


def _places(column, grid):
    """Places on one grid, counted from 0; NaN for what has none."""
    if grid.dtype.kind in "fiub":
        column = column.astype(np.float64)
        # np.interp keeps NaN.
        return np.interp(column, grid.astype(np.float64), np.arange(len(grid)))
    place = {level: k for k, level in enumerate(grid)}
    return np.array([place.get(str(value), np.nan) for value in column], dtype=np.float64)
