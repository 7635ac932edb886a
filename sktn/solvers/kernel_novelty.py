"""Closed-form anomaly operators from the training states.

The best quadratic form for "how far is Phi(x) from the training states" is a spectral filter of
their second moment C. Restricted to the span of m landmark rows it is a spaced MPO with diagonal
cores and bond dimension m (:mod:`sktn.networks.product_sum`): fitting is linear algebra in m
dimensions, O(N m^2), and needs no gradient. Work on rows runs on NumPy or JAX arrays; what is m x m
is factorised in double by LAPACK.
"""

from dataclasses import dataclass, replace

import numpy as np
from scipy.linalg import cholesky, eigh, get_lapack_funcs

from sktn.backend import namespace
from sktn.networks import product_sum

# The Gram matrix of close landmarks is singular in floating point.
JITTER = 1e-8

# Directions whose filter is below this are left out of the operator: they hold nothing. What they
# held is lost to `restore`.
_NEGLIGIBLE = 1e-4

# Overlaps this close to 1 are those of a row with itself, up to rounding.
_SAME = 1e-9

# The log density where there is none: finite, below anything else, and squares of it are numbers.
NOTHING, TINY = -1e150, float(np.finfo(np.float64).tiny)


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
    gram[np.diag_indices_from(gram)] += JITTER
    m, inverse = len(landmarks), inverse_factor(gram)
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
    mass = moments.mass.copy()
    F, nearest = _states(moments.frame, x)
    np.add.at(mass, nearest, weight)
    F = F * np.sqrt(weight)[:, None]
    return Moments(moments.frame, moments.second + F.T @ F, mass)


def add_mass(network, mass, x, weight):
    """The weights of rows, added to those of their nearest landmarks: mass (m,), x (b, n), weight
    (b,) -> (m,)"""
    nearest = product_sum.by_rows(_nearest, network, x)
    return mass + np.bincount(nearest, weights=weight, minlength=len(mass))


def _nearest(network, x):
    return namespace(x).argmax(_log_overlaps(network, x), axis=1)


def _states(frame, x):
    """Training states in the frame, and the landmarks nearest to them: (b, m), (b,)"""
    found = product_sum.by_rows(_state_and_nearest, frame, x)
    return found[:, :-1], found[:, -1].astype(int)


def _state_and_nearest(frame, x):
    kappa = product_sum.overlaps(frame, x)
    xp = namespace(kappa)
    nearest = xp.argmax(kappa, axis=1)[:, None].astype(kappa.dtype)
    return xp.concatenate([kappa @ frame.readout, nearest], axis=1)


def projector(moments, ridge, output_dim=None):
    """Q with Q^T Q = C (C + ridge)^-1, restricted to the span of the landmarks.

    Kernel PCA with a soft edge: 1 - ||Q Phi(x)||^2 is the squared distance to the leading subspace
    (Hoffmann, "Kernel PCA for novelty detection", Pattern Recognition 40, 2007) and, with all
    directions kept, the posterior variance of a Gaussian process that has seen the rows with noise
    of variance `ridge`.

    moments, ridge (), output_dim r or None -> DiagonalNetwork, kept eigenvalues of C (r,)
    """
    spectrum, U = eigh(moments.second, driver="evd")
    spectrum = np.maximum(spectrum[::-1], 0)
    filtered = spectrum / (spectrum + ridge)
    r = max(1, min(np.count_nonzero(filtered > _NEGLIGIBLE), output_dim or len(spectrum)))
    readout = moments.frame.readout @ (U[:, ::-1][:, :r] * np.sqrt(filtered[:r]))
    frame = moments.frame
    network = product_sum.DiagonalNetwork(
        frame.landmarks, readout, frame.bandwidth, frame.mean, frame.variance
    )
    return network, spectrum[:r]


