"""One arm of a chain on many rows, by NumPy: what prediction does on a CPU."""

import numpy as np

from sktn.networks.linalg import power_of_two_scale


def run_arm(cores, sites, phi):
    """The bond vectors at the end of an arm of an `MPS`, and the logs of their scales.

    NumPy, rows last, so that all its loops are long: v_r <- sum_ls A_lsr v_l x_s is one product of
    matrices for a block of rows.

    cores: arrays (l, d, r), sites: the table's, one a core, phi (n, d, b) -> (r, b), (b,)
    """
    _, d, b = phi.shape
    matrices = [np.ascontiguousarray(core.reshape(-1, core.shape[2]).T) for core in cores]
    vector, log_scale = np.ones((1, b), phi.dtype), np.zeros(b, phi.dtype)
    buffer = np.empty(b * max((matrix.shape[1] for matrix in matrices), default=0), phi.dtype)
    for site, matrix in zip(sites, matrices, strict=True):
        pairs = buffer[: matrix.shape[1] * b].reshape(-1, b)
        np.multiply(vector[:, None], phi[site], out=pairs.reshape(-1, d, b))
        vector = np.empty((len(matrix), b), phi.dtype)
        width = max(16, _SMALL_PRODUCT // max(1, matrix.size))
        for part in range(0, b, width):
            columns = slice(part, part + width)
            np.matmul(matrix, pairs[:, columns], out=vector[:, columns])
        size = np.abs(vector).max(axis=0, initial=0)
        # A product of n numbers leaves float32's range after a few dozen sites.
        if size.max(initial=1) > _LARGE or size.min(initial=1) < 1 / _LARGE:
            vector, log_scale = _rescaled(vector, log_scale)
    return _rescaled(vector, log_scale)


def _rescaled(vector, log_scale):
    if not len(vector):
        return vector, log_scale
    scale = power_of_two_scale(vector, axis=0)
    return vector / scale, log_scale + np.log(scale[0])


# OpenBLAS multiplies matrices with less than 10^6 multiply-adds as they lie, twice as fast as it
# copies larger ones into blocks first.
_SMALL_PRODUCT = 10**6

# A site multiplies by far less than float32's range, 2^127, over this.
_LARGE = 2.0**32
