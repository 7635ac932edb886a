"""The local basis: from coordinates to the vectors on the sites of a network.

Component 0 of every site is the constant 1, and the others are orthonormal to it and to each other
under the training distribution of the column. Thus a network can start as the constant function
with every gradient alive, and the squared coefficients of a fitted one are variances. Components
that depend on earlier ones in the training data (the square of a binary column) are masked.

Examples
--------
>>> import numpy as np
>>> from sktn.embeddings import Legendre
>>> from sktn.tables.basis import embed, fit_basis
>>> from sktn.tables.column_fit import fit_columns
>>> X = np.random.default_rng(0).normal(size=(100, 3))
>>> columns = fit_columns(X)
>>> phi = embed(fit_basis(columns, columns.transform(X), Legendre(2)), columns.transform(X))
>>> phi.shape
(100, 3, 3)
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import jax
import numpy as np

from sktn.backend import namespace
from sktn.tables.column_fit import indicated
from sktn.tables.levels import level_components
from sktn.tables.orthonormal import bounded, numeric_sites, raw_components, relative_variances
from sktn.tables.statistics import level_weights, positive_rows, unit_weights


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
        Prior variance of a component. On categorical sites that of the levels' effects
        (:mod:`sktn.tables.levels`); where columns share a unit the variance that it had before it
        was normalised, relative to the mean of those of its degree; elsewhere 1.
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

    def only(self, wanted):
        """That of some sites: wanted (n,) bool"""
        names = ("transform", "missing", "mask", "degrees", "mean", "gram", "spread")
        return replace(
            self,
            **{name: getattr(self, name)[wanted] for name in names},
            table=self.table[wanted[self.sites]],
            sites=(np.cumsum(wanted) - 1)[self.sites[wanted[self.sites]]],
        )

    def astype(self, dtype):
        """The same basis in another precision."""
        return jax.tree.map(
            lambda leaf: leaf.astype(dtype) if leaf.dtype.kind == "f" else leaf, self
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
    raw = raw_components(basis.embedding, xp.clip(xp.where(absent, low, coords), low, high))
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
    # Its own memory: of a single row or column the transpose would be the caller's.
    z = coords.transpose(1, 0, 2).copy()
    absent = np.isnan(z).any(axis=-1)
    some_absent = absent.any()
    low, high = basis.embedding.domain
    if some_absent:
        z[absent] = low
    raw = raw_components(basis.embedding, np.clip(z, low, high, out=z))
    phi = basis.transform.mT @ np.moveaxis(raw, -1, 1)
    if len(basis.sites):
        level = np.nan_to_num(coords[:, basis.sites, 0]).astype(int)
        vectors = basis.table[np.arange(len(basis.table)), level]
        phi[basis.sites] = vectors.transpose(1, 2, 0)
    if np.isfinite(basis.bound):
        np.clip(phi, -basis.bound, basis.bound, out=phi)
    return np.where(absent[:, None], basis.missing[:, :, None], phi) if some_absent else phi


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
):
    """Learn the local basis of every site.

    Parameters
    ----------
    columns : Columns
    coords : ndarray of shape (b, n, channels)
        Training coordinates, ``columns.transform(X)``.
    embedding : embedding
    sample_weight : ndarray of shape (b,), default=None
    missing : {"marginal", "indicator"} or ndarray of shape (n_columns,), default="marginal"
        "marginal": a missing value becomes the mean vector, so that the network averages over the
        column. "indicator": sites with missing training values get one more component that says
        so. An array of bool says which columns are to have it.
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
    says = indicated(missing, columns.n_columns)[columns.kept]
    # Nothing is to be told apart where all are missing, or all of the weight but for rounding.
    lost = weight @ absent / weight.sum()
    lost = np.where(says & ~absent.all(axis=0) & (lost < 1), lost, 0.0)
    limit = max_value if orthonormalize else np.inf

    numeric = np.flatnonzero(~columns.categorical)
    categorical = np.flatnonzero(columns.categorical)
    parts = [None] * columns.n_sites
    spread = [np.ones(0)] * columns.n_sites
    if len(numeric):
        fitted, variances = numeric_sites(
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
            own = relative_variances(variances, [degrees for _, degrees, *_ in fitted])
            for i, values in zip(numeric, own, strict=True):
                spread[i] = values
        for i, part in zip(numeric, fitted, strict=True):
            parts[i] = part
    for i in numeric:
        parts[i] = _with_missing(*parts[i], lost[i], orthonormalize, limit)
    for i, n_levels in zip(categorical, columns.n_levels, strict=True):
        mass = level_weights(rows[:, i, 0], weight, max(n_levels, 1))
        if orthonormalize:
            parts[i], spread[i] = _level_site(mass, limit, lost[i])
        else:
            parts[i] = _one_hot_site(mass, lost[i])

    width = max(len(degrees) for _, degrees, *_ in parts)
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


def _level_site(mass, limit, lost):
    """Level vectors, degrees, mean, Gram matrix and vector of a missing value of a categorical
    site, and the prior variances of its components.

    mass (L,) -> ((L, d_i), (d_i,), (d_i,), (d_i, d_i), (d_i,)), (d_i,)
    """
    table, variances = level_components(mass)
    degrees = np.append(0.0, np.ones(len(variances) - 1))
    part = bounded(table, degrees, np.abs(table).max(axis=0), limit, lost)
    return _with_missing(*part, lost, True, limit, np.ones(len(table))), variances


def _one_hot_site(mass, lost):
    """The parts of `_level_site` for unit vectors of the levels."""
    share = mass / mass.sum() if mass.sum() > 0 else np.ones(1)
    levels = np.eye(len(share))
    mean, gram = levels.T @ share, levels.T * share @ levels
    one = np.ones(len(levels))
    degrees = np.ones(levels.shape[1])
    return _with_missing(levels, degrees, mean, gram, lost, False, np.inf, one)


def _with_missing(matrix, degrees, mean, gram, lost, orthonormalize, limit, one=None):
    """Add the vector of a missing value, and a component for it where a share `lost` is missing.

    matrix (r, d), degrees (d,), mean (d,), gram (d, d), one (r,) with one^T raw(x) = 1: by default
    the raw constant comes first -> matrix, degrees, mean, gram, vector (d,)
    """
    one = np.eye(1, len(matrix))[0] if one is None else one
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
