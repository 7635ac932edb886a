"""Transformers that move the pixels of flattened images, or put some around them."""

from math import prod
from numbers import Integral, Real
from typing import Any, Self

import numpy as np
from numpy.typing import ArrayLike
from sklearn.base import _fit_context
from sklearn.utils._param_validation import Interval, StrOptions
from sklearn.utils.validation import _check_feature_names_in, check_is_fitted

from sktn.annotations import Data
from sktn.fitted import blank
from sktn.image.base import ImageTransformer, check_width, is_whole, pair_of, windows
from sktn.image.paths import PATHS, pixel_path


class _PixelGather(ImageTransformer):
    """Transformers that move pixels: `index_` says where each output comes from, -1 is padding."""

    @_fit_context(prefer_skip_nested_validation=True)
    def fit(self, X: Data, y: ArrayLike | None = None) -> Self:
        """Learn where the pixels go, from the shape of the images alone.

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
        grid = np.arange(model.n_features_in_).reshape(model._resolve_shape())
        model.image_shape_ = grid.shape
        model.index_ = model._gather(grid).ravel()
        self.__dict__ = vars(model)
        return self

    def transform(self, X: Data) -> Any:
        """Move the pixels.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)

        Returns
        -------
        X : ndarray of shape (n_samples, n_features_out)
        """
        check_is_fitted(self)
        rows = self._read(X, reset=False)
        moved = rows[:, self.index_]
        padding = self.index_ < 0
        if padding.any():
            fill = getattr(self, "fill_value", 0.0)
            if np.isfinite(fill) and abs(fill) > float(np.finfo(rows.dtype).max):
                raise ValueError(
                    f"fill_value={fill!r} is beyond the range of X, which is {rows.dtype}: choose "
                    "a smaller one, or pass X in float64."
                )
            moved[:, padding] = fill
        return moved

    def inverse_transform(self, X: Data) -> Any:
        """Move the pixels back; padding is dropped.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features_out)

        Returns
        -------
        X : ndarray of shape (n_samples, n_features_in_)
        """
        check_is_fitted(self)
        rows = check_width(X, len(self.index_))
        real = self.index_ >= 0
        moved = np.empty((len(rows), self.n_features_in_), rows.dtype)
        moved[:, self.index_[real]] = rows[:, real]
        return moved

    def get_feature_names_out(self, input_features: ArrayLike | None = None) -> np.ndarray:
        """Names of the moved columns: those they had, and "padding0", ... for new ones.

        Parameters
        ----------
        input_features : array-like of str, default=None

        Returns
        -------
        names : ndarray of str
        """
        check_is_fitted(self, "n_features_in_")
        names = _check_feature_names_in(self, input_features)
        new = self.index_ < 0
        out = names[self.index_]
        out[new] = [f"padding{k}" for k in range(new.sum())]
        return out


class PixelOrder(_PixelGather):
    """Order the pixels of flattened images along a path.

    Parameters
    ----------
    image_shape : tuple of int, default=None
        (height, width) or (height, width, channels), one of which may be -1; the channels of a
        pixel stay together. None: square and of one channel.
    order : {"snake", "row", "zigzag", "spiral", "hilbert"}, default="snake"
        See :func:`pixel_path`.

    Attributes
    ----------
    index_ : ndarray of shape (n_features_in_,)
        Where every column of the result comes from.
    image_shape_ : tuple of three int
    n_features_in_ : int
    feature_names_in_ : ndarray of shape (n_features_in_,)

    See Also
    --------
    PixelPatches : Patch by patch, for models with several pixels on a site.

    Examples
    --------
    >>> from sklearn.datasets import load_digits
    >>> from sklearn.pipeline import make_pipeline
    >>> from sktn import MPSClassifier, PixelOrder
    >>> X, y = load_digits(n_class=2, return_X_y=True)
    >>> model = make_pipeline(
    ...     PixelOrder(order="hilbert"),
    ...     MPSClassifier(degree=2, scaling="minmax", feature_order="given", random_state=0))
    >>> model.fit(X, y).score(X, y) > 0.99
    True
    """

    _parameter_constraints: dict = {
        "image_shape": ["array-like", None],
        "order": [StrOptions(set(PATHS))],
    }

    def __init__(self, image_shape=None, *, order="snake"):
        self.image_shape = image_shape
        self.order = order

    def _gather(self, grid):
        height, width, channels = grid.shape
        return grid.reshape(-1, channels)[pixel_path(height, width, self.order)]


class PixelPadding(_PixelGather):
    """Pad flattened images to a larger size, the image in the middle.

    Parameters
    ----------
    image_shape : tuple of int, default=None
        As in :class:`PixelOrder`.
    padded_shape : tuple of two int, default=None
        Height and width of the result; None: the smallest square whose side is a power of two.
    fill_value : float, default=0.0
        Value of the pixels that are added.

    Attributes
    ----------
    index_ : ndarray of shape (n_features_out,)
        Where every column of the result comes from, -1 for padding.
    image_shape_ : tuple of three int
    n_features_in_ : int
    feature_names_in_ : ndarray of shape (n_features_in_,)

    Examples
    --------
    >>> import numpy as np
    >>> from sktn import PixelPadding
    >>> PixelPadding(padded_shape=(3, 3)).fit_transform(np.arange(1.0, 5)[None]).reshape(3, 3)
    array([[1., 2., 0.],
           [3., 4., 0.],
           [0., 0., 0.]])
    """

    _parameter_constraints: dict = {
        "image_shape": ["array-like", None],
        "padded_shape": ["array-like", None],
        "fill_value": [Real],
    }

    def __init__(self, image_shape=None, *, padded_shape=None, fill_value=0.0):
        self.image_shape = image_shape
        self.padded_shape = padded_shape
        self.fill_value = fill_value

    def _gather(self, grid):
        height, width, _ = grid.shape
        if self.padded_shape is None:
            side = 1 << (max(height, width) - 1).bit_length()
            more = side - height, side - width
        else:
            shape = tuple(self.padded_shape)
            more = -1, -1
            if len(shape) == 2 and all(map(is_whole, shape)):
                more = int(shape[0]) - height, int(shape[1]) - width
        if min(more) < 0:
            raise ValueError(
                "padded_shape must be the height and the width of the result, at least "
                f"{(height, width)}; got {self.padded_shape!r}."
            )
        ends = [(k // 2, k - k // 2) for k in more]
        return np.pad(grid, [*ends, (0, 0)], constant_values=-1)


class PixelPatches(_PixelGather):
    """Bring the pixels of every patch of an image together.

    For embeddings that read several columns on one site, such as
    :class:`sktn.embeddings.Product` and :class:`sktn.embeddings.Amplitude`. Patches do not overlap;
    at the right and lower border they are filled up with `fill_value`.

    Parameters
    ----------
    image_shape : tuple of int, default=None
        As in :class:`PixelOrder`; a patch holds all channels of its pixels.
    patch_shape : int or tuple of two int, default=2
        Height and width of a patch.
    order : {"snake", "row", "zigzag", "spiral", "hilbert"}, default="snake"
        Path through the patches; see :func:`pixel_path`.
    fill_value : float, default=0.0
        Value of the pixels that are added.

    Attributes
    ----------
    index_ : ndarray of shape (n_features_out,)
        Where every column of the result comes from, -1 for padding.
    patch_size_ : int
        Columns of a patch: the channels that the embedding must read.
    image_shape_ : tuple of three int
    n_features_in_ : int
    feature_names_in_ : ndarray of shape (n_features_in_,)

    Examples
    --------
    >>> import numpy as np
    >>> from sktn import PixelPatches
    >>> PixelPatches((2, 4)).fit_transform(np.arange(8.0)[None])
    array([[0., 1., 4., 5., 2., 3., 6., 7.]])
    """

    _parameter_constraints: dict = {
        "image_shape": ["array-like", None],
        "patch_shape": [Interval(Integral, 1, None, closed="left"), "array-like"],
        "order": [StrOptions(set(PATHS))],
        "fill_value": [Real],
    }

    def __init__(self, image_shape=None, *, patch_shape=2, order="snake", fill_value=0.0):
        self.image_shape = image_shape
        self.patch_shape = patch_shape
        self.order = order
        self.fill_value = fill_value

    def _gather(self, grid):
        patches = windows(grid, pair_of("patch_shape", self.patch_shape), -1)
        rows, columns, *window = patches.shape
        self.patch_size_ = prod(window)
        path = pixel_path(rows, columns, self.order)
        return patches.reshape(rows * columns, -1)[path]
