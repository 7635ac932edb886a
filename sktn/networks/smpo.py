"""Spaced matrix product operators: output legs on every S-th site only.

P maps a product state of n sites to a matrix product state of fewer, the sites with an output leg
(Wang, Roberts, Vidal and Leichenauer, "Anomaly detection with tensor networks", arXiv:2006.02516).
Spacing 1 is a full operator, spacing n leaves a single output vector. All sites have the same
shape for one scan: sites without a leg use output 0 and their other outputs are masked.

Examples
--------
>>> from sktn.networks import smpo
>>> smpo.output_sites(n=10, spacing=4, first=1)
array([1, 5, 9])
"""

import numpy as np

from sktn.backend import executor_of
from sktn.networks.linalg import power_of_two_scale
from sktn.networks.mpo import absorb_site, corner, outputs


def output_sites(n, spacing, first):
    """The sites with an output leg: first, first + spacing, ... (NumPy integers).

    The first leg is at most at the last site, so that there is always one.
    """
    return np.arange(min(first, n - 1), n, spacing)


def output_mask(n, spacing, first, output_dim):
    """1.0 for the outputs that a site has, 0.0 for padding: (n, output_dim)."""
    mask = np.zeros((n, output_dim))
    mask[:, 0] = 1
    mask[output_sites(n, spacing, first)] = 1
    return mask


def identity(mask, mean, bond_dim):
    """Bond by bond the same operator: input component s is copied to output s where there is a leg,
    and elsewhere the input is projected on the mean vector of its site, <m, phi> / <m, m>.

    Projecting on a fixed component instead would make the product vanish as soon as one feature is
    orthogonal to it.

    mask (n, o), mean m (n, d) -> (n, D, d, o, D)
    """
    mask, mean = np.asarray(mask), np.asarray(mean)
    squares = np.sum(mean**2, axis=1, keepdims=True)
    through = np.zeros((*mean.shape, mask.shape[1]))
    through[:, :, 0] = np.divide(mean, squares, out=np.ones_like(mean), where=squares > 0)
    legs = mask.sum(axis=1) > 1
    through[legs] = np.eye(*through.shape[1:])
    return np.einsum("nso,lr->nlsor", through, np.eye(bond_dim))


def environments(cores, phi):
    """What lies left and right of every site of ||P Phi(x)||^2, each divided by its scale.

    cores (n, D, d, o, D), phi (b, n, d) -> left, right (n, b, D, D)
    """
    run = executor_of(cores, phi)
    xp = run.xp
    b, D = len(phi), cores.shape[1]
    start = xp.broadcast_to(corner(xp, D, cores.dtype), (b, D, D))
    sites = cores, xp.swapaxes(phi, 0, 1)

    def from_left(M, site):
        new = absorb_site(M, outputs(*site))
        return new / power_of_two_scale(new, axis=(1, 2)), M

    def from_right(M, site):
        # The same from the other side: the bonds of the site change places.
        new = absorb_site(M, xp.swapaxes(outputs(*site), 1, 3))
        return new / power_of_two_scale(new, axis=(1, 2)), M

    left = run.scan(from_left, start, sites)[1]
    right = run.scan(from_right, start, sites, reverse=True)[1]
    return left, right


def output_distributions(cores, phi):
    """p_i(o | x), the distribution of output leg i in the normalised state P Phi(x) / ||P Phi(x)||.

    The diagonal of the local reduced density matrix. A site without a leg has p = (1, 0, ...); so
    has every site of a state that P maps to 0.

    cores (n, D, d, o, D), phi (b, n, d) -> (b, n, o)
    """
    run = executor_of(cores, phi)
    xp = run.xp
    left, right = environments(cores, phi)

    def site(_, arrays):
        core, vector, L, R = arrays
        B = outputs(core, vector)
        b, D, o, _ = B.shape
        inner = (L @ B.reshape(b, D, o * D)).reshape(b, D, o, D)
        p = xp.sum(inner * (B.reshape(b, D * o, D) @ R).reshape(b, D, o, D), axis=(1, 3))
        p = xp.maximum(p, 0)
        total = p.sum(axis=1, keepdims=True)
        constant = xp.eye(1, o, dtype=p.dtype)
        return None, xp.where(total > 0, p / xp.where(total > 0, total, 1), constant)

    arrays = cores, xp.swapaxes(phi, 0, 1), left, right
    return xp.swapaxes(run.scan(site, None, arrays)[1], 0, 1)
