"""Arguments of methods that are no tables: levels of quantiles, scores, codes."""

from typing import Any

import numpy as np


def numbers(values: Any, name: str) -> np.ndarray:
    """Values in double, NaN where they are; said by name where they are no real numbers.

    array-like of any shape, name of the argument -> ndarray
    """
    try:
        array = np.asarray(values)
        # Strings that look like numbers are none, and nothing imaginary is dropped.
        if array.dtype.kind in "biufO":
            return array.astype(np.float64)
    except (TypeError, ValueError) as error:
        raise ValueError(f"{name} must be real numbers: {error}.") from error
    raise ValueError(f"{name} must be real numbers, got dtype {array.dtype}.")
