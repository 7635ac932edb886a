"""Losses of scores, each with its value, slope and curvature: one class serves every solver.

A loss is a record of numbers (a pytree: it may be an argument of a compiled program) and is applied
to scores F (..., N, c), any number of problems in front, and to what the N rows should give: labels
(N,) for :class:`Softmax`, numbers (N, c) for the others. Values are per row and without weights;
the solvers weigh them. NumPy arrays give NumPy arrays, JAX arrays JAX arrays.
"""

from dataclasses import dataclass, fields
from typing import ClassVar, dataclass_transform

import jax
import numpy as np

from sktn.backend import namespace


@dataclass_transform(frozen_default=True)
def _record(cls):
    """A frozen dataclass whose numbers are traced; what is an integer belongs to the program."""
    cls = dataclass(frozen=True)(cls)
    names = [f.name for f in fields(cls)]
    static = [f.name for f in fields(cls) if f.type is int or f.type == "int"]
    return jax.tree_util.register_dataclass(
        cls, data_fields=[n for n in names if n not in static], meta_fields=static
    )


class _Pointwise:
    """A loss of every score on its own: the Hessian is diagonal."""

    #: What multiplies the ridge.
    ridge_share: ClassVar[float] = 1.0
    #: Whether one Newton step is the solution.
    quadratic: ClassVar[bool] = False
    #: Whether the minimum is found in single precision: seven digits of a log-odds.
    single_precision: ClassVar[bool] = False
    #: Whether it is the logarithm of a likelihood, whose scale says what is chance.
    log_likelihood: ClassVar[bool] = False
    #: Whether scores are logarithms of predictions.
    log_link: ClassVar[bool] = False

    def n_scores(self, target):
        return target.shape[1]

    def response(self, target):
        """The target as numbers (N, c)."""
        return target

    def curve(self, h, d):
        """Hessian times d, from what `derivatives` says of it."""
        return h * d

    def curve_diagonal(self, h):
        return h

    def centred(self, x):
        """x without the directions in which the loss is constant."""
        return x


@_record
class Softmax:
    """Cross-entropy of several classes, one score each. The target: labels (N,), integers.

    Parameters
    ----------
    n_classes : int
        Number of classes, and of scores.

    Examples
    --------
    >>> import numpy as np
    >>> from sktn.losses import Softmax
    >>> loss = Softmax(3)
    >>> loss.values(np.array([[1.0, 0.0, 0.0]]), np.array([0])).round(3)
    array([0.551])
    """

    n_classes: int

    ridge_share: ClassVar[float] = 1.0
    quadratic: ClassVar[bool] = False
    single_precision: ClassVar[bool] = True
    log_likelihood: ClassVar[bool] = True

    def n_scores(self, target):
        return self.n_classes

    def response(self, target):
        """One-hot (N, c)."""
        return _one_hot(target, self.n_classes, np.float64)

    def values(self, F, target):
        """-log softmax(F)[label]: (..., N, c) -> (..., N)"""
        xp = namespace(F)
        F = F - F.max(-1, keepdims=True)
        total = xp.log(xp.exp(F).sum(-1))
        return total - F[..., xp.arange(len(target)), target]

    def derivatives(self, F, target):
        """Gradient and what `curve` needs to know of the Hessian, (..., N, c) each."""
        p = _softmax(F)
        return p - _one_hot(target, self.n_classes, F.dtype), p

    def curve(self, p, d):
        return p * (d - (p * d).sum(-1, keepdims=True))

    def curve_diagonal(self, p):
        return p * (1 - p)

    def centred(self, x):
        # The same number added to all classes changes nothing. Without curvature there, conjugate
        # gradients would carry rounding errors in this direction to any size.
        return x - x.mean(-1, keepdims=True)


