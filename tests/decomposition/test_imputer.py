"""RGTNImputer through scikit-learn's interface, and what it fills in."""

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from sklearn.datasets import load_iris
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import cross_val_score
from sklearn.pipeline import make_pipeline
from sklearn.utils.estimator_checks import parametrize_with_checks

from sktn import RGTNImputer
from sktn.networks import graph
from sktn.structure import completion
from sktn.structure.fixed import complete_matrix


@parametrize_with_checks([RGTNImputer(random_state=0)])
def test_estimator_checks(estimator, check):
    check(estimator)


@pytest.fixture
def video():
    """A smooth bump that moves over a still pattern: (rows, columns, frames)."""
    y, x, t = np.meshgrid(*(np.linspace(0, 1, n) for n in (24, 26, 20)), indexing="ij")
    still = np.sin(5 * x) * np.cos(4 * y)
    return still + np.exp(-40 * ((x - 0.2 - 0.6 * t) ** 2 + (y - 0.5) ** 2))


def hide(X, share, seed=0):
    gaps = np.random.default_rng(seed).random(X.shape) < share
    return np.where(gaps, np.nan, X), gaps


def test_gaps_are_filled_and_the_rest_is_left_alone(video):
    X, gaps = hide(video, 0.7)
    before = X.copy()
    imputer = RGTNImputer(random_state=0)
    filled = imputer.fit_transform(X)
    assert_array_equal(X, before)
    assert_array_equal(filled[~gaps], video[~gaps])
    error = np.sqrt(np.mean((filled - video)[gaps] ** 2))
    mean = np.sqrt(np.mean((video[~gaps].mean() - video[gaps]) ** 2))
    assert error < 0.15 * mean
    # The held-out entries are an honest estimate of the error on the missing ones.
    assert imputer.validation_error_ * imputer.scale_ == pytest.approx(error, rel=0.6)
    assert_array_equal(imputer.bond_dims_, graph.bond_dims(imputer.cores_))


def test_same_seed_same_result(video):
    X, _ = hide(video[:8, :8], 0.5)
    first, second = (RGTNImputer(random_state=1).fit_transform(X) for _ in range(2))
    assert_array_equal(first, second)


def test_new_samples(video):
    X, _ = hide(video, 0.3)
    imputer = RGTNImputer(random_state=0, ordered_modes=[1, 2]).fit(X)
    new, gaps = hide(video[::5], 0.3, seed=9)
    filled = imputer.transform(new)
    assert_array_equal(filled[~gaps], video[::5][~gaps])
    assert np.sqrt(np.mean((filled - video[::5])[gaps] ** 2)) < 0.3 * video.std()


def test_tables():
    X, y = load_iris(return_X_y=True)
    holes, gaps = hide(X, 0.2)
    filled = RGTNImputer(random_state=0).fit_transform(holes)
    mean = SimpleImputer().fit_transform(holes)
    assert np.linalg.norm((filled - X)[gaps]) < np.linalg.norm((mean - X)[gaps])
    model = make_pipeline(RGTNImputer(random_state=0), LogisticRegression(max_iter=1000))
    assert cross_val_score(model, holes, y, cv=3).mean() > 0.7


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_dtype_is_kept(video, dtype):
    X, _ = hide(video[:8, :8], 0.3)
    assert RGTNImputer(random_state=0).fit_transform(X.astype(dtype)).dtype == dtype


def test_nothing_missing_constant_and_nearly_nothing_observed():
    X = np.random.default_rng(0).normal(size=(5, 4, 3))
    assert_array_equal(RGTNImputer(random_state=0).fit_transform(X), X)
    constant = np.full((5, 4, 3), 7.0)
    constant[0, 0, 0] = np.nan
    assert_allclose(RGTNImputer(random_state=0).fit_transform(constant), 7.0)
    lonely = np.full((3, 4, 2), np.nan)
    lonely[1, 1, 1] = 2.0
    assert_allclose(RGTNImputer(random_state=0).fit_transform(lonely), 2.0)


def test_modes_of_length_one(video):
    X, gaps = hide(video[:, None, :8], 0.3)
    filled = RGTNImputer(random_state=0).fit_transform(X)
    assert filled.shape == X.shape
    assert np.isfinite(filled).all()


def test_bad_values_are_named(video):
    with pytest.raises(ValueError, match="All entries of X are missing"):
        RGTNImputer().fit(np.full((3, 4, 5), np.nan))
    with pytest.raises(ValueError, match="infinity"):
        RGTNImputer().fit(np.where(video > 1, np.inf, video))
    with pytest.raises(ValueError, match=r"ordered_modes=\[5\]"):
        RGTNImputer(ordered_modes=[5]).fit(video)
    with pytest.raises(ValueError, match="'smoothness' parameter"):
        RGTNImputer(smoothness=-0.1).fit(video)
    imputer = RGTNImputer(random_state=0, max_steps=1).fit(video)
    with pytest.raises(ValueError, match="fitted on samples"):
        imputer.transform(video[:, :, :5])


def test_completion_learns_from_training_entries_only():
    rng = np.random.default_rng(0)
    X = graph.to_dense(graph.random_cores([10, 9, 8], complete_matrix(2, 3), rng))
    W = (rng.random(X.shape) < 0.6).astype(float)
    train, held = completion._split(W, np.random.default_rng(1), 0.1)
    assert_array_equal(train + held, W)
    assert held.sum() > 0
    data = completion._level(X * W, train, held, (0, 0, 0), (0,))
    assert data.loss(np.zeros(X.shape)) == pytest.approx(np.mean(X[held > 0] ** 2))
    window = (slice(2, 7), slice(None), slice(1, 5))
    assert_array_equal(data[window].train.W, train[window])


def test_ridge_lowers_the_rank_that_noise_raises(video):
    rng = np.random.default_rng(0)
    X, _ = hide(video[:12, :12] + 0.3 * rng.normal(size=(12, 12, 20)), 0.3)
    spectra = []
    for ridge in (1e-6, 1.0):
        imputer = RGTNImputer(ridge=ridge, smoothness=0.0, patience=9, max_steps=4, random_state=0)
        values = np.linalg.svd(imputer.fit(X).to_tensor().reshape(12, -1), compute_uv=False)
        spectra.append(values.sum() / values[0])
    assert spectra[1] < spectra[0]


def test_hyperparameters_follow_the_held_out_loss():
    assert completion._descend(lambda v: np.log(v / 8.0) ** 2, 1.0, 2.0) == 8.0
    assert completion._descend(lambda v: np.log(v * 4.0) ** 2, 1.0, 2.0) == 0.25
    window = completion._window((64, 48, 40), {0: 1.0, 2: 0.1}, largest=64 * 48 * 10)
    assert window == (slice(0, 64), slice(0, 48), slice(15, 25))


def test_the_smooth_residual_helps_where_the_network_is_too_small():
    y, x, t = np.meshgrid(*(np.linspace(0, 1, n) for n in (20, 22, 18)), indexing="ij")
    X = np.sin(9 * (x + y * t)) + np.cos(7 * (y - x * t))
    holes, gaps = hide(X, 0.6)
    errors = []
    for residual in (False, True):
        imputer = RGTNImputer(residual=residual, max_steps=1, random_state=0)
        errors.append(np.sqrt(np.mean((imputer.fit_transform(holes) - X)[gaps] ** 2)))
    assert errors[1] < 0.7 * errors[0]
    none = RGTNImputer(smoothness=0.0, residual=True, max_steps=1, random_state=0)
    filled = none.fit_transform(holes)
    assert_allclose(filled[gaps], none.to_tensor()[gaps], rtol=1e-4, atol=1e-5)
