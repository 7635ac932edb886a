"""Foldings: which modes of a tensor fall apart into factors.

A mode of length a b becomes two, coarse and fine. In a network that is a core split in two: with
the core in the centre of a tree in canonical form, the error of the split is the tail of the
singular values of the core itself, its entries arranged as (a and the bonds that go with it) x (b
and the others). So every factorisation and every sharing out of the bonds is priced by one small
singular value decomposition, without looking at the tensor again.

Index reshaping: Jahandideh et al., arXiv:2603.27856, who search over trees.
"""

from dataclasses import dataclass
from itertools import combinations
from math import prod

import numpy as np

from sktn.networks import graph
from sktn.solvers.deadline import NEVER
from sktn.structure import tomography, trees, tucker

__all__ = ["MOST_MODES", "WORTH", "Folding", "applied", "fold", "joined", "pairs", "priced"]

# Modes of a folded tensor: contractions of more are slow to plan.
MOST_MODES = 10
# Share of the squared error allowed that the tree takes; the rest is for splits.
_TREE_SHARE = 0.5
# A split must save this share of the parameters, what its error would buy elsewhere counted.
WORTH = 0.02


@dataclass(frozen=True)
class Folding:
    """How modes are split: for every mode of the tensor, the lengths of its factors."""

    factors: tuple

    @property
    def shape(self):
        """Shape of the folded tensor."""
        return tuple(n for lengths in self.factors for n in lengths)

    @property
    def trivial(self):
        """Whether no mode is split."""
        return all(len(lengths) == 1 for lengths in self.factors)

    @property
    def joints(self):
        """Modes k of the folded tensor that are one of the tensor's together with k + 1."""
        own = [n for n, lengths in enumerate(self.factors) for _ in lengths]
        return [k for k in range(len(own) - 1) if own[k] == own[k + 1]]

    def split(self, k, pair):
        """The folding with mode k of the folded tensor split into two."""
        return self._replaced(k, 1, pair)

    def joined(self, k):
        """The folding with modes k and k + 1 of the folded tensor, factors of one mode, as one."""
        return self._replaced(k, 2, [self.shape[k] * self.shape[k + 1]])

    def _replaced(self, k, count, lengths):
        before, factors = 0, []
        for old in self.factors:
            own = list(old)
            if before <= k < before + len(old):
                own[k - before : k - before + count] = lengths
            factors.append(tuple(own))
            before += len(old)
        return Folding(tuple(factors))


@dataclass(frozen=True)
class _Split:
    """Core k in two: factors of its mode, bonds of the second, rank between, what it is worth."""

    k: int
    pair: tuple
    second: tuple
    rank: int
    worth: float
    dropped: float


