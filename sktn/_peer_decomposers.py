"""The field's other structure searches and the fixed structures, on the same evaluator.

They are here to be compared with: same data, same errors, same fitted attributes as RGTNDecomposer.
"""

import time
import warnings
from numbers import Integral, Real

import numpy as np
from sklearn.exceptions import ConvergenceWarning
from sklearn.utils._param_validation import Interval

from sktn._graph_decomposer import SEARCH_CONSTRAINTS, GraphDecomposer, bond_matrix, fixed_fit
from sktn.networks import graph
from sktn.structure import enumeration, fixed, genetic, greedy, local, rg, svdins
from sktn.structure.evaluate import Evaluator

__all__ = [
    "EnumerationTNDecomposer",
    "FCTNDecomposer",
    "GeneticTNDecomposer",
    "GreedyTNDecomposer",
    "LocalSearchTNDecomposer",
    "SVDinsTNDecomposer",
    "TRDecomposer",
    "TTDecomposer",
]


class _SearchDecomposer(GraphDecomposer):
    """A search of the field on the shared ALS evaluator."""

    _parameter_constraints: dict = {
        **GraphDecomposer._parameter_constraints,
        **SEARCH_CONSTRAINTS,
    }

    def _decompose(self, work, kept, T, rng, history):
        target = self._error_target(T)
        if work.ndim == 2:
            return rg.matrix(work, target)
        limit = self.time_limit
        evaluator = Evaluator(
            work,
            target,
            rng,
            penalty=getattr(self, "penalty", 1.0),
            deadline=None if limit is None else time.perf_counter() + limit,
            callback=history,
        )
        cores = self._search(evaluator)
        if cores is None:
            raise ValueError(
                f"time_limit={limit} ended before one structure was fitted; give more seconds."
            )
        error = np.linalg.norm(work - graph.to_dense(cores))
        if error > target * (1.0 + 1e-6):
            warnings.warn(
                f"{type(self).__name__} ended at a relative error of {error:.3g}, above "
                f"target_error={self.target_error}. Raise its limits, or use RGTNDecomposer, which "
                "always meets the target.",
                ConvergenceWarning,
                stacklevel=4,
            )
        return cores


