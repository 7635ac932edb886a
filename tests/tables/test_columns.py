"""From a table to coordinates: scalings, weights, ranks, categories, and what has no site."""

import pickle
from dataclasses import fields

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from sktn.tables.column_fit import fit_columns

SCALINGS = ("standard", "quantile", "capped", "blended", "minmax", "mixed", "common")
every_scaling = pytest.mark.parametrize("scaling", SCALINGS)
tables = arrays(np.float64, (12, 3), elements=st.integers(-20, 20).map(float))


def coordinates(X, **options):
    return fit_columns(X, **options).transform(X)


def test_standard_scaling_clips(rng):
    X = rng.normal(2.0, 5.0, size=(200, 2))
    X[0, 0] = 1e4
    z = (X - X.mean(axis=0)) / X.std(axis=0) / 3
    np.testing.assert_allclose(coordinates(X, domain=(0, 1))[..., 0], (np.clip(z, -1, 1) + 1) / 2)


def test_minmax_scaling_reaches_both_ends(rng):
    X = rng.normal(size=(50, 2))
    z = coordinates(X, scaling="minmax", domain=(-3.0, 3.0))
    np.testing.assert_allclose([z.min(axis=0), z.max(axis=0)], [[[-3]] * 2, [[3]] * 2])


def test_common_scaling_keeps_ratios(rng):
    X = rng.normal(size=(50, 3)) * [1.0, 5.0, 0.1] + [0, 3, 9]
    centred = X - X.mean(axis=0)
    z = coordinates(X, scaling="common", domain=(-3.0, 3.0))[..., 0]
    np.testing.assert_allclose(z, 3 * centred / np.abs(centred).max(), atol=1e-12)


def test_ranks_of_ties_are_mid_ranks():
    X = np.array([[1.0], [5.0], [5.0], [7.0]])
    np.testing.assert_allclose(coordinates(X, scaling="quantile")[:, 0, 0], [-0.75, 0.0, 0.0, 0.75])


def test_ranks_are_uniform_and_few_knots_suffice(rng):
    X = np.exp(rng.normal(size=(5000, 1)))
    uniform = (2 * np.arange(5000) + 1) / 5000 - 1
    few = coordinates(X[:1000], scaling="quantile")[:, 0, 0]
    np.testing.assert_allclose(np.sort(few), (2 * np.arange(1000) + 1) / 1000 - 1)
    many = coordinates(X, scaling="quantile")[:, 0, 0]
    assert np.abs(np.sort(many) - uniform).max() < 0.004
    assert fit_columns(X, scaling="quantile").knots.shape[1] <= 1000


def test_mixed_scaling_is_both(rng):
    X = rng.normal(size=(40, 3))
    both = coordinates(X, scaling="mixed")
    np.testing.assert_array_equal(both[..., :1], coordinates(X, scaling="standard"))
    np.testing.assert_array_equal(both[..., 1:], coordinates(X, scaling="quantile"))


def test_blended_scaling_is_the_mean_of_both(rng):
    X = np.exp(2 * rng.normal(size=(200, 2)))
    rank, value = (coordinates(X, scaling=s)[:, :, 0] for s in ("quantile", "standard"))
    mean = np.sqrt(3) * rank + 3 * value
    mean = 2 * (mean - mean.min(axis=0)) / np.ptp(mean, axis=0) - 1
    np.testing.assert_allclose(coordinates(X, scaling="blended")[:, :, 0], mean, atol=1e-12)


def test_no_scaling_only_clips():
    X = np.array([[0.2], [0.9], [7.0]])
    z = coordinates(X, scaling="none", domain=(0.0, 1.0))
    np.testing.assert_array_equal(z[:, 0, 0], [0.2, 0.9, 1.0])


@every_scaling
def test_new_rows_stay_in_the_training_range(rng, scaling):
    X = rng.normal(size=(30, 2))
    columns = fit_columns(X, scaling=scaling)
    z = columns.transform(X)
    new = columns.transform(np.array([[-1e300, 1e300], [np.nan, 0.0]]))
    np.testing.assert_array_equal(new[0, 0], z[:, 0].min(axis=0))
    np.testing.assert_array_equal(new[0, 1], z[:, 1].max(axis=0))
    assert np.isnan(new[1, 0]).all()
    assert np.isfinite(new[1, 1]).all()


@every_scaling
@given(X=tables, weight=arrays(np.int64, 12, elements=st.integers(0, 3)))
def test_integer_weights_are_repetitions(scaling, X, weight):
    weight[0] = max(weight[0], 1)
    weighted = fit_columns(X, sample_weight=weight.astype(float), scaling=scaling)
    repeated = fit_columns(np.repeat(X, weight, axis=0), scaling=scaling)
    for field in fields(weighted):
        a, b = getattr(weighted, field.name), getattr(repeated, field.name)
        if isinstance(a, np.ndarray) and a.dtype.kind == "f":
            np.testing.assert_allclose(a, b, atol=1e-12)
        else:
            np.testing.assert_array_equal(a, b)


@every_scaling
@given(X=tables, factor=st.sampled_from([1e-3, 1.0, 7.0, 1e6]), shift=st.integers(-5, 5))
def test_positive_affine_maps_of_columns_change_nothing(scaling, X, factor, shift):
    np.testing.assert_allclose(
        coordinates(X, scaling=scaling),
        coordinates(X * factor + shift * factor, scaling=scaling),
        atol=1e-9,
    )


