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
from itertools import combinations, product
from math import prod

import numpy as np

from sktn.solvers.deadline import NEVER

__all__ = ["LARGE", "Cuts", "candidates", "explanations", "spectra", "spectrum"]


# Numbers that the minimum cuts of many candidates are found among at once.
_BLOCK = 2**21
# Large ranks of generic networks fall short of their minimum cuts, 96 of 100 or 71 of 72: from such
# a rank on, by no more than this in the logarithm. Below, 27 and 28 are two networks.
LARGE, _GENERIC = 50, 0.06
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
        # Single modes come first.
        if len(subset) > 1 and (spent > max_flops or deadline.expired()):
            break
        values = spectrum(X, subset)
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
    """Cut capacities of candidate bond matrices against the ranks an error needs.

    sizes (N,) that are paid for, subsets of modes, ranks of their unfoldings, sure whether these
    are ranks or least ranks, legs (N,) lengths of the modes where others are paid for, large rank
    from which on ranks may fall short of their cuts, spectra squared singular values of every
    unfolding
    """

    def __init__(self, sizes, subsets, ranks, sure=True, legs=None, large=LARGE, spectra=()):
        order = len(sizes)
        self.sizes = tuple(int(size) for size in sizes)
        self.order = order
        self.pairs = list(combinations(range(order), 2))
        self.ends = np.zeros((len(self.pairs), order))
        for n, pair in enumerate(self.pairs):
            self.ends[n, list(pair)] = 1.0
        self.legs = np.log(np.asarray(sizes if legs is None else legs, dtype=float))
        self.need = np.log(np.asarray(ranks, dtype=float))
        self.large = large
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
        self.tails = np.zeros((len(spectra), 1 + max(map(len, spectra), default=0)))
        for row, values in zip(self.tails, spectra, strict=True):
            row[: len(values)] = np.cumsum(values[::-1])[::-1]

    def _crossing(self, sides):
        i, j = np.array(self.pairs).T
        return (sides[:, i] != sides[:, j]).astype(float)

    def widths(self, logs):
        """Minimum cuts.

        logs (m, n_pairs) of bond dimensions -> (m, n_subsets) logarithms of ranks
        """
        cuts = logs @ self.all_cuts.T
        if len(logs) * self.leg_cost.size <= _BLOCK:
            return (cuts[:, None] + self.leg_cost).min(axis=2)
        return np.array([(row + self.leg_cost).min(axis=1) for row in cuts])

    def feasible(self, ranks):
        """Whether every minimum cut is wide enough.

        ranks (.., n_pairs) integers -> (..) bool
        """
        ranks = np.asarray(ranks, dtype=float)
        logs = np.log(ranks.reshape(-1, ranks.shape[-1]))
        wide = (logs @ self.direct.T >= self.need - 1e-9).all(axis=1)
        wide[wide] = (self.widths(logs[wide]) >= self.need - 1e-9).all(axis=1)
        return wide.reshape(ranks.shape[:-1])

    def missed(self, ranks):
        """Squared error that no network of these bonds undercuts: the most that an unfolding drops
        beyond its minimum cut (Eckart and Young).

        ranks (m, n_pairs) integers -> (m,)
        """
        widths = np.rint(np.exp(self.widths(np.log(np.asarray(ranks, dtype=float)))))
        widest = self.tails.shape[1] - 1
        dropped = np.minimum(widths, widest).astype(int)
        return self.tails[np.arange(len(self.tails)), dropped].max(axis=1)

    def mismatch(self, ranks):
        """Sum of absolute log ratios of predicted ranks to measured ones.

        Ranks that are not sure, read off a spectrum without a gap, only bound from below.

        ranks (m, n_pairs) integers -> (m,)
        """
        apart = self.widths(np.log(np.asarray(ranks, dtype=float))) - self.need
        spare = np.where(self.need > np.log(self.large), _GENERIC, 0.0)
        above = np.where(self.sure, np.maximum(apart - spare, 0.0), 0.0)
        found = (above + np.maximum(-apart, 0.0)).sum(axis=1)
        return np.where(found > 1e-6, found, 0.0)

    def cheapest(self, sizes):
        """Bonds of the smallest network that is wide enough, but for the rounding to integers.

        Every cut T through the bonds alone must carry the rank of every S, but for the legs between
        them: sum_(ij across T) log r_ij >= max_S (log rank(S) - legs(S, T)), and the size is convex
        in the logarithms: the shares of a loop are even, where a linear price would open it.

        sizes (N,) that are paid for -> (n_pairs,) integers
        """
        from scipy.optimize import minimize  # a quarter of the package's import time

        least = (self.need[:, None] - self.leg_cost).max(axis=0)
        cuts, least = self.all_cuts[least > 1e-9], least[least > 1e-9]

        def logarithm_of_size(logs):
            paid = sizes * np.exp(logs @ self.ends)
            return np.log(paid.sum()), self.ends @ paid / paid.sum()

        start = np.full(len(self.pairs), least.max(initial=0.0))
        solved = minimize(
            logarithm_of_size,
            start,
            jac=True,
            method="SLSQP",
            bounds=[(0.0, None)] * len(start),
            constraints={"type": "ineq", "fun": lambda x: cuts @ x - least, "jac": lambda x: cuts},
            options={"maxiter": 50, "ftol": 1e-4},
        )
        return np.maximum(np.rint(np.exp(np.clip(solved.x, 0.0, 5.0))), 1.0).astype(int)

    def estimate(self, ranks):
        """Bond dimensions that explain the given ranks, by non-negative least squares.

        ranks (n_subsets,) -> (n_pairs,) real, at least 1
        """
        from scipy.optimize import nnls  # a quarter of the package's import time

        solution, _ = nnls(self.direct, np.log(np.asarray(ranks, dtype=float)))
        return np.exp(solution)

    def parameters(self, ranks):
        """Sizes of networks: ranks (.., n_pairs) -> (..) integers"""
        paid = np.exp(np.log(np.asarray(ranks, dtype=float)) @ self.ends) @ self.sizes
        return np.rint(paid).astype(np.int64)

    def matrix(self, ranks):
        """Bond matrix of a list of ranks: (n_pairs,) -> (N, N)."""
        R = np.ones((self.order, self.order), dtype=int)
        for (i, j), r in zip(self.pairs, ranks, strict=True):
            R[i, j] = R[j, i] = int(r)
        return R


