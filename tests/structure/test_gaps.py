"""One rule for missing entries: masks, scales, slices without any observed entry, deadlines."""

from types import SimpleNamespace

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

from sktn.networks import graph
from sktn.solvers.als_masked import Observed, masked_sweep
from sktn.solvers.deadline import Deadline
from sktn.structure import codes, completion, gaps, holdout
from sktn.structure.fixed import complete_matrix


def planted(shape=(10, 8, 6), rank=2, seed=0):
    rng = np.random.default_rng(seed)
    factors = [rng.normal(size=(n, rank)) for n in shape]
    T = np.einsum("ar,br,cr->abc", *factors)
    return T, rng.random(T.shape) < 0.2


def fill(T, **settings):
    return gaps.filled(
        T, np.random.default_rng(0), completion.Settings(**{"ordered": None, **settings})
    )


def test_growths_are_averaged_where_their_errors_cancel():
    def growth(*values):
        values = np.array(values)
        return SimpleNamespace(held_values=values, loss=data.error(values), data=data)

    data = SimpleNamespace(error=lambda values: float(((values - 1) ** 2).mean()))
    one, other, far = growth(1.1, 1.0), growth(0.9, 1.0), growth(9.0, 9.0)
    counts, loss = completion._average([other, one, far], one)
    assert counts.tolist() == [1, 1, 0]
    assert loss == pytest.approx(0)


def test_what_a_mask_hides_is_missing():
    X = np.ma.masked_array(np.arange(6).reshape(2, 3), mask=[[0, 0, 1], [0, 0, 0]])
    assert_array_equal(gaps.unmasked(X), [[0, 1, np.nan], [3, 4, 5]])
    assert gaps.unmasked(X.astype(np.float32)).dtype == np.float32
    plain = np.ones((2, 2))
    assert gaps.unmasked(plain) is plain
    assert type(gaps.unmasked(np.ma.masked_array(plain))) is np.ndarray


@pytest.fixture(scope="module")
def in_units():
    T, gap = planted()
    return T, gap, fill(np.where(gap, np.nan, T))


@pytest.mark.parametrize(
    ("dtype", "scale"),
    [(np.float32, 1e-30), (np.float32, 1e30), (np.float64, 1e-300), (np.float64, 1e300)],
)
def test_the_scale_of_the_entries_changes_nothing(in_units, dtype, scale):
    T, gap, reference = in_units
    scaled = fill(np.where(gap, np.nan, T * scale).astype(dtype))
    assert scaled.dtype == dtype
    assert_allclose(scaled.astype(np.float64) / scale, reference, atol=1e-2)
    assert np.linalg.norm((reference - T)[gap]) < 0.05 * np.linalg.norm(T[gap])


def test_columns_of_a_table_keep_their_own_scales():
    rng = np.random.default_rng(0)
    X = np.outer(rng.normal(size=60), [1.0, 2.0, -1.0, 0.5]) + 0.1 * rng.normal(size=(60, 4))
    holes = np.where(rng.random(X.shape) < 0.2, np.nan, X)
    scales = np.array([1e-300, 1.0, 1e150, 1e300])
    assert_allclose(fill(holes * scales) / scales, fill(holes), rtol=1e-3, atol=1e-4)


def test_units_are_inverse_to_each_other_and_stay_in_range():
    X = np.array([[1.7e308, 1.0], [-1.7e308, 2.0], [0.0, np.nan]])
    units = gaps.units(X, ~np.isnan(X), by_column=True)
    Z = units.standard(X)
    assert_allclose(np.nanmean(Z, axis=0), 0.0, atol=1e-12)
    assert_allclose(np.nanstd(Z, axis=0), 1.0)
    assert_allclose(units.original(Z), X)
    assert np.isfinite(units.original(np.full((1, 2), 1e3))).all()


