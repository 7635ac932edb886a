"""Matrix product state classifier for tables."""

from typing import Self

import numpy as np
from numpy.typing import ArrayLike
from sklearn.base import ClassifierMixin, _fit_context
from sklearn.utils._param_validation import StrOptions
from sklearn.utils.multiclass import check_classification_targets

from sktn.annotations import Data
from sktn.chains.base import BaseChain
from sktn.chains.certainty import CertainScores
from sktn.chains.class_scores import seen_target
from sktn.chains.target import class_target
from sktn.tables.reading import read_fit, read_more, table_weight

#: The strengths that alpha="auto" chooses from, strongest first.
ALPHAS = tuple(float(a) for a in 10.0 ** np.arange(0.5, -3.6, -0.5))


class MPSClassifier(ClassifierMixin, CertainScores, BaseChain):
    """Matrix product state classifier for tables.

    Every column becomes a vector of basis functions (orthonormal polynomials of its ranks by
    default), and the class scores are a multilinear function of them whose weight tensor is a
    matrix product state. The loss is the cross-entropy plus a ridge in function space,

        alpha * sum_{s != 0} [prod_i g(s_i)] W[s]^2 ,  g(0) = 1,  g(s) = omega s^(2q) ,

    exact and independent of the gauge, which charges a k-way interaction omega^k and degree s like
    a smoothing spline does.

    Parameters
    ----------
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
        any length. "auto": the best of 9 values from 3 to 0.0003 by cross-validation in the
        convex limit; see `alpha_`.
    interaction_penalty : float, default=1.0
        omega in units of the number of columns with a site. Larger values make the model more
        additive.
    smoothness : float, default=1.0
        q; 0 charges all degrees alike.
    relevance : {"equal", "auto"} or array of shape (n_features,), default="equal"
        How much of the penalty columns are spared: the charges of column i are divided by
        relevance[i], and 0 rules it out. "auto": the factors under which the target is likeliest,
        by the evidence of a Gaussian process on 500 rows [3]_; of many columns those of a few,
        and 0 for the others, where that is likelier; equal ones where rows tell neither from
        chance.
    solver : {"auto", "sweep", "convex", "adam", "lbfgs"} or solver, default="auto"
        "convex": the exact minimiser at unlimited bond dimension (a logistic regression in an ANOVA
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
        Average the probabilities of this many networks, which differ in seed, in the order of the
        columns (from the second on) and in their landmarks.
    class_weight : dict or "balanced", default=None
        Factors of the weights of the classes' rows. "balanced": classes of equal total weight.
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
    classes_ : ndarray of shape (n_classes,)
    alpha_ : float
        Strength used.
    relevance_ : ndarray of shape (n_features,)
        Factors used, 0 for columns that are constant or were left out.
    n_iter_ : int
        Newton steps, epochs or iterations.
    loss_curve_ : ndarray of shape (n_iter_,)
        Penalised training loss, per unit of sample weight. For "convex" it has two parts: the
        convex limit, then the refit of the readout, whose first value shows what the truncation
        cost; "sweep" adds one value a sweep.
    validation_score_ : float or None
        Best accuracy on the held-out rows of early stopping.
    truncation_error_ : float or None
        Share of the squared norm of the convex solution that `bond_dim` cuts off.
    certainty_ : Certainty
        What ``predict_proba(X, return_std=True)`` and `novelty` know: the variance of a score over
        samples, and how much of it the training rows determine.
    networks_ : list of MPS
        See :class:`sktn.networks.mps.MPS`.
    cores_ : list of ndarray of shape (D_left, d, D_right)
        The cores of the first network along its chain.
    bond_dims_ : ndarray of shape (n_sites + 2,)
        Bond dimensions of the first network; the readout counts as a site.
    columns_, basis_ : fitted column preparation and local basis
    tensor_shape_ : tuple of int
        Only when X was tensors.
    n_features_in_ : int
    feature_names_in_ : ndarray of shape (n_features_in_,)
        Only when X has string column names.

    See Also
    --------
    MPSClassifierCV : Chooses basis and penalties, and averages the best.

    References
    ----------
    .. [1] Stoudenmire and Schwab, "Supervised learning with tensor networks", NeurIPS 2016.
    .. [2] Puljak et al., "tn4ml: Tensor Network Training and Customization for Machine Learning",
       arXiv:2502.13090, 2025.
    .. [3] Rasmussen and Williams, "Gaussian Processes for Machine Learning", section 5.4, 2006.

    Examples
    --------
    >>> from sklearn.datasets import load_iris
    >>> from sktn import MPSClassifier
    >>> X, y = load_iris(return_X_y=True)
    >>> model = MPSClassifier(random_state=0).fit(X, y)
    >>> model.score(X, y) > 0.95
    True
    """

    _parameter_constraints: dict = {
        **BaseChain._parameter_constraints,
        "class_weight": [dict, StrOptions({"balanced"}), None],
    }

    _alphas = ALPHAS

    def __init__(
        self,
        *,
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
        class_weight=None,
        feature_order="correlation",
        categorical_features="from_dtype",
        missing="marginal",
        time_limit=None,
        random_state=None,
        verbose=0,
    ):
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
        self.class_weight = class_weight
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
        y : array-like of shape (n_samples,)
        sample_weight : array-like of shape (n_samples,), default=None
            An integer weight is the same as repeating the row, up to 50,000 rows; of larger
            tables mini-batches are drawn.

        Returns
        -------
        self : object
        """
        reading = read_fit(self, X, y, categorical=self.categorical_features)
        check_classification_targets(reading.y)
        weight = table_weight(sample_weight, reading.X)
        return self._fit(reading, weight)

    @_fit_context(prefer_skip_nested_validation=True)
    def partial_fit(
        self,
        X: Data,
        y: ArrayLike,
        classes: ArrayLike | None = None,
        sample_weight: ArrayLike | None = None,
    ) -> Self:
        """One pass of mini-batches over a chunk of rows, by Adam at a constant learning rate.

        The columns' scaling and basis are fitted to the first chunk, which should be typical, and
        parameters that it has settled, such as `degree`, can no longer be changed.

        Parameters
        ----------
        X : array-like or data frame of shape (n_samples, n_features)
        y : array-like of shape (n_samples,)
        classes : array-like of shape (n_classes,), default=None
            All classes; required in the first call.
        sample_weight : array-like of shape (n_samples,), default=None

        Returns
        -------
        self : object
        """
        first = not hasattr(self, "networks_")
        if first and classes is None:
            raise ValueError("classes must be passed on the first call to partial_fit.")
        if self.class_weight == "balanced":
            raise ValueError(
                "class_weight='balanced' needs all rows, and partial_fit sees a chunk of them: "
                "compute the weights of all rows and pass them as a dict, "
                "class_weight={label: weight}."
            )
        known = np.unique(classes) if classes is not None else self.classes_
        if not first and not np.array_equal(known, self.classes_):
            raise ValueError(
                f"classes={known!r} is not the same as on the first call: {self.classes_!r}."
            )
        if len(known) < 2:
            raise ValueError(
                f"MPSClassifier needs at least 2 classes; got 1 class: {known.tolist()}."
            )
        categorical = self.categorical_features
        reading = read_fit(self, X, y, categorical=categorical) if first else read_more(self, X, y)
        check_classification_targets(reading.y)
        weight = table_weight(sample_weight, reading.X)
        return self._partial_fit(reading, weight, classes=known)

    def _make_target(self, y, sample_weight, model=None, classes=None):
        if model is not None or classes is not None:
            classes = model.classes_ if model is not None else classes
            return class_target(classes, y, sample_weight, self.class_weight)
        return seen_target(self, y, sample_weight)
