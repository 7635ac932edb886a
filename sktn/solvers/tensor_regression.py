"""Linear regression on tensors: ridge without a structure, and least squares of a network's cores.

The model is y_b = <W, X_b>, its weight tensor W = TN(cores) a network with one mode for every mode
of the samples and, where there are several targets, a last one for these. The loss

    sum_b |y_b - <W, X_b>|^2 + ridge ||W||^2

is quadratic in every core, and its penalty does not depend on the gauge (Guo, Kotsia and Patras,
"Tensor learning for regression", IEEE Trans. Image Processing 21, 2012, for CP networks).
"""

from dataclasses import dataclass

import numpy as np
from scipy.linalg import solve

from sktn.networks import graph
from sktn.solvers.als import balance

# Directions of samples, or of an environment, of a smaller share are not there.
_EMPTY = 1e-13
# Strengths of a ridge without a structure, in units of the mean square of a column.
_STRENGTHS = np.logspace(-6, 3, 19)


@dataclass(frozen=True, eq=False)
class Samples:
    """X (b, I_1, .., I_k) and y (b, q), both without their means."""

    X: np.ndarray
    y: np.ndarray

    @property
    def matrix(self):
        """(b, prod I)"""
        return self.X.reshape(len(self.X), -1)

    @property
    def unit(self):
        """The sum of squares of the mean column, which strengths are relative to."""
        return float(np.sum(self.X**2)) / self.matrix.shape[1] or 1.0

    def errors(self, W):
        """Squared errors of a weight tensor (I_1, .., I_k[, q]): -> (b, q)"""
        return self.residual(W).y ** 2

    def residual(self, W):
        """The same samples with what a weight tensor does not tell: -> Samples"""
        return Samples(self.X, self.y - self.matrix @ W.reshape(-1, self.y.shape[1]))

    def compressed(self):
        """Not more rows than columns, of the same sums of squares: -> Samples"""
        p = self.matrix.shape[1]
        if len(self.X) <= p + self.y.shape[1]:
            return self
        R = np.linalg.qr(np.hstack([self.matrix, self.y]), mode="r")
        return Samples(R[:, :p].reshape(-1, *self.X.shape[1:]), R[:, p:])


def ridge(samples, alpha=None):
    """The weight tensor without a structure: of the strength, relative to the unit, or of that
    which tells rows best that are left out one at a time: -> (I_1, .., I_k[, q]), strength"""
    b, q = samples.y.shape
    U, s, Vt = np.linalg.svd(samples.matrix, full_matrices=False)
    there = s > _EMPTY * s[0]
    U, s, Vt = U[:, there], s[there], Vt[there]
    along = U.T @ samples.y

    def shrunk(strength):
        return s**2 / (s**2 + strength * samples.unit)

    def left_out(strength):
        # The mean, which is not penalised, is a direction of its own.
        own = U**2 @ shrunk(strength) + 1 / b
        residual = samples.y - U @ (shrunk(strength)[:, None] * along)
        return np.sum((residual / np.maximum(1 - own, 1e-6)[:, None]) ** 2)

    strength = min(_STRENGTHS, key=left_out) if alpha is None else alpha
    factors = s / (s**2 + strength * samples.unit)
    W = Vt.T @ (factors[:, None] * along)
    return W.reshape((*samples.X.shape[1:], *([q] if q > 1 else []))), float(strength)


def sweeps(samples, cores, alpha, most=20, tol=1e-3):
    """Cores solved one after the other until a sweep lowers the loss by less than this share.

    samples, cores N arrays of N axes, alpha relative to the unit -> cores
    """
    samples = samples.compressed()
    strength, last = alpha * samples.unit, np.inf
    for _ in range(most):
        for k in range(len(cores)):
            cores = [*cores[:k], _solved(samples, cores, k, strength), *cores[k + 1 :]]
        cores = balance(cores)
        W = graph.to_dense(cores)
        loss = samples.errors(W).sum() + strength * np.sum(W**2)
        if last - loss <= tol * loss:
            break
        last = loss
    return cores


def _solved(samples, cores, k, strength):
    """Core k of least loss, the others as they are. -> its array"""
    environment = graph.environment(cores, k)  # (rest, P)
    # With orthonormal columns instead, the penalty is that of the core's entries.
    lam, V = np.linalg.eigh(environment.T @ environment)
    there = lam > _EMPTY * max(lam[-1], np.finfo(lam.dtype).tiny)
    if not there.any():
        return np.zeros_like(cores[k])
    basis = V[:, there] / np.sqrt(lam[there])
    columns = environment @ basis
    b, q = samples.y.shape
    if k == samples.X.ndim - 1:  # the targets' own core
        core = _least_squares(samples.matrix @ columns, samples.y, strength).T
    else:
        size = samples.X.shape[k + 1]
        X = np.moveaxis(samples.X, k + 1, 1).reshape(b * size, -1)
        design = X @ columns.reshape(X.shape[1], -1)
        design = design.reshape(b, size, q, -1).swapaxes(1, 2).reshape(b * q, -1)
        core = _least_squares(design, samples.y.reshape(-1, 1), strength).reshape(size, -1)
    return graph.folded(core @ basis.T, cores[k].shape, k)


def _least_squares(design, y, strength):
    """design (b, m), y (b, q) -> (m, q)"""
    strength = max(strength, _EMPTY * np.sum(design**2), np.finfo(design.dtype).tiny)
    if len(design) < design.shape[1]:
        gram = design @ design.T
        gram[np.diag_indices_from(gram)] += strength
        return design.T @ solve(gram, y, assume_a="pos")
    gram = design.T @ design
    gram[np.diag_indices_from(gram)] += strength
    return solve(gram, design.T @ y, assume_a="pos")
