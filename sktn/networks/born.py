"""Born machines: p(x) = |psi(x)|^2 / <psi, psi> for a chain with real cores.

`cores` (n, D, d, D) as in :mod:`sktn.networks.mps`, without an output index, closed with the first
unit vector at both ends. The local bases are orthonormal under a reference density on every site,
so that summing a site out, the transfer matrix M -> sum_s A_s^T M A_s, integrates over it exactly:
norms, marginals and conditionals need no sampling.


Examples
--------
>>> import numpy as np
>>> from sktn.networks import born
>>> cores = born.near_constant(np.random.default_rng(0), 4, 3, 2, 0.0, np.float64)
>>> cores.shape, bool(abs(born.log_norm(cores)) < 1e-12)
((4, 2, 3, 2), True)
"""

import jax.numpy as jnp
import numpy as np

from sktn.backend import executor_of, namespace
from sktn.networks.linalg import outer, power_of_two_scale


def _scale(x, axis):
    """The power of two at or below max |x|, see `power_of_two_scale`."""
    if not isinstance(x, np.ndarray):
        return power_of_two_scale(x, axis=axis)
    largest = np.max(np.abs(x), axis=axis, keepdims=True)
    largest[~(largest >= np.finfo(x.dtype).tiny)] = 1
    return np.ldexp(x.dtype.type(1), np.frexp(largest)[1] - 1)


def _log(x, xp):
    """log x, the smallest normal number's for what is below."""
    return xp.log(xp.maximum(x, xp.finfo(x.dtype).tiny))


def log_squares(cores, phi):
    """log psi(x)^2 = 2 log |e_1 prod_i A_i(x_i) e_1|, O(b n d D^2).

    cores (n, D, d, D), phi (b, n, d) -> (b,)
    """
    xp, (b, _, d), D = namespace(cores), phi.shape, cores.shape[1]

    def absorb(carry, site):
        vector, log_scale = carry
        core, x = site
        vector = outer(vector, x) @ core.reshape(D * d, D)
        # A product of n numbers leaves float32's range after a few dozen sites.
        scale = _scale(vector, axis=-1)
        return (vector / scale, log_scale + xp.log(scale[:, 0])), None

    start = xp.tile(xp.eye(1, D, dtype=cores.dtype), (b, 1)), xp.zeros(b, cores.dtype)
    (vector, log_scale), _ = executor_of(cores).scan(absorb, start, (cores, xp.swapaxes(phi, 0, 1)))
    return 2 * (_log(xp.abs(vector[:, 0]), xp) + log_scale)


def log_norm(cores):
    """log <psi, psi>: cores (n, D, d, D) -> ()"""
    xp = namespace(cores)

    def absorb(carry, core):
        M, log_scale = carry
        M = _sum_out(M, core)
        scale = _scale(M, axis=(1, 2))
        return (M / scale, log_scale + xp.log(scale[0, 0, 0])), None

    start = _corner(1, cores, xp), xp.zeros((), cores.dtype)
    (M, log_scale), _ = executor_of(cores).scan(absorb, start, cores)
    return _log(M[0, 0, 0], xp) + log_scale


def log_marginals(cores, phi, present):
    """log of psi^2 summed over the sites that are not present, O(b n d D^3).

    cores (n, D, d, D), phi (b, n, d), present (b, n) bool -> (b,)
    """
    xp = namespace(cores)

    def absorb(carry, site):
        M, log_scale = carry
        M = _left_step(M, *site)
        scale = _scale(M, axis=(1, 2))
        return (M / scale, log_scale + xp.log(scale[:, 0, 0])), None

    start = _corner(len(phi), cores, xp), xp.zeros(len(phi), cores.dtype)
    (M, log_scale), _ = executor_of(cores).scan(absorb, start, _sites(cores, phi, present, xp))
    return _log(M[:, 0, 0], xp) + log_scale


