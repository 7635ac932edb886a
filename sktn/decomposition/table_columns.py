"""What goes into an imputer and comes out: new samples in its units, and the columns of a filled
table, empty ones kept or left out, those that tell what was missing."""

from __future__ import annotations

import warnings
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import ArrayLike
from sklearn.utils.validation import _check_feature_names_in, check_is_fitted

from sktn.structure import gaps
from sktn.tables.tensors import read_tensor

if TYPE_CHECKING:
    from sklearn.impute import MissingIndicator


def validated(estimator, X, *, reset):
    """X as an array of floats, NaN where missing, its features those that were fitted."""
    return read_tensor(estimator, gaps.unmasked(X), reset=reset, copy=True)


class TableColumns:
    """Methods of an imputer that knows which columns were `_empty` when it was fitted."""

    keep_empty_features: bool
    add_indicator: bool
    indicator_: MissingIndicator
    location_: np.ndarray
    scale_: np.ndarray
    sample_shape_: tuple
    _empty: np.ndarray

    def _units(self):
        return gaps.Units(self.location_, self.scale_)

    def _read(self, X):
        """New samples as they are and in units of the scale, and which of their entries count."""
        X = validated(self, X, reset=False)
        if X.shape[1:] != self.sample_shape_:
            raise ValueError(
                f"X has samples of shape {X.shape[1:]}, but {type(self).__name__} was fitted on "
                f"samples of shape {self.sample_shape_}."
            )
        known = ~np.isnan(X)
        if X.ndim == 2:  # A column that the fit has not seen has no scale to be read in.
            known &= ~self._empty
        return X, self._units().standard(X), known

    def _warn_of_empty_columns(self):
        if not self._empty.any():
            return
        names = _check_feature_names_in(self)[self._empty].tolist()
        if self.keep_empty_features:
            value = self.location_[self._empty][0]
            done = f"They are filled with the mean of all observed entries, {value:.6g}."
        else:
            done = "They are left out; keep_empty_features=True keeps them."
        warnings.warn(f"No entry of the columns {names} is observed. {done}", stacklevel=4)

    def _output(self, X, values):
        """Filled data, with the columns that a table is to have."""
        if X.ndim == 2 and not self.keep_empty_features:
            values = values[:, ~self._empty]
        if self.add_indicator:
            values = np.hstack([values, self.indicator_.transform(X).astype(values.dtype)])
        return values

    def get_feature_names_out(self, input_features: ArrayLike | None = None) -> np.ndarray:
        """Names of the columns that ``transform`` returns.

        Parameters
        ----------
        input_features : array-like of str, default=None
            Names of the columns of X, if it had none; else they must be the same.

        Returns
        -------
        names : ndarray of str
            The columns of X, without the empty ones if these are left out, with those of the
            indicator.
        """
        check_is_fitted(self)
        names = _check_feature_names_in(self, input_features)
        kept = names
        if len(self._empty) and not self.keep_empty_features:
            kept = names[~self._empty]
        if self.add_indicator:
            kept = np.concatenate([kept, self.indicator_.get_feature_names_out(names)])
        return kept
