"""Names of types in public signatures that no type of NumPy says."""

from typing import Any, TypeAlias

#: What is read as a table or a tensor: arrays, masked ones too, lists, and data frames of pandas
#: and polars. Wider than `numpy.typing.ArrayLike`, and checked when it is read, not by its type.
Data: TypeAlias = Any
