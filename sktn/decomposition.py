"""Tensor network decomposition with an automatic or a fixed structure."""

import time
from contextlib import nullcontext
from math import prod
from numbers import Integral, Real

import numpy as np
from sklearn.base import BaseEstimator, TransformerMixin, _fit_context
from sklearn.utils import check_random_state
from sklearn.utils._param_validation import Interval, StrOptions
from sklearn.utils.validation import check_is_fitted, validate_data
from threadpoolctl import threadpool_limits

from sktn.networks import graph
from sktn.solvers.als import als, balance
from sktn.structure import rg

__all__ = ["RGTNDecomposer"]

# Below this many entries a BLAS call is too short for a second thread to pay.
_ONE_THREAD = 50_000


def _threads(size):
    return threadpool_limits(1, user_api="blas") if size < _ONE_THREAD else nullcontext()


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


class _GraphDecomposer(TransformerMixin, BaseEstimator):
    """What all decomposers share: shapes, scale, checks of the result, codes of new samples."""

    _parameter_constraints: dict = {
        "tensor_shape": [None, "array-like"],
        "verbose": ["verbose"],
        "random_state": ["random_state"],
    }

    def _tensor(self, X):
        """Validated data as a tensor whose axis 0 are the samples."""
        X = validate_data(self, X, allow_nd=True, dtype=[np.float64, np.float32])
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
        # Squares of entries near the ends of the float range would overflow or vanish.
        peak = float(np.max(np.abs(T)))
        work = T.astype(np.float64) / (peak if peak > 0 else 1.0)
        norm = float(np.linalg.norm(work))
        kept = [k for k, length in enumerate(T.shape) if length > 1]
        work = work.reshape([T.shape[k] for k in kept]) / (norm if norm > 0 else 1.0)
        history = History(type(self).__name__, kept, self.verbose, getattr(self, "callback", None))
        with _threads(T.size):
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
        self._store(cores, T, history.entries)

    def _error_target(self, T):
        """The error that the result must meet, with room for rounding to the data's precision."""
        eps = float(np.finfo(T.dtype).eps)
        if self.target_error >= 1.0:
            return 1.0
        return max(self.target_error - 4.0 * eps, 32.0 * eps)

    def _store(self, cores, T, history):
        self.cores_ = [np.ascontiguousarray(core.astype(T.dtype)) for core in cores]
        self.bond_dims_ = graph.bond_dims(self.cores_)
        self.reconstruction_error_ = _relative_error(T, self.cores_)
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
            ensure_all_finite="allow-nan",
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
    """||T - TN|| / ||T||, in float64 and safe for entries near the ends of the float range."""
    peak = float(np.max(np.abs(T)))
    if peak == 0.0:
        return 0.0
    dense = graph.to_dense(cores).astype(np.float64) / peak
    exact = T.astype(np.float64) / peak
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


_SEARCH_CONSTRAINTS = {
    "target_error": [Interval(Real, 0, 1, closed="both")],
    "time_limit": [None, Interval(Real, 0, None, closed="neither")],
    "callback": [None, callable],
}


