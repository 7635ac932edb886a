"""Searches that move from one network to the next: sparse diagonals, and greedy increments."""

from numbers import Integral, Real

from sklearn.utils._param_validation import Interval

from sktn.decomposition.comparisons.search import SearchDecomposer
from sktn.structure.comparisons import greedy, svdins

__all__ = ["GreedyTNDecomposer", "SVDinsTNDecomposer"]


class SVDinsTNDecomposer(SearchDecomposer):
    """SVDinsTN: a complete graph whose bonds carry sparse diagonal factors [1]_.

    Parameters
    ----------
    target_error : float, default=0.1
        Relative error ``||X - TN|| / ||X||`` to reach; a ``ConvergenceWarning`` tells if it is not.
    max_rank : int, default=10
        Largest bond dimension of the start.
    gamma : float, default=1e-3
        First weight of the diagonals' l1 norm, for data between 0 and 1. It falls until the target
        is met, then rises, from network to network, as far as the target allows.
    mu : float, default=1.0
        Weight of the cores' squared norms.
    n_sweeps : int, default=100
        Most sweeps with penalties.
    n_tries : int, default=16
        Weights that are tried.
    tensor_shape : tuple of int, default=None
        Shape of one sample of a 2-D X. By default, the number of features is factorised.
    time_limit : float, default=None
        Seconds after which no new candidate is begun.
    callback : callable, default=None
        Called with every entry of ``history_`` as it is made.
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
        Per improvement: scale, action, bond, relative_error, n_parameters, seconds.

    See Also
    --------
    RGTNDecomposer : The renormalization-group search.

    References
    ----------
    .. [1] Y.-B. Zheng et al., "SVDinsTN: a tensor network paradigm for efficient structure search
       from regularized modeling perspective", CVPR 2024.

    Examples
    --------
    >>> import numpy as np
    >>> from sktn import SVDinsTNDecomposer
    >>> X = np.einsum("ar,br,cr->abc", *np.random.default_rng(0).normal(size=(3, 6, 2)))
    >>> model = SVDinsTNDecomposer(target_error=0.05, random_state=0).fit(X)
    >>> model.reconstruction_error_ < 0.05
    True
    """

    _parameter_constraints: dict = {
        **SearchDecomposer._parameter_constraints,
        "max_rank": [Interval(Integral, 1, None, closed="left")],
        "gamma": [Interval(Real, 0, None, closed="neither")],
        "mu": [Interval(Real, 0, None, closed="left")],
        "n_sweeps": [Interval(Integral, 1, None, closed="left")],
        "n_tries": [Interval(Integral, 1, None, closed="left")],
    }

    def __init__(
        self,
        target_error=0.1,
        *,
        max_rank=10,
        gamma=1e-3,
        mu=1.0,
        n_sweeps=100,
        n_tries=16,
        tensor_shape=None,
        time_limit=None,
        callback=None,
        verbose=False,
        random_state=None,
    ):
        self.target_error = target_error
        self.max_rank = max_rank
        self.gamma = gamma
        self.mu = mu
        self.n_sweeps = n_sweeps
        self.n_tries = n_tries
        self.tensor_shape = tensor_shape
        self.time_limit = time_limit
        self.callback = callback
        self.verbose = verbose
        self.random_state = random_state

    def _search(self, evaluator):
        return svdins.search(
            evaluator,
            max_rank=self.max_rank,
            gamma=self.gamma,
            mu=self.mu,
            sweeps=self.n_sweeps,
            tries=self.n_tries,
        )


class GreedyTNDecomposer(SearchDecomposer):
    """TNGreedy: the best bond increment, one at a time, from rank one [1]_.

    Parameters
    ----------
    target_error : float, default=0.1
        Relative error ``||X - TN|| / ||X||`` to reach; a ``ConvergenceWarning`` tells if it is not.
    trial_sweeps : int, default=5
        ALS sweeps that compare increments.
    max_steps : int, default=500
        Most increments.
    tensor_shape : tuple of int, default=None
        Shape of one sample of a 2-D X. By default, the number of features is factorised.
    time_limit : float, default=None
        Seconds after which no new candidate is begun.
    callback : callable, default=None
        Called with every entry of ``history_`` as it is made.
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
        Per improvement: scale, action, bond, relative_error, n_parameters, seconds.

    See Also
    --------
    RGTNDecomposer : The renormalization-group search.

    References
    ----------
    .. [1] M. Hashemizadeh et al., "Adaptive learning of tensor network structures",
       arXiv:2008.05437.

    Examples
    --------
    >>> import numpy as np
    >>> from sktn import GreedyTNDecomposer
    >>> X = np.einsum("ar,br,cr->abc", *np.random.default_rng(0).normal(size=(3, 6, 2)))
    >>> model = GreedyTNDecomposer(target_error=0.05, random_state=0).fit(X)
    >>> model.reconstruction_error_ < 0.05
    True
    """

    _parameter_constraints: dict = {
        **SearchDecomposer._parameter_constraints,
        "trial_sweeps": [Interval(Integral, 1, None, closed="left")],
        "max_steps": [Interval(Integral, 1, None, closed="left")],
    }

    def __init__(
        self,
        target_error=0.1,
        *,
        trial_sweeps=5,
        max_steps=500,
        tensor_shape=None,
        time_limit=None,
        callback=None,
        verbose=False,
        random_state=None,
    ):
        self.target_error = target_error
        self.trial_sweeps = trial_sweeps
        self.max_steps = max_steps
        self.tensor_shape = tensor_shape
        self.time_limit = time_limit
        self.callback = callback
        self.verbose = verbose
        self.random_state = random_state

    def _search(self, evaluator):
        return greedy.search(evaluator, trial_sweeps=self.trial_sweeps, max_steps=self.max_steps)
