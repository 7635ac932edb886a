"""Networks of a given graph: chain, ring and complete, with one rank or ranks from an error."""

import numpy as np

__all__ = ["chain_matrix", "complete_matrix", "ring_matrix", "tensor_train"]


def tensor_train(X, budget):
    """TT-SVD: successive truncated SVDs whose dropped squares add up to at most ``budget``.

    X (I_1, .., I_N) -> N arrays of N axes (Oseledets 2011, algorithm 1)
    """
    order = X.ndim
    left = budget
    carry, rank = X.reshape(1, -1), 1
    cores = []
    for k in range(order - 1):
        matrix = carry.reshape(rank * X.shape[k], -1)
        U, s, Vt = np.linalg.svd(matrix, full_matrices=False)
        squares = s.astype(np.float64) ** 2
        tail = np.cumsum(squares[::-1])[::-1]
        keep = max(1, int(np.sum(tail > left / (order - 1 - k))))
        if keep < len(s):
            left -= tail[keep]
        cores.append(_as_graph(U[:, :keep].reshape(rank, X.shape[k], keep), k, order))
        carry, rank = s[:keep, None] * Vt[:keep], keep
    cores.append(_as_graph(carry.reshape(rank, X.shape[-1], 1), order - 1, order))
    return [core.astype(X.dtype) for core in cores]


def _as_graph(core, k, order):
    """A train core (left, mode, right) with the axes of core k of a graph network."""
    shape = [1] * order
    shape[k] = core.shape[1]
    if k > 0:
        shape[k - 1] = core.shape[0]
    if k < order - 1:
        shape[k + 1] = core.shape[2]
    return core.reshape(shape)


def chain_matrix(ranks):
    """Bond matrix of a train: ranks (N - 1,) -> (N, N)."""
    R = np.ones((len(ranks) + 1, len(ranks) + 1), dtype=int)
    for k, r in enumerate(ranks):
        R[k, k + 1] = R[k + 1, k] = r
    return R


def ring_matrix(ranks):
    """Bond matrix of a ring, the last rank closing it: ranks (N,) -> (N, N)."""
    if len(ranks) < 3:  # Two modes have one bond: a ring of two is a chain.
        return chain_matrix(ranks[:1])
    R = chain_matrix(ranks[:-1])
    R[0, -1] = R[-1, 0] = ranks[-1]
    return R


def complete_matrix(rank, order):
    """Bond matrix of a complete graph with equal bonds."""
    R = np.full((order, order), rank)
    np.fill_diagonal(R, 1)
    return R
