"""Trees read off the spectra of unfoldings: the best network without loops, before any fit.

Every bond of a tree cuts its modes in two, and truncating all bonds drops at most the sum of what
each drops alone (hierarchical SVD, Grasedyck 2010, theorem 3.11). So the spectra of the unfoldings
price every tree at every error in closed form. Loops make networks smaller still, but a tree that
is right to begin with is the better start for finding them: it is cheap to contract, and all its
bonds are in the order of their use.
"""

from itertools import combinations, product

import numpy as np

from sktn.networks import graph
from sktn.solvers.deadline import NEVER
from sktn.structure import tomography

__all__ = ["Unfoldings", "centred", "cheapest", "closest", "truncated"]

# There are N^(N - 2) trees on N modes: 1296 of them at order 6, 16807 at order 7.
_LARGEST = 6


def _edges(code):
    """Edges of the labelled tree of a Pruefer code: (N - 2,) numbers below N."""
    order = len(code) + 2
    degree = [1 + code.count(k) for k in range(order)]
    edges = []
    for inner in code:
        leaf = degree.index(1)
        edges.append((leaf, inner))
        degree[leaf] -= 1
        degree[inner] -= 1
    edges.append(tuple(k for k in range(order) if degree[k] == 1))
    return edges


def _cut(edges, removed, order):
    """Modes on the side of mode 0 when one edge is removed."""
    seen, todo = {0}, [0]
    while todo:
        node = todo.pop()
        for edge in edges:
            if edge is not removed and node in edge:
                other = sum(edge) - node
                if other not in seen:
                    seen.add(other)
                    todo.append(other)
    return frozenset(seen)


class Unfoldings:
    """What every rank of an unfolding drops, measured when it is asked for.

    X (n_1, .., n_N), spectra list of (modes, squared singular values) that are known already,
    seen function of a spectrum: what of it counts
    """

    def __init__(self, X, spectra=(), deadline=NEVER, seen=lambda values: values):
        self.X, self.order, self.deadline, self.seen = X, X.ndim, deadline, seen
        self.dropped = {}
        for subset, values in spectra:
            self.dropped[self._side(subset)] = _tail(seen(values))

    def _side(self, subset):
        side = frozenset(subset)
        return side if 0 in side else frozenset(range(self.order)) - side

    def known(self, subset):
        """Sums of squares beyond the first r values, r = 0, 1, .., or None if not measured."""
        return self.dropped.get(self._side(subset))

    def __call__(self, subset):
        """The same, measured if it can be: (min side + 1,) or None."""
        side = self._side(subset)
        if side not in self.dropped:
            values = None if self.deadline.expired() else tomography.spectrum(self.X, sorted(side))
            self.dropped[side] = None if values is None else _tail(self.seen(values))
        return self.dropped[side]


def _tail(values):
    return np.append(np.cumsum(values[::-1])[::-1], 0.0)


def _all_trees(order):
    """Edges of every labelled tree."""
    for code in product(range(order), repeat=order - 2):
        yield _edges(code)


def _tails(edges, measure, order):
    """What every rank of every edge drops, or None where a cut is not measured."""
    tails = [measure(_cut(edges, edge, order)) for edge in edges]
    return None if any(tail is None for tail in tails) else tails


def _spanning(unfoldings, error):
    """The tree of most mutual information, log r_ij = (log rank(i) + log rank(j) - log rank(ij))/2.

    Ranks are those that an even share of the error needs (Chow and Liu 1968, for matrix ranks).
    """
    order = unfoldings.order

    def rank(*subset):
        tail = unfoldings(subset)
        return np.inf if tail is None else np.log(max(1, np.sum(tail > error / order)))

    single = [rank(k) for k in range(order)]
    shared = {(i, j): single[i] + single[j] - rank(i, j) for i, j in combinations(range(order), 2)}
    edges, part = [], list(range(order))
    for (i, j), _ in sorted(shared.items(), key=lambda item: -item[1]):
        if part[i] != part[j]:
            edges.append((i, j))
            old = part[j]
            part = [part[i] if p == old else p for p in part]
    return edges


