"""Filling the gaps of tensors and tables with a tensor network."""

import warnings
from numbers import Integral, Real
from typing import Any, Self

import numpy as np
from numpy.typing import ArrayLike
from sklearn.base import BaseEstimator, TransformerMixin, _fit_context
from sklearn.utils import check_random_state
from sklearn.utils._param_validation import Interval, StrOptions
from sklearn.utils.validation import check_is_fitted

from sktn.annotations import Data
from sktn.decomposition.table_columns import TableColumns, validated
from sktn.documentation import DocLinks
from sktn.fitted import commit
from sktn.networks import graph
from sktn.solvers.deadline import Deadline
from sktn.structure import appending, codes, completion, gaps, modes
from sktn.structure.history import History

__all__ = ["RGTNImputer"]


class RGTNImputer(TableColumns, DocLinks, TransformerMixin, BaseEstimator):
    """Fill missing entries with a tensor network whose structure is found automatically.

    NaN is missing, and so is what a mask of ``numpy.ma`` hides. Several networks grow bond by bond,
    coarse scales first; which bond, how far, when to stop, and which networks to keep is decided
    by observed entries that are held out, never by the missing ones.

    For tables whose columns differ in kind, `MPSImputer` is the better tool.

    Parameters
    ----------
    ordered_modes : "auto" or list of int, default="auto"
        Modes with a spatial or temporal order: they are averaged in pairs at coarse scales, and
        differences of neighbours along them are penalised. Negative numbers count from the last.
        "auto" takes the modes of at least 16, of tensors with three modes or more, along which
        neighbours resemble each other more than slices at random do; of tensors with up to 200,000
        entries networks without any order grow as well, and the held-out entries decide.
    smoothness : "auto" or float, default="auto"
        Variance of the noise on the entries, relative to the variance of the entries: the larger,
        the smoother along the ordered modes. Differences of neighbours are measured in units of
        their mean size along each mode, and above three standard deviations of the noise they are
        edges, penalised linearly. "auto" follows the held-out entries; 0 for none.
    residual : bool, default=True
        Whether ``fit_transform`` adds the smooth part of the network's residual to what it fills
        in, if that helps the held-out entries.
    n_growths : "auto" or int, default="auto"
        Networks that are grown, from different starts and with what is "auto" tried in turn. Those
        that predict the held-out entries best are averaged. "auto" takes 8, of tensors with more
        than 200,000 entries 3. All go through the coarse scales, but only as many through the
        finest as have 8,000,000 entries together, at least one.
    n_scales : int, default=3
        Scales, the data themselves included; 1 turns coarse-graining off.
    validation_fraction : "auto" or float, default="auto"
        Share of the observed entries that are held out for the decisions. "auto" is 0.05, and more
        of few entries, so that there are 200, but not more than 0.2.
    growth : float, default=0.6
        Parameters added in one step, relative to those there are.
    n_sweeps : int, default=2
        Sweeps after each step.
    max_steps : int, default=30
        Most steps at one scale.
    ridge : "auto" or float, default="auto"
        Weight of each core's squared norm, relative to the curvature of its data term. Squared
        norms of the two sides of a bond bound its nuclear norm, so this is what keeps ranks low
        within given bond dimensions. "auto" tries 0.01, 0.1 and 0.001.
    patience : int, default=2
        Steps without improvement before the growth ends.
    keep_empty_features : bool, default=True
        Whether columns of a table without any observed entry are kept. They are filled with the
        mean of all observed entries, with a warning. If False they are left out of the result, as
        scikit-learn's imputers do. A tensor keeps its shape.
    add_indicator : bool, default=False
        Whether columns that tell what was missing are appended to a table, as
        `sklearn.impute.MissingIndicator` makes them.
    time_limit : float, default=None
        Seconds after which no new step is begun. A result under a limit depends on the machine.
    callback : callable, default=None
        Called with every entry of ``history_`` as it is made.
    verbose : bool or int, default=False
        Whether to print progress.
    random_state : int, RandomState instance or None, default=None
        Seed of the start and of the held-out entries.

    Attributes
    ----------
    cores_ : list of N ndarrays
        The network that predicts the held-out entries best, of the standardised tensor:
        (X - ``location_``) / ``scale_``. Core k has N axes: axis k is the mode, axis j the bond to
        core j.
    bond_dims_ : ndarray of shape (N, N)
        Bond dimensions, ones on the diagonal.
    location_, scale_ : float or ndarray of shape (n_features_in_,)
        Mean and standard deviation of the observed entries: one for a tensor, one per column for a
        table.
    ordered_modes_ : tuple of int
        Modes that were taken for ordered.
    validation_error_ : float
        Root mean squared error on the held-out entries, in standard deviations.
    history_ : list of dict
        Per step: scale, action, bond, relative_error (of held-out entries, in standard deviations),
        n_parameters, seconds. Every growth begins with the action "start".
    indicator_ : MissingIndicator
        What makes the columns of ``add_indicator``.
    sample_shape_ : tuple of int
        Shape of one sample.
    n_features_in_ : int
        Length of the second axis of X.
    feature_names_in_ : ndarray of shape (n_features_in_,)
        Names of the features, if X had them.

    See Also
    --------
    MPSImputer : Fill the gaps of tables, numeric and categorical.
    RGTNDecomposer : Compress a tensor to a given error.

    Notes
    -----
    ``fit_transform`` fills the gaps of the tensor it was fitted on from its own sample core, and is
    what completion means. ``transform`` fills new samples: the codes of the training samples are a
    normal prior on theirs, their observed entries the data, the other cores fixed; one network
    alone, without the smooth part of its residual. ``partial_fit`` appends such samples: they move
    the other cores as well, beside the old samples as the network remembers them.

    A slice without any observed entry, such as a sample that is missing altogether, gets the mean
    of the other slices' codes; along an ordered mode it is interpolated between its neighbours.

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
        "validation_fraction": [StrOptions({"auto"}), Interval(Real, 0, 1, closed="neither")],
        "growth": [Interval(Real, 0, None, closed="neither")],
        "n_sweeps": [Interval(Integral, 1, None, closed="left")],
        "max_steps": [Interval(Integral, 0, None, closed="left")],
        "n_growths": [StrOptions({"auto"}), Interval(Integral, 1, None, closed="left")],
        "ridge": [StrOptions({"auto"}), Interval(Real, 0, None, closed="left")],
        "patience": [Interval(Integral, 1, None, closed="left")],
        "keep_empty_features": ["boolean"],
        "add_indicator": ["boolean"],
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
        n_growths="auto",
        n_scales=3,
        validation_fraction="auto",
        growth=0.6,
        n_sweeps=2,
        max_steps=30,
        ridge="auto",
        patience=2,
        keep_empty_features=True,
        add_indicator=False,
        time_limit=None,
        callback=None,
        verbose=False,
        random_state=None,
    ):
        self.ordered_modes = ordered_modes
        self.smoothness = smoothness
        self.residual = residual
        self.n_growths = n_growths
        self.n_scales = n_scales
        self.validation_fraction = validation_fraction
        self.growth = growth
        self.n_sweeps = n_sweeps
        self.max_steps = max_steps
        self.ridge = ridge
        self.patience = patience
        self.keep_empty_features = keep_empty_features
        self.add_indicator = add_indicator
        self.time_limit = time_limit
        self.callback = callback
        self.verbose = verbose
        self.random_state = random_state

    def fit(self, X: Data, y: ArrayLike | None = None) -> Self:
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
        blank = type(self)()  # takes the notes of the validation, until the fit is done
        X = validated(blank, X, reset=True)
        if self.add_indicator and X.ndim > 2:
            raise ValueError(
                f"add_indicator=True needs a table, but X has {X.ndim} modes. Take np.isnan(X) "
                "before the tensor is filled."
            )
        history = History(type(self).__name__, range(X.ndim), self.verbose, self.callback)
        rng = np.random.default_rng(check_random_state(self.random_state).randint(2**31 - 1))
        found = gaps.complete(X, rng, self._settings(X.shape), history)
        if found.caveat and np.isnan(X).any():
            warnings.warn(found.caveat, stacklevel=3)
        empty = np.zeros(X.shape[1] if X.ndim == 2 else 0, dtype=bool)
        if len(empty):
            empty[found.absent[1]] = True
        fitted = {
            **{name: value for name, value in vars(blank).items() if name.endswith("_in_")},
            "sample_shape_": X.shape[1:],
            "location_": found.units.location,
            "scale_": found.units.scale,
            "cores_": [core.astype(X.dtype) for core in found.cores],
            "bond_dims_": graph.bond_dims(found.cores),
            "ordered_modes_": found.ordered,
            "validation_error_": float(np.sqrt(found.loss)),
            "history_": history.entries,
            "_empty": empty,
            "_caveat": found.caveat,
            "_density": 1.0 - float(np.isnan(X).mean()),
        }
        if self.add_indicator:
            # Not above: it brings a third of what an import of this package takes.
            from sklearn.impute import MissingIndicator

            fitted["indicator_"] = MissingIndicator(error_on_new=False).fit(X)
        commit(self, fitted)
        self._warn_of_empty_columns()
        return X, found.values

    def _settings(self, shape):
        auto = isinstance(self.ordered_modes, str)
        return completion.Settings(
            ordered=None if auto else tuple(modes.ordered(self.ordered_modes, shape)),
            noise=_chosen(self.smoothness),
            residual=self.residual,
            n_scales=self.n_scales,
            max_steps=self.max_steps,
            growth=self.growth,
            sweeps=self.n_sweeps,
            ridge=_chosen(self.ridge),
            patience=self.patience,
            held_out=_chosen(self.validation_fraction),
            growths=_chosen(self.n_growths),
            deadline=Deadline.after(self.time_limit),
        )

    @_fit_context(prefer_skip_nested_validation=True)
    def partial_fit(self, X: Data, y: ArrayLike | None = None) -> Self:
        """Append samples, at the price of these; the structure and the codes of the old ones stay.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features) or (n_samples, I_1, ..., I_k)
            More samples, NaN where missing.
        y : Ignored
            Not used, present for API consistency.

        Returns
        -------
        self : object
            The estimator; the first core has a slice for every sample, the new ones last.
        """
        if not hasattr(self, "cores_"):
            return self.fit(X)
        X, Z, known = self._read(X)
        n_old, n_new = len(self.cores_[0]), len(X)
        cores = appending.appended(self.cores_, self._density, Z, known, self._noise())
        density = (n_old * self._density + n_new * known.mean()) / (n_old + n_new)
        cores = [core.astype(self.cores_[0].dtype) for core in cores]
        self.__dict__ = {**vars(self), "cores_": cores, "_density": float(density)}
        return self

    def fit_transform(self, X: Data, y: ArrayLike | None = None) -> Any:
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
            X without gaps; a table also without or with the columns that ``keep_empty_features``
            and ``add_indicator`` ask for.
        """
        return self._output(*self._fit(X))

    def transform(self, X: Data) -> Any:
        """Fill the gaps of new samples.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features) or (n_samples, I_1, ..., I_k)
            Samples, NaN where missing. A sample without observed entries gets the mean code.

        Returns
        -------
        filled : ndarray of the shape of X
            X without gaps; a table also without or with the columns that ``keep_empty_features``
            and ``add_indicator`` ask for.
        """
        check_is_fitted(self)
        X, Z, known = self._read(X)
        missing = np.isnan(X)
        if not missing.any():
            return self._output(X, X)
        if self._caveat:
            warnings.warn(self._caveat, stacklevel=2)
        flat = codes.fill_rows(
            Z.reshape(len(X), -1),
            known.reshape(len(X), -1),
            graph.environment(self.cores_, 0).astype(np.float64),
            self.cores_[0].reshape(len(self.cores_[0]), -1).astype(np.float64),
            self._noise(),
        )
        values = self._units().original(flat.reshape(X.shape), X.dtype)
        return self._output(X, np.where(missing, values, X).astype(X.dtype))

    def _noise(self):
        # An error of nothing would make the codes an exact solution, whatever its size.
        return max(self.validation_error_, 1e-3) ** 2

    def to_tensor(self):
        """The network's values for the training tensor, observed entries included.

        Returns
        -------
        tensor : ndarray of shape (n_samples, I_1, ..., I_k)
            Contracted, in the units of X.
        """
        check_is_fitted(self)
        dtype = self.cores_[0].dtype
        return self._units().original(graph.to_dense(self.cores_), dtype).astype(dtype)

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


def _chosen(value):
    """What the search chooses is None there."""
    return None if isinstance(value, str) else value
