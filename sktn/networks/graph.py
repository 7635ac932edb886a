"""Tensor networks on any graph: the fully-connected network (FCTN) and all its sub-graphs.

A network of order N is a list of N cores. Core k has N axes: axis k is the mode itself (length
I_k), axis j is the bond to core j (length R_kj, 1 where there is no edge). So one layout holds
trains, rings, Tucker stars, complete graphs and everything between, and removing an edge is slicing
an axis.

    X[i_1, .., i_N] = sum over all bonds of prod_k G_k[r_k1, .., i_k, .., r_kN]

Cores are NumPy arrays, and so is what is returned: a structure search changes shapes at every step,
and decides on the host. A tensor that was put on a device (`placed`) is contracted there: the cores
follow it, and a contraction is a plan of matrix products, each of which compiles once a shape. What
costs time is the contraction order: found once, cached by rounded size.
"""

from functools import lru_cache
from math import log2, prod

import numpy as np
import opt_einsum as oe

from sktn.backend import executor_of, get_executor, namespace

__all__ = [
    "Residual",
    "bond_dims",
    "core_sizes",
    "dense_flops",
    "doubled",
    "environment",
    "gram_flops",
    "inner",
    "merged",
    "n_parameters",
    "normal_equations",
    "placed",
    "random_cores",
    "sketched_gram",
    "to_dense",
]

# A contraction order found for one size serves all that round to the same power of 2**(2/3).
_ROUNDING = 1.5
# Entries from which a tensor is sent to a device: to start the dozen products of a contraction
# there takes some tenths of a millisecond, in which a CPU contracts about as many.
_DEVICE_ENTRIES = 2**19
# Flops of a normal matrix (some 0.03 s) below which it is formed exactly.
_CHEAP = 1e9


def placed(X):
    """A tensor where it is to be contracted: on the executor's devices, if it is large."""
    run = _executor(np.size(X))
    with run.precision(np.float64):
        return run.put(X)


def _executor(entries):
    """Where a contraction to so many entries is done."""
    return get_executor() if entries >= _DEVICE_ENTRIES else executor_of()


def bond_dims(cores):
    """Bond dimensions R_ij of a network, ones on the diagonal.

    cores N arrays of N axes -> (N, N) integers
    """
    R = np.array([core.shape for core in cores], dtype=int).reshape(len(cores), len(cores))
    np.fill_diagonal(R, 1)
    return R


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


# --- contraction orders ---------------------------------------------------------------------------


def _optimizer(n_operands, n_indices):
    if n_operands <= 5:
        return "optimal"
    # Dynamic programming visits connected subsets: few on sparse graphs, all of them on dense ones
    # (1.4 s for ten operands that are all connected).
    dense = n_operands > 8 and n_indices > 2.5 * n_operands
    return "greedy" if dense or n_operands > 20 else "dp"


@lru_cache(maxsize=65536)
def _plan(inputs, output, rounded):
    """Pairwise contraction steps for index sets, and their cost for the rounded sizes.

    In every contraction of this module an index occurs in two operands, or in one and the output;
    so each step is a tensordot, and a plan is valid for every size.

    inputs tuple of tuples, output tuple, rounded tuple of (index, rounded log2 size)
    -> steps, permutation, flops, largest intermediate
    """
    size = {index: 2 ** (q / _ROUNDING) for index, q in rounded}
    operands = [tuple(x) for x in inputs]
    if len(operands) == 1:
        path = []
    elif len(operands) == 2:
        path = [(0, 1)]
    else:
        symbols = {index: oe.get_symbol(n) for n, index in enumerate(size)}
        sets = [frozenset(symbols[x] for x in op) for op in operands]
        out = frozenset(symbols[x] for x in output)
        lengths = {symbols[x]: max(1, round(s)) for x, s in size.items()}
        kind = _optimizer(len(operands), len(size))
        finder = {
            "optimal": oe.paths.optimal,
            "dp": oe.paths.DynamicProgramming(),
            "greedy": oe.paths.greedy,
        }[kind]
        path = finder(sets, out, lengths)
    flops, peak, merged, lost = 0.0, 0.0, [], {}
    names, n_values = list(range(len(operands))), len(operands)
    for pair in path:
        a, b = sorted(pair)
        right, left = operands.pop(b), operands.pop(a)
        shared = frozenset(left) & frozenset(right)
        result = tuple(x for x in left + right if x not in shared)
        volume = prod(size[x] for x in result)
        flops += 2 * volume * prod(size[x] for x in shared)
        # The operands are also copied: on thin contractions that is most of the time.
        flops += 8 * (volume + prod(size[x] for x in left) + prod(size[x] for x in right))
        peak = max(peak, volume)
        operands.append(result)
        second, first = names.pop(b), names.pop(a)
        lost[first] = lost[second] = shared
        merged.append((first, second))
        names.append(n_values)
        n_values += 1
    steps, labels = _layouts([tuple(x) for x in inputs], merged, lost, size)
    permutation = tuple(labels.index(x) for x in output)
    return steps, permutation, flops, peak


