"""Closed-form anomaly operators from the training states, and the choice of their bandwidth.

The best quadratic form for "how far is Phi(x) from the training states" is a spectral filter of
their second moment C. Restricted to the span of m landmark rows it is a spaced MPO with diagonal
cores and bond dimension m (:mod:`sktn.networks.diagonal`): fitting is linear algebra in m
dimensions, O(N m^2), and needs no gradient. NumPy, for the reasons given there.
"""

from dataclasses import dataclass

import numpy as np
from scipy.linalg import cholesky, eigh, solve_triangular

from sktn.networks import diagonal

# Widths tried, in units of sqrt(n), the distance scale of n standardised columns.
BANDWIDTHS = (0.25, 0.4, 0.65, 1.0, 1.6)

# The Gram matrix of close landmarks is singular in floating point.
_JITTER = 1e-8

# Directions whose filter is below this are left out of the operator: they hold nothing.
_NEGLIGIBLE = 1e-4

# Training rows held at once as states in m dimensions (128 MB in float64).
_BLOCK_SIZE = 2**24


@dataclass(frozen=True, eq=False)
class Moments:
    """Second moments of the training states in an orthonormal basis of the landmarks' span.

    frame : DiagonalNetwork whose outputs are the coordinates in that basis
    second : ndarray of shape (m, m), C
    mass : ndarray of shape (m,), weight of the rows nearest to each landmark
    """

    frame: diagonal.DiagonalNetwork
    second: np.ndarray
    mass: np.ndarray


def start_moments(landmarks, bandwidth, mean, variance):
    """Moments without any rows: landmarks (m, n), mean, variance (n,)."""
    gram = np.exp(diagonal.log_overlaps(landmarks, landmarks, bandwidth, mean, variance))
    gram[np.diag_indices_from(gram)] += _JITTER
    m = len(landmarks)
    inverse = solve_triangular(cholesky(gram, lower=True), np.eye(m), lower=True)
    frame = diagonal.DiagonalNetwork(landmarks, inverse.T, float(bandwidth), mean, variance)
    return Moments(frame, np.zeros((m, m)), np.zeros(m))


def restore(network, spectrum, ridge):
    """The moments that `projector` made a network of, without their mass."""
    start = start_moments(network.landmarks, network.bandwidth, network.mean, network.variance)
    U = np.linalg.solve(
        start.frame.readout, network.readout / np.sqrt(spectrum / (spectrum + ridge))
    )
    return Moments(start.frame, (U * spectrum) @ U.T, start.mass)


def add_rows(moments, x, weight):
    """C + sum_b w_b Phi(x_b) Phi(x_b)^T in the landmarks' basis: x (b, n), weight (b,) -> Moments."""
    second, mass = moments.second.copy(), moments.mass.copy()
    for rows in _blocks(len(x), len(mass)):
        overlaps = diagonal.overlaps(moments.frame, x[rows])
        np.add.at(mass, np.argmax(overlaps, axis=1), weight[rows])
        F = overlaps @ moments.frame.readout
        second += (F * weight[rows, None]).T @ F
    return Moments(moments.frame, second, mass)


def projector(moments, ridge, output_dim=None):
    """Q with Q^T Q = C (C + ridge)^-1, restricted to the span of the landmarks.

    Kernel PCA with a soft edge: 1 - ||Q Phi(x)||^2 is the squared distance to the leading subspace
    (Hoffmann, "Kernel PCA for novelty detection", Pattern Recognition 40, 2007) and, with all
    directions kept, the posterior variance of a Gaussian process that has seen the rows with noise
    of variance `ridge`.

    moments, ridge (), output_dim r or None -> DiagonalNetwork, kept eigenvalues of C (r,)
    """
    spectrum, U = eigh(moments.second)
    spectrum = np.maximum(spectrum[::-1], 0)
    filtered = spectrum / (spectrum + ridge)
    r = max(1, min(np.count_nonzero(filtered > _NEGLIGIBLE), output_dim or len(spectrum)))
    readout = moments.frame.readout @ (U[:, ::-1][:, :r] * np.sqrt(filtered[:r]))
    frame = moments.frame
    network = diagonal.DiagonalNetwork(
        frame.landmarks, readout, frame.bandwidth, frame.mean, frame.variance
    )
    return network, spectrum[:r]


def novelty(network, x):
    """||P Phi(x)||^2 = 1 - ||Q Phi(x)||^2, P^2 = 1 - Q^T Q: x (b, n) -> (b,) in (0, 1]."""
    return _positive(1 - diagonal.squared_output_norms(network, x))


