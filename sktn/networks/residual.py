"""The squared error of a network on a graph and its gradient by all cores at once."""

import itertools
from functools import lru_cache
from math import prod
from typing import NamedTuple

import numpy as np

from sktn.backend import executor_of
from sktn.networks import graph
from sktn.networks.contraction import plan_of, rounded_sizes, transposed

__all__ = ["Residual", "error_and_gradient"]


class _Product(NamedTuple):
    """One step of the contraction of networks of one shape, as a product of matrices.

    Per operand: its axes with those first that are shared, their lengths, the matrix (shared, free)
    that they make, and where the axes came from. Then the shape of the result.
    """

    axes: tuple
    lengths: tuple
    matrices: tuple
    origins: tuple
    result: tuple


# A search fits every shape some ten to a hundred times, mostly small ones: what is known
# beforehand takes as long as the products themselves.
@lru_cache(maxsize=4096)
def _products(shapes):
    """The contraction of all networks with cores of these shapes.

    shapes N tuples -> list of (operand, operand, _Product), permutation to the order of the modes,
    shapes of the cores with the mode first and without axes of length one
    """
    labels, values = [], []
    for k, shape in enumerate(shapes):
        bonds = [j for j, r in enumerate(shape) if j != k and r > 1]
        labels.append(((k,), *((min(j, k), max(j, k)) for j in bonds)))
        values.append((shape[k], *(shape[j] for j in bonds)))
    leaves = tuple(values)
    shells = [np.broadcast_to(np.float32(0.0), shape) for shape in leaves]
    modes = tuple((k,) for k in range(len(shapes)))
    plan = plan_of(tuple(labels), modes, rounded_sizes(labels, shells))
    steps = []
    for first, second, *axes, n_shared in plan[0]:
        lengths = [
            tuple(values[n][a] for a in own) for n, own in zip((first, second), axes, strict=True)
        ]
        width = prod(lengths[0][:n_shared])
        result = lengths[0][n_shared:] + lengths[1][n_shared:]
        product = _Product(
            tuple(axes),
            tuple(lengths),
            tuple((width, prod(own[n_shared:])) for own in lengths),
            tuple(tuple(np.argsort(own).tolist()) for own in axes),
            result,
        )
        steps.append((first, second, product))
        values.append(result)
    return steps, plan[1], leaves


class Residual:
    """Squared error of networks of one shape, and its gradient by all cores.

    The gradient is the contraction of the network run backwards, which shares all that the
    environments of different cores have in common. Cores are one vector, unfolded by their modes.

    X (I_1, .., I_N), cores N arrays of N axes
    """

    def __init__(self, X, cores):
        self._shapes = tuple(core.shape for core in cores)
        self._steps, permutation, self._leaves = _products(self._shapes)
        ends = np.cumsum([0] + [core.size for core in cores]).tolist()
        self._slices = [slice(a, b) for a, b in itertools.pairwise(ends)]
        self.widths = [core.size // core.shape[k] for k, core in enumerate(cores)]
        # The data take the layout in which the contraction ends: one copy, not one per call.
        self._run = run = executor_of(X)
        with run.precision(np.float64):
            self._X = run.contiguous(transposed(X, tuple(np.argsort(permutation).tolist())))
        self._forward = run.jit(_merged, static=("step",))
        self._backward = run.jit(_pulled_back, static=("step",))
        self._double = run.jit(_doubled_residual)

    def vector(self, cores):
        """N arrays -> (number of parameters,)"""
        return np.concatenate([graph.unfolded(core, k).ravel() for k, core in enumerate(cores)])

    def parts(self, vectors):
        """Vectors (.., number of parameters) -> N arrays (.., size of core k)"""
        return [vectors[..., part] for part in self._slices]

    def cores(self, vector):
        """(number of parameters,) -> N arrays of N axes"""
        parts = zip(self.parts(vector), self._shapes, strict=True)
        return [graph.folded(part, shape, k) for k, (part, shape) in enumerate(parts)]

    def __call__(self, vector):
        """Squared error ||X - TN||^2 and its gradient: (n,) -> float, (n,)"""
        leaves = zip(self.parts(vector), self._leaves, strict=True)
        with self._run.precision(np.float64):
            values = self._run.put([part.reshape(shape) for part, shape in leaves])
            error, adjoints = self._adjoints(values)
        gradient = np.empty_like(vector)
        for part, shape, adjoint in zip(self.parts(gradient), self._leaves, adjoints, strict=True):
            part.reshape(shape)[...] = adjoint
        return float(error), gradient

    def _adjoints(self, values):
        tape = []
        for first, second, step in self._steps:
            value, *matrices = self._forward(values[first], values[second], step=step)
            tape.append(matrices)
            values.append(value)
        error, residual = self._double(values[-1], self._X)
        adjoints = [None] * (len(values) - 1) + [residual]
        for (first, second, step), matrices in zip(
            reversed(self._steps), reversed(tape), strict=True
        ):
            adjoints[first], adjoints[second] = self._backward(adjoints.pop(), *matrices, step=step)
        return error, self._run.get(adjoints)


def error_and_gradient(X, cores):
    """||X - TN||^2 and its derivative by every core.

    X (I_1, .., I_N), cores N arrays -> float, N arrays
    """
    residual = Residual(X, cores)
    error, gradient = residual(residual.vector(cores))
    return error, residual.cores(gradient)


def _merged(left, right, *, step):
    """Two operands contracted, and both as matrices (shared, free)."""
    L = left.transpose(step.axes[0]).reshape(step.matrices[0])
    R = right.transpose(step.axes[1]).reshape(step.matrices[1])
    return (L.T @ R).reshape(step.result), L, R


def _doubled_residual(dense, X):
    """||dense - X||^2 in double precision, and its derivative 2 (dense - X)."""
    residual = dense - X
    if isinstance(residual, np.ndarray):
        flat = residual.ravel()
        double = flat.dtype == np.float64  # einsum takes longer
        error = np.vdot(flat, flat) if double else np.einsum("i,i->", flat, flat, dtype=np.float64)
        residual *= 2.0
        return error, residual
    return (residual * residual).sum(dtype=np.float64), 2.0 * residual


def _pulled_back(adjoint, L, R, *, step):
    """Adjoints of both operands of a product, in the axes that they had before."""
    D = adjoint.reshape(L.shape[1], R.shape[1])
    lengths, origins = step.lengths, step.origins
    return (
        (R @ D.T).reshape(lengths[0]).transpose(origins[0]),
        (L @ D).reshape(lengths[1]).transpose(origins[1]),
    )