def _layouts(labels, merged, lost, size):
    """Axes of both operands of every step, in the order that makes the largest copies short.

    An operand is laid out (shared, free). The free indices that the next step shares come first, so
    that its copy moves long runs.

    labels list of tuples, merged pairs of operands, lost dict of operand to the indices it shares
    -> steps (first, second, axes of first, axes of second, number shared), indices of the result
    """
    steps = []
    for first, second in merged:
        left, right = labels[first], labels[second]
        larger = max(left, right, key=lambda x: prod(size[n] for n in x))
        shared = [x for x in larger if x in lost[first]]
        later = lost.get(len(labels), frozenset())
        free = [
            sorted((x for x in side if x not in lost[first]), key=lambda x: x not in later)
            for side in (left, right)
        ]
        axes = (
            tuple(side.index(x) for x in shared + own)
            for side, own in zip((left, right), free, strict=True)
        )
        steps.append((first, second, *axes, len(shared)))
        labels.append(tuple(free[0] + free[1]))
    return tuple(steps), labels[-1]


def _planned(cores):
    """Arguments of the plan that contracts a network to its dense tensor."""
    inputs, arrays = _network(cores)
    return tuple(inputs), tuple((k,) for k in range(len(cores))), _rounded(inputs, arrays)


def _rounded(inputs, arrays):
    size = {}
    for indices, array in zip(inputs, arrays, strict=True):
        for index, length in zip(indices, array.shape, strict=True):
            size[index] = round(_ROUNDING * log2(length)) if length > 1 else 0
    return tuple(sorted(size.items(), key=lambda item: str(item[0])))


def _merge(left, right, axes, others, n_shared):
    """Contract two operands: the result, and both as matrices (shared, free)."""
    merge = executor_of(left, right).jit(_merged, static=("axes", "others", "n_shared"))
    return merge(left, right, axes=axes, others=others, n_shared=n_shared)


def _merged(left, right, *, axes, others, n_shared):
    left, right = left.transpose(axes), right.transpose(others)
    width = prod(left.shape[:n_shared])
    L, R = left.reshape(width, -1), right.reshape(width, -1)
    return (L.T @ R).reshape(left.shape[n_shared:] + right.shape[n_shared:]), L, R


def _run(plan, arrays):
    steps, permutation = plan[:2]
    values = list(arrays)
    for first, second, *layout in steps:
        value, _, _ = _merge(values[first], values[second], *layout)
        values[first] = values[second] = None
        values.append(value)
    return _transposed(values[-1], permutation)


def _transposed(array, permutation):
    """Axes in another order."""
    if permutation == tuple(range(array.ndim)):
        return array
    return executor_of(array).jit(_transpose, static=("axes",))(array, axes=permutation)


def _transpose(array, *, axes):
    return array.transpose(axes)


def _contract(inputs, output, arrays):
    inputs, output = tuple(inputs), tuple(output)
    return _run(_plan(inputs, output, _rounded(inputs, arrays)), arrays)


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


def _network(cores, without=()):
    pairs = [_labels(core, k, without) for k, core in enumerate(cores) if k not in without]
    return [p[0] for p in pairs], [p[1] for p in pairs]


def _bonds(k, order):
    return tuple((min(j, k), max(j, k)) for j in range(order) if j != k)


