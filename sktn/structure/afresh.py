"""Structures for random starts: all near by that no unfolding forbids, the most promising first.

A loop whose bonds have shared out what a tree could carry holds on to it: no warm start leads from
one to the other. But of the structures smaller than a good network few can meet the target at all,
some dozens to some thousands up to order six, and minimum cuts tell which without a fit. They are
listed, and fits of some tell which of the others come near.
"""

from itertools import combinations

import numpy as np

from sktn.networks import graph

__all__ = ["Structures"]

# Structures not yet fitted that are listed before some are chosen, for one that is; and those whose
# neighbours are looked at in a round.
_LISTED, _FRONT = 10, 60
# Random starts of one structure: six to nine of ten end at the target where any does.
_STARTS = 3
# Ridge of standardised features: some dozen fits tell the weights of up to fifteen bonds.
_RIDGE = 1.0


class Structures:
    """Structures that may meet a target, and how far from it their fits have ended.

    problem `steps.Problem` with cuts or None
    """

    def __init__(self, problem):
        self.problem = problem
        self._sizes, self._missed = {}, {}  # of all that are listed; least error by minimum cuts
        self._seen, self._open = set(), []  # looked at; listed, its neighbours not looked at
        self._ended = {}  # of those fitted: squared errors of the fits

    def learn(self, R, error):
        """Remember where a fit of bonds R (N, N) has ended."""
        self._ended.setdefault(_ranks(R), []).append(error)

    def choose(self, best, most):
        """Structures smaller than the best, for random starts: list of (N, N), empty at the end.

        Half are those that the fits so far promise most of, half are drawn from all. Where all were
        fitted, those that came nearest have another start.
        """
        fresh = self._listed(best, _LISTED * most)
        promised = np.argsort(self._promises(fresh), kind="stable") if fresh else []
        order = [*promised[: most // 2], *self.problem.rng.permutation(len(fresh))]
        chosen = list(dict.fromkeys(fresh[n] for n in order))
        again = [r for r, e in self._ended.items() if self._smaller(r, best) and len(e) < _STARTS]
        again.sort(key=lambda ranks: min(self._ended[ranks]))
        return [_matrix(ranks) for ranks in [*chosen, *again][:most]]

    def _smaller(self, ranks, best):
        return self._sizes.get(ranks, np.inf) < best.size

    def _listed(self, best, enough):
        """Structures not yet fitted that are smaller and not forbidden, the nearest, or all."""
        problem, R = self.problem, graph.bond_dims(best.cores)
        front = {_ranks(R), *map(_ranks, _exchanged(R))}
        near = front.union(*map(_beside, front))
        while True:
            near -= self._seen
            self._seen |= near
            self._open += self._possible(sorted(near), best)
            self._open = [ranks for ranks in self._open if self._smaller(ranks, best)]
            fresh = [r for r in self._sizes if r not in self._ended and self._smaller(r, best)]
            if len(fresh) >= enough or not self._open or problem.expired():
                return fresh
            problem.rng.shuffle(self._open)
            near = set().union(*map(_beside, self._open[-_FRONT:]))
            del self._open[-_FRONT:]

    def _possible(self, some, best):
        """List those that are smaller and not forbidden: list of ranks -> list of ranks"""
        problem = self.problem
        i, j = np.triu_indices(problem.X.ndim, 1)
        ends = np.eye(problem.X.ndim)[i] + np.eye(problem.X.ndim)[j]
        logs = np.log(np.array(some, dtype=float).reshape(-1, len(i)))
        sizes = np.rint(np.exp(logs @ ends) @ np.array(problem.sizes))
        some = [(ranks, n) for ranks, n in zip(some, sizes.tolist(), strict=True) if n < best.size]
        missed = np.full(len(some), problem.target)
        if problem.cuts is not None and some:
            missed = problem.cuts.missed([ranks for ranks, _ in some])
        found = []
        for (ranks, size), least in zip(some, missed.tolist(), strict=True):
            if least <= problem.target:
                self._sizes[ranks], self._missed[ranks] = size, least
                found.append(ranks)
        return found

    def _promises(self, fresh):
        """Logarithms of the errors where fits will end: of what minimum cuts miss while no fit is
        known, else linear in it and in the logarithms of the bonds.

        fresh list of ranks -> (len(fresh),)
        """
        known = [ranks for ranks in self._ended if ranks in self._missed]
        if not known:
            return self._features(fresh)[:, -1]
        F, y = self._features(known), np.log([min(self._ended[ranks]) for ranks in known])
        mean, spread = F.mean(axis=0), F.std(axis=0) + 1e-9
        Z = (F - mean) / spread
        A = Z.T @ Z + _RIDGE * np.eye(Z.shape[1])
        return (self._features(fresh) - mean) / spread @ np.linalg.solve(A, Z.T @ (y - y.mean()))

    def _features(self, some):
        missed = np.array([self._missed[ranks] for ranks in some])
        return np.c_[np.log(some), np.log(np.maximum(missed, 1e-6 * self.problem.target))]


def _ranks(R):
    return tuple(R[np.triu_indices(len(R), 1)].tolist())


def _matrix(ranks):
    """Bond matrix of the ranks of all pairs: (n_pairs,) -> (N, N)"""
    order = int(np.sqrt(2 * len(ranks))) + 1
    R = np.ones((order, order), dtype=int)
    R[np.triu_indices(order, 1)] = ranks
    return np.maximum(R, R.T)


def _beside(ranks):
    """Ranks with one bond wider, or narrower, or with both: set of tuples."""
    steps = np.eye(len(ranks) + 1, len(ranks), dtype=int)  # the last one changes nothing
    near = (np.array(ranks) + steps[:, None] - steps).reshape(-1, len(ranks))
    return set(map(tuple, near[near.min(axis=1) > 0].tolist()))


def _exchanged(R):
    """Structures of which two modes are exchanged: list of (N, N)"""
    found = []
    for i, j in combinations(range(len(R)), 2):
        swap = np.arange(len(R))
        swap[[i, j]] = j, i
        found.append(R[np.ix_(swap, swap)])
    return found
