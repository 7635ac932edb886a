"""Completing a tensor that is given as a list of coordinates and values."""

import warnings
from numbers import Integral, Real

import numpy as np
from sklearn.base import BaseEstimator, RegressorMixin, _fit_context
from sklearn.preprocessing import OrdinalEncoder
from sklearn.utils import check_random_state
from sklearn.utils._param_validation import Interval
from sklearn.utils.validation import check_array, check_is_fitted, check_X_y, validate_data

from sktn.documentation import DocLinks
from sktn.fitted import blank
from sktn.networks import graph
from sktn.solvers.als_coordinates import Coordinates
from sktn.solvers.deadline import Deadline
from sktn.structure import coordinates
from sktn.structure.gaps import Units
from sktn.structure.history import History
from sktn.tables.categories import is_missing, with_plain_gaps
from sktn.tables.reading import check_target, number_target, table_weight

__all__ = ["RGTNCompleter"]

# Sums of scikit-learn's checks overflow where numbers are as large as floats are.
_large = np.errstate(over="ignore", invalid="ignore")


class RGTNCompleter(DocLinks, RegressorMixin, BaseEstimator):
    """Complete a tensor that is given as coordinates and values, and never formed.

    Every row of X names one entry, by its level along every mode, such as user, item and week; y is
    its value. The model is

        value = mean + sum_k effect_k[i_k] + network[i_1, ..., i_N] + noise,

    with a tensor network on a graph whose bonds grow one by one while values that are held out say
    that they help. Slices of the cores and effects have normal priors that are estimated with them
    (empirical Bayes), so levels with few rows are shrunk towards the others, and there is no ridge
    to choose. Memory and time grow with the rows, not with the size of the tensor.

    Parameters
    ----------
    max_steps : int, default=30
        Bonds that are widened at most; 0 keeps the product of one factor for each mode.
    n_sweeps : int, default=3
        Sweeps of alternating least squares after each step.
    validation_fraction : float, default=0.1
        Share of the entries that are held out while the structure is searched. The last sweeps use
        all of them.
    value_range : tuple of float, default=None
        Smallest and largest value that there can be, such as ``(1, 5)`` for ratings: predictions
        beyond are moved there. None for an end that is open.
    time_limit : float, default=None
        Seconds after which no new step is begun. A result under a limit depends on the machine.
    callback : callable, default=None
        Called with every entry of ``history_`` as it is made.
    verbose : bool or int, default=False
        Whether to print a line a step.
    random_state : int, RandomState instance or None, default=None
        Seed of the starts and of the held-out entries.

    Attributes
    ----------
    categories_ : list of N ndarrays
        The levels of every mode, sorted.
    shape_ : tuple of int
        Shape of the tensor: the number of levels of every mode.
    location_, scale_ : float
        Mean and standard deviation of the values; effects and network are in units of the latter.
    effects_ : list of N ndarrays of shape (I_k,)
        What a level adds, whatever the other modes.
    cores_ : list of N ndarrays
        The network. Core k has N axes: axis k is the mode, axis j the bond to core j.
    bond_dims_ : ndarray of shape (N, N)
        Bond dimensions, ones on the diagonal.
    n_rows_seen_ : list of N ndarrays of shape (I_k,)
        Weight of the rows of every level.
    validation_error_ : float
        Root mean squared error on the held-out entries, in units of y.
    history_ : list of dict
        Per step: action, bond, relative_error (of held-out entries, in standard deviations),
        n_parameters, seconds.
    n_features_in_ : int
        Number of modes N.
    feature_names_in_ : ndarray of shape (N,)
        Names of the modes, if X had them.

    See Also
    --------
    RGTNImputer : Fill the gaps of a tensor that is given in full, along ordered modes smoothly.

    Notes
    -----
    An entry that is named several times counts as its mean with their weights together. A level
    that was not seen has the mean effect and the mean slice of the others.

    ``partial_fit`` takes more rows, and new levels of any mode, at the price of these rows: what
    the old ones said of a slice counts as so many rows of an average environment. The structure
    stays.

    Slices are solved as in alternating least squares for matrix factorisation [1]_, with the priors
    of a probabilistic one [2]_, on the graph of bonds that the search finds.

    References
    ----------
    .. [1] Y. Hu, Y. Koren and C. Volinsky, "Collaborative filtering for implicit feedback
       datasets", ICDM 2008.
    .. [2] R. Salakhutdinov and A. Mnih, "Probabilistic matrix factorization", NeurIPS 2007.

    Examples
    --------
    >>> import numpy as np
    >>> from sktn import RGTNCompleter
    >>> rng = np.random.default_rng(0)
    >>> taste, kind, season = rng.normal(size=(90, 2)), rng.normal(size=(60, 2)), rng.random((4, 2))
    >>> X = np.stack([rng.integers(n, size=4000) for n in (90, 60, 4)], axis=1)
    >>> y = (taste[X[:, 0]] * kind[X[:, 1]] * season[X[:, 2]]).sum(axis=1)
    >>> model = RGTNCompleter(random_state=0).fit(X[:3000], y[:3000])
    >>> bool(model.score(X[3000:], y[3000:]) > 0.95)
    True
    """

    _parameter_constraints: dict = {
        "max_steps": [Interval(Integral, 0, None, closed="left")],
        "n_sweeps": [Interval(Integral, 1, None, closed="left")],
        "validation_fraction": [Interval(Real, 0, 1, closed="neither")],
        "value_range": [tuple, list, None],
        "time_limit": [None, Interval(Real, 0, None, closed="neither")],
        "callback": [None, callable],
        "verbose": ["verbose"],
        "random_state": ["random_state"],
    }

    def __init__(
        self,
        *,
        max_steps=30,
        n_sweeps=3,
        validation_fraction=0.1,
        value_range=None,
        time_limit=None,
        callback=None,
        verbose=False,
        random_state=None,
    ):
        self.max_steps = max_steps
        self.n_sweeps = n_sweeps
        self.validation_fraction = validation_fraction
        self.value_range = value_range
        self.time_limit = time_limit
        self.callback = callback
        self.verbose = verbose
        self.random_state = random_state

    @_fit_context(prefer_skip_nested_validation=True)
    def fit(self, X, y, sample_weight=None):
        """Find the network of the entries.

        Parameters
        ----------
        X : array-like of shape (n_entries, N)
            The level of every entry along every mode: integers, strings, whatever has an order.
        y : array-like of shape (n_entries,)
            Their values.
        sample_weight : array-like of shape (n_entries,), default=None
            Weights of the entries.

        Returns
        -------
        self : object
            Fitted estimator.
        """
        model = blank(self)
        model._check_range()
        X, y, weight = model._read(X, y, sample_weight, reset=True)
        model._encoder = _encoder(X)
        index = _large(model._encoder.transform)(X)
        model.categories_ = list(model._encoder.categories_)
        model.shape_ = tuple(map(len, model.categories_))
        model.location_, model.scale_ = _mean_and_deviation(y, weight)
        data, model._unit_weight = _once(index, y, weight, model)
        history = History(
            type(self).__name__, range(len(model.shape_)), self.verbose, self.callback
        )
        settings = coordinates.Settings(
            max_steps=self.max_steps,
            sweeps=self.n_sweeps,
            held_out=self.validation_fraction,
            deadline=Deadline.after(self.time_limit),
        )
        rng = np.random.default_rng(check_random_state(self.random_state).randint(2**31 - 1))
        found, loss = coordinates.complete(data, rng, settings, history)
        model._take(found, [_mass(model, index, weight, k) for k in range(index.shape[1])])
        model.validation_error_ = float(np.sqrt(loss)) * model.scale_
        model.history_ = history.entries
        self.__dict__ = model.__dict__  # in one step: a fit that fails leaves the old model
        return self

    def partial_fit(self, X, y, sample_weight=None):
        """Take more entries, which may name new levels; the structure stays.

        Parameters
        ----------
        X : array-like of shape (n_entries, N)
            The level of every entry along every mode.
        y : array-like of shape (n_entries,)
            Their values.
        sample_weight : array-like of shape (n_entries,), default=None
            Weights of the entries.

        Returns
        -------
        self : object
            The estimator.
        """
        if not hasattr(self, "cores_"):
            return self.fit(X, y, sample_weight)
        X, y, weight = self._read(X, y, sample_weight, reset=False)
        model = blank(self)
        model.__dict__.update(vars(self))
        more = OrdinalEncoder(dtype=np.int32).fit(X).categories_
        levels = [
            np.concatenate([old, np.setdiff1d(new, old)])
            for old, new in zip(self.categories_, more, strict=True)
        ]
        sorting = [np.argsort(some, kind="stable") for some in levels]
        model.categories_ = [some[order] for some, order in zip(levels, sorting, strict=True)]
        model._encoder = _encoder(X, model.categories_)
        model.shape_ = tuple(map(len, levels))
        # New levels come last for the solver, and where they belong after it.
        index = _large(model._encoder.transform)(X)
        index = np.stack(
            [order[column] for order, column in zip(sorting, index.T, strict=True)], axis=1
        )
        data, _ = _once(index, y, weight, model, self._unit_weight)
        past = [seen / self._unit_weight for seen in self.n_rows_seen_]
        found = coordinates.extended(self._model, past, data)
        seen = [
            np.append(old, np.zeros(n - len(old))) + _mass(model, index, weight, k)
            for k, (old, n) in enumerate(zip(self.n_rows_seen_, model.shape_, strict=True))
        ]
        found = coordinates.reordered(found, sorting)
        model._take(found, [n[order] for n, order in zip(seen, sorting, strict=True)])
        self.__dict__ = model.__dict__
        return self

    def predict(self, X):
        """Values of entries.

        Parameters
        ----------
        X : array-like of shape (n_entries, N)
            The level of every entry along every mode. What was not seen has the mean effect and
            the mean slice of the others.

        Returns
        -------
        y : ndarray of shape (n_entries,)
            Predicted values, in the units of y.
        """
        check_is_fitted(self)
        array = _large(check_array)(_plain(X), dtype=None, estimator=self, input_name="X")
        validate_data(self, X, reset=False, skip_check_array=True)
        index = _large(self._encoder.transform)(array)
        return self._within(_units(self).original(self._model(index)))

    @_large
    def _read(self, X, y, sample_weight, *, reset):
        check_target(y)
        plain = _plain(X)
        _refuse_gaps(plain)
        array, y = check_X_y(plain, y, dtype=None, y_numeric=True, estimator=self)
        validate_data(self, X, reset=reset, skip_check_array=True)
        X = array
        if X.shape[1] < 2:
            raise ValueError(
                "X has 1 feature(s), but the entries of a tensor to complete have at least 2: its "
                "modes. With one, predict the mean of every level."
            )
        weight = table_weight(sample_weight, X)
        kept = weight > 0
        y = number_target(y)
        self._warn_beyond_range(y[kept])
        return X[kept], y[kept], weight[kept]

    def _take(self, found, seen):
        self._model = found
        self.n_rows_seen_ = seen
        self.effects_, self.cores_ = found.effects, found.cores
        self.bond_dims_ = graph.bond_dims(found.cores)

    def _check_range(self):
        if self.value_range is None:
            return
        ends = tuple(self.value_range)
        given = [end for end in ends if end is not None]
        if len(ends) != 2 or not all(isinstance(end, Real) for end in given):
            raise ValueError(
                f"value_range={self.value_range!r} must have two ends, numbers or None, such as "
                "(1, 5)."
            )
        if len(given) == 2 and not ends[0] < ends[1]:
            raise ValueError(
                f"value_range={self.value_range!r}: its first end must be the smaller."
            )

    def _warn_beyond_range(self, y):
        outside = np.count_nonzero(self._within(y) != y)
        if outside:
            warnings.warn(
                f"{outside} of {len(y)} values of y are outside value_range={self.value_range!r}, "
                "and no prediction will be: widen it if they are right.",
                UserWarning,
                stacklevel=3,
            )

    def _within(self, y):
        if self.value_range is None:
            return y
        low, high = self.value_range
        return np.clip(y, low, high)

    def __sklearn_tags__(self):
        tags = super().__sklearn_tags__()
        tags.input_tags.string = True
        tags.input_tags.categorical = True
        # Numbers are levels: nothing is said of those between them.
        tags.regressor_tags.poor_score = True
        return tags


