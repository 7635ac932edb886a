"""Foldings and the last phase of the search, against dense tensors."""

from dataclasses import replace

import numpy as np
import pytest
from numpy.testing import assert_allclose

import sktn
from sktn.networks import graph
from sktn.solvers.als import Fit, squared_error
from sktn.solvers.deadline import NEVER
from sktn.structure import folding, moves, neighbours, readings, rg, steps, tomography, trees
from sktn.structure.fixed import chain_matrix, complete_matrix, ring_matrix, tensor_train
from sktn.structure.task import Task


def folded_tensor(seed=0):
    """Modes of 6, 20 and 8 whose factors 4 and 5 hang on different neighbours."""
    R = np.ones((4, 4), dtype=int)
    for i, j, r in [(0, 1, 2), (1, 2, 2), (2, 3, 3)]:
        R[i, j] = R[j, i] = r
    X = graph.to_dense(graph.random_cores([6, 4, 5, 8], R, np.random.default_rng(seed)))
    return (X / np.linalg.norm(X)).reshape(6, 20, 8), graph.n_parameters((6, 4, 5, 8), R)


def test_a_centred_tree_is_the_same_and_orthonormal():
    X = np.random.default_rng(0).normal(size=(4, 5, 3, 6))
    cores = tensor_train(X, 0.1 * np.vdot(X, X))
    for root in range(4):
        moved = trees.centred(cores, root)
        assert_allclose(graph.to_dense(moved), graph.to_dense(cores), atol=1e-10)
        env = graph.environment(moved, root)
        assert_allclose(env.T @ env, np.eye(env.shape[1]), atol=1e-10)


def test_a_split_of_full_rank_keeps_the_tensor():
    X = np.random.default_rng(0).normal(size=(4, 6, 5))
    cores = trees.centred(tensor_train(X, 0.2 * np.vdot(X, X)), 1)
    for pair in ((2, 3), (3, 2)):
        for second in ((), (0,), (2,), (0, 2)):
            split = folding._Split(1, pair, second, 10**6, 0.0, 0.0)
            halves = folding.applied(cores, split)
            assert [core.shape[k] for k, core in enumerate(halves)] == [4, *pair, 5]
            dense = graph.to_dense(halves).reshape(X.shape)
            assert_allclose(dense, graph.to_dense(cores), atol=1e-10)


def test_a_split_drops_what_it_says():
    X = np.random.default_rng(1).normal(size=(4, 6, 5)).cumsum(axis=1)
    X /= np.linalg.norm(X)
    cores = trees.centred(tensor_train(X, 1e-3), 1)
    split = folding.priced(cores[1], 1, cores[1].size, 0.5, 0.0)[0]
    dense = graph.to_dense(folding.applied(cores, split)).reshape(X.shape)
    before = graph.to_dense(cores)
    assert split.dropped > 0.0
    assert np.vdot(dense - before, dense - before) == pytest.approx(split.dropped)


def test_planted_factors_are_found():
    X, size = folded_tensor()
    found, cores = folding.fold(X, 1e-3, NEVER)
    assert found.factors == ((6,), (4, 5), (8,))
    assert found.shape == (6, 4, 5, 8)
    assert np.linalg.norm(graph.to_dense(cores).reshape(X.shape) - X) <= 1e-3
    assert sum(core.size for core in cores) == size


def test_primes_are_left_as_they_are():
    X = np.random.default_rng(0).normal(size=(11, 7, 5)).cumsum(axis=0)
    found, _ = folding.fold(X / np.linalg.norm(X), 0.1, NEVER)
    assert found.trivial
    model = sktn.RGTNDecomposer(0.5, random_state=0).fit(X)
    assert model.folded_shape_ == ((11,), (7,), (5,))


def test_a_folded_fit_encodes_and_decodes_as_any():
    X, size = folded_tensor()
    model = sktn.RGTNDecomposer(1e-3, fold="auto", random_state=0).fit(X)
    assert model.n_parameters_ == size
    assert model.folded_shape_ == ((6,), (4, 5), (8,))
    assert model.tensor_shape_ == X.shape
    assert_allclose(model.to_tensor(), X, atol=1e-3)
    codes = model.transform(X)
    assert model.get_feature_names_out().shape == (codes.shape[1],)
    assert_allclose(model.inverse_transform(codes), X, atol=1e-3)
    assert model.score(X) >= 1 - 1e-6


