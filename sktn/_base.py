"""What the estimators for tables share: reading a table, the order of its sites, prediction."""

import jax
import jax.numpy as jnp
import numpy as np
from sklearn.utils import check_array, check_consistent_length, column_or_1d
from sklearn.utils.validation import validate_data

from sktn._categorical import check_categorical, encode_fit, encode_transform
from sktn.basis import embed, fit_basis
from sktn.columns import fit_columns
from sktn.embeddings import make_embedding
from sktn.networks import mps

# Floats that one block of rows may take in a forward pass (128 MB in float32).
_BLOCK_SIZE = 2**25


def read_table(estimator, X, y="no target", *, reset, dtype=None, regression=False):
    """Validate X (and y), encode its categorical columns as numbers; missing values become NaN.

    Sets `n_features_in_`, `feature_names_in_` and, when `reset`, `is_categorical_` and
    `encoder_` (None without categorical columns).

    Returns
    -------
    X : ndarray of shape (n_samples, n_features), float32 or float64
    y : ndarray of shape (n_samples,), only if a target was given; for `regression` floats, and
        (n_samples, n_outputs) too
    """
    with_target = not (isinstance(y, str) and y == "no target")
    names = getattr(X, "columns", None) if reset else None
    if reset:
        categorical = estimator.categorical_features
        frame_like = names is not None or categorical is not None
        mask = None
        if frame_like and getattr(X, "ndim", 2) == 2:
            X_2d = X if hasattr(X, "shape") else check_array(X, dtype=None, ensure_all_finite=False)
            mask = check_categorical(X_2d, categorical)
    else:
        mask = estimator.is_categorical_
    arguments = {"y": y} if with_target else {}
    if with_target and regression:
        arguments.update(multi_output=True, y_numeric=True)
    if mask is None:
        out = validate_data(
            estimator, X, **arguments, reset=reset, dtype=[np.float64, np.float32],
            ensure_all_finite="allow-nan",
        )  # fmt: skip
        X, y = out if with_target else (out, None)
        encoder = None
    else:
        validate_data(estimator, X, **arguments, reset=reset, skip_check_array=True)
        if with_target:
            if regression:
                y = check_array(y, ensure_2d=False, dtype="numeric", input_name="y")
            else:
                y = column_or_1d(y, warn=True)
            check_consistent_length(X, y)
        encoder = encode_fit(X, mask) if reset else estimator.encoder_
        X = encode_transform(X, mask, encoder)
    if reset:
        estimator.is_categorical_, estimator.encoder_ = mask, encoder
    if dtype is not None:
        X = X.astype(dtype, copy=False)
    if with_target and regression:
        y = y.astype(X.dtype, copy=False)
    return (X, y) if with_target else X


def fit_sites(X, sample_weight, is_categorical, *, embedding, degree, scaling, missing):
    """Column preparation and local basis of a table.

    -> Columns, Basis, coords (b, n, k)
    """
    embedding = make_embedding("mixed" if scaling == "mixed" else embedding, degree)
    columns = fit_columns(
        X, sample_weight=sample_weight, scaling=scaling, categorical=is_categorical,
        domain=embedding.domain, missing=missing, group=getattr(embedding, "group", 1),
    )  # fmt: skip
    coords = columns.transform(X)
    basis = fit_basis(
        columns, coords, embedding, sample_weight=sample_weight, missing=missing,
        shared_unit=scaling == "common",
    )  # fmt: skip
    return columns, basis, coords


def order_sites(feature_order, columns, basis, coords, rng, sample_weight=None):
    """The order of the sites along the chain, see `chain_order`: -> (n,) integers"""

    def first_components(rows):
        return np.asarray(embed(jax.tree.map(np.asarray, basis), coords[rows]))[:, :, 1:2].mean(-1)

    return chain_order(
        feature_order, columns.kept, columns.n_columns, len(coords), first_components, rng,
        sample_weight,
    )  # fmt: skip


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
    total = weight[rows].sum()
    first, share = first_components(rows), weight[rows] / total
    first = (first - share @ first) * np.sqrt(share)[:, None]
    norm = np.sqrt((first**2).sum(0))
    correlation = (first.T @ first) / np.maximum(np.outer(norm, norm), 1e-12)
    # Correlations that chance explains do not count; where there are no others, the columns stay as
    # they were given, and a little of everything connects the rest.
    squares = correlation**2
    chance = 10 / total
    neighbours = 1e-3 * (np.abs(np.subtract.outer(np.arange(n), np.arange(n))) == 1)
    weight = np.where(squares > chance, squares, 0) + neighbours + 1e-6
    laplacian = np.diag(weight.sum(0)) - weight
    order = np.argsort(np.linalg.eigh(laplacian)[1][:, 1], kind="stable")
    # A Fiedler vector has no sign: as given rather than reversed.
    return (
        order if np.sum(order * np.arange(n)) >= np.sum(order[::-1] * np.arange(n)) else order[::-1]
    )


