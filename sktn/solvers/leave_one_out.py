"""Ridge regressions with their leave-one-out errors, for all columns of a table in turn.

The kernel of column j is the product over all other columns; the products without each are made
together. Rows meet landmarks instead of each other (Nystroem), so that time and memory grow with
the number of rows.
"""

from dataclasses import dataclass

import numpy as np
from scipy.linalg import cho_factor, cho_solve, cholesky, solve_triangular
from scipy.optimize import nnls

__all__ = [
    "Ridge",
    "fit_ridge",
    "left_out_predictions",
    "products_without_each",
    "stacking_weights",
]

# Strengths of the ridge relative to the mean of the kernel's diagonal, in half decades: from next
# to interpolation to next to the mean. The leave-one-out error is cheap, so there are many.
STRENGTHS = 10.0 ** np.arange(-6.0, 3.1, 0.5)


def products_without_each(left, right, wanted=None):
    """prod_{i != j} <a_i, b_i> for every site j, in n log n products instead of n^2.

    Half of the sites is multiplied up and handed to the other half, and so on down to single ones;
    memory is that of log n matrices.

    left (b, n, d), right (m, n, d), wanted (n,) bool -> iterator of (j, (b, m))
    """
    n = left.shape[1]
    wanted = np.ones(n, dtype=bool) if wanted is None else wanted
    left, right = left.transpose(1, 0, 2), right.transpose(1, 2, 0)

    def descend(sites, product):
        if not wanted[sites].any():
            return
        if len(sites) == 1:
            yield int(sites[0]), product
            return
        half = len(sites) // 2
        for here, there in ((sites[:half], sites[half:]), (sites[half:], sites[:half])):
            if not wanted[here].any():
                continue
            narrower = product.copy()
            for i in there:
                narrower *= left[i] @ right[i]
            yield from descend(here, narrower)

    if n:
        yield from descend(np.arange(n), np.ones((left.shape[1], right.shape[2])))


@dataclass(frozen=True, eq=False)
class Ridge:
    """f(x) = k(x, landmarks) dual + intercept, with the predictions for rows left out.

    dual (m, c), intercept (c,), left_out (b, c), error mean squared error of these
    """

    dual: np.ndarray
    intercept: np.ndarray
    left_out: np.ndarray
    error: float

    def predict(self, kernel):
        """kernel (b, m) -> (b, c)"""
        return kernel @ self.dual + self.intercept


def fit_ridge(kernel, landmark_kernel, y, strengths=STRENGTHS):
    """The ridge regression whose leave-one-out error is least.

        min_{B, b} sum_i |z_i B + b - y_i|^2 + strength ||B||^2,   Z = K_bm L^-T,  K_mm = L L^T

    By the eigenvectors U of the centred Z^T Z all strengths cost one factorisation; a row left out
    has the residual r_i / (1 - h_i), h the diagonal of the hat matrix.

    kernel (b, m), landmark_kernel (m, m), y (b, c) -> Ridge
    """
    m = len(landmark_kernel)
    scale, mean = float(np.trace(landmark_kernel)) / m, y.mean(axis=0)
    if not scale > 0.0:  # no column to learn from
        left_out = mean - (y - mean) / max(len(y) - 1, 1)
        error = float(np.mean((y - left_out) ** 2))
        return Ridge(np.zeros((m, y.shape[1])), mean, left_out, error)
    # Landmarks that repeat each other make the kernel singular; rounding is their difference.
    L = cholesky(landmark_kernel + 1e-8 * scale * np.eye(m), lower=True)
    Z = solve_triangular(L, kernel.T, lower=True).T
    center = Z.mean(axis=0)
    Z = Z - center
    spectrum, U = np.linalg.eigh(Z.T @ Z)
    spectrum = np.maximum(spectrum, 0.0)
    T, residual0 = Z @ U, y - mean
    projection = T.T @ residual0
    best = None
    for strength in strengths * scale:
        shrunk = 1.0 / (spectrum + strength)
        hat = 1.0 / len(y) + (T * T) @ shrunk
        residual = residual0 - T @ (shrunk[:, None] * projection)
        left_out = y - residual / np.maximum(1.0 - hat, 1e-8)[:, None]
        error = float(np.mean((y - left_out) ** 2))
        if best is None or error < best[0]:
            best = error, shrunk, left_out
    error, shrunk, left_out = best
    B = U @ (shrunk[:, None] * projection)
    return Ridge(solve_triangular(L, B, lower=True, trans="T"), mean - center @ B, left_out, error)


def left_out_predictions(Z, y, weight, groups, strength):
    """What a ridge regression says of each row when it has not seen the row nor its copies.

        min_B sum_i w_i |z_i B - y_i|^2 + strength ||B||^2 ,
        z_i B_without = z_i B - h_i sum_g w_j r_j / (1 - sum_g w_j h_j) ,

    the last column of Z the constant, whose coefficient is free; h_i = z_i A^-1 z_i, A the Hessian,
    r residuals, g the copies of row i (the formula of Sherman, Morrison and Woodbury).

    Z (b, r + 1), y (b, c), weight (b,), groups (b,) integers, equal for equal rows of Z -> (b, c)
    """
    Z, y, weight = (np.asarray(array, np.float64) for array in (Z, y, weight))
    weighted = weight[:, None] * Z
    A = Z.T @ weighted
    # Copies of a feature differ by the rounding of their kernel.
    charges = np.full(len(A), strength + np.finfo(np.float32).eps * np.trace(A))
    charges[-1] = 0
    factors = cho_factor(A + np.diag(charges), overwrite_a=True)
    fitted = Z @ cho_solve(factors, weighted.T @ y)
    h = np.einsum("br,rb->b", Z, cho_solve(factors, Z.T))
    leverage = np.bincount(groups, weights=weight * h)
    sums = np.stack([np.bincount(groups, weights=weight * r) for r in (y - fitted).T], axis=1)
    # A row of weight without end is met whatever it says.
    sums /= np.maximum(1 - leverage, 1e-8)[:, None]
    return fitted - h[:, None] * sums[groups]


def stacking_weights(left_out, y):
    """Non-negative weights of models, by what they say of rows left out (Breiman, 1996).

    Weights that add up to less than one draw towards the mean of y, which is 0; they never add up
    to more.

    left_out list of (b, c), y (b, c) of mean 0 -> (len(left_out),)
    """
    columns = np.stack([values.ravel() for values in left_out], axis=1)
    weights, _ = nnls(columns, y.ravel())
    return weights / max(1.0, float(weights.sum()))
