"""All cores of a graph network at once: L-BFGS with the normal matrices of ALS as preconditioner.

A sweep of alternating least squares spends most of its time on the Gram matrices A_k of the
environments, and then moves one core at a time. The gradient of all cores costs a tenth of that:
the contraction of the network, run backwards. So the matrices are formed now and then, as

    H_0 = diag(A_1^-1 (x) 1, .., A_N^-1 (x) 1),

and every step in between is a quasi-Newton step of all cores together. The error is that of the
residual itself, so it is exact to rounding, whatever the cores.
"""

import numpy as np
from scipy.linalg import lapack

from sktn.networks import graph, normal
from sktn.networks.residual import Residual
from sktn.solvers.als import Fit, balance
from sktn.solvers.deadline import NEVER

__all__ = ["joint"]


def _inverses(cores, ridge):
    """Inverse of every core's damped normal matrix.

    cores N arrays -> N arrays (P_k, P_k)
    """
    result = []
    for k, core in enumerate(cores):
        A = normal.sketched_gram(cores, k).astype(np.float64)
        width = A.shape[0]
        A.flat[:: width + 1] += ridge * np.trace(A) / width + 1e-300
        factor, info = lapack.dpotrf(A, lower=1)
        inverse = lapack.dpotri(factor, lower=1)[0] if info == 0 else np.eye(width)
        result.append((np.tril(inverse) + np.tril(inverse, -1).T).astype(core.dtype))
    return result


def _preconditioned(inverses, gradient):
    out = []
    for k, (P, g) in enumerate(zip(inverses, gradient, strict=True)):
        moved = np.moveaxis(g, k, 0)
        flat = moved.reshape(moved.shape[0], -1) @ P
        out.append(np.ascontiguousarray(np.moveaxis(flat.reshape(moved.shape), 0, k)))
    return out


def _dot(first, second):
    return float(sum(np.vdot(a, b) for a, b in zip(first, second, strict=True)))


def _axpy(step, direction, values):
    return [v + v.dtype.type(step) * d for d, v in zip(direction, values, strict=True)]


def _direction(gradient, pairs, inverses):
    """- H g by the two-loop recursion (Nocedal and Wright 2006, algorithm 7.4)."""
    q, weights = gradient, []
    for s, y, sy in reversed(pairs):
        weights.append(_dot(s, q) / sy)
        q = _axpy(-weights[-1], y, q)
    q = _preconditioned(inverses, q)
    if pairs:
        s, y, sy = pairs[-1]
        scale = sy / _dot(y, _preconditioned(inverses, y))
        q = [x * x.dtype.type(scale) for x in q]
    for (s, y, sy), weight in zip(pairs, reversed(weights), strict=True):
        q = _axpy(weight - _dot(y, q) / sy, s, q)
    return [-x for x in q]


def joint(
    X,
    cores,
    *,
    max_steps=100,
    tol=1e-4,
    target=0.0,
    ridge=0.1,
    memory=10,
    refresh=20,
    give_up=False,
    deadline=NEVER,
):
    """L-BFGS steps until the target, a standstill over some steps, or ``max_steps``.

    With ``give_up`` the steps also stop when the last ones, repeated until ``max_steps``, would not
    reach the target.

    X (I_1, .., I_N), cores N arrays, target squared error -> Fit
    """
    objective = Residual(graph.placed(X), cores)
    cores = balance(cores)
    error, gradient = objective(cores)
    pairs, inverses, checked = [], None, error
    steps = 0
    while steps < max_steps and error > target:
        if steps % refresh == 0:
            inverses = _inverses(cores, ridge)
        direction = _direction(gradient, pairs, inverses)
        slope = _dot(gradient, direction)
        if not slope < 0.0:
            if not pairs:
                break
            pairs = []
            continue
        step = 1.0
        for _ in range(8):
            trial = _axpy(step, direction, cores)
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
        s = [a - b for a, b in zip(trial, cores, strict=True)]
        y = [a - b for a, b in zip(new, gradient, strict=True)]
        sy = _dot(s, y)
        if sy > 0.0:
            pairs = [*pairs[-memory + 1 :], (s, y, sy)]
        cores, error, gradient = trial, value, new
        steps += 1
        if steps % 5 == 0:
            decrease, checked = checked - error, error
            if decrease <= 5.0 * tol * error:
                break
            if give_up and error - decrease * (max_steps - steps) / 5.0 > target:
                break
        if deadline.expired():
            break
    return Fit(balance(cores), error, steps)