def pairs(length):
    """Ways to write a length as a product of two factors."""
    return [(a, length // a) for a in range(2, length) if length % a == 0 and a < length]


def _arranged(core, k, pair, second):
    """A core as a matrix: (a, its bonds) x (b, its bonds).

    core N axes -> (a R_1, b R_2), axes of bonds beside a, axes of bonds beside b
    """
    first = [j for j in range(core.ndim) if j != k and j not in second]
    moved = np.transpose(core, [k, *first, *second])
    R1 = [core.shape[j] for j in first]
    R2 = [core.shape[j] for j in second]
    cut = moved.reshape(*pair, prod(R1), prod(R2)).transpose(0, 2, 1, 3)
    return cut.reshape(pair[0] * prod(R1), pair[1] * prod(R2)), first, R1, R2


def priced(core, k, size, room, value, deadline=NEVER):
    """For every factorisation the best split of a centred core, of all sharings of its bonds, or of
    those that there is time for.

    size parameters of the core, room squared error, value parameters that a unit of it is worth
    -> list of _Split, the best first
    """
    found = []
    bonds = [j for j in range(core.ndim) if j != k and core.shape[j] > 1]
    for pair in pairs(core.shape[k]):
        best = None
        for n in range(len(bonds) + 1):
            for second in combinations(bonds, n):
                if deadline.expired():
                    break
                matrix, _, R1, R2 = _arranged(core, k, pair, second)
                s = np.linalg.svd(matrix, compute_uv=False)
                tail = np.append(np.cumsum(s[::-1] ** 2)[::-1], 0.0)
                ranks = np.arange(1, len(tail))
                saved = size - ranks * (pair[0] * prod(R1) + pair[1] * prod(R2))
                worth = np.where(tail[1:] <= room, saved - value * tail[1:], -np.inf)
                r = int(np.argmax(worth))
                if best is None or worth[r] > best.worth:
                    best = _Split(k, pair, second, r + 1, float(worth[r]), float(tail[r + 1]))
        if best is not None and np.isfinite(best.worth):
            found.append(best)
    return sorted(found, key=lambda split: -split.worth)


def applied(cores, split):
    """The network after a split: N arrays of N axes -> N + 1 arrays of N + 1 axes"""
    k, order = split.k, len(cores)
    matrix, first, R1, R2 = _arranged(cores[k], k, split.pair, split.second)
    U, s, Vt = np.linalg.svd(matrix, full_matrices=False)
    r = min(split.rank, len(s))
    new = []
    for j, core in enumerate(cores):
        if j == k:
            continue
        wide = np.expand_dims(core, k + 1)
        new.append(np.swapaxes(wide, k, k + 1) if j in split.second else wide)
    place = [*range(k), *range(k + 2, order + 1)]  # where the other modes are now
    others = [j for j in range(order) if j != k]
    halves = []
    for values, length, axes, R, own, partner in (
        (U[:, :r] * s[:r], split.pair[0], first, R1, k, k + 1),
        (Vt[:r].T, split.pair[1], list(split.second), R2, k + 1, k),
    ):
        flat = values.reshape(length, *R, r)
        shape = [1] * (order + 1)
        shape[own], shape[partner] = length, r
        for j, width in zip(axes, R, strict=True):
            shape[place[others.index(j)]] = width
        axes = [own, *[place[others.index(j)] for j in axes], partner]
        halves.append(flat.transpose(np.argsort(axes)).reshape(shape))
    return [*new[:k], *halves, *new[k:]]


def joined(cores, k):
    """Cores k and k + 1 as one: N arrays of N axes -> N - 1 arrays of N - 1 axes"""
    others = [j for j in range(len(cores)) if j not in (k, k + 1)]
    bonds = [[cores[i].shape[j] for j in others] for i in (k, k + 1)]
    core = graph.merged(cores, (k, k + 1)).reshape(-1, *bonds[0], *bonds[1])
    # Bonds of both to the same core become one, whose axes the other core has side by side.
    n = len(others)
    core = core.transpose(0, *[axis for j in range(1, n + 1) for axis in (j, n + j)])
    core = core.reshape(-1, *[a * b for a, b in zip(*bonds, strict=True)])
    new = []
    for j in others:
        shape = cores[j].shape
        new.append(cores[j].reshape(*shape[:k], shape[k] * shape[k + 1], *shape[k + 2 :]))
    return [*new[:k], np.moveaxis(core, 0, k), *new[k:]]


def fold(X, target, deadline):
    """The folding that a tree's cores ask for, and the folded tree.

    X (I_1, .., I_N) of norm 1, target relative error -> Folding, N' arrays of N' axes or None
    """
    allowed = target**2
    folding = Folding(tuple((n,) for n in X.shape))
    if X.ndim >= MOST_MODES or not any(pairs(n) for n in X.shape):
        return folding, None
    core, factors = tucker.reduce(X, 0.02 * allowed)
    measured = tomography.spectra(core, deadline=deadline)
    unfoldings = trees.Unfoldings(core, measured, deadline)
    R = trees.cheapest(unfoldings, X.shape, _TREE_SHARE * allowed)
    if R is None:
        return folding, None
    cores = tucker.expand(trees.truncated(core, R), factors)
    room = allowed - float(np.sum((X - graph.to_dense(cores)) ** 2))
    total = sum(core.size for core in cores)
    while len(cores) < MOST_MODES and not deadline.expired():
        found = []
        for k, core in enumerate(cores):
            if pairs(core.shape[k]):
                centred = trees.centred(cores, k)
                # Along good networks the squared error falls about like one over the size.
                own = 0.25 * room, total / allowed
                for split in priced(centred[k], k, core.size, *own, deadline)[:1]:
                    if split.worth > WORTH * total:
                        found.append((split.worth, split, centred))
        if not found:
            break
        _, split, centred = max(found, key=lambda item: item[0])
        cores, room = applied(centred, split), room - split.dropped
        folding, total = folding.split(split.k, split.pair), sum(core.size for core in cores)
    return folding, cores
