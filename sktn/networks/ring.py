"""Periodic matrix product states: the two ends of the chain share a bond.

`cores` (n, D, d, D) as in :mod:`sktn.networks.mps`, closed by a trace instead of unit vectors:

    psi(x) = tr prod_i A_i(x_i),    A_i(x) = sum_s phi_s(x) A_i^s.

No site is an end, which suits data with a period; the price is a matrix instead of a vector for
every row, O(b n d D^2 + b n D^3). There is no canonical form, since cutting one bond leaves a ring
in one piece. An open chain of bond dimension D^2 holds every ring: see :func:`to_open`.

Examples
--------
>>> import numpy as np
>>> from sktn.networks import ring
>>> rng = np.random.default_rng(0)
>>> values, log_scale = ring.contract(rng.normal(size=(4, 3, 2, 3)), rng.normal(size=(5, 4, 2)))
>>> values.shape
(5,)
"""

import numpy as np

from sktn.backend import executor_of, namespace
from sktn.networks.linalg import power_of_two_scale


def contract(cores, phi):
    """tr prod_i A_i(x_i) and the log of its scale: the value is `out * exp(log_scale)`.

    cores (n, D, d, D), phi (b, n, d) -> (b,), (b,)
    """
    matrices, log_scale = _product(cores, phi)
    return namespace(matrices).einsum("bkk->b", matrices), log_scale


def contract_readout(cores, readout, phi):
    """psi_c(x) = tr[prod_i A_i(x_i) R_c], the output index on the bond that closes the ring.

    cores (n, D, d, D), readout (D, c, D), phi (b, n, d) -> (b, c), (b,)
    """
    matrices, log_scale = _product(cores, phi)
    return namespace(matrices).einsum("blr,rcl->bc", matrices, readout), log_scale


def inner(cores, other, metric):
    """<F, G> = sum_st F[s] (prod_i metric_i[s_i, t_i]) G[t], its log-scale; O(n d D^5).

    cores (n, D, d, D), other (n, E, d, E), metric (n, d, d) -> (), ()
    """
    run = executor_of(cores, other, metric)
    xp = run.xp
    D, E = cores.shape[1], other.shape[1]
    start = xp.einsum("kl,ef->kelf", xp.eye(D, dtype=cores.dtype), xp.eye(E, dtype=cores.dtype))

    def absorb(carry, site):
        M, log_scale = carry  # M (D, E, D, E): the bonds where the ring was cut, and the last ones
        A, B, G = site
        half = xp.einsum("kelf,lsr->kefsr", M, A)
        half = xp.einsum("kefsr,st->keftr", half, G)
        M = xp.einsum("keftr,ftu->keru", half, B)
        scale = power_of_two_scale(M, axis=(0, 1, 2, 3))
        return (M / scale, log_scale + xp.log(scale[0, 0, 0, 0])), None

    zero = xp.zeros((), cores.dtype)
    (M, log_scale), _ = run.scan(absorb, (start, zero), (cores, other, metric))
    return xp.einsum("keke->", M), log_scale


def log_squared_norm(cores):
    """log <psi, psi>, -inf for the zero ring: cores (n, D, d, D) -> ()"""
    xp = namespace(cores)
    n, _, d, _ = cores.shape
    identity = xp.broadcast_to(xp.eye(d, dtype=cores.dtype), (n, d, d))
    square, log_scale = inner(cores, cores, identity)
    return xp.log(xp.maximum(square, 0)) + log_scale


def to_open(cores):
    """The same function as an open chain, which carries the bond that closes the ring along.

    NumPy. cores (n, D, d, D) -> (n, D^2, d, D^2), closed with the first unit vector at both ends
    """
    cores = np.asarray(cores)
    n, D, d, _ = cores.shape
    carried = np.einsum("kj,nlsr->nklsjr", np.eye(D, dtype=cores.dtype), cores)
    chain = carried.reshape(n, D * D, d, D * D)
    ends = np.eye(D, dtype=cores.dtype).ravel()
    # Summing over the rows (or columns) where the carried and the running bond are equal is the
    # trace; the sum goes to index 0, where the chain is closed.
    first, last = np.zeros((2, D * D, d, D * D), cores.dtype)
    first[0] = np.einsum("k,ksr->sr", ends, chain[0])
    chain[0] = first
    last[:, :, 0] = np.einsum("ksr,r->ks", chain[-1], ends)
    chain[-1] = last
    return chain


def to_dense(cores):
    """The full tensor psi (d, ..., d): the reference for tests, n <= about 10."""
    out = np.eye(cores.shape[1])[:, None]
    for core in np.asarray(cores, np.float64):
        out = np.einsum("kpl,lsr->kpsr", out, core)
        out = out.reshape(len(core), -1, core.shape[2])
    return np.einsum("kpk->p", out).reshape(cores.shape[2:3] * len(cores))


def _product(cores, phi):
    """prod_i A_i(x_i) of every row, its log-scale: -> (b, D, D), (b,)"""
    run = executor_of(cores, phi)
    xp = run.xp
    b, D = len(phi), cores.shape[1]

    def absorb(carry, site):
        M, log_scale = carry
        core, x = site
        M = xp.einsum("bkl,blr->bkr", M, xp.einsum("bs,lsr->blr", x, core))
        # A product of n matrices leaves float32's range after a few dozen sites.
        scale = power_of_two_scale(M, axis=(1, 2))
        return (M / scale, log_scale + xp.log(scale[:, 0, 0])), None

    start = xp.broadcast_to(xp.eye(D, dtype=cores.dtype), (b, D, D))
    sites = cores, xp.swapaxes(phi, 0, 1)
    return run.scan(absorb, (start, xp.zeros(b, cores.dtype)), sites)[0]
