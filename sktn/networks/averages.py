"""The weighted sum of several chains as one chain, whatever the orders of their sites.

Swapping two neighbouring sites is a singular value decomposition of both together; a permutation is
a row of swaps (Schollwoeck, "The density-matrix renormalization group in the age of matrix product
states", 2011). The sum of chains in one order has their cores as diagonal blocks.
"""

import numpy as np

from sktn.networks.chain import right_canonical
from sktn.networks.linalg import split_svd


def reordered(chain, target, tol=1e-4):
    """The same function with its sites in another order, to a relative error of about `tol`.

    chain (n, D, d, D), target (n,): the present place of what is to stand at each place
    -> (n, D', d, D')
    """
    target = np.asarray(target)
    if (target == np.arange(len(chain))).all():
        return chain
    sites = _trimmed(right_canonical(chain))
    places = list(range(len(chain)))
    # The squares of what all swaps discard add up.
    norm = np.linalg.norm(sites[0])
    n_swaps = max(1, sum(b < a for i, a in enumerate(target) for b in target[i + 1 :]))
    budget = (tol * norm) ** 2 / n_swaps
    center = 0
    for k, wanted in enumerate(target):
        at = places.index(wanted)
        while center < at:
            _move_right(sites, center)
            center += 1
        for j in range(at, k, -1):
            _swap(sites, j - 1, budget)
            places[j - 1], places[j] = places[j], places[j - 1]
        center = k
    return _padded(sites)


def weighted_sum(chains, weights, tol=1e-6):
    """sum_m w_m f_m for chains of one order of sites, compressed to a relative error of `tol`.

    chains: arrays (n, D_m, d, D_m), weights (m,) -> (n, D, d, D)
    """
    n, _, d, _ = chains[0].shape
    if len(chains) == 1:
        return chains[0] * _only_first(weights[0], n)
    D = sum(len(chain[0]) for chain in chains)
    total, start = np.zeros((n, D, d, D)), 0
    for chain in chains:
        block = slice(start, start + len(chain[0]))
        total[:, block, :, block] = chain
        start = block.stop
    starts = np.cumsum([0, *[len(chain[0]) for chain in chains[:-1]]])
    # Each block has its own ends: all of them are joined to the first bond index.
    first, last = total[0][starts], total[-1][:, :, starts]
    if n == 1:
        total[0, 0, :, 0] = sum(w * c[0, 0, :, 0] for w, c in zip(weights, chains, strict=True))
        return total[:, :1, :, :1]
    total[0, 0] = np.tensordot(weights, first, 1)
    total[-1, :, :, 0] = last.sum(axis=2)
    return compressed(total, tol)


def added(a, b):
    """The sum of two chains of one order of sites: n arrays (l, s, r) each, as the result."""
    found = []
    for k, (x, y) in enumerate(zip(a, b, strict=True)):
        (l, s, r), (m, _, q) = x.shape, y.shape
        above, beside = (0 if k == 0 else l), (0 if k == len(a) - 1 else r)
        both = np.zeros((max(l, above + m), s, max(r, beside + q)))
        both[:l, :, :r] += x
        both[above : above + m, :, beside : beside + q] += y
        found.append(both)
    return found


def compressed(chain, tol):
    """The chain with its bonds cut at a relative error of about `tol`: -> (n, D', d, D')"""
    sites = _trimmed(right_canonical(chain))
    budget = (tol * np.linalg.norm(sites[0])) ** 2 / max(1, len(sites) - 1)
    for k in range(len(sites) - 1):
        l, d, r = sites[k].shape
        U, rest, _ = split_svd(sites[k].reshape(l * d, r), budget)
        sites[k] = U.reshape(l, d, -1)
        sites[k + 1] = np.tensordot(rest, sites[k + 1], 1)
    return _padded(sites)


def _swap(sites, k, budget):
    """Exchange sites k and k + 1; the norm is in k + 1 before and in k after."""
    pair = np.einsum("lsm,mtr->ltsr", sites[k], sites[k + 1])
    l, t, s, r = pair.shape
    # The transposed pair, so that the isometry is the right one.
    V, rest, _ = split_svd(pair.reshape(l * t, s * r).T, budget)
    sites[k + 1] = V.T.reshape(-1, s, r)
    sites[k] = rest.T.reshape(l, t, -1)


def _move_right(sites, k):
    l, d, r = sites[k].shape
    Q, R = np.linalg.qr(sites[k].reshape(l * d, r))
    sites[k] = Q.reshape(l, d, -1)
    sites[k + 1] = np.tensordot(R, sites[k + 1], 1)


def _trimmed(chain):
    """Sites (l, d, r) without the bond indices that nothing reaches."""
    sites, n = list(chain), len(chain)
    sites[0], sites[-1] = sites[0][:1], sites[-1][..., :1]
    for k in range(n - 1):
        used = np.abs(sites[k]).max(axis=(0, 1)) > 0
        used &= np.abs(sites[k + 1]).max(axis=(1, 2)) > 0
        used[0] |= not used.any()
        sites[k], sites[k + 1] = sites[k][..., used], sites[k + 1][used]
    return sites


def _padded(sites):
    """Sites (l, d, r) -> (n, D, d, D)"""
    D = max(max(site.shape[0], site.shape[2]) for site in sites)
    chain = np.zeros((len(sites), D, sites[0].shape[1], D))
    for k, site in enumerate(sites):
        chain[k, : site.shape[0], :, : site.shape[2]] = site
    return chain


def _only_first(weight, n):
    factors = np.ones((n, 1, 1, 1))
    factors[0] = weight
    return factors
