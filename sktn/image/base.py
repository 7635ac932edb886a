"""Rows that are images: their shape, their windows, validation."""

from math import prod
from numbers import Integral, Real

import numpy as np
from sklearn.base import BaseEstimator, TransformerMixin
from sklearn.utils import check_array

from sktn.documentation import DocLinks
from sktn.structure.gaps import unmasked
from sktn.tables.tensors import read_tensor

_DTYPES = [np.float64, np.float32]


class ImageTransformer(DocLinks, TransformerMixin, BaseEstimator):
    """Rows that are images: the shape of one, and validation."""

    def _read(self, X, *, reset):
        return read_tensor(self, unmasked(X), reset=reset, allow_nd=False)

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
        shape = list(self.image_shape)
        whole = all(is_whole(k) and (k > 0 or k == -1) for k in shape)
        if len(shape) not in (2, 3) or not whole or shape.count(-1) > 1:
            raise ValueError(
                "image_shape must be (height, width) or (height, width, channels) of positive "
                f"numbers, one of which may be -1; got {self.image_shape!r}."
            )
        shape = [int(k) for k in shape]
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


def check_width(X, width):
    """Rows that a transformer may have made: numbers and gaps, of so many columns."""
    if len(shape := np.shape(X)) != 2 or shape[1] != width:
        raise ValueError(f"X has shape {shape}, but {width} columns were expected.")
    return check_array(unmasked(X), dtype=_DTYPES, ensure_all_finite=False)


def is_whole(value):
    return isinstance(value, Real) and float(value).is_integer()


def windows(grid, window, fill):
    """Non-overlapping windows: grid (h, w, ...) -> (rows, columns, window height, width, ...)"""
    (p, q), (height, width, *rest) = window, grid.shape
    ends = [(0, -height % p), (0, -width % q), *[(0, 0)] * len(rest)]
    grid = np.pad(grid, ends, constant_values=fill)
    rows, columns = grid.shape[0] // p, grid.shape[1] // q
    return grid.reshape(rows, p, columns, q, *rest).swapaxes(1, 2)


def pair_of(name, value):
    """A number, or two of them, as (height, width)."""
    pair = (value, value) if isinstance(value, Integral) else tuple(value)
    if len(pair) != 2 or not all(is_whole(k) and k > 0 for k in pair):
        raise ValueError(f"{name} must be one or two positive integers, got {value!r}.")
    return tuple(int(k) for k in pair)