@_record
class Logistic(_Pointwise):
    """Cross-entropy of two classes from one score, the log-odds of the second. The target: (N, 1),
    1 for the second class and 0 for the first.

    One score f stands for the two of :func:`log_probabilities`, -f/2 and f/2, whose squares sum to
    half of its own: hence the share of the ridge.

    Examples
    --------
    >>> import numpy as np
    >>> from sktn.losses import Logistic
    >>> loss = Logistic()
    >>> loss.values(np.array([[1.0]]), np.array([[1]])).round(3)
    array([0.313])
    """

    ridge_share: ClassVar[float] = 0.5
    single_precision: ClassVar[bool] = True
    log_likelihood: ClassVar[bool] = True

    def values(self, F, target):
        return namespace(F).logaddexp(0, (1 - 2 * target) * F)[..., 0]

    def derivatives(self, F, target):
        p = 0.5 + 0.5 * namespace(F).tanh(0.5 * F)
        return p - target, p * (1 - p)


@_record
class SquaredError(_Pointwise):
    """(f - y)^2 / 2

    Examples
    --------
    >>> import numpy as np
    >>> from sktn.losses import SquaredError
    >>> loss = SquaredError()
    >>> loss.values(np.array([[1.0]]), np.array([[3.0]])).round(3)
    array([2.])
    """

    quadratic: ClassVar[bool] = True

    def values(self, F, target):
        return 0.5 * ((F - target) ** 2).sum(-1)

    def derivatives(self, F, target):
        return F - target, namespace(F).ones_like(F)


@_record
class Huber(_Pointwise):
    """r^2 / 2 up to |r| = delta, delta (|r| - delta / 2) beyond, delta = epsilon noise
    (Huber, Annals of Statistics, 1964).

    Its curvature is that of the parabola which touches it at r and at -r and lies above it
    elsewhere (iteratively reweighted least squares): never zero, and every step descends.

    Parameters
    ----------
    epsilon : float, default=1.35
        Where the parabola ends, in standard deviations of the noise.
    noise : float, default=1.0
        Standard deviation of the noise, in units of the target's; estimators estimate it.

    Examples
    --------
    >>> import numpy as np
    >>> from sktn.losses import Huber
    >>> loss = Huber()
    >>> loss.values(np.array([[1.0]]), np.array([[3.0]])).round(3)
    array([1.789])
    """

    epsilon: float = 1.35
    noise: float = 1.0

    def values(self, F, target):
        xp, delta = namespace(F), self._delta(F)
        r = abs(F - target)
        inside = xp.minimum(r, delta)
        return (inside * (r - 0.5 * inside)).sum(-1)

    def derivatives(self, F, target):
        xp, delta = namespace(F), self._delta(F)
        r = F - target
        return xp.clip(r, -delta, delta), delta / xp.maximum(abs(r), delta)

    def _delta(self, F):
        return namespace(F).asarray(self.epsilon * self.noise, dtype=F.dtype)


@_record
class Quantile(_Pointwise):
    """The loss whose minimiser is a quantile: tau (y - f) below y, (1 - tau) (f - y) above
    (Koenker and Bassett, Econometrica, 1978).

    tau = 1/2 is half of the absolute error. |r| is rounded off to sqrt(r^2 + width^2), of which
    the curvature is taken as for :class:`Huber`.

    Parameters
    ----------
    quantile : float, default=0.5
        tau, between 0 and 1.
    width : float, default=0.02
        Where the kink is rounded off, in units of the target's spread: a fiftieth of it, which
        moves a quantile by less than its sampling error on a thousand rows.

    Examples
    --------
    >>> import numpy as np
    >>> from sktn.losses import Quantile
    >>> loss = Quantile(0.9)
    >>> loss.values(np.array([[1.0]]), np.array([[3.0]])).round(3)
    array([1.8])
    """

    quantile: float = 0.5
    width: float = 0.02

    def values(self, F, target):
        xp, tau, width = self._numbers(F)
        r = F - target
        return (0.5 * xp.hypot(r, width) + (0.5 - tau) * r).sum(-1)

    def derivatives(self, F, target):
        xp, tau, width = self._numbers(F)
        r = F - target
        size = xp.hypot(r, width)
        return 0.5 * r / size + (0.5 - tau), 0.5 / size

    def _numbers(self, F):
        xp = namespace(F)
        return xp, xp.asarray(self.quantile, dtype=F.dtype), xp.asarray(self.width, dtype=F.dtype)


