"""The embedding that a name, an instance or a function stands for."""

from typing import Any

import numpy as np

from sktn.embeddings.local import Custom, GaussianRBF, LinearComplement, OneHot
from sktn.embeddings.polynomials import Chebyshev, Hermite, Laguerre, Legendre, Mixed, Polynomial
from sktn.embeddings.waves import Fourier, FourierBumps, Trigonometric

_CLASSES: list[Any] = [
    Legendre,
    Polynomial,
    Hermite,
    Laguerre,
    Chebyshev,
    Fourier,
    Trigonometric,
    FourierBumps,
    LinearComplement,
    GaussianRBF,
    OneHot,
    Mixed,
]
_FAMILIES = {family.name: family for family in _CLASSES}

#: The names that :func:`make_embedding` knows.
EMBEDDINGS = tuple(_FAMILIES)

_INTERFACE = ("channels", "domain", "dim", "degrees", "constant", "evaluate")


def make_embedding(embedding: Any, degree: int = 2) -> Any:
    """The embedding that a name, an instance or a function stands for.

    Parameters
    ----------
    embedding : str, embedding or callable
        One of :data:`EMBEDDINGS`, an instance of a class of this module (or any object with the
        same interface), or a function z -> (..., d) on [-1, 1] written with ``jax.numpy``.
    degree : int, default=2
        Largest degree or frequency. For ``"trigonometric"`` the number of frequencies, for
        ``"fourier_bumps"``, ``"rbf"`` and ``"one_hot"`` one less than the number of bumps or
        levels; the others of fixed size ignore it.

    Returns
    -------
    embedding : embedding
        Frozen and hashable.

    Examples
    --------
    >>> from sktn.embeddings import make_embedding
    >>> make_embedding("legendre", 3).dim
    4
    """
    if isinstance(embedding, str):
        if embedding not in _FAMILIES:
            raise ValueError(
                f"Unknown embedding {embedding!r}: use one of {', '.join(map(repr, EMBEDDINGS))}, "
                "an instance of a class of sktn.embeddings, or a function."
            )
        family = _FAMILIES[embedding]
        if family is LinearComplement:
            return LinearComplement()
        if family in (FourierBumps, GaussianRBF, OneHot):
            return family(degree + 1)
        return family(degree)
    if not isinstance(embedding, type) and all(hasattr(embedding, part) for part in _INTERFACE):
        return embedding
    if callable(embedding) and not isinstance(embedding, type):
        probe = np.shape(embedding(np.zeros((1, 1), dtype=np.float32)))
        if len(probe) != 3 or probe[:2] != (1, 1):
            raise ValueError(
                "A function used as an embedding maps an array of shape (b, n) to one of shape "
                f"(b, n, d); for (1, 1) it returned {probe}."
            )
        return Custom(embedding, probe[2])
    raise ValueError(
        f"embedding must be one of {', '.join(map(repr, EMBEDDINGS))}, an instance of a class of "
        f"sktn.embeddings, or a function, got {embedding!r}."
    )
