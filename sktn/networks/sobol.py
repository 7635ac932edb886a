"""Sobol's decomposition of the variance of a chain, exact and without sampling.

The chain is one of :mod:`sktn.networks.chain` in a basis that is orthonormal under the columns'
distributions, its first component the constant. The variance of f over their product is then the
sum of all squared coefficients but the first, and the set of sites whose component is not the
constant says which interaction a coefficient belongs to (Sobol, "Global sensitivity indices for
nonlinear mathematical models", 2001). Everything below sums squares: nothing is a small difference
of large numbers.
"""

import numpy as np


def constant_paths(chain):
    """Products of the constant components left of every bond and right of it.

    chain (n, D, d, D) -> left (n + 1, D), right (n + 1, D)
    """
    n, D = chain.shape[:2]
    left, right = np.zeros((2, n + 1, D))
    left[0, 0] = right[n, 0] = 1
    for i in range(n):
        left[i + 1] = left[i] @ chain[i, :, 0]
    for i in reversed(range(n)):
        right[i] = chain[i, :, 0] @ right[i + 1]
    return left, right


def mean(chain):
    """E[f]"""
    return constant_paths(chain)[0][-1, 0]


def total_variances(chain):
    """The variance of f, and of it what involves each site.

    chain (n, D, d, D) -> (), (n,)
    """
    n, D = chain.shape[:2]
    left = np.zeros((n + 1, D, D))
    left[0, 0, 0] = 1
    for i, A in enumerate(chain):
        left[i + 1] = _transfer(left[i], A)
    path, _ = constant_paths(chain)
    right = np.zeros((D, D))
    right[0, 0] = 1
    involving, first = np.zeros((2, n))
    for i in reversed(range(n)):
        varying = chain[i, :, 1:]
        beyond = varying @ right  # (D, d - 1, D)
        seen = np.einsum("ksr,lsr->kl", beyond, varying)
        involving[i] = np.sum(left[i] * seen)
        first[i] = path[i] @ seen @ path[i]
        right = np.einsum("ksr,lsr->kl", chain[i] @ right, chain[i])
    # Every varying coefficient has a first site that varies.
    return first.sum(), involving


def variance_by_order(chain):
    """The variance of the interactions of k sites, k = 0 (the squared mean) to n.

    M(z) -> A_0^T M A_0 + z sum_{s > 0} A_s^T M A_s: the power of z counts varying sites.

    chain (n, D, d, D) -> (n + 1,)
    """
    n, D = chain.shape[:2]
    M = np.zeros((n + 1, D, D))
    M[0, 0, 0] = 1
    for i, A in enumerate(chain):
        low = M[: i + 1]
        new = np.zeros_like(M)
        new[: i + 1] = A[:, 0].T @ low @ A[:, 0]
        new[1 : i + 2] += _transfer(low, A[:, 1:])
        M = new
    return M[:, 0, 0]


def pair_variances(chain):
    """The variance of every single site (diagonal) and of every interaction of just two sites.

    All sites left of a bond pass it together, each the only one varying so far.

    chain (n, D, d, D) -> (n, n), symmetric
    """
    n, D, d, _ = chain.shape
    left, right = constant_paths(chain)
    out = np.zeros((n, n))
    started = np.zeros((n, d - 1, D))
    for j, A in enumerate(chain):
        ending = A[:, 1:] @ right[j + 1]  # (D, d - 1)
        out[:j, j] = out[j, :j] = np.sum((started[:j] @ ending) ** 2, axis=(1, 2))
        out[j, j] = np.sum((left[j] @ ending) ** 2)
        started[:j] = started[:j] @ A[:, 0]
        started[j] = np.einsum("l,lsr->sr", left[j], A[:, 1:])
    return out


def subset_variance(chain, sites):
    """The variance of the interaction of exactly these sites. chain (n, D, d, D) -> ()"""
    M = np.zeros(chain.shape[1:2] * 2)
    M[0, 0] = 1
    for i, A in enumerate(chain):
        M = _transfer(M, A[:, 1:] if i in sites else A[:, :1])
    return M[0, 0]


def variance_given(chain, sites):
    """Var E[f | these sites], the variance left when all others are averaged over: -> ()"""
    kept = chain.copy()
    others = np.setdiff1d(np.arange(len(chain)), sites)
    kept[others, :, 1:] = 0
    return total_variances(kept)[0]


def _transfer(M, A):
    """sum_s A_s^T M A_s: M (..., D, D), A (D, d, D) -> (..., D, D)"""
    D = A.shape[0]
    half = (M.mT @ A.reshape(D, -1)).reshape(*M.shape[:-2], -1, D)
    return half.mT @ A.reshape(-1, D)
