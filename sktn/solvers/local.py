"""The local problems of sweeps: one core, or two neighbours, with everything else fixed.

The scores are linear in a core, so a convex loss stays convex, and in the mixed canonical gauge the
ridge in function space is the plain squared norm of the core, less that of the constant function:

    min_A  sum_i w_i loss(f_i(A), i) + strength (||A||^2 - sum_c m_c(A)^2) / 2 .

m_c, the constant part of score c, is linear in A too: it is the score of a row whose site vectors
are all the first unit vector, which stands as an additional last row in every array here.

Sites are systems of `solvers.newton` of one problem: A (1, k, q).

The arrays of a site may live on a device, and its products are made there; cores, scores and
decisions stay on the host.
"""

from copy import copy

import numpy as np

from sktn.backend import executor_of
from sktn.networks.linalg import outer
from sktn.solvers.local_squares import least_squares, pays
from sktn.solvers.newton import newton


def minimize_locally(site, A, problem, effort):
    """The core that minimises the loss with everything else fixed, begun at A: never a worse one.

    A (k, q) -> core (k, q), penalised loss
    """
    if problem.loss.quadratic:
        found = _factorised(site, problem, effort)
        if found is not None:
            return found
    A, _, losses = newton(site, A[None], problem, problem.weight[None], effort)
    return A[0], float(losses[-1][0])


def _factorised(site, problem, effort):
    """The minimum of least squares, on the host, None where conjugate gradients are cheaper."""
    factors = site.factors()
    if factors is None:
        return None
    X, Y, constant = factors
    if not pays(site.n_rows, X.shape[1], Y.shape[1], effort.max_cg):
        return None
    X, Y = (site.run.get(rows)[: site.n_rows] for rows in (X, Y))
    try:
        found = least_squares(X, Y, constant, problem.target, problem.weight, site.strength)
    except np.linalg.LinAlgError:
        return None
    A = site.assembled(found)
    values = problem.loss.values(site.scores(A[None])[0], problem.target).astype(np.float64)
    ridge = float(np.vdot(A, site.ridge(A[None])[0]))
    return A, float(problem.weight.astype(np.float64) @ values) + 0.5 * ridge


class _Site:
    """What inner and output sites share: the ridge, that there is one problem, and where arrays of
    rows live.

    arrays: two of (M, ...), whose first n_rows rows are the problem's, the next is the constant's
    and others, on a device, are there for their number. A subclass has the kernels `forward`,
    `backward` and `diagonal`.
    """

    #: The only direction that the ridge leaves free, where there is one: (1, k, q)
    along = None

    def __init__(self, first, second, strength, n_rows):
        self.run, self.strength, self.n_rows = executor_of(first, second), strength, n_rows
        if self.run.name == "numpy":
            self.rows = first[:n_rows], second[:n_rows]
            self.constant = first[n_rows:], second[n_rows:]
        else:
            self.rows = first, second
            self.constant = self.run.get(self.run.jit(_row)(first, second, n_rows))

    def _of_rows(self, kernel, v):
        """A kernel of the arrays and of an array of rows: v (n_rows, c), NumPy -> NumPy"""
        if self.run.name == "numpy":
            return kernel(*self.rows, v)
        filled = np.pad(v, [(0, len(self.rows[0]) - self.n_rows), (0, 0)])
        return self.run.get(self.run.jit(kernel)(*self.rows, self.run.put_rows(filled)))

    def ridge(self, A):
        if self.along is not None:
            return self.strength * (A - np.vdot(self.along, A) * self.along)
        constant = self.forward(*self.constant, A[0])
        return self.strength * (A - self.backward(*self.constant, constant)[None])

    def scores(self, A):
        if self.run.name == "numpy":
            return self.forward(*self.rows, A[0])[None]
        program = self.run.jit(self.forward)
        return self.run.get(program(*self.rows, self.run.put(A[0])))[: self.n_rows][None]

    def adjoint(self, t):
        return self._of_rows(self.backward, t[0])[None]

    def preconditioner(self, curvature):
        # The diagonal of the Hessian.
        diagonal = self._of_rows(self.diagonal, curvature[0]) + self.strength
        inverse = 1 / np.maximum(diagonal, 1e-30)
        return lambda r: inverse * r

    def centred(self, A):
        return A

    def take(self, problems):
        return self

    def of_rows(self, rows):
        if self.run.name != "numpy":
            return None
        part = copy(self)
        part.rows, part.n_rows = tuple(x[rows] for x in self.rows), len(rows)
        return part


def _row(first, second, k):
    return first[k][None], second[k][None]


def _inner_forward(X, far, A):
    reached = X @ A
    # One score, the most common case, needs no batched products.
    if far.shape[2] == 1:
        return (reached * far[:, :, 0]).sum(-1)[:, None]
    return (reached[:, None] @ far)[:, 0]


def _inner_backward(X, far, t):
    return X.T @ _spread(far, t)


def _inner_diagonal(X, far, curvature):
    return (X * X).T @ _spread(far * far, curvature)


class Inner(_Site):
    """Scores of a core inside an arm: f_c = sum_kq X_k A_kq far_qc.

    X (M, k), far (M, q, c)
    """

    forward = staticmethod(_inner_forward)
    backward = staticmethod(_inner_backward)
    diagonal = staticmethod(_inner_diagonal)

    def __init__(self, X, far, strength, n_rows):
        super().__init__(X, far, strength, n_rows)
        if far.shape[2] == 1:
            self.along = self.backward(*self.constant, np.ones((1, 1), X.dtype))[None]

    def factors(self):
        """X, Y and those of the constant where every score has its own A: f_c = X^T A_c Y."""
        (X, far), (x, y) = self.rows, self.constant
        return (X, far[:, :, 0], (x, y[:, :, 0])) if far.shape[2] == 1 else None

    def assembled(self, A):
        """The core of them: (1, k, q) -> (k, q)"""
        return A[0]


def _spread(far, t):
    """sum_c far_qc t_c: far (N, q, c), t (N, c) -> (N, q)"""
    if far.shape[2] == 1:
        return far[:, :, 0] * t
    return (far @ t[:, :, None])[:, :, 0]


def _output_forward(X, y, A):
    reached = (X @ A).reshape(len(y), -1, y.shape[1])
    return (reached @ y[:, :, None])[:, :, 0]


def _output_backward(X, y, t):
    return X.T @ outer(t, y)


def _output_diagonal(X, y, curvature):
    return (X * X).T @ outer(curvature, y * y)


class Output(_Site):
    """Scores of the core with the output index: f_c = X^T A_c y. X (M, k), y (M, q),
    A (k, c q)"""

    forward = staticmethod(_output_forward)
    backward = staticmethod(_output_backward)
    diagonal = staticmethod(_output_diagonal)

    def factors(self):
        return *self.rows, self.constant

    def assembled(self, A):
        """(c, k, q) -> (k, c q)"""
        return A.transpose(1, 0, 2).reshape(A.shape[1], -1)
