"""Alternating least squares on the observed entries of a tensor, with smoothness along modes.

    min  ||W * (X - TN)||^2 + mean(W) R(TN)

R is the penalty of `sktn.solvers.smoothness`. It acts on the network's values, not on its factors,
so that it does not depend on the gauge.

In one core the problem is quadratic; its normal operator is applied, never formed: the network's
values, the mask, and their projection on the core. A few conjugate gradient steps from the last
core suffice, preconditioned by the operator's mean. What the steps do to the values is summed on
the way, so that the next core finds its residual.
"""

import numpy as np
from scipy.linalg import lapack

from sktn.networks import graph, normal
from sktn.solvers.conjugate import conjugate_gradients
from sktn.solvers.smoothness import Penalty

__all__ = ["Observed", "masked_sweep", "observed_error", "update"]

# Flops that take as long as the calls of a contraction that does without the environment.
_SHORT = 1e7


class Observed:
    """A tensor with a mask.

    X (I_1, .., I_N) zero where missing, W (I_1, .., I_N) of zeros and ones
    """

    def __init__(self, X, W):
        self.shape = X.shape
        self.X, self.W = X, W
        self.density = float(W.mean(dtype=np.float64))
        self._moved = {}

    def mask_along(self, k):
        """The mask, axis k first."""
        if k not in self._moved:
            self._moved[k] = np.ascontiguousarray(np.moveaxis(self.W, k, 0))
        return self._moved[k]


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


def _curved(values, W, form, density):
    """Half the gradient of the objective by the network's values, without its data and its ridge.

    values and W (I_1, .., I_N), density mean(W)
    -> W * values + mean(W) sum_j D_j^T w_j D_j P values
    """
    out = W * values
    if form.weights:
        smooth = form.gradient(values)
        smooth *= values.dtype.type(density)
        out += smooth
    return out


def _residual(observed, cores, form):
    return observed.X - _curved(graph.to_dense(cores), observed.W, form, observed.density)


def _by_environment(cores, k):
    """Core k to the network's values, axis k first, and back: products with the environment.

    -> (P_k, P_k), (I_k, P_k) -> (I_k, ..), (I_k, ..) -> (I_k, P_k)
    """
    env = graph.environment(cores, k)
    shape = [core.shape[j] for j, core in enumerate(cores)]
    front = [shape.pop(k), *shape]
    return env.T @ env, lambda V: (V @ env.T).reshape(front), lambda T: graph.unfolded(T, 0) @ env


def _by_contraction(cores, k):
    """The same, axes as they are: no environment, which on wide cores is many times the tensor."""
    some = list(cores)

    def values(V):
        some[k] = graph.folded(V, cores[k].shape, k)
        return graph.to_dense(some)

    gram = normal.normal_equations(None, cores, k)[0]
    return gram, values, lambda T: normal.projected(T, cores, k)


def update(observed, cores, k, form, ridge=1e-3, steps=5):
    """A few preconditioned conjugate gradient steps on core k.

    cores N arrays, form `Penalty` -> core k
    """
    return _update(observed, cores, k, form, ridge, steps, _residual(observed, cores, form))[0]


def _update(observed, cores, k, form, ridge, steps, residual):
    """The same from the residual of all cores. -> core k, what the residual loses"""
    shape, dtype = cores[k].shape, cores[k].dtype
    rho, width = observed.density, cores[k].size // shape[k]
    front = 4 * residual.size * width < _SHORT
    A, values, projected = (_by_environment if front else _by_contraction)(cores, k)
    ridge = float(ridge * rho * np.trace(A) / width)
    pre = _mean_operator(cores, k, A, form, rho)
    scale = float(np.trace(pre)) / width
    # Its inverse must fit the data's precision; where it does not, the other cores have vanished.
    if not scale > 1e8 * np.finfo(dtype).tiny:
        return cores[k], 0.0
    pre.flat[:: width + 1] += ridge + 1e-6 * scale
    factor, info = lapack.dpotrf(pre, lower=1)
    if info != 0:
        return cores[k], 0.0
    inverse = lapack.dpotri(factor, lower=1)[0]
    inverse = (np.tril(inverse) + np.tril(inverse, -1).T).astype(dtype)
    W, moved = (observed.mask_along(k), form.along(k)) if front else (observed.W, form)
    place = k if front else 0

    def apply(V):  # (1, I_k, P_k)
        curved = _curved(values(V[0]), W, moved, rho)
        return (projected(curved) + ridge * V[0])[None], curved

    G = graph.unfolded(cores[k], k)
    rhs = projected(np.moveaxis(residual, place, 0)) - ridge * G
    step, change = conjugate_gradients(
        apply, lambda r: r @ inverse, rhs[None], steps, lambda power: 1e-8 * power
    )
    change = 0.0 if change is None else np.moveaxis(change, 0, place)
    return graph.folded(G + step[0], shape, k), change


def masked_sweep(observed, cores, form=None, ridge=1e-3, steps=3, expired=None):
    """Update every core once, or as many as there is time for.

    cores N arrays, form `Penalty` or None, expired function that tells whether to end -> N arrays
    """
    cores, form = list(cores), form or Penalty({}, {})
    residual = _residual(observed, cores, form)
    for k in range(len(cores)):
        if expired is not None and expired():
            break
        cores[k], change = _update(observed, cores, k, form, ridge, steps, residual)
        residual -= change
    return cores
