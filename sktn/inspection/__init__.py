"""Exact readings of fitted matrix product state models, without sampling.

All of them speak of the *scores*: the log-odds of the second class for two classes, one score a
class (whose softmax is the probability) for more, the prediction of a regressor, the logarithm of
the predicted mean for counts. "Averaged over a column" means over its distribution in the training
rows, one column independently of the others, which is what the local basis is orthonormal under.

Several networks (`n_estimators`, the members of a `...CV` model) are averaged: readings that are
linear in the model, `marginal_effect`, `shapley_values` and `input_gradient`, are those of the
(weighted) mean of the scores. Variances and entropies of a mean of chains with different column
orders have no cheap contraction: for them pass one network.
"""

import copy
from dataclasses import dataclass

import jax
import jax.numpy as jnp
import numpy as np
from sklearn.utils import Bunch
from sklearn.utils.validation import check_is_fitted

from sktn.chains import predict
from sktn.chains.density import MPSDensityEstimator
from sktn.networks import chain as chains
from sktn.networks import entanglement, mps, shapley, sobol
from sktn.tables.basis import embed
from sktn.tables.columns import GroupedColumns
from sktn.tables.reading import read_table

__all__ = [
    "ShapleyValues",
    "bond_entropy",
    "input_gradient",
    "marginal_effect",
    "mutual_information",
    "prune",
    "shapley_values",
    "truncate",
    "variance_shares",
]


# Rows times background rows that Shapley values are computed for at once.
_PAIRS = 2048

# Truncation to a given score stops here, where nothing but rounding is left to cut.
_SMALLEST_ERROR = 1e-7


@dataclass(frozen=True, eq=False)
class _Member:
    """One network of a model: f_c = offset_c + scale_c * chain_c, entering with a weight."""

    weight: float
    columns: object
    basis: object
    network: dict
    scale: np.ndarray
    offset: np.ndarray

    def open(self):
        """-> cores (n, D, d, D), readout (D, c, D), output_site, order (n,), all in float64"""
        cores, readout, p, order = chains.open_arms(
            self.network["arms"],
            self.network["readout"],
            self.network["index"],
            self.columns.n_sites,
        )
        return cores, readout * self.scale[:, None], p, order

    def outputs(self):
        """Scalar chains of all outputs, the order of their sites, and the mean vectors."""
        cores, readout, p, order = self.open()
        parts = [chains.scalar_chain(cores, readout, p, c) for c in range(len(self.scale))]
        return parts, order, self.basis.mean[order].astype(np.float64)

    def whitening(self, order):
        mean, gram = (np.asarray(a, np.float64)[order] for a in (self.basis.mean, self.basis.gram))
        return chains.whitening(mean, gram)

    def site_vectors(self, X):
        """X (b, n_features) of numbers and codes -> (b, n, d) in float64"""
        basis = jax.tree.map(_to_float64, self.basis)
        return embed(basis, self.columns.transform(X.astype(np.float64)))


@dataclass(frozen=True, eq=False)
class ShapleyValues:
    """What :func:`shapley_values` returns; the fields are named as in the shap package.

    Attributes
    ----------
    values : ndarray of shape (n_samples, n_features) or (n_samples, n_features, n_outputs)
    base_values : ndarray of shape (n_samples,) or (n_samples, n_outputs)
        The score averaged over the background.
    data : ndarray of shape (n_samples, n_features)
        The rows explained.
    feature_names, output_names : ndarray of str
    """

    values: np.ndarray
    base_values: np.ndarray
    data: np.ndarray
    feature_names: np.ndarray
    output_names: np.ndarray

    def to_shap(self):
        """The same as a ``shap.Explanation``, for the plots of the shap package.

        Returns
        -------
        explanation : shap.Explanation
        """
        import shap  # lazy: an optional package

        return shap.Explanation(
            self.values,
            self.base_values,
            self.data,
            feature_names=list(self.feature_names),
            output_names=list(self.output_names) if self.values.ndim == 3 else None,
        )


