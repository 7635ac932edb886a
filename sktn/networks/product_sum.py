"""Networks with diagonal cores: sums of product states, contracted as kernel evaluations.

A sum of m product states is a matrix product state of bond dimension m whose cores are diagonal in
the bond: A_i^s = diag(phi_s(l_1i), ..., phi_s(l_mi)). With one output leg at the end it is a spaced
matrix product operator,

    Q Phi(x) = A^T kappa(x),    kappa_l(x) = prod_i <phi_i(l_i), phi_i(x_i)>,

and a contraction costs O(m) a site instead of O(m^2 d). Where the local overlap is a Gaussian,
<phi(u), phi(v)> = exp(-(u - v)^2 / 2 h^2), the local basis may be infinite, and the product over
sites is one matrix product.

All of it is closed-form linear algebra without gradients, and every table has new shapes: NumPy,
since compiling would cost more than it saves.
"""

from dataclasses import dataclass

import numpy as np
from scipy.linalg import qr
from scipy.linalg.blas import dtrmm

# Entries of kappa held at once (128 MB in float64).
_BLOCK_SIZE = 2**24

# Narrower kernels than this tell the same rows apart, and squares of it are numbers.
_NARROWEST = 1e-100

# A squared distance from three products of n terms is off by this much of their size, times n.
_ROUNDING = 4 * np.finfo(np.float64).eps


@dataclass(frozen=True, eq=False)
class DiagonalNetwork:
    """Q = sum_l |A_l> <Phi(l)|, a spaced MPO with diagonal cores and one output leg.

    Attributes
    ----------
    landmarks : ndarray of shape (m, n)
        Coordinates of the product states, NaN where missing.
    readout : ndarray of shape (m, r)
        A, the output vectors of the product states.
    bandwidth : float
        h, the width of the local overlap.
    mean, variance : ndarray of shape (n,)
        Moments of the training coordinates, which the vector of a missing value is made of.
    """

    landmarks: np.ndarray
    readout: np.ndarray
    bandwidth: float
    mean: np.ndarray
    variance: np.ndarray

    @property
    def bond_dim(self):
        return len(self.landmarks)

    @property
    def output_dim(self):
        return self.readout.shape[1]


def log_overlaps(x, landmarks, bandwidth, mean, variance):
    """log kappa_l(x) = - sum_i (x_i - l_i)^2 / 2 h^2, missing values averaged over.

    A missing value has the mean vector of its column, normalised: <phi_bar, phi(v)> / ||phi_bar||
    for a normal distribution of the column's mean and variance.

    x (b, n), landmarks (m, n), bandwidth h, mean (n,), variance (n,) -> (b, m)
    """
    bandwidth = max(bandwidth, _NARROWEST)
    there, known = ~np.isnan(x), ~np.isnan(landmarks)
    if there.all() and known.all():
        return squared_distances(x, landmarks) * (-0.5 / bandwidth**2)
    x, landmarks = x / bandwidth, landmarks / bandwidth
    mean, variance = mean / bandwidth, variance / bandwidth**2

    def with_mean_state(v, present):
        log_value = -0.5 * np.log1p(variance) + 0.25 * np.log1p(2 * variance)
        out = log_value - (v - mean) ** 2 / (2 * (1 + variance))
        return np.where(present, out, 0.0)

    x, landmarks = np.where(there, x, 0.0), np.where(known, landmarks, 0.0)
    out = x @ landmarks.T - 0.5 * (x * x) @ known.T - 0.5 * there @ (landmarks * landmarks).T
    out += ~there @ with_mean_state(landmarks, known).T
    out += with_mean_state(x, there) @ ~known.T
    return np.minimum(out, 0, out=out)


def squared_distances(x, landmarks):
    """|x_b - l_m|^2 by one matrix product; exactly 0 for equal rows, whatever the bandwidth makes
    of a rounding error.

    x (b, n), landmarks (m, n) -> (b, m)
    """
    sizes = np.einsum("bn,bn->b", x, x)[:, None] + np.einsum("mn,mn->m", landmarks, landmarks)
    out = x @ landmarks.T
    out *= -2
    out += sizes
    out[out <= _ROUNDING * x.shape[1] * sizes] = 0
    return out


def overlaps(network, x):
    """kappa(x): network DiagonalNetwork, x (b, n) -> (b, m)"""
    logs = log_overlaps(x, network.landmarks, network.bandwidth, network.mean, network.variance)
    return np.exp(logs, out=logs)


def outputs(network, x):
    """Q Phi(x) = A^T kappa(x).

    network DiagonalNetwork, x (b, n) -> (b, r)
    """
    parts = [overlaps(network, rows) @ network.readout for rows in _blocks(network, x)]
    return np.concatenate(parts) if parts else np.zeros((0, network.output_dim))


def triangle(network):
    """R with ||R kappa|| = ||A^T kappa||: A^T = (orthogonal) R, upper trapezoidal.

    network DiagonalNetwork -> (r, m)
    """
    return np.asfortranarray(qr(network.readout.T, mode="economic")[1])


def squared_output_norms(overlaps, triangle):
    """||R kappa||^2: half the multiplications of A^T kappa. May overwrite the overlaps.

    overlaps (b, m), triangle (r, m) -> (b,)
    """
    r = len(triangle)
    y = dtrmm(1.0, triangle[:, :r], overlaps[:, :r].T, overwrite_b=True)
    if r < overlaps.shape[1]:
        y += triangle[:, r:] @ overlaps[:, r:].T
    return np.einsum("rb,rb->b", y, y)


def _blocks(network, x):
    size = max(1, _BLOCK_SIZE // network.bond_dim)
    return [x[start : start + size] for start in range(0, len(x), size)]
