"""Matrix product operators on product states, by `lax.scan` over stacked cores.

An operator of n sites is one array `cores` (n, D, d, o, D), its axes left bond, input leg, output
leg, right bond, padded with zeros; both ends are closed with the first unit vector. A site without
an output leg uses output 0 only: see :mod:`sktn.networks.smpo`.
"""

import jax
import jax.numpy as jnp
import numpy as np

from sktn.networks.linalg import power_of_two_scale


def apply(cores, phi):
    """P Phi(x) as the cores of a matrix product state: B_i^o = sum_s phi_is A_i^{so}.

    cores (n, D, d, o, D), phi (b, n, d) -> (b, n, D, o, D)
    """
    return jnp.einsum("nlsor,bns->bnlor", cores, phi)


def log_squared_norms(cores, phi):
    """log ||P Phi(x)||^2, -inf for a state that P maps to 0.

    The transfer matrix of a site is M -> sum_o B_o^T M B_o; O(b n (d o D^2 + o D^3)); the output
    state is never formed.

    cores (n, D, d, o, D), phi (b, n, d) -> (b,)
    """
    b, D = len(phi), cores.shape[1]

    def absorb(carry, site):
        M, log_scale = carry
        core, vector = site
        B = jnp.einsum("lsor,bs->blor", core, vector)
        M = jnp.einsum("bkor,bkou->bru", jnp.einsum("bkl,blor->bkor", M, B), B)
        # A product of n squares leaves float32's range after a few dozen sites.
        scale = power_of_two_scale(M, axis=(1, 2))
        return (M / scale, log_scale + jnp.log(scale[:, 0, 0])), None

    start = jnp.zeros((b, D, D), cores.dtype).at[:, 0, 0].set(1)
    sites = cores, jnp.swapaxes(phi, 0, 1)
    (M, log_scale), _ = jax.lax.scan(absorb, (start, jnp.zeros(b, cores.dtype)), sites)
    return safe_log(M[:, 0, 0]) + log_scale


def log_squared_frobenius(cores, metric):
    """log ||P||_F^2 = log sum_{s, t, o} (prod_i G_i[s_i, t_i]) P[s, o] P[t, o].

    G is the Gram matrix of the local basis (the identity where it is orthonormal), so that the norm
    is the mean of ||P Phi(x)||^2 over independent columns, times nothing else. O(n d o D^3).

    cores (n, D, d, o, D), metric (n, d, d) -> ()
    """
    D = cores.shape[1]

    def absorb(carry, site):
        M, log_scale = carry
        core, G = site
        half = jnp.einsum("kl,lsor->ksor", M, core)
        half = jnp.einsum("ksor,st->ktor", half, G)
        M = jnp.einsum("ktor,ktou->ru", half, core)
        scale = power_of_two_scale(M, axis=(0, 1))
        return (M / scale, log_scale + jnp.log(scale[0, 0])), None

    start = jnp.zeros((D, D), cores.dtype).at[0, 0].set(1)
    (M, log_scale), _ = jax.lax.scan(absorb, (start, jnp.zeros((), cores.dtype)), (cores, metric))
    return safe_log(M[0, 0]) + log_scale


def safe_log(x):
    """log x, -inf at x <= 0 with the gradient 0 there.

    x (...,) -> (...,)
    """
    positive = x > 0
    return jnp.where(positive, jnp.log(jnp.where(positive, x, 1)), -jnp.inf)


def identity(n, d, dtype=np.float32):
    """The operator that leaves every state as it is, bond dimension 1: -> (n, 1, d, d, 1)"""
    return jnp.broadcast_to(jnp.eye(d, dtype=dtype)[None, None, :, :, None], (n, 1, d, d, 1))


def adjoint(cores):
    """P^T, inputs and outputs exchanged: cores (n, D, d, o, D) -> (n, D, o, d, D)"""
    return jnp.swapaxes(cores, 2, 3)


def compose(first, second):
    """Q P, `first` applied first; the bond dimensions multiply.

    P (n, D, d, o, D), Q (n, E, o, u, E) -> (n, D E, d, u, D E)
    """
    n, D, d, _, _ = first.shape
    E, u = second.shape[1], second.shape[3]
    cores = jnp.einsum("nlsor,neouf->nlesurf", first, second)
    return cores.reshape(n, D * E, d, u, D * E)


def apply_to_state(cores, state):
    """P |psi> of a chain that need not be a product state; the bond dimensions multiply.

    cores (n, D, d, o, D), state (n, E, d, E) -> (n, D E, o, D E)
    """
    return compose(state[:, :, None], cores)[:, :, 0]


def add(first, second):
    """P + Q; the bond dimensions add up.

    P (n, D, d, o, D), Q (n, E, d, o, E) -> (n, D + E, d, o, D + E)
    """
    n, D, d, o, _ = first.shape
    E = second.shape[1]
    cores = jnp.zeros((n, D + E, d, o, D + E), jnp.result_type(first, second))
    cores = cores.at[:, :D, ..., :D].set(first).at[:, D:, ..., D:].set(second)
    # The sum leaves from index 0 and ends there, where chains are closed: Q's ends move to P's.
    cores = cores.at[0, 0].add(cores[0, D])
    return cores.at[-1, ..., 0].add(cores[-1, ..., D])


def trace(cores):
    """tr P of an operator with as many outputs as inputs, and the log of its scale.

    cores (n, D, d, d, D) -> (), ()
    """

    def absorb(carry, core):
        vector, log_scale = carry
        vector = jnp.einsum("l,lssr->r", vector, core)
        scale = power_of_two_scale(vector, axis=0)
        return (vector / scale, log_scale + jnp.log(scale[0])), None

    start = jnp.zeros(cores.shape[1], cores.dtype).at[0].set(1), jnp.zeros((), cores.dtype)
    (vector, log_scale), _ = jax.lax.scan(absorb, start, cores)
    return vector[0], log_scale


def to_dense(cores):
    """The full operator (d, ..., d, o, ..., o), inputs first: for tests, n <= about 6."""
    cores = np.asarray(cores, np.float64)
    n = len(cores)
    out = np.ones((1, 1))
    shape = []
    for i, core in enumerate(cores):
        core = core[:1] if i == 0 else core
        core = core[..., :1] if i == n - 1 else core
        out = np.einsum("kl,lsor->ksor", out, core).reshape(-1, core.shape[3])
        shape += core.shape[1:3]
    return out.reshape(shape).transpose([*range(0, 2 * n, 2), *range(1, 2 * n, 2)])
