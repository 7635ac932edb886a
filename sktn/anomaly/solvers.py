"""How a trained operator is optimised: solvers as values, with their own parameters."""

from numbers import Integral, Real

from sklearn.base import BaseEstimator
from sklearn.utils._param_validation import HasMethods, Interval


class Sweep(BaseEstimator):
    """Gauss-Newton steps on all rows for one core after the other, or two; no learning rate.

    Parameters
    ----------
    max_iter : int, default=100
        Largest number of sweeps.
    tol : float, default=0.1
        Stop when a sweep lowers the loss by less: the last bit of it does not make a better
        detector.
    truncation_tol : float, default=None
        With a number two neighbouring cores are updated at a time and split by a singular value
        decomposition that may lose this share of the norm, so that every bond finds its own
        dimension, of at most `bond_dim`. None: one core at a time.

    Examples
    --------
    >>> from sktn.anomaly import Sweep, TrainedSMPO
    >>> TrainedSMPO(solver=Sweep(max_iter=10)).get_params()["solver__max_iter"]
    10
    """

    _parameter_constraints: dict = {
        "max_iter": [Interval(Integral, 1, None, closed="left")],
        "tol": [Interval(Real, 0, None, closed="left")],
        "truncation_tol": [Interval(Real, 0, 1, closed="left"), None],
    }

    def __init__(self, *, max_iter=100, tol=0.1, truncation_tol=None):
        self.max_iter = max_iter
        self.tol = tol
        self.truncation_tol = truncation_tol


class Adam(BaseEstimator):
    """Gradient steps on mini-batches.

    Parameters
    ----------
    learning_rate : float, default=0.01
        Peak of the learning rate.
    batch_size : int, default=32
        Rows of a step.
    max_iter : int, default=100
        Largest number of epochs.
    tol : float, default=1e-4
        Improvement of the loss that counts.
    n_iter_no_change : int, default=10
        Stop when the loss has not fallen by `tol` for this many epochs.
    optimizer : optax.GradientTransformation, default=None
        None: Adam with warm-up and cosine decay of `learning_rate`.

    Examples
    --------
    >>> from sktn.anomaly import Adam, TrainedSMPO
    >>> TrainedSMPO(solver=Adam(max_iter=10)).get_params()["solver__max_iter"]
    10
    """

    _parameter_constraints: dict = {
        "learning_rate": [Interval(Real, 0, None, closed="neither")],
        "batch_size": [Interval(Integral, 1, None, closed="left")],
        "max_iter": [Interval(Integral, 1, None, closed="left")],
        "tol": [Interval(Real, 0, None, closed="left")],
        "n_iter_no_change": [Interval(Integral, 1, None, closed="left")],
        "optimizer": [HasMethods(["init", "update"]), None],
    }

    def __init__(
        self,
        *,
        learning_rate=0.01,
        batch_size=32,
        max_iter=100,
        tol=1e-4,
        n_iter_no_change=10,
        optimizer=None,
    ):
        self.learning_rate = learning_rate
        self.batch_size = batch_size
        self.max_iter = max_iter
        self.tol = tol
        self.n_iter_no_change = n_iter_no_change
        self.optimizer = optimizer
