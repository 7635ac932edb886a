"""Mixtures of normal distributions, with missing values and columns of levels, by expectation
maximisation.

    q(z, c) = sum_k w_k N(z; m_k, S_k) prod_j P_kj(c_j)

Missing values are integrated over: rows of one pattern of gaps share the conditional normal
distribution of what is missing (Little and Rubin, Statistical Analysis with Missing Data, 11.2).
The covariances are shrunk to the one that all components have in common, and this one to its
diagonal, as by some rows of an inverse Wishart prior (Fraley and Raftery, J. Classification 24,
2007): between one covariance for all and one for each.
"""

from typing import NamedTuple

import numpy as np

# Smallest variance, relative to that of the whole column: what scikit-learn's mixtures add.
_FLOOR = 1e-6

# Rows of a block of responsibilities.
_BLOCK = 4096

_LOG_2PI = float(np.log(2 * np.pi))


class Mixture(NamedTuple):
    """log_weights (K,), means (K, n), covariances (K, n, n), levels: list of (K, L)"""

    log_weights: np.ndarray
    means: np.ndarray
    covariances: np.ndarray
    levels: list


class Patterns(NamedTuple):
    """Rows by their gaps. z (N, n), codes (N, m) with -1 for missing, groups: list of
    (rows, observed (n,) bool), n_levels: of every column of codes"""

    z: np.ndarray
    codes: np.ndarray
    groups: list
    n_levels: tuple


def patterns(z, codes, n_levels):
    """z (N, n), codes (N, m) with NaN for missing, n_levels: of every column of codes
    -> Patterns"""
    present = ~np.isnan(z)
    distinct, index = np.unique(present, axis=0, return_inverse=True)
    order = np.argsort(index.ravel(), kind="stable")
    ends = np.cumsum(np.bincount(index.ravel(), minlength=len(distinct)))
    groups = []
    for rows, observed in zip(np.split(order, ends[:-1]), distinct, strict=True):
        blocks = range(0, len(rows), _BLOCK)
        groups += [(rows[start : start + _BLOCK], observed) for start in blocks]
    codes = np.where(np.isnan(codes), -1, codes).astype(int)
    return Patterns(z, codes, groups, tuple(n_levels))


def log_joint(mixture, data):
    """log w_k p_k(what is there of a row): -> (N, K)"""
    out = np.tile(mixture.log_weights, (len(data.z), 1))
    for j, table in enumerate(mixture.levels):
        known = data.codes[:, j] >= 0
        out[known] += np.log(table[:, data.codes[known, j]]).T
    for rows, observed in data.groups:
        if observed.any():
            white, root = _whitened(mixture, data.z[rows][:, observed], observed)
            logs = -0.5 * np.einsum("kbi,kbi->kb", white, white)
            logs += np.log(np.diagonal(root, axis1=1, axis2=2)).sum(axis=1)[:, None]
            out[rows] += logs.T - observed.sum() * _LOG_2PI / 2
    return out


def log_density(joint):
    """log sum_k exp of (N, K) -> (N,)"""
    largest = joint.max(axis=1)
    return largest + np.log(np.exp(joint - largest[:, None]).sum(axis=1))


def conditional(mixture, z, observed):
    """What is missing of rows of one pattern, given the rest: means (b, K, m), covariances
    (K, m, m). z (b, n), observed (n,) bool"""
    S = mixture.covariances
    gone = ~observed
    gain = np.linalg.solve(S[:, observed][:, :, observed], S[:, observed][:, :, gone])
    centred = z[None, :, observed] - mixture.means[:, None, observed]
    means = mixture.means[:, None, gone] + centred @ gain
    spread = S[:, gone][:, :, gone] - S[:, gone][:, :, observed] @ gain
    return means.swapaxes(0, 1), (spread + spread.swapaxes(1, 2)) / 2


def take(data, rows):
    """Some rows of them: -> Patterns"""
    codes = data.codes[rows].astype(float)
    codes[codes < 0] = np.nan
    return patterns(data.z[rows], codes, data.n_levels)


