"""The penalised loss at unlimited bond dimension: a convex problem, solved exactly.

With the ridge in function space J = sum_s prod_i g_i(s_i) W[s]^2 (`networks.mps.mean_and_penalty`)
and no bound on the bond dimension, W is any tensor, and the representer theorem gives the
minimiser

    f_c(x) = b_c + sum_m beta_mc (prod_i k_i(x_i, x_mi) - 1)
    k_i(x, y) = 1 + sum_{s>0} phi_is(x) phi_is(y) / g_i(s) ,

for cross-entropy a multinomial logistic regression in an ANOVA kernel, for squared losses a
kernel ridge regression. It needs no start, no learning rate and no
bond dimension. Rows beyond a number of landmarks enter through Nystroem features. All problems
that share a design (strengths alpha x folds, folds as 0/1 weights) are solved together, so that
every matrix product is one large one.
"""

from dataclasses import dataclass, replace
from typing import NamedTuple

import numpy as np
from scipy.linalg import cho_factor, cho_solve

from sktn.backend import namespace
from sktn.solvers.newton import Effort, newton

# Rows of a block of the kernel: the block stays in the cache while it is multiplied up.
_BLOCK = 256
# Of a search: losses to a thousandth tell strengths apart.
_SEARCH_EFFORT = Effort(tol=1e-3, max_cg=20)


class Design(NamedTuple):
    """Features of rows in the convex limit, the last one the constant.

    Z (N, r + 1), V (m, r) from kernel values to features, landmarks a (m, n, d)
    """

    Z: np.ndarray
    V: np.ndarray
    landmarks: np.ndarray


def choose_landmarks(weight, max_landmarks, rng):
    """Indices of the rows that carry the expansion: all of positive weight, or a random choice."""
    rows = np.flatnonzero(weight > 0)
    if len(rows) > max_landmarks:
        rows = np.sort(rng.choice(rows, max_landmarks, replace=False))
    return rows


def product_kernel(a, b):
    """prod_i <a_i, b_i> - 1 for site vectors whose first component is 1.

    The product without its 1 is built up as it is, e <- e + (1 + e) k, and does not cancel.

    a (m, n, d), b (k, n, d) -> (m, k)
    """
    xp = namespace(a)
    right = xp.ascontiguousarray(b.transpose(1, 2, 0)[:, 1:])
    blocks = []
    for start in range(0, len(a), _BLOCK):
        left = xp.ascontiguousarray(a[start : start + _BLOCK].transpose(1, 0, 2)[:, :, 1:])
        e = xp.zeros((left.shape[1], right.shape[2]), a.dtype)
        for x, y in zip(left, right, strict=True):
            k = x @ y
            k += (k * e) + e
            e = k
        blocks.append(e)
    return xp.concatenate(blocks) if blocks else xp.zeros((0, len(b)), a.dtype)


def nystroem_map(landmark_kernel):
    """V with K(x, landmarks) V = features whose inner products are the kernel's, and the
    eigenvalues they belong to, largest last. Directions below rounding are left out.

    landmark_kernel (m, m) -> V (m, r), spectrum (r,)
    """
    xp = namespace(landmark_kernel)
    lam, U = xp.linalg.eigh((landmark_kernel + landmark_kernel.T) / 2)
    info = np.finfo(lam.dtype)
    kept = np.flatnonzero(np.asarray(lam > max(8 * info.eps * float(lam[-1]), info.tiny)))
    return U[:, kept] / xp.sqrt(lam[kept]), lam[kept]


def make_design(problem, landmarks):
    """problem ChainProblem, landmarks: row indices -> Design"""
    xp = namespace(problem.coords)
    a = problem.vectors(landmarks)
    V, _ = nystroem_map(product_kernel(a, a))
    parts = [product_kernel(rows, a) @ V for _, rows in problem.blocks()]
    Z = xp.concatenate([xp.concatenate(parts), xp.ones((problem.n_rows, 1), V.dtype)], axis=1)
    return Design(Z, V, a)


def solve(Z, problem, W, strengths, effort, start=None, stop=None):
    """Ridge-penalised linear models in Z, whose last column is the constant and free, P problems at
    a time:

        min_B  sum_i w_pi loss(Z_i B_p, i) + strength_p ||B_p||^2 / 2 .

    Squared losses of one problem are solved by a factorisation, everything else by Newton's method
    (`solvers.newton`).

    Z (N, r + 1), problem: its `loss` and `target`, W (P, N), strengths (P,), start (P, r + 1, c)
    -> B (P, r + 1, c), scores (P, N, c), losses: list of (P,)
    """
    xp = namespace(Z)
    W = xp.asarray(W, dtype=Z.dtype)
    if problem.loss.quadratic:
        return _solve_quadratic(Z, problem, W, strengths)
    if start is None:
        start = xp.zeros((len(W), Z.shape[1], problem.loss.n_scores(problem.target)), Z.dtype)
    return newton(linear_system(Z, strengths, problem.loss), start, problem, W, effort, stop)