class RGTNDecomposer(_GraphDecomposer):
    """Tensor network decomposition whose graph and bond dimensions are found automatically.

    The search follows a renormalization-group flow [1]_: coarse-grained data first, then at every
    scale expansion of bonds that buy error, annealed gates on every bond component, compression of
    the components that carry least, and exchanges around the target error.

    Parameters
    ----------
    target_error : float, default=0.1
        Relative error ``||X - TN|| / ||X||`` that the network must meet. 0 asks for a
        reconstruction to rounding, 1 for the best rank-one network.
    max_parameters : int, default=None
        Most parameters. If given, the error is lowered as far as these allow, and
        ``target_error`` only ends the search early.
    bond_dims : array-like of shape (N, N), default=None
        Symmetric bond dimensions. If given there is no search, only a fit.
    tensor_shape : tuple of int, default=None
        Shape of one sample of a 2-D X. By default, the number of features is factorised.
    ordered_modes : "auto" or list of int, default="auto"
        Modes with a spatial or temporal order, which may be averaged in pairs. "auto" takes the
        modes of at least 16.
    n_scales : int, default=2
        Scales of the flow, the data themselves included; 1 turns coarse-graining off.
    reduction : bool, default=True
        Whether to search on the HOSVD core.
    tomography : bool, default=True
        Whether to read bond dimensions off the ranks of unfoldings.
    gates : bool, default=True
        Whether annealed gates close bond components together.
    information : bool, default=True
        Whether the least informative components are removed one by one.
    expansion : {"residual", "tension"}, default="residual"
        What chooses the bond to widen: the residual's own directions, or the tension of its nodes.
    n_cycles : int, default=2
        Exchange cycles after the target is met: more are slower and smaller; 0 turns them off.
    time_limit : float, default=None
        Seconds after which no new step is begun. The target is met all the same. A result under a
        limit depends on the machine.
    callback : callable, default=None
        Called with every entry of ``history_`` as it is made.
    verbose : bool or int, default=False
        Whether to print progress.
    random_state : int, RandomState instance or None, default=None
        Seed of the random starts; pass an int for the same result in every call.

    Attributes
    ----------
    cores_ : list of N ndarrays
        Core k has N axes: axis k is the mode, axis j the bond to core j (length 1: no edge).
    bond_dims_ : ndarray of shape (N, N)
        Bond dimensions, ones on the diagonal.
    reconstruction_error_ : float
        Relative error of ``to_tensor()``.
    compression_ratio_ : float
        Parameters per entry of X.
    n_parameters_ : int
        Entries of all cores.
    history_ : list of dict
        Per step: scale, action, bond, relative_error, n_parameters, seconds.
    tensor_shape_ : tuple
        Shape of the decomposed tensor, samples first.
    sample_shape_ : tuple
        Shape of one sample.
    n_features_in_ : int
        Length of the second axis of X.
    feature_names_in_ : ndarray of shape (n_features_in_,)
        Names of the features, if X had them.

    See Also
    --------
    RGTNImputer : Fill the gaps of a tensor with such a network.
    TTDecomposer : Tensor train, by SVDs.
    SVDinsTNDecomposer : Sparse diagonal factors on a complete graph.

    References
    ----------
    .. [1] M. Wang et al., "Renormalization Group Guided Tensor Network Structure Search",
       AAAI 2026, arXiv:2512.24663.

    Examples
    --------
    >>> import numpy as np
    >>> from sktn import RGTNDecomposer
    >>> rng = np.random.default_rng(0)
    >>> X = np.einsum("ar,rbs,sc->abc", rng.normal(size=(12, 2)), rng.normal(size=(2, 10, 3)),
    ...               rng.normal(size=(3, 8)))
    >>> model = RGTNDecomposer(target_error=1e-3, random_state=0).fit(X)
    >>> model.bond_dims_
    array([[1, 2, 1],
           [2, 1, 3],
           [1, 3, 1]])
    >>> model.transform(X).shape
    (12, 2)
    """

    _parameter_constraints: dict = {
        **_GraphDecomposer._parameter_constraints,
        **_SEARCH_CONSTRAINTS,
        "max_parameters": [None, Interval(Integral, 1, None, closed="left")],
        "bond_dims": [None, "array-like"],
        "ordered_modes": [StrOptions({"auto"}), "array-like"],
        "n_scales": [Interval(Integral, 1, None, closed="left")],
        "reduction": ["boolean"],
        "tomography": ["boolean"],
        "gates": ["boolean"],
        "information": ["boolean"],
        "expansion": [StrOptions({"residual", "tension"})],
        "n_cycles": [Interval(Integral, 0, None, closed="left")],
    }

    def __init__(
        self,
        target_error=0.1,
        *,
        max_parameters=None,
        bond_dims=None,
        tensor_shape=None,
        ordered_modes="auto",
        n_scales=2,
        reduction=True,
        tomography=True,
        gates=True,
        information=True,
        expansion="residual",
        n_cycles=2,
        time_limit=None,
        callback=None,
        verbose=False,
        random_state=None,
    ):
        self.target_error = target_error
        self.max_parameters = max_parameters
        self.bond_dims = bond_dims
        self.tensor_shape = tensor_shape
        self.ordered_modes = ordered_modes
        self.n_scales = n_scales
        self.reduction = reduction
        self.tomography = tomography
        self.gates = gates
        self.information = information
        self.expansion = expansion
        self.n_cycles = n_cycles
        self.time_limit = time_limit
        self.callback = callback
        self.verbose = verbose
        self.random_state = random_state

    def _decompose(self, work, kept, T, rng, history):
        target = self._error_target(T)
        if self.bond_dims is not None:
            return _fixed_fit(
                work, _bond_matrix(self.bond_dims, T.shape, kept), target, rng, history
            )
        smallest = sum(T.shape)
        if self.max_parameters is not None and self.max_parameters < smallest:
            raise ValueError(
                f"max_parameters={self.max_parameters} is less than the {smallest} of a rank-one "
                f"network for shape {T.shape}. Give at least {smallest}."
            )
        if isinstance(self.ordered_modes, str):
            ordered = [k for k, length in enumerate(T.shape) if length >= 16]
        else:
            ordered = [int(k) % T.ndim for k in self.ordered_modes if -T.ndim <= int(k) < T.ndim]
            if len(ordered) < len(self.ordered_modes):
                raise ValueError(
                    f"ordered_modes={list(self.ordered_modes)} names a mode outside the {T.ndim} "
                    "modes of X. Count from 0, the samples."
                )
        settings = rg.Settings(
            n_scales=self.n_scales,
            ordered=tuple(kept.index(k) for k in ordered if k in kept),
            reduction=self.reduction,
            tomography=self.tomography,
            gates=self.gates,
            information=self.information,
            expansion=self.expansion,
            cycles=self.n_cycles,
            time_limit=self.time_limit,
        )
        spare = T.ndim - len(kept)  # modes of length one cost one parameter each
        budget = None if self.max_parameters is None else self.max_parameters - spare
        cores, _ = rg.search(work, target, rng, settings, budget=budget, callback=history)
        return cores


def _bond_matrix(bonds, shape, kept):
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


def _fixed_fit(work, R, target, rng, history, max_sweeps=200, tol=1e-5, restarts=1):
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
