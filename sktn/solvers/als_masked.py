"""Alternating least squares on the observed entries of a tensor, with smoothness along modes.

    min  ||W * (X - TN)||^2 + mean(W) R(TN)

R is the penalty of `sktn.solvers.smoothness`. It acts on the network's values, not on its factors,
so that it does not depend on the gauge.

In one core the problem is quadratic; its normal operator is applied, never formed: two matrix
products with the environment around the mask. A few conjugate gradient steps from the last core
suffice, preconditioned by the operator's mean.
"""

import numpy as np
from scipy.linalg import lapack

from sktn.networks import graph, normal
from sktn.solvers.conjugate import conjugate_gradient
from sktn.solvers.smoothness import Penalty

__all__ = ["Observed", "masked_sweep", "observed_error", "update"]


class Observed:
    """A tensor with a mask, unfolded along every mode.

    X (I_1, .., I_N) zero where missing, W (I_1, .., I_N) of zeros and ones
    """

    def __init__(self, X, W):
        self.shape = X.shape
        self.X, self.W = X, W
        self.density = float(W.mean(dtype=np.float64))
        self._unfolded = {}

    def along(self, k):
        """Unfoldings (I_k, M) of the data and of the mask."""
        if k not in self._unfolded:
            size = self.shape[k]
            self._unfolded[k] = tuple(
                np.ascontiguousarray(np.moveaxis(T, k, 0).reshape(size, -1))
                for T in (self.X, self.W)
            )
        return self._unfolded[k]


def observed_error(observed, cores):
    """||W * (X - TN)||^2.

    cores N arrays -> float
    """
    residual = observed.W * (graph.to_dense(cores) - observed.X)
    return float(np.einsum("i,i->", residual.ravel(), residual.ravel(), dtype=np.float64))


def _differenced(cores, j):
    cores = list(cores)
    cores[j] = np.diff(cores[j], axis=j)
    return cores


def _in_metric(cores, metrics, k):
    """Cores whose squared norm is the squared norm in the metric; that of core k is left out."""
    cores = list(cores)
    for j, P in metrics.items():
        if j != k:
            root = np.linalg.cholesky(P.astype(np.float64)).T.astype(P.dtype)
            cores[j] = np.moveaxis(np.tensordot(root, cores[j], (1, j)), 0, j)
    return cores


def _mean_operator(cores, k, A, form, rho):
    """What the normal operator of core k is on average over its rows.

    A (P_k, P_k) -> (P_k, P_k) in float64
    """
    mean = rho * A.astype(np.float64)
    if not form.weights:
        return mean
    cores = _in_metric(cores, form.metrics, k)
    share = rho
    if k in form.metrics:
        share *= float(np.trace(form.metrics[k])) / len(form.metrics[k])
    for j, weight in form.weights.items():
        some, times = (cores, 2.0) if j == k else (_differenced(cores, j), 1.0)
        mean += times * share * float(weight.mean()) * normal.normal_equations(None, some, k)[0]
    return mean


def update(observed, cores, k, form, ridge=1e-3, steps=5):
    """A few preconditioned conjugate gradient steps on core k.

    cores N arrays, form `Penalty` -> core k
    """
    X, W = observed.along(k)
    core = np.moveaxis(cores[k], k, 0)
    shape, dtype = core.shape, core.dtype
    G = core.reshape(shape[0], -1).astype(dtype)
    env = np.ascontiguousarray(graph.environment(cores, k))
    A = env.T @ env
    rho, width = observed.density, A.shape[0]
    ridge = float(ridge * rho * np.trace(A) / width)
    pre = _mean_operator(cores, k, A, form, rho)
    scale = float(np.trace(pre)) / width
    # Its inverse must fit the data's precision; where it does not, the other cores have vanished.
    if not scale > 1e8 * np.finfo(dtype).tiny:
        return cores[k]
    pre.flat[:: width + 1] += ridge + 1e-6 * scale
    factor, info = lapack.dpotrf(pre, lower=1)
    if info != 0:
        return cores[k]
    inverse = lapack.dpotri(factor, lower=1)[0]
    inverse = (np.tril(inverse) + np.tril(inverse, -1).T).astype(dtype)
    full = [shape[0]] + [length for j, length in enumerate(observed.shape) if j != k]
    moved = form.along(k)

    def normal(V):
        values = V @ env.T
        out = values * W
        if moved.weights:
            out += rho * moved.gradient(values.reshape(full)).reshape(values.shape)
        return out @ env + ridge * V

    G = conjugate_gradient(normal, lambda r: r @ inverse, G, X @ env, steps)
    return np.ascontiguousarray(np.moveaxis(G.reshape(shape), 0, k))


def masked_sweep(observed, cores, form=None, ridge=1e-3, steps=3, expired=None):
    """Update every core once, or as many as there is time for.

    cores N arrays, form `Penalty` or None, expired function that tells whether to end -> N arrays
    """
    cores = list(cores)
    for k in range(len(cores)):
        if expired is not None and expired():
            break
        cores[k] = update(observed, cores, k, form or Penalty({}, {}), ridge, steps)
    return cores
