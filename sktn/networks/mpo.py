"""Matrix product operators on product states, by one scan over stacked cores.

An operator of n sites is one array `cores` (n, D, d, o, D), its axes left bond, input leg, output
leg, right bond, padded with zeros; both ends are closed with the first unit vector. A site without
an output leg uses output 0 only: see :mod:`sktn.networks.smpo`.

Examples
--------
>>> import numpy as np
>>> from sktn.networks import mpo
>>> operator = mpo.identity(4, 2)  # four sites, two levels each
>>> float(mpo.trace(operator)[0] * np.exp(mpo.trace(operator)[1]))
16.0
"""

import numpy as np

from sktn.backend import executor_of, namespace
from sktn.networks.linalg import power_of_two_scale


def apply(cores, phi):
    """P Phi(x) as the cores of a matrix product state: B_i^o = sum_s phi_is A_i^{so}.

    cores (n, D, d, o, D), phi (b, n, d) -> (b, n, D, o, D)
    """
    return namespace(cores, phi).einsum("nlsor,bns->bnlor", cores, phi)


def log_squared_norms(cores, phi):
    """log ||P Phi(x)||^2, -inf for a state that P maps to 0.

    The transfer matrix of a site is M -> sum_o B_o^T M B_o; O(b n (d o D^2 + o D^3)); the output
    state is never formed.

    cores (n, D, d, o, D), phi (b, n, d) -> (b,)
    """
    run = executor_of(cores, phi)
    xp = run.xp
    b, D = len(phi), cores.shape[1]

    def absorb(carry, site):
        M, log_scale = carry
        M = absorb_site(M, outputs(*site))
        # A product of n squares leaves float32's range after a few dozen sites.
        scale = power_of_two_scale(M, axis=(1, 2))
        return (M / scale, log_scale + xp.log(scale[:, 0, 0])), None

    start = xp.broadcast_to(corner(xp, D, cores.dtype), (b, D, D))
    sites = cores, xp.swapaxes(phi, 0, 1)
    (M, log_scale), _ = run.scan(absorb, (start, xp.zeros(b, cores.dtype)), sites)
    return safe_log(M[:, 0, 0]) + log_scale


def corner(xp, D, dtype):
    """1 in the first entry of a matrix, 0 elsewhere: where a chain is closed. -> (D, D)"""
    first = xp.eye(1, D, dtype=dtype)
    return first * first.T


def outputs(core, vectors):
    """B^o = sum_s x_s A^{so}: core (D, d, o, D), vectors (b, d) -> (b, D, o, D)"""
    D, d, o, _ = core.shape
    flat = core.transpose(1, 0, 2, 3).reshape(d, D * o * D)
    return (vectors @ flat).reshape(len(vectors), D, o, D)


def absorb_site(M, B):
    """sum_o B_o^T M B_o by two products of matrices a row.

    M (b, D, D), B (b, D, o, D) -> (b, D, D)
    """
    b, D, o, _ = B.shape
    half = (M @ B.reshape(b, D, o * D)).reshape(b, D * o, D)
    return half.swapaxes(1, 2) @ B.reshape(b, D * o, D)


def log_squared_frobenius(cores, metric):
    """log ||P||_F^2 = log sum_{s, t, o} (prod_i G_i[s_i, t_i]) P[s, o] P[t, o].

    G is the Gram matrix of the local basis (the identity where it is orthonormal), so that the norm
    is the mean of ||P Phi(x)||^2 over independent columns, times nothing else. O(n d o D^3).

    cores (n, D, d, o, D), metric (n, d, d) -> ()
    """
    run = executor_of(cores, metric)
    xp = run.xp
    D = cores.shape[1]

    def absorb(carry, site):
        M, log_scale = carry
        core, G = site
        half = xp.einsum("kl,lsor->ksor", M, core)
        half = xp.einsum("ksor,st->ktor", half, G)
        M = xp.einsum("ktor,ktou->ru", half, core)
        scale = power_of_two_scale(M, axis=(0, 1))
        return (M / scale, log_scale + xp.log(scale[0, 0])), None

    start = corner(xp, D, cores.dtype), xp.zeros((), cores.dtype)
    (M, log_scale), _ = run.scan(absorb, start, (cores, metric))
    return safe_log(M[0, 0]) + log_scale


def safe_log(x):
    """log x, -inf at x <= 0 with the gradient 0 there.

    x (...,) -> (...,)
    """
    xp = namespace(x)
    positive = x > 0
    return xp.where(positive, xp.log(xp.where(positive, x, 1)), -xp.inf)


def identity(n, d, dtype=np.float32):
    """The operator that leaves every state as it is, bond dimension 1: -> (n, 1, d, d, 1)"""
    return np.broadcast_to(np.eye(d, dtype=dtype)[None, None, :, :, None], (n, 1, d, d, 1))


def adjoint(cores):
    """P^T, inputs and outputs exchanged: cores (n, D, d, o, D) -> (n, D, o, d, D)"""
    return cores.swapaxes(2, 3)


def compose(first, second):
    """Q P, `first` applied first; the bond dimensions multiply.

    P (n, D, d, o, D), Q (n, E, o, u, E) -> (n, D E, d, u, D E)
    """
    n, D, d, _, _ = first.shape
    E, u = second.shape[1], second.shape[3]
    cores = namespace(first, second).einsum("nlsor,neouf->nlesurf", first, second)
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
    run = executor_of(first, second)
    xp = run.xp
    D, E = first.shape[1], second.shape[1]

    def padded(cores, before, after):
        bond = (before, after)
        return xp.pad(cores, [(0, 0), bond, (0, 0), (0, 0), bond])

    cores = padded(first, 0, E) + padded(second, D, 0)
    # The sum leaves from index 0 and ends there, where chains are closed: Q's ends move to P's.
    cores = run.set_at(cores, (0, 0), cores[0, 0] + cores[0, D])
    return run.set_at(cores, (-1, ..., 0), cores[-1, ..., 0] + cores[-1, ..., D])


def trace(cores):
    """tr P of an operator with as many outputs as inputs, and the log of its scale.

    cores (n, D, d, d, D) -> (), ()
    """

    run = executor_of(cores)
    xp = run.xp

    def absorb(carry, core):
        vector, log_scale = carry
        vector = xp.einsum("l,lssr->r", vector, core)
        scale = power_of_two_scale(vector, axis=0)
        return (vector / scale, log_scale + xp.log(scale[0])), None

    start = xp.eye(1, cores.shape[1], dtype=cores.dtype)[0], xp.zeros((), cores.dtype)
    (vector, log_scale), _ = run.scan(absorb, start, cores)
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
