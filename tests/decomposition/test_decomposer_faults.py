"""Hostile tensors, parameters and interruptions: a clear error, or a finite and honest result."""

import itertools
import time
from unittest import mock

import numpy as np
import pandas as pd
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from sklearn.base import clone
from sklearn.exceptions import ConvergenceWarning, NotFittedError
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.utils.validation import check_is_fitted

import sktn
from sktn.networks import graph
from sktn.solvers import deadline
from sktn.structure.fixed import ring_matrix

SEARCHES = [
    sktn.EnumerationTNDecomposer,
    sktn.GeneticTNDecomposer,
    sktn.GreedyTNDecomposer,
    sktn.LocalSearchTNDecomposer,
    sktn.RGTNDecomposer,
    sktn.SVDinsTNDecomposer,
]
FIXED = [sktn.FCTNDecomposer, sktn.TRDecomposer, sktn.TTDecomposer]
LIMITED = [*SEARCHES, sktn.FCTNDecomposer, sktn.TRDecomposer]


def noise(*shape, seed=1):
    return np.random.default_rng(seed).normal(size=shape)


def planted(sizes, ranks, seed=0):
    return graph.to_dense(
        graph.random_cores(sizes, ring_matrix(ranks), np.random.default_rng(seed))
    )


def error(T, model):
    seen = ~np.isnan(T)
    return np.linalg.norm((model.to_tensor() - T)[seen]) / np.linalg.norm(T[seen])


@pytest.mark.slow
def test_a_target_of_zero_is_met_where_widening_meets_it_exactly():
    T = planted((2, 2, 6, 2), [2, 2, 2, 2])
    assert sktn.RGTNDecomposer(0.0, random_state=0).fit(T).reconstruction_error_ < 1e-13


@pytest.mark.parametrize("order", [7, 9])
def test_high_orders_do_not_overflow_single_precision(order):
    X = noise(*[3] * order)
    for k in range(order):
        X = np.cumsum(X, axis=k)
    search = sktn.RGSearch(n_cycles=0)
    model = sktn.RGTNDecomposer(0.3, search=search, random_state=0, time_limit=5).fit(X)
    assert error(X, model) <= 0.3


def test_grown_cores_are_gauged_at_unit_scale():
    from sktn.structure.moves import removals

    cores = graph.random_cores((5, 6, 4, 3), ring_matrix([2, 3, 2, 2]), np.random.default_rng(0))
    large = [(1e12 * core).astype(np.float32) for core in cores]
    _, expected = removals(cores, (5, 6, 4, 3))
    _, found = removals(large, (5, 6, 4, 3))
    for a, b in zip(expected, found, strict=True):
        assert b.cost == pytest.approx(1e96 * a.cost, rel=2e-2, abs=1e92)


@pytest.mark.parametrize("missing", [0.2, 0.5])
@pytest.mark.filterwarnings("ignore::UserWarning")
def test_gaps_leave_the_target_met(missing):
    T = noise(6, 5, 3)
    T[np.random.default_rng(0).random(T.shape) < missing] = np.nan
    model = sktn.RGTNDecomposer(0.5, random_state=0).fit(T)
    assert model.reconstruction_error_ <= 0.5
    assert model.reconstruction_error_ == pytest.approx(error(T, model))


def test_masks_are_gaps():
    T = planted((9, 8, 7), [2, 2, 2])
    hidden = np.random.default_rng(0).random(T.shape) < 0.2
    masked = np.ma.masked_array(np.where(hidden, 1e9, T), hidden)
    first = sktn.RGTNDecomposer(0.1, random_state=0).fit(masked)
    second = sktn.RGTNDecomposer(0.1, random_state=0).fit(np.where(hidden, np.nan, T))
    assert_array_equal(first.to_tensor(), second.to_tensor())
    assert_array_equal(first.transform(masked), second.transform(np.where(hidden, np.nan, T)))
    with pytest.raises(ValueError, match="NaN"):
        sktn.TTDecomposer().fit(masked)