def _reconnected(edges, order):
    """Trees that differ in one edge: each edge removed, the parts joined otherwise."""
    for n, edge in enumerate(edges):
        near = _cut(edges, edge, order)
        rest = edges[:n] + edges[n + 1 :]
        for i in sorted(near):
            for j in range(order):
                if j not in near and (i, j) != edge and (j, i) != edge:
                    yield [*rest, (min(i, j), max(i, j))]


def _best_tree(unfoldings, value, error):
    """The tree of lowest value: among all up to order six, else by descent over single edges.

    value function (edges, tails) -> number, ranks -> edges, ranks or None
    """
    order, best = unfoldings.order, (np.inf, None, None)
    if order <= _LARGEST:
        for edges in _all_trees(order):
            tails = _tails(edges, unfoldings.known, order)
            if tails is not None:
                best = min(best, (*value(edges, tails), edges), key=lambda found: found[0])
            if best[1] is not None and unfoldings.deadline.expired():
                break
    else:
        trial, seen = _spanning(unfoldings, error), set()
        trials = [trial]
        while trials:
            before = best
            for edges in trials:
                key = frozenset(map(frozenset, edges))
                if key in seen:
                    continue
                seen.add(key)
                tails = _tails(edges, unfoldings, order)
                if tails is not None:
                    best = min(best, (*value(edges, tails), edges), key=lambda found: found[0])
                if unfoldings.deadline.expired():
                    return best[2], best[1]
            trials = list(_reconnected(best[2], order)) if best is not before else []
    return best[2], best[1]


def _paid(sizes, edges, ranks):
    """Parameters of every core."""
    paid = [float(size) for size in sizes]
    for (i, j), rank in zip(edges, ranks, strict=True):
        paid[i] *= rank
        paid[j] *= rank
    return paid


