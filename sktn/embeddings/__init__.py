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

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from itertools import product
from math import factorial, sqrt
from typing import ClassVar

import numpy as np

from sktn.backend import namespace


@dataclass(frozen=True)
class _ByDegree:
    """Shared by the families with one component for every degree 0..degree."""

    degree: int = 2

    channels: ClassVar[int] = 1
    constant: ClassVar[int | None] = 0

    def __post_init__(self):
        _check_positive(self.name, "degree", self.degree)

    @property
    def dim(self):
        return self.degree + 1

    @property
    def degrees(self):
        return tuple(float(k) for k in range(self.degree + 1))


class _Recurrence(_ByDegree):
    """norm_k p_k with p_0 = 1, p_1 = first(x), p_{k+1} = following(k, x, p_k, p_{k-1})."""

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
    """sqrt(2k + 1) P_k(x): orthonormal under the uniform distribution on [-1, 1]."""

    name: ClassVar[str] = "legendre"
    domain: ClassVar[tuple[float, float]] = (-1.0, 1.0)

    def following(self, k, x, p, q):
        return ((2 * k + 1) * x * p - k * q) / (k + 1)

    def norm(self, k):
        return sqrt(2 * k + 1)


class Polynomial(_Recurrence):
    """The monomials 1, x, x^2, ... on [-1, 1]."""

    name: ClassVar[str] = "polynomial"
    domain: ClassVar[tuple[float, float]] = (-1.0, 1.0)

    def following(self, k, x, p, q):
        return x * p


class Hermite(_Recurrence):
    """He_k(x) / sqrt(k!): orthonormal under the standard normal distribution.

    The domain ends at three standard deviations, where the default clipping of the columns does.
    """

    name: ClassVar[str] = "hermite"
    domain: ClassVar[tuple[float, float]] = (-3.0, 3.0)

    def following(self, k, x, p, q):
        return x * p - k * q

    def norm(self, k):
        return 1 / sqrt(factorial(k))


class Laguerre(_Recurrence):
    """L_k(x): orthonormal under the exponential distribution on [0, inf), cut at 6."""

    name: ClassVar[str] = "laguerre"
    domain: ClassVar[tuple[float, float]] = (0.0, 6.0)

    def first(self, x):
        return 1 - x

    def following(self, k, x, p, q):
        return ((2 * k + 1 - x) * p - k * q) / (k + 1)


class Chebyshev(_Recurrence):
    """1, sqrt(2) T_k(x): orthonormal under the arcsine distribution on [-1, 1]."""

    name: ClassVar[str] = "chebyshev"
    domain: ClassVar[tuple[float, float]] = (-1.0, 1.0)

    def following(self, k, x, p, q):
        return 2 * x * p - q

    def norm(self, k):
        return sqrt(2) if k else 1.0


class Fourier(_ByDegree):
    """1, sqrt(2) cos(pi k x) on [0, 1], orthonormal under the uniform distribution there.

    Cosines of half periods are complete on [0, 1], and their even extension has no jump. A full
    period (cos and sin of 2 pi k x) would identify the smallest value of a column with its
    largest.
    """

    name: ClassVar[str] = "fourier"
    domain: ClassVar[tuple[float, float]] = (0.0, 1.0)

    def evaluate(self, z):
        xp = namespace(z)
        angle = np.pi * z[..., 0]
        waves = [sqrt(2) * xp.cos(k * angle) for k in range(1, self.degree + 1)]
        return xp.stack([xp.ones_like(angle), *waves], axis=-1)


