"""Alternating least squares on the observed entries of a tensor, with smoothness along modes.

    min  ||W * (X - TN)||^2 + ||W||^2 / |X| sum_j s_j ||D_j TN||^2,   W in {0, 1}

D_j takes first differences along mode j. The penalty acts on the network's values, not on its
factors, so that it does not depend on the gauge. In one core the problem is quadratic; its normal
operator is applied, never formed: two matrix products with the environment around the mask. A few
conjugate gradient steps from the last core suffice, preconditioned by the mask's mean.
"""

import numpy as np
from scipy.linalg import lapack

from sktn.networks import graph

__all__ = ["Observed", "masked_sweep", "observed_error"]


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


def _laplacian(G):
    """D^T D along the rows of G."""
    step = np.diff(G, axis=0)
    result = np.zeros_like(G)
    result[:-1] -= step
    result[1:] += step
    return result


def update(observed, cores, k, smoothness, ridge=1e-3, steps=5):
    """A few preconditioned conjugate gradient steps on core k.

    cores N arrays, smoothness (N,) -> core k
    """
    X, W = observed.along(k)
    core = np.moveaxis(cores[k], k, 0)
    shape, dtype = core.shape, core.dtype
    G = core.reshape(shape[0], -1).astype(dtype)
    env = np.ascontiguousarray(graph.environment(cores, k))
    A0 = env.T @ env
    rho = observed.density
    other = np.zeros_like(A0)
    for j, weight in enumerate(smoothness):
        if weight > 0 and j != k and cores[j].shape[j] > 1:
            other += (rho * weight) * graph.normal_equations(None, _differenced(cores, j), k)[0]
    mine = rho * smoothness[k] if shape[0] > 1 else 0.0
    width = A0.shape[0]
    other.flat[:: width + 1] += ridge * rho * np.trace(A0) / width
    pre = (rho + 2.0 * mine) * A0.astype(np.float64) + other
    pre.flat[:: width + 1] += 1e-6 * np.trace(pre) / width
    factor, info = lapack.dpotrf(pre, lower=1)
    if info != 0:
        return cores[k]
    inverse = lapack.dpotri(factor, lower=1)[0]
    inverse = (np.tril(inverse) + np.tril(inverse, -1).T).astype(dtype)

    def normal(V):
        out = ((V @ env.T) * W) @ env + V @ other
        if mine > 0:
            out += _laplacian(V) @ (mine * A0)
        return out

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


def masked_sweep(observed, cores, smoothness, ridge=1e-3, steps=5):
    """Update every core once.

    cores N arrays, smoothness (N,) -> N arrays
    """
    cores = list(cores)
    for k in range(len(cores)):
        cores[k] = update(observed, cores, k, smoothness, ridge, steps)
    return cores
