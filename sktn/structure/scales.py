"""Coarse-graining of tensors on ordered modes, and the lift of coarse networks to finer scales.

Averaging pairs is the block-spin step of a renormalization group: what varies within a block is
integrated out, what is left is a smaller tensor of the same order with a smoother landscape. Only
modes with an order (space, time, frequency) can be averaged; shuffled ones keep their length.
"""

import numpy as np

__all__ = ["coarsen", "interpolate", "levels", "refine"]


def levels(shape, ordered, n_scales, shortest=8):
    """Number of halvings of every mode per scale, the finest (none) last.

    shape (N,), ordered modes -> list of (N,) tuples
    """
    result = [tuple(0 for _ in shape)]
    for scale in range(1, n_scales):
        halvings = tuple(
            min(scale, max(0, int(np.log2(length / shortest)))) if k in ordered else 0
            for k, length in enumerate(shape)
        )
        if halvings == result[0]:
            break
        result.insert(0, halvings)
    return result


def _halve(X, k):
    moved = np.moveaxis(X, k, 0)
    even = moved.shape[0] // 2 * 2
    halved = 0.5 * (moved[0:even:2] + moved[1:even:2])
    if even < moved.shape[0]:
        halved = np.concatenate([halved, moved[-1:]])
    return np.moveaxis(halved, 0, k)


def coarsen(X, halvings):
    """Average neighbouring pairs, as often as given for each mode; an odd last slice stays.

    X (I_1, .., I_N), halvings (N,) -> about (I_k / 2^halvings_k)
    """
    for k, times in enumerate(halvings):
        for _ in range(times):
            X = _halve(X, k)
    return np.ascontiguousarray(X)


def interpolate(core, k, length):
    """Core k with its mode stretched to a length by linear interpolation between block centres.

    core (.., n_k, ..) -> (.., length, ..)
    """
    n = core.shape[k]
    if n == length:
        return core
    moved = np.moveaxis(core, k, 0)
    # Blocks are twos except where an odd tail was kept; centres spread evenly are near enough.
    position = np.clip((np.arange(length) + 0.5) * n / length - 0.5, 0, n - 1)
    low = np.minimum(position.astype(int), max(n - 2, 0))
    weight = (position - low).reshape(-1, *[1] * (moved.ndim - 1))
    high = np.minimum(low + 1, n - 1)
    result = (1 - weight) * moved[low] + weight * moved[high]
    return np.ascontiguousarray(np.moveaxis(result, 0, k))


def refine(X, shape):
    """A coarse tensor stretched to a shape, mode by mode."""
    for k, length in enumerate(shape):
        X = interpolate(X, k, length)
    return X
