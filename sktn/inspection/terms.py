"""Models without some of their parts: what chosen features do alone, or together."""

import copy
from typing import Any

import numpy as np
from numpy.typing import ArrayLike
from sklearn.utils import Bunch

from sktn.annotations import Data
from sktn.chains.members import in_unit_scale, networks_of, with_networks
from sktn.inspection.average import orthonormal_outputs
from sktn.inspection.reading import read_model, unwrapped
from sktn.inspection.truncation import rebuilt
from sktn.inspection.variance import variance_shares
from sktn.networks import chain as chains
from sktn.networks import entanglement, sobol
from sktn.networks.averages import added
from sktn.networks.mps import dense_sites
from sktn.tables.features import feature_indices

# Of the norm of the score: what may be cut beside the terms, a hundred-millionth of the variance.
# Without it every small term that goes would leave a larger network.
_EXACT = 1e-4
# Share of the variance below which a term is not looked for.
_NOTHING = 1e-8


def remove_terms(
    model: Any,
    X: Data | None = None,
    y: ArrayLike | None = None,
    *,
    terms: Any = None,
    max_share: float = 0.01,
) -> Bunch:
    """Take parts out of a model: what single features do alone, or sets of them together.

    Of the parts that the score decomposes into, one for every set of features [1]_, those named go,
    and all others stay as they are, but for some hundred-millionths of the variance: an interaction
    that nobody can explain, or all that hardly matter. Some seconds for hundreds of terms.

    Parameters
    ----------
    model : MPSClassifier, MPSRegressor or one of their CV versions
        Fitted, alone, at the end of a pipeline or chosen by a search; it is not changed.
    X : array-like or data frame of shape (n_samples, n_features), default=None
        Rows on which to compare `score` before and after, best not those of the training. Also
        needed where members with different bases are averaged, as in :func:`variance_shares`.
    y : array-like of shape (n_samples,), default=None
        Their targets.
    terms : list of int, str or tuples of them, default=None
        The sets of features: ``["age", ("age", "bmi")]`` are two, what age does alone, and what it
        does with bmi. None: the smallest main effects and pairs.
    max_share : float, default=0.01
        Share of the score's variance that those may have together.

    Returns
    -------
    result : :class:`~sklearn.utils.Bunch`
        model : object
            The model without the terms. Regressors lose their intervals: errors of another model
            say nothing of this one's.
        removed : list of tuple of str
            The terms.
        lost_share : float
            Share of the score's variance, over independent columns, that went with them.
        score : tuple of two float
            Before and after, only with `X` and `y`.

    See Also
    --------
    limit_order : All interactions of more features than a few.
    prune : Features with all that they do.

    References
    ----------
    .. [1] Sobol, "Global sensitivity indices for nonlinear mathematical models and their Monte
       Carlo estimates", Mathematics and Computers in Simulation, 2001.

    Examples
    --------
    >>> import numpy as np
    >>> from sktn import MPSRegressor
    >>> from sktn.inspection import remove_terms, variance_shares
    >>> X = np.random.default_rng(0).uniform(-1, 1, size=(300, 3))
    >>> model = MPSRegressor(random_state=0).fit(X, X[:, 0] + 3 * X[:, 1] * X[:, 2])
    >>> result = remove_terms(model, terms=[("x1", "x2")])
    >>> round(result.lost_share, 1), variance_shares(result.model).by_order.round(1)
    (0.7, array([1., 0., 0.]))
    """
    if not 0 <= max_share < 1:
        raise ValueError(f"max_share must be in [0, 1), got {max_share!r}.")
    if y is not None and X is None:
        raise ValueError("y needs X, the rows to take the score on.")
    reading = read_model(model)
    members, names = networks_of(reading.model), reading.names
    if terms is None:
        wanted = _smallest(variance_shares(model, X), max_share)
    else:
        wanted = [_members_of(term, names) for term in terms]
        if len(set(wanted)) < len(wanted):
            raise ValueError(f"Terms must not repeat, got {terms!r}.")
    outputs, column = orthonormal_outputs(reading, in_unit_scale(members)[0], X)
    whole = sum(sobol.total_variances(chain)[0] for chain in outputs)
    lost = sum(
        sobol.subset_variance(chain, np.flatnonzero(np.isin(column, term)))
        for term in wanted
        # What a column without a site has a part in is nothing.
        if np.isin(term, column).all()
        for chain in outputs
    )
    smaller = copy.deepcopy(model)
    with_networks(unwrapped(smaller)[0], lambda member: _without(member, reading, wanted))
    removed = [tuple(map(str, names[list(term)])) for term in wanted]
    share = float(lost / whole) if whole > 0 else 0.0
    result = Bunch(model=smaller, removed=removed, lost_share=share)
    if y is not None:
        result.score = (model.score(X, y), smaller.score(X, y))
    return result


def _members_of(term, names):
    """The features of a term, sorted: a name or a number, or a tuple of them."""
    features = list(term) if isinstance(term, tuple | list) else term
    found = tuple(sorted(feature_indices(features, names).tolist()))
    if not found:
        raise ValueError("A term needs at least one feature, got an empty one.")
    return found


def _smallest(shares, max_share):
    """The main effects and pairs of least variance that together have at most a share of it."""
    n = len(shares.first_order)
    sizes = {(i,): shares.first_order[i] for i in range(n)}
    sizes |= {(i, j): shares.pairs[i, j] for i in range(n) for j in range(i + 1, n)}
    found, lost = [], 0.0
    for term in sorted(sizes, key=sizes.get):
        lost += sizes[term]
        if lost > max_share:
            break
        if sizes[term] > _NOTHING:
            found.append(term)
    return found


def _without(member, reading, terms):
    """The network of a member less some terms."""
    cores, readout, p, order = member.open()
    place = reading.place(member.column_order(order))
    where = [np.flatnonzero(np.isin(place, term)) for term in terms]
    # What a column without a site has a part in is nothing.
    where = [own for own, term in zip(where, terms, strict=True) if len(own) == len(term)]
    if not where:
        return member.network
    matrices = member.whitening(order)
    whole = dense_sites(chains.change_basis(cores, matrices), readout, p)
    norm = np.linalg.norm(entanglement.cut(whole, 0.0)[0][-1])
    parts = [entanglement.cut(_part(whole, own, p), _EXACT, norm=norm)[0] for own in where]
    while len(parts) > 1:
        pairs = zip(parts[::2], parts[1::2], strict=False)
        sums = [entanglement.cut(added(*pair), _EXACT, norm=norm)[0] for pair in pairs]
        parts = sums + parts[len(parts) - len(parts) % 2 :]
    (gone,) = parts
    less = added(whole, [-gone[0], *gone[1:]])
    return rebuilt(member, entanglement.cut(less, _EXACT, norm=norm)[0], matrices)


def _part(whole, sites, p):
    """The interaction of exactly these sites: the chain itself where they have no constant
    component, and the others nothing else."""
    found = list(whole)
    for k in range(len(whole) - 1):
        at = k if k < p else k + 1
        found[at] = found[at].copy()
        found[at][:, slice(0, 1) if k in sites else slice(1, None)] = 0
    return found
