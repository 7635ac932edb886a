"""The few of many columns that matter: forward selection by the evidence.

A factor for every column asks for more rows than there are columns, as each gains something by
chance. Which columns they are is told by far fewer: the choice of k of n gains some k (1 + log n)
of log-likelihood by chance. Columns enter by the slope of the evidence at a factor of 0, which all
columns, and all pairs of them, get from one product of matrices; their factors are then searched
for together, and those that say less than their price leave again.

The slope is a quadratic form in the response: the locally most powerful test of a component of
variance. How far it gets by chance is seen from responses drawn from what is known already.
"""

from typing import NamedTuple

import numpy as np
from scipy.linalg import cho_solve, solve_triangular

from sktn.solvers.evidence import covariance, negative_log_evidence, triangle
from sktn.solvers.evidence_search import search

# Columns, and pairs of them, that enter at a time, and how often.
_COLUMNS, _PAIRS, _ROUNDS = 8, 4, 8
# Responses that are drawn: a standard deviation is then known to an eighth.
_DRAWS = 32
# How often the best column of chance enters: it leaves again by its price.
_BY_CHANCE = 0.1
# Iterations with new columns, and without old ones.
_WITH, _WITHOUT = 15, 6
# Multiplications for all pairs (half a second), which limit the rows they are compared by, and
# rows that are too few.
_PRODUCTS, _LEAST_ROWS = 2**33, 50


class Few(NamedTuple):
    """columns (k,): those that matter
    parameters (k + 2,): logarithms of their factors, of the noise and the signal
    value : minus the log evidence
    """

    columns: np.ndarray
    parameters: np.ndarray
    value: float

    def cost(self, n):
        """The value, and the price of the columns among n."""
        return self.value + len(self.columns) * price(n)

    def factors(self, n):
        """Of all columns: (n,)"""
        factors = np.zeros(n)
        factors[self.columns] = np.exp(self.parameters[:-2])
        return factors


def price(n_columns):
    """What the best of so many columns gains by chance, in log-likelihood."""
    return 1 + np.log(n_columns)


def few_columns(data, rng, known=(), rival=np.inf, stop=None):
    """The columns that matter. The search ends where they are more than half of all, or after two
    rounds not better than a rival.

    data : kernels of one part each, response (m, c) and precision (m,), as of
        :func:`negative_log_evidence`
    known : (n,), factors to begin at, 0 of columns that do not matter
    rival : minus the log evidence of equal factors
    stop : `stop() -> bool`, asked after every step
    -> Few
    """
    n, paired = len(data[0].triangles), len(known) > 0
    columns = np.flatnonzero(known)
    start = np.append(np.log(np.asarray(known)[columns]), np.log([1.0, 0.5]))
    best = _without_idle(data, _searched(data, columns, start, stop), stop)
    for k in range(_ROUNDS):
        found = _joined(data, best, _promising(data, best, rng), stop)
        if found is None and not paired:
            found, paired = _joined(data, best, _promising_pairs(data, best), stop), True
        if found is None:
            break
        best = found
        if len(best.columns) > n / 2 or (k and best.cost(n) > rival):
            break
    return best


def value_of(factors, data, stop=None):
    """Minus the log evidence for factors (n,), of the best noise and signal."""
    kernels, y, precision = data
    product = covariance(np.append(np.log(factors), [0, 0]), kernels, precision).varying
    together = kernels.only([])._replace(triangles=product[None].astype(np.float32))
    return search(np.log([1.0, 0.3, 0.5]), (together, y, precision), _WITH, stop)[1]


def _searched(data, columns, start, stop, max_iter=_WITH):
    kernels, *rest = data
    if not len(columns):
        # The factor of a kernel that is nothing.
        start = np.append(0.0, start)
    parameters, value, _ = search(start, (kernels.only(columns), *rest), max_iter, stop)
    return Few(np.asarray(columns, int), parameters[-len(columns) - 2 :], value)


def _joined(data, few, new, stop):
    """With new columns, None where there are none or they are not worth the price of one."""
    if not len(new) or (stop is not None and stop()):
        return None
    kernels, y, _ = data
    columns = np.append(few.columns, new)
    # Shares of a variance of one.
    variance = kernels.triangles[new][:, triangle(len(y))[1]].mean(axis=1)
    start = -np.log(len(columns) * np.maximum(variance, np.finfo(np.float32).tiny))
    start = np.concatenate([few.parameters[:-2], start, few.parameters[-2:]])
    found = _without_idle(data, _searched(data, columns, start, stop), stop)
    return found if few.value - found.value >= price(len(kernels.triangles)) else None


