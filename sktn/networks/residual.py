"""The squared error of a network on a graph and its gradient by all cores at once."""

import numpy as np

from sktn.backend import executor_of
from sktn.networks.contraction import merge, plan_of, transposed
from sktn.networks.graph import dense_task, operands_of


class Residual:
    """Squared error of networks of one shape, and its gradient by all cores.

    The gradient is the contraction of the network run backwards, which shares all that the
    environments of different cores have in common.

    X (I_1, .., I_N), cores N arrays of N axes
    """

    def __init__(self, X, cores):
        plan = plan_of(*dense_task(cores))
        self._steps = plan[0]
        # The data take the layout in which the contraction ends: one copy, not one per call.
        self._run = executor_of(X)
        with self._run.precision(np.float64):
            X = transposed(X, tuple(int(k) for k in np.argsort(plan[1])))
            self._X = self._run.contiguous(X)

    def __call__(self, cores):
        """Squared error ||X - TN||^2 and its gradient.

        cores N arrays -> float, N arrays
        """
        with self._run.precision(np.float64):
            error, adjoints = self._backward(operands_of(cores)[1])
        return float(error), [adjoints[k].reshape(core.shape) for k, core in enumerate(cores)]

    def _backward(self, arrays):
        run = self._run
        values, tape = run.put(arrays), []
        for first, second, *layout in self._steps:
            value, L, R = merge(values[first], values[second], *layout)
            tape.append((L, R))
            values.append(value)
        error, residual = run.jit(_doubled_residual)(values[-1], self._X)
        adjoints = [None] * (len(values) - 1) + [residual]
        backward = run.jit(_pulled_back, static=("axes", "others", "shapes"))
        for (first, second, axes, others, _), (L, R) in zip(
            reversed(self._steps), reversed(tape), strict=True
        ):
            shapes = values[first].shape, values[second].shape
            adjoints[first], adjoints[second] = backward(
                adjoints.pop(), L, R, axes=axes, others=others, shapes=shapes
            )
        return error, run.get(adjoints)


def _doubled_residual(dense, X):
    """||dense - X||^2 in double precision, and its derivative 2 (dense - X)."""
    residual = dense - X
    if isinstance(residual, np.ndarray):
        error = np.einsum("i,i->", residual.ravel(), residual.ravel(), dtype=np.float64)
        residual *= 2.0
        return error, residual
    return (residual * residual).sum(dtype=np.float64), 2.0 * residual


def _pulled_back(adjoint, L, R, *, axes, others, shapes):
    """Adjoints of both operands of a merge, in the axes that they had before they were laid out."""
    D = adjoint.reshape(L.shape[1], R.shape[1])
    return _unlaid(R @ D.T, shapes[0], axes), _unlaid(L @ D, shapes[1], others)


def _unlaid(matrix, shape, axes):
    return matrix.reshape([shape[n] for n in axes]).transpose(np.argsort(axes))