@pytest.mark.parametrize("seed", range(4))
def test_a_slice_without_entries_is_filled_within_the_data(seed):
    T, gap = planted(seed=seed)
    T[3], gap[:, 2] = np.nan, True
    holes = np.where(gap, np.nan, T)
    filled = fill(holes)
    largest = max(np.abs(filled[3]).max(), np.abs(filled[:, 2]).max())
    assert largest <= np.nanmax(np.abs(holes))
    assert_allclose(filled[3], np.delete(filled, 3, axis=0).mean(axis=0), atol=0.05)


def test_a_missing_slice_of_an_ordered_mode_is_interpolated():
    t = np.linspace(0.0, 3.0, 20)
    T = np.sin(t)[:, None, None] * np.ones((1, 6, 5)) + 0.3 * np.arange(5)
    holes = T.copy()
    holes[[4, 11]] = np.nan
    assert_allclose(fill(holes, ordered=(0,))[[4, 11]], T[[4, 11]], atol=0.05)
    assert np.abs(fill(holes, ordered=())[[4, 11]] - T[[4, 11]]).max() > 0.2


def test_bonds_are_reported_in_the_tensors_own_modes():
    T, gap = planted((9, 1, 8))
    entries = []
    gaps.complete(np.where(gap, np.nan, T), np.random.default_rng(0), None, entries.append)
    assert {entry["bond"] for entry in entries} == {None, (0, 2)}


def test_values_of_the_network_are_those_filled_in():
    T, gap = planted()
    found = gaps.complete(np.where(gap, np.nan, T), np.random.default_rng(0))
    assert [core.shape[k] for k, core in enumerate(found.cores)] == [10, 8, 6]
    assert_array_equal(found.values[~gap], T[~gap])
    assert [len(a) for a in found.absent] == [0, 0, 0]


@pytest.mark.parametrize(
    ("settings", "alone"), [({"noise": 0.0}, True), ({"residual": False}, True), ({}, False)]
)
def test_without_smoothness_the_values_are_those_of_the_network(settings, alone, rng):
    x, y = np.meshgrid(np.linspace(0, 3, 20), np.linspace(0, 2, 16), indexing="ij")
    T = np.sin(x * y)[:, :, None] * [1.0, 2.0, 3.0] + 0.02 * rng.normal(size=(20, 16, 3))
    gap = rng.random(T.shape) < 0.5
    found = gaps.complete(
        np.where(gap, np.nan, T),
        np.random.default_rng(0),
        completion.Settings(ordered=(0, 1), growths=1, max_steps=2, **settings),
    )
    own = found.units.original(graph.to_dense(found.cores), T.dtype)
    assert np.allclose(found.values[gap], own[gap], rtol=1e-4, atol=1e-5) == alone


def test_nothing_that_varies_needs_no_search():
    holes = np.where(np.random.default_rng(0).random((2,) * 6) < 0.1, np.nan, 1.0)
    assert_allclose(fill(holes), 1.0)


def test_completion_keeps_a_deadline():
    rng = np.random.default_rng(0)
    holes = np.where(rng.random((24,) * 4) < 0.5, np.nan, rng.normal(size=(24,) * 4))
    sweeps = []

    def expired():
        sweeps.append(1)
        return len(sweeps) > 2

    observed = Observed(np.nan_to_num(holes), np.isfinite(holes).astype(float))
    cores = [np.ones([24 if j == k else 1 for j in range(4)]) for k in range(4)]
    after = masked_sweep(observed, cores, expired=expired)
    assert [np.array_equal(a, b) for a, b in zip(after, cores, strict=True)] == [0, 0, 1, 1]
    # No time at all: what is left is the mean, and neither random numbers nor a wait.
    with pytest.warns(UserWarning, match="the mean fills the gaps"):
        filled = fill(holes, deadline=Deadline.after(0.0))
    assert_allclose(filled[np.isnan(holes)], np.nanmean(holes))