def explanations(cuts, rng, most=80, deadline=NEVER, twice=False):
    """Bond matrices whose minimum cuts are the measured ranks, cheapest first.

    Descents over changes of one or two bonds match the minimum cuts themselves. They begin at what
    the cuts through bonds alone say, at the smallest network that is wide enough, with sizes as
    they are and with others, and beside the best so far: some time, and up to ``most`` descents
    until one explains all. ``twice``: descents reroute two triangles at once, some .1 s each.

    -> list of ranks tuples
    """
    found, best = set(), None
    # A descent takes some .01 s up to order six, and .5 s at order eight.
    restarts = 40 if cuts.order <= 6 else 6
    for n in range(most):
        if deadline.expired() or (found and n >= restarts):
            break
        if n == 0:
            start = np.maximum(np.rint(cuts.estimate(np.exp(cuts.need))), 1.0).astype(int)
        elif n % 2 == 0:
            # Some bonds stay: a descent from a change of all forgets where it began.
            change = rng.integers(-1, 2, len(cuts.pairs)) * (rng.random(len(cuts.pairs)) < 0.5)
            start = np.maximum(1, np.array(best[2]) + change)
        else:
            start = cuts.cheapest(cuts.sizes * np.exp(rng.normal(size=cuts.order) * (n > 1)))
        state = _matched(cuts, tuple(start.tolist()), deadline, twice)
        if state[0] == 0.0:
            found.add(state[1:])
        best = state if best is None else min(best, state)
    # Some bonds hide behind legs: wider ones, which the cuts do not tell from these, are next.
    for _, ranks in sorted(found)[:2]:
        wider = np.array(ranks) + np.eye(len(ranks), dtype=int)
        wider = wider[cuts.mismatch(wider) == 0.0]
        found |= set(zip(cuts.parameters(wider).tolist(), map(tuple, wider.tolist()), strict=True))
    return [ranks for _, ranks in sorted(found)]


