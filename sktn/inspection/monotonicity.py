"""Models that rise or fall with a column, whatever the values of the others."""

import copy
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import ArrayLike
from scipy.optimize import nnls
from sklearn.utils import Bunch

from sktn.annotations import Data
from sktn.chains.members import networks_of, with_networks
from sktn.inspection.reading import read_model, unwrapped
from sktn.inspection.truncation import rebuilt
from sktn.networks import chain as chains
from sktn.networks import entanglement, sobol
from sktn.networks.averages import added
from sktn.networks.mps import dense_sites
from sktn.tables.bernstein import places_of, slopes_of
from sktn.tables.features import feature_indices

# Share of the variance that is rounding where a model has no interactions of three columns.
_NOTHING = 1e-8
# Of the norm of the score: what is cut beside the change is rounding.
_EXACT = 1e-9
# Slope beyond 0 that is asked for, of the score's deviation: what rounding and cut bonds may take.
_SLACK = 1e-6


def make_monotonic(
    model: Any, monotonic_cst: Any, *, X: Data | None = None, y: ArrayLike | None = None
) -> Bunch:
    """A model of the same class whose predictions rise, or fall, with columns, for all values of
    the others.

    A model of main effects and pairs is changed as little as a proof for every row takes, in the
    mean square of its score and one column after the other: by another main effect of the column,
    and by smaller interactions with it. The terms of other columns stay as they are.

    Parameters
    ----------
    model : MPSClassifier, MPSRegressor or one of their CV versions
        Fitted, alone, at the end of a pipeline or chosen by a search; it is not changed. Of two
        classes or one target, without interactions of more than two columns:
        ``solver=Convex(max_order=2)``, or :func:`limit_order`.
    monotonic_cst : dict, or array-like of int of shape (n_features,)
        1 where predictions, or probabilities of the second class, are to rise with a column, -1
        where they are to fall, 0 for no constraint, as in
        :class:`~sklearn.ensemble.HistGradientBoostingRegressor`; or a dict of these by name or
        position. Columns are those that the model itself takes, behind the steps of a pipeline.
    X : array-like or data frame of shape (n_samples, n_features), default=None
        Rows on which to compare `score` before and after, best not those of the training.
    y : array-like of shape (n_samples,), default=None
        Their targets.

    Returns
    -------
    result : :class:`~sklearn.utils.Bunch`
        model : object
            The monotonic model. Regressors lose their intervals: errors of another model say
            nothing of this one's.
        kept : dict of str to float
            For every column with a constraint, the share of the variance of its interactions that
            is left; of several networks the smallest.
        score : tuple of two float
            Before and after, only with `X` and `y`.

    Notes
    -----
    With main effects f_j and pairs f_jk, the slope along column j is at least

        f_j'(x) + sum_k min_t d/dx f_jk(x, t) ,

    a minimum for every other column, since the others vary independently. On pieces of the columns'
    intervals all of these are polynomials, which are nowhere below their Bernstein coefficients
    [1]_, so that finitely many linear inequalities are enough. The nearest solution of these is a
    problem of least distance [2]_.

    A missing value of a column says nothing of whether it is large.

    References
    ----------
    .. [1] Farouki, "The Bernstein polynomial basis: a centennial retrospective", Computer Aided
       Geometric Design, 2012.
    .. [2] Lawson and Hanson, "Solving Least Squares Problems", chapter 23, 1974.

    Examples
    --------
    >>> import numpy as np
    >>> from sktn import MPSRegressor
    >>> from sktn.chains.solvers import Convex
    >>> from sktn.inspection import make_monotonic
    >>> rng = np.random.default_rng(0)
    >>> X = rng.uniform(-1, 1, size=(80, 2))
    >>> y = X[:, 0] ** 3 + X[:, 0] * X[:, 1] + rng.normal(size=80)
    >>> model = MPSRegressor(solver=Convex(max_order=2), random_state=0).fit(X, y)
    >>> steps = np.column_stack([np.linspace(-1, 1), np.full(50, -0.9)])
    >>> bool((np.diff(model.predict(steps)) >= 0).all())
    False
    >>> result = make_monotonic(model, {"x0": 1})
    >>> bool((np.diff(result.model.predict(steps)) >= 0).all())
    True
    """
    if y is not None and X is None:
        raise ValueError("y needs X, the rows to take the score on.")
    reading = read_model(unwrapped(model)[0])
    signs = _signs(monotonic_cst, reading.names)
    members = networks_of(reading.model)
    for member in members:
        _check(member, reading, signs)
    kept = {str(reading.names[j]): 1.0 for j in signs}

    def changed(member):
        for j, sign in signs.items():
            member, left = _monotonic(member, j, sign)
            name = str(reading.names[j])
            kept[name] = min(kept[name], left)
        return member.network

    result = Bunch(model=copy.deepcopy(model), kept=kept)
    with_networks(unwrapped(result.model)[0], changed)
    if y is not None:
        result.score = (model.score(X, y), result.model.score(X, y))
    return result


def _signs(monotonic_cst, names):
    """-> dict of column to 1 or -1"""
    if isinstance(monotonic_cst, dict):
        columns, values = list(monotonic_cst), list(monotonic_cst.values())
        places = feature_indices(columns, names) if columns else []
    else:
        values = np.asarray(monotonic_cst).tolist()
        places = range(len(names))
        if np.shape(values) != (len(names),):
            raise ValueError(
                f"monotonic_cst has shape {np.shape(values)}, but the model has {len(names)} "
                "columns: give one number a column, or a dict."
            )
    if not set(values) <= {-1, 0, 1}:
        raise ValueError(f"monotonic_cst must be of -1, 0 and 1, got {monotonic_cst!r}.")
    return {int(j): int(sign) for j, sign in zip(places, values, strict=True) if sign}


