"""Mixtures of normal distributions, with missing values and columns of levels, by expectation
maximisation.

    q(z, c) = sum_k w_k N(z; m_k, S_k) prod_j P_kj(c_j)

Missing values are integrated over: what is missing has a normal distribution given the rest (Little
and Rubin, Statistical Analysis with Missing Data, 11.2). All patterns of gaps are one stack of
matrices, in which a missing value is an independent one of variance 1.
The covariances are shrunk to the one that all components have in common, and this one to its
diagonal, as by some rows of an inverse Wishart prior (Fraley and Raftery, J. Classification 24,
2007): between one covariance for all and one for each.
"""

from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple

import numpy as np

# Smallest variance, relative to that of the whole column: what scikit-learn's mixtures add.
_FLOOR = 1e-6

# Numbers of a block of rows (8 MB): all of it stays near the processor.
_BLOCK = 2**20

_LOG_2PI = float(np.log(2 * np.pi))


class Mixture(NamedTuple):
    """log_weights (K,), means (K, n), covariances (K, n, n), levels: list of (K, L)"""

    log_weights: np.ndarray
    means: np.ndarray
    covariances: np.ndarray
    levels: list


@dataclass(frozen=True, eq=False)
class Table:
    """z (N, n) with NaN for missing, codes (N, m) with -1 for missing, n_levels: of every column
    of codes"""

    z: np.ndarray
    codes: np.ndarray
    n_levels: tuple

    def take(self, rows):
        """Some rows of it: -> Table"""
        return Table(self.z[rows], self.codes[rows], self.n_levels)

    @cached_property
    def _kinds(self):
        """Rows without gaps, and rows with gaps."""
        gaps = np.isnan(self.z).any(axis=1)
        return np.flatnonzero(~gaps), np.flatnonzero(gaps)

    def blocks(self, row_size):
        """Rows without gaps and rows with gaps, so many at a time: yields (b,) indices, bool"""
        for kind in (False, True):
            rows, size = self._kinds[kind], max(1, _BLOCK // row_size[kind])
            for start in range(0, len(rows), size):
                yield rows[start : start + size], kind


def log_joint(mixture, table):
    """log w_k p_k(what is there of a row): -> (N, K)"""
    squares, log_roots, n_present = _deviations(mixture, table)
    out = mixture.log_weights + log_roots - (squares + n_present[:, None] * _LOG_2PI) / 2
    for j, shares in enumerate(mixture.levels):
        known = table.codes[:, j] >= 0
        out[known] += np.log(shares[:, table.codes[known, j]]).T
    return out


def _deviations(mixture, table):
    """Squared Mahalanobis distances of what is there of a row, half the log determinants of the
    inverse covariances, and how many values are there: -> (N, K), (N, K), (N,)"""
    K, n = mixture.means.shape
    squares, log_roots = np.empty((len(table.z), K)), np.empty((len(table.z), K))
    n_present = np.full(len(table.z), n)
    for rows, gaps in table.blocks((K * n + 1, K * n * n + 1)):
        z = table.z[rows]
        if gaps:
            masks, which, roots, centred = _observed(mixture, z)
            white = (roots[which] @ centred[..., None])[..., 0]
            squares[rows] = (white**2).sum(axis=2)
            log_roots[rows] = np.log(np.diagonal(roots, axis1=2, axis2=3)).sum(axis=2)[which]
            n_present[rows] = masks.sum(axis=1)[which]
        else:
            root = np.linalg.inv(np.linalg.cholesky(mixture.covariances))
            white = (z - mixture.means[:, None]) @ root.swapaxes(1, 2)
            squares[rows] = np.einsum("kbi,kbi->bk", white, white)
            log_roots[rows] = np.log(np.diagonal(root, axis1=1, axis2=2)).sum(axis=1)
    return squares, log_roots, n_present


def held_out_log_density(mixture, table, weight, common):
    """The log density of training rows as if one copy of each had been left out, with the shares
    in which components have the others as they are: a change of rank one of every covariance.

    mixture of `fit` on the table, which has no codes, weight (N,), common as there -> (N,)
    """
    squares, log_roots, n_present = _deviations(mixture, table)
    total = weight.sum()
    mass = np.exp(mixture.log_weights) * total
    joint = mixture.log_weights + log_roots - (squares + n_present[:, None] * _LOG_2PI) / 2
    responsibility = np.exp(joint - log_density(joint)[:, None])
    own = np.minimum(responsibility * np.minimum(weight, 1.0)[:, None], mass)
    # A component that had this row alone is a wide one without it.
    left = np.maximum(mass - own, 1e-3 * mass)
    rows_of = mass + common  # of a covariance
    rows_left = left + common
    # The row's part of the scatter around the mean, and of the prior from all components.
    part = own * mass / left + common * own / total
    remains = np.maximum(1 - part * squares / rows_of, 1e-3)
    change = rows_left / rows_of
    squares = (mass / left) ** 2 * change * squares / remains
    log_roots = log_roots + (n_present[:, None] * np.log(change) - np.log(remains)) / 2
    log_weights = np.log(left / np.maximum(total - np.minimum(weight, 1.0), 1e-3)[:, None])
    return log_density(log_weights + log_roots - (squares + n_present[:, None] * _LOG_2PI) / 2)


def completed(mixture, z):
    """Rows with their missing values as expected given the others, in every component, and the
    covariances of what was missing, zeros elsewhere: z (b, n) -> (b, K, n), (b, K, n, n)"""
    masks, which, roots, centred = _observed(mixture, z)
    there, S = ~np.isnan(z), mixture.covariances
    # The inverse covariance of what is observed, zeros elsewhere.
    gain = S @ (roots.swapaxes(2, 3) @ roots * _pairs(masks)[:, None])
    expected = mixture.means + (gain[which] @ centred[..., None])[..., 0]
    filled = np.where(there[:, None], np.where(there, z, 0.0)[:, None], expected)
    spread = (S - gain @ S)[which] * _pairs(~there)[:, None]
    return filled, (spread + spread.swapaxes(2, 3)) / 2


def log_density(joint):
    """log sum_k exp of (N, K) -> (N,)"""
    largest = joint.max(axis=1)
    return largest + np.log(np.exp(joint - largest[:, None]).sum(axis=1))


def fit(table, weight, start, common, diagonal, *, noise=0.0, max_iter=60, tol=1e-4):
    """Expectation maximisation from responsibilities, until the mean log-likelihood gains less
    than `tol` in a step.

    table, weight (N,), start (N, K), common, diagonal: rows that the prior counts for,
    towards one covariance for all components and towards none between columns, noise: variance
    that every value has in addition -> Mixture
    """
    strength = common, diagonal
    mixture = maximize(table, weight, start, strength, None, noise)
    last = -np.inf
    for _ in range(max_iter):
        joint = log_joint(mixture, table)
        logs = log_density(joint)
        value = float(weight @ logs / weight.sum())
        if value - last < tol:
            break
        last = value
        shares = np.exp(joint - logs[:, None])
        mixture = maximize(table, weight, shares, strength, mixture, noise)
    return mixture


def maximize(table, weight, responsibilities, strength, previous, noise=0.0):
    """The maximisation step. `previous`: the mixture that fills gaps; None: column means do.

    responsibilities (N, K) -> Mixture
    """
    n, K = table.z.shape[1], responsibilities.shape[1]
    R = responsibilities * weight[:, None]
    mass = R.sum(axis=0)
    # A component that has lost all rows stays, without weight.
    safe = np.maximum(mass, 1e-10 * mass.sum())
    first, second = np.zeros((K, n)), np.zeros((K, n, n))
    for rows, gaps in table.blocks((K * n + 1, K * n * n + 1)):
        r, filled = R[rows], table.z[rows]
        if gaps and previous is None:
            filled = np.where(np.isnan(filled), _column_means(table.z, weight), filled)
        elif gaps:
            filled, spread = completed(previous, filled)
            filled = filled.swapaxes(0, 1)
            second += np.einsum("bk,bkij->kij", r, spread)
        scaled = r.T[..., None] * filled  # (K, b, n)
        first += scaled.sum(axis=1)
        second += scaled.swapaxes(1, 2) @ filled
    means = first / safe[:, None]
    scatter = second - safe[:, None, None] * means[:, :, None] * means[:, None, :]
    to_common, to_diagonal = strength
    common = scatter.sum(axis=0) / mass.sum()
    # Off the diagonal, the prior has seen nothing.
    shrink = mass.sum() / (mass.sum() + to_diagonal)
    common = shrink * common + (1 - shrink) * np.diag(np.diagonal(common))
    share = safe / safe.sum()
    # Of all columns: within the components and between them.
    variance = np.diagonal(common) + share @ (means - share @ means) ** 2
    # Where a column is constant but not 0, its scatter is rounding error of either sign.
    moment = second.sum(axis=0).diagonal() / mass.sum()
    smallest = np.maximum(_FLOOR * moment, 1e-12)
    floor = _FLOOR * np.maximum(variance, smallest)
    covariances = (scatter + to_common * common) / (safe + to_common)[:, None, None]
    covariances += np.diag(floor + noise)
    levels = [_level_shares(c, R, L) for c, L in zip(table.codes.T, table.n_levels, strict=True)]
    return Mixture(np.log(share), means, covariances, levels)


def with_rows(mixture, total, table, weight):
    """The mixture that has seen more rows, each shared among the components as it is (Neal and
    Hinton, Learning in Graphical Models, 1998): total of the weights seen, table without codes,
    weight (N,) -> Mixture"""
    joint = log_joint(mixture, table)
    R = np.exp(joint - log_density(joint)[:, None]) * weight[:, None]
    old = np.exp(mixture.log_weights) * total
    mass = old + R.sum(axis=0)
    first = np.zeros(mixture.means.shape)
    second = np.zeros(mixture.covariances.shape)
    K, n = first.shape
    # Around the old means: no digits are lost.
    for rows, gaps in table.blocks((K * n + 1, K * n * n + 1)):
        filled = np.broadcast_to(table.z[rows][:, None], (len(rows), K, n))
        if gaps:
            filled, spread = completed(mixture, table.z[rows])
            second += np.einsum("bk,bkij->kij", R[rows], spread)
        centred = (filled - mixture.means).swapaxes(0, 1)
        scaled = R[rows].T[..., None] * centred
        first += scaled.sum(axis=1)
        second += scaled.swapaxes(1, 2) @ centred
    shift = first / mass[:, None]
    covariances = (old[:, None, None] * mixture.covariances + second) / mass[:, None, None]
    covariances -= shift[:, :, None] * shift[:, None, :]
    return Mixture(np.log(mass / mass.sum()), mixture.means + shift, covariances, mixture.levels)


def spread_start(table, weight, K, rng):
    """Responsibilities from seeds that are far from each other and a few steps of k-means.

    -> (N, K)
    """
    z = np.where(np.isnan(table.z), _column_means(table.z, weight), table.z)
    blocks = [z]
    for codes, n_levels in zip(table.codes.T, table.n_levels, strict=True):
        one_hot = (codes[:, None] == np.arange(n_levels)).astype(float)
        blocks.append(one_hot - weight @ one_hot / weight.sum())
    x = np.concatenate(blocks, axis=1)
    share = weight / weight.sum()
    centres = x[rng.choice(len(x), 1, p=share)]
    distance = ((x - centres[0]) ** 2).sum(axis=1)
    while len(centres) < K:
        p = share * distance
        p = p / p.sum() if p.sum() > 0 else share
        centres = np.concatenate([centres, x[rng.choice(len(x), 1, p=p)]])
        distance = np.minimum(distance, ((x - centres[-1]) ** 2).sum(axis=1))
    # Ten steps settle most rows; expectation maximisation does the rest.
    for _ in range(10):
        nearest = np.argmin((centres**2).sum(axis=1) - 2 * x @ centres.T, axis=1)
        R = (nearest[:, None] == np.arange(K)) * weight[:, None]
        mass = R.sum(axis=0)
        centres = np.where(mass[:, None] > 0, R.T @ x / np.maximum(mass, 1e-300)[:, None], centres)
    return (nearest[:, None] == np.arange(K)).astype(float)


def _observed(mixture, z):
    """The patterns of gaps, and which a row has; the triangular maps to coordinates in which what
    is observed is a unit normal distribution, the identity on the rest; and the rows minus the
    means, 0 where they are missing.

    z (b, n) -> (P, n) bool, (b,), (P, K, n, n), (b, K, n)
    """
    there = ~np.isnan(z)
    masks, which = np.unique(there, axis=0, return_inverse=True)
    S = mixture.covariances * _pairs(masks)[:, None]
    n = z.shape[1]
    S[:, :, np.arange(n), np.arange(n)] += ~masks[:, None]
    centred = np.where(there, z, 0.0)[:, None] - mixture.means * there[:, None]
    return masks, which.ravel(), np.linalg.inv(np.linalg.cholesky(S)), centred


def _pairs(masks):
    """(b, n) bool -> (b, n, n) bool: both are"""
    return masks[:, :, None] & masks[:, None, :]


def _column_means(z, weight):
    there = ~np.isnan(z)
    mass = np.where(there, weight[:, None], 0)
    return (mass * np.where(there, z, 0)).sum(axis=0) / np.maximum(mass.sum(axis=0), 1e-300)


def _level_shares(codes, R, n_levels):
    """Shares of the levels in every component, with one row's worth of the overall shares.

    codes (N,), R (N, K) -> (K, n_levels)
    """
    known = codes >= 0
    one_hot = codes[known, None] == np.arange(n_levels)
    counts = R[known].T @ one_hot
    overall = (counts.sum(axis=0) + 1e-6) / (counts.sum() + 1e-6 * counts.shape[1])
    table = counts + overall
    return table / table.sum(axis=1, keepdims=True)
