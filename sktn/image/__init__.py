"""Images as rows of a table: in which order a chain reads the pixels, and what one site is made of.

A chain tells its neighbours apart best, so pixels that are close in the image should be close in
the row. Every transformer here reads rows that are flattened images, the last axis fastest, as
``images.reshape(len(images), -1)`` makes them.
"""

from math import prod
from numbers import Integral, Real

import numpy as np
from sklearn.base import (
    BaseEstimator,
    ClassNamePrefixFeaturesOutMixin,
    TransformerMixin,
    _fit_context,
)
from sklearn.utils._param_validation import Interval, StrOptions
from sklearn.utils.validation import _check_feature_names_in, check_is_fitted, validate_data

__all__ = ["PixelOrder", "PixelPadding", "PixelPatches", "PixelPooling", "pixel_path"]

# --- paths through a rectangle --------------------------------------------------------------------


def pixel_path(height, width, order="snake"):
    """The pixels of a rectangle in the order in which a path visits them.

    Parameters
    ----------
    height, width : int
    order : {"row", "snake", "zigzag", "spiral", "hilbert"}, default="snake"
        "row": line by line. "snake": line by line, every other line backwards, so that consecutive
        pixels are neighbours. "zigzag": along the diagonals, as in JPEG. "spiral": from the border
        to the centre. "hilbert": the Hilbert curve generalised to any rectangle [1]_, which keeps
        most of a neighbourhood together at every scale.

    Returns
    -------
    path : ndarray of shape (height * width,)
        Indices into the flattened image, each once.

    References
    ----------
    .. [1] J. Červený, "Generalized Hilbert space-filling curve for rectangular domains of arbitrary
       sizes", https://github.com/jakubcerveny/gilbert, 2019.

    Examples
    --------
    >>> from sktn.image import pixel_path
    >>> pixel_path(2, 3, "snake")
    array([0, 1, 2, 5, 4, 3])
    """
    if order not in _PATHS:
        raise ValueError(f"order must be one of {', '.join(map(repr, _PATHS))}, got {order!r}.")
    return _PATHS[order](np.arange(height * width).reshape(height, width))


def _snake(grid):
    path = grid.copy()
    path[1::2] = path[1::2, ::-1]
    return path.ravel()


def _zigzag(grid):
    flipped = grid[:, ::-1]
    height, width = grid.shape
    diagonals = [flipped.diagonal(width - 1 - k) for k in range(height + width - 1)]
    return np.concatenate([d if k % 2 else d[::-1] for k, d in enumerate(diagonals)])


def _spiral(grid):
    parts = []
    while grid.size:
        parts.append(grid[0])
        grid = np.rot90(grid[1:])
    return np.concatenate(parts)


def _hilbert(grid):
    height, width = grid.shape
    if width >= height:
        cells = _hilbert_cells(np.zeros(2, int), np.array([0, width]), np.array([height, 0]))
    else:
        cells = _hilbert_cells(np.zeros(2, int), np.array([height, 0]), np.array([0, width]))
    return np.array([grid[tuple(cell)] for cell in cells])


def _hilbert_cells(corner, along, across):
    """Cells of the rectangle spanned by two axis-parallel vectors, from `corner` to the other end
    of `along`: one step long, or three smaller rectangles (two of a long one) in turn."""
    length, depth = abs(along.sum()), abs(across.sum())
    step_along, step_across = np.sign(along), np.sign(across)
    if depth == 1:
        return [corner + k * step_along for k in range(length)]
    if length == 1:
        return [corner + k * step_across for k in range(depth)]
    half_along, half_across = _half(along), _half(across)
    if 2 * length > 3 * depth:
        # Even steps keep the path from having to move diagonally.
        if abs(half_along.sum()) % 2 and length > 2:
            half_along = half_along + step_along
        return [
            *_hilbert_cells(corner, half_along, across),
            *_hilbert_cells(corner + half_along, along - half_along, across),
        ]
    if abs(half_across.sum()) % 2 and depth > 2:
        half_across = half_across + step_across
    return [
        *_hilbert_cells(corner, half_across, half_along),
        *_hilbert_cells(corner + half_across, along, across - half_across),
        *_hilbert_cells(
            corner + along - step_along + half_across - step_across,
            -half_across,
            half_along - along,
        ),
    ]


def _half(vector):
    # Towards minus infinity, as the published construction has it.
    return vector // 2


_PATHS = {
    "row": np.ravel,
    "snake": _snake,
    "zigzag": _zigzag,
    "spiral": _spiral,
    "hilbert": _hilbert,
}

# --- transformers ---------------------------------------------------------------------------------


class _ImageTransformer(TransformerMixin, BaseEstimator):
    """Rows that are images: the shape of one, and validation."""

    def _read(self, X, *, reset):
        return validate_data(
            self, X, reset=reset, dtype=[np.float64, np.float32], ensure_all_finite="allow-nan"
        )

    def _resolve_shape(self):
        """(height, width, channels), one -1 inferred from the number of columns."""
        n = self.n_features_in_
        if self.image_shape is None:
            side = round(n**0.5)
            if side * side != n:
                raise ValueError(
                    f"X has {n} columns, which is no square: give image_shape=(height, width) or "
                    "(height, width, channels); one of them may be -1."
                )
            return side, side, 1
        shape = [int(k) for k in self.image_shape]
        if len(shape) not in (2, 3) or shape.count(-1) > 1 or any(k < 1 and k != -1 for k in shape):
            raise ValueError(
                "image_shape must be (height, width) or (height, width, channels) of positive "
                f"numbers, one of which may be -1; got {self.image_shape!r}."
            )
        known = prod(k for k in shape if k != -1)
        if -1 in shape and n % known == 0:
            shape[shape.index(-1)] = n // known
        if -1 in shape or prod(shape) != n:
            raise ValueError(
                f"image_shape={self.image_shape!r} does not fit X, which has {n} columns."
            )
        return (*shape, 1)[:3]

    def __sklearn_tags__(self):
        tags = super().__sklearn_tags__()
        tags.input_tags.allow_nan = True
        tags.transformer_tags.preserves_dtype = ["float64", "float32"]
        return tags


