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
from scipy.linalg import cholesky, eigh, solve_triangular

# The Gram matrix of close landmarks is singular in floating point.
_JITTER = 1e-8

# Directions of the spectrum whose filter is below this share of 1 are left out of the operator.
_NEGLIGIBLE = 1e-4

# Entries of kappa held at once (128 MB in float64).
_BLOCK_SIZE = 2**24


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
    x, landmarks = x / bandwidth, landmarks / bandwidth
    there, known = ~np.isnan(x), ~np.isnan(landmarks)
    if there.all() and known.all():
        # One matrix product; rounding may leave a small positive exponent between equal rows.
        out = x @ landmarks.T
        out -= 0.5 * np.einsum("bn,bn->b", x, x)[:, None]
        out -= 0.5 * np.einsum("mn,mn->m", landmarks, landmarks)
        return np.minimum(out, 0, out=out)
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


def outputs(network, x):
    """Q Phi(x) = A^T kappa(x).

    network DiagonalNetwork, x (b, n) -> (b, r)
    """
    parts = [
        np.exp(rows) @ network.readout for rows in _blocks_of_overlaps(network, x)
    ]
    return np.concatenate(parts) if parts else np.zeros((0, network.output_dim))


def log_mean_overlap(network, x, log_weight):
    """log sum_l w_l kappa_l(x), the overlap with the mean state, without underflow.

    network DiagonalNetwork, x (b, n), log_weight (m,) -> (b,)
    """
    parts = []
    for rows in _blocks_of_overlaps(network, x):
        rows += log_weight
        largest = rows.max(axis=1)
        parts.append(largest + np.log(np.exp(rows - largest[:, None]).sum(axis=1)))
    return np.concatenate(parts) if parts else np.zeros(0)


def _blocks_of_overlaps(network, x):
    block = max(1, _BLOCK_SIZE // network.bond_dim)
    for start in range(0, len(x), block):
        yield log_overlaps(
            x[start : start + block], network.landmarks, network.bandwidth, network.mean,
            network.variance,
        )  # fmt: skip


def novelty(network, x):
    """||P Phi(x)||^2 = 1 - ||Q Phi(x)||^2 for P^2 = 1 - Q^T Q, the soft complement of Q.

    network DiagonalNetwork, x (b, n) -> (b,), in (0, 1]
    """
    inside = np.einsum("br,br->b", *2 * [outputs(network, x)])
    return np.maximum(1 - inside, np.finfo(x.dtype).eps)


def fit_projector(x, weight, landmarks, bandwidth, mean, variance, ridge, output_dim=None):
    """The ridge projector on the leading subspace of the training states,

        Q^T Q = C (C + ridge)^-1,    C = sum_b w_b Phi(x_b) Phi(x_b)^T,

    restricted to the span of the landmarks: kernel PCA with a soft edge, so that ||P Phi(x)||^2 is
    the squared distance to the subspace (Hoffmann, "Kernel PCA for novelty detection", Pattern
    Recognition 2007) and, for any ridge, the posterior variance of a Gaussian process that has
    seen the rows with noise of variance `ridge`.

    x (b, n), weight (b,), landmarks (m, n), mean, variance (n,)
    -> DiagonalNetwork, novelty of every training row as if it had not been one (b,)
    """
    arguments = landmarks, bandwidth, mean, variance
    gram = np.exp(log_overlaps(landmarks, *arguments))
    gram[np.diag_indices_from(gram)] += _JITTER
    factor = cholesky(gram, lower=True, overwrite_a=True)
    # Columns of F are the states in an orthonormal basis of the landmarks' span.
    F = solve_triangular(factor, np.exp(log_overlaps(x, *arguments)).T, lower=True, overwrite_b=True)
    outside = np.maximum(1 - np.einsum("mb,mb->b", F, F), 0)
    spectrum, U = eigh((F * weight) @ F.T)
    spectrum = np.maximum(spectrum, 0)
    filtered = spectrum / (spectrum + ridge)
    keep = np.flatnonzero(filtered > _NEGLIGIBLE)[::-1][:output_dim]
    if len(keep) == 0:
        keep = np.array([len(spectrum) - 1])

    squares = (U.T @ F) ** 2
    cut = np.ones(len(spectrum), dtype=bool)
    cut[keep] = False
    outside += cut @ squares
    leverage = (1 / (spectrum[keep] + ridge)) @ squares[keep]
    # Leaving a row out is a rank-one change of C: its share of the quadratic form is t / (1 - t).
    own = np.minimum(weight, 1.0) * leverage
    held_out = outside + ridge * leverage / np.maximum(1 - own, 1e-12)

    readout = solve_triangular(factor, U[:, keep] * np.sqrt(filtered[keep]), lower=True, trans="T")
    network = DiagonalNetwork(landmarks, readout, float(bandwidth), mean, variance)
    return network, np.clip(held_out, np.finfo(x.dtype).eps, 1.0)


def fit_mean_state(x, weight, landmarks, bandwidth, mean, variance):
    """The mean embedding sum_l w_l Phi(l) of the landmarks: a kernel density estimate as a network.

    Every training row gives its weight to the landmark nearest to it, so that the landmarks stand
    for all rows.

    -> DiagonalNetwork with one output, log weight (m,), log overlap of every training row without
       its own term (b,)
    """
    arguments = landmarks, bandwidth, mean, variance
    mass = np.zeros(len(landmarks))
    block = max(1, _BLOCK_SIZE // len(landmarks))
    pieces = []
    for start in range(0, len(x), block):
        logs = log_overlaps(x[start : start + block], *arguments)
        nearest = np.argmax(logs, axis=1)
        np.add.at(mass, nearest, weight[start : start + block])
        pieces.append((logs, nearest))
    with np.errstate(divide="ignore"):
        log_weight = np.log(mass / mass.sum())
    held_out = []
    for k, (logs, nearest) in enumerate(pieces):
        rows = np.arange(len(logs))
        own = np.minimum(weight[k * block : k * block + len(logs)], 1.0)
        left = np.maximum(mass[nearest] - own, 0.0)
        logs = logs + log_weight
        with np.errstate(divide="ignore"):
            logs[rows, nearest] += np.log(left) - np.log(mass[nearest])
        largest = logs.max(axis=1)
        largest = np.where(np.isfinite(largest), largest, -1e300)
        held_out.append(largest + np.log(np.exp(logs - largest[:, None]).sum(axis=1)))
    network = DiagonalNetwork(
        landmarks, np.exp(log_weight)[:, None], float(bandwidth), mean, variance
    )
    return network, log_weight, np.concatenate(held_out)
