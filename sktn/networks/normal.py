"""Normal equations of one core of a network on a graph, exact or sketched."""

from math import prod

import numpy as np

from sktn.backend import executor_of, namespace
from sktn.networks.contraction import plan_of, rounded_sizes, run_plan
from sktn.networks.graph import bonds_of, environment, executor_for_tensor, operands_of

# Flops of a normal matrix (some 0.03 s) below which it is formed exactly.
_CHEAP = 1e9


def doubled(core, k):
    """Core k with itself, summed over its mode: its node of the squared network <TN, TN>.

    core N axes -> 2 (N - 1) axes: the bonds, then the same bonds of the partner
    """
    flat = np.moveaxis(core, k, 0)
    bonds = flat.shape[1:]
    flat = flat.reshape(flat.shape[0], -1)
    return (flat.T @ flat).reshape(bonds + bonds)


def _doubled_labels(k, order):
    bonds = bonds_of(k, order)
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
    bonds = bonds_of(k, order)
    output = bonds + tuple((i, j, 1) for i, j in bonds)
    nodes = [_squeeze(_doubled_labels(j, order), squares[j], output) for j in others]
    inputs, arrays = [n[0] for n in nodes], [n[1] for n in nodes]
    plan = plan_of(tuple(inputs), output, rounded_sizes(inputs, arrays))
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
    bonds = bonds_of(k, order)
    modes = tuple((j,) for j in range(order))
    size = cores[k].shape[k]
    width = prod(cores[k].shape) // size
    n_rest = prod(cores[j].shape[j] for j in range(order) if j != k)
    inputs, arrays = operands_of(cores, (k,))
    env_plan = plan_of(
        tuple(inputs), tuple(m for m in modes if m != (k,)) + bonds, rounded_sizes(inputs, arrays)
    )
    env_cost = env_plan[2] + 2 * n_rest * width * (width + size)
    direct_cost = 2.0 * size * width**2
    if X is not None:
        env_cost += 8 * X.size
        with_x = [modes, *inputs]
        b_plan = plan_of(tuple(with_x), ((k,), *bonds), rounded_sizes(with_x, [X, *arrays]))
        direct_cost += b_plan[2]
    if direct_cost < env_cost:
        route = _squared_route(cores, k, [None] * order if squares is None else squares)
        if route is not None and direct_cost + route[0][2] < env_cost:
            # The squared network is small: on the host, whatever the tensor.
            A = run_plan(*route).reshape(width, width)
            B = None if X is None else _beside(X, b_plan, arrays).reshape(size, width)
            return 0.5 * (A + A.T), B
    if max(env_plan[3], n_rest * width) > 2**27:
        return _normal_equations_in_slices(X, cores, k, width)
    run = executor_for_tensor(n_rest * width) if X is None else executor_of(X)
    with run.precision(np.float64):
        products = run.jit(_normal_products, static=("k", "width"))
        return run.get(products(run_plan(env_plan, run.put(arrays)), X, k=k, width=width))


def _beside(X, plan, arrays):
    """A tensor and other operands contracted where the tensor is."""
    run = executor_of(X)
    with run.precision(np.float64):
        return run.get(run_plan(plan, [X, *run.put(arrays)]))


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
