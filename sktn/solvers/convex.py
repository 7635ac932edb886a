"""The penalised loss at unlimited bond dimension: a convex problem, solved exactly.

With the ridge in function space J = sum_s prod_i g_i(s_i) W[s]^2 (`networks.mps.mean_and_penalty`)
and no bound on the bond dimension, W is any tensor, and the representer theorem gives the
minimiser

    f_c(x) = b_c + sum_m beta_mc (prod_i k_i(x_i, x_mi) - 1)
    k_i(x, y) = 1 + sum_{s>0} phi_is(x) phi_is(y) / g_i(s) ,

a multinomial logistic regression in an ANOVA kernel. It needs no start, no learning rate and no
bond dimension. Rows beyond a number of landmarks enter through Nystroem features. All problems
that share a design (strengths alpha x folds, folds as 0/1 weights) are solved together, so that
every matrix product is one large one.

This is NumPy, not JAX: the work is large matrix products, sizes change from call to call, and a
table of a few hundred rows is solved in less time than a compilation takes.
"""

import numpy as np
from scipy.special import expit, log_expit, log_softmax, softmax

# Rows of a block of the kernel: the block stays in the cache while it is multiplied up.
_BLOCK = 256


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


def solve(Z, labels, n_classes, W, alpha, *, start=None, tol=1e-6, max_iter=50, max_cg=40):
    """Ridge-penalised multinomial logistic regression, P problems on one design at a time:

        min_{B, b}  sum_i w_ip CE(Z_i B_p + b_p, y_i) + alpha_p (c > 1 ? 1 : 1/2) ||B_p||^2

    by Newton's method with preconditioned conjugate gradients. Its line search costs no matrix
    product, scores being linear in the step. A problem leaves the batch when its loss falls by
    less than `tol` of itself. One score stands for two classes, see `losses.logits`, hence the
    1/2.

    Z (N, r), labels (N,), W (N, P), alpha (P,), start: (B, b) to begin at
    -> B (P, r, c), b (P, c), scores (P, N, c), losses: list of (P,), one a Newton step
    """
    N, r = Z.shape
    c = 1 if n_classes == 2 else n_classes
    P = W.shape[1]
    dtype = Z.dtype
    W = np.ascontiguousarray(W.T.astype(dtype, copy=False))  # (P, N)
    strength = (2 * np.asarray(alpha, np.float64) * (0.5 if c == 1 else 1.0)).astype(dtype)
    target = np.zeros((N, c), dtype)
    if c == 1:
        target[:, 0] = labels == 1
    else:
        target[np.arange(N), labels] = 1
    spectrum = np.einsum("ir,ir->r", Z, Z) / N
    if start is None:
        B, b = np.zeros((P, r, c), dtype), np.zeros((P, c), dtype)
        F = np.zeros((P, N, c), dtype)
    else:
        B, b = start[0].copy(), start[1].copy()
        F = (Z @ B.transpose(1, 0, 2).reshape(r, P * c)).reshape(N, P, c).transpose(1, 0, 2)
        F = F + b[:, None]
    loss = _data_loss(F, labels, W) + 0.5 * strength * np.einsum("prc,prc->p", B, B)
    history, active = [], np.arange(P)
    for _ in range(max_iter):
        step = _newton_step(
            Z, F[active], B[active], W[active], target, strength[active], spectrum, loss[active],
            max_cg,
        )  # fmt: skip
        dB, db, dF = step
        cross, square = np.einsum("prc,prc->p", B[active], dB), np.einsum("prc,prc->p", dB, dB)
        norm = np.einsum("prc,prc->p", B[active], B[active])
        t, new = _line_search(
            F[active], dF, labels, W[active], strength[active], norm, cross, square, loss[active]
        )
        B[active] += t[:, None, None] * dB
        b[active] += t[:, None] * db
        F[active] += t[:, None, None] * dF
        moved = loss[active] - new
        loss[active] = new
        history.append(loss.copy())
        active = active[moved > tol * new]
        if not len(active):
            break
    return B, b, F, history


