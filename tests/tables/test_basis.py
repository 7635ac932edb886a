"""The local basis: orthonormal, bounded, masked, and the same in NumPy and inside jit."""

import pickle

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from sktn.embeddings import (
    EMBEDDINGS,
    Concatenated,
    Legendre,
    LinearComplement,
    Polynomial,
    make_embedding,
)
from sktn.tables import basis as basis_module
from sktn.tables import levels
from sktn.tables.basis import embed, fit_basis
from sktn.tables.column_fit import fit_columns
from sktn.tables.sites import make_sites

# NumPy where nothing else is asked: every shape compiles anew.
site_vectors = jax.jit(embed)
every_embedding = pytest.mark.parametrize("name", EMBEDDINGS)


def fit(X, embedding, *, sample_weight=None, missing="marginal", categorical=None, **options):
    """Columns, basis and site vectors of a table."""
    columns = fit_columns(
        X,
        sample_weight=sample_weight,
        scaling="mixed" if embedding.channels == 2 else "standard",
        categorical=categorical,
        domain=embedding.domain,
        missing=missing,
    )
    coords = columns.transform(X)
    basis = fit_basis(
        columns, coords, embedding, sample_weight=sample_weight, missing=missing, **options
    )
    return columns, basis, embed(basis, coords)


def moments(phi, weight):
    """E[phi] and E[phi phi^T] of every site: (b, n, d), (b,) or (b, n) -> (n, d), (n, d, d)."""
    weight = np.broadcast_to(weight.reshape(len(weight), -1), phi.shape[:2])
    weight = weight / weight.sum(axis=0)
    return (
        np.einsum("bn,bnd->nd", weight, phi),
        np.einsum("bn,bnd,bne->nde", weight, phi, phi),
    )


@pytest.fixture
def table(rng):
    """Normal, binary, huge, with missing values, categorical, constant."""
    X = rng.normal(size=(400, 6))
    X[:, 1] = X[:, 1] > 0
    X[:, 2] *= 1e30
    X[rng.random(400) < 0.2, 3] = np.nan
    X[:, 4] = rng.integers(0, 5, 400)
    X[:, 5] = 3.0
    return X, np.arange(6) == 4, rng.integers(0, 3, 400).astype(float)


@every_embedding
@pytest.mark.parametrize("missing", ["marginal", "indicator"])
@pytest.mark.parametrize("orthonormalize", [True, False])
def test_mean_and_gram_are_those_of_the_training_rows(table, name, missing, orthonormalize):
    X, categorical, weight = table
    columns, basis, phi = fit(
        X,
        make_embedding(name, 3),
        sample_weight=weight,
        missing=missing,
        categorical=categorical,
        orthonormalize=orthonormalize,
        max_value=1e3,
    )
    # A marginalised value is no observation; an indicated one is.
    seen = ~np.isnan(X[:, columns.kept]) if missing == "marginal" else np.ones((400, 5))
    mean, gram = moments(phi, weight[:, None] * seen)
    np.testing.assert_allclose(mean, basis.mean, atol=1e-7)
    np.testing.assert_allclose(gram, basis.gram, atol=1e-7)
    assert (phi[:, basis.mask == 0] == 0).all()
    if orthonormalize:
        np.testing.assert_array_equal(phi[..., 0], 1)
        np.testing.assert_array_equal(basis.degrees[:, 0], 0)
        np.testing.assert_allclose(gram, np.eye(basis.dim) * basis.mask[:, None], atol=1e-7)


@every_embedding
@pytest.mark.parametrize("missing", ["marginal", "indicator"])
def test_float32_tables(table, name, missing):
    X, categorical, weight = table
    options = {"sample_weight": weight, "missing": missing, "categorical": categorical}
    _, basis, phi = fit(X.astype(np.float32), make_embedding(name, 3), **options)
    assert phi.dtype == basis.gram.dtype == np.float32
    assert np.isfinite(phi).all()
    np.testing.assert_allclose(phi, fit(X, make_embedding(name, 3), **options)[2], atol=2e-2)


