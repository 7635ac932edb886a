"""What the decomposers share: shapes, scale, codes of new samples, checks of the result."""

import warnings
from math import prod
from numbers import Real
from typing import Any, Self

import numpy as np
from numpy.typing import ArrayLike
from sklearn.base import (
    BaseEstimator,
    ClassNamePrefixFeaturesOutMixin,
    TransformerMixin,
    _fit_context,
)
from sklearn.exceptions import ConvergenceWarning
from sklearn.utils import check_random_state
from sklearn.utils._param_validation import Interval
from sklearn.utils.validation import check_is_fitted

from sktn.annotations import Data
from sktn.backend import one_blas_thread
from sktn.documentation import DocLinks
from sktn.fitted import blank, commit
from sktn.networks import graph
from sktn.networks.linalg import within_floats
from sktn.solvers.als import balance
from sktn.solvers.deadline import Deadline
from sktn.structure import completion, gaps, modes
from sktn.structure.codes import encode
from sktn.structure.history import History
from sktn.structure.task import Task
from sktn.tables.arguments import numbers
from sktn.tables.tensors import read_tensor

__all__ = [
    "SEARCH_CONSTRAINTS",
    "GraphDecomposer",
    "in_range",
    "relative_error",
    "to_units",
    "warn_if_cut",
]

# Below this many entries most BLAS calls are too short for a second thread to pay.
_ONE_THREAD = 2_000_000


