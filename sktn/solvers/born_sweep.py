"""Sweeps over chains whose squares enter a loss: Born machines and operators on product states.

What row i makes of a chain is a square, q_i = psi(x_i)^2 or ||P Phi(x_i)||^2. In the mixed
canonical gauge, where all cores but one are isometries that point to it, the norm of the chain is
that of this core A, and

    q_i = sum_kom ( sum_ps X_ikp A_pos far_ims )^2 ,    l_i = log q_i - log ||A||^2 ,

with k, o and m over what is summed out: output legs, missing values. The losses here are functions
of the l alone, so that the scale of the chain drops out. By Cauchy and Schwarz

    log q_i(A) >= 2 log (f_i . A) ,    f_i = G_i A_0 / sqrt(q_i(A_0)) ,    q_i(A) = A^T G_i A ,

with equality at A_0: -log q_i lies below a convex function that touches it there, and is this
function, between two changes of sign, where nothing is summed out. Its Newton step, by conjugate
gradients, is a descent direction, and the line search is on the loss itself.

Two-site updates solve for the product of two neighbours and split it by a truncated singular value
decomposition, so that the bond between them finds its dimension.

NumPy, like `solvers.sweep`. Two-site gradient steps on a Born machine: Han et al., Phys. Rev. X 8,
031012 (2018).
"""

from typing import NamedTuple

import numpy as np

from sktn.solvers.conjugate import conjugate_gradient
from sktn.solvers.sweep import Split

# Without a tolerance: bonds stay as they are.
_QR = Split(0, None)


class LogLikelihood:
    """- sum_i w_i l_i, the negative log-likelihood of a Born machine. weight (N,)"""

    # Second derivative in every l_i, in units of its weight.
    curvature = 0.0

    def __init__(self, weight):
        self.weight = weight / weight.sum()

    def value(self, logs):
        return -float(self.weight @ logs)

    def slopes(self, logs):
        return -self.weight


class LogNorms:
    """min_t sum_i w_i (l_i + t - 1)^2 + alpha relu(t): the loss of an operator whose log squared
    Frobenius norm t is the best one. weight (N,)

    The minimum over t has no kink, which the relu has at norm 1.
    """

    curvature = 2.0

    def __init__(self, weight, alpha):
        self.weight, self.alpha = weight / weight.sum(), alpha

    def log_scale(self, logs):
        """The best t."""
        mean = 1 - float(self.weight @ logs)
        return max(mean - self.alpha / 2, min(mean, 0.0))

    def value(self, logs):
        t = self.log_scale(logs)
        return float(self.weight @ (logs + t - 1) ** 2) + self.alpha * max(t, 0.0)

    def slopes(self, logs):
        return 2 * self.weight * (logs + self.log_scale(logs) - 1)


class Result(NamedTuple):
    """cores: list of (l, d, o, r), norm 1, all but the first isometries; losses: before the sweeps
    and after each; logs (N,): l at the end; converged: whether `tol` was reached."""

    cores: list
    losses: np.ndarray
    logs: np.ndarray
    converged: bool


def sweep(
    cores,
    sites,
    objective,
    *,
    split=None,
    max_sweeps=10,
    tol=1e-4,
    n_newton=1,
    n_cg=10,
):
    """Sweep from the first core to the last and back until the loss falls by less than `tol`.

    Parameters
    ----------
    cores : list of arrays (l, d, o, r)
    sites : list of arrays (N, e, d)
        Site vectors, e of them where their squares are summed: one for a value, the unit vectors
        for a missing one.
    objective : LogLikelihood or LogNorms
        On N rows.
    split : Split, default=None
        Update pairs of neighbours and split them like this. None: single cores, at fixed bond
        dimensions.
    n_newton, n_cg : int
        Newton steps of an update, conjugate gradient steps of each of them.

    Returns
    -------
    Result
    """
    chain = _Chain(cores, sites)
    width = 1 if split is None else min(2, len(cores))
    split = _QR if split is None else split
    logs = chain.logs()
    losses, converged = [objective.value(logs)], False
    while len(losses) <= max_sweeps and not converged:
        for _ in range(2):
            _pass(chain, objective, split, width, n_newton, n_cg)
            chain.mirror()
        logs = chain.logs()
        losses.append(objective.value(logs))
        converged = losses[-2] - losses[-1] < tol
    return Result(chain.cores, np.array(losses), logs, converged)