@pytest.mark.parametrize("scale", [1e-300, 1e200])
@pytest.mark.parametrize("cls", [sktn.RGTNDecomposer, *FIXED])
def test_codes_and_scores_know_no_scale(cls, scale):
    T = planted((9, 8, 7), [2, 2, 2])
    model, unit = cls(0.05, random_state=0).fit(scale * T), cls(0.05, random_state=0).fit(T)
    assert model.reconstruction_error_ <= 0.05
    assert_array_equal(model.bond_dims_, unit.bond_dims_)
    assert_allclose(model.predict(scale * T) / scale, unit.predict(T), atol=1e-9)
    assert model.score(scale * T) == pytest.approx(unit.score(T), abs=1e-9)


def test_a_sample_without_entries_gets_the_mean_code():
    T = planted((9, 8, 7), [2, 2, 2])
    model = sktn.RGTNDecomposer(0.01, random_state=0).fit(T)
    code = model.transform(np.full((1, 8, 7), np.nan))[0]
    assert_allclose(code, model.cores_[0].reshape(9, -1).mean(axis=0))


@pytest.mark.parametrize("cls", SEARCHES)
@pytest.mark.parametrize("seed", range(4))
@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
def test_tiny_tensors_find_a_structure(cls, seed):
    T = noise(2, 2, 2)
    model = cls(random_state=seed).fit(T)
    assert error(T, model) < 1.0


class Clock:
    """Time that passes by being asked for: one second a look, without end."""

    def __init__(self):
        self.now = itertools.count()

    def perf_counter(self):
        return float(next(self.now))


@pytest.mark.parametrize("cls", LIMITED)
@pytest.mark.parametrize("shape", [(9, 8, 7), (2,) * 10])
@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
def test_every_loop_asks_for_the_time(cls, shape):
    # A loop that did not ask would go on; one that asks has some ends to tie up.
    clock = Clock()
    with mock.patch.object(deadline, "time", clock):
        model = cls(0.1, time_limit=40, random_state=0).fit(noise(*shape))
    assert next(clock.now) < 40 + 400
    if cls is sktn.RGTNDecomposer:
        assert model.reconstruction_error_ <= 0.1


@pytest.mark.filterwarnings("ignore::UserWarning")
def test_the_limit_is_one_for_gaps_and_search():
    T = planted((9, 8, 7), [2, 2, 2])
    T[np.random.default_rng(0).random(T.shape) < 0.3] = np.nan
    model = sktn.RGTNDecomposer(0.2, time_limit=1e-6, random_state=0).fit(T)
    assert model.reconstruction_error_ <= 0.2


def test_bonds_beyond_what_modes_carry_are_cut_by_name():
    T = noise(3, 3, 3)
    with pytest.warns(UserWarning, match="bond_dims gives bond 200 between modes 0 and 1"):
        model = sktn.RGTNDecomposer(bond_dims=np.full((3, 3), 200), random_state=0).fit(T)
    assert model.bond_dims_.max() == 9
    with pytest.warns(UserWarning, match="rank gives bond 50 between modes 1 and 2"):
        sktn.TRDecomposer(rank=[2, 50, 2], random_state=0).fit(T)
    assert sktn.FCTNDecomposer(rank=50, random_state=0).fit(T).bond_dims_.max() == 9
    # Beside the other bonds of its core, of 3 x 9, a wider one is redundant.
    wide = sktn.FCTNDecomposer(rank=999, n_sweeps=1, random_state=0).fit(noise(3, 20, 3))
    assert wide.bond_dims_[0, 2] == 27
    with pytest.raises(ValueError, match="bonds of mode 0 multiply to 40000"):
        sktn.FCTNDecomposer(rank=200).fit(noise(30, 20, 20))
    with pytest.raises(ValueError, match="operations"):
        sktn.FCTNDecomposer(rank=2).fit(noise(*[2] * 12))


