"""Numbers back to columns of a data frame."""

import narwhals.stable.v2 as nw
import numpy as np

from sktn.tables.frames import of_dtype


def test_numbers_become_the_nearest_of_a_dtype():
    column = np.array([-1e30, -0.6, 0.4, 254.6, 1e30])
    assert of_dtype(column, nw.UInt8()).tolist() == [0, 0, 0, 255, 255]
    assert of_dtype(column, nw.Int64()).tolist()[::4] == [-(2**63), 2**63 - 1024]
    assert of_dtype(column, nw.UInt64()).tolist()[::4] == [0, 2**64 - 2048]
    assert of_dtype(column, nw.Int128()).tolist()[1:4] == [-1, 0, 255]
    single = of_dtype(column * 1e10, nw.Float32())
    assert single.dtype == np.float32
    assert single[-1] == np.finfo(np.float32).max
    assert of_dtype(column, nw.Decimal()).tolist() == column.tolist()
    assert of_dtype(np.array([1e-9, 0.9]), nw.Boolean()).tolist() == [False, True]
    assert of_dtype(np.array([2.2, np.nan]), nw.Int32()) == [2, None]
