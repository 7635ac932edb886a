"""The decomposers through scikit-learn's interface: checks, semantics, edge cases."""

import pickle
import warnings

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from sklearn.base import clone
from sklearn.datasets import load_digits
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GridSearchCV, cross_val_score
from sklearn.pipeline import make_pipeline
from sklearn.utils.estimator_checks import parametrize_with_checks

import sktn
from sktn.networks import graph
from sktn.structure.fixed import chain_matrix, complete_matrix, ring_matrix
from sktn.structure.modes import small_modes

SEARCHES = [
    sktn.EnumerationTNDecomposer,
    sktn.GeneticTNDecomposer,
    sktn.GreedyTNDecomposer,
    sktn.LocalSearchTNDecomposer,
    sktn.RGTNDecomposer,
    sktn.SVDinsTNDecomposer,
]
FIXED = [sktn.FCTNDecomposer, sktn.TRDecomposer, sktn.TTDecomposer]


@parametrize_with_checks([cls(random_state=0) for cls in SEARCHES + FIXED])
def test_estimator_checks(estimator, check):
    check(estimator)


@pytest.fixture
def ring():
    rng = np.random.default_rng(0)
    X = graph.to_dense(graph.random_cores([12, 9, 8, 7], ring_matrix([2, 3, 2, 2]), rng))
    return X / np.linalg.norm(X)


def error(model, X):
    X = np.asarray(X, dtype=float)
    fitted = graph.to_dense([core.astype(float) for core in model.cores_]).reshape(X.shape)
    return np.linalg.norm(fitted - X) / np.linalg.norm(X)


def test_planted_ring_is_found(ring):
    model = sktn.RGTNDecomposer(1e-3, random_state=0).fit(ring)
    assert_array_equal(model.bond_dims_, ring_matrix([2, 3, 2, 2]))
    assert model.reconstruction_error_ <= 1e-3
    assert model.reconstruction_error_ == pytest.approx(error(model, ring), rel=1e-6, abs=1e-12)
    assert model.n_parameters_ == sum(core.size for core in model.cores_)
    assert model.compression_ratio_ == model.n_parameters_ / ring.size
    assert all(isinstance(core, np.ndarray) for core in model.cores_)
    assert model.history_[-1]["seconds"] >= 0


@pytest.mark.parametrize("cls", SEARCHES)
def test_searches_meet_the_target_or_say_so(cls):
    rng = np.random.default_rng(1)
    X = graph.to_dense(graph.random_cores([8, 7, 6], ring_matrix([2, 2, 2]), rng))
    model = cls(0.05, random_state=0)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        model.fit(X)
    said = [w for w in caught if issubclass(w.category, ConvergenceWarning)]
    assert bool(said) == (model.reconstruction_error_ > 0.05)
    assert model.reconstruction_error_ == pytest.approx(error(model, X), rel=1e-4)
    if cls is sktn.RGTNDecomposer:
        assert not said


def test_missed_target_warns():
    X = np.random.default_rng(0).normal(size=(6, 6, 6))
    with pytest.warns(ConvergenceWarning, match="target_error=0.01"):
        sktn.LocalSearchTNDecomposer(0.01, n_iterations=1, n_samples=1, max_rank=2).fit(X)


@pytest.mark.parametrize(
    ("target", "dtype"),
    [(0.3, np.float32), (0.05, np.float64), (0.003, np.float32), (0.003, np.float64)],
)
def test_target_is_never_missed(dtype, target):
    rng = np.random.default_rng(2)
    X = np.cumsum(rng.normal(size=(5, 4, 3)), axis=0).astype(dtype)
    model = sktn.RGTNDecomposer(target, random_state=0).fit(X)
    assert model.cores_[0].dtype == dtype
    assert error(model, X) <= target


def test_fit_transform_is_fit_then_transform(ring):
    model = sktn.RGTNDecomposer(0.01, random_state=0)
    codes = clone(model).fit_transform(ring)
    fitted = model.fit(ring)
    assert_array_equal(codes, fitted.transform(ring))
    assert codes.shape == (12, np.prod(fitted.bond_dims_[0]))
    assert_allclose(fitted.inverse_transform(codes), fitted.predict(ring))
    assert np.linalg.norm(fitted.predict(ring) - ring) <= 0.0101
    assert fitted.score(ring) >= 1 - 0.0101**2


def test_new_samples_and_their_gaps(ring):
    model = sktn.RGTNDecomposer(1e-3, random_state=0).fit(ring[:9])
    assert model.score(ring[9:]) > 0.9999
    gaps = ring[9:].copy()
    gaps[:, 0, 0, :] = np.nan
    assert_allclose(model.predict(gaps), ring[9:], atol=1e-2 * np.abs(ring).max())


def test_same_seed_same_result(ring):
    first, second = (sktn.RGTNDecomposer(0.2, random_state=3).fit(ring) for _ in range(2))
    for a, b in zip(first.cores_, second.cores_, strict=True):
        assert_array_equal(a, b)


