"""Exact readings of a tree with one output: what explanations ask, as they ask a chain.

Everything is one of three passes: the value of rows, the environments of all leaves (what the value
is linear in, site by site), and sums of squared coefficients, for which every bond carries a Gram
matrix. NumPy in float64. In a basis that is orthonormal under the columns' distributions, its first
component the constant, squared coefficients are the terms of Sobol's decomposition, as in
:mod:`sktn.networks.sobol`; Shapley values are the quadrature of :mod:`sktn.networks.shapley`.
"""

from dataclasses import replace

import numpy as np

from sktn.networks.linalg import outer
from sktn.networks.tree import contract, with_surplus

# Numbers held for a block of rows (128 MB).
_BLOCK_SIZE = 2**24


def scalar_tree(network, output, scale=1.0):
    """The tree of one output, times a number, every core but the root an isometry: messages are
    then bounded by the vectors that rows put in. -> TTN, c = 1"""
    cores = [core[None].astype(np.float64) for core in network.leaves]
    cores += [core.astype(np.float64) for core in network.cores]
    children = [(-1, -1)] * network.n_sites + network.merges.tolist()
    readout = network.readout[:, [output]].astype(np.float64) * scale
    surplus, log_scale = [], 0.0

    for node, core in enumerate(cores):
        core = with_surplus(core, children[node], surplus)
        Q, R = np.linalg.qr(core.reshape(-1, core.shape[2]))
        size = max(np.abs(R).max(), np.finfo(R.dtype).tiny)
        cores[node] = Q.reshape(*core.shape[:2], -1)
        surplus.append(R / size)
        log_scale += np.log(size)
    readout = with_surplus(readout.swapaxes(1, 2), children[-1], surplus).swapaxes(1, 2)
    n = network.n_sites
    leaves = tuple(core[0] for core in cores[:n])
    return replace(
        network, leaves=leaves, cores=tuple(cores[n:]), readout=readout * np.exp(log_scale)
    )


def change_basis(tree, matrices):
    """tree, matrices (n, d, e) -> the tree for site vectors of dimension e"""
    leaves = tuple(matrix.T @ core for core, matrix in zip(tree.leaves, matrices, strict=True))
    return replace(tree, leaves=leaves)


def evaluate(tree, phi):
    """f(x): phi (b, n, d) -> (b,)"""
    return contract(tree, phi.transpose(1, 2, 0))[:, 0]


def conditional_mean(tree, mean, sites):
    """E[f | x_i, i in sites] as coefficients, the others averaged over.

    mean (n, d), sites: k distinct ones -> K (d, ..., d), axes as in `sites`
    """
    d, k = mean.shape[1], len(sites)
    phi = np.broadcast_to(mean, (d**k, *mean.shape)).copy()
    for axis, site in enumerate(sites):
        phi[:, site] = np.eye(d)[np.indices((d,) * k)[axis].ravel()]
    return evaluate(tree, phi).reshape((d,) * k)


def environments(tree, phi):
    """What f is a product of with the vector of every site: phi (b, n, d) -> n arrays (b, d)"""
    n, b = tree.n_sites, len(phi)
    one = np.ones((b, 1))
    up = [x @ core for x, core in zip(phi.swapaxes(0, 1), tree.leaves, strict=True)]

    def message(child):
        return one if child < 0 else up[child]

    for core, (left, right) in zip(tree.cores, tree.merges, strict=False):
        up.append(contracted(core, message(left), message(right)))
    down = [None] * len(up)
    nodes = [*zip(tree.cores, range(n, len(up)), strict=True), (tree.readout.swapaxes(1, 2), None)]
    for (core, node), (left, right) in zip(nodes[::-1], tree.merges[::-1], strict=True):
        beyond = one if node is None else down[node]
        if left >= 0:
            down[left] = contracted(core.transpose(1, 2, 0), message(right), beyond)
        if right >= 0:
            down[right] = contracted(core.transpose(0, 2, 1), message(left), beyond)
    return [far @ core.T for far, core in zip(down, tree.leaves, strict=False)]


def contracted(core, x, y):
    """core (a, b, r), x (N, a), y (N, b) -> (N, r)"""
    return outer(x, y) @ core.reshape(-1, core.shape[2])


def gradient(tree, phi, slopes):
    """f with one site's vector replaced by its derivative, for every site: (b, n)"""
    parts = environments(tree, phi)
    return np.stack([(far * slopes[:, i]).sum(axis=1) for i, far in enumerate(parts)], axis=1)