@pytest.mark.parametrize(("name", "degree"), [("fourier", 128), ("legendre", 8)])
def test_both_precisions_agree_where_most_rows_share_a_value(rng, name, degree):
    values = np.where(rng.random(3000) < 0.92, 0.0, rng.integers(1, 120, 3000))
    sites = make_sites(values[:, None], None, embedding=name, degree=degree, scaling="quantile")
    single = embed(sites.basis.astype(np.float32), sites.coords.astype(np.float32))
    np.testing.assert_allclose(single, embed(sites.basis, sites.coords), atol=0.1)


def test_what_depends_on_the_training_data_is_masked(table):
    X, categorical, _ = table
    columns, basis, _ = fit(X, Legendre(3), categorical=categorical)
    np.testing.assert_array_equal(columns.kept, [0, 1, 2, 3, 4])
    # Five levels: four contrasts and the constant, which sets the width.
    np.testing.assert_array_equal(basis.mask.sum(axis=1), [4, 2, 4, 4, 5])
    np.testing.assert_array_equal(basis.degrees[0, :4], [0, 1, 2, 3])
    # [x, 1 - x] spans the same as [1, x].
    assert fit(X[:, :1], LinearComplement())[1].dim == 2


def test_what_single_precision_cannot_hold_is_masked():
    # The first of the narrow bumps is of the order of 1e-90 where the rows are.
    X = np.repeat([0.6, 1.0], 5)[:, None]
    columns = fit_columns(X, scaling="none")
    basis = fit_basis(columns, columns.transform(X), make_embedding("rbf", 30))
    assert np.abs(basis.transform).max() < np.finfo(np.float32).max


def test_orthonormal_polynomials_do_not_depend_on_the_family(rng):
    X = rng.normal(size=(300, 2))
    reference = fit(X, Legendre(5))[2]
    for name in ("polynomial", "hermite", "chebyshev"):
        np.testing.assert_allclose(fit(X, make_embedding(name, 5))[2], reference, atol=1e-6)


tables = arrays(np.float64, (12, 2), elements=st.integers(-20, 20).map(float))


@given(X=tables, weight=arrays(np.int64, 12, elements=st.integers(0, 3)))
def test_integer_weights_are_repetitions(X, weight):
    weight[0] = max(weight[0], 1)
    X[:, 1] = np.abs(X[:, 1]) % 3
    options = {"categorical": np.array([False, True])}
    weighted = fit(X, Legendre(3), sample_weight=weight.astype(float), **options)[1]
    repeated = fit(np.repeat(X, weight, axis=0), Legendre(3), **options)[1]
    jax.tree.map(
        lambda a, b: np.testing.assert_allclose(a, b, atol=1e-6, rtol=1e-6), weighted, repeated
    )


@given(X=tables, factor=st.sampled_from([-3.0, 1e-3, 1e6]), shift=st.integers(-5, 5))
def test_affine_maps_of_a_column_change_at_most_signs(X, factor, shift):
    phi = fit(X, Legendre(3))[2]
    moved = fit(X * factor + shift, Legendre(3))[2]
    np.testing.assert_allclose(np.abs(moved), np.abs(phi), atol=1e-6)


@given(X=tables, flip=st.booleans())
def test_columns_do_not_see_each_other(X, flip):
    X = X + np.arange(12)[:, None] * 100  # no constant columns
    order = [1, 0] if flip else [0, 1]
    np.testing.assert_allclose(
        fit(X[:, order], Legendre(3))[2], fit(X, Legendre(3))[2][:, order], atol=1e-9
    )