def test_tables_and_tensor_shape():
    X, _ = load_digits(return_X_y=True)
    X = X[:60]
    model = sktn.RGTNDecomposer(0.4, tensor_shape=(8, 8), random_state=0).fit(X)
    assert model.tensor_shape_ == (60, 8, 8)
    assert model.predict(X).shape == X.shape
    assert error(model, X.reshape(60, 8, 8)) <= 0.4
    with pytest.raises(ValueError, match=r"tensor_shape=\(8, 7\) has 56 entries"):
        sktn.RGTNDecomposer(tensor_shape=(8, 7)).fit(X)


def test_small_modes():
    assert small_modes(64) == (16, 4)
    assert small_modes(13) == (13,)
    assert small_modes(1) == (1,)
    assert np.prod(small_modes(360)) == 360


def test_grid_search_and_cross_validation(ring):
    search = GridSearchCV(
        sktn.RGTNDecomposer(random_state=0), {"target_error": [0.5, 0.01]}, cv=2
    ).fit(ring)
    assert search.best_params_ == {"target_error": 0.01}
    assert np.isfinite(cross_val_score(sktn.RGTNDecomposer(0.1, random_state=0), ring, cv=2)).all()


def test_codes_are_features():
    X, y = load_digits(return_X_y=True)
    X, y = X[:150] / 16.0, y[:150]
    model = make_pipeline(
        sktn.RGTNDecomposer(0.3, tensor_shape=(8, 8), random_state=0),
        LogisticRegression(max_iter=2000),
    )
    assert cross_val_score(model, X, y, cv=2).mean() > 0.6


@pytest.mark.parametrize(
    ("X", "shape"),
    [
        (np.zeros((4, 5, 6)), "zero"),
        (np.full((4, 5, 6), 3.0), "constant"),
        (np.einsum("a,b,c->abc", *np.random.default_rng(0).normal(size=(3, 5))), "rank one"),
        (np.full((1, 1, 1), -2.0), "one entry"),
        (np.arange(5.0).reshape(5, 1), "one long mode"),
    ],
)
def test_trivial_tensors_are_exact_at_rank_one(X, shape):
    model = sktn.RGTNDecomposer(1e-6, random_state=0).fit(X)
    assert (model.bond_dims_ == 1).all(), shape
    assert_allclose(model.to_tensor().reshape(X.shape), X, atol=1e-9 * max(1, np.abs(X).max()))
    codes = model.transform(X)
    assert codes.shape == (len(X), 1)
    assert np.isfinite(codes).all()


def test_modes_of_length_one():
    X = np.random.default_rng(0).normal(size=(6, 1, 5, 1, 4))
    model = sktn.RGTNDecomposer(0.3, random_state=0).fit(X)
    assert error(model, X) <= 0.3
    assert (model.bond_dims_[[1, 3]] == 1).all()
    assert model.to_tensor().shape == X.shape


def test_a_matrix_is_its_singular_value_decomposition():
    X = np.random.default_rng(0).normal(size=(30, 13))
    model = sktn.RGTNDecomposer(0.5).fit(X)
    s = np.linalg.svd(X, compute_uv=False)
    r = model.bond_dims_[0, 1]
    assert np.sqrt(np.sum(s[r:] ** 2)) <= 0.5 * np.linalg.norm(X)
    assert np.sqrt(np.sum(s[r - 1 :] ** 2)) > 0.5 * np.linalg.norm(X)


def test_targets_of_zero_and_one():
    X = np.random.default_rng(0).normal(size=(3, 3, 2))
    assert error(sktn.RGTNDecomposer(0.0, random_state=0).fit(X), X) < 1e-12
    one = sktn.RGTNDecomposer(1.0, random_state=0).fit(X)
    assert (one.bond_dims_ == 1).all()
    assert error(one, X) < 1.0


@pytest.mark.parametrize("scale", [1e-150, 1e150])
def test_extreme_scales(scale):
    X = scale * np.random.default_rng(0).normal(size=(6, 5, 4))
    assert sktn.RGTNDecomposer(0.3, random_state=0).fit(X).reconstruction_error_ <= 0.3


def test_budget_and_given_bonds():
    X = np.random.default_rng(0).normal(size=(8, 9, 10))
    model = sktn.RGTNDecomposer(0, max_parameters=200, random_state=0).fit(X)
    assert model.n_parameters_ <= 200
    rank_one = sktn.RGTNDecomposer(1.0, random_state=0).fit(X)
    assert model.reconstruction_error_ < rank_one.reconstruction_error_
    with pytest.raises(ValueError, match="max_parameters=20 is less than the 27"):
        sktn.RGTNDecomposer(max_parameters=20).fit(X)
    R = ring_matrix([2, 3, 2])
    given = sktn.RGTNDecomposer(bond_dims=R, random_state=0).fit(X)
    assert_array_equal(given.bond_dims_, R)
    with pytest.raises(ValueError, match="symmetric"):
        sktn.RGTNDecomposer(bond_dims=np.triu(R)).fit(X)
    with pytest.raises(ValueError, match=r"integer matrix of shape \(3, 3\)"):
        sktn.RGTNDecomposer(bond_dims=np.ones((2, 2), int)).fit(X)


