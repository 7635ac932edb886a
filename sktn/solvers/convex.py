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

Where the design is large, its products run on the executor's devices, its rows spread over them;
coefficients, scores and decisions stay on the host.
"""

from dataclasses import dataclass, replace
from typing import NamedTuple

import numpy as np
from scipy.linalg import cho_factor, cho_solve
from scipy.linalg.lapack import dormqr, dptsv, dsytrd, dsytrd_lwork

from sktn.backend import bucket, executor_for, executor_of, namespace
from sktn.solvers.kernel import nystroem_map, product_kernel, triangular_map
from sktn.solvers.newton import UNTOLD, Effort, newton
from sktn.tables.basis import embed

# Of a search: losses to a thousandth tell strengths apart.
_SEARCH_EFFORT = Effort(tol=1e-3, max_cg=20, untold=UNTOLD)


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


def make_design(problem, landmarks):
    """problem ChainProblem, landmarks: row indices -> Design"""
    a = problem.vectors(landmarks)
    with np.errstate(over="ignore", invalid="ignore"):
        kernel = product_kernel(a, a, problem.max_order)
    if not np.isfinite(kernel).all():
        raise ValueError(
            f"Products of {a.shape[1]} columns' basis functions leave the range of {a.dtype} "
            "numbers: use another scaling, a larger interaction_penalty or a smaller degree."
        )
    if problem.loss.quadratic:
        kept, V, own = triangular_map(kernel)
        a = a[kept]
    else:
        V, spectrum = nystroem_map(kernel)
        own = V * spectrum  # kernel @ V
    n_rows = problem.n_rows
    run = executor_for(n_rows * V.shape[1])
    if run.name == "numpy" and len(landmarks) == n_rows:
        return Design(_with_constant(own), V, a)
    with run.precision(V.dtype):
        program = run.jit(_features, static=("max_order",))
        fixed = run.put((problem.basis, problem.roots, a, V))
        numbers = 3 * len(a) + a.shape[1] * a.shape[2]

        def features(coords):
            return program(*fixed, coords, max_order=problem.max_order)

        if run.name == "numpy":
            # Those of the landmarks are there.
            Z = np.ones((n_rows, V.shape[1] + 1), V.dtype)
            Z[landmarks, :-1] = own
            others = np.setdiff1d(np.arange(n_rows), landmarks)
            Z[others] = run.map_rows(lambda rows: features(problem.coords[rows]), others, numbers)
            return Design(Z, V, a)
        return Design(run.put_rows(run.map_rows(features, problem.coords, numbers)), V, a)


def _features(basis, roots, a, V, coords, max_order=None):
    """Features of rows, the constant last: coords (b, n, k) -> (b, r + 1)"""
    return _with_constant(product_kernel(embed(basis, coords) / roots, a, max_order) @ V)


def _with_constant(features):
    """(b, r) -> (b, r + 1)"""
    xp = namespace(features)
    return xp.concatenate([features, xp.ones((len(features), 1), features.dtype)], axis=1)


def solve(Z, problem, W, strengths, effort, start=None, stop=None):
    """Ridge-penalised linear models in Z, whose last column is the constant and free, P problems at
    a time:

        min_B  sum_i w_pi loss(Z_i B_p, i) + strength_p ||B_p||^2 / 2 .

    Squared losses of one problem are solved by a factorisation, everything else by Newton's method
    (`solvers.newton`).

    Z (N, r + 1), problem: its `loss` and `target`, W (P, N), strengths (P,), start (P, r + 1, c)
    -> B (P, r + 1, c), scores (P, N, c), losses: list of (P,)
    """
    W = np.asarray(W, dtype=Z.dtype)
    if problem.loss.quadratic:
        return _solve_quadratic(Z, problem, W, strengths)
    if start is None:
        start = np.zeros((len(W), Z.shape[1], problem.loss.n_scores(problem.target)), Z.dtype)
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
        flat = _product(self.Z, B.transpose(1, 0, 2).reshape(r, P * c), _forward)
        return flat.reshape(len(self.Z), P, c).transpose(1, 0, 2)

    def adjoint(self, t):
        P, N, c = t.shape
        flat = _product(self.Z, t.transpose(1, 0, 2).reshape(N, P * c), _transposed)
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

    def of_rows(self, rows):
        return replace(self, Z=self.Z[rows]) if executor_of(self.Z).name == "numpy" else None


def _forward(Z, columns):
    return Z @ columns


def _transposed(Z, columns):
    # In this order a compiler is not slowed down by a single column.
    return (columns.T @ Z).T


def _squares(Z):
    return (Z * Z).sum(0)


def _product(Z, columns, function):
    """A product with a design, where that is; on a device with one of few numbers of columns."""
    run = executor_of(Z)
    if run.name == "numpy":
        return Z @ columns if function is _forward else Z.T @ columns
    n = columns.shape[1]
    padded = np.pad(columns.astype(Z.dtype, copy=False), [(0, 0), (0, bucket(n) - n)])
    padded = run.put(padded) if function is _forward else run.put_rows(padded)
    return run.get(run.jit(function)(Z, padded))[:, :n]


def linear_system(Z, strengths, loss):
    free = np.ones(Z.shape[1])
    free[-1] = 0
    # A strength beyond the precision's range leaves the constant alone, as its end does.
    charges = np.minimum(np.reshape(strengths, (-1, 1, 1)), np.finfo(Z.dtype).max) * free[:, None]
    run = executor_of(Z)
    squares = np.einsum("ir,ir->r", Z, Z) if run.name == "numpy" else run.get(run.jit(_squares)(Z))
    return _Linear(Z, charges.astype(Z.dtype), squares / max(len(Z), 1), loss)


def ridge_path(Z, y, weight, strengths):
    """Least squares for many strengths at the price of few, by a reduction of the weighted Gram
    matrix: min_B sum_i w_i |Z_i B - y_i|^2 + strength ||B||^2, where the last column of Z is
    the constant and its coefficient free.

    Z (N, r + 1), y (N, c), weight (N,), strengths (A,) -> B (A, r + 1, c)
    """
    total = max(float(weight.sum()), np.finfo(Z.dtype).tiny)
    run, weight = executor_of(Z), np.asarray(weight, Z.dtype)
    if run.name == "numpy":
        # Rows of weight 0, a fold that is held out, would cost a fold's share of the product.
        rows = np.flatnonzero(weight > 0)
        moments = _moments(Z[rows, :-1], y[rows], weight[rows], Z.dtype.type(total))
    else:
        data = run.put_rows((np.asarray(y, Z.dtype), weight))
        moments = run.get(run.jit(_moments)(Z[:, :-1], *data, run.put(Z.dtype.type(total))))
    # The smallest eigenvalues decide where the penalty is weak, and single precision loses them.
    gram, target, center, mean = (np.array(moment, np.float64) for moment in moments)
    rounding = np.finfo(Z.dtype).eps * max(float(np.trace(gram)), 1e-30)
    if len(strengths) == 1:
        gram[np.diag_indices_from(gram)] += strengths[0] + rounding
        B = cho_solve(cho_factor(gram, overwrite_a=True), target)[None]
    else:
        B = _shifted_solutions(gram, target, np.asarray(strengths, np.float64), rounding)
    intercept = mean - center @ B
    return np.concatenate([B, intercept[:, None]], axis=1).astype(Z.dtype)


def _shifted_solutions(gram, target, shifts, rounding):
    """(gram + shift)^-1 target for many shifts by one tridiagonalisation, a quarter of the price of
    eigenvectors (Elden, BIT 17, 1977); by these where rounding leaves the matrix indefinite.

    gram (r, r), target (r, c), shifts (A,) -> (A, r, c)
    """
    reduced = _tridiagonal(gram) if len(gram) > 1 else None
    if reduced is not None:
        diagonal, beside, rotated = reduced
        turned, found = rotated(target, "T"), np.empty((len(shifts), *target.shape))
        for k, shift in enumerate(shifts):
            *_, found[k], failed = dptsv(diagonal + (shift + rounding), beside, turned)
            if failed:
                break
        else:
            flat = found.transpose(1, 0, 2).reshape(len(gram), -1)
            return rotated(flat, "N").reshape(len(gram), len(shifts), -1).transpose(1, 0, 2)
    lam, U = np.linalg.eigh(gram)
    lam = np.maximum(lam, 0) + rounding
    return U @ (U.T @ target / (lam[:, None] + shifts[:, None, None]))


def _tridiagonal(matrix):
    """T = Q^T A Q of a symmetric matrix: its diagonals, and x -> Q x ("N") or Q^T x ("T")."""
    size = int(dsytrd_lwork(len(matrix), lower=1)[0])
    reduced, diagonal, beside, tau, _ = dsytrd(matrix, lower=1, lwork=size)
    # Q turns all rows but the first, by reflections as of a QR factorisation.
    reflections = np.asfortranarray(reduced[1:, :-1])

    def rotated(x, which):
        turned = np.asfortranarray(x[1:])
        turned, _, _ = dormqr("L", which, reflections, tau, turned, max(1, 64 * x.shape[1]))
        return np.concatenate([x[:1], turned])

    return diagonal, beside, rotated


def _moments(features, targets, w, total):
    """Weighted Gram matrix of centred features, their products with centred targets, the means."""
    center, mean = (w @ features) / total, (w @ targets) / total
    root = namespace(features).sqrt(w)[:, None]
    features, targets = root * (features - center), root * (targets - mean)
    return features.T @ features, features.T @ targets, center, mean


def _solve_quadratic(Z, problem, W, strengths):
    B = np.concatenate(
        [ridge_path(Z, problem.target, w, [s]) for w, s in zip(W, strengths, strict=True)]
    )
    F = linear_system(Z, strengths, problem.loss).scores(B)
    data = np.asarray(problem.loss.values(F, problem.target), np.float64)
    squares = np.asarray((B[:, :-1] ** 2).sum((1, 2)), np.float64)
    losses = np.einsum("pn,pn->p", np.asarray(W, np.float64), data)
    return B, F, [losses + 0.5 * np.asarray(strengths) * squares]


def design_of_folds(n_folds, n_designs):
    """Which of several designs every fold has: (n_folds,)"""
    return np.arange(n_folds) * n_designs // n_folds


def search(designs, problem, folds, alphas, effort=_SEARCH_EFFORT, patience=2):
    """Out-of-fold scores along a path of strengths.

    From the strongest to the weakest, each started where the two before point to. Once `patience`
    of them in turn are no better than the best so far, or one is worse by 2 %, the path is
    overfitting and ends: the rest, which would be the most expensive, keep the last scores and a
    loss of infinity. Squared losses give the whole path at once.

    designs: one, or several, whose penalties differ and which have a share of the folds each;
    the folds of one are one batch of problems. problem on N rows, folds (N,) integers 0..F-1, or -1
    for rows that are never held out; alphas (A,) or, for every design, (A, n_designs)
    -> scores (A, N, c), mean losses (A,)
    """
    designs = [designs] if isinstance(designs, Design) else designs
    held_out = np.flatnonzero(folds >= 0)
    weight, judged = np.asarray(problem.weight), problem.take(held_out)
    n_folds = int(folds.max()) + 1
    own = design_of_folds(n_folds, len(designs))
    strengths = 2 * problem.loss.ridge_share * np.reshape(alphas, (len(alphas), -1))[:, own]
    scores = np.zeros((len(alphas), len(weight), problem.n_scores), np.float32)
    losses = np.full(len(alphas), np.inf)
    if problem.loss.quadratic:
        for k in range(n_folds):
            Z, rows = designs[own[k]].Z, np.flatnonzero(folds == k)
            held_in = np.where(folds == k, 0, weight)
            B = ridge_path(Z, problem.target, held_in, strengths[:, k])
            scores[:, rows] = linear_system(Z[rows], strengths[:, k], problem.loss).scores(B)
        return scores, judged.mean_loss(scores[:, held_out])
    W = (folds != np.arange(n_folds)[:, None]) * weight
    batches = [(design.Z, np.flatnonzero(own == j)) for j, design in enumerate(designs)]
    ends, order = [[None, None]] * len(batches), np.argsort(-strengths[:, 0], kind="stable")
    for step, i in enumerate(order):
        for b, (Z, part) in enumerate(batches):
            before, last = ends[b]
            # Along equal steps of log(strength) the minima move on nearly as they did: half of the
            # Newton steps from the last one.
            start = last if before is None else 2 * last - before
            B, F, _ = solve(Z, problem, W[part], strengths[i, part], effort, start)
            ends[b] = [last, B]
            for k, fold_scores in zip(part, np.asarray(F), strict=True):
                rows = np.flatnonzero(folds == k)
                scores[i, rows] = fold_scores[rows]
        losses[i] = judged.mean_loss(scores[i, held_out])
        stale = step >= patience and np.argmin(losses[order]) <= step - patience
        if stale or losses[i] > 1.02 * losses.min():
            scores[order[step + 1 :]] = scores[i]
            break
    return scores, losses
