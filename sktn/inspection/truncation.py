"""Smaller models of nearly the same score, by cutting bonds."""

import copy
from typing import Any

import numpy as np
from numpy.typing import ArrayLike
from sklearn.utils import Bunch

from sktn.annotations import Data
from sktn.chains.members import networks_of, with_networks
from sktn.inspection.reading import read_model, unwrapped
from sktn.networks import chain as chains
from sktn.networks import entanglement

# Truncation to a given score stops here, where nothing but rounding is left to cut.
_SMALLEST_ERROR = 1e-7


def truncate(
    model: Any,
    *,
    max_error: float = 0.01,
    bond_dim: int | None = None,
    X: Data | None = None,
    y: ArrayLike | None = None,
    max_score_loss: float | None = None,
) -> Bunch:
    """A smaller model of the same class whose score is nearly the same.

    Bonds are cut by singular value decompositions in the orthonormal basis, so that the error is
    one of the score itself, in root mean square over independent columns. Where columns depend on
    each other the error on actual rows may be another: `max_score_loss` bounds what counts.

    Parameters
    ----------
    model : MPSClassifier, MPSRegressor or one of their CV versions
        Fitted, alone, at the end of a pipeline or chosen by a search; it is not changed.
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

    Examples
    --------
    >>> import numpy as np
    >>> from sktn import MPSRegressor
    >>> from sktn.inspection import truncate
    >>> X = np.random.default_rng(0).uniform(-1, 1, size=(300, 3))
    >>> model = MPSRegressor(random_state=0).fit(X, X[:, 0] + X[:, 1] * X[:, 2])
    >>> result = truncate(model, max_error=0.02)
    >>> result.relative_error <= 0.02, result.n_parameters[1] < result.n_parameters[0]
    (True, True)
    """
    if not 0 <= max_error < 1:
        raise ValueError(f"max_error must be in [0, 1), got {max_error!r}.")
    if bond_dim is not None and bond_dim < 1:
        raise ValueError(f"bond_dim must be at least 1, got {bond_dim!r}.")
    if max_score_loss is not None and X is None:
        raise ValueError("max_score_loss needs X and y, the rows to take the score on.")
    # Refuses what it does not know before anything is copied.
    networks_of(read_model(model).model)
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
    smaller = copy.deepcopy(model)
    errors, before, after = [], 0, 0

    def cut(member):
        nonlocal before, after
        network, error = _truncated(member, max_error, bond_dim)
        errors.append(error)
        before += member.network.n_parameters
        after += network.n_parameters
        return network

    with_networks(unwrapped(smaller)[0], cut)
    return Bunch(model=smaller, relative_error=max(errors), n_parameters=(before, after))


def _truncated(member, max_error, bond_dim):
    cores, readout, _, order = member.open()
    matrices = member.whitening(order)
    cores = chains.change_basis(cores, matrices)
    return with_fewest_bonds(member, cores, readout, matrices, max_error, bond_dim)


def with_fewest_bonds(member, cores, readout, matrices, max_error, bond_dim=None):
    """A member's network with other cores, its bonds cut.

    cores (n, D, 1 + e, D) in the orthonormal basis, readout (D, c, D), matrices (n, d, 1 + e) from
    that basis -> MPS, relative error
    """
    p = member.network.output_site
    sites, error = entanglement.truncate(cores, readout, p, max_error, bond_dim)
    return rebuilt(member, sites, matrices), error


def rebuilt(member, sites, matrices):
    """A member's network of other sites: n + 1 arrays (l, s, r) in the orthonormal basis, with the
    readout in its place -> MPS"""
    sites = list(sites)
    R = sites.pop(member.network.output_site)
    D = max(max(site.shape[0], site.shape[2]) for site in [*sites, R])
    padded = np.zeros((len(sites), D, matrices.shape[2], D))
    for k, site in enumerate(sites):
        padded[k, : site.shape[0], :, : site.shape[2]] = site
    output = np.zeros((D, R.shape[1], D))
    output[: R.shape[0], :, : R.shape[2]] = R
    cores = chains.change_basis(padded, np.linalg.pinv(matrices))
    return member.with_cores(cores, output)