@dataclass(frozen=True, eq=False)
class _Linear:
    """Scores Z B_p with the ridge strength_p ||B_p||^2 / 2, the last row of B_p left out.

    Z (N, r), charges (P, r, 1): strengths, 0 for the constant, spectrum (r,): mean squares of Z
    """

    Z: np.ndarray
    charges: np.ndarray
    spectrum: np.ndarray
    loss: object

    def scores(self, B):
        P, r, c = B.shape
        flat = self.Z @ B.transpose(1, 0, 2).reshape(r, P * c)
        return flat.reshape(len(self.Z), P, c).transpose(1, 0, 2)

    def adjoint(self, t):
        P, N, c = t.shape
        flat = self.Z.T @ t.transpose(1, 0, 2).reshape(N, P * c)
        return flat.reshape(-1, P, c).transpose(1, 0, 2)

    def ridge(self, B):
        return self.charges * B

    def centred(self, B):
        return self.loss.centred(B)

    def preconditioner(self, curvature):
        # The Hessian, were the curvature the same in all rows and the features uncorrelated: they
        # nearly are, being eigenvectors of the kernel.
        mean = curvature.sum((1, 2)) / curvature.shape[2]
        floor = np.finfo(mean.dtype).eps * max(1.0, float(mean.max()))
        mean = namespace(mean).maximum(mean, floor)
        inverse = 1 / (mean[:, None, None] * self.spectrum[:, None] + self.charges)
        return lambda r: inverse * r

    def take(self, problems):
        return replace(self, charges=self.charges[problems])


def linear_system(Z, strengths, loss):
    xp = namespace(Z)
    free = np.ones(Z.shape[1])
    free[-1] = 0
    charges = np.reshape(strengths, (-1, 1, 1)) * free[:, None]
    spectrum = xp.einsum("ir,ir->r", Z, Z) / max(len(Z), 1)
    return _Linear(Z, xp.asarray(charges, dtype=Z.dtype), spectrum, loss)


def ridge_path(Z, y, weight, strengths):
    """Least squares for many strengths at the price of one, by the eigenvectors of the weighted
    Gram matrix: min_B sum_i w_i |Z_i B - y_i|^2 + strength ||B||^2, where the last column of Z is
    the constant and its coefficient free.

    Z (N, r + 1), y (N, c), weight (N,), strengths (A,) -> B (A, r + 1, c)
    """
    xp = namespace(Z)
    total = max(float(weight.sum()), np.finfo(Z.dtype).tiny)
    rows = np.flatnonzero(np.asarray(weight) > 0)
    w, features, targets = weight[rows], Z[rows, :-1], y[rows]
    center, mean = (w @ features) / total, (w @ targets) / total
    root = xp.sqrt(w)[:, None]
    features, targets = root * (features - center), root * (targets - mean)
    # The smallest eigenvalues decide where the penalty is weak, and single precision loses them.
    gram, target = (np.asarray(features.T @ t, np.float64) for t in (features, targets))
    rounding = np.finfo(Z.dtype).eps * max(float(np.trace(gram)), 1e-30)
    if len(strengths) == 1:
        gram[np.diag_indices_from(gram)] += strengths[0] + rounding
        B = cho_solve(cho_factor(gram, overwrite_a=True), target)[None]
    else:
        lam, U = np.linalg.eigh(gram)
        lam = np.maximum(lam, 0) + rounding
        B = U @ (U.T @ target / (lam[:, None] + np.reshape(strengths, (-1, 1, 1))))
    intercept = np.asarray(mean, np.float64) - np.asarray(center, np.float64) @ B
    return xp.asarray(np.concatenate([B, intercept[:, None]], axis=1), dtype=Z.dtype)


def _solve_quadratic(Z, problem, W, strengths):
    xp = namespace(Z)
    B = xp.concatenate(
        [ridge_path(Z, problem.target, w, [s]) for w, s in zip(W, strengths, strict=True)]
    )
    F = linear_system(Z, strengths, problem.loss).scores(B)
    data = np.asarray(problem.loss.values(F, problem.target), np.float64)
    squares = np.asarray((B[:, :-1] ** 2).sum((1, 2)), np.float64)
    losses = np.einsum("pn,pn->p", np.asarray(W, np.float64), data)
    return B, F, [losses + 0.5 * np.asarray(strengths) * squares]


def search(design, problem, folds, alphas, effort=_SEARCH_EFFORT, patience=2):
    """Out-of-fold scores along a path of strengths, all folds in one batch of problems.

    From the strongest to the weakest, each started at the one before. Once `patience` of them in
    turn are no better than the best so far, or one is worse by 2 %, the path is overfitting and
    ends: the rest, which would be the most expensive, keep the last scores and a loss of infinity.
    Squared losses give the whole path at once.

    problem on N rows, folds (N,) integers 0..F-1, or -1 for rows that are never held out; alphas
    (A,) -> scores (A, N, c), mean losses (A,)
    """
    held_out = np.flatnonzero(folds >= 0)
    share = problem.loss.ridge_share
    weight, judged = np.asarray(problem.weight), problem.take(held_out)
    n_folds = int(folds.max()) + 1
    scores = np.zeros((len(alphas), len(weight), problem.n_scores), np.float32)
    losses = np.full(len(alphas), np.inf)
    if problem.loss.quadratic:
        for k in range(n_folds):
            rows = np.flatnonzero(folds == k)
            held_in = np.where(folds == k, 0, weight)
            held_in = namespace(design.Z).asarray(held_in, dtype=design.Z.dtype)
            B = ridge_path(design.Z, problem.target, held_in, 2 * np.asarray(alphas) * share)
            scores[:, rows] = np.asarray(design.Z[rows] @ B)
        return scores, judged.mean_loss(scores[:, held_out])
    W = (folds != np.arange(n_folds)[:, None]) * weight
    start, order = None, np.argsort(-np.asarray(alphas), kind="stable")
    for step, i in enumerate(order):
        strengths = np.full(n_folds, 2 * alphas[i] * share)
        start, F, _ = solve(design.Z, problem, W, strengths, effort, start=start)
        scores[i, held_out] = np.asarray(F)[folds[held_out], held_out]
        losses[i] = judged.mean_loss(scores[i, held_out])
        stale = step >= patience and np.argmin(losses[order]) <= step - patience
        if stale or losses[i] > 1.02 * losses.min():
            scores[order[step + 1 :]] = scores[i]
            break
    return scores, losses
