"""RGTNCompleter: tensors as lists of coordinates."""

from unittest import mock

import numpy as np
import pandas as pd
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from sklearn.model_selection import GridSearchCV, cross_val_score
from sklearn.utils.estimator_checks import parametrize_with_checks

from sktn import RGTNCompleter
from sktn.structure import coordinates


@parametrize_with_checks([RGTNCompleter(random_state=0, max_steps=0)])
def test_estimator_checks(estimator, check):
    check(estimator)


def planted(seed=0, shape=(60, 40, 5), n=5000, rank=2, noise=0.1):
    """Entries of a tensor of a low rank with effects of its first mode, of deviation about one."""
    rng = np.random.default_rng(seed)
    factors = [rng.normal(size=(size, rank)) for size in shape]
    X = np.stack([rng.integers(size, size=n) for size in shape], axis=1)
    y = np.prod([f[column] for f, column in zip(factors, X.T, strict=True)], axis=0).sum(axis=1)
    y = y / y.std() + rng.normal(size=shape[0])[X[:, 0]]
    return X, y + noise * rng.normal(size=n)


@pytest.fixture(scope="module")
def entries():
    return planted()


@pytest.fixture(scope="module")
def fitted(entries):
    X, y = entries
    return RGTNCompleter(random_state=0).fit(X[:4000], y[:4000])


def test_it_predicts_entries_that_it_has_not_seen(entries, fitted):
    X, y = entries
    assert fitted.score(X[4000:], y[4000:]) > 0.95
    assert fitted.shape_ == (60, 40, 5)
    assert fitted.bond_dims_.max() > 1
    error = np.sqrt(np.mean((fitted.predict(X[4000:]) - y[4000:]) ** 2))
    assert fitted.validation_error_ == pytest.approx(error, rel=0.5)
    assert {entry["action"] for entry in fitted.history_} >= {"effects", "start", "expand", "refit"}


@pytest.mark.parametrize("seed", range(3))
def test_no_network_where_there_are_effects_alone(seed):
    X, y = planted(seed, rank=1, noise=0.0)
    effects = np.random.default_rng(seed).normal(size=(2, 60))
    noise = 0.5 * np.random.default_rng(9).normal(size=5000)
    y = effects[0][X[:, 0]] + effects[1][X[:, 1]] + noise
    model = RGTNCompleter(random_state=0).fit(X[:4000], y[:4000])
    assert np.mean((model.predict(X[4000:]) - y[4000:]) ** 2) < 1.1 * np.mean(noise[4000:] ** 2)


def test_noise_is_predicted_by_its_mean():
    X, _ = planted()
    y = np.random.default_rng(5).normal(size=5000)
    predicted = RGTNCompleter(random_state=0).fit(X, y).predict(X)
    assert np.std(predicted) < 0.25


@pytest.mark.parametrize("seed", range(3))
def test_the_mean_of_few_entries_is_kept(seed):
    """Also of those that were held out at first, where no level differs from another."""
    rng = np.random.default_rng(seed)
    X, y = np.indices((6, 5)).reshape(2, -1).T, rng.permutation(np.arange(30.0))
    predicted = RGTNCompleter(max_steps=0, random_state=seed).fit(X, y).predict(X)
    assert np.mean(predicted) == pytest.approx(np.mean(y), abs=0.3)


def test_levels_have_names_and_unknown_ones_the_mean(entries):
    X, y = (part[:3000] for part in entries)
    names = np.array([f"user {k}" for k in range(60)], dtype=object)
    frame = pd.DataFrame({"user": names[X[:, 0]], "item": X[:, 1], "week": X[:, 2] + 0.5})
    model = RGTNCompleter(random_state=0).fit(frame, y)
    assert_array_equal(model.feature_names_in_, ["user", "item", "week"])
    numbers = RGTNCompleter(random_state=0).fit(
        np.stack([np.argsort(np.argsort(names))[X[:, 0]], X[:, 1], X[:, 2]], axis=1), y
    )
    assert_allclose(
        model.predict(frame),
        numbers.predict(
            np.stack([np.argsort(np.argsort(names))[X[:, 0]], X[:, 1], X[:, 2]], axis=1)
        ),
    )
    stranger = frame.assign(user="nobody").drop_duplicates()
    others = np.mean([model.predict(stranger.assign(user=name)) for name in names], axis=0)
    known = np.isin(stranger["item"], X[:, 1])
    assert_allclose(model.predict(stranger)[known], others[known], atol=0.3)
    with pytest.raises(ValueError, match="NaN"):
        model.fit(frame.assign(week=np.nan), y)