@_record
class Poisson(_Pointwise):
    """Half the deviance of counts with mean exp(f), up to what does not depend on f.

    Examples
    --------
    >>> import numpy as np
    >>> from sktn.losses import Poisson
    >>> loss = Poisson()
    >>> loss.values(np.array([[1.0]]), np.array([[3.0]])).round(3)
    array([-0.282])
    """

    log_link: ClassVar[bool] = True

    def values(self, F, target):
        return (_exp(F) - target * F).sum(-1)

    def derivatives(self, F, target):
        mean = _exp(F)
        return mean - target, mean


@_record
class Gamma(_Pointwise):
    """Half the deviance of numbers whose spread is proportional to their mean exp(f), up to what
    does not depend on f. Needs no more of the target than not to be negative: 0 counts as what
    single precision loses beside 1, as the loss of nothing but zeros would have no minimum.

    Examples
    --------
    >>> import numpy as np
    >>> from sktn.losses import Gamma
    >>> Gamma().values(np.array([[1.0]]), np.array([[3.0]])).round(3)
    array([2.104])
    """

    log_link: ClassVar[bool] = True

    # Of a trial step that is far off the loss is infinite.
    @np.errstate(over="ignore")
    def values(self, F, target):
        return (F + self._above_zero(F, target) * _exp(-F)).sum(-1)

    @np.errstate(over="ignore")
    def derivatives(self, F, target):
        ratio = self._above_zero(F, target) * _exp(-F)
        return 1 - ratio, ratio

    @staticmethod
    def _above_zero(F, target):
        return namespace(F).maximum(target, np.finfo(np.float32).eps)


def classification(labels, n_classes, dtype):
    """The cross-entropy of labels 0..n_classes-1 and its target: one score for two classes, else
    one each. labels (N,) -> loss, target"""
    if n_classes == 2:
        return Logistic(), (labels == 1).astype(dtype)[:, None]
    return Softmax(n_classes), labels


def log_probabilities(scores):
    """Scores (..., c) -> log-probabilities (..., max(c, 2)); a single score f (two classes) stands
    for -f/2 and f/2."""
    xp = namespace(scores)
    if scores.shape[-1] == 1:
        scores = xp.concatenate([-scores / 2, scores / 2], axis=-1)
    scores = scores - scores.max(-1, keepdims=True)
    return scores - xp.log(xp.exp(scores).sum(-1, keepdims=True))


def weighted_mean(values, sample_weight):
    """sum_b w_b v_b / sum_b w_b over the rows of positive weight.

    values (b,), sample_weight (b,) -> ()
    """
    xp = namespace(values)
    # Rows of weight 0 are padding: what they hold need not be finite.
    values = xp.where(sample_weight > 0, values, 0)
    total = sample_weight.sum()
    return (sample_weight * values).sum() / xp.where(total > 0, total, 1)


def quadratic_log_norm(log_squared_norms, sample_weight):
    """mean_b (log ||P Phi(x_b)||^2 - 1)^2: maps every training state to one of squared norm e.

    Wang et al., arXiv:2006.02516, equation (6). log_squared_norms (b,), sample_weight (b,) -> ()
    """
    return weighted_mean((log_squared_norms - 1) ** 2, sample_weight)


def relu_log_frobenius(log_squared_frobenius):
    """relu(log ||P||_F^2): every other state must become small; a small operator is left alone.

    Wang et al., arXiv:2006.02516, equation (7). log_squared_frobenius () -> ()
    """
    return jax.nn.relu(log_squared_frobenius)


def _softmax(F):
    p = namespace(F).exp(F - F.max(-1, keepdims=True))
    return p / p.sum(-1, keepdims=True)


def _one_hot(labels, n_classes, dtype):
    xp = namespace(labels)
    return (labels[:, None] == xp.arange(n_classes)).astype(dtype)


def _exp(F):
    # A trial step may be far off; the line search has to see a large number, not an overflow.
    return namespace(F).exp(namespace(F).minimum(F, 80 if F.dtype == np.float32 else 600))
