"""Matrix product state regressor for tables."""

from typing import Self

import numpy as np
from numpy.typing import ArrayLike
from sklearn.base import RegressorMixin, _fit_context

from sktn.annotations import Data
from sktn.chains.base import BaseChain
from sktn.chains.certainty import fit_certainty
from sktn.chains.real_scores import LOSS_CONSTRAINT, RealScores, checked_loss
from sktn.chains.spread import fit_spread
from sktn.chains.target import real_target
from sktn.tables.reading import read_fit, read_more, table_weight

# The strengths that alpha="auto" chooses from, strongest first: a regression without noise wants
# far less of the penalty than a classification.
ALPHAS = tuple(float(a) for a in 10.0 ** np.arange(1.5, -5.1, -0.5))


class MPSRegressor(RegressorMixin, RealScores, BaseChain):
    """Matrix product state regressor for tables.

    The prediction is a multilinear function of the columns' basis vectors whose weight tensor is a
    matrix product state, with the ridge in function space of :class:`MPSClassifier`. The target is
    scaled inside. Several targets share one chain.

    Parameters
    ----------
    loss : {"squared_error", "absolute_error", "huber", "poisson", "gamma"} or loss, \
default="squared_error"
        "huber": squared up to 1.35 standard deviations of the noise, which is estimated from a fit
        by absolute errors, and linear beyond. "poisson": for counts and other non-negative
        targets, with a logarithmic link; predictions are means. "gamma": the same for targets
        whose spread grows with their mean, such as costs and durations. A value of
        :mod:`sktn.losses` sets a loss's own parameters: ``loss=Quantile(0.9)`` predicts that
        quantile, ``loss=Huber(epsilon=2.0)`` is less robust.
    bond_dim : int, default=16
        Largest bond dimension D. Cost grows as D^2, what can be represented with D.
    embedding : str, embedding or callable, default="legendre"
        Local basis: a name ("legendre", "polynomial", "hermite", "laguerre", "chebyshev",
        "fourier", "trigonometric", "linear_complement", "rbf", "one_hot"), an object of
        :mod:`sktn.embeddings`, or a function from [-1, 1] to vectors written with
        ``jax.numpy``. Made orthonormal under the training distribution of each column, so among
        polynomial families only the order in which degrees are charged differs.
    degree : int or "auto", default="auto"
        Largest degree of the basis. With `smoothness` >= 1 it hardly matters once it is large.
        "auto": 8. On tables of at least 1,000 rows and at most 100 columns every column is also
        tried with a relevance of its own, and, where a first look finds that promising, on up to
        128 cosine waves over its ranks, with a smooth and a rough part: those under which the
        target is likeliest; kept where other rows are told better by a standard error, see
        `relevance_` and `basis_`, and without the components that have hardly a share in the
        prior. Beyond 50,000 rows relevances without waves are not taken, and columns have fewer
        waves where there are more than 15. A number, another `embedding`, `relevance` or `alpha`
        than the default, or another `scaling` than "auto" and "quantile", rules this out. Of 100
        columns and more (no tensors), whose rows (200 to 50,000) are too few for so many
        relevances, only those along which the evidence rises most have a site, where held-out rows
        are told better by two standard errors; a number, another `relevance`, `alpha` or an
        `embedding` that is no name rule this out.
    scaling : {"auto", "quantile", "standard", "blended", "minmax", "mixed", "common", "none"}, \
default="auto"
        How numeric columns reach the basis: by rank; standardised and clipped at 3 sigma; by the
        mean of both; by range; by both of the first ("mixed": a linear term in the standardised
        value and a polynomial in the rank); all in one unit ("common", for pixels and spectra:
        centred only, so that a column of little variance is charged more); or as they are ("none":
        values already in the basis's interval). "auto": ranks or standardised values, whichever
        tells held-out rows better by a standard error in a ridge regression on 1,000 rows, and the
        mean of both where neither does (of longer tables ranks); see `columns_`.
    alpha : float or "auto", default="auto"
        Strength of the ridge, against a sum (not a mean) of losses, so one value serves tables of
        any length, in units of the target's variance. "auto": the best of 14 values from 30 to
        1e-5 by cross-validation in the convex limit; see `alpha_`.
    interaction_penalty : float, default=1.0
        omega in units of the number of columns with a site. Larger values make the model more
        additive.
    smoothness : float, default=1.0
        q; 0 charges all degrees alike.
    relevance : {"equal", "auto"} or array of shape (n_features,), default="equal"
        How much of the penalty columns are spared: the charges of column i are divided by
        relevance[i], and 0 rules it out. "auto": the factors under which the target is likeliest,
        by the evidence of a Gaussian process on 500 rows [4]_; of many columns those of a few,
        and 0 for the others, where that is likelier; equal ones where rows tell neither from
        chance.
    solver : {"auto", "sweep", "convex", "adam", "lbfgs"} or solver, default="auto"
        "convex": the exact minimiser at unlimited bond dimension (a ridge regression in an ANOVA
        kernel), compressed to `bond_dim`, and its readout refitted. "sweep": starts there and then
        minimises over one core after the other, which repairs what the compression moved. Both draw
        nothing but landmarks and the projections of the compression. "adam": mini-batches, for long
        tables and for `partial_fit`. "lbfgs": full batch. "auto": "sweep", and beyond 50,000 rows
        "adam" in blocks of rows, of which 20,000 are held out to lower the strength that the convex
        limit chooses. A value of :mod:`sktn.chains.solvers` sets a solver's own parameters:
        ``solver=Adam(learning_rate=0.01)``.
    max_landmarks : int, default=1000
        Rows that carry the expansion of the convex problem (Nystroem). Tables with fewer rows are
        solved exactly.
    n_estimators : int, default=1
        Average the predictions of this many networks, which differ in seed, in the order of the
        columns (from the second on) and in their landmarks.
    feature_order : {"given", "correlation", "random"} or array of int, default="correlation"
        Order of the columns along the chain; a chain compresses best when related columns are
        neighbours. "correlation": spectral ordering by squared correlations. A permutation of the
        columns may have a -1 where the output index stands, which is the middle otherwise.
    categorical_features : "from_dtype", None, or array-like, default="from_dtype"
        As in :class:`~sklearn.ensemble.HistGradientBoostingClassifier`, and "from_dtype" takes
        columns of strings, too. Levels of an ordered dtype count as ranks. A level not seen in
        training counts as missing.
    missing : {"marginal", "indicator", "auto"}, default="marginal"
        "marginal": a missing value averages the network over the column. "indicator": columns with
        missing training values also get a component that says so. "auto": those columns whose gaps
        say something about the target, by the evidence of the rows.
    time_limit : float, default=None
        Seconds after which the best model so far is taken; a stage once begun may run over.
    random_state : int, RandomState instance or None, default=None
        Seeds what is drawn; an int gives the same result every time.
    verbose : int, default=0
        A line for every stage, with the time it began.

    Attributes
    ----------
    alpha_ : float
        Strength used.
    relevance_ : ndarray of shape (n_features,)
        Factors used, 0 for columns that are constant or were left out.
    target_center_, target_scale_ : ndarray of shape (n_outputs,)
        Scaling of the target: the network predicts (y - center) / scale, or log(y / scale) for
        "poisson" and "gamma".
    spread_ : Spread
        What `predict_interval` and the like know: out-of-fold errors in units of
        ``spread_.scale``, a regressor of the error to be expected at a row, which all explanations
        read: where is the model unsure, and why?
    certainty_ : Certainty
        What effects know of their standard errors, in :func:`~sktn.inspection.marginal_effect`;
        of squared errors only.
    n_outputs_ : int
    n_iter_ : int
        Newton steps, epochs or iterations.
    loss_curve_ : ndarray of shape (n_iter_,)
        Penalised training loss of the scaled target, per unit of sample weight. For "convex" it
        has two parts: the convex limit, then the refit of the readout, whose first value shows
        what the truncation cost; "sweep" adds one value a sweep.
    validation_score_ : float or None
        R^2 on the held-out rows of early stopping.
    truncation_error_ : float or None
        Share of the squared norm of the convex solution that `bond_dim` cuts off.
    networks_, cores_, bond_dims_, columns_, basis_
        As in :class:`MPSClassifier`.
    tensor_shape_ : tuple of int
        Only when X was tensors.
    n_features_in_ : int
    feature_names_in_ : ndarray of shape (n_features_in_,)
        Only when X has string column names.

    See Also
    --------
    MPSRegressorCV : Chooses basis and penalties, and averages the best.

    References
    ----------
    .. [1] Stoudenmire and Schwab, "Supervised learning with tensor networks", NeurIPS 2016.
    .. [2] Huber, "Robust estimation of a location parameter", Annals of Statistics, 1964.
    .. [3] Koenker and Bassett, "Regression quantiles", Econometrica, 1978.
    .. [4] Rasmussen and Williams, "Gaussian Processes for Machine Learning", section 5.4, 2006.

    Examples
    --------
    >>> from sklearn.datasets import make_friedman1
    >>> from sktn import MPSRegressor
    >>> X, y = make_friedman1(300, noise=0.1, random_state=0)
    >>> model = MPSRegressor(random_state=0).fit(X[:200], y[:200])
    >>> model.score(X[200:], y[200:]) > 0.95
    True
    """

    _parameter_constraints: dict = {
        **BaseChain._parameter_constraints,
        "loss": LOSS_CONSTRAINT,
    }

    _alphas = ALPHAS

    def __init__(
        self,
        *,
        loss="squared_error",
        bond_dim=16,
        embedding="legendre",
        degree="auto",
        scaling="auto",
        alpha="auto",
        interaction_penalty=1.0,
        smoothness=1.0,
        relevance="equal",
        solver="auto",
        max_landmarks=1000,
        n_estimators=1,
        feature_order="correlation",
        categorical_features="from_dtype",
        missing="marginal",
        time_limit=None,
        random_state=None,
        verbose=0,
    ):
        self.loss = loss
        self.bond_dim = bond_dim
        self.embedding = embedding
        self.degree = degree
        self.scaling = scaling
        self.alpha = alpha
        self.interaction_penalty = interaction_penalty
        self.smoothness = smoothness
        self.relevance = relevance
        self.solver = solver
        self.max_landmarks = max_landmarks
        self.n_estimators = n_estimators
        self.feature_order = feature_order
        self.categorical_features = categorical_features
        self.missing = missing
        self.time_limit = time_limit
        self.random_state = random_state
        self.verbose = verbose

    @_fit_context(prefer_skip_nested_validation=True)
    def fit(self, X: Data, y: ArrayLike, sample_weight: ArrayLike | None = None) -> Self:
        """Fit the networks.

        Parameters
        ----------
        X : array-like or data frame of shape (n_samples, n_features)
            NaN is a missing value. Tensors of shape (n_samples, I_1, ..., I_k) are read as tables
            of their entries, in C order.
        y : array-like of shape (n_samples,) or (n_samples, n_outputs)
        sample_weight : array-like of shape (n_samples,), default=None
            An integer weight is the same as repeating the row, up to 50,000 rows; of larger
            tables mini-batches are drawn.

        Returns
        -------
        self : object
        """
        reading = read_fit(self, X, y, categorical=self.categorical_features, regression=True)
        return self._fit(reading, table_weight(sample_weight, reading.X), self._learn_spread)

    def _learn_spread(self, reading, target, rows, scores, seed):
        errors = target.errors(rows, scores[None])
        spread = fit_spread(self, reading, rows, errors, target.weight[rows], seed)
        return {"spread_": spread}

    def _known(self, problem, networks, rng):
        quadratic = problem.loss.quadratic
        return {"certainty_": fit_certainty(problem, networks, rng)} if quadratic else {}

    @_fit_context(prefer_skip_nested_validation=True)
    def partial_fit(self, X: Data, y: ArrayLike, sample_weight: ArrayLike | None = None) -> Self:
        """One pass of mini-batches over a chunk of rows, by Adam at a constant learning rate.

        The scaling of columns and target and the basis are fitted to the first chunk, which should
        be typical, and parameters that it has settled, such as `degree`, can no longer be changed.

        Parameters
        ----------
        X : array-like or data frame of shape (n_samples, n_features)
        y : array-like of shape (n_samples,) or (n_samples, n_outputs)
        sample_weight : array-like of shape (n_samples,), default=None

        Returns
        -------
        self : object
        """
        if hasattr(self, "networks_"):
            reading = read_more(self, X, y, regression=True)
        else:
            reading = read_fit(self, X, y, categorical=self.categorical_features, regression=True)
        return self._partial_fit(reading, table_weight(sample_weight, reading.X))

    def _make_target(self, y, sample_weight, model=None):
        if model is None:
            return real_target(y, sample_weight, checked_loss(self.loss))
        n_outputs = 1 if y.ndim == 1 else y.shape[1]
        if n_outputs != model.n_outputs_:
            raise ValueError(
                f"y has {n_outputs} outputs, but the regressor was fitted with {model.n_outputs_}."
            )
        scaling = model.target_center_, model.target_scale_
        return real_target(y, sample_weight, model.loss_, scaling)
