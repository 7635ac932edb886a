"""The penalised loss at unlimited bond dimension: a convex problem, solved exactly.

With the ridge in function space J = sum_s prod_i g_i(s_i) W[s]^2 (`networks.mps.mean_and_penalty`)
and no bound on the bond dimension, W is any tensor, and the representer theorem gives the
minimiser

    f_c(x) = b_c + sum_m beta_mc (prod_i k_i(x_i, x_mi) - 1)
    k_i(x, y) = 1 + sum_{s>0} phi_is(x) phi_is(y) / g_i(s) ,

a multinomial logistic regression in an ANOVA kernel. It needs no start, no learning rate and no
bond dimension. Rows beyond `max_landmarks` enter through Nystroem features. All right-hand sides
(strengths alpha x folds, folds as 0/1 weights) are solved in lockstep, so that every matrix
product is one large one.
"""

from functools import partial

import jax
import jax.numpy as jnp

from sktn.losses import logits


def weighted_inputs(phi, g):
    """a_is = phi_is / sqrt(g_is): the basis in which J is the plain squared norm.

    phi (b, n, d), g (n, d) -> (b, n, d)
    """
    return phi / jnp.sqrt(g)


@jax.jit
def product_kernel(a, b):
    """prod_i <a_i, b_i> - 1 for site vectors whose first component is 1.

    The product without its 1 is built up as it is, e <- e + k + e k, and does not cancel.

    a (m, n, d), b (k, n, d) -> (m, k)
    """

    def absorb(e, site):
        x, y = site
        k = x[:, 1:] @ y[:, 1:].T
        return e + k + e * k, None

    start = jnp.zeros((a.shape[0], b.shape[0]), a.dtype)
    return jax.lax.scan(absorb, start, (jnp.moveaxis(a, 1, 0), jnp.moveaxis(b, 1, 0)))[0]


@jax.jit
def nystroem_map(landmark_kernel):
    """V with K(x, landmarks) V = features whose inner products are the kernel's, and the
    eigenvalues (padded landmarks: zero rows and columns) divided by the number of landmarks.

    landmark_kernel (m, m) -> V (m, m), spectrum (m,)
    """
    lam, U = jnp.linalg.eigh((landmark_kernel + landmark_kernel.T) / 2)
    # Directions below rounding carry noise times 1 / sqrt(lam).
    kept = lam > 8 * jnp.finfo(lam.dtype).eps * lam[-1]
    lam = jnp.where(kept, lam, 0)
    V = jnp.where(kept, U / jnp.sqrt(jnp.where(kept, lam, 1)), 0)
    return V, lam


