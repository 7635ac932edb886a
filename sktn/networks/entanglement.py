"""Entanglement of a chain in an orthonormal basis, and truncation by it. NumPy, float64.

The weight tensor, divided by its norm, is a state; the squared singular values across a cut are a
distribution, and its entropy says how much one side of the cut has to know of the other.
"""

import numpy as np
from scipy.special import entr

from sktn.networks.linalg import split_svd
from sktn.networks.mps import dense_sites

# Numbers a reduced density matrix with its two open bonds may take (256 MB).
_LARGEST = 2**25


def bond_spectra(cores, readout, output_site):
    """Singular values of the chain at every bond (NumPy, exact): bond i is left of site i, and the
    readout counts as a site of its own.

    cores (n, D, d, D), readout (D, c, D) -> list of n + 2 arrays
    """
    sites = dense_sites(cores, readout, output_site)
    # Right-orthogonal form first, then one sweep of SVDs from the left.
    R = np.ones((1, 1))
    for k in range(len(sites) - 1, 0, -1):
        core = np.einsum("lsr,rk->lsk", sites[k], R)
        Q, upper = np.linalg.qr(core.reshape(core.shape[0], -1).T)
        sites[k] = Q.T.reshape(-1, core.shape[1], core.shape[2])
        R = upper.T
    sites[0] = np.einsum("lsr,rk->lsk", sites[0], R)
    spectra = [np.array([np.linalg.norm(sites[0])])]
    carry = np.ones((1, 1))
    for core in sites:
        core = np.einsum("kl,lsr->ksr", carry, core)
        _, s, Vt = np.linalg.svd(core.reshape(-1, core.shape[2]), full_matrices=False)
        carry = s[:, None] * Vt
        spectra.append(s)
    return spectra


def entropy(spectrum):
    """-sum_k p_k log p_k, p the squared singular values over their sum; 0 for a zero tensor."""
    squares = np.asarray(spectrum) ** 2
    return distribution_entropy(squares)


def distribution_entropy(p):
    """Entropy in nats of non-negative numbers, normalised. p (k,) -> float"""
    total = p.sum()
    return max(0.0, float(entr(p / total).sum())) if total > 0 else 0.0


def bond_entropies(cores, readout, output_site):
    """Entropy of every bond: cores (n, D, d, D), readout (D, c, D) -> (n + 2,), spectra

    Bond i is left of site i, and the readout counts as a site.
    """
    spectra = bond_spectra(cores, readout, output_site)
    return np.array([entropy(s) for s in spectra]), spectra


def mutual_information(cores, readout, output_site, first, second):
    """I(A : B) = S(A) + S(B) - S(AB) between two sets of places along the chain, with S the von
    Neumann entropy of the reduced density matrix; everything else is traced out, outputs included.

    Neighbouring places of one set merge and are compressed to the support of their density matrix,
    so a block may be long as long as it has few parts.

    cores (n, D, d, D), readout (D, c, D), first and second disjoint -> float
    """
    sites = dense_sites(cores, readout, output_site)
    label = np.zeros(len(sites), dtype=int)
    places = np.arange(len(cores))
    places = places + (places >= output_site)
    label[places[list(first)]] = 1
    label[places[list(second)]] = 2
    sites, label = _merged(sites, label)
    rho = _density_matrix(sites, label > 0)
    dims = [core.shape[1] for core, kind in zip(sites, label, strict=True) if kind]
    kinds = label[label > 0]
    joint = rho.reshape(dims + dims)
    entropies = []
    for kind in (1, 2):
        traced = joint
        # From the last, so that the axes before stay where they are.
        for axis in np.flatnonzero(kinds != kind)[::-1]:
            traced = np.trace(traced, axis1=axis, axis2=axis + traced.ndim // 2)
        size = int(np.sqrt(traced.size))
        entropies.append(_matrix_entropy(traced.reshape(size, size)))
    return max(0.0, sum(entropies) - _matrix_entropy(rho))


def _matrix_entropy(rho):
    return distribution_entropy(np.maximum(np.linalg.eigvalsh(rho), 0))


def _merged(sites, label):
    """Runs of equally labelled sites as one; the physical index of a kept run is compressed to at
    most the product of its bonds, by an isometry, which no entropy sees."""
    merged, kinds = [], []
    for core, kind in zip(sites, label, strict=True):
        if kinds and kind and kinds[-1] == kind:
            core = np.einsum("lsk,ktr->lstr", merged.pop(), core)
            core = core.reshape(core.shape[0], -1, core.shape[-1])
        else:
            kinds.append(kind)
        l, s, r = core.shape
        if kind and s > l * r:
            R = np.linalg.qr(core.transpose(1, 0, 2).reshape(s, l * r), mode="r")
            core = R.reshape(-1, l, r).transpose(1, 0, 2)
        merged.append(core)
    return merged, np.array(kinds)


def _density_matrix(sites, kept):
    """sites: arrays (l, s, r), kept: which keep their index -> (K, K)"""
    E = np.ones((1, 1, 1, 1))  # (k, k', bond, bond')
    for core, keep in zip(sites, kept, strict=True):
        K, s = len(E), core.shape[1] if keep else 1
        if (K * s * core.shape[2]) ** 2 > _LARGEST:
            raise ValueError(
                f"The reduced density matrix of these blocks has at least {K * s} rows: choose "
                "blocks of fewer features, or of features next to each other along the chain."
            )
        half = np.einsum("xylm,lsr->xysrm", E, core)
        if keep:
            E = np.einsum("xysrm,mtu->xsytru", half, core)
            E = E.reshape(K * s, K * s, *E.shape[-2:])
        else:
            E = np.einsum("xysrm,msu->xyru", half, core)
        E = E / max(np.abs(E).max(), np.finfo(E.dtype).tiny)
    rho = E[:, :, 0, 0]
    trace = np.trace(rho)
    return rho / trace if trace > 0 else rho


def truncate(cores, readout, output_site, max_error, bond_dim=None):
    """The nearby chain of smaller bonds, by one sweep of truncated singular value decompositions.

    Each cut is an orthogonal projection, so the squares of what they discard add up to the squared
    distance exactly. With `max_error` the budget is spread over the bonds.

    cores (n, D, d, D), readout (D, c, D)
    -> sites: n + 1 arrays (l, s, r), relative error sqrt(sum discarded) / norm
    """
    return cut(dense_sites(cores, readout, output_site), max_error, bond_dim)


def cut(sites, max_error, bond_dim=None, norm=None):
    """The same of n arrays (l, s, r); errors relative to `norm`, None for that of the chain."""
    sites, carry = list(sites), np.ones((1, 1))
    for k in range(len(sites) - 1, 0, -1):
        core = sites[k] @ carry
        Q, R = np.linalg.qr(core.reshape(core.shape[0], -1).T)
        sites[k] = Q.T.reshape(-1, *core.shape[1:])
        carry = R.T
    sites[0] = sites[0] @ carry
    norm = np.linalg.norm(sites[0]) if norm is None else norm
    budget = (max_error * norm) ** 2 / max(1, len(sites) - 1)
    lost = 0.0
    for k in range(len(sites) - 1):
        l, s, _ = sites[k].shape
        U, rest, squares = split_svd(sites[k].reshape(l * s, -1), budget, bond_dim)
        lost += squares
        sites[k] = U.reshape(l, s, -1)
        sites[k + 1] = np.einsum("kl,lsr->ksr", rest, sites[k + 1])
    return sites, float(np.sqrt(lost) / norm) if norm > 0 else 0.0
