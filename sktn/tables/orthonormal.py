"""Components orthonormal under the training distribution of a numeric column.

By Gram-Schmidt in the order of the raw components, degree by degree; what depends on earlier ones
in the training data (the square of a binary column) is left out.
"""

import numpy as np

from sktn.embeddings import namespace

# A component is dropped when the raw ones cancel in it to less than this share of their norms: in
# float32 the rest would be rounding error, magnified by the normalisation. Of waves on a column in
# which most rows share a value, every one may leave enough of the next, and their sum too little.
_DEPENDENT = 1e-4
# Components are of order one: those below this, like a radial function far from all rows, would be
# scaled by what single precision cannot hold.
_LEAST = np.sqrt(np.finfo(np.float32).tiny)

# Raw components are evaluated in blocks of about this many float64 numbers (2 MB).
_BLOCK = 2**18


def raw_components(embedding, z):
    """The embedding's components, with a constant before them where it has none of its own."""
    raw = embedding.evaluate(z)
    if embedding.constant is None:
        xp = namespace(z)
        raw = xp.concatenate([xp.ones_like(raw[..., :1]), raw], axis=-1)
    return raw


def numeric_sites(coords, weight, low, embedding, orthonormalize, shared_unit, limit, lost):
    """The parts of numeric sites but for the missing value, where the matrix is (r, d_i), and the
    variances (d_i,) of the components before they were normalised.

    coords (b, n, channels), weight (b,), low (n, channels): a training value that stands in for
    missing ones, at weight 0
    """
    coords = coords.transpose(1, 0, 2).astype(np.float64)
    absent = np.isnan(coords).any(axis=-1)
    coords = np.where(absent[..., None], low[:, None, :], coords)
    # A site without any data counts as one that is constant.
    absent &= ~absent.all(axis=1, keepdims=True)
    share = np.where(absent, 0.0, weight)
    share = share / share.sum(axis=1, keepdims=True)
    size = max(1, _BLOCK // (len(coords) * (embedding.dim + 1)))
    blocks = [slice(start, start + size) for start in range(0, coords.shape[1], size)]

    gram = 0.0
    for block in blocks:
        raw = raw_components(embedding, coords[:, block])
        gram = gram + (raw * share[:, block, None]).mT @ raw
    degrees = np.array(embedding.degrees)
    if embedding.constant is None:
        degrees = np.append(0.0, degrees)
    if not orthonormalize:
        own = slice(1 if embedding.constant is None else 0, None)
        selection = np.eye(len(degrees))[:, own]
        parts = [(selection, degrees[own], g[0, own], g[own, own]) for g in gram]
        return parts, [np.ones(selection.shape[1])] * len(parts)

    # The Gram matrix squares away half of the digits of float64. What is left, 1e-8 of the norm of
    # every component, is far below what _DEPENDENT lets pass.
    norms = np.sqrt(np.diagonal(gram, axis1=1, axis2=2))[:, None, :]
    safe = np.where(norms > 0, norms, 1.0)
    values, vectors = np.linalg.eigh(gram / (safe * safe.mT))
    factor = np.sqrt(np.maximum(values, 0))[:, :, None] * vectors.mT * norms
    transform, kept = _gram_schmidt(factor)
    variances = np.ones(kept.shape)
    if shared_unit:
        for T, v, columns in zip(transform, variances, kept, strict=True):
            _turn_to_principal_axes(T, v, np.flatnonzero(columns), degrees)
    largest = np.zeros(kept.shape)
    for block in blocks:
        phi = raw_components(embedding, coords[:, block]) @ transform
        largest = np.maximum(largest, np.abs(phi).max(axis=1))
    sites = []
    for i, columns in enumerate(kept):
        parts = transform[i][:, columns], degrees[columns], largest[i][columns]
        sites.append(bounded(*parts, limit, lost[i]))
    return sites, [v[columns] for v, columns in zip(variances, kept, strict=True)]


def _turn_to_principal_axes(transform, variances, kept, degrees):
    """Rotate the components of every degree, in place, to the principal axes of what the lower
    degrees leave of the raw ones. A quadratic penalty on the coefficients of the raw components is
    then diagonal: the square of each divided by its variance.

    transform (r, r), variances (r,), kept: indices of the components there are, degrees (r,)
    """
    # raw = phi R, and R is upper triangular.
    R = np.linalg.inv(transform[np.ix_(kept, kept)])
    for degree in np.unique(degrees[kept[1:]]):
        own = np.flatnonzero(degrees[kept] == degree)
        own = own[own > 0]
        axes, roots, _ = np.linalg.svd(R[np.ix_(own, own)])
        transform[:, kept[own]] = transform[:, kept[own]] @ axes
        variances[kept[own]] = roots**2


def relative_variances(variances, degrees):
    """Variances of the components of all sites over the mean of those of the same degree."""
    every, kind = np.concatenate(variances), np.concatenate(degrees)
    result = np.ones(len(every))
    for degree in np.unique(kind[kind > 0]):
        own = kind == degree
        result[own] = every[own] / every[own].mean()
    return np.split(result, np.cumsum([len(v) for v in variances])[:-1])


def _gram_schmidt(factor):
    """T with (F T)^T (F T) = 1, upper triangular; columns that depend on earlier ones are 0.

    factor F (n, k, r) with F^T F the raw Gram matrix -> T (n, r, r), kept (n, r)
    """
    n, k, r = factor.shape
    q = np.zeros((n, k, r))
    transform = np.zeros((n, r, r))
    kept = np.zeros((n, r), dtype=bool)
    norms = np.linalg.norm(factor, axis=1)
    for j in range(r):
        v = factor[:, :, j].copy()
        t = np.zeros((n, r))
        t[:, j] = 1.0
        for _ in range(2):  # twice is enough (Giraud, Langou and Rozloznik, 2005)
            overlap = np.einsum("nkj,nk->nj", q, v)
            v -= np.einsum("nkj,nj->nk", q, overlap)
            t -= np.einsum("nrj,nj->nr", transform, overlap)
        rest = np.linalg.norm(v, axis=1)
        size = np.einsum("nr,nr->n", np.abs(t), norms)
        kept[:, j] = rest > np.maximum(_DEPENDENT * size, _LEAST)
        inverse = np.where(kept[:, j], 1 / np.where(kept[:, j], rest, 1.0), 0.0)[:, None]
        q[:, :, j] = v * inverse
        transform[:, :, j] = t * inverse
    transform[:, 0, 0] = 1.0  # the constant: its norm is 1 but for rounding
    return transform, kept


def bounded(matrix, degrees, largest, limit, lost):
    """Scale components to unit variance over all rows, or less where they would exceed `limit`.

    matrix (r, d), degrees (d,), largest (d,) -> matrix, degrees, mean (d,), gram (d, d)
    """
    factor = np.minimum(1 / np.sqrt(1 - lost), limit / largest)
    factor[0] = 1.0
    mean = np.zeros(len(degrees))
    mean[0] = 1.0
    return matrix * factor, degrees, mean, np.diag(factor**2)
