"""Weighted statistics: integer weights are repetitions, units and magnitudes do not matter."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from sktn.tables import statistics

values_and_weights = st.integers(1, 12).flatmap(
    lambda b: st.tuples(
        arrays(
            np.float64,
            (b, 2),
            elements=st.one_of(st.just(np.nan), st.integers(-3, 3), st.floats(-1e3, 1e3)),
        ),
        arrays(np.int64, b, elements=st.integers(1, 4)),
    )
)


def column_statistics(X, weight):
    """Every statistic of a table with gaps, by name."""
    column = X[~np.isnan(X[:, 0]), 0]
    mass = weight[~np.isnan(X[:, 0])]
    found = {"moments": statistics.mean_and_deviation(X, weight)}
    if len(column):
        found |= {
            "quantiles": statistics.quantiles(column, mass, [0.0, 0.1, 0.25, 0.5, 2 / 3, 1.0]),
            "median": statistics.median(column, mass),
            "fenced": statistics.fenced_moments(column, mass),
            "distribution": statistics.distribution(column, mass),
            "correlation": statistics.correlation(np.nan_to_num(X), weight),
        }
    return found


@given(values_and_weights)
def test_integer_weights_are_repetitions(drawn):
    X, weight = drawn
    found = column_statistics(X, weight.astype(float))
    repeated = np.repeat(X, weight, axis=0)
    expected = column_statistics(repeated, np.ones(len(repeated)))
    for name, value in expected.items():
        if name in ("quantiles", "median", "distribution"):
            np.testing.assert_array_equal(found[name], value, err_msg=name)
        else:
            np.testing.assert_allclose(found[name], value, 1e-9, 1e-9, err_msg=name)
    rows, mass = statistics.distinct_rows(X, weight.astype(float))
    again = statistics.distinct_rows(repeated, np.ones(len(repeated)))
    np.testing.assert_array_equal(rows, again[0])
    np.testing.assert_array_equal(mass, again[1])


@given(values_and_weights, st.sampled_from([1e-300, 1e-7, 3.0, 1e14, 1e300]))
def test_weights_have_no_unit(drawn, unit):
    X, weight = drawn
    found = column_statistics(X, weight * unit)
    for name, value in column_statistics(X, weight.astype(float)).items():
        np.testing.assert_allclose(found[name], value, 1e-9, 1e-9, err_msg=name)


@given(values_and_weights, st.integers(-900, 900))
def test_values_have_no_unit(drawn, exponent):
    X, weight = drawn
    X = np.round(X * 64)  # so that no digits are lost to subnormal numbers
    found = column_statistics(np.ldexp(X, exponent), weight.astype(float))
    for name, value in column_statistics(X, weight.astype(float)).items():
        if name == "distribution":
            np.testing.assert_array_equal(found[name][1], value[1])
        elif name == "correlation":
            np.testing.assert_allclose(found[name], value, 1e-9, 1e-9)
        else:
            np.testing.assert_array_equal(found[name], np.ldexp(value, exponent), err_msg=name)


def test_what_numpy_says(rng):
    X, weight = rng.normal(size=(50, 3)), rng.uniform(0.1, 2, 50)
    mean, deviation = statistics.mean_and_deviation(X, weight)
    np.testing.assert_allclose(mean, np.average(X, axis=0, weights=weight))
    variance = np.average((X - mean) ** 2, axis=0, weights=weight)
    np.testing.assert_allclose(deviation, np.sqrt(variance))
    np.testing.assert_allclose(
        statistics.quantiles(X, weight, [0.2, 0.7]),
        np.quantile(X, [0.2, 0.7], axis=0, weights=weight, method="inverted_cdf"),
    )
    cov = np.cov(X.T, aweights=weight, bias=True)
    scale = np.sqrt(np.diag(cov))
    np.testing.assert_allclose(statistics.correlation(X, weight), cov / np.outer(scale, scale))


@pytest.mark.parametrize("shift", [0.0, 1e9, -1e15])
def test_the_spread_survives_a_large_mean(shift, rng):
    X = shift + 16 * np.round(rng.normal(size=(200, 1)) * 100)
    weight = np.ones(200)
    _, expected = statistics.mean_and_deviation(X - shift, weight)
    np.testing.assert_allclose(statistics.mean_and_deviation(X, weight)[1], expected, rtol=1e-12)


def test_constants_have_no_spread_and_extremes_a_finite_one():
    weight = np.array([0.1, 0.2, 0.3])
    for value in (0.1, 1e9 + 0.1, -1.7e308, 5e-324):
        mean, deviation = statistics.mean_and_deviation(np.full((3, 1), value), weight)
        np.testing.assert_array_equal([mean[0], deviation[0]], [value, 0.0])
    X = np.array([[-1.7e308], [1.7e308], [1.7e308]])
    with np.errstate(all="raise", under="ignore"):
        mean, deviation = statistics.mean_and_deviation(X, np.full(3, 1.7e308))
        assert np.isfinite(statistics.fenced_moments(X[:, 0], weight)).all()
    np.testing.assert_allclose(mean, 1.7e308 / 3)
    np.testing.assert_allclose(deviation, 1.7e308 * np.sqrt(8 / 9))
    np.testing.assert_array_equal(
        statistics.mean_and_deviation(np.full((3, 1), np.nan), weight), np.zeros((2, 1))
    )


@pytest.mark.parametrize("center", [0.0, 1000.0])
@pytest.mark.parametrize("outlier", [1e30, -1e30])
def test_an_outlier_does_not_flatten_the_others(center, outlier, rng):
    column = np.append(center + rng.normal(size=100), outlier)
    mean, deviation = statistics.fenced_moments(column, np.ones(101))
    np.testing.assert_allclose([mean, deviation], [column[:100].mean(), column[:100].std()])


def test_rows_without_weight_do_not_count():
    X, weight = statistics.positive_rows(np.arange(4.0), [0, 2, 0, 1])
    np.testing.assert_array_equal(X, [1, 3])
    np.testing.assert_array_equal(weight, [2, 1])
    np.testing.assert_array_equal(
        statistics.level_weights(np.array([0, np.nan, 2]), [1, 2, 3], 4), [1, 0, 3, 0]
    )


def test_shares_of_the_ranks_survive_weights_of_all_sizes():
    mass = np.array([1e-50, 1.0, 1e-40, 1e-50, 1e-30])
    _, u = statistics.distribution(np.arange(5), mass, 0.25)
    room = np.array([0.125, 0.25, 0.25, 0.125, 0.25])
    np.testing.assert_allclose(u, 2 * np.cumsum(room) - room - 1, atol=1e-12)
    # A third each, though a third is no number.
    _, u = statistics.distribution(np.arange(4), np.array([1.0, 1.0, 1.0, 1e-200]), 1 / 3)
    np.testing.assert_allclose(u[:3], [-2 / 3, 0, 2 / 3], atol=1e-12)


@pytest.mark.parametrize("most", [1.0, 0.3, 0.1])
@pytest.mark.parametrize("shares", [[0.9, 0.05, 0.03, 0.02], [0.4, 0.3, 0.2, 0.1], [1.0]])
def test_a_value_takes_a_share_of_the_ranks_at_most(shares, most):
    _, u = statistics.distribution(np.arange(len(shares)), np.array(shares), most)
    # Mid-ranks, from both ends: what each value has for itself.
    room = np.zeros(len(u))
    reached = -1.0
    for i, middle in enumerate(u):
        room[i] = middle - reached
        reached += 2 * room[i]
    assert reached == pytest.approx(1)
    if most * len(shares) < 1:
        np.testing.assert_allclose(room, 1 / len(shares))
    else:
        assert room.max() <= most + 1e-12
        kept, shares = room < most - 1e-12, np.array(shares)
        np.testing.assert_allclose(room[kept] * shares[kept].sum(), shares[kept] * room[kept].sum())