@dataclass(frozen=True)
class Trigonometric:
    """[cos(pi x / 2^i), sin(pi x / 2^i)] / sqrt(k), i = 1..k, on [0, 1]: a unit vector, d = 2k."""

    k: int = 1

    name: ClassVar[str] = "trigonometric"
    channels: ClassVar[int] = 1
    domain: ClassVar[tuple[float, float]] = (0.0, 1.0)
    constant: ClassVar[int | None] = None

    def __post_init__(self):
        _check_positive(self.name, "k", self.k)

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
    """

    p: int = 3

    name: ClassVar[str] = "fourier_bumps"
    channels: ClassVar[int] = 1
    domain: ClassVar[tuple[float, float]] = (0.0, 1.0)
    constant: ClassVar[int | None] = None

    def __post_init__(self):
        _check_positive(self.name, "p", self.p)

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


@dataclass(frozen=True)
class LinearComplement:
    """[x, 1 - x] on [0, 1], or [1, x, 1 - x] with `bias`."""

    bias: bool = False

    name: ClassVar[str] = "linear_complement"
    channels: ClassVar[int] = 1
    domain: ClassVar[tuple[float, float]] = (0.0, 1.0)

    @property
    def constant(self):
        return 0 if self.bias else None

    @property
    def dim(self):
        return 2 + self.bias

    @property
    def degrees(self):
        return (0.0,) * self.bias + (1.0, 1.0)

    def evaluate(self, z):
        xp = namespace(z)
        x = z[..., 0]
        return xp.stack([xp.ones_like(x)] * self.bias + [x, 1 - x], axis=-1)


@dataclass(frozen=True)
class GaussianRBF:
    """exp(-gamma (x - c_j)^2) on [0, 1].

    `centers` is a number of equispaced centres or a tuple of them. By default gamma makes the
    spacing of the centres one standard deviation of the bumps.
    """

    centers: int | tuple[float, ...] = 4
    gamma: float | None = None

    name: ClassVar[str] = "rbf"
    channels: ClassVar[int] = 1
    domain: ClassVar[tuple[float, float]] = (0.0, 1.0)
    constant: ClassVar[int | None] = None

    def __post_init__(self):
        if isinstance(self.centers, int):
            _check_positive(self.name, "centers", self.centers)
        elif len(self.centers) == 0:
            raise ValueError("The rbf embedding needs at least one centre, got an empty tuple.")
        if self.gamma is not None and not self.gamma > 0:
            raise ValueError(f"The rbf embedding needs gamma > 0, got {self.gamma!r}.")

    @property
    def positions(self):
        """The centres as an array of shape (d,)."""
        if not isinstance(self.centers, int):
            return np.asarray(self.centers, dtype=np.float64)
        return np.linspace(0, 1, self.centers) if self.centers > 1 else np.array([0.5])

    @property
    def dim(self):
        return self.centers if isinstance(self.centers, int) else len(self.centers)

    @property
    def degrees(self):
        return (1.0,) * self.dim

    def evaluate(self, z):
        gamma = (max(self.dim - 1, 1) ** 2) / 2 if self.gamma is None else self.gamma
        positions = self.positions.astype(z.dtype)
        return namespace(z).exp(-gamma * (z[..., :1] - positions) ** 2)


@dataclass(frozen=True)
class OneHot:
    """The unit vector of an integer code 0..levels - 1: a table entry per discrete value.

    For columns that are codes already, with ``scaling="none"``. Categorical columns get this
    treatment by themselves, whatever the embedding of the numeric ones.
    """

    levels: int = 2

    name: ClassVar[str] = "one_hot"
    channels: ClassVar[int] = 1
    constant: ClassVar[int | None] = None

    def __post_init__(self):
        _check_positive(self.name, "levels", self.levels)

    @property
    def domain(self):
        return (0.0, float(self.levels - 1))

    @property
    def dim(self):
        return self.levels

    @property
    def degrees(self):
        return (1.0,) * self.levels

    def evaluate(self, z):
        xp = namespace(z)
        return (xp.round(z[..., :1]) == np.arange(self.levels)).astype(z.dtype)


@dataclass(frozen=True)
class Lookup:
    """A given vector for every discrete value; the vector of the nearest one in between.

    `table` is a mapping, or a tuple of pairs, from numbers to vectors of one length. For columns
    that hold such values, with ``scaling="none"``.
    """

    table: tuple = ((0.0, (1.0, 0.0)), (1.0, (0.0, 1.0)))

    name: ClassVar[str] = "lookup"
    channels: ClassVar[int] = 1
    constant: ClassVar[int | None] = None

    def __post_init__(self):
        pairs = self.table.items() if hasattr(self.table, "items") else self.table
        # Hashable, and sorted by value.
        pairs = tuple(sorted((float(x), tuple(map(float, vector))) for x, vector in pairs))
        if len({len(vector) for _, vector in pairs}) != 1 or not pairs[0][1]:
            raise ValueError(
                "The lookup embedding needs at least one value, and vectors of one length, got "
                f"{self.table!r}."
            )
        object.__setattr__(self, "table", pairs)

    @property
    def domain(self):
        return self.table[0][0], self.table[-1][0]

    @property
    def dim(self):
        return len(self.table[0][1])

    @property
    def degrees(self):
        return (1.0,) * self.dim

    def evaluate(self, z):
        xp = namespace(z)
        values, vectors = (np.array(part, dtype=z.dtype) for part in zip(*self.table, strict=True))
        return xp.asarray(vectors)[xp.argmin(xp.abs(z - values), axis=-1)]


class Mixed(_ByDegree):
    """[1, z, P_1(u), ..., P_degree(u)] of the standardised value z and the quantile rank u.

    The value keeps what is linear in the column, the ranks see detail where the data are. Needs
    columns with two channels (``scaling="mixed"``).
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