def test_weights_count_rows(entries):
    X, y = entries
    X, y = X[:1500], y[:1500]
    times = np.random.default_rng(0).integers(0, 4, size=1500)
    weighted = RGTNCompleter(random_state=0, max_steps=2).fit(X, y, sample_weight=times)
    scaled = RGTNCompleter(random_state=0, max_steps=2).fit(X, y, sample_weight=7.0 * times)
    rows = np.repeat(np.arange(1500), times)
    repeated = RGTNCompleter(random_state=0, max_steps=2).fit(X[rows], y[rows])
    assert_allclose(weighted.predict(X), repeated.predict(X), rtol=1e-6, atol=1e-8)
    assert_allclose(weighted.predict(X), scaled.predict(X), rtol=1e-6, atol=1e-8)
    with pytest.raises(ValueError, match="at least one non-zero"):
        RGTNCompleter().fit(X, y, sample_weight=np.zeros(1500))


def test_predictions_stay_in_the_range(entries):
    X, y = entries
    free = RGTNCompleter(random_state=0, max_steps=1).fit(X, y).predict(X)
    bounded = RGTNCompleter(random_state=0, max_steps=1, value_range=(-1, None))
    with pytest.warns(UserWarning, match=rf"{np.sum(y < -1)} of {len(y)} values of y are outside"):
        bounded.fit(X, y)
    assert free.min() < -1
    assert_allclose(bounded.predict(X), np.maximum(free, -1))
    for bad in [(1,), (2, 1), ("a", 3)]:
        with pytest.raises(ValueError, match="value_range"):
            RGTNCompleter(value_range=bad).fit(X, y)


@pytest.mark.parametrize("scale", [1e-200, 1e12, 1e200])
def test_units_do_not_matter(entries, scale):
    X, y = entries
    one = RGTNCompleter(random_state=0, max_steps=1).fit(X, y)
    other = RGTNCompleter(random_state=0, max_steps=1).fit(X, scale * y)
    assert_allclose(other.predict(X), scale * one.predict(X), rtol=1e-5, atol=1e-7 * scale)


def test_more_rows_and_levels_without_the_old_ones(entries):
    X, y = entries
    old = X[:, 0] < 45
    model = RGTNCompleter(random_state=0).fit(X[old], y[old])
    before = model.predict(X[old])
    new = np.flatnonzero(~old)
    train, test = new[::2], new[1::2]
    assert model.score(X[test], y[test]) < 0.5  # effects of users that are not known
    structure = model.bond_dims_
    model.partial_fit(X[train], y[train])
    assert model.shape_ == (60, 40, 5)
    assert_array_equal(model.bond_dims_, structure)
    assert model.score(X[test], y[test]) > 0.9
    assert np.mean((model.predict(X[old]) - before) ** 2) < 0.01 * np.var(before)
    assert sum(n.sum() for n in model.n_rows_seen_) == pytest.approx(3 * (old.sum() + len(train)))
    named = RGTNCompleter(random_state=0).fit(X[old] * [-1, 1, 1], y[old])
    named.partial_fit(X[train] * [-1, 1, 1], y[train])  # new levels sort before the old ones
    assert named.score(X[test] * [-1, 1, 1], y[test]) > 0.9


def test_it_takes_part_in_searches(entries):
    X, y = (part[:3000] for part in entries)
    grid = GridSearchCV(RGTNCompleter(random_state=0), {"max_steps": [0, 4]}, cv=2).fit(X, y)
    assert grid.best_params_ == {"max_steps": 4}
    assert cross_val_score(grid.best_estimator_, X, y, cv=2).min() > 0.8