def log_squared_norm(cores):
    """log <psi, psi>: list of (l, d, o, r) -> float"""
    # By triangular factors: where most of psi cancels, rounding makes the products of cores with
    # themselves negative.
    R, log_scale = np.ones((1, 1), cores[0].dtype), 0.0
    for core in cores:
        A = np.tensordot(R, core, 1)
        R = np.linalg.qr(A.reshape(-1, A.shape[-1]), mode="r")
        scale = np.max(np.abs(R))
        R, log_scale = R / scale, log_scale + float(np.log(scale))
    return 2 * log_scale


def _pass(chain, objective, split, width, n_newton, n_cg):
    """From the first core, where the centre is, to the last."""
    n = len(chain.cores)
    for k in range(max(1, n - width)):
        A = chain.matrix(k, width)
        A = minimize_locally(chain.site(k, width), A, objective, n_newton, n_cg)
        chain.replace(k, width, A, split)
    # The last but one of two-site updates is the first of the way back.
    for k in range(max(1, n - width), n - 1):
        chain.replace(k, 1, chain.matrix(k, 1), _QR)


def minimize_locally(site, A, objective, n_newton, n_cg):
    """The core of norm 1 that minimises the loss with everything else fixed, begun at A: never a
    worse one.

    A (P, O, Q) -> (P, O, Q)
    """
    scalar, least = A.dtype.type, float(np.finfo(A.dtype).eps) ** 0.5
    A = A / np.linalg.norm(A)
    Y = site.forward(A)
    logs = site.logs(squares(Y), 1.0)
    loss = objective.value(logs)
    for _ in range(n_newton):
        slopes = objective.slopes(logs)
        q = np.maximum(squares(Y), np.finfo(A.dtype).tiny)
        relative = Y / q[:, None, None]
        # log ||A||^2 enters with minus the sum of the slopes; at norm 1 it lies below ||A||^2 - 1.
        ridge = -2 * slopes.sum()
        pull = site.adjoint(slopes.astype(A.dtype)[:, None, None] * relative)
        gradient = 2 * pull + scalar(ridge) * A
        # Gauss-Newton for the loss as a function of l, and what pushes q upwards as it is.
        h = 4 * objective.curvature * objective.weight + 2 * np.maximum(-slopes, 0)
        bend, diagonal = site.curvature(relative, h.astype(A.dtype))
        # Directions in which nothing else bends.
        ridge = scalar(ridge + 1e-6)
        D = conjugate_gradient(
            lambda V, bend=bend, ridge=ridge: bend(V) + ridge * V,
            lambda r, diagonal=diagonal + ridge: r / diagonal,
            np.zeros_like(A),
            -gradient,
            n_cg,
            tol=1e-4,
        )
        dY = site.forward(D)
        cross, square = 2 * np.einsum("njm,njm->n", Y, dY), squares(dY)
        along, length = 2 * float(np.vdot(A, D)), float(np.vdot(D, D))
        step = 1.0
        while step > 1e-3:
            # Not where all but rounding cancels.
            norm = max(1 + step * along + step**2 * length, least)
            trial = site.logs(q + scalar(step) * cross + scalar(step**2) * square, norm)
            value = objective.value(trial)
            if value < loss and norm > least:
                break
            step /= 2
        else:
            break
        shrink = scalar(norm**-0.5)
        A, Y = shrink * (A + scalar(step) * D), shrink * (Y + scalar(step) * dY)
        gained, loss, logs = loss - value, value, trial
        if gained < 1e-5:
            break
    return A


def squares(Y):
    """(N, j, m) -> (N,)"""
    return np.einsum("njm,njm->n", Y, Y)


class _Site:
    """The quadratic forms of a core (P, O, Q). X (N, K, P), far (N, M, Q), log_scale (N,)"""

    def __init__(self, X, far, log_scale):
        self.X, self.far, self.log_scale = X, far, log_scale

    def forward(self, A):
        """(P, O, Q) -> Y (N, K O, M), whose squares add up to q"""
        N, K, P = self.X.shape
        reached = (self.X.reshape(N * K, P) @ A.reshape(P, -1)).reshape(N, -1, A.shape[2])
        if self.far.shape[1] == 1:
            return np.einsum("njq,nq->nj", reached, self.far[:, 0])[:, :, None]
        return reached @ self.far.swapaxes(1, 2)

    def adjoint(self, Y):
        """(N, K O, M) -> (P, O, Q)"""
        N, K, P = self.X.shape
        back = self.X.reshape(N * K, P).T @ (Y @ self.far).reshape(N * K, -1)
        return back.reshape(P, -1, self.far.shape[2])

    def curvature(self, Y, h):
        """A -> sum_i h_i f_i (f_i . A) for f_i = G_i A_0, and its diagonal. Y = forward(A_0)"""
        if Y.shape[1:] == (1, 1):
            # f_i is a product: never formed.
            h = h * Y[:, 0, 0] ** 2
            diagonal = (self.X[:, 0] ** 2).T @ (h[:, None] * self.far[:, 0] ** 2)
            h = h[:, None, None]
            return lambda A: self.adjoint(h * self.forward(A)), diagonal[:, None]
        N, K, P = self.X.shape
        f = self.X.swapaxes(1, 2) @ (Y @ self.far).reshape(N, K, -1)
        shape, f = (P, -1, self.far.shape[2]), f.reshape(N, -1)
        return lambda A: ((h * (f @ A.ravel())) @ f).reshape(shape), (h @ f**2).reshape(shape)

    def logs(self, q, norm):
        """l (N,) of a core with these squares (N,) and this squared norm."""
        return np.log(np.maximum(q, np.finfo(q.dtype).tiny)) - np.log(norm) + self.log_scale