def test_rare_events_are_bounded(rng):
    X = np.zeros((5000, 2))
    X[:3, 0] = 1.0
    X[:, 1] = rng.normal(size=5000)
    _, basis, phi = fit(X, Legendre(2), max_value=8.0)
    # Without the bound the value is 1 / sqrt(p) = 41.
    np.testing.assert_allclose(phi[:3, 0, 1], 8.0)
    assert np.abs(phi).max() <= 8.0 * (1 + 1e-6)
    # The basis stays orthogonal, and gram knows the variance that is left.
    mean, gram = moments(phi, np.ones(5000))
    np.testing.assert_allclose(mean[:, 1:], 0, atol=1e-7)
    np.testing.assert_allclose(gram, basis.gram, atol=1e-6)
    np.testing.assert_allclose(basis.gram[0, 1, 1], (8 / np.sqrt(5000 / 3)) ** 2, rtol=1e-2)
    np.testing.assert_allclose(basis.gram[1], np.eye(3), atol=1e-6)


@every_embedding
def test_new_rows_are_bounded(rng, name):
    embedding = make_embedding(name, 8)
    X = rng.normal(size=(50, 3)).astype(np.float32)
    X[:, 2] = rng.integers(0, 2, 50) + rng.integers(0, 2, 50) * 1e-3  # two gaps
    columns, basis, _ = fit(X, embedding)
    new = np.linspace(-1e3, 1e3, 999, dtype=np.float32)[:, None] * np.ones(3, dtype=np.float32)
    new[0] = np.nan
    coords = columns.transform(new)
    for phi in (embed(basis, coords), np.asarray(site_vectors(basis, coords))):
        assert np.abs(phi).max() <= 10.0
        np.testing.assert_array_equal(phi[0], basis.missing)
    np.testing.assert_allclose(phi, embed(basis, coords), atol=2e-2)


def test_missing_values_are_marginalised_or_indicated(table):
    X, categorical, _ = table
    gone = np.isnan(X[:, 3])
    _, basis, phi = fit(X, Legendre(2), categorical=categorical)
    np.testing.assert_array_equal(phi[gone, 3], np.eye(basis.dim)[[0] * gone.sum()])
    _, basis, phi = fit(X, Legendre(2), categorical=categorical, missing="indicator")
    share = gone.mean()
    np.testing.assert_allclose(phi[gone, 3, 3], np.sqrt((1 - share) / share))
    np.testing.assert_allclose(phi[~gone, 3, 3], -np.sqrt(share / (1 - share)))
    np.testing.assert_array_equal(basis.degrees[3, :4], [0, 1, 2, 1])
    # No training value was missing: a new one is marginalised.
    np.testing.assert_array_equal(basis.missing[0], np.eye(basis.dim)[0])


def test_levels_as_unit_vectors_have_one_of_their_own_for_gaps():
    shares, lost = np.array([0.75, 0.25]), 0.2
    levels, _, mean, gram, vector = basis_module._one_hot_site(40 * shares, lost)
    np.testing.assert_array_equal(levels, np.eye(2, 3))
    np.testing.assert_allclose(vector, [0.75, 0.25, 1.0])
    rows = np.concatenate([levels, vector[None]])
    weight = np.append((1 - lost) * shares, lost)
    np.testing.assert_allclose(mean, weight @ rows)
    np.testing.assert_allclose(gram, rows.T * weight @ rows)


def test_categories(table):
    X, categorical, _ = table
    columns, basis, _phi = fit(X, Legendre(2), categorical=categorical)
    new = X[:1].repeat(7, axis=0)
    new[:, 4] = [0, 1, 2, 3, 4, 9, np.nan]
    vectors = embed(basis, columns.transform(new))[:, 4]
    assert len(np.unique(vectors[:5].round(3), axis=0)) == 5
    np.testing.assert_array_equal(vectors[5:], [np.eye(5)[0]] * 2)


def test_rare_levels_share_a_vector(table, monkeypatch):
    monkeypatch.setattr(levels, "MAX_LEVELS", 2)
    X, categorical, _ = table
    columns, basis, _ = fit(X, Legendre(1), categorical=categorical)
    assert basis.dim == 3
    new = X[:1].repeat(5, axis=0)
    new[:, 4] = np.arange(5)
    vectors = embed(basis, columns.transform(new))[:, 4]
    assert len(np.unique(vectors.round(3), axis=0)) == 3


