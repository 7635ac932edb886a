"""Trees read off the spectra of unfoldings: the best network without loops, before any fit.

Every bond of a tree cuts its modes in two, and truncating all bonds drops at most the sum of what
each drops alone (hierarchical SVD, Grasedyck 2010, theorem 3.11). So the spectra of the unfoldings
price every tree at every error in closed form. Loops make networks smaller still, but a tree that
is right to begin with is the better start for finding them: it is cheap to contract, and all its
bonds are in the order of their use.
"""

from itertools import product

import numpy as np

from sktn.networks import graph

__all__ = ["cheapest", "closest", "truncated"]

# There are N^(N - 2) trees on N modes: 1296 of them at order 6.
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


def _trees(spectra, order):
    """All trees whose cuts were measured: their edges, and what every rank of them drops.

    -> iterator of edges, list of arrays: sum of squares beyond the first r values, r = 0, 1, ..
    """
    if not 2 <= order <= _LARGEST:
        return
    everything, dropped = frozenset(range(order)), {}
    for subset, values in spectra:
        side = frozenset(subset)
        tail = np.append(np.cumsum(values[::-1])[::-1], 0.0)
        dropped[side if 0 in side else everything - side] = tail
    for code in product(range(order), repeat=order - 2):
        edges = _edges(code)
        cuts = [_cut(edges, edge, order) for edge in edges]
        if all(cut in dropped for cut in cuts):
            yield edges, [dropped[cut] for cut in cuts]


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


def cheapest(spectra, sizes, error):
    """Bond matrix of the smallest tree whose truncation drops at most ``error``.

    spectra list of (modes, squared singular values), sizes (N,) that are paid for, squared error
    -> (N, N), or None where the order is too large
    """
    best, fewest = None, np.inf
    for edges, tails in _trees(spectra, len(sizes)):
        # No bond may drop more than the whole: fewer parameters than these are impossible.
        ranks = [max(1, int(np.sum(tail > error))) for tail in tails]
        paid = _paid(sizes, edges, ranks)
        while sum(paid) < fewest:
            if sum(tail[r] for r, tail in zip(ranks, tails, strict=True)) <= error:
                best, fewest = _matrix(len(sizes), edges, ranks), sum(paid)
                break
            step = _best_step(paid, edges, ranks, tails)
            if step is None:
                break
            ranks[step[0]] += step[1]
            paid = _paid(sizes, edges, ranks)
    return best


def closest(spectra, sizes, n_parameters):
    """Bond matrix of the tree that drops least with at most ``n_parameters``.

    -> (N, N), or None where the order is too large or the tree would have more parameters
    """
    best, least = None, np.inf
    for edges, tails in _trees(spectra, len(sizes)):
        ranks = [1] * len(edges)
        paid = _paid(sizes, edges, ranks)
        if sum(paid) > n_parameters:
            return None
        while (step := _best_step(paid, edges, ranks, tails)) is not None:
            wider = list(ranks)
            wider[step[0]] += step[1]
            more = _paid(sizes, edges, wider)
            if sum(more) > n_parameters:
                break
            ranks, paid = wider, more
        error = sum(tail[r] for r, tail in zip(ranks, tails, strict=True))
        if error < least:
            best, least = _matrix(len(sizes), edges, ranks), error
    return best


def truncated(X, R):
    """The tree network of X with bonds of at most R, by truncated SVDs from the leaves inwards.

    X (I_1, .., I_N), R (N, N) of a tree -> N arrays of N axes
    """
    order = X.ndim
    near = [[j for j in range(order) if j != k and R[k, j] > 1] for k in range(order)]
    root = int(np.argmax(graph.core_sizes(X.shape, R)))
    parent, path, reached = {root: None}, [root], 0
    while len(path) < order:
        if reached == len(path):  # A bond of one component is no edge: another part begins.
            other = next(k for k in range(order) if k not in parent)
            parent[other] = root
            path.append(other)
        node = path[reached]
        for other in near[node]:
            if other not in parent:
                parent[other] = node
                path.append(other)
        reached += 1
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
