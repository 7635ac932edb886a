"""Born machines: p(x) = |psi(x)|^2 / <psi, psi> for a chain with real cores.

`cores` (n, D, d, D) as in :mod:`sktn.networks.mps`, without an output index, closed with the first
unit vector at both ends. The local bases are orthonormal under a reference density on every site,
so that summing a site out, the transfer matrix M -> sum_s A_s^T M A_s, integrates over it exactly:
norms, marginals and conditionals need no sampling.
"""

import jax
import jax.numpy as jnp
import numpy as np

from sktn.networks.linalg import power_of_two_scale
from sktn.networks.mpo import safe_log


def log_squares(cores, phi):
    """log psi(x)^2 = 2 log |e_1 prod_i A_i(x_i) e_1|, O(b n d D^2).

    cores (n, D, d, D), phi (b, n, d) -> (b,)
    """
    b, D = len(phi), cores.shape[1]

    def absorb(carry, site):
        vector, log_scale = carry
        core, x = site
        vector = jnp.einsum("bl,bs,lsr->br", vector, x, core)
        # A product of n numbers leaves float32's range after a few dozen sites.
        scale = power_of_two_scale(vector, axis=-1)
        return (vector / scale, log_scale + jnp.log(scale[:, 0])), None

    start = jnp.zeros((b, D), cores.dtype).at[:, 0].set(1), jnp.zeros(b, cores.dtype)
    (vector, log_scale), _ = jax.lax.scan(absorb, start, (cores, jnp.swapaxes(phi, 0, 1)))
    return safe_log(vector[:, 0] ** 2) + 2 * log_scale


def log_norm(cores):
    """log <psi, psi>: cores (n, D, d, D) -> ()"""

    def absorb(carry, core):
        M, log_scale = carry
        M = _sum_out(M[None], core)[0]
        scale = power_of_two_scale(M, axis=(0, 1))
        return (M / scale, log_scale + jnp.log(scale[0, 0])), None

    D = cores.shape[1]
    start = jnp.zeros((D, D), cores.dtype).at[0, 0].set(1), jnp.zeros((), cores.dtype)
    (M, log_scale), _ = jax.lax.scan(absorb, start, cores)
    return safe_log(M[0, 0]) + log_scale


def log_marginals(cores, phi, present):
    """log of psi^2 summed over the sites that are not present, O(b n d D^3).

    cores (n, D, d, D), phi (b, n, d), present (b, n) bool -> (b,)
    """
    b, D = len(phi), cores.shape[1]

    def absorb(carry, site):
        M, log_scale = carry
        M = _left_step(M, *site)
        scale = power_of_two_scale(M, axis=(1, 2))
        return (M / scale, log_scale + jnp.log(scale[:, 0, 0])), None

    start = jnp.zeros((b, D, D), cores.dtype).at[:, 0, 0].set(1), jnp.zeros(b, cores.dtype)
    (M, log_scale), _ = jax.lax.scan(absorb, start, _sites(cores, phi, present))
    return safe_log(M[:, 0, 0]) + log_scale


def left_environments(cores, phi, present):
    """What lies left of every site, up to its scale: -> (n, b, D, D)"""

    def absorb(M, site):
        new = _left_step(M, *site)
        return new / power_of_two_scale(new, axis=(1, 2)), M

    b, D = len(phi), cores.shape[1]
    start = jnp.zeros((b, D, D), cores.dtype).at[:, 0, 0].set(1)
    return jax.lax.scan(absorb, start, _sites(cores, phi, present))[1]


def right_environments(cores, phi, present):
    """What lies right of every site, up to its scale: -> (n, b, D, D)"""
    mirrored = jnp.flip(jnp.swapaxes(cores, 1, 3), axis=0)
    flipped = left_environments(mirrored, jnp.flip(phi, axis=1), jnp.flip(present, axis=1))
    return jnp.flip(flipped, axis=0)


def left_step(M, core, vector):
    """Absorb an observed site: M (b, D, D), core (D, d, D), vector (b, d) -> (b, D, D)"""
    new = _left_step(M, core, vector, jnp.ones(len(vector), bool))
    return new / power_of_two_scale(new, axis=(1, 2))


def local_matrices(left, core, right):
    """K_st with p(x_i | observed sites) proportional to phi(x_i)^T K phi(x_i).

    left, right (b, D, D), core (D, d, D) -> (b, d, d)
    """
    half = jnp.einsum("bkl,lsr->bksr", left, core)
    return jnp.einsum("bksr,ktu,bru->bst", half, core, right)


def near_constant(rng, n, d, bond_dim, noise, dtype):
    """Identity on the constant component and a little noise: psi is almost the constant 1.

    NumPy, since compiling a random number generator takes longer than drawing the numbers.
    rng RandomState -> (n, D, d, D)
    """
    cores = noise / np.sqrt(n * d * bond_dim) * rng.standard_normal((n, bond_dim, d, bond_dim))
    cores[:, :, 0, :] += np.eye(bond_dim)
    return cores.astype(dtype)


def _sites(cores, phi, present):
    return cores, jnp.swapaxes(phi, 0, 1), present.T


def _sum_out(M, core):
    half = jnp.einsum("bkl,lsr->bksr", M, core)
    return jnp.einsum("bksr,ksu->bur", half, core)


def _left_step(M, core, vector, present):
    B = jnp.einsum("lsr,bs->blr", core, vector)
    observed = jnp.einsum("bkl,blr,bku->bur", M, B, B)
    return jnp.where(present[:, None, None], observed, _sum_out(M, core))


def to_dense(cores):
    """The full tensor psi (d, ..., d): the reference for tests, n <= about 10."""
    out = np.eye(1, cores.shape[1])
    for core in np.asarray(cores, np.float64):
        out = np.einsum("kl,lsr->ksr", out, core).reshape(-1, core.shape[2])
    return out[:, 0].reshape(cores.shape[2:3] * len(cores))
