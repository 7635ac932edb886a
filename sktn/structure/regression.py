"""Which network a regression's weight tensor is: found on some rows, judged on others."""

from dataclasses import dataclass, replace

import numpy as np

from sktn.networks import graph
from sktn.solvers import tensor_regression
from sktn.structure import fixed, rg

# Relative errors of the networks that are looked for in a weight tensor, coarse ones first: few
# rows leave most of it unknown.
_ERRORS = (0.95, 0.9, 0.8, 0.7, 0.6, 0.5, 0.4, 0.3, 0.2, 0.1)
# Networks in a row that tell held-out rows worse than the best, after which finer ones are not
# tried.
_WORSE = 2
# How often the weight tensor is looked at: first that of a ridge regression, then that of the best
# network with what it leaves unsaid.
_ROUNDS = 2
# The strength at which networks are compared, and those of which the best one's is chosen.
COMPARED, STRENGTHS = 0.01, (1.0, 0.1, 0.01, 0.001, 0.0001)


@dataclass(frozen=True, eq=False)
class Found:
    """cores, or None for a regression without a structure; its strength; mean squared error of the
    rows that judged."""

    cores: list | None
    alpha: float | None
    error: float


def search(learned, judged, alpha, task):
    """The network that tells the judging rows best.

    learned, judged Samples; alpha: the strength, or None to choose it; task Task, whose tensor does
    not count -> Found
    """
    W, own = tensor_regression.ridge(learned, alpha)
    best = Found(None, own, float(judged.errors(W).mean()))
    task.note("ridge", best.error, W.size)
    for _ in range(_ROUNDS):
        found = _along(W, learned, judged, alpha, best, task)
        if found is best or task.deadline.expired():
            break
        best = found
        W = graph.to_dense(best.cores)
        W = W + tensor_regression.ridge(learned.residual(W), alpha)[0]
    return (
        best if best.cores is None else of_best_strength(best.cores, learned, judged, alpha, task)
    )


def _along(W, learned, judged, alpha, best, task):
    """The best network on the way from coarse to fine approximations of a weight tensor."""
    norm, tried, worse = float(np.linalg.norm(W)), set(), 0
    strength = COMPARED if alpha is None else alpha
    if norm == 0:
        return best
    for error in _ERRORS:
        cores = rg.search(replace(task, X=W / norm, target=error, history=_unheard), rg.Settings())
        R = graph.bond_dims(cores)
        if R.tobytes() not in tried:
            tried.add(R.tobytes())
            found = _judged(_scaled(cores, norm), learned, judged, strength)
            task.note("network", found.error, graph.n_parameters(W.shape, R))
            worse = 0 if found.error < best.error else worse + 1
            best = min(best, found, key=lambda each: each.error)
        if worse == _WORSE or task.deadline.expired():
            break
    return best


def of_best_strength(cores, learned, judged, alpha, task):
    """Cores solved at the strength that tells the judging rows best. -> Found"""
    best = None
    for strength in STRENGTHS if alpha is None else (alpha,):
        found = _judged(cores, learned, judged, strength)
        if best is None or found.error < best.error:
            best = found
        if task.deadline.expired():
            break
    task.note("strength", best.error, sum(core.size for core in cores))
    return best


def start(R, learned, alpha, task):
    """Cores of given bonds, near a ridge regression: R (N, N) -> N arrays"""
    W, _ = tensor_regression.ridge(learned, alpha)
    norm = float(np.linalg.norm(W)) or 1.0
    task = replace(task, X=W / norm, target=0.0, history=_unheard)
    return _scaled(fixed.fit(task, R, fixed.Sweeps(most=20, tol=1e-3)), norm)


def _judged(cores, learned, judged, alpha):
    cores = tensor_regression.sweeps(learned, cores, alpha)
    return Found(cores, alpha, float(judged.errors(graph.to_dense(cores)).mean()))


def _scaled(cores, norm):
    return [core * norm ** (1 / len(cores)) for core in cores]


def _unheard(entry):
    """Steps within a search are not those of the regression."""
