"""The mean score of several networks as one chain, for readings not linear in the model."""

from dataclasses import fields

import numpy as np

from sktn.networks import averages
from sktn.networks import chain as chains
from sktn.networks.readings import kernels_of

# Relative error, in root mean square, of bringing a network into the order of another one.
_REORDER_TOL = 1e-4


def orthonormal_outputs(reading, members, X=None):
    """The mean score as one chain an output, in an orthonormal basis whose first vector is the
    constant, and the explained column at each place.

    One network is read as it stands. Networks of one basis (an ensemble) are brought into one order
    of sites and added up. Networks of different bases (the members of a cross-validated model) have
    no common scalar product but that of rows X.

    -> list of (n, D, 1 + d, D), place (n,)
    """
    if len(members) == 1:
        (member,) = members
        outputs, order, _ = member.outputs()
        matrices = member.whitening(order)
        place = reading.place(member.column_order(order))
        change_basis = kernels_of(outputs[0]).change_basis
        return [change_basis(part, matrices) for part in outputs], place
    opened = [member.outputs() for member in members]
    places = [
        reading.place(member.column_order(order))
        for member, (_, order, _) in zip(members, opened, strict=True)
    ]
    columns = np.unique(np.concatenate(places))
    matrices = _common_basis(reading, members, X)
    weights = np.array([member.weight for member in members])
    # The order of the member that counts most; the others are permuted into it.
    leader = places[int(np.argmax(weights))]
    target = np.concatenate([leader, np.setdiff1d(columns, leader)])
    n_outputs, sums = len(members[0].scale), []
    for c in range(n_outputs):
        parts = []
        for (outputs, order, _), place, maps in zip(opened, places, matrices, strict=True):
            chain = chains.change_basis(outputs[c], maps[order])
            chain = _with_constant_sites(chain, len(columns))
            now = np.concatenate([place, np.setdiff1d(columns, place)])
            where = np.argsort(now)[np.searchsorted(np.sort(now), target)]
            parts.append(averages.reordered(chain, where, _REORDER_TOL))
        sums.append(averages.weighted_sum(parts, weights))
    return sums, target


def _common_basis(reading, members, X):
    """For every member and site, phi = m + S psi with psi orthonormal and common to all members.

    -> list of (n, d, 1 + e)
    """
    first = members[0]
    if all(_same_basis(member, first) for member in members[1:]):
        return [first.whitening(slice(None))] * len(members)
    if X is None:
        raise ValueError(
            "The members of this average have different bases, whose common variances only rows "
            "can tell: pass X, for instance the training rows, or one of the model's estimators_."
        )
    table = reading.table(reading.rows(X))
    vectors = [member.site_vectors(table) for member in members]
    kept = [member.columns.kept for member in members]
    roots = {}
    for j in np.unique(np.concatenate(kept)):
        own = [
            v[:, np.flatnonzero(k == j)[0]] for v, k in zip(vectors, kept, strict=True) if j in k
        ]
        roots[j] = _root(np.concatenate(own, axis=1))
    width = max(S.shape[1] for _, S in roots.values())
    starts = dict.fromkeys(roots, 0)
    out = []
    for member_vectors, columns in zip(vectors, kept, strict=True):
        d = member_vectors.shape[2]
        maps = np.zeros((len(columns), d, 1 + width))
        for i, j in enumerate(columns):
            mean, S = roots[j]
            rows = slice(starts[j], starts[j] + d)
            maps[i, :, 0] = mean[rows]
            maps[i, :, 1 : 1 + S.shape[1]] = S[rows]
            starts[j] += d
        out.append(maps)
    return out


def _same_basis(member, other):
    """Whether two networks read the same numbers of every column."""
    pairs = ((member.basis, other.basis), (member.columns, other.columns))
    return all(a is b for a, b in pairs) or all(
        np.array_equal(getattr(a, f.name), getattr(b, f.name))
        for a, b in pairs
        for f in fields(a)
        if f.name not in ("embedding", "scaling", "domain", "n_columns")
    )


def _root(vectors):
    """Mean (d,) and a root S (d, e) of the covariance of vectors (b, d), without null vectors."""
    mean = vectors.mean(axis=0)
    values, axes = np.linalg.eigh(np.cov(vectors, rowvar=False, bias=True).reshape(2 * mean.shape))
    kept = values > 1e-12 * max(values.max(), np.finfo(float).tiny)
    return mean, axes[:, kept] * np.sqrt(values[kept])


def _with_constant_sites(chain, n):
    """Sites of columns that this network does not read, at its end: 1 whatever they are fed."""
    more = n - len(chain)
    if not more:
        return chain
    _, D, e, _ = chain.shape
    constant = np.zeros((more, D, e, D))
    constant[:, :, 0] = np.eye(D)
    return np.concatenate([chain, constant])