def test_folded_samples_have_codes_too():
    X, size = folded_tensor()
    Y = np.moveaxis(X, 1, 0)
    model = sktn.RGTNDecomposer(1e-3, fold="auto", random_state=0).fit(Y)
    assert model.folded_shape_[0] == (4, 5)
    assert model.n_parameters_ == size
    codes = model.transform(Y)
    assert codes.shape == (20, model.get_feature_names_out().size)
    assert_allclose(model.predict(Y), Y, atol=1e-3)
    assert_allclose(model.to_tensor(), Y, atol=1e-3)


def test_a_folding_that_was_found_can_be_given():
    X, size = folded_tensor()
    first = sktn.RGTNDecomposer(1e-3, random_state=0).fit(X)
    assert first.folded_shape_ == ((6,), (4, 5), (8,))  # "auto" is the default
    again = sktn.RGTNDecomposer(
        1e-3, fold=first.folded_shape_, bond_dims=first.bond_dims_, random_state=0
    ).fit(X + 1e-5)
    assert (again.bond_dims_ == first.bond_dims_).all()
    assert again.folded_shape_ == first.folded_shape_
    searched = sktn.RGTNDecomposer(1e-3, fold=[[6], [4, 5], [8]], random_state=0).fit(X)
    assert searched.n_parameters_ == size
    assert sktn.RGTNDecomposer(1e-3, fold=None, random_state=0).fit(X).bond_dims_.shape == (3, 3)


@pytest.mark.parametrize(
    "fold", [((6,), (20,)), ((6,), (4, 4), (8,)), (6, 20, 8), ((-6,), (20,), (-8,))]
)
def test_a_folding_of_another_shape_is_refused(fold):
    X, _ = folded_tensor()
    with pytest.raises(ValueError, match=r"does not fold a tensor of shape \(6, 20, 8\)"):
        sktn.RGTNDecomposer(fold=fold).fit(X)


def test_what_the_unfoldings_need_is_a_proof():
    rng = np.random.default_rng(0)
    X = graph.to_dense(graph.random_cores([7, 6, 5, 6], ring_matrix([2, 3, 2, 2]), rng))
    X = X / np.linalg.norm(X) + 0.1 * rng.normal(size=X.shape) / np.sqrt(X.size)
    task = steps.Problem(X, X.shape, 0.02 * np.vdot(X, X), rng)
    cuts = readings.needed(task, tomography.spectra(X))
    task = replace(task, cuts=cuts)
    refused = 0
    for _ in range(30):
        R = np.triu(rng.integers(1, 4, (4, 4)), 1)
        R = np.maximum(R + R.T, 1)
        if not task.possible(R):
            refused += 1
            fit = task.fit(graph.random_cores(X.shape, R, rng), 40, give_up=False)
            assert not task.met(fit)
    assert 5 < refused < 30
    assert task.possible(complete_matrix(6, 4))


def test_a_search_that_cannot_be_the_smallest_ends_early():
    X = np.random.default_rng(0).normal(size=(12, 8, 6)).cumsum(axis=0).cumsum(axis=1)
    X /= np.linalg.norm(X)
    sizes = []
    for ceiling in (np.inf, 1.0):
        history = []
        task = Task(X, 0.1, np.random.default_rng(0), history=history.append)
        cores = rg.search(task, rg.Settings(ceiling=ceiling))
        assert squared_error(X, cores) <= 0.01
        sizes.append(len(history))
    assert sizes[1] < 0.5 * sizes[0]


def test_what_is_planted_is_read_before_it_is_folded():
    X = graph.to_dense(
        graph.random_cores([9, 8, 10, 6], ring_matrix([2, 3, 2, 2]), np.random.default_rng(0))
    )
    model = sktn.RGTNDecomposer(1e-4, random_state=0).fit(X)
    assert model.n_parameters_ == graph.n_parameters(X.shape, ring_matrix([2, 3, 2, 2]))
    assert "fold" not in {entry["action"] for entry in model.history_}
    assert model.folded_shape_ == ((9,), (8,), (10,), (6,))