def test_the_end_of_time_leaves_a_model(entries):
    X, y = entries
    with mock.patch.object(coordinates, "_effects", wraps=coordinates._effects) as once:
        model = RGTNCompleter(random_state=0, time_limit=1e-6).fit(X, y)
    assert np.isfinite(model.predict(X)).all()
    # The effects alone, and the one sweep over all rows.
    assert once.call_count == 2


@pytest.mark.parametrize("order", [2, 5])
def test_any_number_of_modes(order):
    rng = np.random.default_rng(0)
    X = rng.integers(4, size=(300, order))
    model = RGTNCompleter(random_state=0, max_steps=2).fit(X, X.sum(axis=1))
    assert model.score(X, X.sum(axis=1)) > 0.99


def test_one_mode_is_no_tensor():
    with pytest.raises(ValueError, match="at least 2"):
        RGTNCompleter().fit([[1], [2]], [1, 2])


def test_a_refused_refit_leaves_the_old_model(entries, fitted):
    X, y = entries
    before = fitted.predict(X)
    with pytest.raises(ValueError, match="inconsistent"):
        fitted.fit(X, y[:-1])
    assert_array_equal(fitted.predict(X), before)


def test_a_search_on_some_rows_ends_on_all_of_them(entries, monkeypatch):
    from sktn.structure import coordinates

    monkeypatch.setattr(coordinates, "_SEARCH_ROWS", 2500)
    X, y = entries
    model = RGTNCompleter(random_state=0).fit(X[:4000], y[:4000])
    assert "all rows" in {entry["action"] for entry in model.history_}
    assert model.score(X[4000:], y[4000:]) > 0.9


def test_targets_of_any_size(rng):
    X, y = rng.integers(0, 3, (40, 2)), rng.choice([-1.0, 0.5, 1.0], 40)
    unit = RGTNCompleter(max_steps=1, random_state=0).fit(X, y).predict(X)
    for size in (1.7e308, 1e-300):
        large = RGTNCompleter(max_steps=1, random_state=0).fit(X, size * y).predict(X)
        np.testing.assert_allclose(large / size, unit, rtol=1e-9)


def test_levels_of_any_size(rng):
    X, y = rng.choice([-1.7e308, 1.0, 1.7e308], (40, 2)), rng.normal(size=40)
    model = RGTNCompleter(max_steps=1, random_state=0).fit(X, y)
    assert model.shape_ == (3, 3)
    assert np.isfinite(model.predict(X)).all()
    with pytest.raises(ValueError, match="y contains infinity"):
        model.fit(X, ["1"] * 39 + ["inf"])


def test_frames_with_gaps_and_with_one_name_twice(rng):
    X = pd.DataFrame({"a": pd.array([1, 2, None, 1], dtype="Int64"), "b": [1, 2, 2, 1]})
    model = RGTNCompleter(max_steps=0, random_state=0)
    with pytest.raises(ValueError, match="X contains NaN or None, the first in row 2, mode 0"):
        model.fit(X, np.arange(4.0))
    with pytest.raises(ValueError, match="X contains NaN or None, the first in row 1, mode 1"):
        model.fit([[1.0, 2.0], [1.0, np.nan]], [0.0, 1.0])
    with pytest.raises(ValueError, match="y contains NaN or None, the first in row 1"):
        model.fit(X.fillna(1), np.array([1, None, 2, 3], dtype=object))
    with pytest.raises(ValueError, match="y contains NaN or None, the first in row 3"):
        model.fit(X.fillna(1), ["1", "0", "2", "nan"])
    with pytest.raises(ValueError, match=r"several columns of the names \['a'\]"):
        model.fit(X.set_axis(["a", "a"], axis=1), np.arange(4.0))
    assert list(model.fit(X.dropna(), [1.0, 2.0, 3.0]).feature_names_in_) == ["a", "b"]