@dataclass(frozen=True)
class _Grouped:
    """Shared by the maps of `group` consecutive columns that are built from one of a column."""

    embedding: object
    group: int = 4

    def __post_init__(self):
        _check_positive(self.name, "group", self.group)
        if self.embedding.channels != 1:
            raise ValueError(
                f"The {self.name} embedding is built from one that reads one number a column, got "
                f"{self.embedding!r}."
            )

    @property
    def channels(self):
        return self.group

    @property
    def domain(self):
        return self.embedding.domain

    @property
    def constant(self):
        return self.embedding.constant

    def _local(self, z):
        """The vectors of the single columns: (..., group) -> group arrays (..., dim)"""
        return [self.embedding.evaluate(z[..., k : k + 1]) for k in range(self.group)]


@dataclass(frozen=True)
class Product(_Grouped):
    """Several columns on one site: all products of one function of each of `group` columns.

    `degree` limits the sum of their degrees, and with it the dim^group functions: two degrees of
    four pixels are 81 products, of which 15 have a total degree of at most 2. None: no limit.
    """

    degree: float | None = None

    name: ClassVar[str] = "product"

    @cached_property
    def _indices(self):
        """Which function of which column: (dim, group), sorted by total degree."""
        local = np.asarray(self.embedding.degrees)
        # Column by column, so that what is beyond the limit is never enumerated.
        rows = [()]
        limit = np.inf if self.degree is None else self.degree
        for _ in range(self.group):
            rows = [
                (*row, s)
                for row, s in product(rows, range(len(local)))
                if local[list(row)].sum() + local[s] <= limit
            ]
        if not rows:
            raise ValueError(f"degree={self.degree!r} leaves the product embedding no function.")
        rows = np.array(rows)
        return rows[np.argsort(local[rows].sum(axis=1), kind="stable")]

    @property
    def dim(self):
        return len(self._indices)

    @property
    def degrees(self):
        return tuple(np.asarray(self.embedding.degrees)[self._indices].sum(axis=1).tolist())

    def evaluate(self, z):
        result = 1.0
        for values, index in zip(self._local(z), self._indices.T, strict=True):
            result = result * values[..., index]
        return result


