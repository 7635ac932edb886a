"""Binary trees over sites as arrays `merges` (see :mod:`sktn.networks.tree`): chains, halvings,
grids, nested tuples, linkage matrices.

Examples
--------
>>> from sktn.networks import topology
>>> topology.from_nested(((0, 1), (2, 3))).tolist()
[[0, 1], [2, 3], [4, 5]]
>>> topology.grid_topology((2, 2))
((0, 1), (2, 3))
"""

from math import prod
from numbers import Integral

import numpy as np

__all__ = [
    "balanced",
    "chain_topology",
    "depth",
    "from_linkage",
    "from_nested",
    "grid_topology",
    "halved",
    "pruned",
    "sites_of",
]


def grid_topology(shape):
    """The tree of a grid of pixels, or of the entries of a tensor: halves of the longest side,
    halves of these, and so on, so that a bond is around a patch.

    Parameters
    ----------
    shape : int or tuple of int
        Of the images or tensors, which are rows of a table in C order: ``X.reshape(len(X), -1)``.

    Returns
    -------
    tree : nested tuple of int
        What :class:`~sktn.TTNClassifier` takes as its `topology`.

    Examples
    --------
    >>> from sktn import grid_topology
    >>> grid_topology((2, 3))
    (((0, 1), (3, 4)), (2, 5))
    """
    shape = tuple(shape) if np.iterable(shape) else (shape,)
    if not shape or not all(isinstance(size, Integral) and size > 0 for size in shape):
        raise ValueError(f"shape must be positive integers, one an axis; got {shape!r}.")
    return _patch(np.arange(prod(shape)).reshape(shape))


def _patch(index):
    if index.size == 1:
        return int(index.ravel()[0])
    axis = int(np.argmax(index.shape))
    return tuple(_patch(half) for half in np.array_split(index, 2, axis=axis))


def halved(order):
    """Halves of an order, halves of these, and so on: (n,) -> merges"""
    order = [int(site) for site in order]

    def part(sites):
        if len(sites) == 1:
            return sites[0]
        middle = (len(sites) + 1) // 2
        return part(sites[:middle]), part(sites[middle:])

    return from_nested(part(order)) if order else _merges([], 0)


def chain_topology(order, output_site):
    """The chain whose output stands behind so many of its sites: order (n,) -> merges"""
    order = [int(site) for site in order]
    n, merges, ends = len(order), [], []
    for arm in (order[:output_site], order[output_site:][::-1]):
        end = arm[0] if arm else -1
        for site in arm[1:]:
            merges.append((end, site))
            end = n + len(merges) - 1
        ends.append(end)
    merges.append(tuple(ends) if ends[0] >= 0 else (ends[1], -1))
    return _merges(merges, n)


def from_nested(tree):
    """Nested tuples of site numbers; of more than two children, the first two are joined first."""
    # Without recursion: a chain of columns nests as deep as it is long.
    order, stack = [], [tree]
    while stack:
        node = stack.pop()
        order.append(node)
        if not isinstance(node, Integral):
            stack.extend(node)
    n = sum(isinstance(node, Integral) for node in order)
    merges, done = [], []
    for node in order[::-1]:
        if isinstance(node, Integral):
            done.append(int(node))
            continue
        parts = [done.pop() for _ in node][::-1]
        end = parts[0]
        for other in parts[1:]:
            merges.append((end, other))
            end = n + len(merges) - 1
        done.append(end)
    return _merges(merges or [(done[0], -1)], n)


def from_linkage(Z):
    """SciPy's linkage matrix (n - 1, 4), or its first two columns, -> merges"""
    return np.asarray(Z)[:, :2].astype(int)


def balanced(merges):
    """The same tree with its root at the bond that halves its sites best: merges -> merges"""
    merges = np.asarray(merges).tolist()
    n = len(merges) + 1
    above, size = {}, [1] * n
    for j, pair in enumerate(merges):
        above |= dict.fromkeys(pair, n + j)
        size.append(size[pair[0]] + size[pair[1]])
    # A root is no node of its own: its children are neighbours.
    left, right = merges[-1]
    above |= {left: right, right: left}
    top = min(above, key=lambda node: abs(n - 2 * size[node]))
    neighbours = {node: [] for node in above}
    for node, other in above.items():
        neighbours[node].append(other)
        if node not in (left, right):
            neighbours[other].append(node)
    found, new = [], {}
    for start, parent in ((top, above[top]), (above[top], top)):
        stack, visited = [(start, parent)], []
        while stack:
            node, origin = stack.pop()
            children = [other for other in neighbours[node] if other != origin]
            visited.append((node, children))
            stack.extend((child, node) for child in children)
        for node, children in visited[::-1]:
            new[node] = node
            if children:
                found.append([new[child] for child in children])
                new[node] = n + len(found) - 1
    return _merges([*found, [new[top], new[above[top]]]], n)


def pruned(merges, kept):
    """The tree of some of its sites, which get the numbers 0, 1, ...

    merges (k, 2), kept (n,) -> merges
    """
    n_before, n = n_sites_of(merges), len(kept)
    new = dict.fromkeys(range(n_before), -1) | {-1: -1}
    new |= {int(site): k for k, site in enumerate(kept)}
    found = []
    for j, (left, right) in enumerate(np.asarray(merges).tolist()):
        ends = [new[child] for child in (left, right) if new[child] >= 0]
        if len(ends) == 2:
            found.append(tuple(ends))
            new[n_before + j] = n + len(found) - 1
        else:
            new[n_before + j] = ends[0] if ends else -1
    return _merges(found or [(0 if n else -1, -1)], n)


def sites_of(merges):
    """The sites of a tree, sorted, a site that is there twice twice: -> (n,)"""
    merges = np.asarray(merges)
    n = n_sites_of(merges)
    children = merges.ravel()
    return np.sort(children[(children >= 0) & (children < n)])


def depth(merges):
    """Bonds between the root and the site that is farthest from it."""
    found = [0] * n_sites_of(merges)
    for pair in np.asarray(merges).tolist():
        found.append(1 + max((found[child] for child in pair if child >= 0), default=0))
    return found[-1]


def n_sites_of(merges):
    """A full binary tree has one site more than inner nodes."""
    return len(merges) + 1 - int(np.sum(np.asarray(merges) < 0))


def _merges(merges, n):
    return np.array(merges or [(-1, -1)], int).reshape(-1, 2)
