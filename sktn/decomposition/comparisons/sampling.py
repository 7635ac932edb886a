"""Searches that sample structures and fit each: genetic, local, and by enumeration."""

from numbers import Integral, Real

from sklearn.utils._param_validation import Interval

from sktn.decomposition.comparisons.search import SearchDecomposer
from sktn.structure.comparisons import enumeration, genetic, local

__all__ = ["EnumerationTNDecomposer", "GeneticTNDecomposer", "LocalSearchTNDecomposer"]


class GeneticTNDecomposer(SearchDecomposer):
    """TNGA: a genetic algorithm over graphs and bond dimensions [1]_.

    Parameters
    ----------
    target_error : float, default=0.1
        Relative error ``||X - TN|| / ||X||`` to reach; a ``ConvergenceWarning`` tells if it is not.
    penalty : float, default=1.0
        Weight of a missed target in the fitness ``CR + penalty max(0, RE^2 / target^2 - 1)``.
    max_rank : int, default=6
        Largest bond dimension of the start.
    population : int, default=20
        Structures per generation.
    n_generations : int, default=10
        Generations.
    mutation : float, default=0.2
        Chance that a bond of a child is changed.
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
    .. [1] C. Li, Z. Sun, "Evolutionary topology search for tensor network decomposition",
       ICML 2020.

    Examples
    --------
    >>> import numpy as np
    >>> from sktn import GeneticTNDecomposer
    >>> X = np.einsum("ar,br,cr->abc", *np.random.default_rng(0).normal(size=(3, 6, 2)))
    >>> model = GeneticTNDecomposer(target_error=0.05, random_state=0).fit(X)
    >>> model.reconstruction_error_ < 0.05
    True
    """

    _parameter_constraints: dict = {
        **SearchDecomposer._parameter_constraints,
        "penalty": [Interval(Real, 0, None, closed="left")],
        "max_rank": [Interval(Integral, 1, None, closed="left")],
        "population": [Interval(Integral, 2, None, closed="left")],
        "n_generations": [Interval(Integral, 1, None, closed="left")],
        "mutation": [Interval(Real, 0, 1, closed="both")],
    }

    def __init__(
        self,
        target_error=0.1,
        *,
        penalty=1.0,
        max_rank=6,
        population=20,
        n_generations=10,
        mutation=0.2,
        tensor_shape=None,
        time_limit=None,
        callback=None,
        verbose=False,
        random_state=None,
    ):
        self.target_error = target_error
        self.penalty = penalty
        self.max_rank = max_rank
        self.population = population
        self.n_generations = n_generations
        self.mutation = mutation
        self.tensor_shape = tensor_shape
        self.time_limit = time_limit
        self.callback = callback
        self.verbose = verbose
        self.random_state = random_state

    def _search(self, evaluator):
        return genetic.search(
            evaluator,
            population=self.population,
            generations=self.n_generations,
            max_rank=self.max_rank,
            mutation=self.mutation,
        )