def lacking_novelty(frame, network, spectrum, ridge, weight):
    """What the novelty of landmarks still lacks when their rows are left out of C: the direction
    of a landmark is in their span, and that of a new row is not.

    In terms of overlaps, Q^T Q = G^-1 - ridge T^-1 with the Gram matrix G and T = S + ridge G, S
    the second moment of the overlaps. The inverse of a matrix without its row and column i is the
    inverse less the outer product of its column i with itself, divided by the element i, i.

    frame of `Moments`, network, spectrum of `projector`, weight (m,) of the landmarks' rows, of
    which one copy is left out -> (m,)
    """
    y = product_sum.by_rows(product_sum.outputs, network, network.landmarks)
    of_gram = np.sum(frame.readout**2, axis=1)
    own = np.minimum(weight, 1.0)
    # Of T^-1 with the overlaps k of landmark i: k T^-1 k, and ridge times (T^-1 k)_i and (T^-1)_ii.
    both, one, none = (
        y**2 @ (1 / np.maximum(spectrum, 1e-150)),
        1 - np.sum(network.readout * y, axis=1),
        np.maximum(of_gram - np.sum(network.readout**2, axis=1), 0),
    )
    left = np.maximum(1 - own * both, 1e-12)
    cut = (one / left) ** 2 / np.maximum(ridge * none + own * one**2 / left, TINY)
    without = np.minimum(1 / of_gram + ridge * np.maximum(both / left - cut, 0), 1)
    lacking = without - _without_own_share(y, y, spectrum, ridge, own)
    # Where copies remain, so does the direction.
    return np.maximum(lacking, 0) * np.clip(2 - weight, 0, 1)


def held_out_novelty(network, spectrum, ridge, x, weight, lacking=None):
    """The novelty of training rows as if each had been left out of C, and of the landmarks.

    network, spectrum of `projector`, x (b, n), weight (b,), lacking (m,) of `lacking_novelty`;
    None: the landmarks stay as they are -> (b,) in (0, 1]
    """
    lacking = _or_nothing(lacking, network)
    return product_sum.by_rows(_held_out, network, (x, weight), spectrum, float(ridge), lacking)


def _held_out(network, spectrum, ridge, lacking, rows):
    x, weight = rows
    kappa = product_sum.overlaps(network, x)
    y = kappa @ network.readout
    _known, lacks = _landmarks_among(kappa, lacking)
    return namespace(y).minimum(_without_own_share(y, y, spectrum, ridge, weight) + lacks, 1.0)


def novelty(network, spectrum, ridge, x, own=None, lacking=None):
    """||P Phi(x)||^2 = 1 - ||Q Phi(x)||^2, P^2 = 1 - Q^T Q, of new rows.

    Landmarks get their `held_out_novelty`: they are training rows, and their own share of C would
    make them look more typical than any new row can be. `own` are the rows that x was made from by
    hiding values: what has no own share in C is not to be told by a hidden value.

    network, spectrum of `projector`, x (b, n), own (b, n) or None for x, lacking as in
    `held_out_novelty` -> (b,) in (0, 1]
    """
    kernel, rows = (_novelty, x) if own is None else (_novelty_of_hidden, (x, own))
    lacking = _or_nothing(lacking, network)
    return product_sum.by_rows(kernel, network, rows, spectrum, float(ridge), lacking)


def _or_nothing(lacking, network):
    return np.zeros(network.bond_dim) if lacking is None else lacking


def _novelty(network, spectrum, ridge, lacking, x):
    kappa = product_sum.overlaps(network, x)
    return _novelty_of_overlaps(network, (spectrum, ridge, lacking), kappa, kappa)


def _novelty_of_hidden(network, spectrum, ridge, lacking, rows):
    kappa, of_own = (product_sum.overlaps(network, x) for x in rows)
    return _novelty_of_overlaps(network, (spectrum, ridge, lacking), kappa, of_own)


def _novelty_of_overlaps(network, how, kappa, of_own):
    spectrum, ridge, lacking = how
    xp = namespace(kappa)
    y = kappa @ network.readout
    y_own = y if of_own is kappa else of_own @ network.readout
    known, lacks = _landmarks_among(of_own, lacking)
    new = positive(1 - xp.sum(y * y, axis=1))
    without = xp.minimum(_without_own_share(y, y_own, spectrum, ridge, 1.0) + lacks, 1.0)
    return xp.where(known, without, new)


