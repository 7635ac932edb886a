"""Filling the gaps of tables, numeric and categorical."""

import warnings
from numbers import Integral
from typing import Any, Self

import narwhals.stable.v2 as nw
import numpy as np
from numpy.typing import ArrayLike
from sklearn.base import BaseEstimator, TransformerMixin, _fit_context
from sklearn.utils import check_random_state
from sklearn.utils._param_validation import Interval, StrOptions
from sklearn.utils._set_output import _get_output_config
from sklearn.utils.validation import _check_feature_names_in, check_is_fitted

from sktn.annotations import Data
from sktn.documentation import DocLinks
from sktn.fitted import commit
from sktn.imputation import chained
from sktn.structure import gaps
from sktn.tables import categories
from sktn.tables.filling import fill_levels, fill_numbers, fill_unseen, in_library
from sktn.tables.frames import is_frame
from sktn.tables.reading import read, read_fit

__all__ = ["MPSImputer"]


class MPSImputer(DocLinks, TransformerMixin, BaseEstimator):
    """Fill the gaps of a table, every column from all the others.

    Each column, numeric or categorical, is a function of the others: a matrix product state at
    unlimited bond dimension, which is a ridge regression in the product space of the columns' local
    bases. Several such regressions are stacked by their leave-one-out predictions, strengths
    included, so that there is nothing to tune; a column that nothing predicts gets its mean. The
    regressions are chained: predictions fill the gaps of the other columns, round by round.

    Parameters
    ----------
    max_iter : int, default=5
        Rounds. The first sees observed values only; what is filled in is the mean of the others.
    n_landmarks : int, default=300
        Rows that all rows are compared with. Time grows with its square, up to the number of rows.
    sample_posterior : bool, default=False
        Whether gaps are filled by draws from what can be said of them instead of its mean (of
        numbers) and its mode (of categories). A column then keeps its spread.
    categorical_features : "from_dtype", None, or array-like, default="from_dtype"
        Categorical columns: a mask, indices, names, or those that a data frame says are, booleans
        included.
    add_indicator : bool, default=False
        Whether columns that tell what was missing are appended, as
        `sklearn.impute.MissingIndicator` makes them.
    keep_empty_features : bool, default=False
        Whether columns without any observed entry are kept, filled with 0 (a categorical one: with
        the first level that its dtype lists, or "missing" where it lists none and holds no
        numbers). By default they are left out, as scikit-learn's imputers do.
    verbose : bool or int, default=False
        Whether to print the mean error of every round.
    random_state : int, RandomState instance or None, default=None
        Seed of the draws and of the landmarks.

    Attributes
    ----------
    left_out_error_ : ndarray of shape (n_features_in_,)
        What the columns' values are missed by when their row is left out: root mean squared error
        in standard deviations of a numeric column, share of wrong levels of a categorical one.
    is_categorical_ : ndarray of shape (n_features_in_,), or None
        Which columns are categorical.
    indicator_ : MissingIndicator
        What makes the columns of ``add_indicator``.
    n_iter_ : int
        Rounds.
    n_features_in_ : int
        Number of columns.
    feature_names_in_ : ndarray of shape (n_features_in_,)
        Names of the columns, if X had them.

    See Also
    --------
    RGTNImputer : Fill the gaps of tensors.
    pool_estimates : Rubin's rules for what was estimated on several imputations.
    sklearn.impute.IterativeImputer : Chained regressions of any kind, numeric.

    References
    ----------
    .. [1] S. van Buuren, "Flexible Imputation of Missing Data", second edition, 2018.

    .. [2] D. J. Stekhoven and P. Bühlmann, "MissForest: non-parametric missing value imputation for
       mixed-type data", Bioinformatics 28 (2012).

    Notes
    -----
    ``fit_transform`` averages over the rounds; ``transform`` fills every row by itself, with the
    regressions of the last one.

    A data frame comes back as a data frame with the same dtypes, of its own library or that of
    `set_output`: gaps in columns of integers get the nearest integers, gaps in columns of booleans
    True or False. Objects that are numbers become floats where there are gaps. Arrays come back as
    arrays.

    Examples
    --------
    >>> import numpy as np
    >>> from sklearn.datasets import load_iris
    >>> from sktn import MPSImputer
    >>> X = load_iris().data
    >>> gaps = np.random.default_rng(0).random(X.shape) < 0.2
    >>> filled = MPSImputer(random_state=0).fit_transform(np.where(gaps, np.nan, X))
    >>> bool(np.abs(filled - X)[gaps].mean() < 0.3)
    True
    """

    _parameter_constraints: dict = {
        "max_iter": [Interval(Integral, 1, None, closed="left")],
        "n_landmarks": [Interval(Integral, 2, None, closed="left")],
        "sample_posterior": ["boolean"],
        "categorical_features": [StrOptions({"from_dtype"}), "array-like", None],
        "add_indicator": ["boolean"],
        "keep_empty_features": ["boolean"],
        "verbose": ["verbose"],
        "random_state": ["random_state"],
    }

    def __init__(
        self,
        max_iter=5,
        *,
        n_landmarks=300,
        sample_posterior=False,
        categorical_features="from_dtype",
        add_indicator=False,
        keep_empty_features=False,
        verbose=False,
        random_state=None,
    ):
        self.max_iter = max_iter
        self.n_landmarks = n_landmarks
        self.sample_posterior = sample_posterior
        self.categorical_features = categorical_features
        self.add_indicator = add_indicator
        self.keep_empty_features = keep_empty_features
        self.verbose = verbose
        self.random_state = random_state

    def fit(self, X: Data, y: ArrayLike | None = None) -> Self:
        """Learn every column from the others.

        Parameters
        ----------
        X : array-like or data frame of shape (n_samples, n_features)
            Table with gaps: NaN, None, NA, or masked.
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
        reading = read_fit(self, X, categorical=self.categorical_features, booleans=True)
        is_categorical = reading.is_categorical
        if is_categorical is None:
            is_categorical = np.zeros(reading.n_features_in, dtype=bool)
        seen = ~np.isnan(reading.X)
        if not seen.any():
            raise ValueError(
                "All entries of X are missing: there is nothing to learn from. Give rows with "
                "observed values."
            )
        units = gaps.units(reading.X, seen, by_column=True)
        location = np.where(is_categorical, 0.0, units.location)
        scale = np.where(is_categorical, 1.0, units.scale)
        Z = gaps.Units(location, scale).standard(reading.X)
        rng = np.random.default_rng(check_random_state(self.random_state).randint(2**31 - 1))
        model, filled = chained.fit_chained(
            Z, is_categorical, rng, self.max_iter, self.n_landmarks, self._tell
        )
        errors = np.full(Z.shape[1], np.nan)
        for j, column in model.columns.items():
            errors[j] = column.error
        found = {
            **reading.fitted(),
            "left_out_error_": errors,
            "n_iter_": self.max_iter,
            "_model": model,
            "_location": location,
            "_scale": scale,
            "_empty": ~seen.any(axis=0),
        }
        if self.add_indicator:
            # Not above: it brings a third of what an import of this package takes.
            from sklearn.impute import MissingIndicator

            indicator = MissingIndicator(error_on_new=False)
            found["indicator_"] = indicator.fit(
                np.where(_missing(X, reading.X, reading), np.nan, 0.0)
            )
        commit(self, found)
        self._warn_of_empty_columns()
        if self.sample_posterior:
            filled = chained.draw(model, Z, rng)
        return reading.X, filled

    def _tell(self, number, errors):
        if self.verbose:
            print(
                f"[{type(self).__name__}] round {number + 1}: mean error of rows left out "
                f"{errors.mean():.3f}"
            )

    def _warn_of_empty_columns(self):
        if not self._empty.any():
            return
        names = _check_feature_names_in(self)[self._empty].tolist()
        done = (
            'They are filled with 0, or with the first level ("missing" if none is listed).'
            if self.keep_empty_features
            else "They are left out; keep_empty_features=True keeps them."
        )
        warnings.warn(f"No entry of the columns {names} is observed. {done}", stacklevel=4)

    def fit_transform(self, X: Data, y: ArrayLike | None = None) -> Any:
        """Fit, and fill the gaps of X; observed entries are returned as they are.

        Parameters
        ----------
        X : array-like or data frame of shape (n_samples, n_features)
            Table with gaps: NaN, None, NA, or masked.
        y : Ignored
            Not used, present for API consistency.

        Returns
        -------
        filled : ndarray or data frame of shape (n_samples, n_features_out)
            X without gaps.
        """
        codes, filled = self._fit(X)
        return self._output(X, codes, filled)

    def transform(self, X: Data) -> Any:
        """Fill the gaps of new rows, each by itself.

        Parameters
        ----------
        X : array-like or data frame of shape (n_samples, n_features)
            Rows with gaps.

        Returns
        -------
        filled : ndarray or data frame of shape (n_samples, n_features_out)
            X without gaps.
        """
        codes = read(self, X)
        Z = gaps.Units(self._location, self._scale).standard(codes)
        if self.sample_posterior:
            rng = np.random.default_rng(check_random_state(self.random_state).randint(2**31 - 1))
            return self._output(X, codes, chained.draw(self._model, Z, rng))
        return self._output(X, codes, chained.fill(self._model, Z))

    def sample_imputations(self, X, n_draws=5, random_state=None):
        """Several completed tables, for what is to be estimated with its uncertainty.

        Estimate on every table, and combine by `pool_estimates`.

        Parameters
        ----------
        X : array-like or data frame of shape (n_samples, n_features)
            Rows with gaps, those of the fit or new ones.
        n_draws : int, default=5
            Number of tables.
        random_state : int, RandomState instance or None, default=None
            Seed of the draws.

        Returns
        -------
        tables : list of n_draws ndarrays or data frames
            X with its gaps filled by draws, independent of each other given the fit.
        """
        codes = read(self, X)
        if not isinstance(n_draws, Integral) or n_draws < 1:
            raise ValueError(f"n_draws={n_draws!r} must be an integer of at least 1.")
        Z = gaps.Units(self._location, self._scale).standard(codes)
        rng = np.random.default_rng(check_random_state(random_state).randint(2**31 - 1))
        return [self._output(X, codes, chained.draw(self._model, Z, rng)) for _ in range(n_draws)]

    def _output(self, X, codes, Z):
        """A table of the kind of X: observed entries as they were, gaps from Z.

        codes (b, n) what was read of X, Z (b, n) standardised, without gaps
        """
        missing = _missing(X, codes, self)
        values = gaps.Units(self._location, self._scale).original(Z, codes.dtype)
        values[:, self._empty] = 0.0
        kept = np.flatnonzero(~self._empty | self.keep_empty_features)
        extra = None
        if self.add_indicator:
            extra = self.indicator_.transform(np.where(missing, np.nan, 0.0))
        columns = {int(j): self._decoded(int(j), values[:, j]) for j in kept}
        if is_frame(X):
            return self._frame(X, columns, missing, extra)
        if self.encoder_ is None:
            table = np.where(missing, values, codes).astype(codes.dtype)[:, kept]
        else:
            given = np.asarray(gaps.unmasked(X))
            dtype = given.dtype if given.dtype.kind in "fO" else np.result_type(codes, given)
            table = np.empty((len(given), len(kept)), dtype=dtype)
            for k, j in enumerate(kept):
                unseen = self._empty[j] and dtype.kind == "f"
                table[:, k] = np.where(missing[:, j], 0.0 if unseen else columns[j], given[:, j])
        return table if extra is None else np.hstack([table, extra.astype(table.dtype)])

    def _decoded(self, j, values):
        """Numbers, or the levels that codes stand for."""
        if self.encoder_ is None or j not in self.encoder_.columns:
            return values
        levels = self.encoder_.categories_[list(self.encoder_.columns).index(j)]
        levels = levels if len(levels) else np.array(["missing"], dtype=object)
        return levels[np.clip(values, 0, len(levels) - 1).astype(int)]

    def _frame(self, X, columns, missing, extra):
        """The data frame X with its gaps filled, of the same dtypes."""
        frame = nw.from_native(X, eager_only=True)
        series = []
        for j, values in columns.items():
            series.append(self._filled(frame[:, j], j, np.flatnonzero(missing[:, j]), values))
        for k in range(0 if extra is None else extra.shape[1]):
            name = str(self.indicator_.get_feature_names_out(frame.columns)[k])
            series.append(nw.new_series(name, extra[:, k].tolist(), backend=frame.implementation))
        if not series:
            return frame.select([]).to_native()
        head, *rest = series
        filled = head.to_frame().with_columns(*rest)
        wanted = _get_output_config("transform", self)["dense"]
        return (filled if wanted == "default" else in_library(filled, wanted)).to_native()

    def _filled(self, series, j, rows, values):
        """A column of a data frame with values (b,) in some rows (k,)."""
        if not len(rows):
            return series
        if self.encoder_ is None or j not in self.encoder_.columns:
            return fill_numbers(series, rows, values)
        if self._empty[j]:
            return fill_unseen(series, rows)
        return fill_levels(series, rows, values)

    def get_feature_names_out(self, input_features: ArrayLike | None = None) -> np.ndarray:
        """Names of the columns that ``transform`` returns.

        Parameters
        ----------
        input_features : array-like of str, default=None
            Names of the columns of X, if it had none; else they must be the same.

        Returns
        -------
        names : ndarray of str
            The columns of X, without the empty ones if these are left out, with those of the
            indicator.
        """
        check_is_fitted(self)
        names = _check_feature_names_in(self, input_features)
        kept = names if self.keep_empty_features else names[~self._empty]
        if self.add_indicator:
            kept = np.concatenate([kept, self.indicator_.get_feature_names_out(names)])
        return kept

    def __sklearn_tags__(self):
        tags = super().__sklearn_tags__()
        tags.input_tags.allow_nan = True
        tags.input_tags.categorical = True
        tags.transformer_tags.preserves_dtype = ["float64", "float32"]
        return tags


def _missing(X, codes, fitted):
    """Which entries of X are missing: unknown levels have no code either, but are there.

    codes (b, n) with NaN, fitted what holds the encoder -> (b, n) bool
    """
    missing = np.isnan(codes)
    encoder = getattr(fitted, "encoder_", None) or getattr(fitted, "encoder", None)
    if encoder is not None:
        levels = categories._levels(gaps.unmasked(X), encoder.columns)
        missing[:, encoder.columns] = [[categories.is_missing(v) for v in row] for row in levels]
    return missing
