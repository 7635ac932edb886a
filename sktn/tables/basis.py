"""The local basis: from coordinates to the vectors on the sites of a network.

Component 0 of every site is the constant 1, and the others are orthonormal to it and to each other
under the training distribution of the column. Thus a network can start as the constant function
with every gradient alive, and the squared coefficients of a fitted one are variances. Components
that depend on earlier ones in the training data (the square of a binary column) are masked.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import jax
import jax.numpy as jnp
import numpy as np

from sktn.backend import namespace
from sktn.tables.statistics import level_weights, positive_rows, unit_weights

# A component is dropped when what the earlier ones leave of it is smaller than this share of its
# norm: in float32 the rest would be rounding error, magnified by the normalisation.
_DEPENDENT = 1e-4

# Raw components are evaluated in blocks of about this many float64 numbers (2 MB).
_BLOCK = 2**18


@dataclass(frozen=True, eq=False)
class Basis:
    """The local basis of every site, made by :func:`fit_basis`.

    A pytree of arrays whose only static part is the embedding: it can be an argument of a compiled
    function, and bases of equal shapes can be stacked and mapped over.

    Attributes
    ----------
    transform : ndarray of shape (n, r, d)
        Raw components (with a constant before them where the embedding has none) to basis.
    table : ndarray of shape (n_categorical, n_levels, d)
        Vectors of the levels of the categorical sites.
    sites : ndarray of shape (n_categorical,)
        The sites that `table` belongs to.
    missing : ndarray of shape (n, d)
        The vector of a missing value or an unknown level: the marginal over the other columns.
    bound : ndarray of shape ()
        Largest absolute value of a component, infinite without orthonormalisation.
    mask : ndarray of shape (n, d)
        1.0 for the components a site has, 0.0 for padding. Padded components are always 0.
    degrees : ndarray of shape (n, d)
        Roughness of the components, 0 for the constant.
    mean : ndarray of shape (n, d)
        E[phi] under the training distribution: the first unit vector where orthonormalised.
    gram : ndarray of shape (n, d, d)
        E[phi phi^T]: diagonal where orthonormalised, with ones except where `bound` took effect.
    spread : ndarray of shape (n, d)
        Variance that a component had before it was normalised, relative to the mean of those of its
        degree; 1 everywhere unless the columns share a unit.
    embedding : embedding
    """

    transform: np.ndarray
    table: np.ndarray
    sites: np.ndarray
    missing: np.ndarray
    bound: np.ndarray
    mask: np.ndarray
    degrees: np.ndarray
    mean: np.ndarray
    gram: np.ndarray
    spread: np.ndarray
    embedding: object

    @property
    def dim(self):
        return self.mask.shape[-1]

    def astype(self, dtype):
        """The same basis in another precision."""
        return jax.tree.map(
            lambda leaf: leaf.astype(dtype) if leaf.dtype.kind == "f" else leaf, self
        )

    def restrict(self, degree):
        """The same basis without the components of a larger degree (shapes stay).

        Gram-Schmidt goes by degree, so the bases of all smaller degrees are contained in one.
        """
        keep = self.mask * (self.degrees <= degree)
        return replace(
            self,
            transform=self.transform * keep[:, None, :],
            table=self.table * keep[self.sites][:, None, :],
            missing=self.missing * keep,
            mask=keep,
            mean=self.mean * keep,
            gram=self.gram * keep[:, :, None] * keep[:, None, :],
        )


jax.tree_util.register_dataclass(
    Basis,
    data_fields=[
        "transform",
        "table",
        "sites",
        "missing",
        "bound",
        "mask",
        "degrees",
        "mean",
        "gram",
        "spread",
    ],
    meta_fields=["embedding"],
)


def embed(basis, coords):
    """phi_i(x_i) = T_i^T raw(x_i), or the row of a table on a categorical site.

    NumPy coordinates give NumPy vectors, anything else goes to JAX.

    basis Basis, coords (b, n, channels) with NaN for missing -> (b, n, d)
    """
    xp = namespace(coords)
    if xp is np:
        return np.moveaxis(embed_sites(basis, coords), -1, 0)
    transform = xp.asarray(basis.transform)
    absent = xp.isnan(coords).any(axis=-1, keepdims=True)
    low, high = basis.embedding.domain
    raw = _raw(basis.embedding, xp.clip(xp.where(absent, low, coords), low, high))
    # A sum over the few raw components: one fused loop, where a batched product of tiny matrices
    # would transpose and dispatch.
    phi = sum(raw[..., r, None] * transform[:, r] for r in range(transform.shape[1]))
    if basis.sites.shape[0]:
        table = xp.asarray(basis.table)
        level = xp.nan_to_num(coords[:, basis.sites, 0]).astype(int)
        phi = phi.at[:, basis.sites].set(table[xp.arange(table.shape[0]), level])
    phi = xp.clip(phi, -basis.bound, basis.bound)
    return xp.where(absent, xp.asarray(basis.missing), phi)


def embed_sites(basis, coords):
    """`embed` in NumPy with the rows last, along which its loops are long.

    coords (b, n, channels) -> (n, d, b)
    """
    z = np.ascontiguousarray(coords.transpose(1, 0, 2))
    absent = np.isnan(z).any(axis=-1)
    some_absent = absent.any()
    low, high = basis.embedding.domain
    if some_absent:
        z[absent] = low
    raw = _raw(basis.embedding, np.clip(z, low, high, out=z))
    phi = basis.transform.mT @ np.moveaxis(raw, -1, 1)
    if len(basis.sites):
        level = np.nan_to_num(coords[:, basis.sites, 0]).astype(int)
        vectors = basis.table[np.arange(len(basis.table)), level]
        phi[basis.sites] = vectors.transpose(1, 2, 0)
    if np.isfinite(basis.bound):
        np.clip(phi, -basis.bound, basis.bound, out=phi)
    return np.where(absent[:, None], basis.missing[:, :, None], phi) if some_absent else phi


def penalty_metric(basis, omega, q):
    """G_i = m m^T + omega S_i^q (E[phi phi^T] - m m^T) S_i^q with m = E[phi], S_i = diag(degrees).

    The transfer matrix sum_st G_st A_s^T M A_t with this metric charges every multi-index of an
    orthonormal basis prod_i g(s_i), with g(0) = 1 and g(s) = omega s^(2q).

    basis Basis, omega (), q () -> (n, d, d)
    """
    mean = jnp.asarray(basis.mean)
    constant = mean[:, :, None] * mean[:, None, :]
    # Not 0 ** q, which is 1 at q = 0; the constant has no covariance, so its weight is free.
    roughness = jnp.maximum(jnp.asarray(basis.degrees), 0.5) ** q
    weight = omega * roughness[:, :, None] * roughness[:, None, :]
    return constant + weight * (basis.gram - constant)


def fit_basis(
    columns,
    coords,
    embedding,
    *,
    sample_weight=None,
    missing="marginal",
    orthonormalize=True,
    shared_unit=False,
    max_value=10.0,
    max_levels=None,
    dim=None,
):
    """Learn the local basis of every site.

    Parameters
    ----------
    columns : Columns
    coords : ndarray of shape (b, n, channels)
        Training coordinates, ``columns.transform(X)``.
    embedding : embedding
    sample_weight : ndarray of shape (b,), default=None
    missing : {"marginal", "indicator"}, default="marginal"
        "marginal": a missing value becomes the mean vector, so that the network averages over the
        column. "indicator": sites with missing training values get one more component that says
        so.
    orthonormalize : bool, default=True
        Without it the components are the embedding's own, and `mean` and `gram` say how they are
        distributed.
    shared_unit : bool, default=False
        The numeric coordinates are in one unit, so their variances can be compared: `spread` keeps
        them, the components of one degree are principal axes, and `max_value` is for categorical
        sites only.
    max_value : float, default=10
        A component orthonormal to a rare event takes the value 1 / sqrt(p) there, and a product
        over sites turns such values into outliers of the score. Components that exceed
        `max_value` on the training rows are scaled down to it; their variance in `gram` shrinks
        accordingly. Elsewhere values are clipped at it.
    max_levels : int, default=None
        Categorical sites tell apart this many most frequent levels, the rest share a vector.
    dim : int, default=None
        Physical dimension to pad to, default the smallest that holds every site.

    Returns
    -------
    basis : Basis
        Floating-point arrays have the dtype of `coords`.
    """
    if coords.shape[-1] != embedding.channels:
        raise ValueError(
            f"The {embedding.name} embedding reads {embedding.channels} numbers per column, but "
            f"the columns were scaled to {coords.shape[-1]}. The mixed embedding goes with "
            'scaling="mixed", the others with the other scalings.'
        )
    if not max_value >= 1:
        raise ValueError(f"max_value must be at least 1, the constant's value, got {max_value!r}.")
    rows, weight = positive_rows(coords, sample_weight)
    weight = unit_weights(weight)
    absent = np.isnan(rows).any(axis=-1)
    lost = np.zeros(columns.n_sites)
    if missing == "indicator":
        lost = weight @ absent / weight.sum()
        lost[absent.all(axis=0)] = 0.0  # nothing to tell apart
    limit = max_value if orthonormalize else np.inf

    numeric = np.flatnonzero(~columns.categorical)
    categorical = np.flatnonzero(columns.categorical)
    parts = [None] * columns.n_sites
    spread = [np.ones(0)] * columns.n_sites
    if len(numeric):
        fitted, variances = _numeric_sites(
            rows[:, numeric],
            weight,
            columns.low[numeric],
            embedding,
            orthonormalize,
            shared_unit,
            np.inf if shared_unit else limit,
            lost[numeric],
        )
        if shared_unit:
            own = _relative(variances, [degrees for _, degrees, *_ in fitted])
            for i, values in zip(numeric, own, strict=True):
                spread[i] = values
        for i, part in zip(numeric, fitted, strict=True):
            parts[i] = part
    for i, n_levels in zip(categorical, columns.n_levels, strict=True):
        mass = level_weights(rows[:, i, 0], weight, max(n_levels, 1))
        parts[i] = _categorical_site(mass, orthonormalize, limit, lost[i], max_levels)
    for i, part in enumerate(parts):
        # Row 0 of a numeric matrix belongs to the raw constant, every row of a table to a level.
        one = np.zeros(len(part[0]))
        one[slice(None) if columns.categorical[i] else 0] = 1.0
        parts[i] = _with_missing(*part, one, lost[i], orthonormalize, limit)

    width = max(len(degrees) for _, degrees, *_ in parts)
    if dim is not None and dim < width:
        raise ValueError(f"dim={dim} is too small: a site of this table has {width} components.")
    width = width if dim is None else dim
    matrices, degrees, means, grams, vectors = zip(*parts, strict=True)
    r = embedding.dim + (embedding.constant is None)
    n_levels = max((len(matrices[i]) for i in categorical), default=0)
    basis = Basis(
        transform=_padded(
            [np.zeros((0, 0)) if columns.categorical[i] else m for i, m in enumerate(matrices)],
            (r, width),
        ),
        table=_padded([matrices[i] for i in categorical], (n_levels, width)),
        sites=categorical,
        missing=_padded(vectors, (width,)),
        bound=np.asarray(np.inf if shared_unit else limit),
        mask=_padded([np.ones(len(s)) for s in degrees], (width,)),
        degrees=_padded(degrees, (width,)),
        mean=_padded(means, (width,)),
        gram=_padded(grams, (width, width)),
        spread=1.0 + _padded([v - 1.0 for v in spread], (width,)),
        embedding=embedding,
    )
    return basis.astype(coords.dtype)


def _raw(embedding, z):
    """The embedding's components, with a constant before them where it has none of its own."""
    raw = embedding.evaluate(z)
    if embedding.constant is None:
        xp = namespace(z)
        raw = xp.concatenate([xp.ones_like(raw[..., :1]), raw], axis=-1)
    return raw


