"""Newton's method for a penalised loss of scores that are linear in the parameters,

    min_A  sum_i w_pi loss(scores(A)_pi, i) + <A, R_p A> / 2 ,

P problems at once: the convex limit (`solvers.convex`) and the local problems of sweeps
(`solvers.local`) are such problems. Directions come from preconditioned conjugate gradients on a
Hessian that is applied and never formed, to a precision that follows the progress (inexact Newton:
Dembo, Eisenstat and Steihaug, SIAM J. Numer. Anal. 19, 400 (1982)). The line search costs no
contraction, scores being linear in the step.

A `system` has, with A (P, k, q) and scores (P, N, c):

    scores(A), adjoint(t)       the linear map and its transpose
    ridge(A)                    R A
    preconditioner(curvature)   curvature (P, N, c) of the loss -> function of (P, k, q)
    centred(A)                  A without the directions in which nothing depends on it
    take(problems)              the system of some of the problems
    of_rows(rows)               the system of some rows; None where rows are on a device
"""

from typing import NamedTuple

import numpy as np

from sktn.backend import namespace
from sktn.solvers.conjugate import conjugate_gradients

# The least relative precision of a direction, squared, where it follows the progress.
_ROUGHEST = 0.01
# How much of the tolerance of a loss may be left in a direction.
_PART_OF_TOL = 0.1


#: Share of the curvature that a rough direction may leave out: that of rows which the model is sure
#: of, often most. On four tables of 1,250 to 4,000 rows as many steps, to the same loss.
UNTOLD = 0.03
# Share of the rows from which on products with the others are worth taking these out, and
# multiplications of a product from which on it is worth looking for them.
_FEWER, _LARGE = 1 / 3, 2**23


class Effort(NamedTuple):
    """max_iter : Newton steps
    max_cg : applications of the Hessian a step
    tol : a problem rests when a step lowers its loss by less than this share of it
    cg_tol : relative precision of a direction, squared; None follows the progress: a rough one is
        enough far from the minimum, near it an exact one
    untold : share of the curvature that a direction may leave out, by rows
    """

    max_iter: int = 50
    max_cg: int = 40
    tol: float = 1e-6
    cg_tol: float | None = None
    untold: float = 0.0


def newton(system, A, problem, W, effort, stop=None):
    """The minima, begun at A: never worse ones.

    A (P, k, q); problem: its `loss` and `target` on N rows; W (P, N) weights; stop: () -> bool,
    asked before every step but the first
    -> A (P, k, q), scores (P, N, c), losses: list of (P,), the first before any step
    """
    loss, target = problem.loss, problem.target
    F = system.scores(A)
    value = _total(loss, F, target, W) + 0.5 * _dots(A, system.ridge(A))
    left, history, finished = np.arange(len(A)), [value.copy()], {}
    # A quadratic loss needs a single step.
    for step in range(1 if loss.quadratic else effort.max_iter):
        if step and stop is not None and stop():
            break
        D, dF = _direction(system, A, F, problem, W, value, effort)
        quadratic = _dots(A, system.ridge(A)), _dots(A, system.ridge(D)), _dots(D, system.ridge(D))
        t, new = _line_search(loss, target, W, F, dF, quadratic, value)
        A, F = A + _column(t, A) * D, F + _column(t, F) * dF
        rest = ~(value - new > effort.tol * np.abs(new))
        value = new
        history.append(history[-1].copy())
        history[-1][left] = value
        if rest.any():
            finished.update({p: (A[i], F[i]) for i, p in enumerate(left) if rest[i]})
            keep = np.flatnonzero(~rest)
            left, A, F, W, value = left[keep], A[keep], F[keep], W[keep], value[keep]
            if not len(left):
                break
            system = system.take(keep)
    finished.update({p: (A[i], F[i]) for i, p in enumerate(left)})
    xp = namespace(F)
    A, F = (xp.stack([finished[p][k] for p in range(len(finished))]) for k in (0, 1))
    return A, F, history


