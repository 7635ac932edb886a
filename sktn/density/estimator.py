"""Density estimation with Born machines."""

import warnings
from numbers import Integral, Real
from typing import Any, Self

import numpy as np
from numpy.typing import ArrayLike
from sklearn.base import BaseEstimator, DensityMixin, _fit_context
from sklearn.utils import check_array, check_random_state
from sklearn.utils._param_validation import Interval, StrOptions, validate_parameter_constraints
from sklearn.utils._set_output import _get_output_config
from sklearn.utils.validation import _check_feature_names_in, check_is_fitted

from sktn.annotations import Data
from sktn.density.fit import Settings, fit_joint
from sktn.documentation import DocLinks
from sktn.fitted import commit
from sktn.solvers.problem import Clock
from sktn.tables.categories import encode
from sktn.tables.features import feature_indices, feature_names
from sktn.tables.frames import Schema
from sktn.tables.reading import read, read_fit, table_weight


class MPSDensityEstimator(DocLinks, DensityMixin, BaseEstimator):
    """Density of a table: a Born machine on a matrix product state and a mixture of normals.

    Every column is mapped to u in (-1, 1) by its own distribution function, with the density f_i,
    and two parts say how the columns hang together,

        p(x) = prod_i f_i(x_i) [pi psi(u)^2 / <psi, psi> + (1 - pi) q(z) / prod_i N(z_i; 0, 1)] ,

    psi a matrix product state over normalised Legendre polynomials of u [1]_, q a mixture of normal
    distributions of the normal scores z of u. The polynomials are orthonormal under f_i and normal
    distributions stay normal, so norms, marginals, conditionals and draws are exact in both. The
    mixture sees columns that are nearly collinear, which a product of polynomials does not; the
    chain sees what has no clusters. Held-out rows choose the ridge of the chain, the components of
    the mixture, and the share pi.

    Parameters
    ----------
    bond_dim : int, default=10
        Largest bond dimension D of the chain.
    degree : int, default=6
        Largest degree of its polynomials.
    alpha : float or "auto", default="auto"
        Strength of a ridge in function space. The loss of the chain is the negative log-likelihood
        plus log(J / <psi, psi>), where J weighs the square of a coefficient of psi by the product
        of 1 + alpha s^2 over its degrees s. "auto": lowered from 1 by halves, one sweep each, and
        held-out rows choose where to stop; 0.03 without held-out rows.
    n_components : int or "auto", default="auto"
        Components of the mixture of normal distributions. 0: the chain alone. "auto": held-out rows
        choose, none for more than 300 columns.
    resolution : float or None, default=0.0025
        Width of the bins around repeated and rounded values of a numeric column, in standard
        deviations of the column. A bin holds the probability of its value, so its height is that
        over the width; 0.0025 makes it as high as a normal density of the deviation 0.001, the
        narrowest that :class:`~sklearn.mixture.GaussianMixture` has. Draws return the value itself.
        None: every column has a smooth density, whatever repeats.
    truncation_tol : float, default=None
        With a number, sweeps update two neighbouring cores at a time and split them by a singular
        value decomposition that may lose this share of the norm, so that every bond finds its own
        dimension, of at most `bond_dim`. None: one core at a time.
    feature_order : {"correlation", "given", "random"} or array-like, default="correlation"
        Order of the columns along the chain.
    max_iter : int, default=50
        Largest number of sweeps.
    validation_fraction : float or None, default=0.2
        Share of the rows that is held out, in up to five folds where this is less than 300 rows.
        None, or fewer than 20 distinct rows: nothing is held out, both parts have the share 1/2,
        and the sweeps go on until the loss settles.
    tol : float, default=1e-4
        Smallest improvement of the loss in a sweep that counts, at a given `alpha`.
    categorical_features : "from_dtype", array-like of {bool, int, str} or None, \
            default="from_dtype"
        As in :class:`~sklearn.ensemble.HistGradientBoostingClassifier`, and "from_dtype" takes
        columns of strings, too.
    random_state : int, RandomState instance or None, default=None
        Seeds what is drawn; an int gives the same result every time.
    verbose : int, default=0
        1: a line for every stage, with the seconds since the start.

    Attributes
    ----------
    joint_ : Joint
        The density: the columns' own densities, the parts, and their shares.
    chain_share_ : float
        Share pi of the chain.
    n_components_ : int
        Components of the mixture.
    cores_ : ndarray of shape (n_features, D, d, D)
        The chain, in the order `order_`, of norm 1.
    bond_dims_ : ndarray of shape (n_features + 1,)
        Its bond dimensions, those of its closed ends included.
    alpha_ : float
        Strength of its ridge.
    order_ : ndarray of shape (n_features,)
    margins_ : Margins
        The columns' own densities f_i.
    loss_curve_ : ndarray of shape (n_iter_,)
        Loss of the chain on all rows after every sweep: - log p relative to the product of the f_i,
        plus the penalty, so 0 means that nothing but the f_i was learned. Repeated values are
        spread over their bins.
    n_iter_ : int
        Sweeps.
    n_features_in_ : int
    feature_names_in_ : ndarray of shape (n_features_in_,)

    See Also
    --------
    SMPOAnomalyDetector : Scores that need not be a density.
    sklearn.neighbors.KernelDensity : Kernel density estimation.
    sklearn.mixture.GaussianMixture : Mixtures of normal distributions.

    Notes
    -----
    Missing values are integrated over, in training and afterwards; so are unknown categories. For
    categorical columns p is a probability. A constant column has the scale 1: its draws are the
    constant, and the density leaves other values the share of one row more. A column without any
    value has no density: what it holds is passed over, its draws are missing.

    References
    ----------
    .. [1] Z.-Y. Han, J. Wang, H. Fan, L. Wang and P. Zhang, "Unsupervised generative modeling
       using matrix product states", Physical Review X 8, 031012 (2018).

    Examples
    --------
    >>> import numpy as np
    >>> from sktn import MPSDensityEstimator
    >>> rng = np.random.default_rng(0)
    >>> x = rng.normal(size=300)
    >>> X = np.column_stack([x, x + 0.3 * rng.normal(size=300)])
    >>> density = MPSDensityEstimator(random_state=0).fit(X)
    >>> bool(np.diff(density.score_samples([[1.0, -1.0], [1.0, 1.0]]))[0] > 1)
    True
    >>> density.sample(3, random_state=0).shape
    (3, 2)
    """

    _parameter_constraints: dict = {
        "bond_dim": [Interval(Integral, 1, None, closed="left")],
        "degree": [Interval(Integral, 1, None, closed="left")],
        "alpha": [Interval(Real, 0, None, closed="left"), StrOptions({"auto"})],
        "n_components": [Interval(Integral, 0, None, closed="left"), StrOptions({"auto"})],
        "resolution": [Interval(Real, 0, 1, closed="neither"), None],
        "truncation_tol": [Interval(Real, 0, 1, closed="left"), None],
        "feature_order": [StrOptions({"correlation", "given", "random"}), "array-like"],
        "max_iter": [Interval(Integral, 1, None, closed="left")],
        "validation_fraction": [Interval(Real, 0, 0.5, closed="right"), None],
        "tol": [Interval(Real, 0, None, closed="left")],
        "categorical_features": ["array-like", StrOptions({"from_dtype"}), None],
        "random_state": ["random_state"],
        "verbose": ["verbose"],
    }

    def __init__(
        self,
        bond_dim=10,
        *,
        degree=6,
        alpha="auto",
        n_components="auto",
        resolution=0.0025,
        truncation_tol=None,
        feature_order="correlation",
        max_iter=50,
        validation_fraction=0.2,
        tol=1e-4,
        categorical_features="from_dtype",
        random_state=None,
        verbose=0,
    ):
        self.bond_dim = bond_dim
        self.degree = degree
        self.alpha = alpha
        self.n_components = n_components
        self.resolution = resolution
        self.truncation_tol = truncation_tol
        self.feature_order = feature_order
        self.max_iter = max_iter
        self.validation_fraction = validation_fraction
        self.tol = tol
        self.categorical_features = categorical_features
        self.random_state = random_state
        self.verbose = verbose

    @_fit_context(prefer_skip_nested_validation=True)
    def fit(
        self, X: Data, y: ArrayLike | None = None, sample_weight: ArrayLike | None = None
    ) -> Self:
        """Learn the density.

        Parameters
        ----------
        X : array-like or data frame of shape (n_samples, n_features)
            NaN is a missing value.
        y : Ignored
        sample_weight : array-like of shape (n_samples,), default=None
            Whole numbers count rows. Others are relative: only their ratios matter.

        Returns
        -------
        self : MPSDensityEstimator
        """
        clock = Clock(verbose=self.verbose)
        reading = read_fit(self, X, categorical=self.categorical_features)
        clock.say(f"{' x '.join(map(str, reading.X.shape))} table read")
        weight = table_weight(sample_weight, reading.X)
        if not np.any(weight > 0):
            raise ValueError(
                "All sample weights are zero: at least one row needs a positive weight."
            )
        settings = Settings(**{name: getattr(self, name) for name in Settings._fields})
        rng = check_random_state(self.random_state)
        found = fit_joint(reading.X, weight, reading.is_categorical, settings, rng)
        attributes = {**reading.fitted(), **found.fitted()}
        clock.say(f"{len(found.losses)} sweeps, share of the chain {found.chain_share:.2f}")
        commit(self, {**attributes, "_schema": Schema.of(X), "_dtype": reading.X.dtype})
        empty = np.isnan(reading.X[weight > 0]).all(axis=0)
        if empty.any():
            names = _check_feature_names_in(self)[empty].tolist()
            warnings.warn(
                f"No entry of the columns {names} is observed: they have no density, and draws "
                "and imputations leave them missing.",
                stacklevel=3,
            )
        return self

    def score_samples(self, X: Data) -> np.ndarray:
        """Log-density of each row.

        Parameters
        ----------
        X : array-like or data frame of shape (n_samples, n_features)
            Missing values are integrated over: the log-density of the others is returned, 0 for a
            row without values.

        Returns
        -------
        log_density : ndarray of shape (n_samples,)
        """
        X = self._read(X)
        return self.joint_.log_density(X)

    def score(self, X: Data, y: ArrayLike | None = None) -> float:
        """Mean log-density of the rows.

        Parameters
        ----------
        X : array-like or data frame of shape (n_samples, n_features)
        y : Ignored

        Returns
        -------
        score : float
        """
        # Densities next to the smallest number would not have a sum.
        scores = self.score_samples(X)
        return float(np.sum(scores / len(scores)))

    def marginal(self, X, columns):
        """Log-density of some columns, the others integrated over.

        Parameters
        ----------
        X : array-like or data frame of shape (n_samples, len(columns))
            Their values, in this order.
        columns : array-like of int or str
            Indices or names of the columns, each at most once.

        Returns
        -------
        log_density : ndarray of shape (n_samples,)
        """
        check_is_fitted(self)
        names = getattr(self, "feature_names_in_", None)
        columns = feature_indices(columns, feature_names(names, self.n_features_in_))
        if self.encoder_ is None:
            X = check_array(X, dtype=np.float64, ensure_all_finite="allow-nan")
        else:
            X = check_array(X, dtype=object, ensure_all_finite=False)
        if X.shape[1] != len(columns):
            raise ValueError(
                f"X must have one column for each of the {len(columns)} in columns, got an array "
                f"of shape {X.shape}."
            )
        full = np.full((len(X), self.n_features_in_), np.nan, dtype=X.dtype)
        full[:, columns] = X
        if self.encoder_ is not None:
            full = encode(full, self.is_categorical_, self.encoder_)
        return self.joint_.log_density(full)

    def sample(self, n_samples: int = 1, random_state: Any = None) -> Any:
        """Draw rows, independent and exactly from the density.

        A value in the bin of a repeated or rounded value is returned as this value.

        Parameters
        ----------
        n_samples : int, default=1
        random_state : int, RandomState instance or None, default=None
            Seeds what is drawn; an int gives the same result every time.

        Returns
        -------
        X : ndarray or data frame of shape (n_samples, n_features)
            With categorical columns an array of objects; see `set_output`.
        """
        check_is_fitted(self)
        validate_parameter_constraints(
            {"n_samples": [Interval(Integral, 1, None, closed="left")]},
            {"n_samples": n_samples},
            caller_name=f"{type(self).__name__}.sample",
        )
        empty = np.full((n_samples, self.n_features_in_), np.nan, self._dtype)
        return self._decoded(self.joint_.draw(empty, check_random_state(random_state)))

    def conditional_sample(self, X, random_state=None):
        """Fill missing values with draws from their distribution given the others.

        Parameters
        ----------
        X : array-like or data frame of shape (n_samples, n_features)
        random_state : int, RandomState instance or None, default=None
            Seeds what is drawn; an int gives the same result every time.

        Returns
        -------
        X : ndarray or data frame of shape (n_samples, n_features)
        """
        X = self._read(X)
        return self._decoded(self.joint_.draw(X, check_random_state(random_state)))

    def impute(self, X):
        """Fill missing values with the median of their distribution given the others.

        Parameters
        ----------
        X : array-like or data frame of shape (n_samples, n_features)

        Returns
        -------
        X : ndarray or data frame of shape (n_samples, n_features)
            Categorical columns get their most probable level. Columns of which the fit has seen
            no value stay missing.
        """
        X = self._read(X)
        return self._decoded(self.joint_.fill(X))

    def set_output(self, *, transform=None):
        """What `sample`, `conditional_sample` and `impute` return.

        Parameters
        ----------
        transform : {"default", "pandas", "polars"} or None, default=None
            "default": an array. "pandas", "polars": a frame with the names and dtypes of the one
            that was fitted. None leaves it as it is.

        Returns
        -------
        self : MPSDensityEstimator
        """
        validate_parameter_constraints(
            {"transform": [StrOptions({"default", "pandas", "polars"}), None]},
            {"transform": transform},
            caller_name=f"{type(self).__name__}.set_output",
        )
        if transform is not None:
            # Where scikit-learn keeps it, so that `clone` and `set_config` mean the same.
            self._sklearn_output_config = {"transform": transform}
        return self

    def _read(self, X):
        check_is_fitted(self)
        return read(self, X)

    def _decoded(self, X):
        """Codes back to categories, in the container that was asked for."""
        container = _get_output_config("transform", self)["dense"]
        if self.encoder_ is not None:
            X = X.astype(object)
            categorical = np.flatnonzero(self.is_categorical_)
            for j, levels in zip(categorical, self.encoder_.categories_, strict=True):
                # A column without any value has no level.
                levels = np.asarray(levels if len(levels) else [None], dtype=object)
                X[:, j] = levels[X[:, j].astype(int)]
        return X if container == "default" else self._schema.frame(X, container)

    def __sklearn_tags__(self):
        tags = super().__sklearn_tags__()
        tags.input_tags.allow_nan = True
        return tags
