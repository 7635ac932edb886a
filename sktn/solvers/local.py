"""The local problems of sweeps: one core, or two neighbours, with everything else fixed.

The scores are linear in a core, so a convex loss stays convex, and in the mixed canonical gauge the
ridge in function space is the plain squared norm of the core, less that of the constant function:

    min_A  sum_i w_i loss(f_i(A), i) + strength (||A||^2 - sum_c m_c(A)^2) / 2 .

m_c, the constant part of score c, is linear in A too: it is the score of a row whose site vectors
are all the first unit vector, which stands as an additional last row in every array here.

Sites are systems of `solvers.newton` of one problem: A (1, k, q).
"""

from sktn.backend import namespace
from sktn.solvers.newton import newton


def minimize_locally(site, A, problem, effort):
    """The core that minimises the loss with everything else fixed, begun at A: never a worse one.

    A (k, q) -> core (k, q), penalised loss
    """
    A, _, losses = newton(site, A[None], problem, problem.weight[None], effort)
    return A[0], float(losses[-1][0])


def outer(x, y):
    """Row-wise Kronecker product (N, i), (N, j) -> (N, i j)."""
    return (x[:, :, None] * y[:, None, :]).reshape(len(x), -1)


class _Site:
    """What inner and output sites share: the ridge, and that there is one problem."""

    def ridge(self, A):
        constant = self._forward(A[0], slice(-1, None))
        return self.strength * (A - self._backward(constant, slice(-1, None))[None])

    def scores(self, A):
        return self._forward(A[0], slice(None, -1))[None]

    def adjoint(self, t):
        return self._backward(t[0], slice(None, -1))[None]

    def preconditioner(self, curvature):
        # The diagonal of the Hessian.
        diagonal = self._diagonal(curvature[0]) + self.strength
        inverse = 1 / namespace(diagonal).maximum(diagonal, 1e-30)
        return lambda r: inverse * r

    def centred(self, A):
        return A

    def take(self, problems):
        return self


class Inner(_Site):
    """Scores of a core inside an arm: f_c = sum_kq X_k A_kq far_qc.

    X (N + 1, k), far (N + 1, q, c)
    """

    def __init__(self, X, far, strength):
        self.X, self.far, self.strength = X, far, strength

    def _forward(self, A, rows):
        reached = self.X[rows] @ A
        far = self.far[rows]
        # One score, the most common case, needs no batched products.
        if far.shape[2] == 1:
            return (reached * far[:, :, 0]).sum(-1)[:, None]
        return (reached[:, None] @ far)[:, 0]

    def _backward(self, t, rows):
        return self.X[rows].T @ _spread(self.far[rows], t)

    def _diagonal(self, curvature):
        X, far = self.X[:-1], self.far[:-1]
        return (X * X).T @ _spread(far * far, curvature)


def _spread(far, t):
    """sum_c far_qc t_c: far (N, q, c), t (N, c) -> (N, q)"""
    if far.shape[2] == 1:
        return far[:, :, 0] * t
    return (far @ t[:, :, None])[:, :, 0]


class Output(_Site):
    """Scores of the core with the output index: f_c = X^T A_c y. X (N + 1, k), y (N + 1, q),
    A (k, c q)"""

    def __init__(self, X, y, strength):
        self.X, self.y, self.strength = X, y, strength

    def _forward(self, A, rows):
        y = self.y[rows]
        reached = (self.X[rows] @ A).reshape(len(y), -1, y.shape[1])
        return (reached @ y[:, :, None])[:, :, 0]

    def _backward(self, t, rows):
        return self.X[rows].T @ outer(t, self.y[rows])

    def _diagonal(self, curvature):
        X, y = self.X[:-1], self.y[:-1]
        return (X * X).T @ outer(curvature, y * y)