def fit(data, weight, start, common, diagonal, *, max_iter=60, tol=1e-4):
    """Expectation maximisation from responsibilities, until the mean log-likelihood gains less
    than `tol` in a step.

    data Patterns, weight (N,), start (N, K), common, diagonal: rows that the prior counts for,
    towards one covariance for all components and towards none between columns -> Mixture
    """
    strength = common, diagonal
    mixture = maximize(data, weight, start, strength, None)
    last = -np.inf
    for _ in range(max_iter):
        joint = log_joint(mixture, data)
        logs = log_density(joint)
        value = float(weight @ logs / weight.sum())
        if value - last < tol:
            break
        last = value
        mixture = maximize(data, weight, np.exp(joint - logs[:, None]), strength, mixture)
    return mixture


def maximize(data, weight, responsibilities, strength, previous):
    """The maximisation step. `previous`: the mixture that fills gaps; None: column means do.

    responsibilities (N, K) -> Mixture
    """
    n, K = data.z.shape[1], responsibilities.shape[1]
    R = responsibilities * weight[:, None]
    mass = R.sum(axis=0)
    # A component that has lost all rows stays, without weight.
    safe = np.maximum(mass, 1e-10 * mass.sum())
    first, second = np.zeros((K, n)), np.zeros((K, n, n))
    default = _column_means(data.z, weight) if previous is None else None
    for rows, observed in data.groups:
        r = R[rows]
        if observed.all():
            filled = np.broadcast_to(data.z[rows][:, None], (len(rows), K, n))
        else:
            filled = np.repeat(data.z[rows][:, None], K, axis=1)
            if previous is None:
                filled[:, :, ~observed] = default[~observed]
            else:
                means, spread = conditional(previous, data.z[rows], observed)
                filled[:, :, ~observed] = means
                block = np.ix_(np.arange(K), ~observed, ~observed)
                second[block] += r.sum(axis=0)[:, None, None] * spread
        for k in range(K):
            scaled = r[:, k, None] * filled[:, k]
            first[k] += scaled.sum(axis=0)
            second[k] += scaled.T @ filled[:, k]
    means = first / safe[:, None]
    scatter = second - safe[:, None, None] * means[:, :, None] * means[:, None, :]
    to_common, to_diagonal = strength
    common = scatter.sum(axis=0) / mass.sum()
    # Off the diagonal, the prior has seen nothing.
    shrink = mass.sum() / (mass.sum() + to_diagonal)
    common = shrink * common + (1 - shrink) * np.diag(np.diagonal(common))
    total = common + (np.cov(means.T, aweights=safe, ddof=0) if K > 1 else 0)
    floor = _FLOOR * np.maximum(np.diagonal(np.atleast_2d(total)), 1e-12)
    covariances = (scatter + to_common * common) / (safe + to_common)[:, None, None]
    covariances += np.diag(floor)
    levels = [_level_shares(c, R, L) for c, L in zip(data.codes.T, data.n_levels, strict=True)]
    return Mixture(np.log(safe / safe.sum()), means, covariances, levels)


def spread_start(data, weight, K, rng):
    """Responsibilities from seeds that are far from each other and a few steps of k-means.

    -> (N, K)
    """
    z = np.where(np.isnan(data.z), _column_means(data.z, weight), data.z)
    blocks = [z]
    for codes, n_levels in zip(data.codes.T, data.n_levels, strict=True):
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


def _whitened(mixture, z, observed):
    """Rows in the coordinates in which every component is a unit normal distribution, and the
    triangular map to them: z (b, o) -> (K, b, o), (K, o, o)"""
    S = mixture.covariances[:, observed][:, :, observed]
    root = np.linalg.inv(np.linalg.cholesky(S))
    centred = z[None] - mixture.means[:, None, observed]
    return centred @ root.swapaxes(1, 2), root


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