def test_foldings_are_never_larger():
    X = np.random.default_rng(0).normal(size=(12, 8, 6)).cumsum(axis=0).cumsum(axis=1)
    plain = sktn.RGTNDecomposer(0.1, fold=None, random_state=0).fit(X)
    folded = sktn.RGTNDecomposer(0.1, fold="auto", random_state=0).fit(X)
    assert folded.n_parameters_ <= plain.n_parameters_
    assert folded.reconstruction_error_ <= 0.1


def test_trees_above_order_six_are_found_by_descent():
    R = np.ones((7, 7), dtype=int)
    edges = [(0, 3), (3, 5), (5, 1), (3, 6), (6, 2), (2, 4)]
    for i, j in edges:
        R[i, j] = R[j, i] = 2
    X = graph.to_dense(graph.random_cores([3] * 7, R, np.random.default_rng(0)))
    X /= np.linalg.norm(X)
    found = trees.cheapest(trees.Unfoldings(X), X.shape, 1e-6)
    assert graph.n_parameters(X.shape, found) <= graph.n_parameters(X.shape, R)
    assert np.linalg.norm(graph.to_dense(trees.truncated(X, found)) - X) <= 1e-3


def _state(X, R, target, sweeps=60, seed=0):
    rng = np.random.default_rng(seed)
    task = steps.Problem(X, X.shape, target, rng)
    state = task.fit(graph.random_cores(X.shape, R, rng), sweeps, tol=1e-6, give_up=False)
    assert task.met(state)
    return task, state


def test_moves_have_the_size_and_the_error_they_promise():
    X = np.random.default_rng(0).normal(size=(6, 5, 4, 5)).cumsum(axis=0).cumsum(axis=1)
    X /= np.linalg.norm(X)
    task, state = _state(X, complete_matrix(3, 4), 0.05)
    found = neighbours._moves(task, state)
    assert len(found) > 40
    for move in found[::5]:
        size = graph.n_parameters(X.shape, graph.bond_dims(move.cores))
        assert state.size - size == move.saved > 0
        assert squared_error(X, move.cores) == pytest.approx(move.error, rel=1e-6, abs=1e-10)


@pytest.mark.parametrize("seed", range(3))
def test_superfluous_bonds_are_dropped(seed):
    rng = np.random.default_rng(seed)
    planted = graph.random_cores([9, 9, 9], chain_matrix([2, 4]), rng)
    planted[0] /= np.linalg.norm(graph.to_dense(planted))
    X = graph.to_dense(planted)
    cores = planted
    for i, j, width in ((0, 2, 1), (0, 1, 2)):
        small = []
        for k in (i, j):
            shape = list(cores[k].shape)
            shape[j if k == i else i] = width
            small.append(1e-3 * rng.normal(size=shape))
        cores = moves.append_slices(cores, i, j, *small)
    task = steps.Problem(X, X.shape, 1e-4, rng)
    start = task.state(Fit(cores, squared_error(X, cores), 0))
    everything = neighbours.Descent()
    end = neighbours.descend(task, start if task.met(start) else task.fit(cores, 20), everything)
    assert task.met(end)
    assert end.size <= graph.n_parameters(X.shape, chain_matrix([2, 4]))


def test_the_descent_never_leaves_the_target():
    X = np.random.default_rng(3).normal(size=(7, 6, 5)).cumsum(axis=0)
    X /= np.linalg.norm(X)
    task, state = _state(X, ring_matrix([4, 4, 4]), 0.1)
    end = neighbours.descend(task, state, neighbours.Descent())
    assert task.met(end)
    assert squared_error(X, end.cores) <= 0.1
    assert end.size <= state.size
    again = task.state(Fit(end.cores, end.error, 0))
    assert neighbours.descend(task, again, neighbours.Descent()).size <= end.size


def test_spectrum_is_that_of_the_unfolding():
    X = np.random.default_rng(0).normal(size=(3, 4, 5))
    values = np.linalg.svd(np.moveaxis(X, 1, 0).reshape(4, -1), compute_uv=False) ** 2
    assert_allclose(tomography.spectrum(X, [1]), values)
    assert tomography.spectrum(X, [1], widest=3) is None
