"""Local feature maps: what one column looks like to one site of a network.

An embedding is a frozen, hashable record without fitted state, so it can be a static argument of a
compiled function. Everything learned from data (orthonormalisation, categories, missing values) is
in :mod:`sktn.tables.columns` and :mod:`sktn.tables.basis`.

All embeddings share one interface:

``name``
    What :func:`make_embedding` calls it.
``channels``
    How many numbers a site reads (1; 2 for :class:`Mixed`).
``group``
    How many consecutive columns those come from, where it is more than 1: :class:`Product`,
    :class:`Concatenated`, :class:`Averaged` and :class:`Amplitude` put several columns on one site.
``domain``
    The closed interval in which the coordinates live.
``dim``
    The raw physical dimension d.
``degrees``
    Roughness of every component: the polynomial degree or the frequency, 0 for the constant.
``constant``
    0 where component 0 is the constant 1, None where there is no such component.
``evaluate(z)``
    (b, n, channels) -> (b, n, dim), finite on the closed domain in float32. NumPy in, NumPy out;
    anything else goes to ``jax.numpy``. Thus fitting needs neither a compilation nor a 64-bit flag.
"""

from sktn.backend import namespace
from sktn.embeddings.grouped import Amplitude, Averaged, Concatenated, Product
from sktn.embeddings.local import Custom, GaussianRBF, LinearComplement, Lookup, OneHot
from sktn.embeddings.make import EMBEDDINGS, make_embedding
from sktn.embeddings.polynomials import Chebyshev, Hermite, Laguerre, Legendre, Mixed, Polynomial
from sktn.embeddings.waves import Fourier, FourierBumps, Trigonometric

__all__ = [
    "EMBEDDINGS",
    "Amplitude",
    "Averaged",
    "Chebyshev",
    "Concatenated",
    "Custom",
    "Fourier",
    "FourierBumps",
    "GaussianRBF",
    "Hermite",
    "Laguerre",
    "Legendre",
    "LinearComplement",
    "Lookup",
    "Mixed",
    "OneHot",
    "Polynomial",
    "Product",
    "Trigonometric",
    "make_embedding",
    "namespace",
]