class LocalSearchTNDecomposer(SearchDecomposer):
    """TNLS: random local sampling in a shrinking neighbourhood [1]_.

    Parameters
    ----------
    target_error : float, default=0.1
        Relative error ``||X - TN|| / ||X||`` to reach; a ``ConvergenceWarning`` tells if it is not.
    penalty : float, default=1.0
        Weight of a missed target in the fitness ``CR + penalty max(0, RE^2 / target^2 - 1)``.
    max_rank : int, default=6
        Largest bond dimension of the start.
    n_iterations : int, default=20
        Rounds of sampling.
    n_samples : int, default=10
        Neighbours per round.
    radius : float, default=1.5
        Standard deviation of the first changes of a bond.
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
    .. [1] C. Li et al., "Permutation search of tensor network structures via local sampling",
       ICML 2022.

    Examples
    --------
    >>> import numpy as np
    >>> from sktn import LocalSearchTNDecomposer
    >>> X = np.einsum("ar,br,cr->abc", *np.random.default_rng(0).normal(size=(3, 6, 2)))
    >>> model = LocalSearchTNDecomposer(target_error=0.05, random_state=0).fit(X)
    >>> model.reconstruction_error_ < 0.05
    True
    """

    _parameter_constraints: dict = {
        **SearchDecomposer._parameter_constraints,
        "penalty": [Interval(Real, 0, None, closed="left")],
        "max_rank": [Interval(Integral, 1, None, closed="left")],
        "n_iterations": [Interval(Integral, 1, None, closed="left")],
        "n_samples": [Interval(Integral, 1, None, closed="left")],
        "radius": [Interval(Real, 0, None, closed="left")],
    }

    def __init__(
        self,
        target_error=0.1,
        *,
        penalty=1.0,
        max_rank=6,
        n_iterations=20,
        n_samples=10,
        radius=1.5,
        tensor_shape=None,
        time_limit=None,
        callback=None,
        verbose=False,
        random_state=None,
    ):
        self.target_error = target_error
        self.penalty = penalty
        self.max_rank = max_rank
        self.n_iterations = n_iterations
        self.n_samples = n_samples
        self.radius = radius
        self.tensor_shape = tensor_shape
        self.time_limit = time_limit
        self.callback = callback
        self.verbose = verbose
        self.random_state = random_state

    def _search(self, evaluator):
        return local.search(
            evaluator,
            iterations=self.n_iterations,
            samples=self.n_samples,
            max_rank=self.max_rank,
            radius=self.radius,
        )


class EnumerationTNDecomposer(SearchDecomposer):
    """TnALE: alternating enumeration of one bond or one swap of modes at a time [1]_.

    Parameters
    ----------
    target_error : float, default=0.1
        Relative error ``||X - TN|| / ||X||`` to reach; a ``ConvergenceWarning`` tells if it is not.
    penalty : float, default=1.0
        Weight of a missed target in the fitness ``CR + penalty max(0, RE^2 / target^2 - 1)``.
    max_rank : int, default=6
        Largest bond dimension of the start.
    n_rounds : int, default=4
        Rounds over all bonds.
    reach : int, default=2
        Largest change of a bond in one enumeration.
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
    .. [1] C. Li et al., "Alternating local enumeration (TnALE): solving tensor network structure
       search with fewer evaluations", ICML 2023.

    Examples
    --------
    >>> import numpy as np
    >>> from sktn import EnumerationTNDecomposer
    >>> X = np.einsum("ar,br,cr->abc", *np.random.default_rng(0).normal(size=(3, 6, 2)))
    >>> model = EnumerationTNDecomposer(target_error=0.05, random_state=0).fit(X)
    >>> model.reconstruction_error_ < 0.05
    True
    """

    _parameter_constraints: dict = {
        **SearchDecomposer._parameter_constraints,
        "penalty": [Interval(Real, 0, None, closed="left")],
        "max_rank": [Interval(Integral, 1, None, closed="left")],
        "n_rounds": [Interval(Integral, 1, None, closed="left")],
        "reach": [Interval(Integral, 1, None, closed="left")],
    }

    def __init__(
        self,
        target_error=0.1,
        *,
        penalty=1.0,
        max_rank=6,
        n_rounds=4,
        reach=2,
        tensor_shape=None,
        time_limit=None,
        callback=None,
        verbose=False,
        random_state=None,
    ):
        self.target_error = target_error
        self.penalty = penalty
        self.max_rank = max_rank
        self.n_rounds = n_rounds
        self.reach = reach
        self.tensor_shape = tensor_shape
        self.time_limit = time_limit
        self.callback = callback
        self.verbose = verbose
        self.random_state = random_state

    def _search(self, evaluator):
        return enumeration.search(
            evaluator, rounds=self.n_rounds, reach=self.reach, max_rank=self.max_rank
        )