def _landmarks_among(kappa, lacking):
    """Which rows are landmarks, and what these lack: overlaps (b, m), lacking (m,) -> (b,), (b,)"""
    xp = namespace(kappa)
    known = xp.max(kappa, axis=1) > 1 - _SAME
    return known, xp.where(known, lacking[xp.argmax(kappa, axis=1)], 0.0)


def _without_own_share(y, y_own, spectrum, ridge, weight):
    """Novelty of rows with outputs y, with the rows of outputs y_own left out of C.

    A change of rank one: with B = (C + ridge)^-1, u and v the states,

        1 - u C B u + ridge w (u B v)^2 / (1 - w v B v) .

    y, y_own (b, r), spectrum (r,), weight (b,) -> (b,)
    """
    xp = namespace(y)
    inverse = 1 / xp.maximum(spectrum, float(np.finfo(np.float64).tiny))
    weight = xp.minimum(weight, 1.0)
    left = xp.maximum(1 - weight * (y_own**2 @ inverse), 1e-12)
    # Of the two, only the first is not exactly positive.
    novelty = xp.maximum(1 - xp.sum(y**2, axis=1), ridge * (y**2 @ inverse))
    change = ridge * weight * ((y * y_own) @ inverse) ** 2 / left
    return xp.minimum(positive(novelty + change), 1.0)


def surroundings(network, values, n_neighbors, x, own=None):
    """The mean of a field over the landmarks nearest to a row, without the row itself.

    Nearest rather than by the kernel: dense and sparse regions have as many, as in local outlier
    factors (Breunig and others, SIGMOD 2000).

    network DiagonalNetwork, values of the field (m,), x (b, n), own (b, n) as in `novelty` -> (b,)
    """
    kernel, rows = (_around, x) if own is None else (_around_hidden, (x, own))
    # A shape, not a number that is traced.
    places = np.arange(max(1, min(n_neighbors, network.bond_dim - 1)))
    return product_sum.by_rows(kernel, network, rows, values, places)


def _around(network, values, places, x):
    logs = _log_overlaps(network, x)
    return _mean_around(values, places, logs, logs)


def _around_hidden(network, values, places, rows):
    logs, of_own = (_log_overlaps(network, x) for x in rows)
    return _mean_around(values, places, logs, of_own)


def _mean_around(values, places, logs, of_own):
    xp = namespace(logs)
    # Logarithms: far from all landmarks overlaps are 0, and all would be as near.
    others = xp.where(of_own > -_SAME, -xp.inf, logs)
    nearest = xp.argpartition(-others, len(places) - 1, axis=1)[:, : len(places)]
    return xp.mean(values[nearest], axis=1)


def reach(network, total, share, x, own=None):
    """The log overlap with the landmark that this share of the rows is nearer than: how far a row
    has to look for so many. Few strange rows cannot shorten it, however close they are to each
    other.

    network of `mean_state`, total of all weights (), share (), x (b, n), own (b, n) as in `novelty`
    -> (b,)
    """
    kernel, rows = (_reach, x) if own is None else (_reach_of_hidden, (x, own))
    return product_sum.by_rows(kernel, network, rows, float(total), float(share))


def _reach(network, total, share, x):
    logs = _log_overlaps(network, x)
    return _quantile_of_mass(network.readout[:, 0] * total, share, logs, logs)


def _reach_of_hidden(network, total, share, rows):
    logs, of_own = (_log_overlaps(network, x) for x in rows)
    return _quantile_of_mass(network.readout[:, 0] * total, share, logs, of_own)


def _quantile_of_mass(mass, share, logs, of_own):
    xp = namespace(logs)
    # Without the row itself.
    mass = xp.where(of_own > -_SAME, xp.maximum(mass - 1, 0.0), mass)
    order = xp.argsort(-logs, axis=1)
    below = xp.cumsum(xp.take_along_axis(mass, order, axis=1), axis=1)
    # Short of it by rounding is enough.
    place = xp.argmax(below >= (share - _SAME) * below[:, -1:], axis=1)
    last = xp.take_along_axis(order, place[:, None], axis=1)
    return xp.take_along_axis(logs, last, axis=1)[:, 0]