class _PixelGather(_ImageTransformer):
    """Transformers that move pixels: `index_` says where each output comes from, -1 is padding."""

    @_fit_context(prefer_skip_nested_validation=True)
    def fit(self, X, y=None):
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
        self._read(X, reset=True)
        grid = np.arange(self.n_features_in_).reshape(self._resolve_shape())
        self.image_shape_ = grid.shape
        self.index_ = self._gather(grid).ravel()
        return self

    def transform(self, X):
        """Move the pixels.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)

        Returns
        -------
        X : ndarray of shape (n_samples, n_features_out)
        """
        check_is_fitted(self)
        X = self._read(X, reset=False)
        moved = X[:, self.index_]
        moved[:, self.index_ < 0] = getattr(self, "fill_value", 0.0)
        return moved

    def inverse_transform(self, X):
        """Move the pixels back; padding is dropped.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features_out)

        Returns
        -------
        X : ndarray of shape (n_samples, n_features_in_)
        """
        check_is_fitted(self)
        X = _check_width(X, len(self.index_))
        real = self.index_ >= 0
        moved = np.empty((len(X), self.n_features_in_), X.dtype)
        moved[:, self.index_[real]] = X[:, real]
        return moved

    def get_feature_names_out(self, input_features=None):
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


def _check_width(X, width):
    X = np.asarray(X)
    if X.ndim != 2 or X.shape[1] != width:
        raise ValueError(f"X has shape {X.shape}, but {width} columns were expected.")
    return X


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
        "order": [StrOptions(set(_PATHS))],
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
            more = tuple(int(k) - m for k, m in zip(self.padded_shape, grid.shape, strict=False))
        if len(more) != 2 or min(more) < 0:
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
        "order": [StrOptions(set(_PATHS))],
        "fill_value": [Real],
    }

    def __init__(self, image_shape=None, *, patch_shape=2, order="snake", fill_value=0.0):
        self.image_shape = image_shape
        self.patch_shape = patch_shape
        self.order = order
        self.fill_value = fill_value

    def _gather(self, grid):
        patches = _windows(grid, _pair("patch_shape", self.patch_shape), -1)
        rows, columns, *window = patches.shape
        self.patch_size_ = prod(window)
        path = pixel_path(rows, columns, self.order)
        return patches.reshape(rows * columns, -1)[path]


class PixelPooling(ClassNamePrefixFeaturesOutMixin, _ImageTransformer):
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
    def fit(self, X, y=None):
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
        self._read(X, reset=True)
        self.image_shape_ = self._resolve_shape()
        self._window = _pair("window", self.window)
        height, width, channels = self.image_shape_
        rows, columns = -(-height // self._window[0]), -(-width // self._window[1])
        self.pooled_shape_ = rows, columns, channels
        self._n_features_out = prod(self.pooled_shape_)
        return self

    def transform(self, X):
        """Pool the images.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)

        Returns
        -------
        X : ndarray of shape (n_samples, n_features_out)
        """
        check_is_fitted(self)
        X = self._read(X, reset=False)
        images = np.moveaxis(X.reshape(-1, *self.image_shape_), 0, -2)
        # (rows, columns, window height, window width, samples, channels)
        windows = _windows(images, self._window, np.nan)
        if self.statistic == "max":
            pooled = np.fmax.reduce(windows, axis=(2, 3))
        else:
            count = (~np.isnan(windows)).sum(axis=(2, 3))
            total = np.nansum(windows, axis=(2, 3))
            pooled = np.where(count > 0, total / np.maximum(count, 1).astype(X.dtype), np.nan)
        return np.moveaxis(pooled, -2, 0).reshape(len(X), -1).astype(X.dtype, copy=False)

    def inverse_transform(self, X):
        """Images that are constant in every window, and pool to X.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features_out)

        Returns
        -------
        X : ndarray of shape (n_samples, n_features_in_)
        """
        check_is_fitted(self)
        X = _check_width(X, self._n_features_out).reshape(-1, *self.pooled_shape_)
        height, width, _ = self.image_shape_
        images = X.repeat(self._window[0], axis=1)[:, :height]
        images = images.repeat(self._window[1], axis=2)[:, :, :width]
        return images.reshape(len(X), -1)


def _windows(grid, window, fill):
    """Non-overlapping windows: grid (h, w, ...) -> (rows, columns, window height, width, ...)"""
    (p, q), (height, width, *rest) = window, grid.shape
    ends = [(0, -height % p), (0, -width % q), *[(0, 0)] * len(rest)]
    grid = np.pad(grid, ends, constant_values=fill)
    rows, columns = grid.shape[0] // p, grid.shape[1] // q
    return grid.reshape(rows, p, columns, q, *rest).swapaxes(1, 2)


def _pair(name, value):
    """A number, or two of them, as (height, width)."""
    pair = (value, value) if isinstance(value, Integral) else tuple(value)
    if len(pair) != 2 or any(int(k) != k or k < 1 for k in pair):
        raise ValueError(f"{name} must be one or two positive integers, got {value!r}.")
    return tuple(int(k) for k in pair)
