"""Decompositions of a given graph: tensor train, tensor ring, and the fully-connected network."""

from numbers import Integral, Real

import numpy as np
from sklearn.utils._param_validation import Interval

from sktn.decomposition.base import SEARCH_CONSTRAINTS, GraphDecomposer, warn_if_cut
from sktn.structure import fixed, modes

__all__ = ["FCTNDecomposer", "TRDecomposer", "TTDecomposer"]


def _ranks(rank, count):
    """One rank for all bonds, or one per bond."""
    ranks = list(np.atleast_1d(np.asarray(rank, dtype=object)))
    ranks = ranks * count if len(ranks) == 1 else ranks
    whole = all(isinstance(r, Integral) and not isinstance(r, bool) and r >= 1 for r in ranks)
    if len(ranks) != count or not whole:
        raise ValueError(
            f"rank={rank!r} does not give one positive integer for each of {count} bonds. "
            "Give an int, or as many ints as there are bonds."
        )
    return [int(r) for r in ranks]


class _FixedGraph(GraphDecomposer):
    """A graph of given ranks, or of the smallest equal rank that meets an error."""

    _parameter_constraints: dict = {
        **GraphDecomposer._parameter_constraints,
        **SEARCH_CONSTRAINTS,
        "rank": [None, Interval(Integral, 1, None, closed="left"), "array-like"],
        "n_sweeps": [Interval(Integral, 1, None, closed="left")],
        "tol": [Interval(Real, 0, None, closed="left")],
        "n_init": [Interval(Integral, 1, None, closed="left")],
    }
    del _parameter_constraints["callback"]

    def __init__(
        self,
        target_error=0.1,
        *,
        rank=None,
        n_sweeps=200,
        tol=1e-5,
        n_init=1,
        tensor_shape=None,
        time_limit=None,
        verbose=False,
        random_state=None,
    ):
        self.target_error = target_error
        self.rank = rank
        self.n_sweeps = n_sweeps
        self.tol = tol
        self.n_init = n_init
        self.tensor_shape = tensor_shape
        self.time_limit = time_limit
        self.verbose = verbose
        self.random_state = random_state

    def _promised(self):
        return self.target_error if self.rank is None else None

    def _decompose(self, task):
        sweeps = fixed.Sweeps(self.n_sweeps, self.tol, self.n_init)
        if self.rank is None and task.X.ndim == 2:
            return fixed.matrix(task.X, task.target)
        if self.rank is None:
            return fixed.grow(task, lambda rank: self._graph(task, rank), sweeps)
        R = self._graph(task, self.rank)
        if np.ndim(self.rank) > 0:
            warn_if_cut("rank", R, task.X.shape)
        return fixed.fit(task, R, sweeps)


class TTDecomposer(GraphDecomposer):
    """Tensor train by successive truncated SVDs [1]_.

    Parameters
    ----------
    target_error : float, default=0.1
        Relative error that the train meets: the budget is split evenly over the bonds.
    tensor_shape : tuple of int, default=None
        Shape of one sample of a 2-D X. By default, the number of features is factorised.
    verbose : bool or int, default=False
        Whether to print progress.
    random_state : int, RandomState instance or None, default=None
        Seed of the random starts; TT-SVD has none, the parameter keeps the interface.

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
        Per fit: scale, action, bond, relative_error, n_parameters, seconds.

    See Also
    --------
    RGTNDecomposer : Finds the graph and the bond dimensions.

    References
    ----------
    .. [1] I. Oseledets, "Tensor-train decomposition", SIAM J. Sci. Comput. 33, 2011.

    Examples
    --------
    >>> import numpy as np
    >>> from sktn import TTDecomposer
    >>> X = np.einsum("ar,br,cr->abc", *np.random.default_rng(0).normal(size=(3, 6, 2)))
    >>> TTDecomposer(target_error=0.01).fit(X).reconstruction_error_ < 0.05
    True
    """

    _parameter_constraints: dict = {
        **GraphDecomposer._parameter_constraints,
        "target_error": SEARCH_CONSTRAINTS["target_error"],
    }

    def __init__(self, target_error=0.1, *, tensor_shape=None, verbose=False, random_state=None):
        self.target_error = target_error
        self.tensor_shape = tensor_shape
        self.verbose = verbose
        self.random_state = random_state

    def _decompose(self, task):
        return fixed.tensor_train(task.X, task.target**2)


