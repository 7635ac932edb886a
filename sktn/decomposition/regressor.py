"""Regression on tensors whose weight tensor is a network that is searched."""

from numbers import Integral, Real
from typing import Any, NamedTuple, Self

import numpy as np
from numpy.typing import ArrayLike
from sklearn.base import BaseEstimator, MultiOutputMixin, RegressorMixin, _fit_context
from sklearn.utils import check_random_state
from sklearn.utils._param_validation import Interval, StrOptions
from sklearn.utils.validation import check_is_fitted

from sktn.annotations import Data
from sktn.decomposition.base import warn_if_cut
from sktn.documentation import DocLinks
from sktn.fitted import commit
from sktn.networks import graph
from sktn.networks.linalg import within_floats
from sktn.solvers import tensor_regression
from sktn.solvers.als import balance
from sktn.solvers.deadline import Deadline
from sktn.solvers.tensor_regression import Samples
from sktn.structure import fixed, modes, regression
from sktn.structure.history import History
from sktn.structure.task import Task
from sktn.tables.reading import read, read_fit

__all__ = ["RGTNRegressor"]

# Fewer rows than this cannot judge a structure.
_FEWEST_JUDGES = 5


class RGTNRegressor(DocLinks, MultiOutputMixin, RegressorMixin, BaseEstimator):
    """Linear regression on tensors, whose weight tensor is a network of a structure that is found.

    The prediction is ``intercept_ + <W, X>`` with one weight for every entry of a sample, and W is
    a tensor network with one core a mode: images, series of sensors, spectra over time have many
    entries and few samples, and a network with few parameters can be learned where a ridge
    regression cannot. CP and Tucker regression [1]_ [2]_ fix the form of W and ask for its rank;
    here the graph and its bonds are found.

    Parameters
    ----------
    alpha : float or "auto", default="auto"
        Strength of the ridge on the entries of W, in units of the sum of squares of the mean entry
        of X over the samples. "auto": the best of 1 to 0.0001 for rows that are held out.
    bond_dims : array-like of shape (N, N), default=None
        Bonds between the modes of W, those of a sample and, of several targets, one for these,
        ones on the diagonal. None: found.
    tensor_shape : tuple of int, default=None
        Shape of one sample of a 2-D X, such as ``(8, 8)`` for rows of 64 pixels.
    validation_fraction : float, default=0.25
        Share of the samples that judge structures and strengths, before all learn the cores.
    time_limit : float, default=None
        Seconds after which the best network so far is taken.
    verbose : bool or int, default=False
        Whether to print progress.
    random_state : int, RandomState instance or None, default=None
        Seeds the split and the search; an int gives the same result every time.

    Attributes
    ----------
    cores_ : list of N ndarrays
        Core k has N axes: axis k is the mode, axis j the bond to core j (length 1: no edge).
    bond_dims_ : ndarray of shape (N, N)
        Bond dimensions, ones on the diagonal.
    coef_ : ndarray of shape (I_1, ..., I_k) or (n_outputs, I_1, ..., I_k)
        The weight tensor.
    intercept_ : float or ndarray of shape (n_outputs,)
    alpha_ : float
        Strength used.
    n_parameters_ : int
        Entries of all cores.
    validation_error_ : float
        Root mean squared error of the held-out rows, in standard deviations of the target; None
        where none were held out.
    history_ : list of dict
        What was tried: action ("ridge", "network", "strength"), relative_error of the held-out
        rows, n_parameters, seconds.
    tensor_shape_ : tuple of int
        Only when X was tensors.
    n_features_in_ : int
        Entries of a sample.
    feature_names_in_ : ndarray of shape (n_features_in_,)
        Only when X has string column names.

    See Also
    --------
    RGTNDecomposer : The network of a given tensor.
    TTNRegressor : A tree over the entries that is not linear in each of them.

    Notes
    -----
    A ridge regression gives a weight tensor, in which networks are looked for from coarse to fine
    as :class:`RGTNDecomposer` does; each is fitted to the samples by alternating least squares, and
    the one that tells held-out samples best gives a second weight tensor, with what it left unsaid,
    to look at. Where none tells them better than the ridge regression itself, W is that one's,
    as an exact tensor train. Samples of one mode and one target, and fewer than 20 samples without
    `bond_dims`, always have a ridge regression, of the strength that leaving rows out tells best.

    References
    ----------
    .. [1] W. Guo, I. Kotsia and I. Patras, "Tensor learning for regression", IEEE Transactions on
       Image Processing 21, 2012.
    .. [2] H. Zhou, L. Li and H. Zhu, "Tensor regression with applications in neuroimaging data
       analysis", Journal of the American Statistical Association 108, 2013.

    Examples
    --------
    >>> import numpy as np
    >>> from sktn import RGTNRegressor
    >>> rng = np.random.default_rng(0)
    >>> W = np.outer(np.sin(np.arange(12)), np.cos(np.arange(10)))
    >>> X = rng.normal(size=(160, 12, 10))
    >>> y = np.einsum("bij,ij->b", X, W) + rng.normal(size=160)
    >>> model = RGTNRegressor(random_state=0).fit(X[:100], y[:100])
    >>> int(model.bond_dims_[0, 1]), model.n_parameters_
    (1, 22)
    >>> model.score(X[100:], y[100:]) > 0.9
    True
    """

    _parameter_constraints: dict = {
        "alpha": [Interval(Real, 0, None, closed="left"), StrOptions({"auto"})],
        "bond_dims": [None, "array-like"],
        "tensor_shape": [None, "array-like", Integral],
        "validation_fraction": [Interval(Real, 0, 1, closed="neither")],
        "time_limit": [None, Interval(Real, 0, None, closed="neither")],
        "verbose": ["verbose"],
        "random_state": ["random_state"],
    }

    _takes_tensors = True

    def __init__(
        self,
        *,
        alpha="auto",
        bond_dims=None,
        tensor_shape=None,
        validation_fraction=0.25,
        time_limit=None,
        verbose=False,
        random_state=None,
    ):
        self.alpha = alpha
        self.bond_dims = bond_dims
        self.tensor_shape = tensor_shape
        self.validation_fraction = validation_fraction
        self.time_limit = time_limit
        self.verbose = verbose
        self.random_state = random_state

    @_fit_context(prefer_skip_nested_validation=True)
    def fit(self, X: Data, y: ArrayLike) -> Self:
        """Find the network of the weights.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features) or (n_samples, I_1, ..., I_k)
            The samples, without gaps.
        y : array-like of shape (n_samples,) or (n_samples, n_outputs)

        Returns
        -------
        self : object
            Fitted estimator.
        """
        deadline = Deadline.after(self.time_limit)
        reading = read_fit(self, X, y, regression=True)
        shape = reading.tensor_shape or (reading.X.shape[1],)
        if self.tensor_shape is not None:
            given, shape = shape, modes.whole_shape(self.tensor_shape, reading.X.shape[1])
            if reading.tensor_shape and shape != given:
                raise ValueError(
                    f"tensor_shape={self.tensor_shape!r} is not the shape of a sample of X, "
                    f"{given}: give None, or a 2-D X."
                )
        outputs = reading.y.reshape(len(reading.y), -1)
        x = _centred(_without_gaps(reading.X).astype(np.float64), None)
        target = _centred(outputs, 0)
        whole = shape if outputs.shape[1] == 1 else (*shape, outputs.shape[1])
        kept = modes.squeezed(whole)
        samples = Samples(
            x.values.reshape(-1, *[shape[k] for k in kept if k < len(shape)]), target.values
        )
        rng = np.random.default_rng(check_random_state(self.random_state).randint(2**31 - 1))
        history = History(type(self).__name__, kept, self.verbose)
        task = Task(np.zeros(()), 0.0, rng, kept=tuple(kept), deadline=deadline, history=history)
        cores, alpha, error = self._solve(samples, [whole[k] for k in kept], len(whole), task)
        single = 1.0 if kept else cores[0]  # the one weight of a sample of one entry
        cores = modes.unsqueezed(cores, kept, whole)
        cores[0] = cores[0] * single
        standard = graph.to_dense(cores).reshape(-1, outputs.shape[1])
        share = x.scale ** (1 / len(cores))
        cores = [_finite(np.divide, core, share) for core in balance(cores)]
        cores[-1] = _finite(np.multiply, cores[-1], target.scale)
        W = _finite(np.multiply, _finite(np.divide, standard, x.scale), target.scale)
        W = W.T.reshape((*(whole[len(shape) :]), *shape))
        intercept = target.mean - _finite(np.multiply, x.mean / x.scale @ standard, target.scale)
        found = {
            **reading.fitted(),
            "cores_": cores,
            "bond_dims_": graph.bond_dims(cores),
            "coef_": W,
            "intercept_": float(intercept[0]) if reading.y.ndim == 1 else intercept,
            "alpha_": alpha,
            "n_parameters_": sum(core.size for core in cores),
            "validation_error_": error,
            "history_": history.entries,
            "_standard": (standard, x.mean, x.scale, target.mean, target.scale),
        }
        return commit(self, found)

    def _solve(self, samples, sizes, order, task):
        """Cores of the modes longer than one, strength, held-out error: sizes (N,) of these modes,
        order: the number of all modes"""
        alpha, R = None if self.alpha == "auto" else self.alpha, None
        if self.bond_dims is not None:
            R = modes.bond_matrix(self.bond_dims, order)[np.ix_(task.kept, task.kept)]
            warn_if_cut("bond_dims", R, sizes)
        b = len(samples.X)
        n_judges = int(self.validation_fraction * b)
        enough = min(n_judges, b - n_judges) >= _FEWEST_JUDGES
        if len(sizes) < 2 or (R is None and not enough):
            return *_without_structure(samples, alpha, sizes), None
        shuffled = task.rng.permutation(b)
        judged, learned = (
            Samples(samples.X[rows], samples.y[rows])
            for rows in (shuffled[:n_judges], shuffled[n_judges:])
        )
        error = None
        if R is None:
            found = regression.search(learned, judged, alpha, task)
            cores, alpha, error = found.cores, found.alpha, found.error
            if cores is None:
                cores, alpha = _without_structure(samples, alpha, sizes)
                return cores, alpha, float(np.sqrt(error))
        else:
            cores = regression.start(R, learned if enough else samples, alpha, task)
            if enough:
                found = regression.of_best_strength(cores, learned, judged, alpha, task)
                cores, alpha, error = found.cores, found.alpha, found.error
        alpha = regression.COMPARED if alpha is None else alpha
        cores = tensor_regression.sweeps(samples, cores, alpha)
        return cores, alpha, None if error is None else float(np.sqrt(error))

    def predict(self, X: Data) -> Any:
        """Predicted targets.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features) or (n_samples, I_1, ..., I_k)

        Returns
        -------
        y : ndarray of shape (n_samples,) or (n_samples, n_outputs)
        """
        check_is_fitted(self)
        X = _without_gaps(read(self, X))
        # In units in which no sum overflows that the prediction itself would not.
        W, x_mean, x_scale, y_mean, y_scale = self._standard
        out = (X / x_scale - x_mean / x_scale) @ W
        out = _finite(np.add, _finite(np.multiply, out, y_scale), y_mean)
        return out[:, 0] if np.ndim(self.intercept_) == 0 else out


