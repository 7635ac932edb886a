"""Closed-form anomaly operators from the training states, and the choice of their bandwidth.

The best quadratic form for "how far is Phi(x) from the training states" is a spectral filter of
their second moment C. Restricted to the span of m landmark rows it is a spaced MPO with diagonal
cores and bond dimension m (:mod:`sktn.networks.product_sum`): fitting is linear algebra in m
dimensions, O(N m^2), and needs no gradient. NumPy, for the reasons given there.
"""

from dataclasses import dataclass

import numpy as np
from scipy.linalg import cholesky, eigh, solve_triangular
from scipy.special import logsumexp

from sktn.networks import product_sum

# Widths tried, in units of sqrt(n), the distance scale of n standardised columns.
BANDWIDTHS = tuple(float(width) for width in np.geomspace(0.05, 3.2, 10))

# Mean novelties of held-out rows that choose the widths: one fine look at the data, one coarse.
LEVELS = (0.3, 0.03)

# The Gram matrix of close landmarks is singular in floating point.
_JITTER = 1e-8

# Directions whose filter is below this are left out of the operator: they hold nothing. What they
# held is lost to `restore`.
_NEGLIGIBLE = 1e-4

# Overlaps this close to 1 are those of a row with itself, up to rounding.
_SAME = 1e-9

# Rows for every landmark from which on a factorisation that makes scoring cheaper pays.
_MANY = 4

# Training rows held at once as states in m dimensions (128 MB in float64).
_BLOCK_SIZE = 2**24


@dataclass(frozen=True, eq=False)
class Moments:
    """Second moments of the training states in an orthonormal basis of the landmarks' span.

    frame : DiagonalNetwork whose outputs are the coordinates in that basis
    second : ndarray of shape (m, m), C
    mass : ndarray of shape (m,), weight of the rows nearest to each landmark
    """

    frame: product_sum.DiagonalNetwork
    second: np.ndarray
    mass: np.ndarray


def start_moments(landmarks, bandwidth, mean, variance):
    """Moments without any rows: landmarks (m, n), mean, variance (n,)."""
    gram = np.exp(product_sum.log_overlaps(landmarks, landmarks, bandwidth, mean, variance))
    gram[np.diag_indices_from(gram)] += _JITTER
    m = len(landmarks)
    inverse = solve_triangular(cholesky(gram, lower=True), np.eye(m), lower=True)
    frame = product_sum.DiagonalNetwork(landmarks, inverse.T, float(bandwidth), mean, variance)
    return Moments(frame, np.zeros((m, m)), np.zeros(m))


def restore(network, spectrum, ridge):
    """The moments that `projector` made a network of, without their mass."""
    start = start_moments(network.landmarks, network.bandwidth, network.mean, network.variance)
    U = np.linalg.solve(
        start.frame.readout, network.readout / np.sqrt(spectrum / (spectrum + ridge))
    )
    return Moments(start.frame, (U * spectrum) @ U.T, start.mass)


def add_rows(moments, x, weight):
    """C + sum_b w_b Phi(x_b) Phi(x_b)^T, projected: x (b, n), weight (b,) -> Moments"""
    second, mass = np.copy(moments.second), moments.mass.copy()
    for rows in _blocks(len(x), len(mass)):
        overlaps = product_sum.overlaps(moments.frame, x[rows])
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
    network = product_sum.DiagonalNetwork(
        frame.landmarks, readout, frame.bandwidth, frame.mean, frame.variance
    )
    return network, spectrum[:r]


def held_out_novelty(network, spectrum, ridge, x, weight):
    """The novelty of training rows as if each had been left out of C. The basis of landmarks stays
    as it is.

    network, spectrum of `projector`, x (b, n), weight (b,) -> (b,) in (0, 1]
    """
    out = np.empty(len(x))
    for rows in _blocks(len(x), network.bond_dim):
        y = product_sum.outputs(network, x[rows])
        out[rows] = _without_own_share(y, y, spectrum, ridge, weight[rows])
    return out


