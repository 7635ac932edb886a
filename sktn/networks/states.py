"""Inputs with entanglement: rows that are matrix product states themselves.

A product state has one vector a site. A vector of d^q numbers that belongs together, such as the
amplitudes of an image patch, is a state of q sites instead, split into a chain of bond dimension E
by singular value decompositions:

    v[s_1, ..., s_q] = e_1 B_1^{s_1} ... B_q^{s_q} e_1 .

`states` (b, n, E, d, E) are the chains of b rows, padded with zeros. Both ends are closed with the
first unit vector, so chains of several patches are joined by concatenation along the sites.

Splitting v over q sites of a model, instead of giving it to one site of dimension d^q as
:class:`sktn.embeddings.Amplitude` does, restricts that site's core to a chain of its own: fewer
parameters, the same kind of function.

Examples
--------
>>> import numpy as np
>>> from sktn.networks import states
>>> phi = np.ones((5, 4, 2))  # five product states of four sites
>>> states.from_product(phi).shape
(5, 4, 1, 2, 1)
"""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np

from sktn.networks.linalg import power_of_two_scale, truncated_svd


def from_product(phi):
    """Site vectors as states of bond dimension 1: phi (b, n, d) -> (b, n, 1, d, 1)"""
    return phi[:, :, None, :, None]


def flexible_image_vectors(pixels):
    """(1 / sqrt N) sum_k [cos(pi x_k / 2), sin(pi x_k / 2)] (x) |k>, the colour the last index.

    The flexible representation of quantum images (Le, Dong and Hirota, Quantum Information
    Processing 10, 2011): N pixels in [0, 1] as a unit vector of log2(N) + 1 sites of dimension 2.
    N is filled up with zero pixels to a power of two.

    pixels (b, N) -> (b, 2^(q + 1)), q = ceil(log2 N)
    """
    angle = 0.5 * np.pi * _filled_up(pixels)
    vectors = jnp.stack([jnp.cos(angle), jnp.sin(angle)], axis=-1)
    return vectors.reshape(len(angle), -1) / np.sqrt(angle.shape[1])


def amplitude_vectors(pixels):
    """sqrt(x_k) / norm, the amplitude encoding of N non-negative pixels; a black patch is the
    uniform vector.

    N is filled up with zeros to a power of two.  pixels (b, N) -> (b, 2^q), q = ceil(log2 N)
    """
    filled = _filled_up(jnp.maximum(pixels, 0))
    total = filled.sum(axis=1, keepdims=True)
    black = jnp.zeros_like(filled).at[:, : pixels.shape[1]].set(1 / pixels.shape[1])
    return jnp.sqrt(jnp.where(total > 0, filled / jnp.where(total > 0, total, 1), black))


def _filled_up(pixels):
    size = 1 << (pixels.shape[1] - 1).bit_length()
    return jnp.pad(pixels, [(0, 0), (0, size - pixels.shape[1])])


def split(vectors, d, max_bond, tol=0.0):
    """Vectors of d^q numbers as matrix product states, by truncated SVDs from left to right.

    Each cut keeps at most `max_bond` singular values and drops those whose squares sum to at most
    tol^2 of the total. Without truncation the state is exact.

    vectors (b, d^q) -> (b, q, E, d, E), E = min(max_bond, d^(q // 2))
    """
    size, q = vectors.shape[1], 0
    while d**q < size:
        q += 1
    if d**q != size:
        raise ValueError(f"vectors of {size} numbers are no states of sites of dimension {d}.")
    return jax.vmap(partial(_split, d=d, q=q, max_bond=max_bond, tol=tol))(vectors)


def _split(vector, *, d, q, max_bond, tol):
    E = max(1, min(max_bond, d ** (q // 2)))
    rest, cores = vector[None], []
    for _ in range(q - 1):
        U, s, Vt, _ = truncated_svd(rest.reshape(len(rest) * d, -1), E, tol)
        cores.append(U.reshape(-1, d, U.shape[1]))
        rest = s[:, None] * Vt
    cores.append(rest[..., None])
    return jnp.stack(
        [
            jnp.zeros((E, d, E), vector.dtype).at[: core.shape[0], :, : core.shape[2]].set(core)
            for core in cores
        ]
    )


def contract(cores, readout, states, output_site):
    """f_c = <W_c, state> of a model with its output between two sites, and the log of its scale.

    The pair of bonds, one of the model and one of the row, is carried along: O(b n d D E (D + E)).

    cores (n, D, d, D), readout (D, c, D), states (b, n, E, d, E) -> (b, c), (b,)
    """
    sites = cores, jnp.moveaxis(states, 1, 0)
    left, left_log_scale = _environment(*jax.tree.map(lambda x: x[:output_site], sites))
    mirrored = jax.tree.map(lambda x: jnp.flip(x[output_site:], 0).swapaxes(-3, -1), sites)
    right, right_log_scale = _environment(*mirrored)
    out = jnp.einsum("brec,bre->bc", jnp.einsum("ble,lcr->brec", left, readout), right)
    return out, left_log_scale + right_log_scale


def _environment(cores, states):
    """Contraction from the end: cores (m, D, d, D), states (m, b, E, d, E) -> (b, D, E), (b,)"""
    D, (b, E) = cores.shape[1], states.shape[1:3]
    start = jnp.zeros((b, D, E), cores.dtype).at[:, 0, 0].set(1), jnp.zeros(b, cores.dtype)

    def absorb(carry, site):
        pair, log_scale = carry
        core, state = site
        half = jnp.einsum("ble,lsr->bser", pair, core)
        pair = jnp.einsum("bser,besf->brf", half, state)
        # A product of n numbers leaves float32's range after a few dozen sites.
        scale = power_of_two_scale(pair, axis=(1, 2))
        return (pair / scale, log_scale + jnp.log(scale[:, 0, 0])), None

    return jax.lax.scan(absorb, start, (cores, states))[0]


def to_dense(states):
    """The full vectors (b, d, ..., d): the reference for tests, n <= about 10."""
    states = np.asarray(states, np.float64)
    b, n, E, d, _ = states.shape
    out = np.tile(np.eye(1, E), (b, 1, 1))
    for i in range(n):
        out = np.einsum("bpl,blsr->bpsr", out, states[:, i]).reshape(b, -1, E)
    return out[:, :, 0].reshape(b, *[d] * n)
