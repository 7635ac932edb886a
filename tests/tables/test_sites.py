"""A table as vectors on sites."""

import pickle

import numpy as np
import pytest

from sktn.tables.basis import embed
from sktn.tables.penalty import penalty_weights
from sktn.tables.sites import make_sites


@pytest.fixture
def table(rng):
    X = rng.normal(size=(60, 4))
    X[:, 2] = rng.integers(0, 3, 60)
    X[rng.random(X.shape) < 0.1] = np.nan
    return X, np.array([False, False, True, False])


@pytest.mark.parametrize(
    "scaling", ["quantile", "standard", "blended", "minmax", "mixed", "common"]
)
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_sites_know_their_table(table, scaling, dtype):
    X, is_categorical = table
    sites = make_sites(X, None, is_categorical, scaling=scaling, dtype=dtype)
    assert (sites.n_rows, sites.n_sites, sites.dtype) == (60, 4, dtype)
    np.testing.assert_array_equal(sites.transform(X), sites.coords)
    np.testing.assert_array_equal(sites.vectors([3, 5]), embed(sites.basis, sites.coords)[[3, 5]])
    np.testing.assert_array_equal(sites.take([3, 5]).vectors(), sites.vectors([3, 5]))
    assert sites.vectors().dtype == dtype
    assert sites.vectors().shape == (60, 4, sites.dim)
    again = pickle.loads(pickle.dumps(sites))
    np.testing.assert_array_equal(again.vectors(), sites.vectors())


def test_precision_is_lost_after_the_centre_is_taken(rng):
    X = 1e9 + rng.normal(size=(50, 2))
    single = make_sites(X, None, scaling="standard", dtype=np.float32)
    double = make_sites(X, None, scaling="standard")
    np.testing.assert_allclose(single.coords, double.coords, atol=1e-6)
    np.testing.assert_allclose(single.astype(np.float64).vectors(), double.vectors(), atol=1e-5)


def test_related_columns_become_neighbours(rng):
    z = rng.normal(size=(300, 2))
    X = z[:, [0, 1, 0, 1]] + 0.3 * rng.normal(size=(300, 4))
    sites = make_sites(X, None).with_order("correlation", np.random.RandomState(0))
    assert sorted(abs(np.diff(sites.order))) in ([1, 2, 2], [2, 2, 3])
    np.testing.assert_array_equal(sites.with_order([3, 0, 1, 2], None).order, [3, 0, 1, 2])
    np.testing.assert_array_equal(make_sites(X, None).order, np.arange(4))


@pytest.mark.parametrize("dense", [True, False])
@pytest.mark.parametrize("seed", range(3))
def test_the_fiedler_vector_orders_columns_along_their_path(seed, dense, monkeypatch):
    monkeypatch.setattr("sktn.tables.sites._DENSE_ORDER", 8 if dense else 7)
    # Vectors are made in several blocks.
    monkeypatch.setattr("sktn.tables.sites._EMBEDDED", 5000)
    # A Markov chain of columns, shuffled: its order is found again, up to its direction.
    rng = np.random.default_rng(seed)
    X = rng.normal(size=(2000, 8))
    for i in range(1, 8):
        X[:, i] += X[:, i - 1]
    shuffled = rng.permutation(8)
    sites = make_sites(X[:, shuffled], None).with_order("correlation", np.random.RandomState(0))
    path = shuffled[sites.order]
    assert set(np.diff(path)) in ({1}, {-1})
    # Of the two directions the one that is nearer to the order of the columns as given.
    given = np.corrcoef(sites.order, np.arange(8))[0, 1]
    assert given >= 0


