"""What the decomposers share: shapes, scale, codes of new samples, checks of the result."""

import time
from math import prod
from numbers import Real

import numpy as np
from sklearn.base import BaseEstimator, TransformerMixin, _fit_context
from sklearn.utils import check_random_state
from sklearn.utils._param_validation import Interval
from sklearn.utils.validation import check_is_fitted, validate_data

from sktn.backend import one_blas_thread
from sktn.networks import graph
from sktn.solvers.als import als, balance
from sktn.structure import gaps

__all__ = ["SEARCH_CONSTRAINTS", "GraphDecomposer", "bond_matrix", "fixed_fit", "small_modes"]

# Below this many entries most BLAS calls are too short for a second thread to pay.
_ONE_THREAD = 2_000_000


def small_modes(n_features, largest=16):
    """Factors of a number, grouped into modes of at most ``largest``; a prime stays one mode.

    n_features int -> tuple of int
    """
    rest, factors, p = n_features, [], 2
    while p * p <= rest:
        while rest % p == 0:
            factors.append(p)
            rest //= p
        p += 1
    if rest > 1:
        factors.append(rest)
    modes = []
    for factor in sorted(factors, reverse=True):
        fits = [m for m in modes if m * factor <= largest]
        if fits:
            modes[modes.index(min(fits))] *= factor
        else:
            modes.append(factor)
    return tuple(sorted(modes, reverse=True)) or (1,)