@partial(jax.jit, static_argnames=("max_iter",))
def solve(Z, curvature, Y, W, alpha, start=None, tol=1e-6, max_iter=40):
    """Ridge-penalised multinomial logistic regression, P problems on one design at a time:

        min_{B, b}  sum_i w_ip CE(Z_i B_p + b_p, y_i) + alpha_p (c > 1 ? 1 : 1/2) ||B_p||^2

    by Newton's method with preconditioned conjugate gradients and a line search that costs no
    matrix product (scores are linear in the step). One score stands for two classes, see
    `losses.logits`, hence its 1/2.

    Z (N, r), curvature (r,) = diagonal of Z^T Z / N, Y (N, max(c, 2)) one-hot, W (N, P),
    alpha (P,) -> B (r, c, P), b (c, P), scores (N, c, P), iterations (), losses (max_iter, P)
    """
    N, r = Z.shape
    P = W.shape[1]
    c = 1 if Y.shape[1] == 2 else Y.shape[1]
    strength = 2 * alpha * (0.5 if c == 1 else 1.0)
    total = W.sum(0)
    # An upper bound on the softmax's curvature at the start, halved: closer to where it ends.
    bound = 0.25 if c == 1 else 0.5 * (1 - 1 / c)
    precondition = 1 / (0.5 * bound * curvature[:, None, None] * total + strength)
    precondition_b = 1 / jnp.where(total > 0, 0.5 * bound * total, 1)

    def forward(B):
        return (Z @ B.reshape(r, c * P)).reshape(N, c, P)

    def backward(R):
        return (Z.T @ R.reshape(N, c * P)).reshape(r, c, P)

    def dot(x, y):
        return sum(jnp.sum(a * b, axis=(0, 1)) if a.ndim == 3 else jnp.sum(a * b, axis=0)
                   for a, b in zip(x, y, strict=True))  # fmt: skip

    def probabilities(F):
        if c == 1:
            return jax.nn.sigmoid(F)
        return jax.nn.softmax(F, axis=1)

    target = Y[:, 1:, None] if c == 1 else Y[:, :, None]
    weight = W[:, None, :]

    def data_loss(F):
        log_proba = jax.nn.log_softmax(logits(jnp.moveaxis(F, 1, 2)), axis=-1)
        return -jnp.sum(W[:, :, None] * Y[:, None, :] * log_proba, axis=(0, 2))

    def newton(state):
        B, b, F, loss, done, iteration, curve = state
        p = probabilities(F)
        residual = weight * (p - target)
        gradient = (backward(residual) + strength * B, residual.sum(0))

        def hessian(v):
            dF = forward(v[0]) + v[1]
            if c == 1:
                t = weight * p * (1 - p) * dF
            else:
                t = weight * p * (dF - jnp.sum(p * dF, axis=1, keepdims=True))
            return (backward(t) + strength * v[0], t.sum(0)), dF

        def apply_preconditioner(v):
            return (precondition * v[0], precondition_b * v[1])

        rhs = jax.tree.map(jnp.negative, gradient)
        z = apply_preconditioner(rhs)
        rz = dot(rhs, z)
        # Inexact Newton: far from the solution a rough step is enough, near it an exact one.
        target_rz = rz * jnp.minimum(0.01, rz / jnp.maximum(loss, 1e-30))

        def cg_step(cg):
            x, res, d, rz, dF, k = cg
            Hd, f = hessian(d)
            bend = dot(d, Hd)
            live = (rz > target_rz) & (bend > 0) & ~done
            a = jnp.where(live, rz / jnp.where(live, bend, 1), 0)
            x = jax.tree.map(lambda u, v: u + a * v, x, d)
            res = jax.tree.map(lambda u, v: u - a * v, res, Hd)
            z = apply_preconditioner(res)
            new = dot(res, z)
            beta = jnp.where(live, new / jnp.where(rz > 0, rz, 1), 0)
            d = jax.tree.map(lambda u, v: jnp.where(live, u + beta * v, v), z, d)
            return x, res, d, jnp.where(live, new, rz), dF + a * f, k + 1

        def cg_running(cg):
            return (cg[5] < 25) & jnp.any((cg[3] > target_rz) & ~done)

        zero = jax.tree.map(jnp.zeros_like, rhs)
        cg = (zero, rhs, z, rz, jnp.zeros_like(F), 0)
        (dB, db), _, _, _, dF, _ = jax.lax.while_loop(cg_running, cg_step, cg)

        squares = [jnp.sum(u * v, axis=(0, 1)) for u, v in ((B, B), (B, dB), (dB, dB))]
        steps = jnp.array([1.0, 0.5, 0.25, 0.1, 0.03, 0.01, 0.0], Z.dtype)
        losses = jax.lax.map(
            lambda t: (
                data_loss(F + t * dF)
                + 0.5 * strength * (squares[0] + 2 * t * squares[1] + t * t * squares[2])
            ),
            steps,
        )
        best = jnp.argmin(losses, axis=0)
        t, new_loss = steps[best], losses.min(0)
        done = done | (loss - new_loss <= tol * loss)
        curve = curve.at[iteration].set(new_loss)
        return B + t * dB, b + t * db, F + t * dF, new_loss, done, iteration + 1, curve

    if start is None:
        B, b = jnp.zeros((r, c, P), Z.dtype), jnp.zeros((c, P), Z.dtype)
        F = jnp.zeros((N, c, P), Z.dtype)
    else:
        B, b = start
        F = forward(B) + b
    loss = data_loss(F) + 0.5 * strength * jnp.sum(B * B, axis=(0, 1))
    state = (B, b, F, loss, jnp.zeros(P, bool), 0, jnp.zeros((max_iter, P), Z.dtype))
    B, b, F, _, _, iterations, curve = jax.lax.while_loop(
        lambda s: (s[5] < max_iter) & ~jnp.all(s[4]), newton, state
    )
    return B, b, F, iterations, curve