class GraphDecomposer(DocLinks, ClassNamePrefixFeaturesOutMixin, TransformerMixin, BaseEstimator):
    """What all decomposers share: shapes, scale, checks of the result, codes of new samples."""

    _parameter_constraints: dict = {
        "tensor_shape": [None, "array-like"],
        "verbose": ["verbose"],
        "random_state": ["random_state"],
    }
    _allow_nan = False

    def _tensor(self, X):
        """Validated data as a tensor whose axis 0 are the samples."""
        X = self._validated(X, reset=True)
        self.sample_layout_ = X.shape[1:]
        self.sample_shape_ = X.shape[1:]
        if self.tensor_shape is not None or X.ndim == 2:
            self.sample_shape_ = modes.whole_shape(self.tensor_shape, prod(X.shape[1:]))
        return X.reshape(len(X), *self.sample_shape_)

    def _validated(self, X, *, reset):
        return read_tensor(self, gaps.unmasked(X), reset=reset, allow_nan=self._allow_nan)

    @_fit_context(prefer_skip_nested_validation=True)
    def fit(self, X: Data, y: ArrayLike | None = None) -> Self:
        """Find a network for X.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features) or (n_samples, I_1, ..., I_k)
            The tensor. Axis 0 is an ordinary mode of the network.
        y : Ignored
            Not used, present for API consistency.

        Returns
        -------
        self : object
            Fitted estimator.
        """
        model = blank(self)
        model._fit_tensor(model._tensor(X), Deadline.after(getattr(self, "time_limit", None)))
        commit(self, {name: value for name, value in vars(model).items() if name.endswith("_")})
        self._warn_if_missed()
        return self

    def _fit_tensor(self, T, deadline):
        rng = np.random.default_rng(check_random_state(self.random_state).randint(2**31 - 1))
        filling = completion.Settings(deadline=deadline)
        filled = gaps.filled(T, rng, filling)
        # Squares of entries near the ends of the float range would overflow or vanish.
        peak = float(np.max(np.abs(filled))) or 1.0
        work = filled.astype(np.float64) / peak
        observed = float(np.linalg.norm(work[~np.isnan(T)]))
        norm = float(np.linalg.norm(work))
        kept = modes.squeezed(T.shape)
        history = History(type(self).__name__, kept, self.verbose, getattr(self, "callback", None))
        task = Task(
            work.reshape([T.shape[k] for k in kept]) / (norm or 1.0),
            # The error allowed on the observed entries is less of a tensor whose gaps are filled.
            self._error_target(T.dtype) * (observed / norm if norm else 1.0),
            rng,
            shape=T.shape,
            kept=tuple(kept),
            deadline=deadline,
            history=history,
        )
        self._check_task(task)
        with one_blas_thread(T.size < _ONE_THREAD):
            cores = self._solved(task, norm)
        cores = modes.unsqueezed(cores, *self._network_modes(kept, T.shape))
        if not kept:  # A single entry: its value is in the scale, its sign is not.
            cores[0] = cores[0] * np.sign(filled.ravel()[0])
        if norm > 0.0:
            share = norm ** (1.0 / len(cores)) * peak ** (1.0 / len(cores))
            cores = [core * share for core in balance(cores)]
        self._store(cores, T, history.entries)

    def _network_modes(self, kept, shape):
        """Modes of the network that are longer than one, and lengths of all."""
        return kept, shape

    def _check_task(self, task):
        """Refuse what the parameters ask for but the tensor's shape does not allow."""

    def _solved(self, task, norm):
        if norm == 0.0 or task.X.ndim == 0:
            order = task.X.ndim
            return [
                np.full([1] * k + [n] + [1] * (order - k - 1), float(norm > 0))
                for k, n in enumerate(task.X.shape)
            ]
        return [task.X] if task.X.ndim == 1 else self._decompose(task)

    def _error_target(self, dtype):
        """The error that the result must meet, with room for rounding to the data's precision."""
        eps = float(np.finfo(dtype).eps)
        target = self._wanted_error()
        return 1.0 if target >= 1.0 else max(target - 4.0 * eps, 32.0 * eps)

    def _wanted_error(self):
        """The error that the parameters ask for, 0 where they ask for none."""
        return getattr(self, "target_error", 0.0)

    def _store(self, cores, T, history):
        self.cores_ = [np.ascontiguousarray(core.astype(T.dtype)) for core in cores]
        self.bond_dims_ = graph.bond_dims(self.cores_)
        self.reconstruction_error_ = relative_error(T, self.cores_)
        self.n_parameters_ = sum(core.size for core in self.cores_)
        self.compression_ratio_ = self.n_parameters_ / T.size
        self.history_ = history
        self.tensor_shape_ = T.shape

    def _warn_if_missed(self):
        target, eps = self._promised(), float(np.finfo(self.cores_[0].dtype).eps)
        if target is not None and self.reconstruction_error_ > max(target, 64.0 * eps):
            warnings.warn(
                f"{type(self).__name__} ended at a relative error of "
                f"{self.reconstruction_error_:.3g}, above target_error={target}. Raise its limits, "
                "or use RGTNDecomposer, which always meets the target.",
                ConvergenceWarning,
                stacklevel=4,
            )

    def _promised(self):
        """The error that the parameters promise, None where they fix the size instead."""
        return self.target_error

    @property
    def _n_features_out(self):
        """Number of codes of a sample."""
        own = list(self._sample_modes())
        return int(np.prod(np.delete(self.bond_dims_[own], own, axis=1)))

    def fit_transform(self, X: Data, y: ArrayLike | None = None, **params: Any) -> Any:
        """Fit, then encode X: the same codes as ``fit(X).transform(X)``.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features) or (n_samples, I_1, ..., I_k)
            The tensor.
        y : Ignored
            Not used, present for API consistency.
        **params : dict
            Not used.

        Returns
        -------
        codes : ndarray of shape (n_samples, n_codes)
            Codes of the samples.
        """
        return self.fit(X, y, **params).transform(X)

    def transform(self, X: Data) -> Any:
        """Encode samples: their least-squares sample core, the other cores fixed.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features) or (n_samples, I_1, ..., I_k)
            Samples; missing entries (NaN) are left out of the least squares.

        Returns
        -------
        codes : ndarray of shape (n_samples, n_codes)
            One row per sample, ``n_codes`` the product of the sample core's bond dimensions.
        """
        check_is_fitted(self)
        return self._encode(self._new_samples(X))

    def _encode(self, X):
        trained = graph.merged(self.cores_, self._sample_modes())
        codes = encode(*self._sample_basis(), X.reshape(len(X), -1), trained)
        return codes.astype(X.dtype)

    def _new_samples(self, X):
        X = self._validated(X, reset=False)
        if X.shape[1:] != self.sample_layout_:
            raise ValueError(
                f"X has samples of shape {X.shape[1:]}, but {type(self).__name__} was fitted on "
                f"samples of shape {self.sample_layout_}."
            )
        return X

    def _sample_basis(self):
        """The network without its sample core, over a power of two: (n_entries of a sample,
        n_codes), its exponent."""
        modes = self._sample_modes()
        unit, powers = to_units(self.cores_)
        return graph.environment(unit, modes), sum(np.delete(powers, modes))

    def _sample_modes(self):
        """Modes of the network that are the samples."""
        return (0,)

    def inverse_transform(self, X: Data) -> Any:
        """Decode samples from their codes.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_codes)
            Codes.

        Returns
        -------
        samples : ndarray of shape (n_samples, n_features) or (n_samples, I_1, ..., I_k)
            Reconstructions, in the layout that ``fit`` saw.
        """
        check_is_fitted(self)
        codes = numbers(X, "X").astype(self.cores_[0].dtype)
        if codes.ndim != 2 or codes.shape[1] != self._n_features_out:
            raise ValueError(
                f"Codes of shape {codes.shape} do not fit: {self._n_features_out} columns expected."
            )
        basis, power = self._sample_basis()
        # Entries at the end of the range may not leave it on the way, or by their rounding.
        [codes], [own] = to_units([codes])
        samples = in_range(codes @ basis.T, own + power)
        return samples.reshape(len(codes), *self.sample_layout_)

    def predict(self, X: Data) -> np.ndarray:
        """Reconstruct samples; missing entries (NaN) are filled from the network.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features) or (n_samples, I_1, ..., I_k)
            Samples.

        Returns
        -------
        reconstruction : ndarray of the shape of X
            ``inverse_transform(transform(X))``.
        """
        check_is_fitted(self)
        return self.inverse_transform(self._encode(self._new_samples(X)))

    def score(self, X: Data, y: ArrayLike | None = None) -> float:
        """Explained share 1 - ||X - reconstruction||^2 / ||X||^2 over the observed entries.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features) or (n_samples, I_1, ..., I_k)
            Samples.
        y : Ignored
            Not used, present for API consistency.

        Returns
        -------
        score : float
            At most 1; higher is better. A zero X scores 1 if it is reconstructed, else 0.
        """
        check_is_fitted(self)
        X = self._new_samples(X)
        fitted = self.inverse_transform(self._encode(X)).astype(np.float64)
        seen = ~np.isnan(X)
        peak = float(np.max(np.abs(X), where=seen, initial=0.0)) or 1.0
        lost = float(np.sum(((X - fitted)[seen] / peak) ** 2))
        total = float(np.sum((X[seen].astype(np.float64) / peak) ** 2))
        if total == 0.0:
            return 1.0 if lost == 0.0 else 0.0
        return 1.0 - lost / total

    def to_tensor(self):
        """Contract the network.

        Returns
        -------
        tensor : ndarray of shape (n_samples, I_1, ..., I_k)
            The reconstruction of the training tensor.
        """
        check_is_fitted(self)
        return in_range(*_dense(self.cores_)).reshape(self.tensor_shape_)

    def __sklearn_tags__(self):
        tags = super().__sklearn_tags__()
        tags.input_tags.allow_nan = self._allow_nan
        tags.transformer_tags.preserves_dtype = ["float64", "float32"]
        return tags