@pytest.mark.parametrize(
    "embedding", [Polynomial(1), Concatenated(Polynomial(1), group=3)], ids=lambda e: e.name
)
def test_a_shared_unit_is_charged_by_the_raw_coefficients(embedding, rng):
    X = rng.normal(size=(300, 6)) @ rng.normal(size=(6, 6)) * [1, 1, 0.1, 2, 1, 1e-3]
    columns = fit_columns(X, scaling="common", group=getattr(embedding, "group", 1))
    coords = columns.transform(X)
    basis = fit_basis(columns, coords, embedding, shared_unit=True)
    phi = embed(basis, coords)
    _mean, gram = moments(phi, np.ones(len(X)))
    np.testing.assert_allclose(gram, basis.gram, atol=1e-8)
    # The product kernel's first order is the inner product of the centred rows but for a factor.
    a = phi[..., 1:] * np.sqrt(basis.spread[:, 1:])
    kernel = np.einsum("mnd,knd->mk", a, a)
    centred = X - X.mean(axis=0)
    expected = centred @ centred.T
    np.testing.assert_allclose(kernel / np.trace(kernel), expected / np.trace(expected), atol=1e-8)
    assert (basis.spread * basis.mask)[:, 1:].sum() == pytest.approx(6)


@every_embedding
@pytest.mark.parametrize("X", [np.ones((1, 2)), np.full((3, 2), np.nan), np.eye(2)])
def test_degenerate_tables(name, X):
    _, basis, phi = fit(X, make_embedding(name, 3), missing="indicator")
    assert np.isfinite(phi).all()
    np.testing.assert_array_equal(phi[..., 0], 1)
    assert basis.dim == min(len(np.unique(X[:, 0])), 2)


def test_rows_without_a_value_may_have_all_of_the_weight():
    X, weight = np.array([[1.0], [np.nan]]), np.array([1e-17, 0.5])
    _, basis, phi = fit(X, Legendre(2), sample_weight=weight, missing="indicator")
    assert basis.dim == 1
    np.testing.assert_array_equal(phi, 1)


def test_bases_stack_and_pickle(table):
    X, categorical, weight = table
    columns = fit_columns(X, categorical=categorical)
    coords = columns.transform(X)
    bases = [fit_basis(columns, coords, Legendre(2), sample_weight=w) for w in (weight, 3 - weight)]
    stacked = jax.tree.map(lambda *leaves: np.stack(leaves), *bases)
    phi = jax.jit(jax.vmap(embed, in_axes=(0, None)))(stacked, jnp.asarray(coords))
    for got, basis in zip(phi, bases, strict=True):
        again = pickle.loads(pickle.dumps(basis))
        np.testing.assert_allclose(got, site_vectors(again, jnp.asarray(coords)), atol=1e-5)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"embedding": make_embedding("mixed")}, "reads 2 numbers per column, .* scaled to 1"),
        ({"embedding": Legendre(), "max_value": 0.5}, "max_value must be at least 1.*got 0.5"),
    ],
)
def test_errors_name_the_value(options, message):
    X = np.arange(6.0).reshape(3, 2)
    columns = fit_columns(X)
    with pytest.raises(ValueError, match=message):
        fit_basis(columns, columns.transform(X), **options)


@pytest.mark.parametrize("shape", [(1, 3), (6, 1), (6, 3)])
def test_coordinates_are_read_only(rng, shape):
    """Of one row or one column the sites' copy would be a view of the coordinates."""
    X = rng.normal(size=(6, 3))
    X[:, 0] = [0, 1, 2, 3, 3, 1]
    X[3, 1] = np.nan
    X = X[:, : shape[1]]
    columns = fit_columns(X, scaling="standard", categorical=np.arange(shape[1]) == 0)
    coords = columns.transform(X)
    basis = fit_basis(columns, coords, Legendre(2))
    wanted = np.asarray(site_vectors(basis, jnp.asarray(coords)))
    rows = coords[-shape[0] :].copy()
    rows.flags.writeable = False
    np.testing.assert_allclose(embed(basis, rows), wanted[-shape[0] :], atol=1e-6)
