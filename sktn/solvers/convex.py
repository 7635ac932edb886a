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

This is NumPy, not JAX: the work is large matrix products, sizes change from call to call, and a
table of a few hundred rows is solved in less time than a compilation takes.
"""

import numpy as np
from scipy.linalg import cho_factor, cho_solve

# Rows of a block of the kernel: the block stays in the cache while it is multiplied up.
_BLOCK = 256
# Features up to which a Hessian is formed and factored.
_LARGEST_FACTOR = 1500


def weighted_inputs(phi, g):
    """a_is = phi_is / sqrt(g_is): the basis in which J is the plain squared norm.

    phi (b, n, d), g (n, d) -> (b, n, d)
    """
    return phi / np.sqrt(g)


def product_kernel(a, b):
    """prod_i <a_i, b_i> - 1 for site vectors whose first component is 1.

    The product without its 1 is built up as it is, e <- e + (1 + e) k, and does not cancel.

    a (m, n, d), b (k, n, d) -> (m, k)
    """
    right = np.ascontiguousarray(b.transpose(1, 2, 0)[:, 1:])
    out = np.zeros((len(a), len(b)), a.dtype)
    for start in range(0, len(a), _BLOCK):
        left = np.ascontiguousarray(a[start : start + _BLOCK].transpose(1, 0, 2)[:, :, 1:])
        e = out[start : start + _BLOCK]
        for x, y in zip(left, right, strict=True):
            k = x @ y
            step = e + 1
            step *= k
            e += step
    return out


def nystroem_map(landmark_kernel):
    """V with K(x, landmarks) V = features whose inner products are the kernel's, and the
    eigenvalues they belong to. Directions below rounding are left out.

    landmark_kernel (m, m) -> V (m, r), spectrum (r,)
    """
    lam, U = np.linalg.eigh((landmark_kernel + landmark_kernel.T) / 2)
    kept = lam > max(8 * np.finfo(lam.dtype).eps * lam[-1], np.finfo(lam.dtype).tiny)
    return U[:, kept] / np.sqrt(lam[kept]), lam[kept]


def solve(Z, objective, W, alpha, *, start=None, tol=1e-6, max_iter=50, max_cg=40):
    """Ridge-penalised linear models in Z, P problems on one design at a time:

        min_{B, b}  sum_i w_ip loss(Z_i B_p + b_p, i) + alpha_p share ||B_p||^2

    by Newton's method; `share` and the loss are the objective's (`solvers.objectives`). Directions
    come from a Cholesky factor where scores do not share a curvature and r is not large, else from
    preconditioned conjugate gradients. The line search costs no matrix product, scores being linear
    in the step. A problem leaves the batch when its loss falls by less than `tol` of itself.
    Squared losses are solved exactly instead.

    Z (N, r), W (N, P), alpha (P,), start: (B, b) to begin at
    -> B (P, r, c), b (P, c), scores (P, N, c), losses: list of (P,), one a Newton step
    """
    N, r = Z.shape
    c = objective.n_scores
    P = W.shape[1]
    dtype = Z.dtype
    W = np.ascontiguousarray(W.T.astype(dtype, copy=False))  # (P, N)
    strength = (2 * np.asarray(alpha, np.float64) * objective.ridge_share).astype(dtype)
    if objective.quadratic:
        return _solve_quadratic(Z, objective, W, strength)
    spectrum = np.einsum("ir,ir->r", Z, Z) / N
    if start is None:
        B, b = np.zeros((P, r, c), dtype), np.zeros((P, c), dtype)
        F = np.zeros((P, N, c), dtype)
    else:
        B, b = start[0].copy(), start[1].copy()
        F = (Z @ B.transpose(1, 0, 2).reshape(r, P * c)).reshape(N, P, c).transpose(1, 0, 2)
        F = F + b[:, None]
    loss = _data_loss(objective, F, W) + 0.5 * strength * np.einsum("prc,prc->p", B, B)
    history, active = [], np.arange(P)
    factor = objective.separable and r <= _LARGEST_FACTOR
    rows = np.concatenate([Z, np.ones((N, 1), dtype)], axis=1) if factor else None
    for _ in range(max_iter):
        problems = F[active], B[active], W[active], strength[active]
        if factor:
            dB, db, dF = _factored_step(rows, objective, *problems)
        else:
            dB, db, dF = _cg_step(Z, objective, *problems, spectrum, loss[active], max_cg)
        cross, square = np.einsum("prc,prc->p", B[active], dB), np.einsum("prc,prc->p", dB, dB)
        norm = np.einsum("prc,prc->p", B[active], B[active])
        t, new = _line_search(
            objective,
            F[active],
            dF,
            W[active],
            strength[active],
            norm,
            cross,
            square,
            loss[active],
        )
        B[active] += t[:, None, None] * dB
        b[active] += t[:, None] * db
        F[active] += t[:, None, None] * dF
        moved = loss[active] - new
        loss[active] = new
        history.append(loss.copy())
        active = active[moved > tol * np.abs(new)]
        if not len(active):
            break
    return B, b, F, history


def ridge_path(Z, y, weight, strengths):
    """Least squares with intercept for many strengths at the price of one, by the eigenvectors of
    the weighted Gram matrix: min_B sum_i w_i |Z_i B + b - y_i|^2 + strength ||B||^2.

    Z (N, r), y (N, c), weight (N,), strengths (A,) -> B (A, r, c), b (A, c)
    """
    total = max(float(weight.sum()), np.finfo(Z.dtype).tiny)
    center, mean = (weight @ Z) / total, (weight @ y) / total
    rows = weight > 0
    root = np.sqrt(weight[rows])[:, None]
    Zw, yw = root * (Z[rows] - center), root * (y[rows] - mean)
    # The smallest eigenvalues decide where the penalty is weak, and single precision loses them.
    gram, target = (Zw.T @ Zw).astype(np.float64), (Zw.T @ yw).astype(np.float64)
    rounding = np.finfo(Z.dtype).eps * max(float(np.trace(gram)), 1e-30)
    if len(strengths) == 1:
        np.einsum("ii->i", gram)[:] += strengths[0] + rounding
        B = cho_solve(cho_factor(gram, overwrite_a=True), target)[None].astype(Z.dtype)
    else:
        lam, U = np.linalg.eigh(gram)
        lam = np.maximum(lam, 0) + rounding
        B = U @ (U.T @ target / (lam[:, None] + np.reshape(strengths, (-1, 1, 1))))
        B = B.astype(Z.dtype)
    return B, (mean - np.einsum("r,arc->ac", center, B)).astype(Z.dtype)


def _solve_quadratic(Z, objective, W, strength):
    solved = [ridge_path(Z, objective.y, w, [s]) for w, s in zip(W, strength, strict=True)]
    B, b = (np.concatenate(part) for part in zip(*solved, strict=True))
    F = Z @ B + b[:, None]
    loss = _data_loss(objective, F, W) + 0.5 * strength * np.einsum("prc,prc->p", B, B)
    return B, b, F, [loss]


def _data_loss(objective, F, W):
    """sum_i w_ip loss(F_pi): F (P, N, c), W (P, N) -> (P,)"""
    return np.einsum("pn,pn->p", W, objective.values(F), dtype=np.float64)


def _line_search(objective, F, dF, W, strength, norm, cross, square, loss):
    """The largest of the steps 1, 1/2, 1/4, ... that lowers the loss, 0 if none does."""
    t, new = np.zeros(len(F), F.dtype), loss.copy()
    waiting, step = np.arange(len(F)), 1.0
    while len(waiting) and step > 1e-3:
        q = waiting
        ridge = 0.5 * strength[q] * (norm[q] + 2 * step * cross[q] + step**2 * square[q])
        trial = _data_loss(objective, F[q] + F.dtype.type(step) * dF[q], W[q]) + ridge
        good = trial < loss[q]
        t[q[good]], new[q[good]] = step, trial[good]
        waiting, step = q[~good], step / 2
    return t, new


def _factored_step(rows, objective, F, B, W, strength):
    """The Newton direction of every problem and score, each from the Cholesky factor of its
    Hessian.

    rows: features and a last column of ones (N, r + 1), F (P, N, c), B (P, r, c), W (P, N)
    -> dB (P, r, c), db (P, c), dF (P, N, c)
    """
    slope, h = objective.derivatives(F)
    ridge = np.ones(rows.shape[1], rows.dtype)
    ridge[-1] = 0
    step = np.empty((len(F), rows.shape[1], F.shape[2]), F.dtype)
    for p, k in np.ndindex(len(F), F.shape[2]):
        gradient = rows.T @ (W[p] * slope[p, :, k])
        gradient[:-1] += strength[p] * B[p, :, k]
        scaled = np.sqrt(W[p] * h[p, :, k])[:, None] * rows
        hessian = scaled.T @ scaled
        diagonal = np.einsum("ii->i", hessian)
        # Rounding of the product may have made the smallest eigenvalues negative.
        rounding = 8 * np.finfo(F.dtype).eps * diagonal.max()
        diagonal += strength[p] * ridge + max(rounding, np.finfo(F.dtype).tiny)
        step[p, :, k] = -cho_solve(cho_factor(hessian, overwrite_a=True), gradient)
    return step[:, :-1], step[:, -1], rows @ step


def _cg_step(Z, objective, F, B, W, strength, spectrum, loss, max_cg):
    """One inexact Newton direction for every problem, by conjugate gradients.

    F (P, N, c), B (P, r, c), W (P, N) -> dB (P, r, c), db (P, c), dF (P, N, c)
    """
    P, N, c = F.shape
    r = Z.shape[1]
    w = W[:, :, None]
    slope, h = objective.derivatives(F)
    ridge = strength[:, None, None]
    # The Hessian, were the curvature the same in all rows and the features uncorrelated: they
    # nearly are, being eigenvectors of the kernel.
    mean_curve = np.sum(w * objective.curve_diagonal(h), axis=(1, 2)) / c
    mean_curve = np.maximum(mean_curve, np.finfo(F.dtype).eps * np.maximum(W.sum(1), 1))
    precondition = (1 / (mean_curve[:, None] * spectrum + strength[:, None]))[:, :, None]
    precondition_b = (1 / mean_curve)[:, None]

    # (N, P c) and (r, P c): one matrix product for all problems.
    def forward(d):
        return (Z @ d.transpose(1, 0, 2).reshape(r, P * c)).reshape(N, P, c).transpose(1, 0, 2)

    def backward(t):
        flat = np.ascontiguousarray(t.transpose(1, 0, 2)).reshape(N, P * c)
        return (Z.T @ flat).reshape(r, P, c).transpose(1, 0, 2)

    def dot(u, v, ub, vb):
        return np.einsum("prc,prc->p", u, v) + np.einsum("pc,pc->p", ub, vb)

    residual = w * slope
    res = -objective.centred(backward(residual) + ridge * B)
    res_b = -objective.centred(residual.sum(1))
    z, zb = precondition * res, precondition_b * res_b
    d, db = z.copy(), zb.copy()
    x, xb, dF = np.zeros_like(B), np.zeros_like(res_b), np.zeros_like(F)
    rz = dot(res, z, res_b, zb)
    # Inexact Newton: far from the solution a rough step is enough, near it an exact one.
    goal = rz * np.minimum(0.01, rz / np.maximum(np.abs(loss), 1e-30))
    for _ in range(max_cg):
        live = rz > goal
        if not live.any():
            break
        f = forward(d) + db[:, None]
        t = w * objective.curve(h, f)
        bent, bent_b = objective.centred(backward(t) + ridge * d), objective.centred(t.sum(1))
        bend = dot(d, bent, db, bent_b)
        a = np.where(live & (bend > 0), rz / np.where(bend > 0, bend, 1), 0).astype(F.dtype)
        x += a[:, None, None] * d
        xb += a[:, None] * db
        dF += a[:, None, None] * f
        res -= a[:, None, None] * bent
        res_b -= a[:, None] * bent_b
        z, zb = precondition * res, precondition_b * res_b
        new = dot(res, z, res_b, zb)
        beta = np.where(live, new / np.where(rz > 0, rz, 1), 0).astype(F.dtype)
        d = z + beta[:, None, None] * d
        db = zb + beta[:, None] * db
        rz = np.where(live, new, rz)
    return x, xb, dF
