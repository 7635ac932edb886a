"""RGTNImputer through scikit-learn's interface, and what it fills in."""

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from sklearn.datasets import load_iris, load_wine
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import cross_val_score
from sklearn.pipeline import make_pipeline
from sklearn.utils.estimator_checks import parametrize_with_checks

from sktn import RGTNImputer
from sktn.networks import graph
from sktn.structure import appending, growth, holdout
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
    X, _gaps = hide(video[:, None, :8], 0.3)
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
    train, held = holdout.split(W, np.random.default_rng(1), 0.1)
    assert_array_equal(train + held, W)
    assert held.sum() > 0
    data = holdout.Levels(X * W, train, held).at((0, 0, 0), (0,))
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
    assert growth._descend(lambda v: np.log(v / 8.0) ** 2, 1.0, 2.0) == 8.0
    assert growth._descend(lambda v: np.log(v * 4.0) ** 2, 1.0, 2.0) == 0.25
    window = growth._window((64, 48, 40), {0: 1.0, 2: 0.1}, largest=64 * 48 * 10)
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
    none = RGTNImputer(smoothness=0.0, residual=True, max_steps=1, n_growths=1, random_state=0)
    filled = none.fit_transform(holes)
    assert_allclose(filled[gaps], none.to_tensor()[gaps], rtol=1e-4, atol=1e-5)


def test_no_seed_is_far_from_the_others_on_a_table():
    X = load_wine().data
    X = (X - X.mean(axis=0)) / X.std(axis=0)
    holes, missing = hide(X, 0.2)
    mean = np.sqrt(np.mean((np.broadcast_to(np.nanmean(holes, axis=0), X.shape) - X)[missing] ** 2))
    errors = []
    for seed in range(6):
        filled = RGTNImputer(random_state=seed).fit_transform(holes)
        errors.append(np.sqrt(np.mean((filled - X)[missing] ** 2)))
    assert max(errors) < 0.85 * mean
    assert max(errors) < 1.1 * min(errors)


def test_a_sample_axis_without_order_is_not_smoothed():
    rng = np.random.default_rng(0)
    X = np.einsum("ar,br,cr->abc", *(rng.normal(size=(n, 2)) for n in (30, 9, 8)))
    holes, missing = hide(X, 0.5)
    imputer = RGTNImputer(random_state=0)
    filled = imputer.fit_transform(holes)
    assert imputer.ordered_modes_ == ()
    assert np.sqrt(np.mean((filled - X)[missing] ** 2)) < 0.1 * X.std()


def test_ordered_modes_count_from_either_end(video):
    imputer = RGTNImputer(ordered_modes=[-1, 0, 2], n_growths=1, max_steps=1, random_state=0)
    assert imputer.fit(video).ordered_modes_ == (0, 2)
    for wrong in ([3], [-4], [0.5], ["a"]):
        with pytest.raises(ValueError, match="outside the 3 modes of X"):
            RGTNImputer(ordered_modes=wrong).fit(video)


def test_a_network_that_explains_little_says_so():
    rng = np.random.default_rng(1)
    noise, _ = hide(rng.normal(size=(12, 10, 8)), 0.3)
    with pytest.warns(UserWarning, match=r"the mean fills the gaps|beyond rank one"):
        imputer = RGTNImputer(random_state=0).fit(noise)
    with pytest.warns(UserWarning, match=r"the mean fills the gaps|beyond rank one"):
        imputer.transform(noise)
    RGTNImputer(random_state=0).fit(np.nan_to_num(noise))  # no gap, no warning


def test_more_growths_fill_better():
    rng = np.random.default_rng(0)
    X = graph.to_dense(graph.random_cores([12, 10, 9], complete_matrix(2, 3), rng))
    holes, missing = hide(X + 0.3 * X.std() * rng.normal(size=X.shape), 0.6)
    errors = []
    for n_growths in (1, 8):
        fits = [RGTNImputer(n_growths=n_growths, random_state=s) for s in range(4)]
        errors.append([np.sqrt(np.mean((f.fit_transform(holes) - X)[missing] ** 2)) for f in fits])
    assert np.mean(errors[1]) < 0.95 * np.mean(errors[0])
    assert max(errors[1]) < max(errors[0])


def test_empty_columns_are_kept_or_left_out_with_a_warning():
    X, _ = hide(1e9 + np.random.default_rng(0).normal(size=(40, 1)) * np.ones((1, 4)), 0.1)
    X[:, 2] = np.nan
    with pytest.warns(UserWarning, match=r"columns \['x2'\] is observed. They are filled"):
        imputer = RGTNImputer(random_state=0).fit(X)
    new = X[:3].copy()
    new[0, 2] = 7.0  # has no scale to be read in, and is left alone
    filled = imputer.transform(new)
    assert filled[0, 2] == 7.0
    assert_allclose(filled[1:, 2], 1e9)
    assert_allclose(np.delete(filled, 2, axis=1), 1e9)
    left = RGTNImputer(keep_empty_features=False, random_state=0)
    with pytest.warns(UserWarning, match="They are left out"):
        assert left.fit_transform(X).shape == (40, 3)
    assert left.transform(new).shape == (3, 3)
    assert left.get_feature_names_out().tolist() == ["x0", "x1", "x3"]


