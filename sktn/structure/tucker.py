"""Orthogonal reduction of a tensor to its HOSVD core, where a structure search is cheap.

With orthonormal factors the loss splits exactly,
||X - U TN||^2 = ||X - U U^T X||^2 + ||U^T X - TN||^2,
so that a search on the core U^T X with the rest of the error budget is a search on X.
"""

import numpy as np

__all__ = ["along", "expand", "leading", "lift", "reduce"]


def leading(X, k):
    """Squared singular values of mode k's unfolding, falling, and their left vectors.

    X (I_1, .., I_N) -> (I_k,), (I_k, I_k)
    """
    unfolding = np.moveaxis(X, k, 0).reshape(X.shape[k], -1)
    values, vectors = np.linalg.eigh((unfolding @ unfolding.T).astype(np.float64))
    return np.maximum(values[::-1], 0.0), vectors[:, ::-1]


def _basis(unfolding, budget):
    """Leading left singular vectors whose complement holds at most ``budget``.

    unfolding (I, M) -> (I, r), dropped sum of squares
    """
    gram = unfolding @ unfolding.T
    values, vectors = np.linalg.eigh(gram.astype(np.float64))
    values = np.maximum(values, 0.0)
    tail = np.cumsum(values)
    # Below the rounding of the Gram matrix an eigenvalue is noise, whatever the budget.
    floor = np.finfo(unfolding.dtype).eps * tail[-1]
    drop = int(np.searchsorted(tail, max(budget, floor), side="right"))
    drop = min(drop, len(values) - 1)
    return vectors[:, drop:][:, ::-1], float(tail[drop - 1]) if drop else 0.0


def reduce(X, budget):
    """Sequentially truncated HOSVD that drops at most ``budget`` of ||X||^2.

    X (I_1, .., I_N) -> core (n_1, .., n_N), factors N arrays (I_k, n_k)
    """
    factors = [None] * X.ndim
    core, left = X, budget
    # Short modes first: they are cheap and shrink the tensor for the long ones.
    order = np.argsort(X.shape, kind="stable")
    for done, k in enumerate(order):
        moved = np.moveaxis(core, k, 0)
        unfolding = moved.reshape(moved.shape[0], -1)
        basis, dropped = _basis(unfolding, left / (X.ndim - done))
        left -= dropped
        factors[k] = basis.astype(X.dtype)
        small = (factors[k].T @ unfolding).reshape(-1, *moved.shape[1:])
        core = np.ascontiguousarray(np.moveaxis(small, 0, k))
    return core, factors


def along(core, k, matrix):
    """A matrix applied to axis k: core (.., n, ..), matrix (m, n) -> (.., m, ..)"""
    return np.ascontiguousarray(np.moveaxis(np.tensordot(matrix, core, (1, k)), 0, k))


def expand(cores, factors):
    """A network on the HOSVD core as a network on the full tensor.

    cores N arrays with mode lengths n_k, factors N arrays (I_k, n_k) -> N arrays with I_k
    """
    return [along(core, k, factors[k]) for k, core in enumerate(cores)]


def lift(cores, factors):
    """A network on the full tensor, projected to the HOSVD core.

    cores N arrays with mode lengths I_k, factors N arrays (I_k, n_k) -> N arrays with n_k
    """
    return [along(core, k, factors[k].T) for k, core in enumerate(cores)]