def mean_state(network, mass):
    """sum_l mass_l <Phi(l)| / sum_l mass_l, a kernel density estimate: network, mass (m,) of the
    rows nearest to each landmark -> DiagonalNetwork"""
    return replace(network, readout=(mass / mass.sum())[:, None])


def log_density(network, total, x, own=None):
    """log of the overlap with the mean state, without underflow; for landmarks without their own
    term, as in `novelty`.

    network of `mean_state`, total of all weights (), x (b, n), own (b, n) or None for x -> (b,)
    """
    kernel, rows = (_log_density, x) if own is None else (_log_density_of_hidden, (x, own))
    return product_sum.by_rows(kernel, network, rows, float(total))


def held_out_log_density(network, total, x, weight):
    """log of the mean overlap of training rows without their own term. Of a row of weight 2 one
    copy is left out, as `log_density` does where it meets it again.

    network of `mean_state`, total of all weights (), x (b, n), weight (b,) -> (b,)
    """
    return product_sum.by_rows(_held_out_log_density, network, (x, weight), float(total))


def _log_density(network, total, x):
    logs = _log_overlaps(network, x)
    return _log_density_of_overlaps(network, total, logs, logs)


def _log_density_of_hidden(network, total, rows):
    logs, of_own = (_log_overlaps(network, x) for x in rows)
    return _log_density_of_overlaps(network, total, logs, of_own)


def _log_density_of_overlaps(network, total, logs, of_own):
    # A new row has no term of its own.
    known = (namespace(logs).max(of_own, axis=1) > -_SAME) * 1.0
    return _log_without_own_term(network, total, logs, of_own, known)


def _held_out_log_density(network, total, rows):
    x, weight = rows
    logs = _log_overlaps(network, x)
    return _log_without_own_term(network, total, logs, logs, namespace(x).minimum(weight, 1.0))


def _log_overlaps(network, x):
    return product_sum.log_overlaps(
        x, network.landmarks, network.bandwidth, network.mean, network.variance
    )


def _log_without_own_term(network, total, logs, of_own, weight):
    """log sum_l mass_l kappa_l / total, less `weight` of the nearest landmark's mass.

    logs, of_own (b, m), weight (b,) -> (b,)
    """
    xp = namespace(logs)
    mass = network.readout[:, 0] * total
    # A landmark without mass has no term, not even where it is the nearest.
    terms = logs + _log(mass)
    # A row's weight is at its nearest landmark.
    nearest = xp.argmax(of_own, axis=1)
    left = mass[nearest] - xp.minimum(weight, mass[nearest])
    own = xp.take_along_axis(logs, nearest[:, None], axis=1) + _log(left)[:, None]
    if xp is np:
        np.put_along_axis(terms, nearest[:, None], own, axis=1)
    else:
        terms = xp.where(xp.arange(len(mass)) == nearest[:, None], own, terms)
    top = xp.max(terms, axis=1)
    top = xp.where(xp.isfinite(top), top, NOTHING)
    terms = terms - top[:, None]
    return top + xp.log(xp.maximum(xp.sum(xp.exp(terms), axis=1) / total, TINY))


def _log(mass):
    """log of masses, -inf of none."""
    xp = namespace(mass)
    return xp.where(mass > 0, xp.log(xp.maximum(mass, TINY)), -xp.inf)


def choose_landmarks(weight, size, rng):
    """At most `size` distinct rows, drawn with their weights: weight (b,) -> indices (m,)"""
    if len(weight) <= size:
        return np.arange(len(weight))
    return np.sort(rng.choice(len(weight), size, replace=False, p=weight / weight.sum()))


def inverse_factor(gram):
    """L^-1 of a positive definite matrix L L^T, which is overwritten: (m, m) -> (m, m)"""
    factor = cholesky(gram, lower=True, overwrite_a=True)
    (invert,) = get_lapack_funcs(("trtri",), (factor,))
    return invert(factor, lower=True, overwrite_c=True)[0]


def positive(values):
    return namespace(values).maximum(values, float(np.finfo(np.float64).eps))
