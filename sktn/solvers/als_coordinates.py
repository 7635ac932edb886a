"""Alternating least squares on a tensor given as coordinates and values, never in full.

    y_b = network at (i_1(b), .., i_N(b)) + noise of variance s2

A slice G_k[i], the core of mode k at level i, sees the rows with i_k(b) = i alone, and is linear in
them: a regression on the environment of those rows. Slices have a normal prior, N(m_k, S_k), whose
mean and covariance are those of all slices (empirical Bayes): levels with few rows are shrunk to
the mean slice, one with none is the mean slice, and directions in which no slice differs vanish.
"""

from dataclasses import dataclass
from functools import lru_cache
from math import prod

import numpy as np
import opt_einsum as oe

__all__ = ["Coordinates", "Past", "Prior", "at", "mean_gram", "rows_of_environment", "update"]

# Numbers that one block of rows may take: a few MB, which stay in the cache.
_BLOCK = 2**19


class Coordinates:
    """Entries of a tensor: where they are, what they are, how much they count.

    index (n, N) integers, value (n,), weight (n,) mean one, shape (N,) levels of every mode
    """

    def __init__(self, index, value, weight, shape):
        self.index, self.value, self.weight = index, value, weight
        self.shape = tuple(int(size) for size in shape)
        self._groups = {}

    def __len__(self):
        return len(self.value)

    def take(self, rows):
        """Some of the entries, of the same tensor."""
        return Coordinates(self.index[rows], self.value[rows], self.weight[rows], self.shape)

    def with_value(self, value):
        """The same places with other values."""
        other = Coordinates(self.index, value, self.weight, self.shape)
        other._groups = self._groups  # found once, for whoever asks first
        return other

    def groups(self, k):
        """The rows of every level of mode k that has any, levels of like numbers together.

        -> list of levels (m,), rows (m, c), c the largest number of rows, -1 where a level has less
        """
        if k not in self._groups:
            # Rows that count are few enough for 32 bits: 2 billion take 30 GB as they are.
            order = np.argsort(self.index[:, k], kind="stable").astype(np.int32)
            counts = np.bincount(self.index[:, k], minlength=self.shape[k])
            starts = np.cumsum(counts) - counts
            # Lengths within a factor of 1.5 share a group: at most that much of it is padding.
            kind = np.where(counts > 0, np.ceil(np.log(np.maximum(counts, 1)) / np.log(1.5)), -1)
            found = []
            for q in np.unique(kind[kind >= 0]):
                levels = np.flatnonzero(kind == q)
                within = np.arange(counts[levels].max())
                rows = order[np.minimum(starts[levels][:, None] + within, len(order) - 1)]
                found.append((levels, np.where(within < counts[levels][:, None], rows, -1)))
            self._groups[k] = found
        return self._groups[k]


@dataclass(frozen=True)
class Prior:
    """What the slices of a core are before their own rows speak: N(mean, covariance).

    mean (P,), covariance (P, P)
    """

    mean: np.ndarray
    covariance: np.ndarray


@dataclass(frozen=True)
class Past:
    """What rows that are no longer at hand have said of the slices of a core.

    Every one counts as a row with the environment of the mean.

    slices (I_k, P), count (I_k,) weight of the rows of every level, gram (P, P) mean of env env^T
    """

    slices: np.ndarray
    count: np.ndarray
    gram: np.ndarray


def _slices(core, k, levels):
    """Slices of core k. -> (b, R_k1, .., R_kN without k)"""
    return np.moveaxis(core, k, 0)[levels]


def rows_of_environment(cores, k, index):
    """All cores but k at the coordinates of rows, contracted: the features of mode k's slices.

    cores N arrays of N axes, k mode, index (b, N) -> (b, P_k)
    """
    operands = [_slices(core, j, index[:, j]) for j, core in enumerate(cores) if j != k]
    R = tuple(core.shape for core in cores)
    labels, output = _labels(R, k)
    shapes = [array.shape[1:] for array in operands]
    operands = [
        array.reshape(len(index), *(n for n in shape if n > 1))
        for array, shape in zip(operands, shapes, strict=True)
    ]
    interleaved = [part for pair in zip(operands, labels, strict=True) for part in pair]
    env = oe.contract(*interleaved, output, optimize=_path(R, k))
    return env.reshape(len(index), -1)


def _labels(R, k):
    """Indices of the slices of all cores but k, and of what they make; bonds of one have none.

    R N tuples, the shapes of the cores -> list of lists, list; 0 is the row
    """
    order = len(R)
    labels = [
        [0] + [1 + _bond(i, j, order) for i in range(order) if i != j and R[j][i] > 1]
        for j in range(order)
        if j != k
    ]
    return labels, [0] + [1 + _bond(i, k, order) for i in range(order) if i != k and R[k][i] > 1]