def _check(member, reading, signs):
    """Refuse networks for which nothing can be promised."""
    if len(member.scale) > 1:
        raise ValueError(
            f"Monotonic constraints are for two classes or one target, and the model has "
            f"{len(member.scale)} scores."
        )
    if member.basis.embedding.channels > 1:
        raise ValueError(
            'scaling="mixed" reads every column in two ways: use another one for monotonic '
            "constraints."
        )
    for j in signs:
        if np.isin(np.flatnonzero(member.columns.kept == j), member.basis.sites).any():
            raise ValueError(
                f"Column {reading.names[j]!r} is categorical: its levels have no order along which "
                "predictions could rise."
            )
    whole, _ = _orthonormal(member)
    by_order = sobol.variance_by_order(whole)[1:]
    if by_order[2:].sum() > _NOTHING * by_order.sum():
        raise ValueError(
            "The model has interactions of more than two columns, whose slopes have no bound that "
            "could be computed: use solver=Convex(max_order=2), or limit_order(model, 2)."
        )


def _orthonormal(member):
    """The scalar chain of a network in its own units, in the orthonormal basis, and the matrices
    from that basis."""
    (part,), order, _ = replace(member, scale=np.ones(1)).outputs()
    matrices = member.whitening(order)
    return chains.change_basis(part, matrices), matrices


def _monotonic(member, column, sign):
    """The member with the nearest network that rises with a column, or falls, and the share of the
    variance of the column's interactions that is left."""
    where = np.flatnonzero(member.columns.kept == column)
    if not len(where):
        return member, 1.0
    order = member.network.order
    (at,) = np.flatnonzero(order == where[0])
    whole, matrices = _orthonormal(member)
    n = len(whole)
    mean = np.tile(np.eye(1, whole.shape[2]), (n, 1))
    # phi = m + S psi, so that psi' = S^+ phi'.
    roots = np.linalg.pinv(matrices[:, :, 1:])
    slopes = slopes_of(member.basis, order[at]) @ roots[at].T
    main = chains.conditional_mean(whole, mean, [at])[1:]
    lowest, variances = np.zeros((len(slopes), n)), np.zeros(n)
    for k in np.setdiff1d(np.arange(n), at):
        pair = chains.conditional_mean(whole, mean, [at, k])[1:, 1:]
        places = (places_of(member.basis, order[k]) - matrices[k, :, 0]) @ roots[k].T
        lowest[:, k] = np.minimum(sign * slopes @ pair @ places.T, 0).min(axis=1)
        variances[k] = np.sum(pair**2)
    total = sobol.total_variances(whole)[0]
    found = _least_change(slopes, sign * main, lowest, variances, _SLACK * np.sqrt(total))
    if found is None:
        return member, 1.0
    change, factors = found
    network = _changed(member, at, factors, sign * change - main, matrices)
    left = variances @ factors**2 / variances.sum() if variances.any() else 1.0
    return replace(member, network=network), float(left)


def _least_change(slopes, main, lowest, variances, slack):
    """Of main + v and factors f in [0, 1] of the interactions the nearest, by
    |v|^2 + sum_k (1 - f_k)^2 variances_k, with slopes (main + v) + lowest f >= slack |slopes|.

    slopes (m, e), main (e,), lowest (m, n), not positive, variances (n,)
    -> v (e,), f (n,), or None where nothing has to change
    """
    norms = np.linalg.norm(slopes, axis=1)
    rows = norms > 0
    slopes, lowest, norms = slopes[rows], lowest[rows], norms[rows]
    wanted = slack * norms - slopes @ main - lowest.sum(axis=1)
    if len(wanted) == 0 or wanted.max() <= 0:
        return None
    # Unknowns: v, and (1 - f) deviation of the interactions there are.
    there, e = variances > 0, len(main)
    deviations = np.sqrt(variances[there])
    bounds = np.eye(len(deviations), e + len(deviations), e)
    G = np.vstack([np.hstack([slopes, -lowest[:, there] / deviations]), -bounds])
    wanted = np.append(wanted, -deviations)
    size = np.linalg.norm(G, axis=1)
    G, wanted = G / size[:, None], wanted / size
    unit = np.abs(wanted).max()
    # The nearest point of {G u >= h} from the residual of non-negative least squares.
    target = np.eye(1, G.shape[1] + 1, G.shape[1])[0]
    system = np.vstack([G.T, wanted / unit])
    dual, _ = nnls(system, target)
    residual = system @ dual - target
    found = -unit * residual[:-1] / residual[-1]
    factors = np.ones(len(variances))
    factors[there] = np.clip(1 - found[e:] / deviations, 0, 1)
    return found[:e], factors


def _changed(member, at, factors, effect, matrices):
    """The network with the interactions of a site times factors, one for each other site, and one
    more main effect, in place of its own.

    In what the site has a part in no more than one other site is not constant: factors of these
    sites' components are factors of the interactions.
    """
    cores, readout, p, _ = member.open()
    cores = chains.change_basis(cores, matrices)
    less = cores.copy()
    less[at, :, 0] = 0
    less[:, :, 1:] *= np.where(np.arange(len(cores)) == at, 1.0, factors - 1)[:, None, None, None]
    whole = dense_sites(cores, readout, p)
    more = [np.eye(1, site.shape[1])[:, :, None] for site in whole]
    more[at if at < p else at + 1] = np.concatenate([[0.0], effect])[None, :, None]
    more[p] = np.ones((1, 1, 1))
    sites = added(added(whole, dense_sites(less, readout, p)), more)
    return rebuilt(member, entanglement.cut(sites, _EXACT)[0], matrices)
