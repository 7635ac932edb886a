"""Tree tensor network classifier for tables."""

from typing import Self

from numpy.typing import ArrayLike
from sklearn.base import ClassifierMixin, _fit_context
from sklearn.utils._param_validation import StrOptions
from sklearn.utils.multiclass import check_classification_targets

from sktn.annotations import Data
from sktn.chains.certainty import CertainScores
from sktn.chains.class_scores import seen_target
from sktn.chains.classification import ALPHAS
from sktn.tables.reading import read_fit, table_weight
from sktn.trees import predict
from sktn.trees.base import BaseTree


class TTNClassifier(ClassifierMixin, CertainScores, BaseTree):
    """Tree tensor network classifier for tables.

    The model of :class:`MPSClassifier`, a multilinear function of the columns' basis vectors with
    the same ridge in function space, whose weight tensor is a binary tree instead of a chain: the
    leaves are the columns, every inner node joins two sets of them, and the classes are at the
    root. Columns that interact are near each other in a tree where a chain has to carry what they
    share past all columns between them. Fitted by the convex limit, compressed to the tree, and
    sweeps over its nodes.

    Parameters
    ----------
    bond_dim : int, default=16
        Largest bond dimension D. Cost grows as D^3, what can be represented with D. Columns with at
        most 16 basis functions are not cut.
    topology : {"auto", "found", "halves", "chain", "grid"}, nested tuple or linkage matrix, \
default="auto"
        The tree. "found": the two sets of columns are joined again and again whose bond is the
        cheapest, by the entropy of what it has to carry in the convex limit. "halves": halves of
        the order of related columns in which :class:`MPSClassifier` places them, halves of these,
        and so on. "chain": that order itself, which makes the model :class:`MPSClassifier`'s.
        "grid": of tensors, halves of the longest axis, halves of these, and so on (see
        :func:`grid_topology`). "auto": the best of those at `bond_dim`, the chain where rows that
        are held out are not told better by a standard error; "found" of at most 100 columns.
        Nested tuples name the columns by number or name, ``((0, 1), (2, 3))``; a linkage matrix is
        one of :mod:`scipy.cluster.hierarchy`.
    degree : int or "auto", default="auto"
        Largest degree of the basis of orthonormal polynomials. "auto": 8, and on tables of at least
        1,000 rows and at most 100 columns also relevances or cosine waves where better, as in
        :class:`MPSClassifier`.
    scaling : {"auto", "quantile", "standard", "blended", "minmax", "mixed", "common", "none"}, \
default="auto"
        How numeric columns reach the basis, as in :class:`MPSClassifier`; "common" for pixels.
    alpha : float or "auto", default="auto"
        Strength of the ridge, against a sum (not a mean) of losses. "auto": the best of 9 values
        from 3 to 0.0003 by cross-validation in the convex limit; see `alpha_`.
    interaction_penalty : float, default=1.0
        What an interaction of more columns is charged, in units of the number of columns.
    max_iter : int, default=100
        Sweeps at most. They end when one lowers the loss by less than a hundredth. 0: the convex
        limit, compressed.
    max_landmarks : int, default=1000
        Rows that carry the expansion of the convex problem.
    class_weight : dict or "balanced", default=None
        Factors of the weights of the classes' rows. "balanced": classes of equal total weight.
    categorical_features : "from_dtype", None, or array-like, default="from_dtype"
        As in :class:`~sklearn.ensemble.HistGradientBoostingClassifier`, and "from_dtype" takes
        columns of strings, too. Levels of an ordered dtype count as ranks. A level not seen in
        training counts as missing.
    missing : {"marginal", "indicator", "auto"}, default="marginal"
        "marginal": a missing value averages the network over the column. "indicator": columns with
        missing training values also get a component that says so. "auto": those columns whose gaps
        say something about the target.
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
        What the columns were found to be spared of the penalty, 0 for those that are constant.
    network_ : TTN
        See :class:`sktn.networks.tree.TTN`.
    merges_ : ndarray of shape (n_inner, 2)
        The children of every inner node: a site (see `columns_.kept`), or n_sites + j for inner
        node j; the root is the last.
    bond_dims_ : ndarray of shape (n_nodes - 1,)
        Dimension of the bond above every node but the root, the leaves first.
    truncation_error_ : float
        Share of the squared norm of the convex solution that `bond_dim` cuts off.
    loss_curve_ : ndarray of shape (n_iter_,)
        Penalised training loss, per unit of sample weight: of the convex limit, of the refit of the
        root, and after every sweep.
    n_iter_ : int
        Newton steps and sweeps.
    certainty_ : Certainty
        What ``predict_proba(X, return_std=True)`` and `novelty` know, as of :class:`MPSClassifier`.
    columns_, basis_ : fitted column preparation and local basis
    tensor_shape_ : tuple of int
        Only when X was tensors.
    n_features_in_ : int
    feature_names_in_ : ndarray of shape (n_features_in_,)
        Only when X has string column names.

    See Also
    --------
    MPSClassifier : The chain: cheaper, and the better known network of most tables.
    grid_topology : The tree of an image or a tensor.

    References
    ----------
    .. [1] Shi, Duan and Vidal, "Classical simulation of quantum many-body systems with a tree
       tensor network", Phys. Rev. A 74, 022320 (2006).
    .. [2] Stoudenmire, "Learning relevant features of data with multi-scale tensor networks",
       Quantum Science and Technology 3, 034003 (2018).
    .. [3] Grasedyck, "Hierarchical singular value decomposition of tensors", SIAM J. Matrix Anal.
       Appl. 31, 2029 (2010).

    Examples
    --------
    >>> from sklearn.datasets import load_iris
    >>> from sktn import TTNClassifier
    >>> X, y = load_iris(return_X_y=True)
    >>> model = TTNClassifier(topology=((0, 1), (2, 3)), random_state=0).fit(X, y)
    >>> model.score(X, y) > 0.95
    True
    >>> model.merges_
    array([[0, 1],
           [2, 3],
           [4, 5]])
    """

    _parameter_constraints: dict = {
        **BaseTree._parameter_constraints,
        "class_weight": [dict, StrOptions({"balanced"}), None],
    }

    _alphas = ALPHAS
    _scores_of = staticmethod(predict.scores)

    def __init__(
        self,
        *,
        bond_dim=16,
        topology="auto",
        degree="auto",
        scaling="auto",
        alpha="auto",
        interaction_penalty=1.0,
        max_iter=100,
        max_landmarks=1000,
        class_weight=None,
        categorical_features="from_dtype",
        missing="marginal",
        time_limit=None,
        random_state=None,
        verbose=0,
    ):
        self.bond_dim = bond_dim
        self.topology = topology
        self.degree = degree
        self.scaling = scaling
        self.alpha = alpha
        self.interaction_penalty = interaction_penalty
        self.max_iter = max_iter
        self.max_landmarks = max_landmarks
        self.class_weight = class_weight
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
        y : array-like of shape (n_samples,)
        sample_weight : array-like of shape (n_samples,), default=None
            An integer weight is the same as repeating the row, up to 50,000 rows.

        Returns
        -------
        self : object
        """
        reading = read_fit(self, X, y, categorical=self.categorical_features)
        check_classification_targets(reading.y)
        return self._fit(reading, table_weight(sample_weight, reading.X))

    def _make_target(self, y, sample_weight):
        return seen_target(self, y, sample_weight)