def to_dense(cores, max_entries=2**27):
    """Contract the network to the full tensor.

    Intermediates above ``max_entries`` entries are avoided by filling the result slice by slice of
    the longest mode.

    cores N arrays of N axes -> (I_1, .., I_N)
    """
    inputs, arrays = _network(cores)
    output = tuple((k,) for k in range(len(cores)))
    plan = _plan(tuple(inputs), output, _rounded(inputs, arrays))
    sizes = [core.shape[k] for k, core in enumerate(cores)]
    longest = int(np.argmax(sizes))
    if plan[3] <= max(max_entries, 2 * prod(sizes)) or sizes[longest] == 1:
        run = _executor(plan[3])
        with run.precision(np.float64):
            return run.get(_run(plan, run.put(arrays)))
    dense = np.empty(sizes, dtype=np.result_type(*cores))
    step = max(1, sizes[longest] // int(np.ceil(plan[3] / max_entries) + 1))
    for start in range(0, sizes[longest], step):
        part = [slice(None)] * len(cores)
        part[longest] = slice(start, start + step)
        some = list(cores)
        some[longest] = cores[longest][tuple(part)]
        dense[tuple(part)] = _contract(*_dense_task(some))
    return dense


def _dense_task(cores):
    inputs, arrays = _network(cores)
    return inputs, tuple((k,) for k in range(len(cores))), arrays


class Residual:
    """Squared error of networks of one shape, and its gradient by all cores.

    The gradient is the contraction of the network run backwards, which shares all that the
    environments of different cores have in common.

    X (I_1, .., I_N), cores N arrays of N axes
    """

    def __init__(self, X, cores):
        plan = _plan(*_planned(cores))
        self._steps = plan[0]
        # The data take the layout in which the contraction ends: one copy, not one per call.
        self._run = executor_of(X)
        with self._run.precision(np.float64):
            X = _transposed(X, tuple(int(k) for k in np.argsort(plan[1])))
            self._X = self._run.contiguous(X)

    def __call__(self, cores):
        """Squared error ||X - TN||^2 and its gradient.

        cores N arrays -> float, N arrays
        """
        with self._run.precision(np.float64):
            error, adjoints = self._backward(_network(cores)[1])
        return float(error), [adjoints[k].reshape(core.shape) for k, core in enumerate(cores)]

    def _backward(self, arrays):
        run = self._run
        values, tape = run.put(arrays), []
        for first, second, *layout in self._steps:
            value, L, R = _merge(values[first], values[second], *layout)
            tape.append((L, R))
            values.append(value)
        error, residual = run.jit(_doubled_residual)(values[-1], self._X)
        adjoints = [None] * (len(values) - 1) + [residual]
        backward = run.jit(_pulled_back, static=("axes", "others", "shapes"))
        for (first, second, axes, others, _), (L, R) in zip(
            reversed(self._steps), reversed(tape), strict=True
        ):
            shapes = values[first].shape, values[second].shape
            adjoints[first], adjoints[second] = backward(
                adjoints.pop(), L, R, axes=axes, others=others, shapes=shapes
            )
        return error, run.get(adjoints)


def _doubled_residual(dense, X):
    """||dense - X||^2 in double precision, and its derivative 2 (dense - X)."""
    residual = dense - X
    if isinstance(residual, np.ndarray):
        error = np.einsum("i,i->", residual.ravel(), residual.ravel(), dtype=np.float64)
        residual *= 2.0
        return error, residual
    return (residual * residual).sum(dtype=np.float64), 2.0 * residual


def _pulled_back(adjoint, L, R, *, axes, others, shapes):
    """Adjoints of both operands of a merge, in the axes that they had before they were laid out."""
    D = adjoint.reshape(L.shape[1], R.shape[1])
    return _unlaid(R @ D.T, shapes[0], axes), _unlaid(L @ D, shapes[1], others)


def _unlaid(matrix, shape, axes):
    return matrix.reshape([shape[n] for n in axes]).transpose(np.argsort(axes))


def dense_flops(sizes, R):
    """Cost of the contraction of a network to its dense tensor.

    sizes (N,), R (N, N) -> float
    """
    cores = []
    for k, size in enumerate(sizes):
        shape = [int(r) for r in R[k]]
        shape[k] = int(size)
        cores.append(np.broadcast_to(np.float32(0.0), shape))  # a shape without memory
    return _plan(*_planned(cores))[2]


def environment(cores, k):
    """All cores but k, contracted: the derivative of the network by core k, or by several cores.

    cores N arrays, k mode or tuple of modes
    -> (prod of the other modes, prod of the bonds between k and the others)
    """
    group = (k,) if np.ndim(k) == 0 else tuple(k)
    others = [j for j in range(len(cores)) if j not in group]
    outwards = _outwards(group, others)
    width = prod(cores[i].shape[j] for i in group for j in others)
    inputs, arrays = _network(cores, group)
    env = _contract(inputs, tuple((j,) for j in others) + outwards, arrays)
    return env.reshape(-1, width)


def merged(cores, group):
    """Some cores as one, contracted over the bonds between them.

    cores N arrays, group modes -> (prod of their modes, prod of the bonds to the others)
    """
    others = [j for j in range(len(cores)) if j not in group]
    inputs, arrays = _network(cores, tuple(others))
    core = _contract(inputs, tuple((i,) for i in group) + _outwards(group, others), arrays)
    return core.reshape(prod(cores[i].shape[i] for i in group), -1)


def _outwards(group, others):
    return tuple((min(i, j), max(i, j)) for i in group for j in others)


def doubled(core, k):
    """Core k with itself, summed over its mode: its node of the squared network <TN, TN>.

    core N axes -> 2 (N - 1) axes: the bonds, then the same bonds of the partner
    """
    flat = np.moveaxis(core, k, 0)
    bonds = flat.shape[1:]
    flat = flat.reshape(flat.shape[0], -1)
    return (flat.T @ flat).reshape(bonds + bonds)


def _doubled_labels(k, order):
    bonds = _bonds(k, order)
    return bonds + tuple((i, j, 1) for i, j in bonds)


def _squeeze(labels, array, keep):
    kept = [n for n, length in enumerate(array.shape) if length > 1 or labels[n] in keep]
    return tuple(labels[n] for n in kept), array.reshape([array.shape[n] for n in kept])


def _squared_route(cores, k, squares):
    """Operands and plan of A from the squared network, or None where its nodes are too large."""
    order = len(cores)
    others = [j for j in range(order) if j != k]
    widths = [prod(s for a, s in enumerate(cores[j].shape) if a != j) for j in others]
    if max(widths, default=1) ** 2 > 2**22:
        return None
    for j in others:
        if squares[j] is None:
            squares[j] = doubled(cores[j], j)
    bonds = _bonds(k, order)
    output = bonds + tuple((i, j, 1) for i, j in bonds)
    nodes = [_squeeze(_doubled_labels(j, order), squares[j], output) for j in others]
    inputs, arrays = [n[0] for n in nodes], [n[1] for n in nodes]
    plan = _plan(tuple(inputs), output, _rounded(inputs, arrays))
    return (plan, arrays) if plan[3] <= 2**26 else None


def gram_flops(cores, k):
    """Cost of the normal matrix of core k by the cheaper route.

    cores N arrays -> float
    """
    width = prod(cores[k].shape) // cores[k].shape[k]
    n_rest = prod(core.shape[j] for j, core in enumerate(cores) if j != k)
    dense = 2.0 * n_rest * width**2
    if dense < _CHEAP:
        return dense
    route = _squared_route(cores, k, [None] * len(cores))
    return dense if route is None else min(dense, route[0][2])


def sketched_gram(cores, k):
    """Normal matrix of core k, or an unbiased estimate of it where it is expensive.

    E[S^T S] = 1 for a random S = S_1 (x) .. (x) S_N that shortens the other modes, so that
    <env, env> is kept on average. A few times as many rows as columns keep its directions.

    cores N arrays -> (P_k, P_k)
    """
    if gram_flops(cores, k) > _CHEAP:
        width = prod(cores[k].shape) // cores[k].shape[k]
        lengths = [1 if j == k else core.shape[j] for j, core in enumerate(cores)]
        while prod(lengths) > 6 * width and max(lengths) > 2:
            longest = int(np.argmax(lengths))
            lengths[longest] = (lengths[longest] + 1) // 2
        rng, some = np.random.default_rng(0), list(cores)
        for j, (core, length) in enumerate(zip(cores, lengths, strict=True)):
            if j != k and length < core.shape[j]:
                S = rng.standard_normal((length, core.shape[j])) / np.sqrt(length)
                shorter = np.tensordot(S.astype(core.dtype), core, (1, j))
                some[j] = np.ascontiguousarray(np.moveaxis(shorter, 0, j))
        cores = some
    return normal_equations(None, cores, k)[0]


def normal_equations(X, cores, k, squares=None):
    """A = <env_k, env_k> and B = <X, env_k>: core k of least error solves G_k A = B.

    With the core unfolded to (I_k, P_k), P_k = prod_j R_kj, the squared error is
    ||X||^2 - 2 <B, G_k> + <G_k A, G_k>, so it comes for free with every update.
    Two routes give the same matrices; the cheaper is taken: the environment in full (dense graphs),
    or X absorbed core by core and A from the squared network (sparse graphs, high order).

    X (I_1, .., I_N) or None for A alone, cores N arrays, squares N arrays from `doubled` or None
    -> A (P_k, P_k), B (I_k, P_k)
    """
    order = len(cores)
    if order == 1:
        A = np.ones((1, 1), dtype=cores[0].dtype)
        return A, None if X is None else X.reshape(-1, 1)
    bonds = _bonds(k, order)
    modes = tuple((j,) for j in range(order))
    size = cores[k].shape[k]
    width = prod(cores[k].shape) // size
    n_rest = prod(cores[j].shape[j] for j in range(order) if j != k)
    inputs, arrays = _network(cores, (k,))
    env_plan = _plan(
        tuple(inputs), tuple(m for m in modes if m != (k,)) + bonds, _rounded(inputs, arrays)
    )
    env_cost = env_plan[2] + 2 * n_rest * width * (width + size)
    direct_cost = 2.0 * size * width**2
    if X is not None:
        env_cost += 8 * X.size
        with_x = [modes, *inputs]
        b_plan = _plan(tuple(with_x), ((k,), *bonds), _rounded(with_x, [X, *arrays]))
        direct_cost += b_plan[2]
    if direct_cost < env_cost:
        route = _squared_route(cores, k, [None] * order if squares is None else squares)
        if route is not None and direct_cost + route[0][2] < env_cost:
            # The squared network is small: on the host, whatever the tensor.
            A = _run(*route).reshape(width, width)
            B = None if X is None else _beside(X, b_plan, arrays).reshape(size, width)
            return 0.5 * (A + A.T), B
    if max(env_plan[3], n_rest * width) > 2**27:
        return _normal_equations_in_slices(X, cores, k, width)
    run = _executor(n_rest * width) if X is None else executor_of(X)
    with run.precision(np.float64):
        products = run.jit(_normal_products, static=("k", "width"))
        return run.get(products(_run(env_plan, run.put(arrays)), X, k=k, width=width))


def _beside(X, plan, arrays):
    """A tensor and other operands contracted where the tensor is."""
    run = executor_of(X)
    with run.precision(np.float64):
        return run.get(_run(plan, [X, *run.put(arrays)]))


def _normal_products(env, X, *, k, width):
    env = env.reshape(-1, width)
    if X is None:
        return env.T @ env, None
    unfolded = namespace(X).moveaxis(X, k, 0).reshape(X.shape[k], -1)
    return env.T @ env, unfolded @ env


def _normal_equations_in_slices(X, cores, k, width):
    """The same sums over slices of the longest other mode, so that memory stays bounded."""
    split = max((j for j in range(len(cores)) if j != k), key=lambda j: cores[j].shape[j])
    X = None if X is None else np.asarray(X)
    A = np.zeros((width, width), dtype=cores[k].dtype)
    B = None if X is None else np.zeros((X.shape[k], width), dtype=X.dtype)
    for index in range(cores[split].shape[split]):
        part = [slice(None)] * len(cores)
        part[split] = slice(index, index + 1)
        some = list(cores)
        some[split] = cores[split][tuple(part)]
        env = environment(some, k)
        A += env.T @ env
        if X is not None:
            B += np.moveaxis(X[tuple(part)], k, 0).reshape(X.shape[k], -1) @ env
    return A, B


def inner(first, second):
    """<TN_1, TN_2> of two networks on the same modes, without forming either.

    first, second N arrays of N axes -> float
    """
    inputs, arrays = _network(first)
    other, more = _network(second)
    other = [tuple(x if len(x) == 1 else (*x, 1) for x in labels) for labels in other]
    return float(_contract(inputs + other, (), arrays + more))
