"""Tree tensor network regressor for tables."""

from typing import Self

from numpy.typing import ArrayLike
from sklearn.base import RegressorMixin, _fit_context

from sktn.annotations import Data
from sktn.chains.real_scores import LOSS_CONSTRAINT, RealScores, checked_loss
from sktn.chains.regression import ALPHAS, MPSRegressor
from sktn.chains.spread import fit_spread
from sktn.chains.target import real_target
from sktn.tables.reading import read_fit, table_weight
from sktn.trees.base import SHARED, BaseTree


class TTNRegressor(RegressorMixin, RealScores, BaseTree):
    """Tree tensor network regressor for tables.

    The model of :class:`MPSRegressor` with a binary tree over the columns instead of a chain, see
    :class:`TTNClassifier`. The target is scaled inside. Several targets share one tree.

    Parameters
    ----------
    loss : {"squared_error", "absolute_error", "huber", "poisson", "gamma"} or loss, \
default="squared_error"
        As in :class:`MPSRegressor`; a value of :mod:`sktn.losses` sets a loss's own parameters.
    bond_dim : int, default=16
        Largest bond dimension D. Cost grows as D^3, what can be represented with D. Columns with at
        most 16 basis functions are not cut.
    topology : {"auto", "found", "halves", "chain", "grid"}, nested tuple or linkage matrix, \
default="auto"
        The tree, see :class:`TTNClassifier`.
    degree : int or "auto", default="auto"
        Largest degree of the basis of orthonormal polynomials. "auto": 8, and on tables of at least
        1,000 rows and at most 100 columns also relevances or cosine waves where better.
    scaling : {"auto", "quantile", "standard", "blended", "minmax", "mixed", "common", "none"}, \
default="auto"
        How numeric columns reach the basis, as in :class:`MPSRegressor`; "common" for pixels.
    alpha : float or "auto", default="auto"
        Strength of the ridge, against a sum (not a mean) of losses, in units of the target's
        variance. "auto": the best of 14 values from 30 to 1e-5 by cross-validation in the convex
        limit; see `alpha_`.
    interaction_penalty : float, default=1.0
        What an interaction of more columns is charged, in units of the number of columns.
    max_iter : int, default=100
        Sweeps at most. They end when one lowers the loss by less than a hundredth (a thousandth for
        squared errors). 0: the convex limit, compressed.
    max_landmarks : int, default=1000
        Rows that carry the expansion of the convex problem.
    categorical_features : "from_dtype", None, or array-like, default="from_dtype"
        As in :class:`~sklearn.ensemble.HistGradientBoostingRegressor`, and "from_dtype" takes
        columns of strings, too. Levels of an ordered dtype count as ranks. A level not seen in
        training counts as missing.
    missing : {"marginal", "indicator", "auto"}, default="marginal"
        As in :class:`TTNClassifier`.
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
    target_center_, target_scale_ : ndarray of shape (n_outputs,)
        Scaling of the target: the network predicts (y - center) / scale, or log(y / scale) for
        "poisson" and "gamma".
    spread_ : Spread
        What `predict_interval` and the like know: out-of-fold errors of the convex limit, in units
        of the error to be expected at a row, which a small chain has learned.
    n_outputs_ : int
    network_, merges_, bond_dims_, truncation_error_, loss_curve_, n_iter_, relevance_, columns_, \
basis_
        As in :class:`TTNClassifier`.
    tensor_shape_ : tuple of int
        Only when X was tensors.
    n_features_in_ : int
    feature_names_in_ : ndarray of shape (n_features_in_,)
        Only when X has string column names.

    See Also
    --------
    MPSRegressor : The chain: cheaper, and the better known network of most tables.
    grid_topology : The tree of an image or a tensor.

    References
    ----------
    .. [1] Shi, Duan and Vidal, "Classical simulation of quantum many-body systems with a tree
       tensor network", Phys. Rev. A 74, 022320 (2006).
    .. [2] Grasedyck, "Hierarchical singular value decomposition of tensors", SIAM J. Matrix Anal.
       Appl. 31, 2029 (2010).

    Examples
    --------
    >>> from sklearn.datasets import make_friedman1
    >>> from sktn import TTNRegressor
    >>> X, y = make_friedman1(300, noise=0.1, random_state=0)
    >>> model = TTNRegressor(random_state=0).fit(X[:200], y[:200])
    >>> model.score(X[200:], y[200:]) > 0.95
    True
    """

    _parameter_constraints: dict = {
        **BaseTree._parameter_constraints,
        "loss": LOSS_CONSTRAINT,
    }

    _alphas = ALPHAS

    def __init__(
        self,
        *,
        loss="squared_error",
        bond_dim=16,
        topology="auto",
        degree="auto",
        scaling="auto",
        alpha="auto",
        interaction_penalty=1.0,
        max_iter=100,
        max_landmarks=1000,
        categorical_features="from_dtype",
        missing="marginal",
        time_limit=None,
        random_state=None,
        verbose=0,
    ):
        self.loss = loss
        self.bond_dim = bond_dim
        self.topology = topology
        self.degree = degree
        self.scaling = scaling
        self.alpha = alpha
        self.interaction_penalty = interaction_penalty
        self.max_iter = max_iter
        self.max_landmarks = max_landmarks
        self.categorical_features = categorical_features
        self.missing = missing
        self.time_limit = time_limit
        self.random_state = random_state
        self.verbose = verbose

    @_fit_context(prefer_skip_nested_validation=True)
    def fit(self, X: Data, y: ArrayLike, sample_weight: ArrayLike | None = None) -> Self:
        """Fit the tree.

        Parameters
        ----------
        X : array-like or data frame of shape (n_samples, n_features)
            NaN is a missing value. Tensors of shape (n_samples, I_1, ..., I_k) are read as tables
            of their entries, in C order.
        y : array-like of shape (n_samples,) or (n_samples, n_outputs)
        sample_weight : array-like of shape (n_samples,), default=None
            An integer weight is the same as repeating the row, up to 50,000 rows.

        Returns
        -------
        self : object
        """
        reading = read_fit(self, X, y, categorical=self.categorical_features, regression=True)
        return self._fit(reading, table_weight(sample_weight, reading.X), self._learn_spread)

    def _learn_spread(self, reading, target, rows, scores, seed):
        errors = target.errors(rows, scores[None])
        chain = MPSRegressor(**{name: getattr(self, name) for name in SHARED})
        spread = fit_spread(chain, reading, rows, errors, target.weight[rows], seed)
        return {"spread_": spread}

    def _make_target(self, y, sample_weight):
        return real_target(y, sample_weight, checked_loss(self.loss))
