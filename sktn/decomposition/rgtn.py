"""Tensor network decomposition with an automatic or a fixed structure."""

from dataclasses import replace
from math import prod
from numbers import Integral
from typing import Self

import numpy as np
from numpy.typing import ArrayLike
from sklearn.base import BaseEstimator, _fit_context
from sklearn.utils._param_validation import Interval, StrOptions

from sktn.annotations import Data
from sktn.decomposition.appending import appended
from sktn.decomposition.base import SEARCH_CONSTRAINTS, GraphDecomposer, warn_if_cut
from sktn.fitted import commit, fitted_attributes
from sktn.structure import fixed, modes, portfolio, rg
from sktn.structure.certificate import size_bound
from sktn.structure.comparisons import paper
from sktn.structure.folding import Folding
from sktn.structure.neighbours import Descent

__all__ = ["RGSearch", "RGTNDecomposer"]

_DEFAULT_ERROR = 0.1
# Least target error at which foldings are looked for: squares below are rounding of the spectra.
_FINEST = 1e-6


class RGSearch(BaseEstimator):
    """What the structure search of RGTNDecomposer uses: each mechanism can be switched off.

    Parameters
    ----------
    reduction : bool, default=True
        Whether to search on the HOSVD core.
    tomography : bool, default=True
        Whether to read bond dimensions off the spectra of unfoldings: exactly where they have gaps,
        else those of the best tree.
    information : bool, default=True
        Whether the least informative components are removed one by one.
    n_cycles : int, default=100
        Most exchange cycles after the target is met: each grows one bond and prunes others, and
        keeps the result if it is smaller. They end when no bond is left whose growth pays. Without
        any there is no last phase either.
    race : bool, default=True
        Whether the moves of the last phase compete over many sweeps, which tells slow fits from
        failures. Otherwise all are judged by twelve.
    random_starts : bool, default=True
        Whether the last phase fits structures from random starts as well.

    Examples
    --------
    >>> from sktn import RGSearch, RGTNDecomposer
    >>> model = RGTNDecomposer(search=RGSearch(n_cycles=0))
    >>> model.set_params(search__tomography=False).search
    RGSearch(n_cycles=0, tomography=False)
    """

    _parameter_constraints: dict = {
        "reduction": ["boolean"],
        "tomography": ["boolean"],
        "information": ["boolean"],
        "n_cycles": [Interval(Integral, 0, None, closed="left")],
        "race": ["boolean"],
        "random_starts": ["boolean"],
    }

    def __init__(
        self,
        *,
        reduction=True,
        tomography=True,
        information=True,
        n_cycles=100,
        race=True,
        random_starts=True,
    ):
        self.reduction = reduction
        self.tomography = tomography
        self.information = information
        self.n_cycles = n_cycles
        self.race = race
        self.random_starts = random_starts