def _matched(cuts, ranks, deadline, twice):
    """Steepest descent of the mismatch, then of the size: (mismatch, parameters, ranks)."""

    def lowest(trials):
        """The lowest of trials (m, n_pairs)."""
        apart, paid = cuts.mismatch(trials), cuts.parameters(trials)
        n = np.lexsort((paid, apart))[0]
        return float(apart[n]), int(paid[n]), tuple(trials[n].tolist())

    best = lowest(np.array([ranks]))
    while not deadline.expired():
        ones = _beside(best[2])
        trial = min(lowest(ones), best)
        if trial == best:
            trial = min(lowest(_rerouted(cuts, best[2])), best)
        if trial == best:
            trial = min(lowest(np.concatenate([_beside(one) for one in ones])), best)
        if trial == best and twice:
            trial = min(lowest(_rerouted_twice(cuts, best[2])), best)
        if trial == best:
            break
        best = trial
    return best


def _rerouted(cuts, ranks):
    """Ranks with a factor of two bonds of a triangle moved to the third: (n,) -> (m, n)

    A loop and a tree may have the same cuts, and no single change leads from one to the other.
    """
    place = {pair: n for n, pair in enumerate(cuts.pairs)}
    found = [ranks]
    for i, j, k in combinations(range(cuts.order), 3):
        triangle = [place[i, j], place[i, k], place[j, k]]
        for third, factor in product(triangle, (2, 3)):
            others = [n for n in triangle if n != third]
            if all(ranks[n] >= factor for n in others):
                other = np.array(ranks)
                other[others] = -(-other[others] // factor)
                other[third] *= factor
                found.append(other)
    return np.array(found)


def _rerouted_twice(cuts, ranks):
    """Two triangles rerouted at once, and one bond wider or narrower: (n,) -> (m, n)

    A bond that is in both is wide enough for either as long as one is left.
    """
    once = _rerouted(cuts, ranks)
    near = [_beside(other) for one in once for other in _rerouted(cuts, one)]
    return np.unique(np.concatenate(near), axis=0)


def _beside(ranks):
    """Ranks with one of them changed by one: (n,) -> (m, n)"""
    step = np.eye(len(ranks), dtype=int)
    near = np.asarray(ranks) + np.concatenate([step, -step])
    return near[near.min(axis=1) >= 1]


def candidates(cuts, seed, max_visited=500, max_found=24, deadline=NEVER):
    """Feasible bond matrices near a seed, cheapest first.

    A best-first walk over +1, -1 and exchange moves. The seed itself is made feasible first.

    seed (n_pairs,) integers -> list of ranks tuples
    """
    ranks = [max(1, int(r)) for r in seed]
    while not cuts.feasible(ranks):
        logs = np.log(ranks)
        short = np.maximum(cuts.need - cuts.direct @ logs, 0.0)
        if short.max() <= 1e-9:  # Only a cut through legs is short: any bond may be the cure.
            short = np.ones_like(short)
        price = cuts.parameters(ranks + np.eye(len(ranks))) - cuts.parameters(ranks)
        gain = short @ cuts.direct * np.log1p(1.0 / np.array(ranks)) / price
        ranks[int(np.argmax(gain))] += 1
        if max(ranks) > 200 or deadline.expired():
            return []
    start = tuple(ranks)
    first = int(cuts.parameters(start))
    heap, seen, found = [(first, start)], {start}, {start: first}
    for _ in range(max_visited):
        if not heap or deadline.expired():
            break
        _, node = heapq.heappop(heap)
        others = _neighbours(node)
        prices = cuts.parameters(others)
        others, prices = others[prices <= 1.3 * first], prices[prices <= 1.3 * first]
        new = [n for n, other in enumerate(map(tuple, others.tolist())) if other not in seen]
        others, prices = others[new], prices[new]
        fits = cuts.feasible(others)
        seen.update(map(tuple, others.tolist()))
        for price, other in zip(
            prices[fits].tolist(), map(tuple, others[fits].tolist()), strict=True
        ):
            found[other] = price
            heapq.heappush(heap, (price, other))
    ordered = sorted((price, ranks) for ranks, price in found.items())
    return [ranks for _, ranks in ordered[:max_found]]


def _neighbours(ranks):
    """One wider, one narrower, one narrower and another one wider: (n,) -> (m, n)"""
    step = np.eye(len(ranks), dtype=int)
    exchange = (step[None] - step[:, None]).reshape(-1, len(ranks))
    near = np.asarray(ranks) + np.concatenate([step, -step, exchange[exchange.any(axis=1)]])
    return near[near.min(axis=1) >= 1]
