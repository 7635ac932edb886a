"""Networks with diagonal cores: sums of product states, contracted as kernel evaluations.

A sum of m product states is a matrix product state of bond dimension m whose cores are diagonal in
the bond: A_i^s = diag(phi_s(l_1i), ..., phi_s(l_mi)). With one output leg at the end it is a spaced
matrix product operator,

    Q Phi(x) = A^T kappa(x),    kappa_l(x) = prod_i <phi_i(l_i), phi_i(x_i)>,

and a contraction costs O(m) a site instead of O(m^2 d). Where the local overlap is a Gaussian,
<phi(u), phi(v)> = exp(-(u - v)^2 / 2 h^2), the local basis may be infinite, and the product over
sites is one matrix product. Kernels run where their arguments are, on NumPy or JAX arrays.
"""

from dataclasses import dataclass

import jax
import jax.numpy as jnp
import numpy as np

from sktn.backend import get_executor, namespace

# Narrower kernels than this tell the same rows apart, and squares of it are numbers.
_NARROWEST = 1e-100

# A squared distance from three products of n terms is off by this much of their size, times n.
_ROUNDING = 4 * float(np.finfo(np.float64).eps)


@jax.tree_util.register_dataclass
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


def squared_distances(x, landmarks):
    """|x_b - l_m|^2 by one matrix product; exactly 0 for equal rows, whatever the bandwidth makes
    of a rounding error.

    x (b, n), landmarks (m, n) -> (b, m)
    """
    xp = namespace(x, landmarks)
    a, b = xp.sum(x * x, axis=1), xp.sum(landmarks * landmarks, axis=1)
    squares, rounding = x @ (-2 * landmarks.T), _ROUNDING * x.shape[1]
    squares += a[:, None]
    squares += b
    if xp is not np:
        return xp.where(squares <= rounding * (a[:, None] + b), 0.0, squares)
    # Few are so close: in place, and only where they may be.
    close = np.flatnonzero(squares <= rounding * (a.max(initial=0) + b.max(initial=0)))
    close = np.unravel_index(close, squares.shape)
    squares[close] *= squares[close] > rounding * (a[close[0]] + b[close[1]])
    return squares


def log_overlaps(x, landmarks, bandwidth, mean, variance):
    """log kappa_l(x) = - sum_i (x_i - l_i)^2 / 2 h^2, missing values averaged over.

    A missing value has the mean vector of its column, normalised: <phi_bar, phi(v)> / ||phi_bar||
    for a normal distribution of the column's mean and variance.

    x (b, n), landmarks (m, n), bandwidth h, mean (n,), variance (n,) -> (b, m)
    """
    xp = namespace(x, landmarks)
    # Where it is decided what to compute, a traced array cannot be asked for its values.
    complete = xp is np and not (np.isnan(x).any() or np.isnan(landmarks).any())
    if complete:
        width = max(bandwidth, _NARROWEST)  # whose square may be no number
        out = squared_distances(x, landmarks)
        out *= -0.5 / width / width
        return out
    bandwidth = xp.maximum(bandwidth, _NARROWEST)
    there, known = ~xp.isnan(x), ~xp.isnan(landmarks)
    x, landmarks = xp.where(there, x, 0.0) / bandwidth, xp.where(known, landmarks, 0.0) / bandwidth
    mean, variance = mean / bandwidth, variance / bandwidth / bandwidth

    def with_mean_state(v, present):
        log_value = -0.5 * xp.log1p(variance) + 0.25 * xp.log1p(2 * variance)
        out = log_value - (v - mean) ** 2 / (2 * (1 + variance))
        return xp.where(present, out, 0.0)

    there, known = there * 1.0, known * 1.0
    sizes = (x * x) @ known.T + there @ (landmarks * landmarks).T
    squares = sizes - 2 * (x @ landmarks.T)
    out = -0.5 * xp.where(squares <= _ROUNDING * x.shape[1] * sizes, 0.0, squares)
    out = out + (1 - there) @ with_mean_state(landmarks, known > 0).T
    out = out + with_mean_state(x, there > 0) @ (1 - known).T
    return xp.minimum(out, 0.0)


def overlaps(network, x):
    """kappa(x): network DiagonalNetwork, x (b, n) -> (b, m)"""
    logs = log_overlaps(x, network.landmarks, network.bandwidth, network.mean, network.variance)
    return np.exp(logs, out=logs) if namespace(logs) is np else jnp.exp(logs)


def outputs(network, x):
    """Q Phi(x) = A^T kappa(x).

    network DiagonalNetwork, x (b, n) -> (b, r)
    """
    return overlaps(network, x) @ network.readout


def by_rows(kernel, network, rows, *arguments):
    """A kernel of a network and rows on the configured executor, in blocks of bounded memory.

    kernel(network, *arguments, rows) -> (b, ...), rows: array or tuple of arrays (b, ...)
    -> (b, ...), NumPy in double
    """
    run = get_executor()
    with run.precision(np.float64):
        compiled = run.jit(kernel)
        network, arguments = run.put((network, arguments))
        return run.map_rows(
            lambda block: compiled(network, *arguments, block), rows, 2 * network.bond_dim
        )