@dataclass(frozen=True)
class Concatenated(_Grouped):
    """Several columns on one site: the functions of all of them, degree by degree.

    A site is additive in its columns. For ``Trigonometric()`` this is the flexible representation
    of an image patch, but for its factor.
    """

    name: ClassVar[str] = "concatenated"

    @property
    def _first(self):
        return 0 if self.embedding.constant is None else 1

    @property
    def dim(self):
        return self._first + self.group * (self.embedding.dim - self._first)

    @property
    def degrees(self):
        own = np.asarray(self.embedding.degrees)
        times = np.where(np.arange(len(own)) < self._first, 1, self.group)
        return tuple(own.repeat(times).tolist())

    def evaluate(self, z):
        xp, local = namespace(z), self._local(z)
        own = xp.stack([values[..., self._first :] for values in local], axis=-1)
        # The constant is one function of them all.
        common = local[0][..., : self._first]
        return xp.concatenate([common, own.reshape(*z.shape[:-1], -1)], axis=-1)


@dataclass(frozen=True)
class Averaged(_Grouped):
    """Several columns on one site: the local map of their mean."""

    name: ClassVar[str] = "averaged"

    @property
    def dim(self):
        return self.embedding.dim

    @property
    def degrees(self):
        return self.embedding.degrees

    def evaluate(self, z):
        return self.embedding.evaluate(z.mean(axis=-1, keepdims=True))


@dataclass(frozen=True)
class Amplitude:
    """(1, z_1, .., z_g) / sqrt(1 + |z|^2) of `group` columns on [0, 1]: a unit vector.

    Amplitude encoding normalises the pixels of a patch to a state, which loses their brightness
    and is undefined for a black patch. The 1 keeps both.
    """

    group: int = 4

    name: ClassVar[str] = "amplitude"
    domain: ClassVar[tuple[float, float]] = (0.0, 1.0)
    constant: ClassVar[int | None] = None

    def __post_init__(self):
        _check_positive(self.name, "group", self.group)

    @property
    def channels(self):
        return self.group

    @property
    def dim(self):
        return self.group + 1

    @property
    def degrees(self):
        return (1.0,) * self.dim

    def evaluate(self, z):
        xp = namespace(z)
        vector = xp.concatenate([xp.ones_like(z[..., :1]), z], axis=-1)
        return vector / xp.sqrt((vector * vector).sum(axis=-1, keepdims=True))


@dataclass(frozen=True)
class Custom:
    """Any function (...,) -> (..., dim) written with ``jax.numpy``.

    `degrees` defaults to 1 for every component (0 for the constant).
    """

    function: Callable
    dim: int
    domain: tuple[float, float] = (-1.0, 1.0)
    degrees: tuple[float, ...] | None = None
    constant: int | None = None

    name: ClassVar[str] = "custom"
    channels: ClassVar[int] = 1

    def __post_init__(self):
        if self.constant not in (0, None):
            raise ValueError(
                "The constant component of an embedding is its first one: constant must be 0 or "
                f"None, got {self.constant!r}."
            )
        if self.degrees is None:
            degrees = [1.0] * self.dim
            if self.constant == 0:
                degrees[0] = 0.0
            object.__setattr__(self, "degrees", tuple(degrees))
        if len(self.degrees) != self.dim:
            raise ValueError(
                f"degrees must have one entry for each of the {self.dim} components of the "
                f"embedding, got {len(self.degrees)}."
            )

    def evaluate(self, z):
        values = self.function(z[..., 0])
        return np.asarray(values, dtype=z.dtype) if isinstance(z, np.ndarray) else values


_FAMILIES = {
    family.name: family
    for family in [
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
}

#: The names that :func:`make_embedding` knows.
EMBEDDINGS = tuple(_FAMILIES)

_INTERFACE = ("channels", "domain", "dim", "degrees", "constant", "evaluate")


def make_embedding(embedding, degree=2):
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


def _check_positive(name, parameter, value):
    if value < 1:
        raise ValueError(f"The {name} embedding needs {parameter} >= 1, got {value!r}.")
