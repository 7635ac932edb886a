"""Back from numbers to a frame like the one that was read."""

from __future__ import annotations

from dataclasses import dataclass

import narwhals.stable.v2 as nw
import numpy as np


def is_frame(X):
    """Whether X is a data frame."""
    # An array is none: narwhals, to say so, reads the metadata of all installed packages.
    return not isinstance(X, np.ndarray) and nw.dependencies.is_into_dataframe(X)


@dataclass(frozen=True, eq=False)
class Schema:
    """Names of columns, None for those of an array; their dtypes in narwhals' words and in those of
    their own library, empty for an array; the library's name."""

    names: list | None
    dtypes: list
    native: list
    library: str

    @classmethod
    def of(cls, X):
        """Of what a user passed."""
        if not is_frame(X):
            return cls(None, [], [], "")
        frame = nw.from_native(X, eager_only=True)
        names = list(frame.columns)
        # scikit-learn remembers no other names either.
        if not all(isinstance(name, str) for name in names):
            return cls(None, [], [], "")
        columns = [frame[name].to_native() for name in names]
        native = [getattr(column, "dtype", None) for column in columns]
        return cls(names, list(frame.schema.dtypes()), native, frame.implementation.value)

    def __getstate__(self):
        # Files without code, as skops writes them, hold no dtype that has levels.
        return {
            "names": self.names,
            "dtypes": [_made_of(dtype) for dtype in self.dtypes],
            "native": [_made_of(dtype) for dtype in self.native],
            "library": self.library,
        }

    def __setstate__(self, state):
        for name in "dtypes", "native":
            state = {**state, name: [_remade(dtype) for dtype in state[name]]}
        self.__dict__.update(state)

    def frame(self, X, library):
        """X (b, n) -> data frame of "pandas" or "polars"."""
        names = self.names or [f"x{i}" for i in range(X.shape[1])]
        columns = {name: self._values(X[:, i], i) for i, name in enumerate(names)}
        found = nw.from_dict(columns, backend=library)
        if not self.dtypes:
            return found.to_native()
        if library == self.library == "pandas":
            return found.to_native().astype(dict(zip(names, self.native, strict=True)))
        return found.with_columns(
            nw.col(name).cast(dtype)
            for name, dtype in zip(names, self.dtypes, strict=True)
            if _holds(dtype, columns[name], library)
        ).to_native()

    def _values(self, column, i):
        if not self.dtypes:
            return column.tolist() if column.dtype == object else column
        return of_dtype(column, self.dtypes[i])


def _made_of(dtype):
    """A dtype as files hold it, or what `_remade` makes it of: its class, what that takes first,
    what by name."""
    if isinstance(dtype, nw.Enum):
        return nw.Enum, list(dtype.categories), {}
    if hasattr(dtype, "storage") and not isinstance(dtype.na_value, float):
        # Strings of pandas whose gaps are its NA.
        return type(dtype), dtype.storage, {}
    if not hasattr(dtype, "ordered"):
        return dtype
    # The levels have a dtype themselves, which is not always the one that they would be given.
    levels = dtype.categories
    listed = type(levels), levels.tolist(), {"dtype": _made_of(levels.dtype)}
    return type(dtype), listed, {"ordered": dtype.ordered}


def _remade(dtype):
    if not isinstance(dtype, tuple):
        return dtype
    kind, given, options = dtype
    return kind(_remade(given), **{name: _remade(option) for name, option in options.items()})


def _holds(dtype, values, library):
    """Whether a column of a library can have a dtype, whatever library that was known in."""
    if dtype == nw.Unknown:
        # A column of nulls says no more.
        return False
    # Those of NumPy know no gaps.
    whole = dtype.is_integer() or dtype == nw.Boolean
    return not (library == "pandas" and whole and isinstance(values, list))


def of_dtype(column, dtype):
    """Numbers as a column of a dtype holds them: the nearest that it has, inside its range.

    column (b,), dtype of narwhals -> (b,), or a list with None for NaN; objects for other dtypes as
    they are
    """
    if not (dtype.is_numeric() or dtype == nw.Boolean):
        return [None if value != value else value for value in column.tolist()]
    column = column.astype(np.float64)
    gone = np.isnan(column)
    column = np.where(gone, 0.0, column)
    if dtype == nw.Boolean:
        column = column > 0.5
    elif dtype.is_float():
        held = str(dtype).lower()
        column = np.clip(column, *_range(np.finfo(held))).astype(held)
    elif dtype.is_integer():
        # NumPy has none of 128 bits.
        held = np.int64 if dtype in (nw.Int128, nw.UInt128) else str(dtype).lower()
        column = np.clip(np.round(column), *_range(np.iinfo(held))).astype(held)
    if not gone.any():
        return column
    return [None if none else value for none, value in zip(gone, column.tolist(), strict=True)]


def _range(info):
    """The smallest and the largest double that a dtype of this `numpy.iinfo` or `finfo` holds."""
    low, high = float(info.min), float(info.max)
    # 2^63 - 1 is no double, and the next one is too large.
    return low, high if high <= info.max else float(np.nextafter(high, 0))