class _Chain:
    """Cores (l, d, o, r), the first of them the centre and the others isometries that point to it,
    site vectors x (N, e, d), and what lies before and behind every site: (N, k, bond) and the log
    of its squared scale (N,)."""

    def __init__(self, cores, sites):
        # To isometries from the last core on, whose squares are behind all others.
        self.cores = [core.transpose(3, 1, 2, 0) for core in cores[::-1]]
        self.sites = list(sites[::-1])
        end = np.ones((len(sites[0]), 1, 1), sites[0].dtype), np.zeros(len(sites[0]))
        self.before, self.behind = [[end] * len(cores) for _ in range(2)]
        for k in range(len(cores) - 1):
            self.replace(k, 1, self.matrix(k, 1), _QR)
        self.mirror()

    def mirror(self):
        self.cores = [core.transpose(3, 1, 2, 0) for core in self.cores[::-1]]
        self.sites.reverse()
        self.before, self.behind = self.behind[::-1], self.before[::-1]

    def logs(self):
        """l (N,) of the chain, its centre the first core."""
        site, A = self.site(0, 1), self.matrix(0, 1)
        return site.logs(squares(site.forward(A)), np.vdot(A, A))

    def site(self, k, width):
        """The quadratic forms of core k, or of the product of cores k and k + 1."""
        (_, log_before), (far, log_behind) = self.before[k], self.behind[k + width - 1]
        if width == 2:
            far = np.einsum("ned,nmr->nemdr", self.sites[k + 1], far)
            far = far.reshape(len(far), -1, far.shape[3] * far.shape[4])
        return _Site(self._features(k), far, log_before + log_behind)

    def matrix(self, k, width):
        """Core k (l d, o, r), or the product of cores k and k + 1 (l d, o o', d' r)."""
        l, d, o, r = self.cores[k].shape
        if width == 1:
            return self.cores[k].reshape(l * d, o, r)
        pair = np.tensordot(self.cores[k], self.cores[k + 1], 1).swapaxes(3, 4)
        return pair.reshape(l * d, o * pair.shape[3], -1)

    def replace(self, k, width, A, split):
        """A becomes what `matrix` says, and the centre moves on to core k + 1, if there is one."""
        l, d, o, r = self.cores[k].shape
        if k + 1 == len(self.cores):
            self.cores[k] = A.reshape(l, d, o, r)
            return
        Q, rest = split.left(A.reshape(l * d * o, -1))
        self._settle(k, Q.reshape(l, d, o, -1))
        # Long chains that are not normalised yet would overflow.
        rest = rest / np.linalg.norm(rest)
        if width == 1:
            self.cores[k + 1] = np.tensordot(rest, self.cores[k + 1], 1)
        else:
            _, e, u, r = self.cores[k + 1].shape
            self.cores[k + 1] = rest.reshape(-1, u, e, r).swapaxes(1, 2)

    def _features(self, k):
        """(N, k e, l d)"""
        reached, x = self.before[k][0], self.sites[k]
        X = np.einsum("nkl,ned->nkeld", reached, x)
        return X.reshape(len(x), -1, X.shape[3] * X.shape[4])

    def _settle(self, k, core):
        """Core k becomes an isometry, and what lies before the next one follows."""
        self.cores[k] = core
        l, d, o, r = core.shape
        new = self._features(k).reshape(-1, l * d) @ core.reshape(l * d, o * r)
        new = new.reshape(len(self.sites[k]), -1, r)
        if new.shape[1] > r:
            # Squares see new^T new alone.
            new = np.linalg.qr(new, mode="r")
        largest = np.max(np.abs(new), axis=(1, 2))
        # A power of two, by which a division is exact.
        exponent = np.frexp(largest)[1] - 1
        log = self.before[k][1] + 2 * np.log(2) * exponent
        self.before[k + 1] = np.ldexp(new, -exponent[:, None, None]), log