def _without_structure(samples, alpha, sizes):
    """A ridge regression as an exact tensor train. -> cores, strength"""
    W, alpha = tensor_regression.ridge(samples, alpha)
    W = W.reshape(sizes)
    return ([W] if W.ndim < 2 else fixed.tensor_train(W, 0.0)) if sizes else [W], alpha


class _Centred(NamedTuple):
    """Values (b, n) less their means (n,), over scales, () or (n,), of which none is 0."""

    values: np.ndarray
    mean: np.ndarray
    scale: np.ndarray


def _centred(values, axis):
    """One scale for what is along an axis, for all: None. -> _Centred"""
    # Squares of entries near the ends of the float range would overflow or vanish.
    peak = np.max(np.abs(values), axis=axis)
    peak = np.where(peak > 0, peak, 1.0)
    mean = (values / peak).mean(axis=0)
    centred = values / peak - mean
    spread = np.sqrt(np.mean(centred**2, axis=axis))
    spread = np.where(spread > 0, spread, 1.0)
    return _Centred(centred / spread, mean * peak, spread * peak)


def _finite(operation, values, other):
    """The result, beyond the largest float that one: ufunc, (..., n), () or (n,) -> (..., n)"""
    with np.errstate(over="ignore"):
        return within_floats(operation(values, other))


def _without_gaps(X):
    if np.isnan(X).any():
        raise ValueError(
            "Input X contains NaN, and a weight has nothing to say of a missing entry: fill the "
            "gaps, e.g. with RGTNImputer."
        )
    return X