def test_unrelated_columns_stay_as_they_were_given(rng):
    sites = make_sites(rng.normal(size=(400, 6)), None)
    order = sites.with_order("correlation", np.random.RandomState(0)).order
    np.testing.assert_array_equal(order, np.arange(6))


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_one_unit_charges_a_column_by_its_variance(rng, dtype):
    X = rng.normal(size=(500, 3)) * [1.0, 0.1, 3.0]
    basis = make_sites(X, None, scaling="common", degree=2, dtype=dtype).basis
    linear = np.argmax(basis.degrees == 1, axis=1)
    charges = penalty_weights(basis, 1.0, 1.0)[np.arange(3), linear]
    # Three columns, so omega = 3, over the variance relative to the columns' mean variance.
    variance = X.var(axis=0)
    np.testing.assert_allclose(charges, 3 * variance.mean() / variance, rtol=1e-4)
    own = make_sites(X, None, scaling="standard", degree=2, dtype=dtype).basis
    np.testing.assert_allclose(penalty_weights(own, 1.0, 1.0)[:, 1], 3.0)


def test_charges_follow_the_formula(table):
    X, is_categorical = table
    basis = make_sites(X, None, is_categorical, degree=3).basis
    relevance = np.array([1.0, 2.0, 1.0, 0.5])
    g = penalty_weights(basis, 0.5, 1.0, relevance)
    # Three levels count as the square root of two columns of numbers.
    omega = 0.5 * (3 + np.sqrt(2))
    expected = omega * np.maximum(basis.degrees, 0.5) ** 2 / relevance[:, None] / basis.spread
    np.testing.assert_allclose(basis.spread[2, 1:3].sum(), np.sqrt(2))
    np.testing.assert_allclose(g, np.where(basis.degrees > 0, expected, 1.0))


@pytest.mark.parametrize("ruled_out", [0, 2])
def test_columns_that_are_ruled_out_have_no_site(table, ruled_out):
    X, is_categorical = table
    X[:, 3] = 1.0  # constant
    sites = make_sites(X, None, is_categorical, scaling="mixed", missing="indicator")
    relevance = np.array([1.0, 2.0, 0.5])
    relevance[ruled_out] = 0
    own, left = sites.only(relevance), relevance > 0
    np.testing.assert_array_equal(own.columns.kept, np.flatnonzero(left))
    np.testing.assert_array_equal(own.vectors(), sites.vectors()[:, left])
    np.testing.assert_array_equal(own.transform(X), own.coords)
    np.testing.assert_array_equal(own.basis.sites, np.flatnonzero(own.columns.categorical))
    # Charged as if there had never been others.
    np.testing.assert_array_equal(
        penalty_weights(sites.basis, 1.0, 1.0, relevance)[left],
        penalty_weights(own.basis, 1.0, 1.0, relevance[left]),
    )
    assert sites.only(np.zeros(3)) is sites
    assert sites.only(1.0) is sites


@pytest.mark.parametrize(("smoothness", "relevance"), [(200.0, 1.0), (1e308, 1.0), (1.0, 0.0)])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_charges_stay_finite(table, smoothness, relevance, dtype):
    basis = make_sites(*(table[0], None, table[1]), degree=8, dtype=dtype).basis
    g = penalty_weights(basis, 1.0, smoothness, relevance)
    assert g.dtype == dtype
    assert np.isfinite(g**2).all()
    assert (g >= 1).all()


@pytest.mark.parametrize("order", [[0.0, 1.0, 2.0, 3.0], [0, 1, 2], [0, 1, 1, 2], [9, 9, 9, 9]])
def test_an_order_is_a_permutation(table, order):
    with pytest.raises(ValueError, match=r"permutation of 0\.\.3"):
        make_sites(table[0], None).with_order(order, None)


@pytest.mark.parametrize("unit", [1e-300, 1e300, 1.7e308])
def test_weights_have_no_unit(table, unit):
    X, is_categorical = table
    sites = make_sites(X, None, is_categorical)
    other = make_sites(X, np.full(len(X), unit), is_categorical)
    np.testing.assert_allclose(other.vectors(), sites.vectors(), rtol=1e-9, atol=1e-9)


def test_an_order_by_correlation_of_sites_that_say_nothing(rng):
    """A basis of one function has no component that could be correlated."""
    X = rng.normal(size=(20, 4))
    sites = make_sites(X, None, embedding=lambda z: z[..., None] ** 0, scaling="minmax")
    order = sites.with_order("correlation", np.random.RandomState(0)).order
    assert sorted(order) == [0, 1, 2, 3]
