"""A table becomes vectors on the sites of a network, in an order along the chain.

Examples
--------
>>> import numpy as np
>>> from sktn.tables.sites import make_sites
>>> X = np.random.default_rng(0).normal(size=(100, 3))
>>> sites = make_sites(X, None, degree=2)
>>> sites.coords.shape
(100, 3, 1)
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from scipy.sparse.linalg import LinearOperator, eigsh

from sktn.embeddings import make_embedding
from sktn.tables.basis import Basis, embed, fit_basis
from sktn.tables.column_fit import fit_columns
from sktn.tables.columns import Columns, GroupedColumns
from sktn.tables.lazy import LazyCoordinates
from sktn.tables.statistics import correlation

# Rows that correlations are estimated from: their standard error is then 1.4 %.
_ORDER_ROWS = 5000
# Sites of which all eigenvectors of their graph are taken: a second of work.
_DENSE_ORDER = 1000

# Numbers of site vectors that are made at a time (16 MB in float32).
_EMBEDDED = 2**22

# Rows that columns and bases are learned from: a rank is then known to 0.16 %, and a level of a
# ten-thousandth of the rows is seen ten times. The coordinates of longer tables are made on demand.
LEARNED_ROWS = 100_000


@dataclass(frozen=True, eq=False)
class Sites:
    """A table as vectors on the sites of a chain, made by :func:`make_sites`.

    Attributes
    ----------
    columns : Columns or GroupedColumns
        From the columns of a table to coordinates.
    basis : Basis
        From coordinates to site vectors.
    coords : ndarray of shape (b, n, channels), or LazyCoordinates
        The coordinates of the rows, NaN where a value is missing.
    order : ndarray of shape (n,)
        The sites from one end of the chain to the other.
    """

    columns: Columns | GroupedColumns
    basis: Basis
    coords: np.ndarray
    order: np.ndarray

    @property
    def n_rows(self):
        return len(self.coords)

    @property
    def n_sites(self):
        return self.columns.n_sites

    @property
    def dim(self):
        """The physical dimension d."""
        return self.basis.dim

    @property
    def dtype(self):
        return self.basis.mask.dtype

    def transform(self, X):
        """Coordinates of the rows of a table: X (b, n_columns) -> (b, n, channels)

        Differences from the centres are taken in the precision of X, before they are rounded to
        that of the basis.
        """
        return self.columns.transform(X, self.dtype)

    def vectors(self, rows=slice(None)):
        """Site vectors of rows of this table, in the order of the columns: -> (b, n, d)"""
        return embed(self.basis, self.coords[rows])

    def take(self, rows):
        """The same sites with a part of the rows."""
        return replace(self, coords=self.coords[rows])

    def only(self, relevance):
        """The same rows without the columns that are ruled out, unless all are, in the order of the
        columns: relevance (n,)"""
        wanted = np.broadcast_to(np.asarray(relevance) > 0, self.n_sites)
        if wanted.all() or not wanted.any():
            return self
        columns = self.columns.only(wanted)
        if isinstance(self.coords, LazyCoordinates):
            coords = replace(self.coords, columns=columns)
        else:
            coords = self.coords[:, wanted]
        return Sites(columns, self.basis.only(wanted), coords, np.arange(columns.n_sites))

    def with_order(self, feature_order, rng, weight=None):
        """The same sites in an order along the chain, see :func:`chain_order`."""

        def first_components(rows):
            # The first one says where a row is in a column; there is none where d is 1.
            size = max(1, _EMBEDDED // (self.n_sites * self.dim))
            parts = [rows[start : start + size] for start in range(0, len(rows), size)]
            return np.concatenate([self.vectors(part)[:, :, 1:2].sum(-1) for part in parts])

        order = chain_order(
            feature_order,
            self.columns.kept,
            self.columns.n_columns,
            self.n_rows,
            first_components,
            rng,
            weight,
        )
        return replace(self, order=order)

    def astype(self, dtype):
        """The same sites in another precision."""
        return replace(self, basis=self.basis.astype(dtype), coords=self.coords.astype(dtype))


def learned_rows(X, weight):
    """The rows that columns and bases are learned from: all of a table, or as many of positive
    weight as are enough, the same ones whatever a model's seed."""
    if len(X) <= LEARNED_ROWS:
        return slice(None)
    rows = np.arange(len(X)) if weight is None else np.flatnonzero(np.asarray(weight) > 0)
    if len(rows) > LEARNED_ROWS:
        rows = np.sort(np.random.RandomState(0).choice(rows, LEARNED_ROWS, replace=False))
    return rows


