"""Paths through a rectangle: in which order a chain reads the pixels."""

from collections.abc import Callable
from numbers import Integral

import numpy as np


def pixel_path(height: int, width: int, order: str = "snake") -> np.ndarray:
    """The pixels of a rectangle in the order in which a path visits them.

    Parameters
    ----------
    height, width : int
        Sides of the rectangle.
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
    if not all(isinstance(side, Integral) and side > 0 for side in (height, width)):
        raise ValueError(
            f"height and width must be positive integers, got {height!r} and {width!r}."
        )
    if order not in PATHS:
        raise ValueError(f"order must be one of {', '.join(map(repr, PATHS))}, got {order!r}.")
    return PATHS[order](np.arange(height * width).reshape(height, width))


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


PATHS: dict[str, Callable[[np.ndarray], np.ndarray]] = {
    "row": np.ravel,
    "snake": _snake,
    "zigzag": _zigzag,
    "spiral": _spiral,
    "hilbert": _hilbert,
}
