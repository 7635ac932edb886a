"""Smaller images: a statistic of every window."""

from math import prod
from numbers import Integral
from typing import Any, Self

import numpy as np
from numpy.typing import ArrayLike
from sklearn.base import ClassNamePrefixFeaturesOutMixin, _fit_context
from sklearn.utils._param_validation import Interval, StrOptions
from sklearn.utils.validation import check_is_fitted

from sktn.annotations import Data
from sktn.fitted import blank
from sktn.image.base import ImageTransformer, check_width, pair_of, windows


class PixelPooling(ClassNamePrefixFeaturesOutMixin, ImageTransformer):
    """Shrink images: the mean or the largest value of every window.

    Parameters
    ----------
    image_shape : tuple of int, default=None
        As in :class:`PixelOrder`; channels are pooled one by one.
    window : int or tuple of two int, default=2
        Height and width of a window. Windows do not overlap; at the right and lower border they
        hold the pixels that there are.
    statistic : {"mean", "max"}, default="mean"
        Over the pixels that are not missing.

    Attributes
    ----------
    image_shape_, pooled_shape_ : tuple of three int
        (height, width, channels) before and after.
    n_features_in_ : int
    feature_names_in_ : ndarray of shape (n_features_in_,)

    Examples
    --------
    >>> import numpy as np
    >>> from sktn import PixelPooling
    >>> PixelPooling((2, 4)).fit_transform(np.arange(8.0)[None])
    array([[2.5, 4.5]])
    """

    _parameter_constraints: dict = {
        "image_shape": ["array-like", None],
        "window": [Interval(Integral, 1, None, closed="left"), "array-like"],
        "statistic": [StrOptions({"mean", "max"})],
    }

    def __init__(self, image_shape=None, *, window=2, statistic="mean"):
        self.image_shape = image_shape
        self.window = window
        self.statistic = statistic

    @_fit_context(prefer_skip_nested_validation=True)
    def fit(self, X: Data, y: ArrayLike | None = None) -> Self:
        """Read the shape of the images.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
            Flattened images.
        y : Ignored

        Returns
        -------
        self : object
        """
        model = blank(self)
        model._read(X, reset=True)
        model.image_shape_ = model._resolve_shape()
        model._window = pair_of("window", self.window)
        height, width, channels = model.image_shape_
        rows, columns = -(-height // model._window[0]), -(-width // model._window[1])
        model.pooled_shape_ = rows, columns, channels
        model._n_features_out = prod(model.pooled_shape_)
        self.__dict__ = vars(model)
        return self

    def transform(self, X: Data) -> Any:
        """Pool the images.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)

        Returns
        -------
        X : ndarray of shape (n_samples, n_features_out)
        """
        check_is_fitted(self)
        rows = self._read(X, reset=False)
        images = np.moveaxis(rows.reshape(-1, *self.image_shape_), 0, -2)
        # (rows, columns, window height, window width, samples, channels)
        tiles = windows(images, self._window, np.nan)
        if self.statistic == "max":
            pooled = np.fmax.reduce(tiles, axis=(2, 3))
        else:
            count = (~np.isnan(tiles)).sum(axis=(2, 3))
            # Divided before they are added: sums of large values leave the range of floats.
            share = tiles / np.maximum(count, 1).astype(rows.dtype)[:, :, None, None]
            pooled = np.where(count > 0, np.nansum(share, axis=(2, 3)), np.nan)
        return np.moveaxis(pooled, -2, 0).reshape(len(rows), -1).astype(rows.dtype, copy=False)

    def inverse_transform(self, X: Data) -> Any:
        """Images that are constant in every window, and pool to X.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features_out)

        Returns
        -------
        X : ndarray of shape (n_samples, n_features_in_)
        """
        check_is_fitted(self)
        pooled = check_width(X, self._n_features_out).reshape(-1, *self.pooled_shape_)
        height, width, _ = self.image_shape_
        images = pooled.repeat(self._window[0], axis=1)[:, :height]
        images = images.repeat(self._window[1], axis=2)[:, :, :width]
        return images.reshape(len(pooled), -1)