def left_environments(cores, phi, present):
    """What lies left of every site, up to its scale: -> (n, b, D, D)"""
    xp = namespace(cores)

    def absorb(M, site):
        new = _left_step(M, *site)
        return new / _scale(new, axis=(1, 2)), M

    return executor_of(cores).scan(
        absorb, _corner(len(phi), cores, xp), _sites(cores, phi, present, xp)
    )[1]


def right_environments(cores, phi, present):
    """What lies right of every site, up to its scale: -> (n, b, D, D)"""
    xp = namespace(cores)
    mirrored = xp.flip(xp.swapaxes(cores, 1, 3), axis=0)
    flipped = left_environments(mirrored, xp.flip(phi, axis=1), xp.flip(present, axis=1))
    return xp.flip(flipped, axis=0)


def left_step(M, core, vector):
    """Absorb an observed site: M (b, D, D), core (D, d, D), vector (b, d) -> (b, D, D)"""
    new = _observe(M, core, vector)
    return new / _scale(new, axis=(1, 2))


def local_matrices(left, core, right):
    """K_st with p(x_i | observed sites) proportional to phi(x_i)^T K phi(x_i).

    left, right (b, D, D), core (D, d, D) -> (b, d, d)
    """
    xp = namespace(left)
    b, (D, d, _) = len(left), core.shape
    half = (left @ core.reshape(D, d * D)).reshape(b, D * d, D) @ xp.swapaxes(right, 1, 2)
    half = xp.swapaxes(half.reshape(b, D, d, D), 1, 2).reshape(b, d, D * D)
    return half @ xp.swapaxes(core, 0, 1).reshape(d, D * D).T


def near_constant(rng, n, d, bond_dim, noise, dtype):
    """Identity on the constant component and a little noise: psi is almost the constant 1.

    NumPy, since compiling a random number generator takes longer than drawing the numbers.
    rng RandomState -> (n, D, d, D)
    """
    cores = noise / np.sqrt(n * d * bond_dim) * rng.standard_normal((n, bond_dim, d, bond_dim))
    cores[:, :, 0, :] += np.eye(bond_dim)
    return cores.astype(dtype)


def _corner(b, cores, xp):
    """The closed end of the chain on both layers: (b, D, D)"""
    end = xp.eye(1, cores.shape[1], dtype=cores.dtype)[0]
    return xp.tile(end[:, None] * end, (b, 1, 1))


def _sites(cores, phi, present, xp):
    return cores, xp.swapaxes(phi, 0, 1), present.T


def _sum_out(M, core):
    """sum_s A_s^T M A_s: M (b, D, D), core (D, d, D) -> (b, D, D)"""
    b, (D, d, _) = len(M), core.shape
    half = (M @ core.reshape(D, d * D)).reshape(b, D * d, D)
    return half.swapaxes(1, 2) @ core.reshape(D * d, D)


def _observe(M, core, vector):
    """B^T M B with B = sum_s x_s A_s: M (b, D, D), vector (b, d) -> (b, D, D)"""
    D, d, _ = core.shape
    B = (vector @ core.swapaxes(0, 1).reshape(d, D * D)).reshape(-1, D, D)
    return B.swapaxes(1, 2) @ (M @ B)


def _left_step(M, core, vector, present):
    if not isinstance(M, np.ndarray):
        observed, summed = _observe(M, core, vector), _sum_out(M, core)
        return jnp.where(present[:, None, None], observed, summed)
    out = np.empty_like(M)
    # Nothing is summed out where nothing is missing: that is the dearer step.
    out[present] = _observe(M[present], core, vector[present])
    out[~present] = _sum_out(M[~present], core)
    return out


def to_dense(cores):
    """The full tensor psi (d, ..., d): the reference for tests, n <= about 10."""
    out = np.eye(1, cores.shape[1])
    for core in np.asarray(cores, np.float64):
        out = np.einsum("kl,lsr->ksr", out, core).reshape(-1, core.shape[2])
    return out[:, 0].reshape(cores.shape[2:3] * len(cores))