def test_bonds_that_no_memory_and_no_time_are_enough_for_are_refused():
    with pytest.raises(ValueError, match="intermediate results of 3e\\+08 entries"):
        sktn.FCTNDecomposer(rank=3).fit(noise(*[2] * 8))
    start = time.process_time()
    with pytest.raises(ValueError, match="more than time_limit leaves"):
        sktn.FCTNDecomposer(rank=3, time_limit=0.5).fit(noise(*[5] * 7))
    assert time.process_time() - start < 1.0


def test_parameters_are_checked_for_zero_tensors_too():
    with pytest.raises(ValueError, match="max_parameters=3"):
        sktn.RGTNDecomposer(max_parameters=3).fit(np.zeros((4, 5, 6)))
    assert sktn.RGTNDecomposer(max_parameters=15).fit(np.zeros((4, 5, 6))).n_parameters_ == 15


@pytest.mark.parametrize(
    ("model", "message"),
    [
        (sktn.TRDecomposer(rank=[1.9, 2, 2]), r"rank=\[1.9, 2, 2\]"),
        (sktn.TRDecomposer(rank=[2, 2]), "each of 3 bonds"),
        (sktn.FCTNDecomposer(rank=np.full((3, 3), 1.9)), "rank has shape"),
        (sktn.TTDecomposer(tensor_shape=(2.0, 2)), "tensor_shape"),
        (sktn.TTDecomposer(tensor_shape=(-1, -1)), "tensor_shape"),
        (sktn.TTDecomposer(tensor_shape=(0, 4)), "tensor_shape"),
        (sktn.TTDecomposer(tensor_shape=(3, -1)), "entries"),
        (sktn.RGTNDecomposer(bond_dims=np.full((3, 3), 1.5)), "bond_dims"),
        (sktn.RGTNDecomposer(ordered_modes=[0.5]), r"ordered_modes=\[0.5\]"),
        (sktn.RGTNDecomposer(search=sktn.RGSearch(n_cycles=-1)), "n_cycles"),
    ],
)
def test_values_inside_parameters_are_checked(model, message):
    with pytest.raises(ValueError, match=message):
        model.fit(noise(3, 2, 2))
    with pytest.raises(NotFittedError):
        check_is_fitted(model)


def test_minus_one_is_what_is_left():
    X = noise(6, 12)
    assert sktn.TTDecomposer(tensor_shape=(-1, 4)).fit(X).tensor_shape_ == (6, 3, 4)
    assert sktn.TTDecomposer(tensor_shape=[-1]).fit(X).tensor_shape_ == (6, 12)


@pytest.mark.parametrize("cls", [sktn.RGTNDecomposer, sktn.TTDecomposer, sktn.TRDecomposer])
def test_a_refit_that_ends_early_changes_nothing(cls):
    T = planted((6, 5, 4), [2, 2, 2])
    model = cls(0.1, random_state=0).fit(T)
    before, state = model.predict(T), dict(vars(model))
    with (
        mock.patch("sktn.decomposition.base.relative_error", side_effect=KeyboardInterrupt),
        pytest.raises(KeyboardInterrupt),
    ):
        model.fit(noise(9, 8))
    assert vars(model) == state
    assert_array_equal(model.predict(T), before)
    with pytest.raises(ValueError, match=r"NaN|infinity"):
        model.fit(np.full((3, 3, 3), np.inf))
    assert vars(model) == state


def test_samples_keep_their_layout():
    model = sktn.TTDecomposer(tensor_shape=(4, 6)).fit(noise(9, 2, 12))
    assert model.predict(noise(3, 2, 12)).shape == (3, 2, 12)
    with pytest.raises(ValueError, match=r"samples of shape \(2, 12\)"):
        model.transform(noise(3, 2, 3, 4))


@pytest.mark.parametrize("cls", [*SEARCHES, *FIXED])
def test_codes_have_names_and_the_output_that_was_asked_for(cls):
    pd = pytest.importorskip("pandas")
    X = pd.DataFrame(noise(30, 8), index=np.arange(30) + 5).add_prefix("x")
    model = make_pipeline(StandardScaler(), cls(0.5, random_state=0)).set_output(transform="pandas")
    codes = model.fit_transform(X)
    name = cls.__name__.lower()
    assert list(codes.columns) == [f"{name}{k}" for k in range(codes.shape[1])]
    assert list(codes.index) == list(X.index)
    assert list(model.get_feature_names_out()) == list(codes.columns)


