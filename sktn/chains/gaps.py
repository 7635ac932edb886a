"""What an estimator's `missing` means for a table."""

import numpy as np

from sktn.tables.gaps import telling_gaps


def said_gaps(missing, reading, target):
    """`missing` as :func:`~sktn.tables.sites.make_sites` takes it: "auto" is one bool a column."""
    if missing != "auto":
        return missing
    loss, numbers = target.loss(np.float64)
    return telling_gaps(reading.X, loss.response(numbers), target.weight)