class TRDecomposer(_FixedGraph):
    """Tensor ring of given ranks, by alternating least squares [1]_.

    Parameters
    ----------
    target_error : float, default=0.1
        Relative error ``||X - TN|| / ||X||`` to reach with the smallest equal rank; not used where
        ``rank`` is given.
    rank : int or sequence of int, default=None
        Ranks of the bonds 0-1, 1-2, ..., (N-1)-0; one int for all, as far as the modes carry it.
        Modes of length one have none.
    n_sweeps : int, default=200
        Most ALS sweeps.
    tol : float, default=1e-5
        Relative decrease of the squared error below which the sweeps end.
    n_init : int, default=1
        Random starts at a given rank; the best is kept.
    tensor_shape : tuple of int, default=None
        Shape of one sample of a 2-D X. By default, the number of features is factorised.
    time_limit : float, default=None
        Seconds after which no core is solved any more; ranks of which one core would take longer
        are refused.
    verbose : bool or int, default=False
        Whether to print progress.
    random_state : int, RandomState instance or None, default=None
        Seed of the random starts.

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
        Per fit: scale, action, bond, relative_error, n_parameters, seconds.

    See Also
    --------
    RGTNDecomposer : Finds the graph and the bond dimensions.

    References
    ----------
    .. [1] Q. Zhao et al., "Tensor ring decomposition", arXiv:1606.05535.

    Examples
    --------
    >>> import numpy as np
    >>> from sktn import TRDecomposer
    >>> X = np.einsum("ar,br,cr->abc", *np.random.default_rng(0).normal(size=(3, 6, 2)))
    >>> TRDecomposer(rank=3, n_init=3, random_state=0).fit(X).reconstruction_error_ < 0.05
    True
    """

    def _graph(self, task, rank):
        return fixed.ring_matrix(_ranks(rank, task.X.ndim if task.X.ndim > 2 else 1))


class FCTNDecomposer(_FixedGraph):
    """Fully-connected tensor network of given ranks, by alternating least squares [1]_.

    Parameters
    ----------
    target_error : float, default=0.1
        Relative error ``||X - TN|| / ||X||`` to reach with the smallest equal rank; not used where
        ``rank`` is given.
    rank : int or array-like of shape (N, N), default=None
        Rank of every bond, as far as the modes carry it, or a symmetric matrix of bond dimensions.
    n_sweeps : int, default=200
        Most ALS sweeps.
    tol : float, default=1e-5
        Relative decrease of the squared error below which the sweeps end.
    n_init : int, default=1
        Random starts at a given rank; the best is kept.
    tensor_shape : tuple of int, default=None
        Shape of one sample of a 2-D X. By default, the number of features is factorised.
    time_limit : float, default=None
        Seconds after which no core is solved any more; ranks of which one core would take longer
        are refused.
    verbose : bool or int, default=False
        Whether to print progress.
    random_state : int, RandomState instance or None, default=None
        Seed of the random starts.

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
        Per fit: scale, action, bond, relative_error, n_parameters, seconds.

    See Also
    --------
    RGTNDecomposer : Finds the graph and the bond dimensions.

    References
    ----------
    .. [1] Y.-B. Zheng et al., "Fully-connected tensor network decomposition and its application to
       higher-order tensor completion", AAAI 2021.

    Examples
    --------
    >>> import numpy as np
    >>> from sktn import FCTNDecomposer
    >>> X = np.einsum("ar,br,cr->abc", *np.random.default_rng(0).normal(size=(3, 6, 2)))
    >>> FCTNDecomposer(rank=3, n_init=3, random_state=0).fit(X).reconstruction_error_ < 0.05
    True
    """

    def _graph(self, task, rank):
        if np.ndim(rank) == 0:
            return fixed.complete_matrix(_ranks(rank, 1)[0], task.X.ndim)
        return modes.bond_matrix(rank, len(task.shape), "rank")[np.ix_(task.kept, task.kept)]
