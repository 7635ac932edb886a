"""Normal equations of one core of a network on a graph, exact or sketched."""

from dataclasses import dataclass
from functools import lru_cache
from math import prod

import numpy as np

from sktn.backend import executor_of
from sktn.networks.contraction import costs, plan_of, rounded_sizes, run_plan
from sktn.networks.graph import bonds_of, environment, executor_for_tensor, operands_of, unfolded

# Flops of a normal matrix (some 0.03 s) below which it is formed exactly.
_CHEAP = 1e9
# Flops that take less time than the calls of a second route.
_SHORT = 3e5


def doubled(core, k):
    """Core k with itself, summed over its mode: its node of the squared network <TN, TN>.

    core N axes -> 2 (N - 1) axes: the bonds, then the same bonds of the partner
    """
    bonds, flat = core.shape[:k] + core.shape[k + 1 :], unfolded(core, k)
    return (flat.T @ flat).reshape(bonds + bonds)


def _but(k, order):
    return [j for j in range(order) if j != k]


def _doubled_labels(k, order):
    bonds = bonds_of(k, order)
    return bonds + tuple((i, j, 1) for i, j in bonds)


@dataclass(frozen=True)
class _Routes:
    """How the normal equations of one core are formed, for networks of one shape.

    env plan of the environment, env_flops and env_peak its costs, beside, .. the same of B with X
    first, arms shapes of the other cores without axes of length one
    """

    env: tuple
    env_flops: float
    env_peak: float
    beside: tuple
    beside_flops: float
    beside_peak: float
    arms: tuple


# A search fits every shape some ten to a hundred times: to plan takes longer than to contract
# where the tensor is small.
@lru_cache(maxsize=4096)
def _routes(shapes, k):
    """Plans for core k of all networks with cores of these shapes: (N tuples), mode -> _Routes"""
    order, shells = len(shapes), [np.broadcast_to(np.float32(0.0), s) for s in shapes]
    modes, bonds = tuple((j,) for j in range(order)), bonds_of(k, order)
    inputs, arrays = operands_of(shells, (k,))
    env = tuple(m for m in modes if m != (k,)) + bonds
    env = plan_of(tuple(inputs), env, rounded_sizes(inputs, arrays))
    X = np.broadcast_to(np.float32(0.0), [s[j] for j, s in enumerate(shapes)])
    with_x = [modes, *inputs]
    beside = plan_of(tuple(with_x), ((k,), *bonds), rounded_sizes(with_x, [X, *arrays]))
    arms = tuple(a.shape for a in arrays)
    return _Routes(env, *costs(env, arms), beside, *costs(beside, (X.shape, *arms)), arms)


@lru_cache(maxsize=4096)
def _squared_route(shapes, k):
    """Plan of A from the squared network, the shapes of its nodes and its flops, None where too
    large."""
    order = len(shapes)
    widths = {j: prod(shapes[j]) // shapes[j][j] for j in _but(k, order)}
    if max(widths.values(), default=1) ** 2 > 2**22:
        return None
    output, inputs, arrays = _doubled_labels(k, order), [], []
    for j in widths:
        bonds = [r for axis, r in enumerate(shapes[j]) if axis != j]
        node = np.broadcast_to(np.float32(0.0), bonds + bonds)
        labels, node = _squeeze(_doubled_labels(j, order), node, output)
        inputs.append(labels)
        arrays.append(node)
    plan = plan_of(tuple(inputs), output, rounded_sizes(inputs, arrays))
    nodes = tuple(a.shape for a in arrays)
    flops, peak = costs(plan, nodes)
    return (plan, nodes, flops) if peak <= 2**26 else None


def _squeeze(labels, array, keep):
    kept = [n for n, length in enumerate(array.shape) if length > 1 or labels[n] in keep]
    return tuple(labels[n] for n in kept), array.reshape([array.shape[n] for n in kept])


def _squared_gram(route, cores, k, squares):
    """A from the squared network.

    route of `_squared_route`, squares N arrays from `doubled` or None where they are
    to be formed -> (P_k, P_k)
    """
    others = _but(k, len(cores))
    for j in others:
        if squares[j] is None:
            squares[j] = doubled(cores[j], j)
    nodes = [squares[j].reshape(s) for j, s in zip(others, route[1], strict=True)]
    # The squared network is small: on the host, whatever the tensor.
    width = cores[k].size // cores[k].shape[k]
    A = run_plan(route[0], nodes).reshape(width, width)
    return 0.5 * (A + A.T)


def gram_flops(cores, k):
    """Cost of the normal matrix of core k by the cheaper route.

    cores N arrays -> float
    """
    width = cores[k].size // cores[k].shape[k]
    n_rest = prod(core.shape[j] for j, core in enumerate(cores) if j != k)
    dense = 2.0 * n_rest * width**2
    if dense < _CHEAP:
        return dense
    route = _squared_route(tuple(core.shape for core in cores), k)
    return dense if route is None else min(dense, route[2])


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
    size, width = cores[k].shape[k], cores[k].size // cores[k].shape[k]
    n_rest = prod(cores[j].shape[j] for j in range(order) if j != k)
    shapes = tuple(core.shape for core in cores)
    routes = _routes(shapes, k)
    arms = [cores[j].reshape(s) for j, s in zip(_but(k, order), routes.arms, strict=True)]
    env_cost = routes.env_flops + 2 * n_rest * width * (width + size)
    direct_cost = 2.0 * size * width**2
    if X is not None:
        env_cost += 8 * X.size
        direct_cost += routes.beside_flops
    route = _squared_route(shapes, k) if direct_cost < env_cost > _SHORT else None
    if route is not None and direct_cost + route[2] < env_cost:
        A = _squared_gram(route, cores, k, [None] * order if squares is None else squares)
        B = None if X is None else _beside(X, routes.beside, arms).reshape(size, width)
        return A, B
    if max(routes.env_peak, n_rest * width) > 2**27:
        return _normal_equations_in_slices(X, cores, k, width)
    run = executor_for_tensor(n_rest * width) if X is None else executor_of(X)
    with run.precision(np.float64):
        products = run.jit(_normal_products, static=("k", "width"))
        return run.get(products(run_plan(routes.env, run.put(arms)), X, k=k, width=width))


def projected(X, cores, k, max_entries=2**27):
    """B = <X, env_k> alone, without the environment where that is cheaper.

    X (I_1, .., I_N), cores N arrays -> (I_k, P_k)
    """
    size, width = cores[k].shape[k], cores[k].size // cores[k].shape[k]
    routes = _routes(tuple(core.shape for core in cores), k)
    if routes.beside_peak > max(max_entries, 2 * X.size):
        return _normal_equations_in_slices(X, cores, k, width)[1]
    others = _but(k, len(cores))
    arms = [cores[j].reshape(s) for j, s in zip(others, routes.arms, strict=True)]
    return _beside(X, routes.beside, arms).reshape(size, width)


def _beside(X, plan, arrays):
    """A tensor and other operands contracted where the tensor is."""
    run = executor_of(X)
    with run.precision(np.float64):
        return run.get(run_plan(plan, [X, *run.put(arrays)]))


def _normal_products(env, X, *, k, width):
    env = env.reshape(-1, width)
    if X is None:
        return env.T @ env, None
    return env.T @ env, unfolded(X, k) @ env


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
            B += unfolded(X[tuple(part)], k) @ env
    return A, B
