"""Gaps of a column of a data frame, filled with what its dtype holds."""

import narwhals.stable.v2 as nw
import numpy as np

from sktn.tables.categories import listed_levels
from sktn.tables.frames import of_dtype


def fill_numbers(series, rows, values):
    """The column with numbers (b,) in some rows (k,): the nearest of its dtype, doubles in a column
    of objects."""
    if not (series.dtype.is_numeric() or series.dtype == nw.Boolean):
        series = series.cast(nw.Float64)
    return series.scatter(rows.tolist(), list(of_dtype(values[rows], series.dtype)))


def fill_levels(series, rows, values):
    """The column with levels (b,) in some rows (k,)."""
    return series.scatter(rows.tolist(), values[rows].tolist())


def fill_unseen(series, rows):
    """The column with the first level that its dtype lists in some rows (k,), or 0 where it holds
    numbers, or "missing"."""
    dtype = series.dtype
    if dtype.is_numeric() or dtype == nw.Boolean:
        return fill_numbers(series, rows, np.zeros(len(series)))
    level = (listed_levels(series) or ["missing"])[0]
    if dtype == nw.Unknown:  # a column of nulls
        return nw.new_series(series.name, [level] * len(series), backend=series.implementation)
    if dtype == nw.Categorical and level not in listed_levels(series):
        return series.cast(nw.String).scatter(rows.tolist(), [level] * len(rows)).cast(dtype)
    return series.scatter(rows.tolist(), [level] * len(rows))


def in_library(frame, library):
    """A data frame of narwhals -> one of "pandas" or "polars", by values: they read each other's
    dtypes by pyarrow alone."""
    if frame.implementation.value == library:
        return frame
    columns = {str(column.name): column.to_list() for column in frame.iter_columns()}
    return nw.from_dict(columns, backend=library)
