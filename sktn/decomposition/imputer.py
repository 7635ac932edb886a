"""Filling the gaps of tensors and tables with a tensor network."""

import time
from numbers import Integral, Real

import numpy as np
from sklearn.base import BaseEstimator, OneToOneFeatureMixin, TransformerMixin, _fit_context
from sklearn.utils import check_random_state
from sklearn.utils._param_validation import Interval, StrOptions
from sklearn.utils.validation import check_is_fitted, validate_data

from sktn.decomposition.base import History
from sktn.networks import graph
from sktn.structure import completion, gaps

__all__ = ["RGTNImputer"]


class RGTNImputer(OneToOneFeatureMixin, TransformerMixin, BaseEstimator):
    """Fill missing entries with a tensor network whose structure is found automatically.

    NaN is missing. The network grows bond by bond, coarse scales first; which bond, how far, and
    when to stop are decided by observed entries that are held out, never by the missing ones.

    Parameters
    ----------
    ordered_modes : "auto" or list of int, default="auto"
        Modes with a spatial or temporal order: they are averaged in pairs at coarse scales, and
        differences of neighbours along them are penalised. "auto" takes the modes of at least 16 of
        tensors with three modes or more, and none of a table.
    smoothness : "auto" or float, default="auto"
        Variance of the noise on the entries, relative to the variance of the entries: the larger,
        the smoother along the ordered modes. Differences of neighbours are measured in units of
        their mean size along each mode, and above three standard deviations of the noise they are
        edges, penalised linearly. "auto" follows the held-out entries; 0 for none.
    residual : bool, default=True
        Whether ``fit_transform`` adds the smooth part of the network's residual to what it fills
        in, if that helps the held-out entries.
    n_scales : int, default=3
        Scales, the data themselves included; 1 turns coarse-graining off.
    validation_fraction : float, default=0.05
        Share of the observed entries that are held out for the decisions.
    growth : float, default=0.6
        Parameters added in one step, relative to those there are.
    n_sweeps : int, default=2
        Sweeps after each step.
    max_steps : int, default=30
        Most steps at one scale.
    ridge : float, default=1e-3
        Weight of each core's squared norm, relative to the curvature of its data term. Squared
        norms of the two sides of a bond bound its nuclear norm, so this is what keeps ranks low
        within given bond dimensions.
    patience : int, default=2
        Steps without improvement before the growth ends.
    time_limit : float, default=None
        Seconds after which no new step is begun.
    callback : callable, default=None
        Called with every entry of ``history_`` as it is made.
    verbose : bool or int, default=False
        Whether to print progress.
    random_state : int, RandomState instance or None, default=None
        Seed of the start and of the held-out entries.

    Attributes
    ----------
    cores_ : list of N ndarrays
        Network of the standardised tensor: (X - ``location_``) / ``scale_``. Core k has N axes:
        axis k is the mode, axis j the bond to core j.
    bond_dims_ : ndarray of shape (N, N)
        Bond dimensions, ones on the diagonal.
    location_, scale_ : ndarray
        Mean and standard deviation of the observed entries: one for a tensor, one per column for a
        table.
    validation_error_ : float
        Root mean squared error on the held-out entries, in standard deviations.
    history_ : list of dict
        Per step: scale, action, bond, relative_error (of held-out entries, in standard deviations),
        n_parameters, seconds.
    n_features_in_ : int
        Length of the second axis of X.
    feature_names_in_ : ndarray of shape (n_features_in_,)
        Names of the features, if X had them.

    See Also
    --------
    RGTNDecomposer : Compress a tensor to a given error.

    Notes
    -----
    ``fit_transform`` fills the gaps of the tensor it was fitted on from its own sample core, and is
    what completion means. ``transform`` fills new samples: their sample cores are ridge
    regressions on their observed entries, the other cores fixed.

    Examples
    --------
    >>> import numpy as np
    >>> from sktn import RGTNImputer
    >>> rng = np.random.default_rng(0)
    >>> X = np.einsum("ar,br,cr->abc", *rng.normal(size=(3, 12, 2)))
    >>> gaps = rng.random(X.shape) < 0.3
    >>> filled = RGTNImputer(random_state=0).fit_transform(np.where(gaps, np.nan, X))
    >>> bool(np.abs(filled - X).max() < 0.5)
    True
    """

    _parameter_constraints: dict = {
        "ordered_modes": [StrOptions({"auto"}), "array-like"],
        "smoothness": [StrOptions({"auto"}), Interval(Real, 0, None, closed="left")],
        "residual": ["boolean"],
        "n_scales": [Interval(Integral, 1, None, closed="left")],
        "validation_fraction": [Interval(Real, 0, 1, closed="neither")],
        "growth": [Interval(Real, 0, None, closed="neither")],
        "n_sweeps": [Interval(Integral, 1, None, closed="left")],
        "max_steps": [Interval(Integral, 0, None, closed="left")],
        "ridge": [Interval(Real, 0, None, closed="left")],
        "patience": [Interval(Integral, 1, None, closed="left")],
        "time_limit": [None, Interval(Real, 0, None, closed="neither")],
        "callback": [None, callable],
        "verbose": ["verbose"],
        "random_state": ["random_state"],
    }

    def __init__(
        self,
        ordered_modes="auto",
        *,
        smoothness="auto",
        residual=True,
        n_scales=3,
        validation_fraction=0.05,
        growth=0.6,
        n_sweeps=2,
        max_steps=30,
        ridge=1e-3,
        patience=2,
        time_limit=None,
        callback=None,
        verbose=False,
        random_state=None,
    ):
        self.ordered_modes = ordered_modes
        self.smoothness = smoothness
        self.residual = residual
        self.n_scales = n_scales
        self.validation_fraction = validation_fraction
        self.growth = growth
        self.n_sweeps = n_sweeps
        self.max_steps = max_steps
        self.ridge = ridge
        self.patience = patience
        self.time_limit = time_limit
        self.callback = callback
        self.verbose = verbose
        self.random_state = random_state

    def fit(self, X, y=None):
        """Find the network of X.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features) or (n_samples, I_1, ..., I_k)
            Tensor or table, NaN where missing.
        y : Ignored
            Not used, present for API consistency.

        Returns
        -------
        self : object
            Fitted estimator.
        """
        self._fit(X)
        return self

    @_fit_context(prefer_skip_nested_validation=True)
    def _fit(self, X):
        X = self._validated(X, reset=True)
        history = History(type(self).__name__, range(X.ndim), self.verbose, self.callback)
        rng = np.random.default_rng(check_random_state(self.random_state).randint(2**31 - 1))
        found = gaps.complete(X, rng, self._settings(X.shape), history)
        self.location_ = (found.units.location * found.units.peak).astype(X.dtype)
        self.scale_ = (found.units.scale * found.units.peak).astype(X.dtype)
        self._units = found.units
        self.cores_ = [core.astype(X.dtype) for core in found.cores]
        self.bond_dims_ = graph.bond_dims(self.cores_)
        self.history_ = history.entries
        self.validation_error_ = float(np.sqrt(found.loss))
        return found.values

    def _settings(self, shape):
        deadline = None if self.time_limit is None else time.perf_counter() + self.time_limit
        return completion.Settings(
            ordered=self._ordered(shape),
            noise=None if self.smoothness == "auto" else float(self.smoothness),
            residual=self.residual,
            n_scales=self.n_scales,
            max_steps=self.max_steps,
            growth=self.growth,
            sweeps=self.n_sweeps,
            ridge=self.ridge,
            patience=self.patience,
            held_out=self.validation_fraction,
            deadline=deadline,
        )

    def _ordered(self, shape):
        if isinstance(self.ordered_modes, str):
            return None
        ordered = [int(k) for k in self.ordered_modes]
        for k in ordered:
            if not 0 <= k < len(shape):
                raise ValueError(
                    f"ordered_modes={ordered} names mode {k}, but X has {len(shape)} modes. "
                    "Count from 0, the samples."
                )
        return tuple(ordered)

    def _validated(self, X, *, reset):
        X = validate_data(
            self,
            gaps.unmasked(X),
            reset=reset,
            allow_nd=True,
            dtype=[np.float64, np.float32],
            ensure_all_finite="allow-nan",
            copy=True,
        )
        if reset:
            self.sample_shape_ = X.shape[1:]
        elif X.shape[1:] != self.sample_shape_:
            raise ValueError(
                f"X has samples of shape {X.shape[1:]}, but RGTNImputer was fitted on samples of "
                f"shape {self.sample_shape_}."
            )
        return X

    def fit_transform(self, X, y=None):
        """Fit, and fill the gaps of X; observed entries are returned as they are.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features) or (n_samples, I_1, ..., I_k)
            Tensor or table, NaN where missing.
        y : Ignored
            Not used, present for API consistency.

        Returns
        -------
        filled : ndarray of the shape of X
            X without gaps.
        """
        return self._fit(X)

    def transform(self, X):
        """Fill the gaps of new samples.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features) or (n_samples, I_1, ..., I_k)
            Samples, NaN where missing. A sample without observed entries gets the mean code.

        Returns
        -------
        filled : ndarray of the shape of X
            X without gaps.
        """
        check_is_fitted(self)
        X = self._validated(X, reset=False)
        return self._filled(X, ~np.isnan(X))

    def _filled(self, X, seen):
        missing = np.flatnonzero(~seen.reshape(len(X), -1).all(axis=1))
        if not len(missing):
            return X
        env = graph.environment(self.cores_, 0).astype(np.float64)
        trained = self.cores_[0].reshape(self.cores_[0].shape[0], -1).astype(np.float64)
        prior, spread = trained.mean(axis=0), np.cov(trained.T, bias=True).reshape(env.shape[1], -1)
        # Posterior mean of the code: the trained codes are the prior, validation error the noise.
        spread = spread + 1e-9 * max(np.trace(spread), 1e-12) / len(spread) * np.eye(len(spread))
        precision = np.linalg.inv(spread)
        noise = max(self.validation_error_, 1e-3) ** 2
        flat, known = self._units.standard(X).reshape(len(X), -1), seen.reshape(len(X), -1)
        for row in missing:
            on = known[row]
            basis = env[on]
            target = flat[row, on] - basis @ prior
            code = prior + np.linalg.solve(basis.T @ basis + noise * precision, basis.T @ target)
            flat[row, ~on] = env[~on] @ code
        return np.where(seen, X, self._units.original(flat.reshape(X.shape), X.dtype)).astype(
            X.dtype
        )

    def to_tensor(self):
        """The network's values for the training tensor, observed entries included.

        Returns
        -------
        tensor : ndarray of shape (n_samples, I_1, ..., I_k)
            Contracted, in the units of X.
        """
        check_is_fitted(self)
        return self._units.original(graph.to_dense(self.cores_), self.cores_[0].dtype)

    def draw(self, ax=None):
        """Draw the network.

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
        tags.input_tags.allow_nan = True
        tags.transformer_tags.preserves_dtype = ["float64", "float32"]
        return tags