class GraphDecomposer(TransformerMixin, BaseEstimator):
    """What all decomposers share: shapes, scale, checks of the result, codes of new samples."""

    _parameter_constraints: dict = {
        "tensor_shape": [None, "array-like"],
        "verbose": ["verbose"],
        "random_state": ["random_state"],
    }
    _allow_nan = False

    def _tensor(self, X):
        """Validated data as a tensor whose axis 0 are the samples."""
        X = validate_data(
            self,
            X,
            allow_nd=True,
            dtype=[np.float64, np.float32],
            ensure_all_finite="allow-nan" if self._allow_nan else True,
        )
        self._table = X.ndim == 2
        shape = X.shape[1:] if self.tensor_shape is None and X.ndim > 2 else self.tensor_shape
        if shape is None:
            shape = small_modes(X.shape[1])
        shape = tuple(int(length) for length in shape)
        n_entries = prod(X.shape[1:])
        if prod(shape) != n_entries or min(shape, default=0) < 1:
            raise ValueError(
                f"tensor_shape={shape} has {prod(shape)} entries, but a sample of X has "
                f"{n_entries}. Give a shape whose product is {n_entries}, or None."
            )
        self.sample_shape_ = shape
        return X.reshape(len(X), *shape)

    @_fit_context(prefer_skip_nested_validation=True)
    def fit(self, X, y=None):
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
        self._fit_tensor(self._tensor(X))
        return self

    def _fit_tensor(self, T):
        rng = np.random.default_rng(check_random_state(self.random_state).randint(2**31 - 1))
        observed = T
        T = gaps.filled(T, rng)
        # Squares of entries near the ends of the float range would overflow or vanish.
        peak = float(np.max(np.abs(T)))
        work = T.astype(np.float64) / (peak if peak > 0 else 1.0)
        norm = float(np.linalg.norm(work))
        kept = [k for k, length in enumerate(T.shape) if length > 1]
        work = work.reshape([T.shape[k] for k in kept]) / (norm if norm > 0 else 1.0)
        history = History(type(self).__name__, kept, self.verbose, getattr(self, "callback", None))
        with one_blas_thread(T.size < _ONE_THREAD):
            if norm == 0.0 or work.ndim == 0:
                cores = [
                    np.full([1] * k + [n] + [1] * (work.ndim - k - 1), float(norm > 0))
                    for k, n in enumerate(work.shape)
                ]
            elif work.ndim == 1:
                cores = [work]
            else:
                cores = self._decompose(work, kept, T, rng, history)
        cores = _unsqueeze(cores, kept, T)
        if norm > 0.0:
            share = norm ** (1.0 / T.ndim) * peak ** (1.0 / T.ndim)
            cores = [core * share for core in balance(cores)]
        self._store(cores, T, history.entries, observed)

    def _error_target(self, T):
        """The error that the result must meet, with room for rounding to the data's precision."""
        eps = float(np.finfo(T.dtype).eps)
        if self.target_error >= 1.0:
            return 1.0
        return max(self.target_error - 4.0 * eps, 32.0 * eps)

    def _store(self, cores, T, history, observed):
        self.cores_ = [np.ascontiguousarray(core.astype(T.dtype)) for core in cores]
        self.bond_dims_ = graph.bond_dims(self.cores_)
        self.reconstruction_error_ = _relative_error(observed, self.cores_)
        self.n_parameters_ = graph.n_parameters(T.shape, self.bond_dims_)
        self.compression_ratio_ = self.n_parameters_ / T.size
        self.history_ = history
        self.tensor_shape_ = T.shape
        self._n_features_out = int(np.prod(self.bond_dims_[0]))

    def fit_transform(self, X, y=None, **params):
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

    def transform(self, X):
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
        X = self._new_samples(X)
        flat = X.reshape(len(X), -1)
        env = self._sample_basis().astype(np.float64)
        missing = np.isnan(flat)
        gram = env.T @ env
        codes = _codes(gram, np.where(missing, 0.0, flat) @ env)
        for row in np.flatnonzero(missing.any(axis=1)):
            seen = env[~missing[row]]
            codes[row] = _codes(seen.T @ seen, flat[row, ~missing[row]][None] @ seen)[0]
        return codes.astype(X.dtype)

    def _new_samples(self, X):
        X = validate_data(
            self,
            X,
            reset=False,
            allow_nd=True,
            dtype=[np.float64, np.float32],
            ensure_all_finite="allow-nan" if self._allow_nan else True,
        )
        if prod(X.shape[1:]) == prod(self.sample_shape_) and self._table == (X.ndim == 2):
            X = X.reshape(len(X), *self.sample_shape_)
        else:
            raise ValueError(
                f"X has samples of shape {X.shape[1:]}, but {type(self).__name__} was fitted on "
                f"samples of shape {tuple(self.sample_shape_)}."
            )
        return X

    def _sample_basis(self):
        """The network without its sample core: (n_entries of a sample, n_codes)."""
        return graph.environment(self.cores_, 0)

    def inverse_transform(self, X):
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
        codes = np.asarray(X, dtype=self.cores_[0].dtype)
        if codes.ndim != 2 or codes.shape[1] != self._n_features_out:
            raise ValueError(
                f"Codes of shape {codes.shape} do not fit: {self._n_features_out} columns expected."
            )
        samples = codes @ self._sample_basis().T
        return samples.reshape(len(codes), *self._layout())

    def _layout(self):
        return (self.n_features_in_,) if self._table else tuple(self.sample_shape_)

    def predict(self, X):
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
        return self.inverse_transform(self.transform(X))

    def score(self, X, y=None):
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
        T = self._new_samples(X).astype(np.float64)
        fitted = self.predict(X).reshape(T.shape).astype(np.float64)
        seen = ~np.isnan(T)
        total = float(np.sum(T[seen] ** 2))
        lost = float(np.sum((T - fitted)[seen] ** 2))
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
        return graph.to_dense(self.cores_)

    def draw(self, ax=None):
        """Draw the network: nodes are modes, edge widths are bond dimensions.

        Parameters
        ----------
        ax : matplotlib axes, default=None
            Where to draw; a new figure by default.

        Returns
        -------
        display : NetworkDisplay
            The display, with its axes in ``ax_``.
        """
        from sktn.display import NetworkDisplay  # the display imports matplotlib, when it draws

        return NetworkDisplay.from_estimator(self, ax=ax)

    def __sklearn_tags__(self):
        tags = super().__sklearn_tags__()
        tags.input_tags.allow_nan = self._allow_nan
        tags.transformer_tags.preserves_dtype = ["float64", "float32"]
        return tags