def _data_loss(F, labels, W):
    """sum_i w_ip CE(F_pi, y_i): F (P, N, c), W (P, N) -> (P,)"""
    if F.shape[2] == 1:
        sign = np.where(labels == 1, 1, -1).astype(F.dtype)
        log_proba = log_expit(sign * F[:, :, 0])
    else:
        log_proba = log_softmax(F, axis=2)[:, np.arange(len(labels)), labels]
    return -np.einsum("pn,pn->p", W, log_proba, dtype=np.float64)


def _line_search(F, dF, labels, W, strength, norm, cross, square, loss):
    """The largest of the steps 1, 1/2, 1/4, ... that lowers the loss, 0 if none does."""
    t, new = np.zeros(len(F), F.dtype), loss.copy()
    waiting, step = np.arange(len(F)), 1.0
    while len(waiting) and step > 1e-3:
        q = waiting
        ridge = 0.5 * strength[q] * (norm[q] + 2 * step * cross[q] + step**2 * square[q])
        trial = _data_loss(F[q] + F.dtype.type(step) * dF[q], labels, W[q]) + ridge
        good = trial < loss[q]
        t[q[good]], new[q[good]] = step, trial[good]
        waiting, step = q[~good], step / 2
    return t, new


def _newton_step(Z, F, B, W, target, strength, spectrum, loss, max_cg):
    """One inexact Newton direction for every problem, by conjugate gradients.

    F (P, N, c), B (P, r, c), W (P, N) -> dB (P, r, c), db (P, c), dF (P, N, c)
    """
    P, N, c = F.shape
    r = Z.shape[1]
    p = expit(F) if c == 1 else softmax(F, axis=2)
    w = W[:, :, None]
    curve = w * p * (1 - p) if c == 1 else w * p
    ridge = strength[:, None, None]
    # The Hessian, were the curvature the same in all rows and the features uncorrelated: they
    # nearly are, being eigenvectors of the kernel.
    mean_curve = np.sum(curve if c == 1 else curve * (1 - p), axis=(1, 2)) / c
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

    def centred(x):
        # The same number added to all classes changes nothing. Without curvature there, conjugate
        # gradients would carry rounding errors in this direction to any size.
        return x - x.mean(-1, keepdims=True) if c > 1 else x

    residual = w * (p - target)
    res, res_b = -centred(backward(residual) + ridge * B), -centred(residual.sum(1))
    z, zb = precondition * res, precondition_b * res_b
    d, db = z.copy(), zb.copy()
    x, xb, dF = np.zeros_like(B), np.zeros_like(res_b), np.zeros_like(F)
    rz = dot(res, z, res_b, zb)
    # Inexact Newton: far from the solution a rough step is enough, near it an exact one.
    goal = rz * np.minimum(0.01, rz / np.maximum(loss, 1e-30))
    for _ in range(max_cg):
        live = rz > goal
        if not live.any():
            break
        f = forward(d) + db[:, None]
        t = curve * (f if c == 1 else f - np.sum(p * f, axis=2, keepdims=True))
        h, hb = centred(backward(t) + ridge * d), centred(t.sum(1))
        bend = dot(d, h, db, hb)
        a = np.where(live & (bend > 0), rz / np.where(bend > 0, bend, 1), 0).astype(F.dtype)
        x += a[:, None, None] * d
        xb += a[:, None] * db
        dF += a[:, None, None] * f
        res -= a[:, None, None] * h
        res_b -= a[:, None] * hb
        z, zb = precondition * res, precondition_b * res_b
        new = dot(res, z, res_b, zb)
        beta = np.where(live, new / np.where(rz > 0, rz, 1), 0).astype(F.dtype)
        d = z + beta[:, None, None] * d
        db = zb + beta[:, None] * db
        rz = np.where(live, new, rz)
    return x, xb, dF