def variance_shares(model, *, output=None, subsets=None):
    """Sobol indices: how the variance of the score splits over features and their interactions.

    The variance is that of the score over independent columns with their training distributions. It
    is the sum of one part for every set of features, and all shares below are exact sums of such
    parts.

    Parameters
    ----------
    model : MPSClassifier or MPSRegressor
        Fitted, with a single network. For a cross-validated model pass one of its `estimators_`.
    output : int, default=None
        Which score. None: the variances of all scores are added up.
    subsets : list of tuple of int or str, default=None
        Sets of features whose own interaction to report, of any size.

    Returns
    -------
    shares : :class:`~sklearn.utils.Bunch`
        first_order : ndarray of shape (n_features,)
            What a feature does alone.
        total : ndarray of shape (n_features,)
            All parts that involve the feature; their sum exceeds 1 where there are interactions.
        pairs : ndarray of shape (n_features, n_features)
            What two features do together beyond what each does alone; 0 on the diagonal.
        by_order : ndarray of shape (n_features,)
            Share of the interactions of 1, 2, ... features; sums to 1.
        subsets : ndarray of shape (len(subsets),)
            Only with `subsets`.
        variance : float
            Of the score, which the shares are of.
        feature_names : ndarray of shape (n_features,)
            Those of the training table, or "x0", "x1", ...

    References
    ----------
    .. [1] Sobol, "Global sensitivity indices for nonlinear mathematical models and their Monte
       Carlo estimates", Mathematics and Computers in Simulation, 2001.

    Examples
    --------
    >>> import numpy as np
    >>> from sktn import MPSRegressor
    >>> from sktn.inspection import variance_shares
    >>> X = np.random.default_rng(0).uniform(-1, 1, size=(300, 3))
    >>> model = MPSRegressor(random_state=0).fit(X, X[:, 0] + 3 * X[:, 1] * X[:, 2])
    >>> shares = variance_shares(model)
    >>> shares.by_order.round(1)
    array([0.3, 0.7, 0. ])
    """
    member, n_features, names = _single(model), model.n_features_in_, _feature_names(model)
    outputs, order, _ = member.outputs()
    if output is not None:
        outputs = [outputs[_checked_output(output, len(outputs))]]
    matrices = member.whitening(order)
    column = member.columns.kept[order]
    wanted = [_feature_indices(subset, names) for subset in subsets or []]
    variance = 0.0
    total, by_order = np.zeros(n_features), np.zeros(n_features)
    pairs, parts = np.zeros((n_features, n_features)), np.zeros(len(wanted))
    for chain in outputs:
        chain = chains.change_basis(chain, matrices)
        whole, involving = sobol.total_variances(chain)
        variance += whole
        total[column] += involving
        by_order[: len(column)] += sobol.variance_by_order(chain)[1:]
        pairs[np.ix_(column, column)] += sobol.pair_variances(chain)
        for k, subset in enumerate(wanted):
            # The interaction with a constant column is 0.
            if np.isin(subset, column).all():
                sites = np.flatnonzero(np.isin(column, subset))
                parts[k] += sobol.subset_variance(chain, sites)
    unit = variance if variance > 0 else 1.0
    first_order = np.diag(pairs) / unit
    np.fill_diagonal(pairs, 0)
    shares = Bunch(
        first_order=first_order,
        total=total / unit,
        pairs=pairs / unit,
        by_order=by_order / unit,
        variance=float(variance),
        feature_names=names,
    )
    if subsets is not None:
        shares.subsets = parts / unit
    return shares


