"""Tensor networks on any graph: the fully-connected network (FCTN) and all its sub-graphs.

A network of order N is a list of N cores. Core k has N axes: axis k is the mode itself (length
I_k), axis j is the bond to core j (length R_kj, 1 where there is no edge). So one layout holds
trains, rings, Tucker stars, complete graphs and everything between, and removing an edge is slicing
an axis.

    X[i_1, .., i_N] = sum over all bonds of prod_k G_k[r_k1, .., i_k, .., r_kN]

Cores are NumPy arrays, and so is what is returned: a structure search changes shapes at every step,
and decides on the host. A tensor that was put on a device (`placed`) is contracted there: the cores
follow it (`contraction`). What least squares need of a network is in `normal` and `residual`.

Examples
--------
>>> import numpy as np
>>> from sktn.networks import graph
>>> R = np.array([[1, 2, 1], [2, 1, 3], [1, 3, 1]])  # bond dimensions: a train of three cores
>>> graph.n_parameters([4, 5, 6], R)
56
>>> cores = graph.random_cores([4, 5, 6], R, np.random.default_rng(0))
>>> graph.to_dense(cores).shape
(4, 5, 6)
"""

from functools import lru_cache
from math import prod

import numpy as np

from sktn.backend import executor_of, get_executor
from sktn.networks.contraction import contract, costs, plan_of, rounded_sizes, run_plan

# Entries from which a tensor is sent to a device: to start the dozen products of a contraction
# there takes some tenths of a millisecond, in which a CPU contracts about as many.
_DEVICE_ENTRIES = 2**19


def placed(X):
    """A tensor where it is to be contracted: on the executor's devices, if it is large."""
    run = executor_for_tensor(np.size(X))
    with run.precision(np.float64):
        return run.put(X)


def executor_for_tensor(entries):
    """Where a contraction to so many entries is done."""
    return get_executor() if entries >= _DEVICE_ENTRIES else executor_of()


def bond_dims(cores):
    """Bond dimensions R_ij of a network, ones on the diagonal.

    cores N arrays of N axes -> (N, N) integers
    """
    R = np.array([core.shape for core in cores], dtype=int).reshape(len(cores), len(cores))
    np.fill_diagonal(R, 1)
    return R


def unfolded(array, k):
    """Axis k first, the others in one: (I_1, .., I_N) -> (I_k, rest)"""
    axes = [k, *range(k), *range(k + 1, array.ndim)]  # numpy.moveaxis takes five times as long
    return array.transpose(axes).reshape(array.shape[k], -1)


def folded(matrix, shape, k):
    """The array that a matrix was unfolded from: (I_k, rest) -> shape"""
    moved = matrix.reshape(shape[k], *shape[:k], *shape[k + 1 :])
    return np.ascontiguousarray(moved.transpose([*range(1, k + 1), 0, *range(k + 1, len(shape))]))


def n_parameters(sizes, R):
    """Number of entries of all cores, sum_k I_k prod_j R_kj.

    sizes (N,), R (N, N) -> int
    """
    return int(
        sum(int(size) * prod(int(r) for r in row) for size, row in zip(sizes, R, strict=True))
    )


def core_sizes(sizes, R):
    """Number of entries of each core, I_k prod_j R_kj.

    sizes (N,), R (N, N) -> (N,)
    """
    return np.asarray(sizes) * np.prod(np.asarray(R), axis=1)


def random_cores(sizes, R, rng, dtype=np.float64):
    """Normal cores whose contraction has entries of variance about one.

    sizes (N,), R (N, N) -> N arrays of N axes
    """
    cores = []
    for k, size in enumerate(sizes):
        shape = [int(r) for r in R[k]]
        shape[k] = int(size)
        # Each bond is shared by two cores: the fourth root on both sides keeps its sum at one.
        scale = np.prod([float(r) for j, r in enumerate(shape) if j != k]) ** -0.25
        cores.append((scale * rng.standard_normal(shape)).astype(dtype))
    return cores


# A search contracts every shape some ten to a hundred times.
@lru_cache(maxsize=4096)
def _dense_route(shapes):
    """How networks with cores of these shapes become dense tensors.

    shapes N tuples -> plan, shapes of the cores without axes of length one, flops, entries of the
    largest intermediate
    """
    inputs, arrays = operands_of([np.broadcast_to(np.float32(0.0), shape) for shape in shapes])
    plan = plan_of(
        tuple(inputs), tuple((k,) for k in range(len(shapes))), rounded_sizes(inputs, arrays)
    )
    arms = tuple(array.shape for array in arrays)
    return plan, arms, *costs(plan, arms)