class SVDinsTNDecomposer(_SearchDecomposer):
    """SVDinsTN: a complete graph whose bonds carry sparse diagonal factors [1]_.

    Parameters
    ----------
    target_error : float, default=0.1
        Relative error ``||X - TN|| / ||X||`` to reach; a ``ConvergenceWarning`` tells if it is not.
    max_rank : int, default=5
        Largest bond dimension of the start.
    strength : float, default=1e-3
        Weight of the diagonals' l1 norm, relative to the norm of X; weakened until the target.
    mu : float, default=1e-4
        Weight of the cores' squared norms.
    n_sweeps : int, default=40
        Sweeps with penalties; twice as many without.
    n_tries : int, default=6
        Strengths tried before giving up on the target.
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
        **_SearchDecomposer._parameter_constraints,
        "max_rank": [Interval(Integral, 1, None, closed="left")],
        "strength": [Interval(Real, 0, None, closed="left")],
        "mu": [Interval(Real, 0, None, closed="left")],
        "n_sweeps": [Interval(Integral, 1, None, closed="left")],
        "n_tries": [Interval(Integral, 1, None, closed="left")],
    }

    def __init__(
        self,
        target_error=0.1,
        *,
        max_rank=5,
        strength=1e-3,
        mu=1e-4,
        n_sweeps=40,
        n_tries=6,
        tensor_shape=None,
        time_limit=None,
        callback=None,
        verbose=False,
        random_state=None,
    ):
        self.target_error = target_error
        self.max_rank = max_rank
        self.strength = strength
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
            mu=self.mu,
            strength=self.strength,
            sweeps=self.n_sweeps,
            tries=self.n_tries,
        )


class GreedyTNDecomposer(_SearchDecomposer):
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
        **_SearchDecomposer._parameter_constraints,
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


class GeneticTNDecomposer(_SearchDecomposer):
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
        **_SearchDecomposer._parameter_constraints,
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


class LocalSearchTNDecomposer(_SearchDecomposer):
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
        **_SearchDecomposer._parameter_constraints,
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


class EnumerationTNDecomposer(_SearchDecomposer):
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
        **_SearchDecomposer._parameter_constraints,
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


def _ranks(rank, count, name):
    """One rank for all bonds, or one per bond."""
    ranks = [int(r) for r in np.atleast_1d(rank)]
    if len(ranks) == 1:
        ranks = ranks * count
    if len(ranks) != count or min(ranks) < 1:
        raise ValueError(
            f"{name}={rank!r} does not give one positive rank for each of {count} bonds. "
            "Give an int, or as many ints as there are bonds."
        )
    return ranks


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

    def _decompose(self, work, kept, T, rng, history):
        return fixed.tensor_train(work, self._error_target(T) ** 2)


class TRDecomposer(GraphDecomposer):
    """Tensor ring of given ranks, by alternating least squares [1]_.

    Parameters
    ----------
    rank : int or sequence of int, default=3
        Ranks of the bonds 0-1, 1-2, ..., (N-1)-0; one int for all. Modes of length one have none.
    n_sweeps : int, default=200
        Most ALS sweeps.
    tol : float, default=1e-5
        Relative decrease of the squared error below which the sweeps end.
    n_init : int, default=1
        Random starts; the best is kept.
    tensor_shape : tuple of int, default=None
        Shape of one sample of a 2-D X. By default, the number of features is factorised.
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

    _parameter_constraints: dict = {
        **GraphDecomposer._parameter_constraints,
        "rank": [Interval(Integral, 1, None, closed="left"), "array-like"],
        "n_sweeps": [Interval(Integral, 1, None, closed="left")],
        "tol": [Interval(Real, 0, None, closed="left")],
        "n_init": [Interval(Integral, 1, None, closed="left")],
    }

    def __init__(
        self,
        rank=3,
        *,
        n_sweeps=200,
        tol=1e-5,
        n_init=1,
        tensor_shape=None,
        verbose=False,
        random_state=None,
    ):
        self.rank = rank
        self.n_sweeps = n_sweeps
        self.tol = tol
        self.n_init = n_init
        self.tensor_shape = tensor_shape
        self.verbose = verbose
        self.random_state = random_state

    def _decompose(self, work, kept, T, rng, history):
        ranks = _ranks(self.rank, work.ndim if work.ndim > 2 else 1, "rank")
        R = fixed.ring_matrix(ranks)
        return fixed_fit(
            work,
            R,
            0.0,
            rng,
            history,
            max_sweeps=self.n_sweeps,
            tol=self.tol,
            restarts=self.n_init,
        )


class FCTNDecomposer(GraphDecomposer):
    """Fully-connected tensor network of given ranks, by alternating least squares [1]_.

    Parameters
    ----------
    rank : int or array-like of shape (N, N), default=3
        Rank of every bond, or a symmetric matrix of bond dimensions.
    n_sweeps : int, default=200
        Most ALS sweeps.
    tol : float, default=1e-5
        Relative decrease of the squared error below which the sweeps end.
    n_init : int, default=1
        Random starts; the best is kept.
    tensor_shape : tuple of int, default=None
        Shape of one sample of a 2-D X. By default, the number of features is factorised.
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

    _parameter_constraints: dict = {
        **GraphDecomposer._parameter_constraints,
        "rank": [Interval(Integral, 1, None, closed="left"), "array-like"],
        "n_sweeps": [Interval(Integral, 1, None, closed="left")],
        "tol": [Interval(Real, 0, None, closed="left")],
        "n_init": [Interval(Integral, 1, None, closed="left")],
    }

    def __init__(
        self,
        rank=3,
        *,
        n_sweeps=200,
        tol=1e-5,
        n_init=1,
        tensor_shape=None,
        verbose=False,
        random_state=None,
    ):
        self.rank = rank
        self.n_sweeps = n_sweeps
        self.tol = tol
        self.n_init = n_init
        self.tensor_shape = tensor_shape
        self.verbose = verbose
        self.random_state = random_state

    def _decompose(self, work, kept, T, rng, history):
        if np.ndim(self.rank) == 0:
            R = fixed.complete_matrix(int(self.rank), work.ndim)
        else:
            R = bond_matrix(self.rank, T.shape, kept)
        return fixed_fit(
            work,
            R,
            0.0,
            rng,
            history,
            max_sweeps=self.n_sweeps,
            tol=self.tol,
            restarts=self.n_init,
        )