@pytest.mark.parametrize("cls", [sktn.FCTNDecomposer, sktn.TRDecomposer])
def test_given_graphs_reach_an_error_with_the_smallest_rank(cls):
    T = planted((7, 6, 5), [3, 3, 3])
    model = cls(0.01, random_state=0).fit(T)
    assert model.reconstruction_error_ <= 0.01
    rank = model.bond_dims_.max()
    below = cls(rank=int(rank) - 1, n_init=3, random_state=0).fit(T)
    assert below.reconstruction_error_ > 0.01


def test_a_miss_is_told_after_the_fit_is_kept():
    model = sktn.LocalSearchTNDecomposer(0.01, n_iterations=1, n_samples=1, random_state=0)
    with pytest.warns(ConvergenceWarning, match="target_error=0.01"):
        model.fit(noise(6, 6, 6))
    assert model.reconstruction_error_ > 0.01


def test_the_search_is_a_nested_parameter():
    model = sktn.RGTNDecomposer(search=sktn.RGSearch())
    model.set_params(search__n_cycles=3)
    assert clone(model).get_params()["search__n_cycles"] == 3


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_entries_at_the_end_of_the_range_stay_in_it(rng, dtype):
    """A reconstruction of the largest float may not be rounded to infinity."""
    T = np.sign(rng.normal(size=(3, 4, 5))) * np.finfo(dtype).max
    model = sktn.TTDecomposer(1e-6).fit(T.astype(dtype))
    for found in (model.predict(T.astype(dtype)), model.to_tensor()):
        np.testing.assert_allclose(found / np.finfo(dtype).max, np.sign(T), atol=1e-4)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_all_cores_but_that_of_the_samples_may_reach_beyond_the_floats(rng, dtype):
    largest = np.finfo(dtype).max
    T = largest * np.sign(rng.normal(size=(2, 2, 2, 1, 1, 2, 1, 2, 1, 2))).astype(dtype)
    model = sktn.FCTNDecomposer(random_state=0).fit(T)
    np.testing.assert_allclose(model.predict(T) / largest, np.sign(T), atol=1e-3)
    assert model.score(T) > 0.9999


@pytest.mark.parametrize("Model", [sktn.TTDecomposer, sktn.RGTNDecomposer, sktn.RGTNImputer])
def test_a_mode_of_length_zero_is_named(Model):
    with pytest.raises(ValueError, match=r"\(3, 0, 2\)"):
        Model().fit(np.zeros((3, 0, 2)))


@pytest.mark.parametrize("make", [sktn.TTDecomposer, sktn.RGTNImputer])
def test_tables_are_read_as_elsewhere(make, rng):
    X = pd.DataFrame(rng.normal(size=(12, 3)), columns=list("abc"))
    whole = X.assign(b=pd.array([1, None, *range(10)], dtype="Int64"))
    objects = whole.to_numpy(dtype=object)
    if make is sktn.RGTNImputer:
        for table in (objects, whole):
            with pytest.warns(UserWarning, match="the mean fills the gaps"):
                found = make(random_state=0).fit_transform(table)
            assert np.isfinite(found).all()
    days = X.assign(d=pd.date_range("2020-01-01", periods=12))
    with pytest.raises(ValueError, match=r"'d' holds Datetime.*leave them out"):
        make().fit(days)
    with pytest.raises(ValueError, match="X holds dates"):
        make().fit(days[["d"]].to_numpy())
    with pytest.raises(ValueError, match=r"several columns of the names \['b'\]"):
        make().fit(X.rename(columns={"a": "b"}))


def test_a_frame_without_columns_is_refused_by_its_shape():
    with pytest.raises(ValueError, match=r"0 feature\(s\) \(shape=\(4, 0\)\)"):
        sktn.TTDecomposer().fit(pd.DataFrame(index=range(4)))