def marginal_effect(model, X, features, *, grid_resolution=100, percentiles=(0.05, 0.95)):
    """E[score | feature], or of two features: partial dependence with an exact average.

    Parameters
    ----------
    model : MPSClassifier, MPSRegressor or one of their CV versions
        Fitted.
    X : array-like or data frame of shape (n_samples, n_features)
        Where the features live: only the grid is taken from it.
    features : int, str or pair of them
    grid_resolution : int, default=100
        Number of grid points of a numeric feature that has more values.
    percentiles : tuple of float, default=(0.05, 0.95)
        Ends of that grid.

    Returns
    -------
    effect : :class:`~sklearn.utils.Bunch`
        average : ndarray of shape (n_outputs, n_values) or (n_outputs, n_values_0, n_values_1)
            The score averaged over all other columns.
        grid_values : list of ndarray
            Values on the original scale, the levels of a categorical column.
        mean : ndarray of shape (n_outputs,)
            The score averaged over all columns.
        feature_names : list of str
            The features asked for.
        output_names : ndarray of shape (n_outputs,)
            The class of each score, or the name of the target.

    See Also
    --------
    sklearn.inspection.partial_dependence : Averages over rows, which keeps the dependence between
        columns and costs a prediction of all rows a grid point.
    """
    names = _feature_names(model)
    indices = _feature_indices(features, names)
    if len(indices) > 2:
        raise ValueError(f"features must be one feature or two, got {features!r}.")
    table = _table(model, X)
    grids, labels = zip(
        *(_grid(model, table, j, grid_resolution, percentiles) for j in indices), strict=True
    )
    members = _members(model)
    shape = tuple(map(len, grids))
    average = np.zeros((len(members[0].scale), *shape))
    mean = np.zeros(len(average))
    for member in members:
        outputs, order, mean_vectors = member.outputs()
        column = member.columns.kept[order]
        sites, factors = [], []
        for j, grid in zip(indices, grids, strict=True):
            if j not in column:
                continue
            rows = np.full((len(grid), model.n_features_in_), np.nan)
            rows[:, j] = grid
            place = int(np.flatnonzero(column == j)[0])
            sites.append(place)
            factors.append(member.site_vectors(rows)[:, order[place]])
        # A column without a site has no influence.
        here = tuple(len(g) if j in column else 1 for j, g in zip(indices, grids, strict=True))
        for c, chain in enumerate(outputs):
            K = chains.conditional_mean(chain, mean_vectors, sites)
            for factor in factors:
                K = np.tensordot(K, factor, axes=(0, 1))
            average[c] += member.weight * (K.reshape(here) + member.offset[c])
            centre = chains.conditional_mean(chain, mean_vectors, [])
            mean[c] += member.weight * (float(centre) + member.offset[c])
    return Bunch(
        average=average,
        grid_values=list(labels),
        mean=mean,
        feature_names=[names[j] for j in indices],
        output_names=_output_names(model),
    )


def shapley_values(model, X, *, background=None):
    """Exact Shapley values: how much each feature moved the score of each row.

    The value of a set S of features is the score with the columns of S as they are in the row and
    the others averaged. No coalition is sampled: the cost is that of a few hundred predictions.

    Parameters
    ----------
    model : MPSClassifier, MPSRegressor or one of their CV versions
        Fitted.
    X : array-like or data frame of shape (n_samples, n_features)
    background : array-like or data frame of shape (n_background, n_features), default=None
        None: columns are averaged independently, over their training distributions. Rows: columns
        are replaced by those of one row at a time, and the values averaged over the rows, as the
        model-agnostic explainers of the shap package do; the cost grows with their number.

    Returns
    -------
    explanation : ShapleyValues
        Its `values` add up to score minus base value. A column without influence, or a missing
        value with ``missing="marginal"``, has the value 0.

    References
    ----------
    .. [1] Shapley, "A value for n-person games", 1953.
    .. [2] Owen, "Multilinear extensions of games", Management Science, 1972.
    .. [3] Lundberg and Lee, "A unified approach to interpreting model predictions", NeurIPS 2017.

    Examples
    --------
    >>> from sklearn.datasets import load_breast_cancer
    >>> from sktn import MPSClassifier
    >>> from sktn.inspection import shapley_values
    >>> X, y = load_breast_cancer(return_X_y=True)
    >>> model = MPSClassifier(random_state=0, dtype="float64").fit(X, y)
    >>> explanation = shapley_values(model, X[:5])
    >>> score = explanation.base_values + explanation.values.sum(axis=1)
    >>> bool(abs(score - model.decision_function(X[:5])).max() < 1e-8)
    True
    """
    table = _table(model, X)
    rows = None if background is None else _table(model, background)
    members = _members(model)
    n_outputs = len(members[0].scale)
    values = np.zeros((*table.shape, n_outputs))
    base = np.zeros(n_outputs)
    for member in members:
        outputs, order, mean = member.outputs()
        phi = member.site_vectors(table)[:, order]
        vectors = mean[None] if rows is None else member.site_vectors(rows)[:, order]
        column = member.columns.kept[order]
        for c, chain in enumerate(outputs):
            values[:, column, c] += member.weight * _averaged_shapley(chain, vectors, phi)
            base[c] += member.weight * chains.evaluate(chain, vectors).mean()
            base[c] += member.weight * member.offset[c]
    base = np.broadcast_to(base, (len(table), n_outputs)).copy()
    single = n_outputs == 1
    return ShapleyValues(
        values[..., 0] if single else values,
        base[:, 0] if single else base,
        _shown(model, X, table),
        _feature_names(model),
        _output_names(model),
    )