def _plain(X):
    """X, an array where it is a frame: columns of several dtypes make one of objects, in which gaps
    are NaN."""
    X = with_plain_gaps(X)
    return with_plain_gaps(np.asarray(X)) if hasattr(X, "columns") else X


def _refuse_gaps(X):
    """Say where a row names no level: X as of `_plain`"""
    X = np.asarray(X)
    if X.ndim != 2 or X.dtype.kind not in "fO":
        return
    gaps = np.argwhere(np.frompyfunc(is_missing, 1, 1)(X).astype(bool))
    if len(gaps):
        row, mode = gaps[0]
        raise ValueError(
            f"Input X contains NaN or None, the first in row {row}, mode {mode}: leave rows out "
            "that do not say which entry they are, or give the missing level a name."
        )


@_large
def _encoder(X, categories="auto"):
    unknown = {"handle_unknown": "use_encoded_value", "unknown_value": -1}
    return OrdinalEncoder(categories=categories, dtype=np.int32, **unknown).fit(X)


def _mean_and_deviation(y, weight):
    """Of values of any size: neither their sum nor a square need be a number."""
    peak = np.abs(y).max() or 1.0
    mean = np.average(y / peak, weights=weight)
    away = y / peak - mean
    largest = np.abs(away).max() or 1.0
    deviation = largest * np.sqrt(np.average((away / largest) ** 2, weights=weight))
    return float(mean * peak), float(deviation * peak)


def _units(model):
    return Units(model.location_, model.scale_ or 1.0)


def _mass(model, index, weight, k):
    """Weight of the rows of every level of mode k."""
    return np.bincount(index[:, k], weight, minlength=model.shape_[k])


def _once(index, y, weight, model, unit=None):
    """Entries in units of the scale, those named several times as one, of their mean and their
    weights together.

    index (n, N), y (n,), weight (n,), unit weight that counts as one, None: the mean
    -> `Coordinates`, unit
    """
    if np.prod([float(n) for n in model.shape_]) < 2.0**62:
        keys = np.ravel_multi_index(tuple(index.T), model.shape_)
        _, first, inverse = np.unique(keys, return_index=True, return_inverse=True)
    else:
        _, first, inverse = np.unique(index, axis=0, return_index=True, return_inverse=True)
    total = np.bincount(inverse, weight)
    value = np.bincount(inverse, weight * _units(model).standard(y)) / total
    unit = unit or total.mean()
    index = np.ascontiguousarray(index[first], dtype=np.int32)
    return Coordinates(index, value, total / unit, model.shape_), unit