# Index names: a mode is (k,), the bond of i < j is (i, j), its partner when squared (i, j, 1).


def _labels(core, k, keep=()):
    """Axes of core k more than one long (or in ``keep``), and the array without the others."""
    labels, shape = [], []
    for j, length in enumerate(core.shape):
        if j == k:
            labels.append((k,))
        elif length > 1 or j in keep:
            labels.append((min(j, k), max(j, k)))
        else:
            continue
        shape.append(length)
    return tuple(labels), core.reshape(shape)


def operands_of(cores, without=()):
    """Index sets and arrays of all cores but some, axes of length one left out.

    cores N arrays, without modes -> list of tuples, list of arrays
    """
    pairs = [_labels(core, k, without) for k, core in enumerate(cores) if k not in without]
    return [p[0] for p in pairs], [p[1] for p in pairs]


def bonds_of(k, order):
    """Index names of all bonds of core k."""
    return tuple((min(j, k), max(j, k)) for j in range(order) if j != k)


def to_dense(cores, max_entries=2**27):
    """Contract the network to the full tensor.

    Intermediates above ``max_entries`` entries are avoided by filling the result slice by slice of
    the longest mode.

    cores N arrays of N axes -> (I_1, .., I_N)
    """
    plan, shapes, _, peak = _dense_route(tuple(core.shape for core in cores))
    arrays = [core.reshape(shape) for core, shape in zip(cores, shapes, strict=True)]
    sizes = [core.shape[k] for k, core in enumerate(cores)]
    longest = int(np.argmax(sizes))
    if peak <= max(max_entries, 2 * prod(sizes)) or sizes[longest] == 1:
        run = executor_for_tensor(peak)
        with run.precision(np.float64):
            # In order: whoever goes through all entries does so several times faster.
            return np.ascontiguousarray(run.get(run_plan(plan, run.put(arrays))))
    dense = np.empty(sizes, dtype=np.result_type(*cores))
    step = max(1, sizes[longest] // int(np.ceil(peak / max_entries) + 1))
    for start in range(0, sizes[longest], step):
        part = [slice(None)] * len(cores)
        part[longest] = slice(start, start + step)
        some = list(cores)
        some[longest] = cores[longest][tuple(part)]
        dense[tuple(part)] = run_plan(plan, operands_of(some)[1])
    return dense


def dense_costs(sizes, R):
    """Cost of the contraction of a network to its dense tensor.

    sizes (N,), R (N, N) -> flops, entries of the largest intermediate
    """
    shapes = np.where(np.eye(len(R), dtype=bool), sizes, R).tolist()
    return _dense_route(tuple(map(tuple, shapes)))[2:]


def environment(cores, k):
    """All cores but k, contracted: the derivative of the network by core k, or by several cores.

    cores N arrays, k mode or tuple of modes
    -> (prod of the other modes, prod of the bonds between k and the others)
    """
    group = (k,) if np.ndim(k) == 0 else tuple(k)
    others = [j for j in range(len(cores)) if j not in group]
    outwards = _outwards(group, others)
    width = prod(cores[i].shape[j] for i in group for j in others)
    inputs, arrays = operands_of(cores, group)
    env = contract(inputs, tuple((j,) for j in others) + outwards, arrays)
    return env.reshape(-1, width)


def merged(cores, group):
    """Some cores as one, contracted over the bonds between them.

    cores N arrays, group modes -> (prod of their modes, prod of the bonds to the others)
    """
    others = [j for j in range(len(cores)) if j not in group]
    inputs, arrays = operands_of(cores, tuple(others))
    core = contract(inputs, tuple((i,) for i in group) + _outwards(group, others), arrays)
    return core.reshape(prod(cores[i].shape[i] for i in group), -1)


def _outwards(group, others):
    return tuple((min(i, j), max(i, j)) for i in group for j in others)


def inner(first, second):
    """<TN_1, TN_2> of two networks on the same modes, without forming either.

    first, second N arrays of N axes -> float
    """
    inputs, arrays = operands_of(first)
    other, more = operands_of(second)
    other = [tuple(x if len(x) == 1 else (*x, 1) for x in labels) for labels in other]
    return float(contract(inputs + other, (), arrays + more))
