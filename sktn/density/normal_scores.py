"""A mixture of normal distributions as one part of a joint density.

Relative to the product of the columns' own densities, with the normal scores z_i of u_i,

    r(u) = sum_k w_k N(z; m_k, S_k) / prod_i N(z_i; 0, 1) ,

one Gaussian copula in every component and a correction of the columns' own densities. On levels of
categorical columns a component is a product of probabilities. Normal distributions stay normal
when columns are integrated out or fixed, so marginals, conditionals and draws are exact.
"""

from dataclasses import dataclass

import numpy as np
from scipy.special import ndtr, ndtri

from sktn.solvers import normal_mixture

# Beyond, one minus a probability is no longer a number of its own.
_LARGEST_SCORE = 8.0


@dataclass(frozen=True, eq=False)
class NormalScores:
    """mixture: on the numeric columns and the levels of the others; shares: of the levels of every
    column, empty for a numeric one."""

    mixture: normal_mixture.Mixture
    shares: tuple

    def row_size(self):
        """Numbers that a row takes."""
        K, n = self.mixture.means.shape
        return 3 * K * max(1, n) ** 2

    def log_ratio(self, u):
        """log r of what is there of every row: u (b, n) with NaN for missing -> (b,)"""
        data = scores(u, self.shares)
        joint = normal_mixture.log_joint(self.mixture, data)
        return normal_mixture.log_density(joint) - log_reference(data, self.shares)

    def draw(self, u, rng):
        """Missing values drawn given the others: u (b, n) -> (b, n)"""
        data, out = scores(u, self.shares), u.copy()
        component = _choose(self._responsibilities(data), rng)
        z, numeric = data.z.copy(), self._numeric()
        rows = np.flatnonzero(np.isnan(z).any(axis=1))
        if len(rows):
            means, spread = normal_mixture.completed(self.mixture, z[rows])
            own, there = np.arange(len(rows)), ~np.isnan(z[rows])
            # Of variance 1 where nothing is missing, and then not moved.
            spread = spread[own, component[rows]] + there[:, None] * np.eye(z.shape[1])
            noise = np.where(there, 0, rng.standard_normal(there.shape))
            shift = (np.linalg.cholesky(spread) @ noise[:, :, None])[:, :, 0]
            z[rows] = means[own, component[rows]] + shift
        gone = np.isnan(u[:, numeric])
        out[:, numeric] = np.where(gone, 2 * ndtr(z) - 1, u[:, numeric])
        for j, i in enumerate(np.flatnonzero(~numeric)):
            rows = np.flatnonzero(np.isnan(u[:, i]))
            out[rows, i] = _choose(self.mixture.levels[j][component[rows]], rng)
        return out

    def conditionals(self, u):
        """The distribution of every missing value given the others: column -> function, see
        `BornMachine.conditionals`"""
        data, numeric = scores(u, self.shares), self._numeric()
        R = self._responsibilities(data)
        means, spread = normal_mixture.completed(self.mixture, data.z)
        deviations = np.sqrt(np.diagonal(spread, axis1=2, axis2=3))
        found = {}
        for j, i in enumerate(np.flatnonzero(numeric)):
            rows = np.flatnonzero(np.isnan(u[:, i]))
            if len(rows):
                found[i] = _mixed_normal(R[rows], means[rows, :, j], deviations[rows, :, j])
        for j, i in enumerate(np.flatnonzero(~numeric)):
            rows = np.flatnonzero(np.isnan(u[:, i]))
            if len(rows):
                p = R[rows] @ self.mixture.levels[j]
                found[i] = lambda _, p=p: p
        return found

    def _numeric(self):
        return np.array([len(s) == 0 for s in self.shares])

    def _responsibilities(self, data):
        joint = normal_mixture.log_joint(self.mixture, data)
        return np.exp(joint - normal_mixture.log_density(joint)[:, None])


def scores(u, shares):
    """Normal scores and levels of a table: u (b, n) -> `Table`"""
    numeric = np.array([len(s) == 0 for s in shares])
    z = ndtri((u[:, numeric] + 1) / 2).clip(-_LARGEST_SCORE, _LARGEST_SCORE)
    codes = np.where(np.isnan(u[:, ~numeric]), -1, u[:, ~numeric]).astype(int)
    return normal_mixture.Table(z, codes, tuple(len(s) for s in shares if len(s)))


def log_reference(data, shares):
    """log of the product of the normal densities and shares: -> (b,)"""
    z = data.z
    logs = np.where(np.isnan(z), 0.0, -0.5 * z**2 - 0.5 * np.log(2 * np.pi)).sum(axis=1)
    for codes, levels in zip(data.codes.T, [s for s in shares if len(s)], strict=True):
        known = codes >= 0
        logs[known] += np.log(levels[codes[known]])
    return logs


def _choose(p, rng):
    """One index a row, with these probabilities: p (b, K) -> (b,)"""
    cumulated = np.cumsum(p, axis=1)
    q = rng.random_sample(len(p)) * cumulated[:, -1]
    return (cumulated <= q[:, None]).sum(axis=1).clip(max=p.shape[1] - 1)


def _mixed_normal(R, means, deviations):
    """u -> sum_k R_k P(z_k <= normal score of u): arrays (b, K)"""
    return lambda t: (R * ndtr((ndtri((t + 1) / 2)[:, None] - means) / deviations)).sum(axis=1)
