"""Local problems of least squares by a factorisation: as many equations as there are rows, or
numbers in the core, whichever are fewer.

With z_i = x_i (x) y_i, rows of the matrix Z, and v the same of the constant,

    min_A  sum_i w_i (<z_i, A> - target_i)^2 / 2 + strength (|A|^2 - <v, A>^2) / 2 .
"""

import numpy as np
from scipy.linalg import cho_factor, cho_solve

from sktn.networks.linalg import outer

# What an application of the Hessian costs beside its products, in multiplications.
_OVERHEAD = 2e6


def pays(n_rows, k, q, n_steps):
    """Whether a factorisation is cheaper than so many steps of conjugate gradients."""
    dual = n_rows**2 * (k + q) + n_rows**3 / 3
    primal = n_rows * (k * q) ** 2 + (k * q) ** 3 / 3
    return min(dual, primal) < n_steps * (4 * n_rows * k * q + _OVERHEAD)


def least_squares(X, Y, constant, target, weight, strength):
    """The minimum for every column of the target.

    X (N, k), Y (N, q), constant: of (1, k) and (1, q), target (N, c), weight (N,)
    -> A (c, k, q). Raises LinAlgError where the minimum is not unique.
    """
    rows = np.flatnonzero(weight > 0)
    X, Y = X[rows], Y[rows]
    target, weight = target[rows].astype(np.float64), weight[rows].astype(np.float64)
    if len(rows) < X.shape[1] * Y.shape[1]:
        return _by_rows(X, Y, constant, target, weight, strength)
    return _by_entries(X, Y, constant, target, weight, strength)


def _by_rows(X, Y, constant, target, weight, strength):
    """A = Z^T lam + t v  with  (Z Z^T + strength / w) lam + t Z v = target,
    <Z v, lam> = (1 - |v|^2) t."""
    x, y = constant
    gram = ((X @ X.T) * (Y @ Y.T)).astype(np.float64)
    u = ((X @ x.T) * (Y @ y.T)).astype(np.float64)
    rounding = np.finfo(X.dtype).eps * gram.diagonal().max()
    gram[np.diag_indices_from(gram)] += strength / weight + rounding
    solved = cho_solve(
        cho_factor(gram, lower=True, overwrite_a=True, check_finite=False),
        np.concatenate([u, target], axis=1),
        check_finite=False,
    )
    of_u, of_target = solved[:, :1], solved[:, 1:]
    left = max(0.0, 1 - ((x @ x.T) * (y @ y.T)).item())
    bend = (u.T @ of_u).item() + left
    t = (u.T @ of_target) / bend if bend > 0 else np.zeros((1, target.shape[1]))
    lam = (of_target - of_u * t).T.astype(X.dtype)
    along = x[0][:, None] * y[0]
    return np.stack([X.T @ (own[:, None] * Y) for own in lam]) + (
        t[0][:, None, None] * along
    ).astype(X.dtype)


def _by_entries(X, Y, constant, target, weight, strength):
    """(Z^T W Z + strength (1 - v v^T)) A = Z^T W target"""
    x, y = constant
    root = np.sqrt(weight).astype(X.dtype)
    Z = outer(X, root[:, None] * Y)
    v = (x[0][:, None] * y[0]).ravel().astype(np.float64)
    hessian = (Z.T @ Z).astype(np.float64) - strength * v[:, None] * v
    rounding = np.finfo(X.dtype).eps * hessian.diagonal().max()
    hessian[np.diag_indices_from(hessian)] += strength + rounding
    rhs = Z.T.astype(np.float64) @ (np.sqrt(weight)[:, None] * target)
    A = cho_solve(cho_factor(hessian, lower=True, overwrite_a=True), rhs)
    return A.T.reshape(target.shape[1], X.shape[1], Y.shape[1]).astype(X.dtype)