@lru_cache(maxsize=4096)
def _path(R, k):
    """In which order slices are contracted, whatever the number of rows."""
    labels, output = _labels(R, k)
    size = {0: 64}
    for j, shape in enumerate(R):
        size |= {1 + _bond(i, j, len(R)): n for i, n in enumerate(shape) if i != j}
    shapes = [np.broadcast_to(0.0, [size[x] for x in some]) for some in labels]
    interleaved = [part for pair in zip(shapes, labels, strict=True) for part in pair]
    return oe.contract_path(*interleaved, output, optimize="auto")[0]


def _bond(i, j, order):
    return min(i, j) * order + max(i, j)


def _cost(cores):
    """Numbers that a row takes on its way."""
    return max(prod(core.shape) // core.shape[k] for k, core in enumerate(cores))


def at(cores, index):
    """The network at coordinates.

    cores N arrays of N axes, index (n, N) -> (n,)
    """
    out = np.empty(len(index), cores[0].dtype)
    size = max(1, _BLOCK // _cost(cores))
    # The core with the most bonds last: it meets one number a bond, not a matrix.
    k = int(np.argmax([core.size // core.shape[j] for j, core in enumerate(cores)]))
    for start in range(0, len(index), size):
        part = index[start : start + size]
        env = rows_of_environment(cores, k, part)
        own = _slices(cores[k], k, part[:, k]).reshape(len(part), -1)
        out[start : start + size] = np.einsum("bp,bp->b", env, own)
    return out


def update(data, cores, k, prior, noise, past=None):
    """All slices of core k: their posterior means, and the prior that is the likeliest for them.

    data `Coordinates`, cores N arrays, prior `Prior`, noise variance of a value of weight one,
    past `Past` or None -> core k, `Prior`
    """
    moved = np.moveaxis(cores[k], k, 0)
    width = moved[0].size
    precision = noise * np.linalg.inv(prior.covariance)
    slices = np.tile(prior.mean, (len(moved), 1)) if past is None else past.slices.copy()
    spread, seen = np.zeros((width, width)), []
    for levels, rows in data.groups(k):
        many = max(1, _BLOCK // (rows.shape[1] * max(_cost(cores), width)))
        for start in range(0, len(levels), many):
            some = levels[start : start + many]
            A, b = _moments(data, cores, k, rows[start : start + many])
            if past is not None:
                old = past.count[some, None, None] * past.gram
                A, b = A + old, b + np.einsum("mpq,mq->mp", old, past.slices[some])
            covariance = np.linalg.inv(A + precision)
            slices[some] = np.einsum("mpq,mq->mp", covariance, b + precision @ prior.mean)
            spread += noise * covariance.sum(axis=0)
            seen.append(some)
    seen = np.concatenate(seen)
    core = np.ascontiguousarray(np.moveaxis(slices.reshape(moved.shape), 0, k))
    if past is not None:
        return core.astype(cores[k].dtype), prior
    mean = slices[seen].mean(axis=0)
    away = slices[seen] - mean
    covariance = (away.T @ away + spread) / len(seen)
    # Where nothing varies any more the inverse must still be a number.
    covariance.flat[:: width + 1] += 1e-9 * np.trace(covariance) / width + 1e-12
    return core.astype(cores[k].dtype), Prior(mean, covariance)


def mean_gram(data, cores, k, most=20000):
    """Mean of env env^T over rows, or over some of many.

    -> (P_k, P_k)
    """
    step = max(1, len(data) // most)
    index, weight = data.index[::step], data.weight[::step].astype(np.float64)
    env = rows_of_environment(cores, k, index).astype(np.float64)
    return (env * weight[:, None]).T @ env / weight.sum()


def _moments(data, cores, k, rows):
    """Weighted Gram matrices and projections of the rows of some levels.

    rows (m, c) with -1 for none -> (m, P, P), (m, P) in double precision
    """
    m, c = rows.shape
    step = max(1, _BLOCK // (m * _cost(cores)))
    A = b = 0.0
    for start in range(0, c, step):
        some = rows[:, start : start + step]
        flat = np.maximum(some.ravel(), 0)
        env = rows_of_environment(cores, k, data.index[flat])
        weight = np.where(some.ravel() < 0, 0.0, data.weight[flat])
        weighted = (env * weight[:, None]).reshape(m, some.shape[1], -1)
        A = A + weighted.mT @ env.reshape(weighted.shape)
        b = b + np.einsum("mcp,mc->mp", weighted, data.value[flat].reshape(some.shape))
    return A.astype(np.float64), b.astype(np.float64)
