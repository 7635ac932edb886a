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
from scipy.linalg import blas, lapack

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


def _preconditioned(residual, inverses, vectors):
    """H_0 v = diag(A_1^-1 (x) 1, ..) v: vectors (.., number of parameters) -> the same"""
    out = np.empty_like(vectors)
    for inverse, part, width, new in zip(
        inverses, residual.parts(vectors), residual.widths, residual.parts(out), strict=True
    ):
        new[...] = (part.reshape(-1, width) @ inverse).reshape(part.shape)
    return out


class _Pairs:
    """Steps s_i and changes y_i of the gradient, the last few: what L-BFGS knows of the Hessian.

    The two-loop recursion (Nocedal and Wright 2006, algorithm 7.4) as products with all pairs at
    once: most steps are on small networks, where every call counts. With R the upper triangle of
    S Y^T its loops are substitutions,

        R w = S g,    r = H_0 (g - Y^T w),    R^T c = diag(R) w - Y r,    H g = r + S^T c.

    steps S, changes Y and H_0 Y (memory, number of parameters), products S Y^T
    """

    def __init__(self, memory, vector):
        self.memory, self.n = memory, 0
        self.S, self.Y, self.HY = (np.empty((memory, vector.size), vector.dtype) for _ in range(3))
        self.SY = np.empty((memory, memory))

    def append(self, s, y, sy):
        """A further pair, in place of the oldest one."""
        if self.n == self.memory:
            for rows in (self.S, self.Y, self.HY):
                rows[:-1] = rows[1:]
            self.SY[:-1, :-1] = self.SY[1:, 1:]
            self.n -= 1
        n, self.n = self.n, self.n + 1
        self.S[n], self.Y[n] = s, y
        self.SY[:n, n], self.SY[n, n] = self.S[:n] @ y, sy

    def direction(self, gradient, precondition, fresh):
        """- H g, where H_0 is ``fresh`` or knows all changes but the last: vector -> vector"""
        n, dtype = self.n, gradient.dtype.type
        if n == 0:
            return -precondition(gradient)
        known = 0 if fresh else n - 1
        S, Y, HY, R = self.S[:n], self.Y[:n], self.HY[:n], self.SY[:n, :n]
        both = precondition(np.concatenate([Y[known:], gradient[None]]))
        HY[known:] = both[:-1]
        w = blas.dtrsv(R, S @ gradient)
        scale = R[-1, -1] / float(np.vdot(Y[-1], HY[-1]))
        r = dtype(scale) * (both[-1] - w.astype(dtype) @ HY)
        c = blas.dtrsv(R, np.diagonal(R) * w - Y @ r, trans=1)
        return -(r + c.astype(dtype) @ S)


def joint(X, cores, stop):
    """L-BFGS steps until the target, a standstill over some steps, or the end of the steps.

    X (I_1, .., I_N), cores N arrays, stop Stop -> Fit
    """
    cores = balance(cores)
    residual = Residual(graph.placed(X), cores)
    at = residual.vector(cores)
    error, gradient = residual(at)
    pairs, inverses, checked, aged = _Pairs(_MEMORY, at), None, error, -1
    steps = 0
    while steps < stop.most and error > stop.target:
        fresh = steps % _REFRESH == 0 and aged != steps
        if fresh:
            inverses, aged = _inverses(residual.cores(at)), steps
            precondition = partial(_preconditioned, residual, inverses)
        direction = pairs.direction(gradient, precondition, fresh)
        slope = float(np.vdot(gradient, direction))
        if not slope < 0.0:
            if not pairs.n:
                break
            pairs.n = 0
            continue
        step = 1.0
        for _ in range(8):
            trial = at + at.dtype.type(step) * direction
            value, new = residual(trial)
            if value <= error + 1e-4 * step * slope:
                break
            curved = 2.0 * (value - error - step * slope)
            step = float(np.clip(-slope * step**2 / curved, 0.1 * step, 0.5 * step))
        else:
            if not pairs.n:
                break
            pairs.n = 0
            continue
        s, y = trial - at, new - gradient
        sy = float(np.vdot(s, y))
        if sy > 0.0:
            pairs.append(s, y, sy)
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
    return Fit(balance(residual.cores(at)), error, steps)