def _direction(system, A, F, problem, W, value, effort):
    """Newton directions and what they do to the scores."""
    loss = problem.loss
    slope, h = loss.derivatives(F, problem.target)
    w = W[:, :, None]
    gradient = system.centred(system.adjoint(w * slope) + system.ridge(A))

    diagonal, telling, whole = w * loss.curve_diagonal(h), system, True
    large = effort.untold and F.shape[1] * A.size >= _LARGE
    rows = _telling_rows(diagonal, w, effort.untold) if large else None
    if rows is not None and (part := system.of_rows(rows)) is not None:
        telling, whole = part, False
        w, h, diagonal = w[:, rows], h[:, rows], diagonal[:, rows]

    def hessian(d):
        f = telling.scores(d)
        bent = telling.adjoint(w * loss.curve(h, f))
        return system.centred(bent + system.ridge(d)), f if whole else None

    def goal(power):
        if effort.cg_tol is not None:
            return effort.cg_tol * power
        size = np.maximum(np.abs(value), 1e-30)
        # What a more exact direction would gain is less than what is looked for.
        enough = _PART_OF_TOL * effort.tol * size
        return np.maximum(power * np.minimum(_ROUGHEST, power / size), enough)

    precondition = telling.preconditioner(diagonal)
    D, dF = conjugate_gradients(hessian, precondition, -gradient, effort.max_cg, goal)
    if not whole:
        return D, system.scores(D)
    return D, namespace(F).zeros_like(F) if dF is None else dF


def _telling_rows(curvature, w, untold):
    """Rows that have all but a share of the curvature of every problem, None where these are most:
    curvature (P, N, c), w (P, N, 1) it is weighted by -> (m,)"""
    own = np.asarray(curvature).sum(-1, dtype=np.float64)
    share = (own / np.maximum(own.sum(1, keepdims=True), np.finfo(own.dtype).tiny)).max(0)
    # By what a row of weight one has: a row of weight two is two rows.
    order = np.argsort((own / np.maximum(np.asarray(w)[:, :, 0], np.finfo(w.dtype).tiny)).max(0))
    n_left_out = int(np.searchsorted(np.cumsum(share[order]), untold))
    return np.sort(order[n_left_out:]) if n_left_out >= _FEWER * len(order) else None


def _line_search(loss, target, W, F, dF, quadratic, value):
    """The largest of the steps 1, 1/2, 1/4, ... that lowers the loss, 0 if none does."""
    norm, cross, square = quadratic
    t, new = np.zeros(len(F)), value.copy()
    waiting, step = np.arange(len(F)), 1.0
    # Ten halvings: a descent direction of a convex loss needs them only where rounding decides.
    while len(waiting) and step > 1e-3:
        q = waiting if len(waiting) < len(F) else slice(None)
        ridge = 0.5 * (norm[q] + 2 * step * cross[q] + step**2 * square[q])
        trial = _total(loss, F[q] + F.dtype.type(step) * dF[q], target, W[q]) + ridge
        good = trial < value[q]
        t[waiting[good]], new[waiting[good]] = step, trial[good]
        waiting, step = waiting[~good], step / 2
    return t, new


def _total(loss, F, target, W):
    """sum_i w_pi loss(F_pi), in double precision: (P, N, c), (P, N) -> (P,)"""
    values = np.asarray(loss.values(F, target), np.float64)
    return np.einsum("pn,pn->p", np.asarray(W, np.float64), values)


def _dots(u, v):
    """<u_p, v_p> in double precision: a direction of hardly any curvature has a square beyond the
    range of single: (P, ...), (P, ...) -> (P,)"""
    u, v = (np.asarray(x, np.float64).reshape(len(u), -1) for x in (u, v))
    return np.einsum("pk,pk->p", u, v)


def _column(a, like):
    return namespace(like).asarray(a, dtype=like.dtype).reshape(-1, *(1,) * (like.ndim - 1))