def _numeric_sites(coords, weight, low, embedding, orthonormalize, shared_unit, limit, lost):
    """The parts of `_categorical_site` for numeric sites, where the matrix is (r, d_i), and the
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
        raw = _raw(embedding, coords[:, block])
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
        phi = _raw(embedding, coords[:, block]) @ transform
        largest = np.maximum(largest, np.abs(phi).max(axis=1))
    sites = []
    for i, columns in enumerate(kept):
        parts = transform[i][:, columns], degrees[columns], largest[i][columns]
        sites.append(_bounded(*parts, limit, lost[i]))
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


def _relative(variances, degrees):
    """Variances of the components of all sites over the mean of those of the same degree."""
    every, kind = np.concatenate(variances), np.concatenate(degrees)
    result = np.ones(len(every))
    for degree in np.unique(kind[kind > 0]):
        own = kind == degree
        result[own] = every[own] / every[own].mean()
    return np.split(result, np.cumsum([len(v) for v in variances])[:-1])


def _categorical_site(mass, orthonormalize, limit, lost, max_levels):
    """Level vectors, degrees, mean and Gram matrix of one categorical site.

    mass (L,) -> (L, d_i), (d_i,), (d_i,), (d_i, d_i)
    """
    share = mass / mass.sum() if mass.sum() > 0 else np.ones(1)
    levels = np.eye(len(share))[:, :max_levels]
    if not orthonormalize:
        return levels, np.ones(levels.shape[1]), levels.T @ share, levels.T * share @ levels
    # The most frequent level first: what is dependent, or cut by max_levels, is the rarest.
    raw = np.concatenate([np.ones((len(share), 1)), levels], axis=1)
    transform, kept = _gram_schmidt((np.sqrt(share)[:, None] * raw)[None])
    table = raw @ transform[0][:, kept[0]]
    degrees = np.append(0.0, np.ones(table.shape[1] - 1))
    return _bounded(table, degrees, np.abs(table).max(axis=0), limit, lost)


def _gram_schmidt(factor):
    """T with (F T)^T (F T) = 1, upper triangular; columns that depend on earlier ones are 0.

    factor F (n, k, r) with F^T F the raw Gram matrix -> T (n, r, r), kept (n, r)
    """
    n, k, r = factor.shape
    q = np.zeros((n, k, r))
    transform = np.zeros((n, r, r))
    kept = np.zeros((n, r), dtype=bool)
    for j in range(r):
        v = factor[:, :, j].copy()
        t = np.zeros((n, r))
        t[:, j] = 1.0
        norm = np.linalg.norm(v, axis=1)
        for _ in range(2):  # twice is enough (Giraud, Langou and Rozloznik, 2005)
            overlap = np.einsum("nkj,nk->nj", q, v)
            v -= np.einsum("nkj,nj->nk", q, overlap)
            t -= np.einsum("nrj,nj->nr", transform, overlap)
        rest = np.linalg.norm(v, axis=1)
        kept[:, j] = rest > _DEPENDENT * norm
        inverse = np.where(kept[:, j], 1 / np.where(kept[:, j], rest, 1.0), 0.0)[:, None]
        q[:, :, j] = v * inverse
        transform[:, :, j] = t * inverse
    transform[:, 0, 0] = 1.0  # the constant: its norm is 1 but for rounding
    return transform, kept


def _bounded(matrix, degrees, largest, limit, lost):
    """Scale components to unit variance over all rows, or less where they would exceed `limit`.

    matrix (r, d), degrees (d,), largest (d,) -> matrix, degrees, mean (d,), gram (d, d)
    """
    factor = np.minimum(1 / np.sqrt(1 - lost), limit / largest)
    factor[0] = 1.0
    mean = np.zeros(len(degrees))
    mean[0] = 1.0
    return matrix * factor, degrees, mean, np.diag(factor**2)


def _with_missing(matrix, degrees, mean, gram, one, lost, orthonormalize, limit):
    """Add the vector of a missing value, and a component for it where a share `lost` is missing.

    matrix (r, d), degrees (d,), mean (d,), gram (d, d), one (r,) with one^T raw(x) = 1
    -> matrix, degrees, mean, gram, vector (d,)
    """
    if lost == 0:
        return matrix, degrees, mean, gram, mean
    there, gone = 0.0, 1.0
    if orthonormalize:
        # Mean 0 and variance 1 over all rows, unless that exceeds the limit.
        there, gone = -np.sqrt(lost / (1 - lost)), np.sqrt((1 - lost) / lost)
        factor = min(1.0, limit / max(gone, -there))
        there, gone = there * factor, gone * factor
    matrix = np.column_stack([matrix, there * one])
    vector = np.append(mean, gone)
    gram = np.block(
        [[gram, there * mean[:, None]], [there * mean[None], np.full((1, 1), there**2)]]
    )
    gram = (1 - lost) * gram + lost * vector[:, None] * vector
    mean = (1 - lost) * np.append(mean, there) + lost * vector
    return matrix, np.append(degrees, 1.0), mean, gram, vector


def _padded(arrays, shape):
    """Arrays in the upper left corners of zeros of one shape: (len(arrays), *shape)."""
    result = np.zeros((len(arrays), *shape))
    for target, array in zip(result, arrays, strict=True):
        target[tuple(map(slice, array.shape))] = array
    return result