def novelty(network, spectrum, ridge, x, own=None):
    """||P Phi(x)||^2 = 1 - ||Q Phi(x)||^2, P^2 = 1 - Q^T Q, of new rows.

    Landmarks get their `held_out_novelty`: they are training rows, and their own share of C would
    make them look more typical than any new row can be. `own` are the rows that x was made from by
    hiding values: what has no own share in C is not to be told by a hidden value.

    network, spectrum of `projector`, x (b, n), own (b, n) or None for x -> (b,) in (0, 1]
    """
    triangle = product_sum.triangle(network) if len(x) > _MANY * network.bond_dim else None
    out = np.empty(len(x))
    for rows in _blocks(len(x), network.bond_dim):
        overlaps = product_sum.overlaps(network, x[rows])
        of_own = overlaps if own is None else product_sum.overlaps(network, own[rows])
        known = of_own.max(axis=1) > 1 - _SAME
        y, y_own = overlaps[known] @ network.readout, of_own[known] @ network.readout
        if triangle is None:
            outputs = overlaps @ network.readout
            squares = np.einsum("br,br->b", outputs, outputs)
        else:
            squares = product_sum.squared_output_norms(overlaps, triangle)
        out[rows] = _positive(1 - squares)
        out[rows][known] = _without_own_share(y, y_own, spectrum, ridge, np.ones(len(y)))
    return out


def _without_own_share(y, y_own, spectrum, ridge, weight):
    """Novelty of rows with outputs y, with the rows of outputs y_own left out of C.

    A change of rank one: with B = (C + ridge)^-1, u and v the states,

        1 - u C B u + ridge w (u B v)^2 / (1 - w v B v) .

    y, y_own (b, r), spectrum (r,), weight (b,) -> (b,)
    """
    inverse = 1 / np.maximum(spectrum, np.finfo(np.float64).tiny)
    weight = np.minimum(weight, 1.0)
    left = np.maximum(1 - weight * (y_own**2 @ inverse), 1e-12)
    # Of the two, only the first is not exactly positive.
    novelty = np.maximum(1 - np.sum(y**2, axis=1), ridge * (y**2 @ inverse))
    return np.minimum(_positive(novelty + ridge * weight * ((y * y_own) @ inverse) ** 2 / left), 1)


def mean_state(moments):
    """sum_l w_l <Phi(l)|, a kernel density estimate; a row's weight is at its nearest landmark."""
    frame = moments.frame
    readout = (moments.mass / moments.mass.sum())[:, None]
    return product_sum.DiagonalNetwork(
        frame.landmarks, readout, frame.bandwidth, frame.mean, frame.variance
    )


def log_density(network, total, x, own=None):
    """log of the overlap with the mean state, without underflow; for landmarks without their own
    term, as in `novelty`.

    network of `mean_state`, total of all weights (), x (b, n), own (b, n) or None for x -> (b,)
    """
    with np.errstate(divide="ignore"):
        log_weight = np.log(network.readout[:, 0])
    out = np.empty(len(x))
    for rows in _blocks(len(x), network.bond_dim):
        logs = product_sum.log_overlaps(
            x[rows], network.landmarks, network.bandwidth, network.mean, network.variance
        )
        of_own = np.exp(logs) if own is None else product_sum.overlaps(network, own[rows])
        known = of_own.max(axis=1) > 1 - _SAME
        out[rows] = logsumexp(logs + log_weight, axis=1)
        out[rows][known] = _log_without_own_term(
            network, total, np.exp(logs[known]), of_own[known], np.ones(known.sum())
        )
    return out


def held_out_log_density(network, total, x, weight):
    """log of the mean overlap of training rows without their own term.

    network of `mean_state`, total of all weights (), x (b, n), weight (b,) -> (b,)
    """
    out = np.empty(len(x))
    for rows in _blocks(len(x), network.bond_dim):
        overlaps = product_sum.overlaps(network, x[rows])
        out[rows] = _log_without_own_term(network, total, overlaps, overlaps, weight[rows])
    return out


