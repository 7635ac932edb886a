"""RGTNDecomposer.partial_fit: samples that come later."""

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from sklearn.base import clone

from sktn import RGSearch, RGTNDecomposer
from sktn.decomposition.base import GraphDecomposer

# Without its last phase a search takes a tenth of the time.
QUICK = RGSearch(n_cycles=0)


def smooth(n_samples=40, seed=0):
    """Sums of waves that drift from sample to sample: new samples leave the span of the old."""
    rng = np.random.default_rng(seed)
    t, x, y = np.meshgrid(*[np.linspace(0, 1, n) for n in (n_samples, 12, 10)], indexing="ij")
    waves = [
        np.sin(a * x + b * t) * np.cos(c * y - d * t * x) / k
        for k, (a, b, c, d) in enumerate(rng.uniform(1, 9, size=(8, 4)), start=1)
    ]
    return np.sum(waves, axis=0)


def error(model, X):
    return np.linalg.norm(model.to_tensor() - X) / np.linalg.norm(X)


@pytest.mark.parametrize("target", [0.1, 0.03])
def test_appended_samples_meet_the_error_without_a_search(monkeypatch, target):
    X = smooth()
    model = RGTNDecomposer(target, search=QUICK, random_state=0)
    assert model.partial_fit(X[:28]) is model  # the first call is a fit
    old, codes = model.to_tensor(), len(model.cores_[0])
    with monkeypatch.context() as patch:
        patch.setattr(GraphDecomposer, "_solved", None)  # what a fit calls
        for rows in (slice(28, 34), slice(34, 40)):
            model.partial_fit(X[rows])
            assert model.reconstruction_error_ <= target
    assert model.tensor_shape_ == X.shape
    assert error(model, X) <= target
    assert model.reconstruction_error_ == pytest.approx(error(model, X), rel=0.02)
    assert_allclose(model.to_tensor()[:28], old, atol=1e-10)
    assert model.bond_dims_[0].prod() > 1
    assert len(model.cores_[0]) == 40 > codes
    assert model.n_parameters_ == sum(core.size for core in model.cores_)
    assert model.compression_ratio_ == model.n_parameters_ / X.size
    assert model.size_bound_ is model.optimality_gap_ is None
    whole = clone(model).fit(X)
    assert whole.n_parameters_ <= model.n_parameters_ < X.size


def test_samples_that_the_network_knows_cost_their_codes_alone():
    X = smooth()
    model = RGTNDecomposer(0.05, fold=None, search=QUICK, random_state=0).fit(X)
    codes, bonds = model.transform(X[::-1]), model.bond_dims_
    model.set_params(target_error=0.1).partial_fit(X[::-1])
    assert model.tensor_shape_ == (80, 12, 10)
    assert error(model, np.concatenate([X, X[::-1]])) <= 0.1
    assert_allclose(model.transform(X[::-1]), codes, rtol=1e-6, atol=1e-8)
    assert_array_equal(model.bond_dims_, bonds)


def test_folded_samples_and_features_stay_readable():
    X = np.kron(smooth(24)[:, :6, :5], np.ones((1, 2, 2)))
    model = RGTNDecomposer(0.1, fold=((4, 6), (6, 2), (10,)), search=QUICK, random_state=0).fit(X)
    old = model.to_tensor()
    model.partial_fit(X[:7] + 1.0)
    assert model.folded_shape_ == ((31,), (6, 2), (10,))
    assert [core.shape[k] for k, core in enumerate(model.cores_)] == [31, 6, 2, 10]
    assert_allclose(model.to_tensor()[:24], old, atol=1e-10)
    assert error(model, np.concatenate([X, X[:7] + 1.0])) <= 0.1
    assert model.predict(X[:3]).shape == (3, 12, 10)


def test_bonds_that_were_given_stay():
    X = smooth()
    bonds = np.array([[1, 2, 2], [2, 1, 2], [2, 2, 1]])
    model = (
        RGTNDecomposer(bond_dims=bonds, search=QUICK, random_state=0)
        .fit(X[:30])
        .partial_fit(X[30:])
    )
    assert_array_equal(model.bond_dims_, bonds)
    assert_allclose(model.cores_[0][30:].reshape(10, -1), model.transform(X[30:]), atol=1e-6)


@pytest.mark.parametrize("scale", [1e-200, 1e200])
def test_gaps_tables_and_the_ends_of_the_range(scale):
    X = smooth().reshape(40, -1) * scale
    model = RGTNDecomposer(0.1, tensor_shape=(12, 10), search=QUICK, random_state=0).fit(X[:30])
    gaps = np.where(np.random.default_rng(0).random((10, 120)) < 0.2, np.nan, X[30:])
    model.partial_fit(gaps)
    assert model.tensor_shape_ == (40, 12, 10)
    assert 0.0 < model.reconstruction_error_ <= 0.1
    said, seen = model.to_tensor()[30:].reshape(10, -1), ~np.isnan(gaps)
    missed = np.linalg.norm((said - gaps)[seen] / scale)
    assert missed < 0.15 * np.linalg.norm(gaps[seen] / scale)
    model.partial_fit(np.zeros((2, 120)))
    assert_array_equal(model.to_tensor()[40:], 0.0)
    with pytest.raises(ValueError, match="features"):
        model.partial_fit(X[:, :5])
