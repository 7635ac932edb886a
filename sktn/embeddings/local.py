"""Maps that look at a column place by place: complements, bumps, tables, any function."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from sktn.backend import namespace
from sktn.embeddings.family import check_positive


@dataclass(frozen=True)
class LinearComplement:
    """[x, 1 - x] on [0, 1], or [1, x, 1 - x] with `bias`.

    Parameters
    ----------
    bias : bool, default=False
        Whether there is a constant function, too.

    Examples
    --------
    >>> import numpy as np
    >>> from sktn.embeddings import LinearComplement
    >>> LinearComplement(bias=True).evaluate(np.array([[0.25]])).round(3)
    array([[1.  , 0.25, 0.75]])
    """

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

    Parameters
    ----------
    centers : int or tuple of float, default=4
        How many equispaced centres, or the centres.
    gamma : float, default=None
        Sharpness of the bumps. None: the spacing of the centres is one standard deviation.

    Examples
    --------
    >>> import numpy as np
    >>> from sktn.embeddings import GaussianRBF
    >>> GaussianRBF(3).evaluate(np.array([[0.5]])).round(3)
    array([[0.607, 1.   , 0.607]])
    """

    centers: int | tuple[float, ...] = 4
    gamma: float | None = None

    name: ClassVar[str] = "rbf"
    channels: ClassVar[int] = 1
    domain: ClassVar[tuple[float, float]] = (0.0, 1.0)
    constant: ClassVar[int | None] = None

    def __post_init__(self):
        if isinstance(self.centers, int):
            check_positive(self.name, "centers", self.centers)
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

    Parameters
    ----------
    levels : int, default=2
        Number of codes.

    Examples
    --------
    >>> import numpy as np
    >>> from sktn.embeddings import OneHot
    >>> OneHot(3).evaluate(np.array([[1.0]])).round(3)
    array([[0., 1., 0.]])
    """

    levels: int = 2

    name: ClassVar[str] = "one_hot"
    channels: ClassVar[int] = 1
    constant: ClassVar[int | None] = None

    def __post_init__(self):
        check_positive(self.name, "levels", self.levels)

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

    Parameters
    ----------
    table : mapping or tuple of pairs, default=((0, (1, 0)), (1, (0, 1)))
        From numbers to vectors of one length.

    Examples
    --------
    >>> import numpy as np
    >>> from sktn.embeddings import Lookup
    >>> Lookup({0: [1, 0], 5: [1, 2]}).evaluate(np.array([[5.0]])).round(3)
    array([[1., 2.]])
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


@dataclass(frozen=True)
class Custom:
    """Any function (...,) -> (..., dim) written with ``jax.numpy``.

    `degrees` defaults to 1 for every component (0 for the constant).

    Parameters
    ----------
    function : callable
        From an array (...,) to one of shape (..., dim), written with ``jax.numpy``.
    dim : int
        Number of functions.
    domain : tuple of two floats, default=(-1, 1)
        Where the function is defined: columns are scaled to it.
    degrees : tuple of float, default=None
        How rough every function is, for the penalties. None: 1, and 0 for the constant.
    constant : 0 or None, default=None
        0: the first function is constant.

    Examples
    --------
    >>> import jax.numpy as jnp
    >>> import numpy as np
    >>> from sktn.embeddings import Custom
    >>> step = Custom(lambda x: jnp.stack([jnp.ones_like(x), jnp.sign(x)], axis=-1), 2, constant=0)
    >>> step.evaluate(np.array([[-0.5]])).round(3)
    array([[ 1., -1.]])
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