def _codes(gram, projection):
    """Least squares codes from normal equations, by the eigenvalues above rounding.

    gram (P, P), projection (b, P) -> (b, P)
    """
    values, vectors = np.linalg.eigh(gram)
    use = values > 1e-12 * max(values[-1], 0.0)
    inverse = np.where(use, 1.0 / np.where(use, values, 1.0), 0.0)
    return ((projection @ vectors) * inverse) @ vectors.T


def _unsqueeze(cores, kept, T):
    """Give modes of length one their own (constant) cores back.

    cores one per kept mode -> N arrays of N axes
    """
    full = []
    for k, length in enumerate(T.shape):
        shape = [1] * T.ndim
        shape[k] = length
        if k in kept:
            core = cores[kept.index(k)]
            for axis, j in enumerate(kept):
                shape[j] = core.shape[axis]
            full.append(core.reshape(shape))
        else:
            full.append(np.ones(shape))
    if not kept:  # A single entry: its value is in the scale, its sign is not.
        full[0] = full[0] * np.sign(T.ravel()[0])
    return full


def _relative_error(T, cores):
    """||T - TN|| / ||T|| over observed entries, safe near the ends of the float range."""
    seen = ~np.isnan(T)
    peak = float(np.max(np.abs(T[seen])))
    if peak == 0.0:
        return 0.0
    exact = T[seen].astype(np.float64) / peak
    dense = graph.to_dense(cores)[seen].astype(np.float64) / peak
    return float(np.linalg.norm(dense - exact) / np.linalg.norm(exact))


class History:
    """Progress of a search: kept, printed, and handed to a callback."""

    def __init__(self, name, kept, verbose, callback):
        self.entries = []
        self._name, self._kept = name, kept
        self._verbose, self._callback = verbose, callback
        self._started = time.perf_counter()

    def __call__(self, entry):
        entry = {**entry, "seconds": time.perf_counter() - self._started}
        if entry["bond"] is not None:
            entry["bond"] = tuple(self._kept[k] for k in entry["bond"])
        self.entries.append(entry)
        if self._verbose:
            print(
                f"[{self._name}] {entry['seconds']:8.2f} s  scale {entry['scale']}  "
                f"{entry['action']:<10s}  error {entry['relative_error']:.3e}  "
                f"parameters {entry['n_parameters']}"
            )
        if self._callback is not None:
            self._callback(entry)


def bond_matrix(bonds, shape, kept):
    """Checked bond dimensions of the modes longer than one."""
    R = np.asarray(bonds)
    order = len(shape)
    if R.shape != (order, order) or not np.issubdtype(R.dtype, np.integer):
        raise ValueError(
            f"bond_dims has shape {R.shape} and dtype {R.dtype}; X has {order} modes: give an "
            f"integer matrix of shape ({order}, {order})."
        )
    R = R.copy()
    np.fill_diagonal(R, 1)
    if (R < 1).any() or (R != R.T).any():
        raise ValueError("bond_dims must be symmetric with entries of at least 1 (1: no edge).")
    return R[np.ix_(kept, kept)]


def fixed_fit(work, R, target, rng, history, max_sweeps=200, tol=1e-5, restarts=1):
    """ALS on a given graph, best of several random starts."""
    best = None
    norm2 = float(np.vdot(work, work))
    for _ in range(restarts):
        start = graph.random_cores(work.shape, R, rng)
        fit = als(work, start, max_sweeps=max_sweeps, tol=tol, give_up=False, target=target**2)
        if best is None or fit.error < best.error:
            best = fit
        history(
            {
                "scale": 0,
                "action": "fit",
                "bond": None,
                "relative_error": float(np.sqrt(fit.error / norm2)),
                "n_parameters": graph.n_parameters(work.shape, R),
            }
        )
    return best.cores


SEARCH_CONSTRAINTS = {
    "target_error": [Interval(Real, 0, 1, closed="both")],
    "time_limit": [None, Interval(Real, 0, None, closed="neither")],
    "callback": [None, callable],
}
