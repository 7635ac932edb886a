"""What families of local feature maps share."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar


def check_positive(name, parameter, value):
    if value < 1:
        raise ValueError(f"The {name} embedding needs {parameter} >= 1, got {value!r}.")


@dataclass(frozen=True)
class ByDegree:
    """Shared by the families with one component for every degree 0..degree."""

    degree: int = 2

    channels: ClassVar[int] = 1
    constant: ClassVar[int | None] = 0

    def __post_init__(self):
        check_positive(self.name, "degree", self.degree)

    @property
    def dim(self):
        return self.degree + 1

    @property
    def degrees(self):
        return tuple(float(k) for k in range(self.degree + 1))