def distinct_rows(X, weight):
    """Rows of positive weight without repetitions, and the sums of their weights.

    A row of weight 2 is thus the same as two rows, whatever is drawn at random from them.
    X (N, n_columns), weight (N,) -> (b, n_columns), (b,)
    """
    X, weight = X[weight > 0], weight[weight > 0]
    # Missing values would be different from each other; infinite ones do not get here.
    rows, index = np.unique(np.where(np.isnan(X), np.inf, X), axis=0, return_inverse=True)
    rows[np.isinf(rows)] = np.nan
    return rows, np.bincount(index.ravel(), weights=weight, minlength=len(rows))


@jax.jit
def _forward(basis, network, coords):
    phi = mps.fold_inputs(embed(basis, coords), network["index"])
    out, log_scale = mps.contract_arms(network["arms"], network["readout"], phi)
    return out * jnp.exp(log_scale)[:, None]


@jax.jit
def _bond_vectors(basis, network, coords):
    phi = mps.fold_inputs(embed(basis, coords), network["index"])
    (left, right), log_scale = mps.environments(network["arms"], phi)
    # One scale for both: only the product of a left and a right vector has a meaning.
    return jnp.concatenate([left, right], axis=1) * jnp.exp(log_scale.sum(0) / 2)[:, None]


def by_blocks(function, basis, network, coords):
    """Apply a compiled function to rows in blocks of bounded memory, of few different sizes.

    coords (N, n, k) -> (N, m), NumPy
    """
    _, n, _ = coords.shape
    D, d = network["arms"].shape[2], network["arms"].shape[3]
    largest = max(1, _BLOCK_SIZE // (n * d * 4 + 4 * D * d))
    block = 1 << min(int(largest).bit_length() - 1, max(6, (len(coords) - 1).bit_length()))
    with jax.enable_x64(coords.dtype == np.float64):
        basis, network = jax.tree.map(jnp.asarray, (basis, network))
        out = []
        for start in range(0, len(coords), block):
            rows = coords[start : start + block]
            padded = np.full((block, *rows.shape[1:]), np.nan, rows.dtype)
            padded[: len(rows)] = rows
            out.append(np.asarray(function(basis, network, padded))[: len(rows)])
    return np.concatenate(out)


def scores(basis, network, coords):
    """f_c(x) of one network: coords (N, n, k) -> (N, c)"""
    return by_blocks(_forward, basis, network, coords)


def bond_vectors(basis, network, coords):
    """The learned representation: left and right bond vectors at the output, (N, 2 D)"""
    return by_blocks(_bond_vectors, basis, network, coords)


def bond_dims(network, n):
    """Bond dimensions along the chain: n + 2 numbers, the readout a site of its own.

    Directions that no row can reach are not counted.
    """
    arms = network["arms"]
    used = [np.abs(arms).max(axis=(2, 3)) > 0]  # (h, 2, D) inner bonds
    index = network["index"]
    p = int((index[:, 0] < n).sum())
    h = len(index)
    left = [int(k) for k in used[0][h - p :, 0].sum(-1)]
    right = [int(k) for k in used[0][h - (n - p) :, 1].sum(-1)][::-1]
    return np.array([1, *left, *right, 1])


def chain_cores(network, n):
    """The cores in order along the chain: n arrays (D_left, d, D_right), trimmed to their bonds."""
    index = network["index"]
    p = int((index[:, 0] < n).sum())
    with jax.enable_x64(network["arms"].dtype == np.float64):
        cores = np.asarray(mps.unfold(jnp.asarray(network["arms"]), p, n))
    # The readout stands between bonds p and p + 1 of the list of n + 2.
    dims = bond_dims(network, n)
    left = [*dims[:p], *dims[p + 1 : n + 1]]
    right = [*dims[1 : p + 1], *dims[p + 2 :]]
    return [core[:l, :, :r].copy() for core, l, r in zip(cores, left, right, strict=True)]