class RGTNDecomposer(GraphDecomposer):
    """Tensor network decomposition whose graph and bond dimensions are found automatically.

    The search expands and compresses networks as a renormalization-group flow does [1]_: starts
    that are read off the spectra of unfoldings, of the tensor and of its foldings; expansion of
    bonds that buy error, compression of the components that carry least, exchanges around the
    target error, and at last every move of one or two bonds until none helps.

    Parameters
    ----------
    target_error : float, default=None
        Relative error ``||X - TN|| / ||X||`` that the network must meet, None for 0.1. 0 asks for a
        reconstruction to rounding, 1 for the best rank-one network.
    max_parameters : int, default=None
        Most parameters. If given, the error is lowered as far as these allow, and
        ``target_error`` only ends the search early.
    bond_dims : array-like of shape (N, N), default=None
        Symmetric bond dimensions, such as the ``bond_dims_`` of another fit. With
        ``target_error=None`` there is no search, only a fit of a network with these bonds. With an
        error given they are widened until it is met, and trimmed to what it needs, without a
        search. With a folding given as well, N counts the modes of the folded tensor.
    tensor_shape : tuple of int, default=None
        Shape of one sample of a 2-D X. By default, the number of features is factorised.
    ordered_modes : "auto" or list of int, default="auto"
        Modes with a spatial or temporal order, which ``search="paper"`` averages in pairs. "auto"
        takes the modes of at least 16.
    fold : {"auto"}, None or sequence of sequences of int, default="auto"
        Whether modes whose length is a product may become several modes each, where that makes the
        network smaller (it never becomes larger): ``cores_``, ``bond_dims_`` and
        ``folded_shape_`` then have more modes than X; codes, reconstructions and errors are those
        of X. None keeps the modes of X. The factors of every mode, such as the ``folded_shape_``
        of another fit, ask for that folding. "auto" folds where the error is asked for and X has
        no gaps.
    search : RGSearch or "paper", default=None
        What the search uses; everything by default. Its parameters can be set as
        ``search__n_cycles`` where one is given. "paper" is the published algorithm [1]_, for
        comparison: scales, gates, tension and information flow under one gradient descent. It does
        not fold, and may miss the target.
    time_limit : float, default=None
        Seconds after which no new step is begun. The target is met all the same, by a tree or a
        tensor train where the search had not got there. A result under a limit depends on the
        machine.
    callback : callable, default=None
        Called with every entry of ``history_`` as it is made.
    verbose : bool or int, default=False
        Whether to print progress.
    random_state : int, RandomState instance or None, default=None
        Seed of the random starts; pass an int for the same result in every call.

    Attributes
    ----------
    cores_ : list of N ndarrays
        Core k has N axes: axis k is the mode, axis j the bond to core j (length 1: no edge). N is
        the number of modes of the folded tensor (``folded_shape_``).
    bond_dims_ : ndarray of shape (N, N)
        Bond dimensions, ones on the diagonal.
    reconstruction_error_ : float
        Relative error of ``to_tensor()``.
    compression_ratio_ : float
        Parameters per entry of X.
    n_parameters_ : int
        Entries of all cores.
    size_bound_ : int or None
        Fewest parameters that any network of these modes needs for ``target_error``, by the ranks
        of the unfoldings; None where the size or the bonds were given.
    optimality_gap_ : float or None
        ``1 - size_bound_ / n_parameters_``: no network of these modes is smaller by a larger share.
    history_ : list of dict
        Per step: scale, action, bond, relative_error, n_parameters, seconds.
    folded_shape_ : tuple of tuples
        Lengths of the modes of the network that each mode of X has become, one where it was not
        folded: ``X.reshape(np.concatenate(folded_shape_))`` is the tensor that ``cores_`` contract
        to.
    tensor_shape_ : tuple
        Shape of the decomposed tensor, samples first.
    sample_shape_ : tuple
        Shape of one sample.
    n_features_in_ : int
        Length of the second axis of X.
    feature_names_in_ : ndarray of shape (n_features_in_,)
        Names of the features, if X had them.

    See Also
    --------
    RGTNImputer : Fill the gaps of a tensor with such a network.
    TTDecomposer : Tensor train, by SVDs.
    SVDinsTNDecomposer : Sparse diagonal factors on a complete graph.

    References
    ----------
    .. [1] M. Wang et al., "Renormalization Group Guided Tensor Network Structure Search",
       AAAI 2026, arXiv:2512.24663.

    Notes
    -----
    Missing entries (NaN) are filled first, as `RGTNImputer` fills them, and the filled tensor is
    decomposed; ``reconstruction_error_`` then counts observed entries alone.

    Examples
    --------
    >>> import numpy as np
    >>> from sktn import RGTNDecomposer
    >>> rng = np.random.default_rng(0)
    >>> X = np.einsum("ar,rbs,sc->abc", rng.normal(size=(12, 2)), rng.normal(size=(2, 10, 3)),
    ...               rng.normal(size=(3, 8)))
    >>> model = RGTNDecomposer(target_error=1e-3, random_state=0).fit(X)
    >>> model.bond_dims_
    array([[1, 2, 1],
           [2, 1, 3],
           [1, 3, 1]])
    >>> model.transform(X).shape
    (12, 2)
    """

    _allow_nan = True
    _parameter_constraints: dict = {
        **GraphDecomposer._parameter_constraints,
        **SEARCH_CONSTRAINTS,
        "target_error": [None, *SEARCH_CONSTRAINTS["target_error"]],
        "max_parameters": [None, Interval(Integral, 1, None, closed="left")],
        "bond_dims": [None, "array-like"],
        "ordered_modes": [StrOptions({"auto"}), "array-like"],
        "fold": [None, StrOptions({"auto"}), "array-like"],
        "search": [None, StrOptions({"paper"}), RGSearch],
    }

    def __init__(
        self,
        target_error=None,
        *,
        max_parameters=None,
        bond_dims=None,
        tensor_shape=None,
        ordered_modes="auto",
        fold="auto",
        search=None,
        time_limit=None,
        callback=None,
        verbose=False,
        random_state=None,
    ):
        self.target_error = target_error
        self.max_parameters = max_parameters
        self.bond_dims = bond_dims
        self.tensor_shape = tensor_shape
        self.ordered_modes = ordered_modes
        self.fold = fold
        self.search = search
        self.time_limit = time_limit
        self.callback = callback
        self.verbose = verbose
        self.random_state = random_state

    def _fit_tensor(self, T, deadline):
        folding = self._given_folding(T)
        if folding is not None and self.search == "paper":
            raise ValueError(
                f"fold={self.fold!r} is nothing that search='paper' takes: give fold=None."
            )
        self._folding, self._free = None, folding is None and self._may_fold(T)
        folding = folding or Folding(tuple((n,) for n in T.shape))
        self.folded_shape_ = folding.factors
        super()._fit_tensor(T.reshape(folding.shape), deadline)
        self.tensor_shape_ = T.shape

    @_fit_context(prefer_skip_nested_validation=True)
    def partial_fit(self, X: Data, y: ArrayLike | None = None) -> Self:
        """Append samples, at the price of these; what the network says of the old ones stays.

        Where it misses more of the new ones than the error asked for allows, bonds of the sample
        core get components in which the codes of the old ones are zero: no search, and a network
        that is larger than that of a new fit.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features) or (n_samples, I_1, ..., I_k)
            More samples, NaN where missing: those entries are filled as ``predict`` fills them.
        y : Ignored
            Not used, present for API consistency.

        Returns
        -------
        self : object
            The estimator; its first core has a slice for every sample, the new ones last. A folded
            mode of the samples is one mode again, and ``size_bound_`` is None: it was one for the
            old samples.
        """
        if not hasattr(self, "cores_"):
            return self.fit(X)
        target = None if self._promised() is None else self._error_target(self.cores_[0].dtype)
        commit(self, fitted_attributes(self) | appended(self, self._new_samples(X), target))
        self._warn_if_missed()
        return self

    def _network_modes(self, kept, shape):
        if self._folding is None:
            return kept, shape
        factors = [(n,) for n in shape]
        for k, lengths in zip(kept, self._folding.factors, strict=True):
            factors[k] = lengths
        self.folded_shape_ = tuple(factors)
        shape = Folding(self.folded_shape_).shape
        return modes.squeezed(shape), shape

    def _may_fold(self, T):
        """Whether foldings are tried: where the error is asked for, of a tensor without gaps."""
        searched = self.fold == "auto" and self.bond_dims is None and self.max_parameters is None
        # 0 asks for a reconstruction to rounding, of which spectra tell nothing; 1 for rank one.
        real = _FINEST <= self._wanted_error() < 1.0
        return (
            searched and real and self.search != "paper" and not np.isnan(T).any() and bool(T.any())
        )

    def _given_folding(self, T):
        """The folding named by the user, or None."""
        if self.fold is None or isinstance(self.fold, str):
            return None
        try:
            factors = tuple(tuple(int(n) for n in lengths) for lengths in self.fold)
            fits = tuple(prod(lengths) for lengths in factors) == T.shape
        except TypeError:
            fits = False
        if not fits or any(n < 1 for lengths in factors for n in lengths):
            raise ValueError(
                f"fold={self.fold!r} does not fold a tensor of shape {T.shape}: give the factors "
                'of every mode, such as ((4, 10), (3,)) for (40, 3), or "auto", or None.'
            )
        return Folding(factors)

    def _certify(self, task):
        """A bound on the size where the error was asked for, and none where the size was."""
        self.size_bound_ = None
        if self._promised() is not None and task.X.ndim > 0:
            spare = len(task.shape) - len(task.kept)
            X = task.X if self._folding is None else task.X.reshape(self._folding.shape)
            self.size_bound_ = spare + size_bound(X, task.target, task.deadline)

    def _sample_modes(self):
        return tuple(range(len(self.folded_shape_[0])))

    def _promised(self):
        fixed_bonds = self.bond_dims is not None and self.target_error is None
        return None if fixed_bonds or self.max_parameters is not None else self._wanted_error()

    def _wanted_error(self):
        default = _DEFAULT_ERROR if self.bond_dims is None else 0.0
        return default if self.target_error is None else self.target_error

    def _check_task(self, task):
        smallest = sum(task.shape)
        if self.max_parameters is not None and self.max_parameters < smallest:
            raise ValueError(
                f"max_parameters={self.max_parameters} is less than the {smallest} of a rank-one "
                f"network for shape {task.shape}. Give at least {smallest}."
            )
        if self.max_parameters is not None and self.search == "paper":
            raise ValueError(
                f"max_parameters={self.max_parameters} is nothing that search='paper' looks for: "
                "give target_error alone, or another search."
            )
        self._ordered()
        self._settings()
        self._given(task)

    def _ordered(self):
        """Modes of X with an order."""
        return modes.ordered(self.ordered_modes, [prod(own) for own in self.folded_shape_])

    def _given(self, task):
        """Bond dimensions between the modes longer than one, or None."""
        if self.bond_dims is None:
            return None
        return modes.bond_matrix(self.bond_dims, len(task.shape))[np.ix_(task.kept, task.kept)]

    def _settings(self):
        search = self.search if isinstance(self.search, RGSearch) else RGSearch()
        search._validate_params()
        return rg.Settings(
            reduction=search.reduction,
            tomography=search.tomography,
            information=search.information,
            cycles=search.n_cycles,
            descent=Descent(search.race, search.random_starts),
        )

    def _solved(self, task, norm):
        cores = super()._solved(task, norm)
        self._certify(task)
        return cores

    def _store(self, cores, T, history):
        super()._store(cores, T, history)
        self.optimality_gap_ = None
        if np.isnan(T).any():  # The bound is one for the filled tensor.
            self.size_bound_ = None
        if self.size_bound_ is not None:
            self.optimality_gap_ = 1.0 - self.size_bound_ / self.n_parameters_

    def _decompose(self, task):
        if (R := self._given(task)) is not None:
            warn_if_cut("bond_dims", R, task.X.shape)
            cores = fixed.fit(task, R, fixed.Sweeps(), target=task.target**2)
            if self._promised() is None:
                return cores
            return rg.search(replace(task, start=cores), replace(self._settings(), stage="trim"))
        spare = len(task.shape) - len(task.kept)  # modes of length one cost one parameter each
        budget = None if self.max_parameters is None else self.max_parameters - spare
        if self.search == "paper" and task.X.ndim > 2:
            ordered = [task.kept.index(k) for k in self._ordered() if k in task.kept]
            return paper.search(task, ordered=ordered)
        if self._free:
            self._folding, cores = portfolio.search(task, self._settings())
            return cores
        return rg.search(task, self._settings(), budget)
