"""Maps of several columns that share a site."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from itertools import product
from typing import ClassVar

import numpy as np

from sktn.backend import namespace
from sktn.embeddings.family import check_positive


@dataclass(frozen=True)
class _Grouped:
    """Shared by the maps of `group` consecutive columns that are built from one of a column."""

    embedding: object
    group: int = 4

    def __post_init__(self):
        check_positive(self.name, "group", self.group)
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

    Parameters
    ----------
    embedding : embedding
        The map of one column.
    group : int, default=4
        How many consecutive columns share a site.
    degree : float, default=None
        Largest sum of degrees; None: no limit.

    Examples
    --------
    >>> import numpy as np
    >>> from sktn.embeddings import Product, Legendre
    >>> Product(Legendre(1), 2).evaluate(np.array([[0.5, -0.5]])).round(3)
    array([[ 1.   , -0.866,  0.866, -0.75 ]])
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

    Parameters
    ----------
    embedding : embedding
        The map of one column.
    group : int, default=4
        How many consecutive columns share a site.

    Examples
    --------
    >>> import numpy as np
    >>> from sktn.embeddings import Concatenated, Legendre
    >>> Concatenated(Legendre(1), 2).evaluate(np.array([[0.5, -0.5]])).round(3)
    array([[ 1.   ,  0.866, -0.866]])
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
    """Several columns on one site: the local map of their mean.

    Parameters
    ----------
    embedding : embedding
        The map of one column.
    group : int, default=4
        How many consecutive columns share a site.

    Examples
    --------
    >>> import numpy as np
    >>> from sktn.embeddings import Averaged, Legendre
    >>> Averaged(Legendre(1), 2).evaluate(np.array([[0.5, -0.5]])).round(3)
    array([[1., 0.]])
    """

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

    Parameters
    ----------
    group : int, default=4
        How many consecutive columns share a site.

    Examples
    --------
    >>> import numpy as np
    >>> from sktn.embeddings import Amplitude
    >>> Amplitude(2).evaluate(np.array([[1.0, 1.0]])).round(3)
    array([[0.577, 0.577, 0.577]])
    """

    group: int = 4

    name: ClassVar[str] = "amplitude"
    domain: ClassVar[tuple[float, float]] = (0.0, 1.0)
    constant: ClassVar[int | None] = None

    def __post_init__(self):
        check_positive(self.name, "group", self.group)

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
