"""Networks of a given graph: chain, ring and complete, with one rank or ranks from an error."""

from dataclasses import dataclass
from math import prod

import numpy as np

from sktn.networks import graph
from sktn.networks.linalg import split_svd
from sktn.solvers.als import Stop, als
from sktn.structure import modes
from sktn.structure.evaluate import fit_flops, padded

__all__ = [
    "Sweeps",
    "chain_matrix",
    "complete_matrix",
    "fit",
    "grow",
    "matrix",
    "ring_matrix",
    "tensor_train",
]

# Width of a normal matrix that takes half a gibibyte in float64, and a minute to solve.
_WIDEST = 8192
# Flops of a contraction that takes some minutes: complete graphs of nine modes and more.
_DEAREST = 1e12
# Entries of an intermediate result, 2 GiB of them.
_LARGEST = 2**28
# Flops a second that a small contraction reaches, to tell what fits in the time that is left, and
# those of a large one on half a core, to tell what does not; what is done in the seconds of grace
# is done.
_SPEED, _FAST, _GRACE = 2e9, 5e9, 0.3


@dataclass(frozen=True)
class Sweeps:
    """How a given graph is fitted: most sweeps, smallest relative decrease, random starts."""

    most: int = 200
    tol: float = 1e-5
    starts: int = 1


def matrix(X, target, budget=None):
    """A matrix has one bond, and the singular value decomposition is the answer.

    X (I_1, I_2), target error, budget most parameters or None -> two arrays
    """
    most = None if budget is None else max(1, budget // sum(X.shape))
    V, rest, _ = split_svd(X.T, target**2, most)
    return [np.ascontiguousarray(rest.T), np.ascontiguousarray(V.T)]


def _refuse_giants(sizes, R, deadline):
    """Bonds whose normal equations fit no memory, no patience or no deadline are refused by
    name."""
    widths = np.prod(R.astype(float), axis=1)
    k = int(np.argmax(widths))
    if widths[k] > _WIDEST:
        raise ValueError(
            f"The bonds of mode {k} multiply to {widths[k]:.0f}: normal equations of "
            f"{widths[k]:.0f}^2 entries do not fit. Give bonds whose product is at most {_WIDEST}."
        )
    # Large contractions are done slice by slice of the longest mode.
    slices = np.where(np.arange(len(sizes)) == np.argmax(sizes), 1, sizes)
    flops, peak = graph.dense_costs(sizes, R)[0], graph.dense_costs(slices, R)[1]
    if flops > _DEAREST or peak > _LARGEST:
        raise ValueError(
            f"One contraction of the bonds {R.tolist()} takes {flops:.0e} operations and "
            f"intermediate results of {peak:.0e} entries. Give fewer bonds, or narrower ones."
        )
    flops = fit_flops(sizes, R)
    if flops > _FAST * (deadline.left() + _GRACE):
        raise ValueError(
            f"To fit one core beside the bonds {R.tolist()} takes {flops:.0e} operations, more "
            "than time_limit leaves. Give more time, fewer bonds, or narrower ones."
        )


def fit(task, R, sweeps, target=0.0):
    """ALS on a given graph, best of several random starts.

    R (N, N), target squared error at which the sweeps end -> cores
    """
    R = modes.carried(task.X.shape, R)
    _refuse_giants(task.X.shape, R, task.deadline)
    best = None
    for _ in range(sweeps.starts):
        if best is not None and task.deadline.expired():
            break
        trial = als(
            task.X,
            graph.random_cores(task.X.shape, R, task.rng),
            Stop(sweeps.most, sweeps.tol, target, deadline=task.deadline),
        )
        best = trial if best is None or trial.error < best.error else best
        task.note("fit", trial.error, graph.n_parameters(task.X.shape, R))
    return best.cores


def grow(task, graph_of, sweeps):
    """The smallest equal rank of a family of graphs that meets the target, with warm starts.

    graph_of function of a rank -> (N, N); -> cores, above the target where time or modes ran out
    """
    X, target, cores = task.X, task.target**2, None
    widest = modes.capacity(X.shape)
    for rank in range(1, int(widest.max()) + 1):
        R = np.minimum(graph_of(rank), widest)
        if cores is not None and (
            (graph.bond_dims(cores) == R).all()
            or graph.n_parameters(X.shape, R) > 2 * prod(X.shape) + 1000
            or R.prod(axis=1).max() > _WIDEST
            or fit_flops(X.shape, R) > min(_DEAREST, _SPEED * task.deadline.left())
        ):
            break
        start = graph.random_cores(X.shape, R, task.rng) if cores is None else cores
        trial = als(
            X,
            padded(start, R, task.rng),
            Stop(sweeps.most, sweeps.tol, target, deadline=task.deadline),
        )
        cores = trial.cores
        task.note("grow", trial.error, graph.n_parameters(X.shape, R))
        if trial.error <= target or task.deadline.expired():
            break
    return cores


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
        U, carry, lost = split_svd(matrix, left / (order - 1 - k))
        left -= lost
        cores.append(_as_graph(U.reshape(rank, X.shape[k], -1), k, order))
        rank = len(carry)
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
