"""A table becomes vectors on the sites of a network, in an order along the chain."""

import jax
import numpy as np

from sktn.embeddings import make_embedding
from sktn.tables.basis import embed, fit_basis
from sktn.tables.columns import fit_columns
from sktn.tables.statistics import correlation


def fit_sites(X, sample_weight, is_categorical, *, embedding, degree, scaling, missing):
    """Column preparation and local basis of a table.

    -> Columns, Basis, coords (b, n, k)
    """
    embedding = make_embedding("mixed" if scaling == "mixed" else embedding, degree)
    columns = fit_columns(
        X,
        sample_weight=sample_weight,
        scaling=scaling,
        categorical=is_categorical,
        domain=embedding.domain,
        missing=missing,
        group=getattr(embedding, "group", 1),
    )
    coords = columns.transform(X)
    basis = fit_basis(
        columns,
        coords,
        embedding,
        sample_weight=sample_weight,
        missing=missing,
        shared_unit=scaling == "common",
    )
    return columns, basis, coords


def order_sites(feature_order, columns, basis, coords, rng, sample_weight=None):
    """The order of the sites along the chain, see `chain_order`: -> (n,) integers"""

    def first_components(rows):
        return np.asarray(embed(jax.tree.map(np.asarray, basis), coords[rows]))[:, :, 1:2].mean(-1)

    return chain_order(
        feature_order,
        columns.kept,
        columns.n_columns,
        len(coords),
        first_components,
        rng,
        sample_weight,
    )


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
        if order.shape != (n_columns,) or not np.array_equal(np.sort(order), np.arange(n_columns)):
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
    if len(rows) > 5000:
        rows = rng.choice(rows, 5000, False)
    # Correlations that chance explains do not count; where there are no others, the columns stay as
    # they were given, and a little of everything connects the rest.
    squares = correlation(first_components(rows), weight[rows]) ** 2
    chance = 10 / weight[rows].sum()
    neighbours = 1e-3 * (np.abs(np.subtract.outer(np.arange(n), np.arange(n))) == 1)
    weight = np.where(squares > chance, squares, 0) + neighbours + 1e-6
    laplacian = np.diag(weight.sum(0)) - weight
    order = np.argsort(np.linalg.eigh(laplacian)[1][:, 1], kind="stable")
    # A Fiedler vector has no sign: as given rather than reversed.
    return (
        order if np.sum(order * np.arange(n)) >= np.sum(order[::-1] * np.arange(n)) else order[::-1]
    )
