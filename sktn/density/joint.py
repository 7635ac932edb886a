"""A joint density: the columns' own densities times a mixture of parts that know their relations.

    p(x) = prod_i f_i(x_i) sum_m pi_m r_m(u(x))

A part says what r_m is of the values that are there (`log_ratio`), draws the missing ones given
the others (`draw`), and knows the distribution of each of them (`conditionals`). A mixture of parts
that are exact is exact in all of these.
"""

from dataclasses import dataclass

import numpy as np
from scipy.special import logsumexp

from sktn.density.born_machine import invert
from sktn.tables.marginals import Margins

# Numbers that one block of rows may take (128 MB in double precision).
_BLOCK_SIZE = 2**24


@dataclass(frozen=True, eq=False)
class Joint:
    """margins: of the columns; parts: tuple of parts; shares (M,): pi_m > 0, sum 1."""

    margins: Margins
    parts: tuple
    shares: np.ndarray

    def log_density(self, X):
        """log p of what is there of every row: X (b, n) with NaN for missing -> (b,)"""
        out = self.margins.log_density(X).sum(axis=1)
        for rows in self._blocks(len(X)):
            out[rows] += logsumexp(self._log_parts(self.margins.transform(X[rows])), axis=1)
        # A row at a zero of psi, or beyond the range of floating point.
        return np.maximum(out, np.finfo(np.float64).min)

    def draw(self, X, rng):
        """Missing values drawn given the others: X (b, n) -> (b, n)"""
        out = X.copy()
        for rows in self._blocks(len(X)):
            u = self.margins.transform(X[rows])
            part = _choose_part(self._log_parts(u), rng)
            drawn = u.copy()
            for m, model in enumerate(self.parts):
                own = part == m
                if own.any():
                    drawn[own] = model.draw(u[own], rng)
            self._insert(out[rows], np.isnan(u), drawn)
        return out

    def fill(self, X):
        """Medians of missing values given the others, and most probable levels: (b, n) -> (b, n)"""
        out = X.copy()
        for rows in self._blocks(len(X)):
            u = self.margins.transform(X[rows])
            logs = self._log_parts(u)
            weight = np.exp(logs - logsumexp(logs, axis=1)[:, None])
            gone, filled = np.isnan(u), u.copy()
            found = [model.conditionals(u) for model in self.parts]
            for i in np.flatnonzero(gone.any(axis=0)):
                share = weight[gone[:, i]]
                mixed = _mixed([conditional[i] for conditional in found], share)
                if self.margins.has_levels(i):
                    filled[gone[:, i], i] = np.argmax(mixed(None), axis=1)
                else:
                    filled[gone[:, i], i] = invert(mixed, np.full(len(share), 0.5))
            self._insert(out[rows], gone, filled)
        return out

    def _log_parts(self, u):
        """log pi_m r_m: u (b, n) -> (b, M)"""
        logs = np.stack([part.log_ratio(u) for part in self.parts], axis=1)
        return logs.astype(np.float64) + np.log(self.shares)

    def _insert(self, X, gone, u):
        """Where something was missing, u becomes x, in place."""
        largest = float(np.finfo(X.dtype).max)
        for i in np.flatnonzero(gone.any(axis=0)):
            rows = gone[:, i]
            X[rows, i] = self.margins.invert(i, u[rows, i]).clip(-largest, largest)

    def _blocks(self, n_rows):
        size = max(1, _BLOCK_SIZE // max(part.row_size() for part in self.parts))
        return [slice(k, k + size) for k in range(0, n_rows, size)]


def _choose_part(logs, rng):
    """(b, M) -> (b,)"""
    p = np.exp(logs - logsumexp(logs, axis=1)[:, None])
    q = rng.random_sample(len(p))[:, None]
    return (np.cumsum(p, axis=1) <= q).sum(axis=1).clip(max=p.shape[1] - 1)


def _mixed(conditionals, weight):
    """The weighted sum of distributions or of probabilities: weight (b, M)"""

    def mixture(t):
        values = [conditional(t) for conditional in conditionals]
        return sum((w * v.T).T for w, v in zip(weight.T, values, strict=True))

    return mixture
