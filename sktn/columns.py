"""From the columns of a table to the vectors on the sites of a network.

Two fitted records, both plain NumPy:

- :class:`Columns` maps rows of a table to coordinates in the domain of an embedding: scaling,
  clipping, ranks, category codes; columns without information get no site.
- :class:`Basis` maps coordinates to site vectors whose first component is the constant 1 and whose
  other components are orthonormal under the training distribution of the column. Thus a network
  starts as the constant function, and the squared coefficients of a fitted one are variances.

Everything is weighted, and an integer weight is the same as repeated rows.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import jax
import jax.numpy as jnp
import numpy as np

from sktn.embeddings import _namespace

# A component is dropped when what the earlier ones leave of it is smaller than this share of its
# norm: in float32 the rest would be rounding error, magnified by the normalisation.
_DEPENDENT = 1e-4

# Raw components are evaluated in blocks of about this many float64 numbers (32 MB).
_BLOCK = 2**22


@dataclass(frozen=True, eq=False)
class Columns:
    """Fitted column preparation, made by :func:`fit_columns`.

    Attributes
    ----------
    kept : ndarray of shape (n,)
        The column of the table that each site reads.
    categorical : ndarray of shape (n,), bool
        Sites of categorical columns; their coordinates are the ranks of the levels by frequency.
    center, scale : ndarray of shape (n,)
        Numeric sites: (x - center) / scale lies in [-1, 1] after clipping.
    low, high : ndarray of shape (n, channels)
        Range of the training coordinates. What lies outside is moved to its border: a polynomial
        says nothing about where it has seen no data.
    knots, ranks : ndarray of shape (n, n_quantiles)
        The quantile map, padded by its last knot. Without columns when there is none.
    level_ranks : ndarray of shape (n_categorical, n_codes)
        Category code -> rank of the level by frequency, -1 for a level without training rows.
    n_levels : ndarray of shape (n_categorical,)
    scaling : str
    domain : tuple of two floats
    n_columns : int
        Number of columns of the table, dropped ones included.
    """

    kept: np.ndarray
    categorical: np.ndarray
    center: np.ndarray
    scale: np.ndarray
    low: np.ndarray
    high: np.ndarray
    knots: np.ndarray
    ranks: np.ndarray
    level_ranks: np.ndarray
    n_levels: np.ndarray
    scaling: str
    domain: tuple
    n_columns: int

    @property
    def n_sites(self):
        return len(self.kept)

    @property
    def channels(self):
        return 2 if self.scaling == "mixed" else 1

    def transform(self, X):
        """Coordinates of the rows of a table.

        X (b, n_columns) -> (b, n, channels) in the dtype of X, inside the domain; NaN stands for a
        missing value or an unknown category, in every channel.
        """
        coords = _coordinates(self, X)
        # NumPy's clip keeps NaN.
        return np.clip(coords, self.low.astype(coords.dtype), self.high.astype(coords.dtype))


def fit_columns(
    X,
    *,
    sample_weight=None,
    scaling="standard",
    clip=3.0,
    categorical=None,
    n_quantiles=1000,
    domain=(-1.0, 1.0),
    missing="marginal",
):
    """Learn how to map the columns of a table to coordinates.

    Parameters
    ----------
    X : ndarray of shape (b, n_columns), float
        NaN is a missing value. Categorical columns hold codes 0, 1, ...
    sample_weight : ndarray of shape (b,), default=None
        Rows of weight 0 have no influence at all.
    scaling : {"standard", "quantile", "minmax", "mixed", "none"}, default="standard"
        "standard": mean and standard deviation, clipped at `clip` of the latter. "quantile": the
        weighted empirical distribution function, with mid-ranks for ties. "minmax": the range.
        "mixed": "standard" and "quantile" in two channels. "none": X lives in the domain already.
    clip : float, default=3.0
    categorical : ndarray of shape (n_columns,), bool, default=None
    n_quantiles : int, default=1000
        Largest number of knots of the quantile map.
    domain : tuple of two floats, default=(-1, 1)
        The embedding's.
    missing : {"marginal", "indicator"}, default="marginal"
        With "indicator" a column whose only information is where it is missing keeps its site.

    Returns
    -------
    columns : Columns
        Columns that are constant or all missing have no site. If that leaves none, the first
        column keeps its site, since a network needs one.
    """
    X, weight = _positive_rows(X, sample_weight)
    n_columns = X.shape[1]
    is_categorical = (
        np.zeros(n_columns, dtype=bool)
        if categorical is None
        else np.asarray(categorical, dtype=bool)
    )
    present = ~np.isnan(X)
    with np.errstate(invalid="ignore"):
        top = np.max(X, axis=0, initial=-np.inf, where=present)
        bottom = np.min(X, axis=0, initial=np.inf, where=present)
    informative = top > bottom
    if missing == "indicator":
        informative |= present.any(axis=0) & ~present.all(axis=0)
    kept = np.flatnonzero(informative) if informative.any() else np.array([0])
    is_categorical = is_categorical[kept]
    X, present = X[:, kept], present[:, kept]
    numeric = ~is_categorical

    center, scale = np.zeros(len(kept)), np.ones(len(kept))
    values = np.where(present & numeric, X, 0.0).astype(np.float64)
    if scaling in ("standard", "mixed"):
        center, scale = _mean_and_deviation(values, present & numeric, weight)
        scale = scale * clip
    elif scaling == "minmax":
        # Halved first: the sum of two large numbers may not be finite.
        top, bottom = top[kept] / 2.0, bottom[kept] / 2.0
        usable = numeric & (top > bottom)
        center = np.where(usable, top + bottom, 0.0)
        scale = np.where(usable, top - bottom, 1.0)
    knots, ranks = np.zeros((2, len(kept), 0))
    if scaling in ("quantile", "mixed"):
        knots, ranks = _fit_ranks(X, present & numeric[None, :], weight, n_quantiles)

    level_ranks, n_levels = _fit_levels(X[:, is_categorical], present[:, is_categorical], weight)
    channels = 2 if scaling == "mixed" else 1
    columns = Columns(
        kept=kept,
        categorical=is_categorical,
        center=center,
        scale=scale,
        low=np.full((len(kept), channels), domain[0]),
        high=np.full((len(kept), channels), domain[1]),
        knots=knots,
        ranks=ranks,
        level_ranks=level_ranks,
        n_levels=n_levels,
        scaling=scaling,
        domain=(float(domain[0]), float(domain[1])),
        n_columns=n_columns,
    )
    columns.high[is_categorical] = np.inf
    full = np.full((len(X), n_columns), np.nan, dtype=X.dtype)
    full[:, kept] = X
    coords = columns.transform(full).astype(np.float64)
    seen = ~np.isnan(coords)
    low = np.min(coords, axis=0, initial=np.inf, where=seen)
    high = np.max(coords, axis=0, initial=-np.inf, where=seen)
    middle = (domain[0] + domain[1]) / 2
    return replace(
        columns,
        low=np.where(seen.any(axis=0), low, middle),
        high=np.where(seen.any(axis=0), high, middle),
    )


def _positive_rows(X, sample_weight):
    """The rows of positive weight, and their weights."""
    X = np.asarray(X)
    if sample_weight is None:
        return X, np.ones(len(X))
    weight = np.asarray(sample_weight, dtype=np.float64)
    rows = weight > 0
    if not rows.any():
        raise ValueError("All sample weights are zero: at least one row needs a positive weight.")
    return X[rows], weight[rows]


def _mean_and_deviation(values, present, weight):
    """Weighted mean and standard deviation of the present entries of every column.

    values (b, n) with 0 where not present, present (b, n), weight (b,) -> (n,), (n,)
    """
    # In units of the largest value, so that squares stay finite.
    unit = np.max(np.abs(values), axis=0, initial=0.0)
    unit = np.where(unit > 0, unit, 1.0)
    scaled = values / unit
    share = present * weight[:, None]
    total = np.maximum(share.sum(axis=0), np.finfo(np.float64).tiny)
    mean = np.einsum("bn,bn->n", share, scaled) / total
    variance = np.einsum("bn,bn->n", share, (scaled - mean) ** 2) / total
    deviation = np.where(variance > 0, np.sqrt(variance), 1.0)
    return mean * unit, deviation * unit


def _fit_ranks(X, present, weight, n_quantiles):
    """Knots of u(x) = 2 F(x) - 1, F the weighted distribution function with mid-ranks for ties.

    X (b, n), present (b, n), weight (b,) -> (n, K), (n, K) with K <= n_quantiles
    """
    knots, ranks = [], []
    for column, rows in zip(X.T, present.T, strict=True):
        values, inverse = np.unique(column[rows], return_inverse=True)
        if len(values) == 0:
            values, u = np.zeros(1), np.zeros(1)
        else:
            mass = np.bincount(inverse, weights=weight[rows], minlength=len(values))
            cumulated = np.cumsum(mass)
            u = (2 * cumulated - mass) / cumulated[-1] - 1
            if len(values) > n_quantiles:
                # Knots at the ends and at equal steps of probability between them.
                chosen = np.searchsorted(u, np.linspace(u[0], u[-1], n_quantiles))
                chosen = np.unique(np.append(chosen, [0, len(u) - 1]).clip(max=len(u) - 1))
                values, u = values[chosen], u[chosen]
        knots.append(values.astype(np.float64))
        ranks.append(u)
    width = max(map(len, knots))
    return tuple(
        np.stack([np.pad(row, (0, width - len(row)), mode="edge") for row in rows])
        for rows in (knots, ranks)
    )


def _fit_levels(codes, present, weight):
    """Rank the levels of every categorical column by their weight, the most frequent first.

    codes (b, m), present (b, m), weight (b,) -> (m, n_codes) of ranks or -1, (m,)
    """
    m = codes.shape[1]
    n_codes = int(np.max(codes, initial=-1, where=present)) + 1
    level_ranks = np.full((m, n_codes), -1, dtype=np.int64)
    n_levels = np.zeros(m, dtype=np.int64)
    for j in range(m):
        column = codes[present[:, j], j].astype(np.int64)
        mass = np.bincount(column, weights=weight[present[:, j]], minlength=n_codes)
        order = np.argsort(-mass, kind="stable")[: np.count_nonzero(mass)]
        level_ranks[j, order] = np.arange(len(order))
        n_levels[j] = len(order)
    return level_ranks, n_levels


def _coordinates(columns, X):
    """Coordinates before the clipping to the training range; see Columns.transform."""
    X = np.asarray(X)
    dtype = X.dtype if X.dtype in (np.float32, np.float64) else np.float64
    X = X[:, columns.kept]
    low, high = columns.domain
    coords = np.empty((*X.shape, columns.channels), dtype=dtype)
    channel = 0
    if columns.scaling == "none":
        coords[..., 0] = np.clip(X, low, high)
    if columns.scaling in ("standard", "minmax", "mixed"):
        # A float64 value far outside the training range may overflow here: it is clipped.
        with np.errstate(over="ignore"):
            unit = (X.astype(np.float64) - columns.center) / columns.scale
        coords[..., 0] = low + (np.clip(unit, -1, 1) + 1) * ((high - low) / 2)
        channel = 1
    if columns.scaling in ("quantile", "mixed"):
        for i in np.flatnonzero(~columns.categorical):
            u = np.interp(X[:, i], columns.knots[i], columns.ranks[i])
            coords[:, i, channel if columns.scaling == "mixed" else 0] = low + (u + 1) * (
                (high - low) / 2
            )
    for j, i in enumerate(np.flatnonzero(columns.categorical)):
        coords[:, i, :] = _level_coordinates(X[:, i], columns.level_ranks[j])[:, None]
    return coords


def _level_coordinates(codes, level_ranks):
    """Rank of the level of every code as a float, NaN where missing or unknown."""
    known = np.isfinite(codes)
    index = np.where(known, codes, 0).astype(np.int64)
    known &= (index >= 0) & (index < len(level_ranks))
    # One more entry, so that an empty table can be indexed too.
    ranks = np.append(level_ranks, -1)[np.where(known, index, -1)]
    return np.where(ranks >= 0, ranks.astype(np.float64), np.nan)


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
    embedding: object

    @property
    def dim(self):
        return self.mask.shape[-1]

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
        "transform", "table", "sites", "missing", "bound", "mask", "degrees", "mean", "gram",
    ],
    meta_fields=["embedding"],
)  # fmt: skip


def embed(basis, coords):
    """phi_i(x_i) = T_i^T raw(x_i), or the row of a table on a categorical site.

    basis Basis, coords (b, n, channels) with NaN for missing -> (b, n, d)
    """
    transform = jnp.asarray(basis.transform)
    absent = jnp.isnan(coords).any(axis=-1, keepdims=True)
    low, high = basis.embedding.domain
    raw = _raw(basis.embedding, jnp.clip(jnp.where(absent, low, coords), low, high))
    # A sum over the few raw components: one fused loop, where a batched product of tiny matrices
    # would transpose and dispatch.
    phi = sum(raw[..., r, None] * transform[:, r] for r in range(transform.shape[1]))
    if basis.sites.shape[0]:
        table = jnp.asarray(basis.table)
        level = jnp.nan_to_num(coords[:, basis.sites, 0]).astype(int)
        phi = phi.at[:, basis.sites].set(table[jnp.arange(table.shape[0]), level])
    phi = jnp.clip(phi, -basis.bound, basis.bound)
    return jnp.where(absent, jnp.asarray(basis.missing), phi)


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
    rows, weight = _positive_rows(coords, sample_weight)
    absent = np.isnan(rows).any(axis=-1)
    lost = np.zeros(columns.n_sites)
    if missing == "indicator":
        lost = weight @ absent / weight.sum()
        lost[absent.all(axis=0)] = 0.0  # nothing to tell apart
    limit = max_value if orthonormalize else np.inf

    numeric = np.flatnonzero(~columns.categorical)
    categorical = np.flatnonzero(columns.categorical)
    parts = [None] * columns.n_sites
    if len(numeric):
        fitted = _numeric_sites(
            rows[:, numeric], weight, embedding, orthonormalize, limit, lost[numeric]
        )
        for i, part in zip(numeric, fitted, strict=True):
            parts[i] = part
    for i, n_levels in zip(categorical, columns.n_levels, strict=True):
        known = ~absent[:, i]
        mass = np.bincount(
            rows[known, i, 0].astype(np.int64), weights=weight[known], minlength=max(n_levels, 1)
        )
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
        bound=np.asarray(limit),
        mask=_padded([np.ones(len(s)) for s in degrees], (width,)),
        degrees=_padded(degrees, (width,)),
        mean=_padded(means, (width,)),
        gram=_padded(grams, (width, width)),
        embedding=embedding,
    )
    return jax.tree.map(
        lambda leaf: leaf.astype(coords.dtype) if leaf.dtype.kind == "f" else leaf, basis
    )


def _raw(embedding, z):
    """The embedding's components, with a constant before them where it has none of its own."""
    raw = embedding.evaluate(z)
    if embedding.constant is None:
        xp = _namespace(z)
        raw = xp.concatenate([xp.ones_like(raw[..., :1]), raw], axis=-1)
    return raw


