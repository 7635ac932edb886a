"""The tree of a weight tensor: agglomeration by the spectra of its unfoldings.

The convex limit gives the weight tensor as a sum of product states over landmarks, W = sum_m beta_m
(x)_i a_mi. What a bond above a set S of sites has to carry is the spectrum of the unfolding of S
against the others: with states Y (m, k) that span the vectors of S, and the kernels K_i (m, m) of
the others,

    rho_S = Y^T [ (prod_{i not in S} K_i) * beta beta^T ] Y .

The constant path, which every bond carries for nothing, is left out of it. From single sites on,
the two parts are joined whose bond is cheapest: the least entropy of order 1/2 of its spectrum.
Entropies of order below 1 are what bounds a truncation's loss (Schuch, Wolf, Verstraete and Cirac,
Phys. Rev. Lett. 100, 030504 (2008)). The root goes where it halves the sites: bonds have no
direction.
"""

from dataclasses import dataclass

import numpy as np

from sktn.networks.linalg import outer
from sktn.networks.topology import balanced

# Directions of a part that are looked at: the spectrum of a pair costs the cube of their square.
_RANK = 6


@dataclass(frozen=True, eq=False)
class _Part:
    """A set of sites: state (m, r) of every term, the constant path first, kernel (m, m)."""

    state: np.ndarray
    kernel: np.ndarray

    def joined(self, other):
        return _Part(outer(self.state, other.state), self.kernel * other.kernel)

    def cut(self, far):
        """The directions that matter most to what lies beyond: far (m, m) -> _Part"""
        directions = np.linalg.eigh(self.unfolding(far))[1][:, :-_RANK:-1]
        core = np.zeros((len(directions), 1 + directions.shape[1]))
        core[0, 0] = 1
        core[1:, 1:] = directions[1:]
        return _Part(self.state @ core, self.kernel)

    def unfolding(self, far):
        rho = self.state.T @ (far @ self.state)
        rho[0] = rho[:, 0] = 0
        return rho

    def cost(self, far):
        """The entropy of the bond above, up to monotone functions: the sum of singular values."""
        return np.sqrt(np.maximum(np.linalg.eigvalsh(self.unfolding(far)), 0)).sum()


def found_tree(sites, beta):
    """sites: n arrays (m, d) whose first component is 1, beta (m, c) -> merges (n - 1, 2)"""
    n, weight = len(sites), np.asarray(beta, np.float64)
    weight = weight @ weight.T
    sites = [np.asarray(x, np.float64) for x in sites]
    alone = {i: _Part(x, x @ x.T) for i, x in enumerate(sites)}
    parts = {i: alone[i].cut(far) for i, far in _without_each(alone, weight)}
    costs, merges = {}, []
    for i in range(n):
        costs |= _pair_costs(parts, i, range(i), weight)
    while len(parts) > 1:
        pair = min(costs, key=costs.get)
        a, b = (parts.pop(i) for i in pair)
        costs = {other: cost for other, cost in costs.items() if not set(other) & set(pair)}
        far = weight.copy()
        for part in parts.values():
            far *= part.kernel
        merges.append(pair)
        new = n + len(merges) - 1
        parts[new] = a.joined(b).cut(far)
        costs |= _pair_costs(parts, new, list(parts)[:-1], weight)
    return balanced(merges) if n > 2 else np.array(merges, int).reshape(-1, 2)


def _pair_costs(parts, i, partners, weight):
    """Costs of the bonds above part i and each of some others: dict of pairs (i, j)"""
    rest = {j: part for j, part in parts.items() if j != i}
    wanted, found = set(partners), {}
    for j, far in _without_each(rest, weight):
        if j in wanted:
            found[i, j] = parts[i].joined(parts[j]).cost(far)
    return found


def _without_each(parts, start):
    """The product of `start` and of the kernels of all parts but one, without a division.

    -> iterator of (part's number, (m, m))
    """
    numbers = list(parts)
    before = [start]
    for k in numbers[:-1]:
        before.append(before[-1] * parts[k].kernel)
    after = np.ones_like(start)
    for k, product in zip(numbers[::-1], before[::-1], strict=False):
        yield k, product * after
        after = after * parts[k].kernel