@every_scaling
@given(X=tables, order=st.permutations(range(3)))
def test_columns_do_not_see_each_other(scaling, X, order):
    X = X + np.arange(12)[:, None] * 100  # no constant columns
    np.testing.assert_allclose(
        coordinates(X, scaling=scaling)[:, order], coordinates(X[:, order], scaling=scaling)
    )


@every_scaling
def test_huge_values_stay_finite(rng, scaling):
    X = rng.normal(size=(60, 3)).astype(np.float32)
    X[:, 0] *= 1e30
    X[0, 1] = 3e38
    X[1, 1] = -3e38
    z = coordinates(X, scaling=scaling)
    assert z.dtype == np.float32
    assert np.isfinite(z).all()
    assert np.abs(z).max() <= 1
    assert np.isfinite(coordinates(X.astype(np.float64) * 5e269, scaling=scaling)).all()


@every_scaling
def test_columns_without_information_get_no_site(scaling):
    X = np.array([[1.0, 5.0, np.nan, 0.0], [2.0, 5.0, np.nan, np.nan], [4.0, 5.0, np.nan, 1.0]])
    columns = fit_columns(X, scaling=scaling)
    np.testing.assert_array_equal(columns.kept, [0, 3])
    assert columns.n_columns == 4
    assert columns.transform(X).shape == (3, 2, columns.channels)


@every_scaling
@pytest.mark.parametrize("value", [0.0, np.nan])
def test_one_site_is_left(scaling, value):
    columns = fit_columns(np.full((1, 3), value), scaling=scaling)
    np.testing.assert_array_equal(columns.kept, [0])
    assert np.isfinite(columns.transform(np.ones((2, 3)))).all()


def test_missingness_can_be_information():
    X = np.array([[5.0, 1.0], [np.nan, 2.0], [5.0, 3.0]])
    np.testing.assert_array_equal(fit_columns(X).kept, [1])
    np.testing.assert_array_equal(fit_columns(X, missing="indicator").kept, [0, 1])


@every_scaling
def test_rows_without_weight_have_no_influence(rng, scaling):
    X = rng.normal(size=(20, 3))
    X[:, 2] = rng.integers(0, 3, 20)
    weight = np.ones(20)
    weight[:5] = 0
    spoilt = X.copy()
    spoilt[:5] = [1e9, np.nan, 7]
    options = {"scaling": scaling, "categorical": np.array([False, False, True])}
    expected = fit_columns(X[5:], **options).transform(X[5:])
    found = fit_columns(spoilt, sample_weight=weight, **options).transform(X[5:])
    np.testing.assert_array_equal(found, expected)


@every_scaling
def test_levels_are_ranked_by_frequency(scaling):
    X = np.array([[0, 2.0], [1, 2], [2, 0], [3, 3], [4, 2], [5, 3]])
    columns = fit_columns(X, scaling=scaling, categorical=np.array([False, True]))
    codes = np.array([2.0, 3, 0, 1, 9, -1, np.nan])
    z = columns.transform(np.stack([codes, codes], axis=1))[:, 1]
    nan = np.nan
    np.testing.assert_array_equal(z[:, -1], [0, 1, 2, nan, nan, nan, nan])
    np.testing.assert_array_equal(columns.n_levels, [3])


@every_scaling
def test_columns_pickle(rng, scaling):
    X = rng.normal(size=(20, 2))
    columns = fit_columns(X, scaling=scaling)
    again = pickle.loads(pickle.dumps(columns))
    np.testing.assert_array_equal(again.transform(X), columns.transform(X))


def test_no_weight_at_all_is_an_error():
    with pytest.raises(ValueError, match="at least one row needs a positive weight"):
        fit_columns(np.ones((3, 2)), sample_weight=np.zeros(3))


def test_groups_are_kept_or_dropped_as_a_whole(rng):
    X = rng.uniform(size=(20, 6))
    X[:, [1, 2, 3]] = 0.5
    columns = fit_columns(X, scaling="minmax", domain=(0.0, 1.0), group=2)
    single = fit_columns(X, scaling="minmax", domain=(0.0, 1.0))
    np.testing.assert_array_equal(columns.kept, [0, 2])
    assert (columns.n_sites, columns.n_columns, columns.channels) == (2, 3, 2)
    coords = columns.transform(X)
    assert coords.shape == (20, 2, 2)
    np.testing.assert_allclose(coords[:, 0, 0], single.transform(X)[:, 0, 0])
    np.testing.assert_allclose(coords[:, 1], single.transform(X)[:, 1:, 0])
    assert np.isfinite(coords).all()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"group": 4}, "multiple of 4"),
        ({"group": 2, "scaling": "mixed"}, "one column a site"),
        ({"group": 2, "categorical": np.array([True] + [False] * 5)}, "categorical"),
    ],
)
def test_groups_that_cannot_be_formed(rng, options, message):
    with pytest.raises(ValueError, match=message):
        fit_columns(rng.integers(0, 3, size=(20, 6)).astype(float), **options)


def test_unknown_scalings_are_named():
    with pytest.raises(
        ValueError, match="Unknown scaling 'foo': use one of 'standard', 'quantile'"
    ):
        fit_columns(np.ones((3, 2)), scaling="foo")