def _numeric_sites(coords, weight, embedding, orthonormalize, limit, lost):
    """The parts of `_categorical_site` for numeric sites, where the matrix is (r, d_i)."""
    low, high = embedding.domain
    absent = np.isnan(coords).any(axis=-1)
    coords = np.where(absent[..., None], (low + high) / 2, coords).astype(np.float64)
    # A site without any data counts as one that is constant.
    absent &= ~absent.all(axis=0)
    share = np.where(absent, 0.0, weight[:, None])
    share = share / share.sum(axis=0)
    size = max(1, _BLOCK // (coords.shape[1] * (embedding.dim + 1)))
    blocks = [slice(start, start + size) for start in range(0, len(coords), size)]

    # The triangular factor of a QR decomposition keeps the digits that a Gram matrix squares away.
    factor = None
    for block in blocks:
        raw = np.sqrt(share[block, :, None]) * _raw(embedding, coords[block])
        stack = raw.transpose(1, 0, 2)
        if factor is not None:
            stack = np.concatenate([factor, stack], axis=1)
        factor = np.linalg.qr(stack, mode="r")
    gram = np.einsum("nkr,nks->nrs", factor, factor)
    degrees = np.array(embedding.degrees)
    if embedding.constant is None:
        degrees = np.append(0.0, degrees)
    r = len(degrees)
    if not orthonormalize:
        own = slice(1 if embedding.constant is None else 0, None)
        selection = np.eye(r)[:, own]
        return [(selection, degrees[own], g[0, own], g[own, own]) for g in gram]

    transform, kept = _gram_schmidt(factor)
    largest = np.zeros(kept.shape)
    for block in blocks:
        phi = np.einsum("bnr,nrs->bns", _raw(embedding, coords[block]), transform)
        largest = np.maximum(largest, np.max(np.abs(phi) * (share[block] > 0)[..., None], axis=0))
    sites = []
    for i in range(len(kept)):
        parts = transform[i][:, kept[i]], degrees[kept[i]], largest[i][kept[i]]
        sites.append(_bounded(*parts, limit, lost[i]))
    return sites


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