def _best_step(paid, edges, ranks, tails):
    """The edge whose wider bond drops least per parameter: edge, further components, parameters."""
    best, choice = 0.0, None
    for n, ((i, j), rank, tail) in enumerate(zip(edges, ranks, tails, strict=True)):
        width = min(max(1, rank // 20), len(tail) - 1 - rank)
        if width < 1:
            continue
        price = width * (paid[i] + paid[j]) / rank
        density = (tail[rank] - tail[rank + width]) / price
        if density > best:
            best, choice = density, (n, width, price)
    return choice


def _matrix(order, edges, ranks):
    R = np.ones((order, order), dtype=int)
    for (i, j), rank in zip(edges, ranks, strict=True):
        R[i, j] = R[j, i] = rank
    return R


def cheapest(unfoldings, sizes, error):
    """Bond matrix of the smallest tree whose truncation drops at most ``error``.

    unfoldings of the tensor, sizes (N,) that are paid for, squared error
    -> (N, N), or None where no tree's cuts could be measured
    """
    fewest = np.inf

    def price(edges, tails):
        nonlocal fewest
        # No bond may drop more than the whole: fewer parameters than these are impossible.
        ranks = [max(1, int(np.sum(tail > error))) for tail in tails]
        paid = _paid(sizes, edges, ranks)
        while sum(paid) < fewest:
            if sum(tail[r] for r, tail in zip(ranks, tails, strict=True)) <= error:
                fewest = sum(paid)
                return fewest, ranks
            step = _best_step(paid, edges, ranks, tails)
            if step is None:
                break
            ranks[step[0]] += step[1]
            paid = _paid(sizes, edges, ranks)
        return np.inf, None

    edges, ranks = _best_tree(unfoldings, price, error)
    return None if ranks is None else _matrix(len(sizes), edges, ranks)


def closest(unfoldings, sizes, n_parameters):
    """Bond matrix of the tree that drops least with at most ``n_parameters``.

    -> (N, N), or None where no tree's cuts could be measured or it would have more parameters
    """

    def dropped(edges, tails):
        ranks = [1] * len(edges)
        paid = _paid(sizes, edges, ranks)
        if sum(paid) > n_parameters:
            return np.inf, None
        while (step := _best_step(paid, edges, ranks, tails)) is not None:
            wider = list(ranks)
            wider[step[0]] += step[1]
            more = _paid(sizes, edges, wider)
            if sum(more) > n_parameters:
                break
            ranks, paid = wider, more
        return sum(tail[r] for r, tail in zip(ranks, tails, strict=True)), ranks

    norm2 = float(np.vdot(unfoldings.X, unfoldings.X))
    edges, ranks = _best_tree(unfoldings, dropped, 0.1 * norm2)
    return None if ranks is None else _matrix(len(sizes), edges, ranks)


def _rooted(R, root):
    """Modes from the root outwards, and the parent of each: a bond of one component is no edge.

    R (N, N) of a tree or of several -> list, dict
    """
    order = len(R)
    near = [[j for j in range(order) if j != k and R[k, j] > 1] for k in range(order)]
    parent, path, reached = {root: None}, [root], 0
    while len(path) < order:
        if reached == len(path):  # Another part begins.
            other = next(k for k in range(order) if k not in parent)
            parent[other] = root
            path.append(other)
        node = path[reached]
        for other in near[node]:
            if other not in parent:
                parent[other] = node
                path.append(other)
        reached += 1
    return path, parent


def centred(cores, root):
    """The same tree with all cores but one orthonormal towards it.

    cores N arrays of a tree -> N arrays
    """
    cores = list(cores)
    path, parent = _rooted(graph.bond_dims(cores), root)
    for node in reversed(path[1:]):
        up = parent[node]
        moved = np.moveaxis(cores[node], up, -1)
        Q, r = np.linalg.qr(moved.reshape(-1, moved.shape[-1]))
        cores[node] = np.moveaxis(Q.reshape(*moved.shape[:-1], -1), -1, up)
        cores[up] = np.moveaxis(np.tensordot(cores[up], r, (node, 1)), -1, node)
    return cores


def truncated(X, R):
    """The tree network of X with bonds of at most R, by truncated SVDs from the leaves inwards.

    X (I_1, .., I_N), R (N, N) of a tree -> N arrays of N axes
    """
    order = X.ndim
    root = int(np.argmax(graph.core_sizes(X.shape, R)))
    path, parent = _rooted(R, root)
    # Axis k of the rest is mode k, or the bond that leads to mode k and all behind it.
    rest, cores = X, [None] * order
    for node in reversed(path[1:]):
        below = [k for k in range(order) if parent.get(k, -1) == node]
        mine = [node, *below]
        moved = np.moveaxis(rest, mine, range(len(mine)))
        head = moved.shape[: len(mine)]
        matrix = moved.reshape(int(np.prod(head)), -1)
        basis = _leading(matrix, R[node, parent[node]])
        core = basis.reshape(*head, *[1] * (order - len(mine) - 1), -1)
        others = [k for k in range(order) if k not in mine and k != parent[node]]
        cores[node] = np.moveaxis(core, range(order), [*mine, *others, parent[node]])
        small = (basis.T @ matrix).reshape(-1, *[1] * len(below), *moved.shape[len(mine) :])
        rest = np.moveaxis(small, range(len(mine)), mine)
    cores[root] = rest
    return [np.ascontiguousarray(core) for core in cores]


def _leading(matrix, rank):
    """Leading left singular vectors: matrix (m, n) -> (m, rank)"""
    rows, columns = matrix.shape
    if rows <= columns:
        gram = (matrix @ matrix.T).astype(np.float64)
        vectors = np.linalg.eigh(gram)[1][:, ::-1]
    else:
        vectors = np.linalg.svd(matrix, full_matrices=False)[0]
    return vectors[:, : min(rank, rows, columns)].astype(matrix.dtype)
