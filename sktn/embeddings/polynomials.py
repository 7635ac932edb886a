"""Polynomials of one column, or of its value and its rank."""

from __future__ import annotations

from math import factorial, sqrt
from typing import ClassVar

from sktn.backend import namespace
from sktn.embeddings.family import ByDegree


class _Recurrence(ByDegree):
    """norm_k p_k with p_0 = 1, p_1 = first(x), p_{k+1} = following(k, x, p_k, p_{k-1})."""

    domain: ClassVar[tuple[float, float]] = (-1.0, 1.0)

    def first(self, x):
        return x

    def norm(self, k):
        return 1.0

    def evaluate(self, z):
        x = z[..., 0]
        xp = namespace(z)
        p = [xp.ones_like(x), self.first(x)]
        for k in range(1, self.degree):
            p.append(self.following(k, x, p[k], p[k - 1]))
        # One after the other in memory, as they are computed and used: the last axis is a view.
        parts = [self.norm(k) * p[k] for k in range(self.degree + 1)]
        return xp.moveaxis(xp.stack(parts), 0, -1)


class Legendre(_Recurrence):
    """sqrt(2k + 1) P_k(x): orthonormal under the uniform distribution on [-1, 1].

    Parameters
    ----------
    degree : int, default=2
        Largest degree.

    Examples
    --------
    >>> import numpy as np
    >>> from sktn.embeddings import Legendre
    >>> Legendre(2).evaluate(np.array([[0.5]])).round(3)
    array([[ 1.   ,  0.866, -0.28 ]])
    """

    name: ClassVar[str] = "legendre"

    def following(self, k, x, p, q):
        return ((2 * k + 1) * x * p - k * q) / (k + 1)

    def norm(self, k):
        return sqrt(2 * k + 1)


class Polynomial(_Recurrence):
    """The monomials 1, x, x^2, ... on [-1, 1].

    Parameters
    ----------
    degree : int, default=2
        Largest degree.

    Examples
    --------
    >>> import numpy as np
    >>> from sktn.embeddings import Polynomial
    >>> Polynomial(3).evaluate(np.array([[0.5]])).round(3)
    array([[1.   , 0.5  , 0.25 , 0.125]])
    """

    name: ClassVar[str] = "polynomial"

    def following(self, k, x, p, q):
        return x * p


class Hermite(_Recurrence):
    """He_k(x) / sqrt(k!): orthonormal under the standard normal distribution.

    The domain ends at three standard deviations, where the default clipping of the columns does.

    Parameters
    ----------
    degree : int, default=2
        Largest degree.

    Examples
    --------
    >>> import numpy as np
    >>> from sktn.embeddings import Hermite
    >>> Hermite(2).evaluate(np.array([[2.0]])).round(3)
    array([[1.   , 2.   , 2.121]])
    """

    name: ClassVar[str] = "hermite"
    domain: ClassVar[tuple[float, float]] = (-3.0, 3.0)

    def following(self, k, x, p, q):
        return x * p - k * q

    def norm(self, k):
        return 1 / sqrt(factorial(k))


class Laguerre(_Recurrence):
    """L_k(x): orthonormal under the exponential distribution on [0, inf), cut at 6.

    Parameters
    ----------
    degree : int, default=2
        Largest degree.

    Examples
    --------
    >>> import numpy as np
    >>> from sktn.embeddings import Laguerre
    >>> Laguerre(2).evaluate(np.array([[2.0]])).round(3)
    array([[ 1., -1., -1.]])
    """

    name: ClassVar[str] = "laguerre"
    domain: ClassVar[tuple[float, float]] = (0.0, 6.0)

    def first(self, x):
        return 1 - x

    def following(self, k, x, p, q):
        return ((2 * k + 1 - x) * p - k * q) / (k + 1)


class Chebyshev(_Recurrence):
    """1, sqrt(2) T_k(x): orthonormal under the arcsine distribution on [-1, 1].

    Parameters
    ----------
    degree : int, default=2
        Largest degree.

    Examples
    --------
    >>> import numpy as np
    >>> from sktn.embeddings import Chebyshev
    >>> Chebyshev(2).evaluate(np.array([[0.5]])).round(3)
    array([[ 1.   ,  0.707, -0.707]])
    """

    name: ClassVar[str] = "chebyshev"

    def following(self, k, x, p, q):
        return 2 * x * p - q

    def norm(self, k):
        return sqrt(2) if k else 1.0


class Mixed(ByDegree):
    """[1, z, P_1(u), ..., P_degree(u)] of the standardised value z and the quantile rank u.

    The value keeps what is linear in the column, the ranks see detail where the data are. Needs
    columns with two channels (``scaling="mixed"``).

    Parameters
    ----------
    degree : int, default=2
        Largest degree of the polynomials of the rank.

    Examples
    --------
    >>> import numpy as np
    >>> from sktn.embeddings import Mixed
    >>> Mixed(2).evaluate(np.array([[1.5, 0.5]])).round(3)
    array([[ 1.   ,  1.5  ,  0.866, -0.28 ]])
    """

    name: ClassVar[str] = "mixed"
    channels: ClassVar[int] = 2
    domain: ClassVar[tuple[float, float]] = (-1.0, 1.0)

    @property
    def dim(self):
        return self.degree + 2

    @property
    def degrees(self):
        return (0.0, 1.0, *(float(k) for k in range(1, self.degree + 1)))

    def evaluate(self, z):
        ranks = Legendre(self.degree).evaluate(z[..., 1:])
        return namespace(z).concatenate([ranks[..., :1], z[..., :1], ranks[..., 1:]], axis=-1)