def held_out_novelty(network, spectrum, ridge, x, weight):
    """The novelty of training rows as if each had been left out of C.

    Leaving out a row is a change of rank one: a quadratic form t in (C + ridge)^-1 becomes
    t / (1 - t). The basis of landmarks stays as it is.

    network, spectrum of `projector`, x (b, n), weight (b,) -> (b,) in (0, 1]
    """
    out = np.empty(len(x))
    for rows in _blocks(len(x), network.bond_dim):
        squares = diagonal.outputs(network, x[rows]) ** 2
        inside = squares / np.maximum(spectrum, np.finfo(np.float64).tiny)
        leverage = inside.sum(axis=1)
        outside = np.maximum(1 - squares.sum(axis=1) - ridge * leverage, 0)
        own = np.minimum(weight[rows], 1.0) * leverage
        out[rows] = outside + ridge * leverage / np.maximum(1 - own, 1e-12)
    return np.minimum(_positive(out), 1)


def mean_state(moments):
    """sum_l w_l <Phi(l)|: a kernel density estimate, the weight of a row at its nearest landmark."""
    frame = moments.frame
    readout = (moments.mass / moments.mass.sum())[:, None]
    return diagonal.DiagonalNetwork(
        frame.landmarks, readout, frame.bandwidth, frame.mean, frame.variance
    )


def held_out_log_density(network, total, x, weight):
    """log of the mean overlap of training rows without their own term.

    network of `mean_state`, total of all weights (), x (b, n), weight (b,) -> (b,)
    """
    out = np.empty(len(x))
    mass = network.readout[:, 0] * total
    for rows in _blocks(len(x), network.bond_dim):
        overlaps = diagonal.overlaps(network, x[rows])
        nearest = np.argmax(overlaps, axis=1)
        own = overlaps[np.arange(len(overlaps)), nearest] * np.minimum(weight[rows], mass[nearest])
        rest = (overlaps @ mass - own) / total
        out[rows] = np.log(np.maximum(rest, np.finfo(np.float64).tiny))
    return out


def choose_landmarks(x, weight, size, rng):
    """At most `size` distinct rows, drawn with their weights: x (b, n), weight (b,) -> (m, n)."""
    if len(x) <= size:
        return x
    chosen = rng.choice(len(x), size, replace=False, p=weight / weight.sum())
    return x[np.sort(chosen)]


def perturbed(X, weight, scale, size, rng):
    """Rows that are almost like the training rows: what a good bandwidth tells from held-out ones.

    Half of them have a third of their columns swapped with those of other rows; to the numbers of
    the other half noise is added, between a tenth and one standard deviation.

    X (b, n_columns), weight (b,), scale (n_columns,), 0 for columns to leave alone
    -> (size, n_columns)
    """
    p = weight / weight.sum()
    n = X.shape[1]
    swapped = X[rng.choice(len(X), size // 2, p=p)].copy()
    strangers = np.stack([X[rng.choice(len(X), size // 2, p=p), j] for j in range(n)], axis=1)
    swap = rng.uniform(size=swapped.shape) < 0.3
    swapped[swap] = strangers[swap]
    noisy = X[rng.choice(len(X), size - size // 2, p=p)]
    size_of_noise = np.exp(rng.uniform(np.log(0.1), 0.0, (len(noisy), 1)))
    with np.errstate(over="ignore"):
        noisy = noisy + scale * size_of_noise * rng.standard_normal(noisy.shape)
    return np.concatenate([swapped, noisy])


def choose_bandwidth(x, weight, strangers, mean, variance, ridge, landmarks, density=False):
    """The width at which held-out rows stand out best from perturbed ones, the larger of equals.

    x (b, n), weight (b,), strangers (k, n), landmarks (m, n) -> width in units of sqrt(n), the
    area under the ROC curve of every width tried
    """
    quality = []
    for factor in BANDWIDTHS:
        bandwidth = factor * np.sqrt(x.shape[1])
        moments = add_rows(start_moments(landmarks, bandwidth, mean, variance), x, weight)
        if density:
            network = mean_state(moments)
            normal = -held_out_log_density(network, weight.sum(), x, weight)
            strange = -diagonal.log_mean_overlap(network, strangers)
        else:
            network, spectrum = projector(moments, ridge)
            normal = held_out_novelty(network, spectrum, ridge, x, weight)
            strange = novelty(network, strangers)
        quality.append(_separation(normal, weight, strange))
    best = len(quality) - 1 - int(np.argmax(quality[::-1]))
    return BANDWIDTHS[best], np.array(quality)


def _separation(normal, weight, strange):
    """P(strange > normal) + P(equal) / 2: normal, weight (b,), strange (k,) -> float"""
    strange = np.sort(strange)
    above = len(strange) - np.searchsorted(strange, normal, side="right")
    equal = np.searchsorted(strange, normal, side="right") - np.searchsorted(strange, normal)
    return float(np.average((above + equal / 2) / len(strange), weights=weight))


def _positive(values):
    return np.maximum(values, np.finfo(np.float64).eps)


def _blocks(n_rows, width):
    size = max(1, _BLOCK_SIZE // width)
    return [slice(start, start + size) for start in range(0, n_rows, size)]
