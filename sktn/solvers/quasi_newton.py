"""All cores of a graph network at once: L-BFGS with the normal matrices of ALS as preconditioner.

A sweep of alternating least squares spends most of its time on the Gram matrices A_k of the
environments, and then moves one core at a time. The gradient of all cores costs a tenth of that:
the contraction of the network, run backwards. So the matrices are formed now and then, as

    H_0 = diag(A_1^-1 (x) 1, .., A_N^-1 (x) 1),

and every step in between is a quasi-Newton step of all cores together. The error is that of the
residual itself, so it is exact to rounding, whatever the cores.
"""

from functools import partial

import numpy as np
from scipy.linalg import lapack

from sktn.networks import graph, normal
from sktn.networks.residual import Residual
from sktn.solvers.als import Fit, balance

__all__ = ["joint"]

# Of the trace of a normal matrix, added to its diagonal: matrices grow old between refreshments.
_RIDGE = 0.1
# Steps between refreshments, and the steps that are remembered.
_REFRESH, _MEMORY = 20, 10


def _inverses(cores):
    """Inverse of every core's damped normal matrix.

    cores N arrays -> N arrays (P_k, P_k)
    """
    result = []
    for k, core in enumerate(cores):
        A = normal.sketched_gram(cores, k).astype(np.float64)
        width = A.shape[0]
        A.flat[:: width + 1] += _RIDGE * np.trace(A) / width + 1e-300
        factor, info = lapack.dpotrf(A, lower=1)
        inverse = lapack.dpotri(factor, lower=1)[0] if info == 0 else np.eye(width)
        result.append((np.tril(inverse) + np.tril(inverse, -1).T).astype(core.dtype))
    return result


class _Layout:
    """Cores as one vector: most steps are on small networks, where every call counts."""

    def __init__(self, cores):
        self.shapes = [core.shape for core in cores]
        self.ends = np.cumsum([core.size for core in cores])[:-1]

    def vector(self, cores):
        """N arrays -> (number of parameters,)"""
        return np.concatenate([core.ravel() for core in cores])

    def cores(self, vector):
        """(number of parameters,) -> N arrays"""
        parts = np.split(vector, self.ends)
        return [part.reshape(shape) for part, shape in zip(parts, self.shapes, strict=True)]

    def preconditioned(self, inverses, gradient):
        """diag(A_1^-1 (x) 1, ..) g: vector -> vector"""
        out = []
        for k, (P, g) in enumerate(zip(inverses, self.cores(gradient), strict=True)):
            out.append(graph.folded(graph.unfolded(g, k) @ P, g.shape, k))
        return self.vector(out)


def _direction(gradient, pairs, precondition):
    """- H g by the two-loop recursion (Nocedal and Wright 2006, algorithm 7.4).

    gradient vector, pairs of steps, changes of the gradient, and their products -> vector
    """
    q, weights = gradient.copy(), []
    for s, y, sy in reversed(pairs):
        weights.append(q.dtype.type(np.vdot(s, q) / sy))
        q -= weights[-1] * y
    q = precondition(q)
    if pairs:
        s, y, sy = pairs[-1]
        q *= q.dtype.type(sy / float(np.vdot(y, precondition(y))))
    for (s, y, sy), weight in zip(pairs, reversed(weights), strict=True):
        q += q.dtype.type(weight - np.vdot(y, q) / sy) * s
    return -q


def joint(X, cores, stop):
    """L-BFGS steps until the target, a standstill over some steps, or the end of the steps.

    X (I_1, .., I_N), cores N arrays, stop Stop -> Fit
    """
    layout, cores = _Layout(cores), balance(cores)
    residual, at = Residual(graph.placed(X), cores), layout.vector(cores)

    def objective(vector):
        error, gradient = residual(layout.cores(vector))
        return error, layout.vector(gradient)

    error, gradient = objective(at)
    pairs, inverses, checked = [], None, error
    steps = 0
    while steps < stop.most and error > stop.target:
        if steps % _REFRESH == 0:
            inverses = _inverses(layout.cores(at))
        precondition = partial(layout.preconditioned, inverses)
        direction = _direction(gradient, pairs, precondition)
        slope = float(np.vdot(gradient, direction))
        if not slope < 0.0:
            if not pairs:
                break
            pairs = []
            continue
        step = 1.0
        for _ in range(8):
            trial = at + at.dtype.type(step) * direction
            value, new = objective(trial)
            if value <= error + 1e-4 * step * slope:
                break
            curved = 2.0 * (value - error - step * slope)
            step = float(np.clip(-slope * step**2 / curved, 0.1 * step, 0.5 * step))
        else:
            if not pairs:
                break
            pairs = []
            continue
        s, y = trial - at, new - gradient
        sy = float(np.vdot(s, y))
        if sy > 0.0:
            pairs = [*pairs[-_MEMORY + 1 :], (s, y, sy)]
        at, error, gradient = trial, value, new
        steps += 1
        if steps % 5 == 0:
            decrease, checked = checked - error, error
            if decrease <= 5.0 * stop.tol * error:
                break
            if stop.give_up and error - decrease * (stop.most - steps) / 5.0 > stop.target:
                break
        if stop.deadline.expired():
            break
    return Fit(balance(layout.cores(at)), error, steps)