def test_bad_values_are_named():
    X = np.random.default_rng(0).normal(size=(4, 5, 6))
    with pytest.raises(ValueError, match="infinity"):
        sktn.RGTNDecomposer().fit(np.where(X > 1, np.inf, X))
    with pytest.raises(ValueError, match="All entries of X are missing"):
        sktn.RGTNDecomposer().fit(np.full((4, 5, 6), np.nan))
    with pytest.raises(ValueError, match=r"ordered_modes=\[7\]"):
        sktn.RGTNDecomposer(ordered_modes=[7]).fit(X)
    with pytest.raises(ValueError, match="target_error"):
        sktn.RGTNDecomposer(target_error=1.5).fit(X)
    model = sktn.RGTNDecomposer(0.5, random_state=0).fit(X)
    with pytest.raises(ValueError, match=r"samples of shape \(5, 5\)"):
        model.transform(X[:, :, :5])
    with pytest.raises(ValueError, match="columns expected"):
        model.inverse_transform(np.ones((2, 999)))


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_reconstructions_have_the_precision_of_the_tensor(ring, dtype):
    for model in sktn.RGTNDecomposer(0.3, random_state=0), sktn.TTDecomposer(0.3):
        model.fit(ring.astype(dtype))
        codes = model.transform(ring.astype(dtype))
        assert codes.dtype == dtype
        assert model.inverse_transform(codes).dtype == model.to_tensor().dtype == dtype
        assert model.inverse_transform(codes[:0]).dtype == dtype


def test_missing_entries_are_filled_first(ring):
    gaps = np.random.default_rng(0).random(ring.shape) < 0.2
    model = sktn.RGTNDecomposer(0.3, random_state=0).fit(np.where(gaps, np.nan, ring))
    assert model.reconstruction_error_ < 0.4
    assert np.isfinite(model.to_tensor()).all()


def test_callback_verbose_and_pickle(ring, capsys):
    seen = []
    model = sktn.RGTNDecomposer(0.1, callback=seen.append, verbose=True, random_state=0).fit(ring)
    assert len(seen) == len(model.history_) > 0
    assert "[RGTNDecomposer]" in capsys.readouterr().out
    model.set_params(callback=None)
    again = pickle.loads(pickle.dumps(model))
    assert_array_equal(again.transform(ring), model.transform(ring))


def test_time_limit_still_meets_the_target():
    X = np.cumsum(np.random.default_rng(0).normal(size=(12, 11, 10)), axis=1)
    model = sktn.RGTNDecomposer(0.02, time_limit=1e-3, random_state=0).fit(X)
    assert model.reconstruction_error_ <= 0.02


@pytest.mark.slow
def test_order_ten_with_ten_million_entries():
    rng = np.random.default_rng(0)
    R = np.ones((10, 10), dtype=int)
    for i, j in [(0, 1), (1, 2), (2, 3), (3, 4), (4, 5), (5, 6), (6, 7), (7, 8), (8, 9), (0, 9)]:
        R[i, j] = R[j, i] = 2
    X = graph.to_dense(graph.random_cores([5] * 10, R, rng))
    model = sktn.RGTNDecomposer(0.01, random_state=0).fit(X)
    assert model.reconstruction_error_ <= 0.01
    assert model.n_parameters_ <= graph.n_parameters(X.shape, R)


def test_given_bonds_are_widened_and_trimmed_to_the_error_that_is_asked_for():
    rng = np.random.default_rng(0)
    R = ring_matrix([2, 3, 2, 3])
    X = graph.to_dense(graph.random_cores((9, 8, 7, 6), R, rng))
    E = rng.standard_normal(X.shape)
    X += 0.05 * np.linalg.norm(X) / np.linalg.norm(E) * E
    loose, tight = (complete_matrix(r, 4) for r in (3, 2))
    for given, target in ((R, 0.06), (loose, 0.06), (chain_matrix([1, 2, 1]), 0.06), (tight, 0.5)):
        model = sktn.RGTNDecomposer(target, bond_dims=given, random_state=0).fit(X)
        assert model.reconstruction_error_ <= target
        assert {entry["action"] for entry in model.history_} <= {
            "fit",
            "start",
            "expand",
            "compress",
            "direct",
        }
        assert model.size_bound_ <= model.n_parameters_
    assert model.n_parameters_ < graph.n_parameters(X.shape, tight)
    kept = sktn.RGTNDecomposer(0.06, bond_dims=R, random_state=0).fit(X)
    assert_array_equal(kept.bond_dims_, R)
    alone = sktn.RGTNDecomposer(bond_dims=loose, random_state=0).fit(X)
    assert_array_equal(alone.bond_dims_, loose)  # no error is asked for
    assert alone.reconstruction_error_ < kept.reconstruction_error_
    assert alone.size_bound_ is None
