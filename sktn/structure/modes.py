"""The modes of a tensor: shapes of samples, modes of length one, and what bonds they can carry."""

from itertools import combinations
from math import prod
from numbers import Integral

import numpy as np

__all__ = [
    "bond_matrix",
    "capacity",
    "carried",
    "ordered",
    "small_modes",
    "squeezed",
    "unsqueezed",
    "whole_shape",
]


def small_modes(n_features, largest=16):
    """Factors of a number, grouped into modes of at most ``largest``; a prime stays one mode.

    n_features int -> tuple of int
    """
    rest, factors, p = n_features, [], 2
    while p * p <= rest:
        while rest % p == 0:
            factors.append(p)
            rest //= p
        p += 1
    if rest > 1:
        factors.append(rest)
    modes = []
    for factor in sorted(factors, reverse=True):
        fits = [m for m in modes if m * factor <= largest]
        if fits:
            modes[modes.index(min(fits))] *= factor
        else:
            modes.append(factor)
    return tuple(sorted(modes, reverse=True)) or (1,)


def whole_shape(tensor_shape, n_entries):
    """A sample's shape as given by a user, one -1 standing for what is left.

    tensor_shape sequence of int or None, n_entries of a sample -> tuple of int
    """
    if tensor_shape is None:
        return small_modes(n_entries)
    given = list(np.atleast_1d(np.asarray(tensor_shape, dtype=object)))
    whole = all(isinstance(n, Integral) and not isinstance(n, bool) for n in given)
    if not whole or not given or any(n < 1 and n != -1 for n in given) or given.count(-1) > 1:
        raise ValueError(
            f"tensor_shape={tensor_shape!r} is no shape: give positive integers, one of which may "
            "be -1 for what is left."
        )
    shape = tuple(int(n) for n in given)
    if -1 in shape:
        known = -prod(shape)
        shape = tuple(n_entries // known if n == -1 else n for n in shape)
    if prod(shape) != n_entries:
        raise ValueError(
            f"tensor_shape={tuple(given)} has {prod(shape)} entries, but a sample of X has "
            f"{n_entries}. Give a shape whose product is {n_entries}, or None."
        )
    return shape


def squeezed(shape):
    """Modes longer than one: a mode of one entry has no bonds worth having."""
    return [k for k, length in enumerate(shape) if length > 1]


def unsqueezed(cores, kept, shape):
    """Give modes of length one their own (constant) cores back.

    cores one per kept mode, shape (N,) -> N arrays of N axes
    """
    full = []
    for k, length in enumerate(shape):
        axes = [1] * len(shape)
        axes[k] = length
        if k in kept:
            core = cores[kept.index(k)]
            for axis, j in enumerate(kept):
                axes[j] = core.shape[axis]
            full.append(core.reshape(axes))
        else:
            full.append(np.ones(axes, dtype=cores[0].dtype if cores else float))
    return full


def capacity(sizes):
    """Widest bond between every two modes that is not redundant whatever the other bonds are.

    A bond of core k need not be wider than all other modes together: with one as wide, the
    network already carries every tensor.

    sizes (N,) -> (N, N) integers, ones on the diagonal
    """
    rest = np.array([prod(sizes) // size for size in sizes], dtype=object)
    widest = np.minimum.outer(rest, rest)
    np.fill_diagonal(widest, 1)
    return np.minimum(widest, np.iinfo(np.int32).max).astype(int)


def carried(sizes, R):
    """Bonds without what is redundant beside the others.

    A bond of core k need not be wider than its mode and its other bonds together: the core, with
    that bond against all else, has no more rows than that which are independent.

    sizes (N,), R (N, N) -> (N, N)
    """
    R = np.minimum(R, capacity(sizes)).astype(object)
    shrunk = True
    while shrunk:
        shrunk = False
        for i, j in sorted(combinations(range(len(sizes)), 2), key=lambda pair: -R[pair]):
            limit = min(sizes[k] * prod(R[k]) // R[i, j] for k in (i, j))
            if R[i, j] > limit:
                R[i, j] = R[j, i] = limit
                shrunk = True
    return R.astype(int)


def ordered(given, shape, least=16):
    """Modes with a spatial or temporal order: those of at least 16 entries, or those named.

    given "auto" or integers, shape (N,) -> list of modes
    """
    order = len(shape)
    if isinstance(given, str):
        return [k for k, length in enumerate(shape) if length >= least]
    if not all(isinstance(k, Integral) and -order <= k < order for k in given):
        raise ValueError(
            f"ordered_modes={list(given)} names a mode outside the {order} modes of X. "
            "Count from 0, the samples."
        )
    return sorted({int(k) % order for k in given})


def bond_matrix(bonds, order, name="bond_dims"):
    """Checked bond dimensions.

    bonds array-like (N, N) -> (N, N) integers, ones on the diagonal
    """
    R = np.asarray(bonds)
    if R.shape != (order, order) or not np.issubdtype(R.dtype, np.integer):
        raise ValueError(
            f"{name} has shape {R.shape} and dtype {R.dtype}; X has {order} modes: give an "
            f"integer matrix of shape ({order}, {order})."
        )
    R = R.astype(int)
    np.fill_diagonal(R, 1)
    if (R < 1).any() or (R != R.T).any():
        raise ValueError(f"{name} must be symmetric with entries of at least 1 (1: no edge).")
    return R
