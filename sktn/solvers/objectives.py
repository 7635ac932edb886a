"""Losses for the solvers that need curvature (`convex`, `sweep`): values, slopes and Hessians on
NumPy arrays of scores F (..., N, c), any number of problems in front, one number or one row of
numbers a table row. What the rows should give is part of the objective.

All are sums over rows without weights; the solvers weigh them.
"""

import numpy as np
from scipy.special import expit, log_expit, log_softmax, softmax


class Softmax:
    """Cross-entropy of several classes, one score each. labels (N,) integers"""

    # What multiplies the ridge.
    ridge_share = 1.0
    # Whether one Newton step is the solution, and whether every score has a curvature of its own.
    quadratic = False
    separable = False

    def __init__(self, labels, n_classes, dtype=np.float64):
        self.labels = np.asarray(labels)
        self.n_scores = n_classes
        self.target = np.zeros((len(self.labels), n_classes), dtype)
        self.target[np.arange(len(self.labels)), self.labels] = 1

    @property
    def response(self):
        """The target as numbers (N, c)."""
        return self.target

    def take(self, rows):
        """The objective on some rows only."""
        return type(self)(self.labels[rows], self.n_scores, self.target.dtype)

    def values(self, F):
        """(..., N, c) -> (..., N)"""
        return -log_softmax(F, axis=-1)[..., np.arange(len(self.labels)), self.labels]

    def derivatives(self, F):
        """Gradient and what `curve` needs to know of the Hessian, (..., N, c) each."""
        p = softmax(F, axis=-1)
        return p - self.target, p

    def curve(self, p, d):
        """Hessian times d."""
        return p * (d - np.sum(p * d, axis=-1, keepdims=True))

    def curve_diagonal(self, p):
        return p * (1 - p)

    def centred(self, x):
        # The same number added to all classes changes nothing. Without curvature there, conjugate
        # gradients would carry rounding errors in this direction to any size.
        return x - x.mean(-1, keepdims=True)


class _Pointwise:
    """A loss of every score on its own: `curve` is a product. y (N, c)"""

    ridge_share = 1.0
    quadratic = False
    separable = True

    def __init__(self, y):
        self.y = y
        self.n_scores = y.shape[1]

    @property
    def response(self):
        return self.y

    def take(self, rows):
        new = object.__new__(type(self))
        new.__dict__.update(self.__dict__, y=self.y[rows])
        return new

    def curve(self, h, d):
        return h * d

    def curve_diagonal(self, h):
        return h

    def centred(self, x):
        return x


class Logistic(_Pointwise):
    """Cross-entropy of two classes from one score, the log-odds of the second.

    One score f stands for the two of :func:`sktn.losses.logits`, -f/2 and f/2, whose squares sum
    to half of its own: hence the share of the ridge.
    """

    ridge_share = 0.5

    def __init__(self, labels, dtype=np.float64):
        self.labels = np.asarray(labels)
        super().__init__((self.labels == 1).astype(dtype)[:, None])

    def take(self, rows):
        return type(self)(self.labels[rows], self.y.dtype)

    def values(self, F):
        return -log_expit((2 * self.y - 1) * F)[..., 0]

    def derivatives(self, F):
        p = expit(F)
        return p - self.y, p * (1 - p)


class Squared(_Pointwise):
    """(f - y)^2 / 2"""

    quadratic = True

    def values(self, F):
        return 0.5 * np.sum((F - self.y) ** 2, axis=-1)

    def derivatives(self, F):
        return F - self.y, np.ones_like(F)


class Huber(_Pointwise):
    """r^2 / 2 up to |r| = delta, delta (|r| - delta / 2) beyond.

    Its curvature is that of the parabola which touches it at r and at -r and lies above it
    elsewhere (iteratively reweighted least squares): never zero, and every step descends.
    """

    def __init__(self, y, delta):
        super().__init__(y)
        self.delta = y.dtype.type(delta)

    def values(self, F):
        r = np.abs(F - self.y)
        inside = np.minimum(r, self.delta)
        return np.sum(inside * (r - 0.5 * inside), axis=-1)

    def derivatives(self, F):
        r = F - self.y
        return np.clip(r, -self.delta, self.delta), self.delta / np.maximum(np.abs(r), self.delta)


class Pinball(_Pointwise):
    """The loss whose minimiser is a quantile: tau (y - f) below y, (1 - tau) (f - y) above.

    tau = 1/2 is half of the absolute error. |r| is rounded off to sqrt(r^2 + width^2), of which
    the curvature is taken as for :class:`Huber`.
    """

    def __init__(self, y, quantile, width):
        super().__init__(y)
        self.quantile, self.width = y.dtype.type(quantile), y.dtype.type(width)

    def values(self, F):
        r = F - self.y
        return np.sum(0.5 * np.hypot(r, self.width) + (0.5 - self.quantile) * r, axis=-1)

    def derivatives(self, F):
        r = F - self.y
        size = np.hypot(r, self.width)
        return 0.5 * r / size + (0.5 - self.quantile), 0.5 / size


class Poisson(_Pointwise):
    """Half the deviance of counts with mean exp(f), up to what does not depend on f."""

    def values(self, F):
        return np.sum(_exp(F) - self.y * F, axis=-1)

    def derivatives(self, F):
        mean = _exp(F)
        return mean - self.y, mean


def _exp(F):
    # A trial step may be far off; the line search has to see a large number, not an overflow.
    return np.exp(np.minimum(F, 80 if F.dtype == np.float32 else 600))


def classification(labels, n_classes, dtype):
    """The cross-entropy of labels 0..n_classes-1: one score for two classes, else one each."""
    if n_classes == 2:
        return Logistic(labels, dtype)
    return Softmax(labels, n_classes, dtype)
