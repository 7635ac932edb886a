"""Alternating least squares on the observed entries of a tensor, with smoothness along modes.

    min  ||W * (X - TN)||^2 + mean(W) sum_j s_j sum phi(D_j TN),   phi(d) = 2 e sqrt(d^2 + e^2)

D_j takes first differences along mode j. The penalty acts on the network's values, not on its
factors, so that it does not depend on the gauge; it is quadratic for small differences and linear
for large ones, so that still regions are averaged and edges and motion are left alone. Iterative
reweighting makes it quadratic: w_j = e / sqrt((D_j TN)^2 + e^2).

In one core the problem is then quadratic too; its normal operator is applied, never formed: two
matrix products with the environment around the mask. A few conjugate gradient steps from the last
core suffice, preconditioned by the operator's mean.
"""

import numpy as np
from scipy.linalg import lapack

from sktn.networks import graph

__all__ = ["Observed", "edge_weights", "masked_sweep", "observed_error", "update"]


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


def edge_weights(dense, smoothness, edge):
    """Weights of squared differences per mode, s_j e / sqrt(d^2 + e^2).

    dense (I_1, .., I_N), smoothness (N,) -> dict of mode to array, one shorter along the mode
    """
    weights = {}
    for j, strength in enumerate(smoothness):
        if strength > 0 and dense.shape[j] > 1:
            step = np.diff(dense, axis=j)
            np.square(step, out=step)
            step += edge**2
            np.sqrt(step, out=step)
            np.divide(strength * edge, step, out=step)
            weights[j] = step
    return weights


def _add_penalty(out, values, weights):
    """Add sum_j D_j^T w_j D_j values to out, arrays with axes in any common order."""
    for axis, weight in weights:
        step = np.diff(values, axis=axis)
        step *= weight
        low = [slice(None)] * values.ndim
        high = list(low)
        low[axis], high[axis] = slice(None, -1), slice(1, None)
        out[tuple(low)] -= step
        out[tuple(high)] += step


def update(observed, cores, k, weights, ridge=1e-3, steps=5):
    """A few preconditioned conjugate gradient steps on core k.

    cores N arrays, weights from `edge_weights` -> core k
    """
    X, W = observed.along(k)
    core = np.moveaxis(cores[k], k, 0)
    shape, dtype = core.shape, core.dtype
    G = core.reshape(shape[0], -1).astype(dtype)
    env = np.ascontiguousarray(graph.environment(cores, k))
    A0 = env.T @ env
    rho = observed.density
    width = A0.shape[0]
    ridge = float(ridge * rho * np.trace(A0) / width)
    pre = rho * A0.astype(np.float64)
    moved = []
    for j, weight in weights.items():
        mean = rho * float(weight.mean())
        if j == k:
            pre += 2.0 * mean * A0
        else:
            pre += mean * graph.normal_equations(None, _differenced(cores, j), k)[0]
        axis = 0 if j == k else j + 1 if j < k else j
        moved.append((axis, np.moveaxis(weight, k, 0)))
    pre.flat[:: width + 1] += ridge + 1e-6 * np.trace(pre) / width
    factor, info = lapack.dpotrf(pre, lower=1)
    if info != 0:
        return cores[k]
    inverse = lapack.dpotri(factor, lower=1)[0]
    inverse = (np.tril(inverse) + np.tril(inverse, -1).T).astype(dtype)
    full = [shape[0]] + [length for j, length in enumerate(observed.shape) if j != k]

    def normal(V):
        values = V @ env.T
        out = values * W
        if moved:
            values *= rho
            _add_penalty(out.reshape(full), values.reshape(full), moved)
        return out @ env + ridge * V

    residual = X @ env - normal(G)
    z = residual @ inverse
    direction, power = z, float(np.vdot(residual, z))
    first = power
    for _ in range(steps):
        if not power > 1e-8 * first:
            break
        image = normal(direction)
        curvature = float(np.vdot(direction, image))
        if not curvature > 0.0:
            break
        step = power / curvature
        G = G + step * direction
        residual = residual - step * image
        z = residual @ inverse
        power, last = float(np.vdot(residual, z)), power
        direction = z + (power / last) * direction
    return np.ascontiguousarray(np.moveaxis(G.reshape(shape), 0, k)).astype(dtype)


def masked_sweep(observed, cores, smoothness, edge=0.02, ridge=1e-3, steps=5):
    """Reweight, then update every core once.

    cores N arrays, smoothness (N,) -> N arrays
    """
    cores = list(cores)
    weights = {}
    if any(s > 0 for s in smoothness):
        weights = edge_weights(graph.to_dense(cores), smoothness, edge)
    for k in range(len(cores)):
        cores[k] = update(observed, cores, k, weights, ridge, steps)
    return cores