def _averaged_shapley(chain, backgrounds, phi):
    """Shapley values averaged over k background states, about _PAIRS rows at once.

    chain (n, D, d, D), backgrounds (k, n, d), phi (b, n, d) -> (b, n)
    """
    if len(backgrounds) == 1:
        return shapley.shapley_values(chain, backgrounds[0], phi)
    total, size = 0.0, max(1, _PAIRS // max(1, len(phi)))
    for start in range(0, len(backgrounds), size):
        block = backgrounds[start : start + size]
        absent = np.repeat(block, len(phi), axis=0)
        values = shapley.shapley_values(chain, absent, np.tile(phi, (len(block), 1, 1)))
        total = total + values.reshape(len(block), *phi.shape[:2]).sum(axis=0)
    return total / len(backgrounds)


def input_gradient(model, X):
    """The derivative of the score with respect to every numeric value.

    Parameters
    ----------
    model : MPSClassifier, MPSRegressor or one of their CV versions
        Fitted.
    X : array-like or data frame of shape (n_samples, n_features)

    Returns
    -------
    gradient : ndarray of shape (n_samples, n_features) or (n_samples, n_features, n_outputs)
        Score per unit of the column. 0 for categorical columns, missing values and values beyond
        the training range, where the score is constant. With scaling "quantile" or "mixed" the
        slope of the rank is that of the straight piece between two training values.
    """
    table = _table(model, X).astype(np.float64)
    total = 0.0
    for member in _members(model):
        coords = member.columns.transform(table)
        with jax.enable_x64(True):
            basis, network = jax.tree.map(_to_float64, (member.basis, member.network))
            jacobian = np.asarray(_score_gradient(basis, network, coords))  # (c, b, n, channels)
        slopes = member.columns.slopes(table)
        by_site = np.einsum("cbnk,bnk->bnc", np.nan_to_num(jacobian), slopes) * member.scale
        full = np.zeros((*table.shape, len(member.scale)))
        full[:, member.columns.kept] = by_site
        total = total + member.weight * full
    return total[..., 0] if total.shape[-1] == 1 else total


@jax.jit
def _score_gradient(basis, network, coords):
    """d f_c / d coords: coords (b, n, channels) -> (c, b, n, channels)"""

    def score(z):
        phi = mps.fold_inputs(embed(basis, z), network["index"])
        out, log_scale = mps.contract_arms(network["arms"], network["readout"], phi)
        return out * jnp.exp(log_scale)[:, None]

    out, pull_back = jax.vjp(score, coords)
    b, c = out.shape
    cotangents = jnp.broadcast_to(jnp.eye(c, dtype=out.dtype)[:, None], (c, b, c))
    return jax.vmap(lambda t: pull_back(t)[0])(cotangents)


def bond_entropy(model):
    """Entanglement entropy of every bond: how much the two sides of the chain tell each other.

    The weight tensor is taken in the orthonormal basis and divided by its norm; the entropy is that
    of its squared singular values across the bond, in nats. A bond of dimension D has at most
    log D, and a bond with 0 can be cut.

    Parameters
    ----------
    model : MPSClassifier, MPSRegressor or MPSDensityEstimator
        Fitted, with a single network.

    Returns
    -------
    entropies : :class:`~sklearn.utils.Bunch`
        entropy : ndarray of shape (n_bonds,)
            From the left end (0) to the right end. The class index of a classifier counts as a
            site, named "output".
        bond_dims : ndarray of shape (n_bonds,)
            Number of singular values that are not rounding errors.
        spectra : list of ndarray
            Singular values.
        site_names : list of str
            The n_bonds - 1 sites along the chain.
    """
    cores, readout, p, order, names = _state(model)
    entropies, spectra = entanglement.bond_entropies(cores, readout, p)
    sites = [str(names[j]) for j in order]
    if isinstance(model, MPSDensityEstimator):
        entropies, spectra = entropies[:-1], spectra[:-1]
    else:
        sites.insert(p, "output")
    bond_dims = np.array([int(np.sum(s > 1e-6 * max(s.max(), 1e-300))) for s in spectra])
    return Bunch(entropy=entropies, bond_dims=bond_dims, spectra=spectra, site_names=sites)


def mutual_information(model, first, second):
    """Quantum mutual information between two blocks of features, I = S(A) + S(B) - S(AB).

    S is the von Neumann entropy of a block's reduced density matrix in the state of
    :func:`bond_entropy`. I is 0 if and only if that matrix is a product, whatever the order of the
    columns, and large when what the model makes of one block depends on the other. It is a
    property of the model, not of the data: a score that ignores a block has I = 0 with it, and so
    has a product of functions of single columns, whose parts need nothing of each other. (For sums
    see :func:`variance_shares`, which tells sums from interactions; entropies do not.)

    Parameters
    ----------
    model : MPSClassifier, MPSRegressor or MPSDensityEstimator
        Fitted, with a single network.
    first, second : int, str or list of them
        Disjoint blocks.

    Returns
    -------
    information : float
        In nats.

    References
    ----------
    .. [1] Rissler, Noack and White, "Measuring orbital interaction using quantum information
       theory", Chemical Physics, 2006.
    """
    cores, readout, p, order, names = _state(model)
    blocks = [_feature_indices(block, names) for block in (first, second)]
    if set(blocks[0]) & set(blocks[1]):
        raise ValueError(f"The blocks must be disjoint, got {first!r} and {second!r}.")
    places = [np.flatnonzero(np.isin(order, block)) for block in blocks]
    if not len(places[0]) or not len(places[1]):
        return 0.0  # constant columns
    return float(entanglement.mutual_information(cores, readout, p, *places))


def truncate(model, *, max_error=0.01, bond_dim=None, X=None, y=None, max_score_loss=None):
    """A smaller model of the same class whose score is nearly the same.

    Bonds are cut by singular value decompositions in the orthonormal basis, so that the error is
    one of the score itself, in root mean square over independent columns. Where columns depend on
    each other the error on actual rows may be another: `max_score_loss` bounds what counts.

    Parameters
    ----------
    model : MPSClassifier, MPSRegressor or one of their CV versions
        Fitted; it is not changed.
    max_error : float, default=0.01
        Largest relative error of the score, spread over all bonds.
    bond_dim : int, default=None
        Largest bond dimension, if need be at a larger error.
    X, y : default=None
        Rows on which to compare `score` before and after, best not those of the training.
    max_score_loss : float, default=None
        Halve `max_error` until `score` on `X` and `y` falls by at most this.

    Returns
    -------
    result : :class:`~sklearn.utils.Bunch`
        model : object
            The smaller model.
        relative_error : float
            What was lost: ||f - g|| / ||f||, the largest of all networks.
        n_parameters : tuple of two int
            Numbers in the bonds of all networks, before and after.
        score : tuple of two float
            Before and after, only with `X` and `y`.
    """
    if not 0 <= max_error < 1:
        raise ValueError(f"max_error must be in [0, 1), got {max_error!r}.")
    if bond_dim is not None and bond_dim < 1:
        raise ValueError(f"bond_dim must be at least 1, got {bond_dim!r}.")
    if max_score_loss is not None and X is None:
        raise ValueError("max_score_loss needs X and y, the rows to take the score on.")
    result = _truncated_model(model, max_error, bond_dim)
    if X is None:
        return result
    before = model.score(X, y)
    result.score = (before, result.model.score(X, y))
    while (
        max_score_loss is not None
        and before - result.score[1] > max_score_loss
        and max_error > _SMALLEST_ERROR
    ):
        max_error /= 2
        result = _truncated_model(model, max_error, bond_dim)
        result.score = (before, result.model.score(X, y))
    return result


def _truncated_model(model, max_error, bond_dim):
    _members(model)  # refuses other models
    smaller = copy.deepcopy(model)
    errors, before, after = [], 0, 0
    for estimator in getattr(smaller, "estimators_", [smaller]):
        networks = []
        for member in _members(estimator):
            network, error = _truncated(member, max_error, bond_dim)
            networks.append(network)
            errors.append(error)
            before += _n_parameters(member.network, member.columns.n_sites)
            after += _n_parameters(network, member.columns.n_sites)
        estimator.networks_ = networks
        estimator._summarise()
    return Bunch(model=smaller, relative_error=max(errors), n_parameters=(before, after))


def _truncated(member, max_error, bond_dim):
    cores, readout, p, order = chains.open_arms(
        member.network["arms"],
        member.network["readout"],
        member.network["index"],
        member.columns.n_sites,
    )
    n = len(cores)
    matrices = member.whitening(order)
    sites, error = entanglement.truncate(
        chains.change_basis(cores, matrices), readout, p, max_error, bond_dim
    )
    R = sites.pop(p)
    D = max(max(site.shape[0], site.shape[2]) for site in [*sites, R])
    inverse = np.linalg.pinv(matrices)
    padded = np.zeros((n, D, matrices.shape[2], D))
    for k, site in enumerate(sites):
        padded[k, : site.shape[0], :, : site.shape[2]] = site
    output = np.zeros((D, R.shape[1], D))
    output[: R.shape[0], :, : R.shape[2]] = R
    with jax.enable_x64(True):
        arms = np.asarray(mps.fold(jnp.asarray(chains.change_basis(padded, inverse)), p))
    dtype = member.network["arms"].dtype
    network = {
        "arms": arms.astype(dtype),
        "readout": output.astype(dtype),
        "index": member.network["index"],
    }
    return network, error


def prune(model, *, max_share=0.01, features=None):
    """Take features out of a model: the score averaged over them.

    Parameters
    ----------
    model : MPSClassifier or MPSRegressor
        Fitted, with a single network; it is not changed.
    max_share : float, default=0.01
        Share of the score's variance that may go. The features of least total share go first.
    features : list of int or str, default=None
        Take out these instead.

    Returns
    -------
    result : :class:`~sklearn.utils.Bunch`
        model : object
            The same function averaged over the removed features. It takes the same columns; the
            values of removed ones have no influence.
        removed : ndarray of str
            Names of the features taken out.
        lost_share : float
            Share of the variance that went with them.
    """
    member, names = _single(model), _feature_names(model)
    if not 0 <= max_share < 1:
        raise ValueError(f"max_share must be in [0, 1), got {max_share!r}.")
    outputs, order, _ = member.outputs()
    matrices = member.whitening(order)
    outputs = [chains.change_basis(chain, matrices) for chain in outputs]
    column = member.columns.kept[order]
    variances = [sobol.total_variances(chain) for chain in outputs]
    whole = sum(v for v, _ in variances) or 1.0

    def lost_without(removed):
        kept = np.setdiff1d(np.arange(len(column)), removed)
        return max(0.0, 1 - sum(sobol.variance_given(chain, kept) for chain in outputs) / whole)

    if features is not None:
        removed = np.flatnonzero(np.isin(column, _feature_indices(features, names)))
    else:
        removed = np.zeros(0, dtype=int)
        for place in np.argsort(sum(involving for _, involving in variances), kind="stable"):
            more = np.append(removed, place)
            if lost_without(more) > max_share:
                break
            removed = more
    smaller = copy.deepcopy(model)
    network = smaller.networks_[0]
    arms = network["arms"].copy()
    mean = np.asarray(member.basis.mean)
    for site in order[removed]:
        at = np.nonzero(network["index"] == site)
        constant = np.einsum("klsr,s->klr", arms[at], mean[site])
        arms[at] = 0
        arms[at[0], at[1], :, 0] = constant
    network["arms"] = arms
    smaller._summarise()
    return Bunch(model=smaller, removed=names[column[removed]], lost_share=lost_without(removed))


def _n_parameters(network, n):
    dims = predict.bond_dims(network, n)
    d, c = network["arms"].shape[3], network["readout"].shape[1]
    p = int((network["index"][:, 0] < n).sum())
    physical = np.insert(np.full(n, d), p, c)
    return int(np.sum(dims[:-1] * physical * dims[1:]))


def _members(model):
    """The networks of a fitted model with their weights, which add up to 1."""
    if hasattr(model, "weights_") and hasattr(model, "estimators_"):
        share = np.asarray(model.weights_, np.float64) / np.sum(model.weights_)
        return [
            _Member(w * m.weight, m.columns, m.basis, m.network, m.scale, m.offset)
            for w, estimator in zip(share, model.estimators_, strict=True)
            for m in _members(estimator)
        ]
    if hasattr(model, "networks_"):
        if isinstance(model.columns_, GroupedColumns):
            raise ValueError(
                f"Readings need one column a site, but the embedding {model.embedding!r} puts "
                "several on each: fit the model with another embedding."
            )
        n_outputs = model.networks_[0]["readout"].shape[1]
        scale, offset = np.ones(n_outputs), np.zeros(n_outputs)
        if hasattr(model, "target_scale_"):
            scale, offset = np.asarray(model.target_scale_), np.asarray(model.target_center_)
            if model.loss == "poisson":
                scale, offset = np.ones(n_outputs), np.log(scale)
        weight = 1 / len(model.networks_)
        return [
            _Member(weight, model.columns_, model.basis_, network, scale, offset)
            for network in model.networks_
        ]
    if hasattr(model, "fit"):
        check_is_fitted(model)
    raise ValueError(
        f"Expected a fitted MPSClassifier, MPSRegressor or a cross-validated one, got {model!r}. "
        "Of a pipeline pass the last step and the transformed X; an anomaly detector explains "
        "itself by its method site_scores."
    )


def _single(model):
    members = _members(model)
    if len(members) > 1:
        raise ValueError(
            f"This reading needs a single network, but the model averages {len(members)}: fit it "
            "with n_estimators=1, or pass one of the estimators_ of a cross-validated model."
        )
    return members[0]


def _state(model):
    """Cores in the orthonormal basis, readout, output site, column at each place, names."""
    names = _feature_names(model)
    if isinstance(model, MPSDensityEstimator):
        cores = model.cores_.astype(np.float64)
        end = np.zeros((cores.shape[1], 1, cores.shape[1]))
        end[0, 0, 0] = 1
        return cores, end, len(cores), model.order_, names
    member = _single(model)
    cores, readout, p, order = member.open()
    cores = chains.change_basis(cores, member.whitening(order))
    return cores, readout, p, member.columns.kept[order], names


def _to_float64(leaf):
    leaf = np.asarray(leaf)
    return leaf.astype(np.float64) if leaf.dtype.kind == "f" else leaf


def _table(model, X):
    """Numbers and category codes in float64."""
    check_is_fitted(model)
    return read_table(model, X, reset=False).astype(np.float64)


def _shown(model, X, table):
    """The rows as the user gave them."""
    return table if model.encoder_ is None else np.asarray(X, dtype=object)


def _feature_names(model):
    check_is_fitted(model)
    names = getattr(model, "feature_names_in_", None)
    if names is None:
        names = [f"x{j}" for j in range(model.n_features_in_)]
    return np.asarray(names, dtype=object)


def _output_names(model):
    if hasattr(model, "classes_"):
        classes = model.classes_
        return classes[1:] if len(classes) == 2 else classes
    n_outputs = len(_members(model)[0].scale)
    return np.array([f"y{c}" for c in range(n_outputs)] if n_outputs > 1 else ["y"], dtype=object)


def _feature_indices(features, names):
    """Names or numbers of distinct columns -> (k,) integers"""
    if isinstance(features, str | int | np.integer):
        features = [features]
    indices = []
    for feature in features:
        if isinstance(feature, str):
            found = np.flatnonzero(names == feature)
            if not len(found):
                raise ValueError(
                    f"There is no feature {feature!r}; the features are {list(names)}."
                )
            indices.append(int(found[0]))
        else:
            if not 0 <= feature < len(names):
                raise ValueError(f"Feature {feature} is out of range: there are {len(names)}.")
            indices.append(int(feature))
    if len(set(indices)) < len(indices):
        raise ValueError(f"Features must not repeat, got {features!r}.")
    return np.array(indices, dtype=int)


def _checked_output(output, n_outputs):
    if not 0 <= output < n_outputs:
        raise ValueError(f"output={output} is out of range: the model has {n_outputs} scores.")
    return output


def _grid(model, table, j, grid_resolution, percentiles):
    """Values of a column (codes for a categorical one), and how to call them."""
    values = np.unique(table[~np.isnan(table[:, j]), j])
    if len(values) == 0:
        raise ValueError(f"Column {j} of X has no values to make a grid of.")
    if model.encoder_ is not None and model.is_categorical_[j]:
        categories = model.encoder_.categories_[
            np.flatnonzero(model.is_categorical_).tolist().index(j)
        ]
        return values, np.asarray(categories)[values.astype(int)]
    if len(values) > grid_resolution:
        low, high = np.nanquantile(table[:, j], percentiles)
        values = np.linspace(low, high, grid_resolution)
    return values, values