def to_units(arrays):
    """Arrays over a power of two each, and its exponents: products of entries at the end of the
    range may not leave it on the way."""
    # Halves: the sizes of parts that cancel may be more than the whole.
    powers = [int(np.frexp(np.max(np.abs(x), initial=0))[1]) - 1 for x in arrays]
    return [np.ldexp(x, -power) for x, power in zip(arrays, powers, strict=True)], powers


def _dense(cores):
    """The tensor of a network over a power of two, and its exponent."""
    unit, powers = to_units(cores)
    return graph.to_dense(unit), sum(powers)


def in_range(values, power):
    """values times a power of two, the largest float where that is beyond it."""
    with np.errstate(over="ignore"):
        return within_floats(np.ldexp(values, power))


def relative_error(T, cores):
    """||T - TN|| / ||T|| over observed entries, safe near the ends of the float range.

    T (I_1, .., I_N) NaN where missing, cores of a network on T or on a folding of it -> float
    """
    seen = ~np.isnan(T)
    peak = float(np.max(np.abs(T), where=seen, initial=0.0))
    if peak == 0.0:
        return 0.0
    level = np.frexp(peak)[1]
    exact = np.ldexp(T[seen].astype(np.float64), -level)
    dense, power = _dense(cores)
    dense = np.ldexp(dense.reshape(T.shape)[seen].astype(np.float64), power - level)
    return float(np.linalg.norm(dense - exact) / np.linalg.norm(exact))


def warn_if_cut(name, R, sizes):
    """Bonds that their modes cannot carry will be cut: name the first.

    R (N, N), sizes (N,)
    """
    widest = modes.carried(sizes, R)
    for i, j in np.argwhere(widest < R)[:1]:
        warnings.warn(
            f"{name} gives bond {R[i, j]} between modes {i} and {j}, which carry no more than "
            f"{widest[i, j]} beside their other bonds: it is cut to that.",
            UserWarning,
            stacklevel=6,
        )


SEARCH_CONSTRAINTS = {
    "target_error": [Interval(Real, 0, 1, closed="both")],
    "time_limit": [None, Interval(Real, 0, None, closed="neither")],
    "callback": [None, callable],
}
