"""Bipartition-rank tomography: read bond dimensions off the ranks of unfoldings.

For generic cores the rank of the unfolding X_[S] is the minimum cut between the modes in S and the
others, where bond ij costs log r_ij and the leg of mode k costs log I_k. While no leg is cut,

    log rank(S) = sum_{i in S, j not in S} log r_ij,

a linear system; for two nodes it says that log r_ij is half of their mutual information,
log r_ij = (log rank(i) + log rank(j) - log rank(ij)) / 2.

The number of singular values that a given error needs (the epsilon-rank) bounds the rank of every
network that meets the error. So the minimum cuts of a candidate are a proof that it fails, and
candidates can be searched by size without fitting most of them.
"""

import heapq
from itertools import combinations
from math import prod

import numpy as np

from sktn.networks import graph
from sktn.solvers.deadline import NEVER

__all__ = ["Cuts", "candidates", "explanations", "spectra", "spectrum"]


# Longest side of an unfolding whose spectrum takes some seconds.
_WIDEST = 3000


def _subsets(order, largest):
    """One of each complementary pair of mode subsets, the small side at most ``largest``."""
    for n in range(1, min(largest, order // 2) + 1):
        for subset in combinations(range(order), n):
            if 2 * n < order or 0 in subset:
                yield subset


def spectrum(X, subset, widest=_WIDEST):
    """Squared singular values, falling, of one unfolding.

    X (n_1, .., n_N), subset modes of the rows -> (min side,) or None where that is too long
    """
    rows = prod(X.shape[k] for k in subset)
    side = min(rows, X.size // rows)
    if side > widest:
        return None
    unfolding = np.moveaxis(X, subset, range(len(subset))).reshape(rows, -1)
    gram = unfolding @ unfolding.T if rows <= side else unfolding.T @ unfolding
    values = np.linalg.eigvalsh(gram.astype(np.float64))[::-1]
    return np.maximum(values, 0.0)


def spectra(X, max_flops=2e10, deadline=NEVER):
    """Squared singular values, falling, of every affordable unfolding; past the deadline, of modes.

    X (n_1, .., n_N) -> list of (modes of the rows, (min side,) array)
    """
    result, spent = [], 0.0
    for subset in _subsets(X.ndim, X.ndim if X.ndim <= 6 else 3):
        rows = prod(X.shape[k] for k in subset)
        side = min(rows, X.size // rows)
        spent += 2.0 * X.size * side + 10.0 * side**3
        dear = spent > max_flops or deadline.expired()
        values = None if dear and len(subset) > 1 else spectrum(X, subset)
        if values is not None:
            result.append((subset, values))
    return result


def epsilon_rank(values, budget):
    """Fewest singular values whose tail is within the budget.

    values (m,) squared and falling -> int
    """
    tail = np.cumsum(values[::-1])[::-1]
    return max(1, int(np.sum(tail > budget)))


def gap_rank(values, budget):
    """Rank at the widest relative gap at or above the epsilon-rank, and the ratio across it.

    values (m,) squared and falling -> int, ratio of singular values
    """
    least = epsilon_rank(values, budget)
    floor = 1e-13 * values[0] + 1e-300
    ratios = np.sqrt((values[least - 1 : -1] + floor) / (values[least:] + floor))
    if ratios.size == 0:
        return least, 1e6  # Full rank: nothing beyond to be confused with.
    widest = int(np.argmax(ratios))
    return least + widest, float(ratios[widest])


class Cuts:
    """Cut capacities of candidate bond matrices against the ranks an error needs."""

    def __init__(self, sizes, subsets, ranks, sure=True):
        order = len(sizes)
        self.sizes = tuple(int(size) for size in sizes)
        self.order = order
        self.pairs = list(combinations(range(order), 2))
        self.legs = np.log(np.asarray(sizes, dtype=float))
        self.need = np.log(np.asarray(ranks, dtype=float))
        self.sure = np.broadcast_to(sure, self.need.shape)
        member = np.zeros((len(subsets), order), dtype=bool)
        for row, subset in enumerate(subsets):
            member[row, list(subset)] = True
        sides = (np.arange(2**order)[:, None] >> np.arange(order)) & 1 if order <= 10 else member
        sides = sides.astype(bool)
        self.direct = self._crossing(member)
        self.all_cuts = self._crossing(sides)
        # Moving a core across the cut trades its bonds for its leg.
        moved = member[:, None, :] != sides[None, :, :]
        self.leg_cost = moved @ self.legs

    def _crossing(self, sides):
        i, j = np.array(self.pairs).T
        return (sides[:, i] != sides[:, j]).astype(float)

    def feasible(self, ranks):
        """Whether every minimum cut is wide enough.

        ranks (n_pairs,) integers -> bool
        """
        logs = np.log(np.asarray(ranks, dtype=float))
        if np.any(self.direct @ logs < self.need - 1e-9):
            return False
        cuts = self.all_cuts @ logs
        return bool(np.all((self.leg_cost + cuts).min(axis=1) >= self.need - 1e-9))

    def mismatch(self, ranks):
        """Sum of absolute log ratios of predicted ranks to measured ones.

        Ranks that are not sure, read off a spectrum without a gap, only bound from below.

        ranks (n_pairs,) integers -> float
        """
        cuts = self.all_cuts @ np.log(np.asarray(ranks, dtype=float))
        apart = (self.leg_cost + cuts).min(axis=1) - self.need
        return float(np.where(self.sure, np.abs(apart), np.maximum(-apart, 0.0)).sum())

    def estimate(self, ranks):
        """Bond dimensions that explain the given ranks, by non-negative least squares.

        ranks (n_subsets,) -> (n_pairs,) real, at least 1
        """
        from scipy.optimize import nnls  # a quarter of the package's import time

        solution, _ = nnls(self.direct, np.log(np.asarray(ranks, dtype=float)))
        return np.exp(solution)

    def parameters(self, ranks):
        """Size of the network with these bond dimensions."""
        return graph.n_parameters(self.sizes, self.matrix(ranks))

    def matrix(self, ranks):
        """Bond matrix of a list of ranks: (n_pairs,) -> (N, N)."""
        R = np.ones((self.order, self.order), dtype=int)
        for (i, j), r in zip(self.pairs, ranks, strict=True):
            R[i, j] = R[j, i] = int(r)
        return R


def explanations(cuts, seed, rng, restarts=8, deadline=NEVER):
    """Bond matrices whose minimum cuts are the measured ranks, cheapest first.

    The linear system is blind where a cut through a leg is cheaper than the bonds behind it. So the
    minimum cuts themselves are matched: descent over changes of one or two bonds, from the seed and
    from random changes of the best so far.

    seed (n_pairs,) integers -> list of ranks tuples
    """
    found, best, start = set(), None, np.asarray(seed)
    for _ in range(restarts):
        if deadline.expired():
            break
        state = _matched(cuts, tuple(int(r) for r in start), deadline)
        best = state if best is None else min(best, state)
        if state[0] == 0.0:
            found.add(state[1:])
        start = np.maximum(1, np.array(best[2]) + rng.integers(-1, 2, len(start)))
    return [ranks for _, ranks in sorted(found)]


def _matched(cuts, ranks, deadline):
    """Steepest descent of the mismatch, then of the size: (mismatch, parameters, ranks)."""

    def score(ranks):
        apart = cuts.mismatch(ranks)
        return (apart if apart > 1e-6 else 0.0, cuts.parameters(ranks), ranks)

    def changed(ranks):
        for n, r in enumerate(ranks):
            for by in (-1, 1):
                if r + by >= 1:
                    yield _changed(ranks, n, by)

    def lowest(trials):
        found = best
        for trial in trials:
            if deadline.expired():
                break
            found = min(found, score(trial))
        return found

    best = score(ranks)
    while True:
        ones = list(changed(best[2]))
        trial = lowest(ones)
        if trial == best:
            trial = lowest({two for one in ones for two in changed(one)})
        if trial == best:
            return best
        best = trial


def candidates(cuts, sizes, seed, max_visited=3000, max_found=24, deadline=NEVER):
    """Feasible bond matrices near a seed, cheapest first.

    A best-first walk over +1, -1 and exchange moves. The seed itself is made feasible first.

    seed (n_pairs,) integers -> list of (parameters, ranks tuple)
    """
    ranks = [max(1, int(r)) for r in seed]

    def cost(r):
        return graph.n_parameters(sizes, cuts.matrix(r))

    while not cuts.feasible(ranks):
        logs = np.log(ranks)
        short = np.maximum(cuts.need - cuts.direct @ logs, 0.0)
        if short.max() <= 1e-9:  # Only a cut through legs is short: any bond may be the cure.
            short = np.ones_like(short)
        help_ = short @ cuts.direct
        price = np.array([cost(_changed(ranks, n, 1)) for n in range(len(ranks))], dtype=float)
        gain = help_ * np.log1p(1.0 / np.array(ranks)) / (price - cost(ranks))
        ranks[int(np.argmax(gain))] += 1
        if max(ranks) > 200 or deadline.expired():
            return []
    start = tuple(ranks)
    heap, seen, found = [(cost(start), start)], {start}, {start: cost(start)}
    visited = 0
    while heap and visited < max_visited and not deadline.expired():
        _, node = heapq.heappop(heap)
        visited += 1
        for other in _neighbours(node):
            if other in seen:
                continue
            seen.add(other)
            if cuts.feasible(other):
                price = cost(other)
                if price <= 1.3 * found[start]:
                    found[other] = price
                    heapq.heappush(heap, (price, other))
        if visited > 40 * max_found and len(found) > max_found:
            break
    ordered = sorted((price, ranks) for ranks, price in found.items())
    return ordered[:max_found]


def _changed(ranks, n, by):
    return tuple(r + by if m == n else r for m, r in enumerate(ranks))


def _neighbours(ranks):
    for n, r in enumerate(ranks):
        lower = _changed(ranks, n, -1) if r > 1 else None
        if lower is not None:
            yield lower
            for m in range(len(ranks)):
                if m != n:
                    yield _changed(lower, m, 1)
        yield _changed(ranks, n, 1)