def test_codes_of_new_rows_are_posterior_means():
    rng = np.random.default_rng(0)
    basis, trained = rng.normal(size=(7, 3)), rng.normal(size=(20, 3)) @ np.diag([2.0, 1.0, 0.1])
    trained[:, 0] += 3.0
    Z, seen = rng.normal(size=(5, 7)), rng.random((5, 7)) < 0.5
    seen[3], seen[4] = False, True
    filled = codes.fill_rows(np.where(seen, Z, np.nan), seen, basis, trained, noise=0.3)
    # The same from the joint normal distribution of the entries.
    mean = basis @ trained.mean(axis=0)
    C = basis @ np.cov(trained.T, bias=True) @ basis.T
    for row, on in enumerate(seen):
        known = C[np.ix_(on, on)] + 0.3 * np.eye(on.sum())
        expected = mean + C[:, on] @ np.linalg.solve(known, (Z[row] - mean)[on])
        assert_allclose(filled[row], np.where(on, Z[row], expected))
    assert_allclose(filled[3], mean)


def test_codes_all_the_same_stay_so():
    basis, seen = np.eye(2), np.array([[True, False]])
    filled = codes.fill_rows(np.array([[5.0, np.nan]]), seen, basis, np.ones((4, 2)), 1e-6)
    assert_allclose(filled, [[5.0, 1.0]])


def test_an_order_is_found_and_none_is_invented():
    rng = np.random.default_rng(0)
    t = np.linspace(0.0, 5.0, 24)
    X = np.sin(t)[:, None, None] + 0.5 * rng.normal(size=(24, 10, 8))
    W = (rng.random(X.shape) < 0.3).astype(float)
    assert holdout.has_order(X * W, W, 0, rng)
    for _ in range(5):
        shuffled = rng.permutation(24)
        assert not holdout.has_order((X * W)[shuffled], W[shuffled], 0, rng)
    assert not holdout.has_order(X * W, W * 0.0, 0, rng)


def test_more_of_few_entries_are_held_out():
    assert holdout.share(100) == 0.2
    assert holdout.share(2000) == 0.1
    assert holdout.share(1e6) == 0.05


def test_a_large_tensor_is_decided_on_a_coarse_scale(monkeypatch):
    monkeypatch.setattr(completion, "_SMALL", 1000)
    monkeypatch.setattr(completion, "_ENTRIES", 1000)
    y, x, t = np.meshgrid(*(np.linspace(0, 1, n) for n in (32, 32, 8)), indexing="ij")
    T = np.sin(5 * x + t) * np.cos(4 * y)
    gap = np.random.default_rng(0).random(T.shape) < 0.6
    entries = []
    found = gaps.complete(
        np.where(gap, np.nan, T), np.random.default_rng(0), callback=entries.append
    )
    assert found.ordered == (0, 1)
    # Three growths begin on coarse data, one of them sees the data themselves.
    assert sum(entry["action"] == "start" for entry in entries) == 3
    assert sum(entry["action"] == "lift" and entry["scale"] == 0 for entry in entries) == 1
    assert np.sqrt(np.mean((found.values - T)[gap] ** 2)) < 0.15 * T.std()


def test_where_the_observations_bear_no_more_parameters_sweeps_go_on():
    rng = np.random.default_rng(0)
    cores = graph.random_cores((20, 20, 20), complete_matrix(2, 3), rng)
    T = np.where(rng.random((20, 20, 20)) < 0.06, graph.to_dense(cores), np.nan)
    entries = []
    settings = completion.Settings(ordered=(), growths=1, patience=30)
    gaps.complete(T, rng, settings, callback=entries.append)
    sizes = [entry["n_parameters"] for entry in entries]
    sweeps = [n for n, entry in enumerate(entries) if entry["action"] == "sweep"]
    assert sweeps
    assert max(sizes) <= np.isfinite(T).sum() < 1.05 * sizes[sweeps[0]]
    assert sizes[sweeps[0]] == sizes[sweeps[0] - 1]


def test_what_is_far_beyond_the_unit_is_the_largest_number():
    found = gaps.Units(np.array([-1.7e308]), np.array([1.0])).standard([[1.7e308], [-1.7e308]])
    assert_array_equal(found, [[np.finfo(float).max], [0.0]])