def make_sites(
    X,
    weight,
    is_categorical=None,
    *,
    embedding="legendre",
    degree=2,
    scaling="quantile",
    missing="marginal",
    dtype=None,
):
    """Learn column preparation and local basis from a table.

    Parameters
    ----------
    X : ndarray of shape (b, n_columns), float
        NaN is a missing value. Categorical columns hold codes 0, 1, ... Of tables with more than
        100,000 rows, a random choice of so many is looked at.
    weight : ndarray of shape (b,), or None
        Rows of weight 0 are transformed, but nothing is learned from them.
    is_categorical : ndarray of shape (n_columns,), bool, default=None
    embedding : str, embedding or callable
        See :func:`~sktn.embeddings.make_embedding`.
    degree : int
    scaling, missing : str
        See :func:`~sktn.tables.column_fit.fit_columns`.
    dtype : dtype, default=None
        Precision of coordinates and basis, None: that of X. The columns are prepared in double.

    Returns
    -------
    sites : Sites
        In the order of the columns.
    """
    embedding = make_embedding("mixed" if scaling == "mixed" else embedding, degree)
    rows = learned_rows(X, weight)
    known, share = X[rows], None if weight is None else weight[rows]
    columns = fit_columns(
        known,
        sample_weight=share,
        scaling=scaling,
        categorical=is_categorical,
        domain=embedding.domain,
        missing=missing,
        group=getattr(embedding, "group", 1),
    )
    coords = columns.transform(known, dtype)
    basis = fit_basis(
        columns,
        coords,
        embedding,
        sample_weight=share,
        missing=missing,
        shared_unit=scaling == "common",
    )
    if len(known) < len(X):
        coords = LazyCoordinates(columns, X, coords.dtype)
    return Sites(columns, basis, coords, np.arange(columns.n_sites))


def chain_order(feature_order, kept, n_columns, n_rows, first_components, rng, sample_weight=None):
    """The order of the sites along the chain.

    `feature_order`: "given", "correlation" (spectral ordering: sort by the Fiedler vector of the
    graph whose edge weights are squared correlations, so that related columns are neighbours),
    "random", or a permutation of the table's columns.

    kept (n,) column of each site, first_components: indices of rows (k,) -> (k, n) numbers that
    say where each row is in each column -> (n,) integers
    """
    n = len(kept)
    if not isinstance(feature_order, str):
        order = np.asarray(feature_order)
        is_permutation = np.array_equal(np.sort(order, axis=None), np.arange(n_columns))
        if order.dtype.kind not in "iu" or order.ndim != 1 or not is_permutation:
            raise ValueError(
                f"feature_order must be a permutation of 0..{n_columns - 1}, the columns of X "
                "(or its groups, where the embedding reads several columns a site); "
                f"got {feature_order!r}."
            )
        position = np.empty(n_columns, dtype=int)
        position[order] = np.arange(n_columns)
        return np.argsort(position[kept])
    if feature_order == "random":
        return rng.permutation(n)
    if feature_order == "given" or n < 3:
        return np.arange(n)
    weight = np.ones(n_rows) if sample_weight is None else np.asarray(sample_weight)
    rows = np.flatnonzero(weight > 0)
    if len(rows) > _ORDER_ROWS:
        rows = rng.choice(rows, _ORDER_ROWS, False)
    # Correlations that chance explains do not count; where there are no others, the columns stay as
    # they were given, and a little of everything connects the rest.
    squares = correlation(first_components(rows), weight[rows])
    np.square(squares, out=squares)
    squares[squares <= 10 / weight[rows].sum()] = 0
    squares[np.arange(n - 1), np.arange(1, n)] += 1e-3
    squares[np.arange(1, n), np.arange(n - 1)] += 1e-3
    squares += 1e-6
    order = np.argsort(_second_eigenvector(squares), kind="stable")
    # A Fiedler vector has no sign: as given rather than reversed.
    return (
        order if np.sum(order * np.arange(n)) >= np.sum(order[::-1] * np.arange(n)) else order[::-1]
    )


def _second_eigenvector(weight):
    """That of the Laplacian of a graph, by which neighbours are near each other; of many nodes that
    of the normalised one, which takes a few products instead of all eigenvectors.

    weight (n, n) -> (n,)
    """
    n, total = len(weight), weight.sum(0)
    if n <= _DENSE_ORDER:
        return np.linalg.eigh(np.diag(total) - weight)[1][:, 1]
    roots = np.sqrt(total)

    def normalised(v):
        return (weight @ (v.ravel() / roots)) / roots

    # Begun at the order that was given; neighbours at a hundredth of the spectrum are told apart.
    operator = LinearOperator((n, n), matvec=normalised, dtype=np.float64)
    start = roots * (1 + np.linspace(-1, 1, n))
    vectors = eigsh(operator, k=2, which="LA", v0=start, tol=1e-2)[1]
    return vectors[:, 0] / roots