def test_indicator_columns_as_in_scikit_learn():
    pd = pytest.importorskip("pandas")
    X, _ = hide(load_iris().data[:, :3], 0.2)
    frame = pd.DataFrame(X, columns=["a", "b", "c"])
    ours = RGTNImputer(add_indicator=True, random_state=0).set_output(transform="pandas")
    theirs = SimpleImputer(add_indicator=True).fit(frame)
    filled = ours.fit_transform(frame)
    assert_array_equal(ours.get_feature_names_out(), theirs.get_feature_names_out())
    assert filled.columns.tolist() == theirs.get_feature_names_out().tolist()
    assert_array_equal(filled.to_numpy()[:, 3:], theirs.transform(frame)[:, 3:])
    with pytest.raises(ValueError, match="needs a table"):
        RGTNImputer(add_indicator=True).fit(np.ones((3, 4, 5)))


def test_masked_entries_are_missing():
    M = np.ma.masked_array(np.outer(np.arange(1.0, 21), np.arange(1.0, 7)))
    M[np.random.default_rng(0).random(M.shape) < 0.1] = np.ma.masked
    M.data[M.mask] = 9999.0
    assert RGTNImputer(random_state=0).fit_transform(M).max() <= 130.0


def test_a_fit_that_ends_early_changes_nothing(monkeypatch):
    rng = np.random.default_rng(0)
    X, _ = hide(rng.normal(size=(6, 1, 1)) * rng.normal(size=(1, 4, 3)), 0.1)
    imputer = RGTNImputer(random_state=0).fit(X)
    before, state = imputer.transform(X), dict(vars(imputer))
    fresh = RGTNImputer(random_state=0)

    def interrupted(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr("sktn.structure.completion.complete", interrupted)
    for estimator in (imputer, fresh):
        with pytest.raises(KeyboardInterrupt):
            estimator.fit(100.0 + 7.0 * rng.normal(size=(6, 5, 3)))
    assert vars(imputer) == state
    assert_array_equal(imputer.transform(X), before)
    assert not [name for name in vars(fresh) if name.endswith("_")]


def test_codes_of_new_samples_have_the_trained_ones_as_their_prior():
    rng = np.random.default_rng(0)
    X = np.einsum("ar,br,cr->abc", *(rng.normal(size=(n, 2)) for n in (20, 5, 4)))
    holes, _ = hide(X + 0.1 * rng.normal(size=X.shape), 0.1)
    imputer = RGTNImputer(random_state=0).fit(holes)
    new = np.full((2, 5, 4), np.nan)
    new[0, 1, 2] = 3.0  # one entry cannot tell all the components of a code
    filled = (imputer.transform(new) - imputer.location_) / imputer.scale_
    network = graph.to_dense(imputer.cores_).reshape(20, -1).astype(float)
    mean, C = network.mean(axis=0), np.cov(network.T, bias=True)
    seen, noise = 1 * 4 + 2, imputer.validation_error_**2
    z = (3.0 - imputer.location_) / imputer.scale_
    expected = mean + C[:, seen] / (C[seen, seen] + noise) * (z - mean[seen])
    expected[seen] = z
    assert_allclose(filled[0].ravel(), expected, rtol=1e-4, atol=1e-5)
    assert_allclose(filled[1].ravel(), mean, rtol=1e-4, atol=1e-5)


@pytest.fixture(scope="module")
def planted():
    """300 samples of three codes each, entries of deviation 1 and noise of .1."""
    rng = np.random.default_rng(0)
    basis = np.einsum("ra,rb->rab", rng.normal(size=(3, 8)), rng.normal(size=(3, 7))) / 3**0.5
    T = np.tensordot(rng.normal(size=(300, 3)), basis, 1)
    return T, hide(T + 0.1 * rng.normal(size=T.shape), 0.6)[0]


def test_appended_samples_teach_the_network(planted):
    T, X = planted
    imputer = RGTNImputer(random_state=0).partial_fit(X[:20])  # the first call is a fit

    def error():
        return np.sqrt(np.mean((imputer.transform(X[200:]) - T[200:]) ** 2))

    before, old = error(), imputer.cores_[0]
    for start in (20, 80, 140):
        imputer.partial_fit(X[start : start + 60])
    assert_array_equal(imputer.cores_[0][:20], old)
    assert imputer.to_tensor().shape == T[:200].shape
    assert error() < 0.85 * before


def test_old_samples_hold_what_new_ones_leave_open(planted):
    T, X = planted
    imputer = RGTNImputer(random_state=0).fit(X[:100])
    before = imputer.to_tensor()
    strange = np.full((1, *T.shape[1:]), np.nan)
    strange[0, :4, :4] = 2.0
    imputer.partial_fit(strange)
    moved = imputer.to_tensor()[:100] - before
    assert 0.0 < np.sqrt(np.mean(moved**2)) < 0.1 * T.std()
    with pytest.raises(ValueError, match="samples of shape"):
        imputer.partial_fit(X[:, :, :3])


def test_a_few_rows_stand_for_all_old_samples(planted, monkeypatch):
    T, _ = planted
    rng = np.random.default_rng(1)
    cores = graph.random_cores((40, 8, 7), complete_matrix(2, 3), rng)
    seen = rng.random((5, 8, 7)) < 0.5
    few = appending.appended(cores, 0.4, T[:5], seen, 0.01)
    monkeypatch.setattr(np.linalg, "qr", lambda rows, mode: rows)
    for one, other in zip(few, appending.appended(cores, 0.4, T[:5], seen, 0.01), strict=True):
        assert_allclose(one, other, atol=1e-8)
