"""Alternating least squares on a graph network.

One core at a time solves its own normal equations, with a proximal ridge (Tikhonov towards the last
value), which keeps rank-deficient updates finite and never raises the error. The error after every
update is exact and free: ||X||^2 - 2 <B, G> + <G A, G>. Sweeps are extrapolated along their last
step, kept only where the error falls.
"""

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from scipy.linalg import lapack

from sktn.networks import graph, normal
from sktn.solvers.deadline import NEVER

__all__ = ["Fit", "Stop", "als", "balance", "squared_error"]


@dataclass(frozen=True)
class Fit:
    """A network and its squared error.

    cores N arrays of N axes, error ||X - TN||^2, sweeps int
    """

    cores: list
    error: float
    sweeps: int


class Stop(NamedTuple):
    """When a solver ends.

    most : sweeps or steps
    tol : decreases of less than this share of the error do not count
    target : squared error that is small enough
    give_up : whether to end, too, where the last decrease, repeated to the end, would not reach the
        target: in a search most trials fail, and should fail early
    deadline : Deadline
    """

    most: int = 100
    tol: float = 1e-4
    target: float = 0.0
    give_up: bool = False
    deadline: object = NEVER


def solve_core(A, B, old, ridge):
    """G of least ||X - TN||^2 + rho ||G - G_old||^2 with rho = ridge trace(A) / P.

    A (P, P), B (I, P), old (I, P) -> (I, P) in float64
    """
    A = A.astype(np.float64)
    width = A.shape[0]
    rho = ridge * np.trace(A) / width
    if not rho > 0.0:  # A dead environment: whatever this core holds, the network is zero.
        return old.astype(np.float64)
    rhs = B.astype(np.float64) + rho * old
    for _ in range(8):
        lhs = A.copy()
        lhs.flat[:: width + 1] += rho
        _, solution, info = lapack.dposv(lhs, rhs.T, overwrite_a=1)
        if info == 0 and np.isfinite(solution).all():
            return solution.T
        # Rounding made A indefinite: a hundredfold ridge, still proximal, so still a descent step.
        rhs = rhs + 99.0 * rho * old
        rho *= 100.0
    return old.astype(np.float64)


def balance(cores):
    """Give all cores the same norm; the network is unchanged.

    cores N arrays -> N arrays
    """
    norms = [float(np.linalg.norm(core)) for core in cores]
    if min(norms) == 0.0 or not np.isfinite(norms).all():
        return cores
    mean = np.exp(np.mean(np.log(norms)))
    return [
        (core * (mean / norm)).astype(core.dtype) for core, norm in zip(cores, norms, strict=True)
    ]


def squared_error(X, cores):
    """||X - TN||^2 from the dense contraction, in float64.

    X (I_1, .., I_N), cores N arrays -> float
    """
    residual = graph.to_dense(cores)
    residual = np.subtract(np.asarray(X), residual, dtype=np.result_type(X, residual))
    return float(np.einsum("i,i->", residual.ravel(), residual.ravel(), dtype=np.float64))


def update(X, cores, k, norm2, ridge, squares=None):
    """Solve core k in place of the old one.

    X (I_1, .., I_N), cores N arrays -> core k, ||X - TN||^2, A (P_k, P_k)
    """
    A, B = normal.normal_equations(X, cores, k, squares)
    G = solve_core(A, B, graph.unfolded(cores[k], k), ridge)
    error = norm2 - 2.0 * np.vdot(B, G) + np.vdot(G @ A, G)  # G is float64: the sums are too
    return graph.folded(G.astype(X.dtype), cores[k].shape, k), float(error), A


def _sweep(X, cores, order, norm2, ridge, deadline):
    squares = [None] * len(cores)
    cores = list(cores)
    # An extrapolated point may overflow float32: the error is then not finite, and is refused.
    with np.errstate(over="ignore", invalid="ignore"):
        for k in order:
            cores[k], error, _ = update(X, cores, k, norm2, ridge, squares)
            squares[k] = None
            # Cores that have grown against each other: what is left of the sum is its rounding.
            if not np.isfinite(error) or error < -np.sqrt(np.finfo(X.dtype).eps) * norm2:
                return cores, np.inf
            if deadline.expired():  # The error after any update is exact: no need to go round.
                break
    return cores, error


def als(X, cores, stop, *, ridge=1e-9, norm2=None, order=None):
    """Sweep over the cores until the target, a standstill, or the end of the sweeps.

    No core is solved after the deadline, but the first, which finds the error.

    X (I_1, .., I_N), cores N arrays, stop Stop, norm2 ||X||^2 where it is known, order: of the
    cores in a sweep -> Fit
    """
    n_cores = len(cores)
    norm2 = float(np.vdot(X, X)) if norm2 is None else norm2
    X = graph.placed(X)
    order = range(n_cores) if order is None else order
    cores = list(cores)
    previous, kept = None, None
    last = np.inf
    step, sweep = 0.7, 0
    floor = 4.0 * np.finfo(X.dtype).eps * norm2
    error = np.inf
    while sweep < stop.most and not (sweep and stop.deadline.expired()):
        trial = cores
        jumped = previous is not None and step > 0.05
        if jumped:
            trial = [c + step * (c - p) for c, p in zip(cores, previous, strict=True)]
            kept = cores
        new, error = _sweep(X, trial, order, norm2, ridge, stop.deadline)
        sweep += 1
        if jumped and not error <= last:
            # Too far: from where the sweeps were, without the jump.
            step *= 0.5
            cores, previous, error = kept, None, last
            if step <= 0.05:
                step = 0.7
            continue
        if jumped:
            step = min(1.3 * step, 20.0)
        if not np.isfinite(error):
            error = last  # The sweep overflowed: back to where it began.
            break
        previous, cores = cores, new
        if error <= stop.target and X.dtype == np.float32:
            # Of millions of entries a difference of large numbers in single precision misses more
            # than a target leaves: what it says of the target is not believed.
            error = squared_error(X, cores)
        decrease = last - error
        if error <= max(stop.target, floor):
            break
        if decrease <= stop.tol * error and sweep > 1:
            break
        if stop.give_up and stop.target > 0 and sweep > 2 and np.isfinite(last):
            left = stop.most - sweep
            if error - 2.0 * left * decrease > stop.target:
                break
        last = error
    return Fit(balance(cores), max(float(error), 0.0), sweep)