def _without_idle(data, few, stop):
    """Without the columns that say less than their price, the least of them first, half of them at
    a time where they do so together, too."""
    kernels, *rest = data
    least = price(len(kernels.triangles))

    def lost(out):
        left = kernels.only(np.delete(few.columns, out))
        return negative_log_evidence(np.delete(few.parameters, out), left, *rest)[0] - few.value

    while len(few.columns) > 1:
        each = np.array([lost(i) for i in range(len(few.columns))])
        idle = np.argsort(each, kind="stable")[: np.count_nonzero(each < least)]
        if not len(idle):
            break
        out = idle[: (len(idle) + 1) // 2]
        out = out if len(out) == 1 or lost(out) < least else idle[:1]
        start = np.delete(few.parameters, out)
        few = _searched(data, np.delete(few.columns, out), start, stop, _WITHOUT)
    return few


def _covariance(kernels, few, precision):
    parameters = few.parameters if len(few.columns) else np.append(0.0, few.parameters)
    return covariance(parameters, kernels.only(few.columns), precision)


def _promising(data, few, rng):
    """The columns along which the evidence rises more than by chance, the best first."""
    kernels, y, precision = data
    factor, _, product, *_ = _covariance(kernels, few, precision)
    drawn = rng.standard_normal((len(y), _DRAWS))
    drawn = solve_triangular(factor, drawn, lower=True, trans="T", check_finite=False)
    vectors = np.append(cho_solve((factor, True), y, check_finite=False), drawn, axis=1)
    rows, columns = np.tril_indices(len(y))
    # The other triangle has the same.
    weight = np.where(rows == columns, 0.5, 1.0) * product
    vectors = vectors.astype(np.float32)
    slopes = kernels.triangles @ (vectors[rows] * vectors[columns] * weight[:, None]).astype("f4")
    own, chance = slopes[:, : y.shape[1]].mean(axis=1, keepdims=True), slopes[:, y.shape[1] :]
    mean, deviation = chance.mean(axis=1, keepdims=True), chance.std(axis=1, keepdims=True)
    deviation = np.maximum(deviation, np.finfo(np.float32).tiny)
    own, chance = (own - mean) / deviation * np.sqrt(y.shape[1]), (chance - mean) / deviation
    own[few.columns], chance[few.columns] = -np.inf, -np.inf
    best = np.argsort(-own[:, 0], kind="stable")[:_COLUMNS]
    return best[own[best, 0] > np.quantile(chance.max(axis=0), 1 - _BY_CHANCE)]


def _promising_pairs(data, few):
    """The columns of the pairs along whose product the evidence rises more than by chance."""
    kernels, y, precision = data
    n = len(kernels.triangles)
    m = min(len(y), int(np.sqrt(2 * _PRODUCTS) / n))
    if m < _LEAST_ROWS:
        return np.zeros(0, int)
    factor, _, product, *_ = _covariance(kernels, few, precision)
    solved = cho_solve((factor, True), y, check_finite=False)[:m]
    inverse = cho_solve((factor, True), np.eye(len(y), m), check_finite=False)[:m]
    rows, columns = np.tril_indices(m)
    # Rows follow each other: the first of them are a triangle, too.
    entries, product = kernels.triangles[:, : len(rows)], product[: len(rows)]
    weight = np.where(rows == columns, 0.5, 1.0) * product
    along = weight * (solved @ solved.T - y.shape[1] * inverse)[rows, columns]
    slopes = (entries * along.astype(np.float32)) @ entries.T
    squares = entries**2
    variances = (squares * (weight**2).astype(np.float32)) @ squares.T
    beyond = slopes / np.sqrt(np.maximum(variances, np.finfo(np.float32).tiny))
    first, second = np.triu_indices(n, 1)
    beyond = beyond[first, second]
    known = np.isin(first, few.columns) & np.isin(second, few.columns)
    # Next to all pairs say nothing: their median is that of chance.
    beyond = np.where(known, 0, beyond / (np.median(np.abs(beyond)) / 0.6745))
    best = np.argsort(-beyond, kind="stable")[:_PAIRS]
    # Of so many squares of normal numbers, the longest tail that there is, one gets so far.
    best = best[beyond[best] > (2 * np.log(len(beyond)) - 1) / np.sqrt(2)]
    found = np.unique([first[best], second[best]])
    return found[~np.isin(found, few.columns)]