def shapley_values(tree, background, phi):
    """The Shapley values of all sites, see :mod:`sktn.networks.shapley`.

    background m (n, d), or (b, n, d) for one a row, phi (b, n, d) -> (b, n)
    """
    n = tree.n_sites
    nodes, weights = np.polynomial.legendre.leggauss(-(-n // 2))
    values, gain = np.zeros(phi.shape[:2]), phi - background
    widest = max((core.shape[0] * core.shape[1] for core in tree.cores), default=1)
    numbers = 2 * int(tree.bond_dims.sum()) + 2 * n * phi.shape[2] + 2 * widest
    size = max(1, _BLOCK_SIZE // numbers)
    for start in range(0, len(phi), size):
        rows = slice(start, start + size)
        absent = background if background.ndim == 2 else background[rows]
        for t, weight in zip((nodes + 1) / 2, weights / 2, strict=True):
            values[rows] += weight * gradient(tree, absent + t * gain[rows], gain[rows])
    return values


def squares(tree, grams):
    """Sums of squared coefficients, those of each site's components weighed by a matrix.

    grams: n arrays (B, r, r), the leaves' A^T diag(weights) A -> (B,)
    """
    carried = list(grams)
    one = np.ones((1, 1, 1))

    def of(child):
        return one if child < 0 else carried[child]

    for core, (left, right) in zip(tree.cores, tree.merges, strict=False):
        carried.append(_carried(core, of(left), of(right)))
    left, right = tree.merges[-1]
    return _carried(tree.readout.swapaxes(1, 2), of(left), of(right))[:, 0, 0]


def _carried(core, M, N):
    """sum A_abr A_cds M_ac N_bd: core (a, b, r), M (B, a, a), N (B, b, b) -> (B, r, r)"""
    half = np.einsum("zac,abr->zcbr", M, core)
    half = np.einsum("zcbr,zbd->zcdr", half, N)
    return np.einsum("zcdr,cds->zrs", half, core)


def _parts(tree):
    """Of every leaf: what the constant component carries, and what the others do, (1, r, r)."""
    constant = [np.outer(core[0], core[0])[None] for core in tree.leaves]
    varying = [(core[1:].T @ core[1:])[None] for core in tree.leaves]
    return constant, varying


def total_variances(tree):
    """The variance of f, and of it what involves each site: -> (), (n,)"""
    constant, varying = _parts(tree)
    # Problem i leaves out what site i does; the last one nothing.
    grams = []
    for i, (c, v) in enumerate(zip(constant, varying, strict=True)):
        own = np.repeat(c + v, tree.n_sites + 1, axis=0)
        own[i] = c[0]
        grams.append(own)
    *without, whole = squares(tree, grams)
    variance = float(variance_by_order(tree)[1:].sum())
    return variance, np.clip(whole - np.array(without), 0, variance)


def variance_by_order(tree):
    """The variance of the interactions of k sites, k = 0 (the squared mean) to n: the coefficients
    of a polynomial whose variable counts varying sites, from its values on the unit circle.

    -> (n + 1,)
    """
    n = tree.n_sites
    z = np.exp(2j * np.pi * np.arange(n + 1) / (n + 1))[:, None, None]
    grams = [c + z * v for c, v in zip(*_parts(tree), strict=True)]
    return np.maximum(np.fft.fft(squares(tree, grams)).real / (n + 1), 0)


def pair_variances(tree):
    """The variance of every single site (diagonal) and of every interaction of just two sites.

    -> (n, n), symmetric
    """
    n, out = tree.n_sites, np.zeros((tree.n_sites, tree.n_sites))
    d = max(len(core) for core in tree.leaves)
    rest = np.zeros((1, n, d))
    rest[:, :, 0] = 1
    out[np.diag_indices(n)] = [np.sum(far[:, 1:] ** 2) for far in environments(tree, rest)]
    for i in range(n):
        phi = np.repeat(rest, d - 1, axis=0)
        phi[:, i] = np.eye(d)[1:]
        for j, far in enumerate(environments(tree, phi)):
            if j != i:
                out[i, j] = np.sum(far[:, 1:] ** 2)
    return out


def subset_variance(tree, sites):
    """The variance of the interaction of exactly these sites: -> ()"""
    constant, varying = _parts(tree)
    grams = [varying[i] if i in sites else constant[i] for i in range(tree.n_sites)]
    return float(squares(tree, grams)[0])