def _log_without_own_term(network, total, overlaps, of_own, weight):
    """overlaps, of_own (b, m), weight (b,) -> (b,)"""
    mass = network.readout[:, 0] * total
    # A row's weight is at its nearest landmark.
    nearest = np.argmax(of_own, axis=1)
    term = overlaps[np.arange(len(overlaps)), nearest] * np.minimum(weight, mass[nearest])
    rest = (overlaps @ mass - term) / total
    return np.log(np.maximum(rest, np.finfo(np.float64).tiny))


def choose_landmarks(x, weight, size, rng):
    """At most `size` distinct rows, drawn with their weights: x (b, n), weight (b,) -> (m, n)."""
    if len(x) <= size:
        return x
    chosen = rng.choice(len(x), size, replace=False, p=weight / weight.sum())
    return x[np.sort(chosen)]


def choose_bandwidths(x, weight, mean, variance, ridge, levels=LEVELS):
    """Widths at which a held-out row has the given mean novelties, by interpolation.

    A narrow kernel sees every new row as novel, a wide one sees none: the levels fix how finely
    the data are looked at, relative to how dense they are, and need no anomalies. All rows are
    landmarks here; with fewer, a narrow width would be blamed for what the landmarks do not span.

    x (b, n), weight (b,) -> (len(levels),) in units of sqrt(n)
    """
    novelties = []
    for factor in BANDWIDTHS:
        overlaps = np.exp(
            product_sum.log_overlaps(x, x, factor * np.sqrt(x.shape[1]), mean, variance)
        )
        novelties.append(np.average(_exact_held_out(overlaps, weight, ridge), weights=weight))
    # Rounding must not break the order that the interpolation needs.
    depth = np.maximum.accumulate(-np.log(novelties))
    return np.exp(np.interp(-np.log(levels), depth, np.log(BANDWIDTHS)))


def choose_density_bandwidth(x, weight, mean, variance):
    """The width of largest held-out likelihood of a kernel density estimate on the rows.

    x (b, n), weight (b,) -> (1,) in units of sqrt(n)
    """
    quality = []
    widths = np.asarray(BANDWIDTHS)
    for factor in widths:
        h = factor * np.sqrt(x.shape[1])
        logs = product_sum.log_overlaps(x, x, h, mean, variance) + np.log(weight)
        left = np.maximum(weight - 1, 0)
        # A row of weight 2 keeps one of its two terms.
        with np.errstate(divide="ignore"):
            logs[np.diag_indices_from(logs)] += np.log(left / weight)
        density = logsumexp(logs, axis=1) - x.shape[1] * np.log(h)
        quality.append(np.average(np.maximum(density, -1e300), weights=weight))
    return widths[[int(np.argmax(quality))]]


def _exact_held_out(overlaps, weight, ridge):
    """`held_out_novelty` with all rows as landmarks: overlaps (b, b), weight (b,) -> (b,)"""
    noise = ridge / weight
    gram = overlaps.copy()
    gram[np.diag_indices_from(gram)] += noise
    factor = cholesky(gram, lower=True, overwrite_a=True)
    inverse = solve_triangular(factor, np.eye(len(gram)), lower=True, overwrite_b=True)
    # w t = 1 - noise [(K + noise)^-1]_bb, with t as in `held_out_novelty`.
    leverage = (1 - noise * np.einsum("kb,kb->b", inverse, inverse)) / weight
    own = np.minimum(weight, 1.0) * leverage
    return np.minimum(_positive(ridge * leverage / np.maximum(1 - own, 1e-12)), 1)


def _positive(values):
    return np.maximum(values, np.finfo(np.float64).eps)


def _blocks(n_rows, width):
    size = max(1, _BLOCK_SIZE // width)
    return [slice(start, start + size) for start in range(0, n_rows, size)]
