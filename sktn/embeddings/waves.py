"""Waves of one column."""

from __future__ import annotations

from dataclasses import dataclass
from math import sqrt
from typing import ClassVar

import numpy as np

from sktn.backend import namespace
from sktn.embeddings.family import ByDegree, check_positive


class Fourier(ByDegree):
    """1, sqrt(2) cos(pi k x) on [0, 1], orthonormal under the uniform distribution there.

    Cosines of half periods are complete on [0, 1], and their even extension has no jump. A full
    period (cos and sin of 2 pi k x) would identify the smallest value of a column with its
    largest.

    Parameters
    ----------
    degree : int, default=2
        Largest number of half periods.

    Examples
    --------
    >>> import numpy as np
    >>> from sktn.embeddings import Fourier
    >>> Fourier(2).evaluate(np.array([[0.25]])).round(3)
    array([[1., 1., 0.]])
    """

    name: ClassVar[str] = "fourier"
    domain: ClassVar[tuple[float, float]] = (0.0, 1.0)

    def evaluate(self, z):
        xp = namespace(z)
        # One array: to stack a hundred waves costs as much as to compute them.
        waves = xp.cos(np.pi * z * xp.arange(self.degree + 1, dtype=z.dtype))
        size = np.sqrt(np.minimum(np.arange(self.degree + 1), 1) + 1)
        return waves * xp.asarray(size, dtype=z.dtype)


@dataclass(frozen=True)
class Trigonometric:
    """[cos(pi x / 2^i), sin(pi x / 2^i)] / sqrt(k), i = 1..k, on [0, 1]: a unit vector, d = 2k.

    Parameters
    ----------
    k : int, default=1
        Number of frequencies, each half of the one before.

    Examples
    --------
    >>> import numpy as np
    >>> from sktn.embeddings import Trigonometric
    >>> Trigonometric().evaluate(np.array([[0.5]])).round(3)
    array([[0.707, 0.707]])
    """

    k: int = 1

    name: ClassVar[str] = "trigonometric"
    channels: ClassVar[int] = 1
    domain: ClassVar[tuple[float, float]] = (0.0, 1.0)
    constant: ClassVar[int | None] = None

    def __post_init__(self):
        check_positive(self.name, "k", self.k)

    @property
    def dim(self):
        return 2 * self.k

    @property
    def degrees(self):
        return tuple(2.0 ** (1 - i) for i in range(1, self.k + 1)) * 2

    def evaluate(self, z):
        xp = namespace(z)
        angles = [np.pi * z[..., 0] / 2**i for i in range(1, self.k + 1)]
        waves = [xp.cos(a) for a in angles] + [xp.sin(a) for a in angles]
        return xp.stack(waves, axis=-1) / sqrt(self.k)


@dataclass(frozen=True)
class FourierBumps:
    """(1 / p) | sum_k exp(2 pi i k ((p - 1) x - j) / p) |, j, k = 0..p - 1, on [0, 1].

    Bump j is 1 at x = j / (p - 1) and 0 at the other such points; between them all overlap.

    Parameters
    ----------
    p : int, default=3
        Number of bumps.

    Examples
    --------
    >>> import numpy as np
    >>> from sktn.embeddings import FourierBumps
    >>> FourierBumps(3).evaluate(np.array([[0.5]])).round(3)
    array([[0., 1., 0.]])
    """

    p: int = 3

    name: ClassVar[str] = "fourier_bumps"
    channels: ClassVar[int] = 1
    domain: ClassVar[tuple[float, float]] = (0.0, 1.0)
    constant: ClassVar[int | None] = None

    def __post_init__(self):
        check_positive(self.name, "p", self.p)

    @property
    def dim(self):
        return self.p

    @property
    def degrees(self):
        return (1.0,) * self.p

    def evaluate(self, z):
        xp = namespace(z)
        places = np.arange(self.p, dtype=z.dtype)
        angle = (2 * np.pi / self.p) * ((self.p - 1) * z[..., :1] - places)
        waves = [(xp.cos(k * angle), xp.sin(k * angle)) for k in range(self.p)]
        real, imaginary = (sum(part) for part in zip(*waves, strict=True))
        return xp.hypot(real, imaginary) / self.p
