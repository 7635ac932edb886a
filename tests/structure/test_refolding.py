"""Splits of cores in networks with loops, and the search over a tensor and its foldings."""

import numpy as np
import pytest
from numpy.testing import assert_allclose

import sktn
from sktn.networks import graph
from sktn.solvers.deadline import Deadline
from sktn.structure import folding, portfolio, refolding, rg
from sktn.structure.fixed import complete_matrix, tensor_train
from sktn.structure.task import Task


def folded_loop(seed=0):
    """A triangle, one of whose modes is itself two: tensor (12, 7, 8), cores of (3, 4, 7, 8)"""
    rng = np.random.default_rng(seed)
    R = np.ones((4, 4), dtype=int)
    for i, j, r in [(0, 1, 2), (0, 2, 2), (1, 3, 2), (2, 3, 3)]:
        R[i, j] = R[j, i] = r
    cores = graph.random_cores([3, 4, 7, 8], R, rng)
    X = graph.to_dense(cores)
    cores[0] = cores[0] / np.linalg.norm(X)
    return (X / np.linalg.norm(X)).reshape(12, 7, 8), cores


def flat(X):
    return folding.Folding(tuple((n,) for n in X.shape))


def test_whitened_cores_of_a_tree_have_the_norm_of_the_tensor():
    X = np.random.default_rng(0).normal(size=(4, 5, 3, 6))
    cores = tensor_train(X, 0.1 * np.vdot(X, X))
    for k in range(4):
        white, inverses, scale = refolding.whitened(cores, k)
        assert np.linalg.norm(white) == pytest.approx(np.linalg.norm(graph.to_dense(cores)))
        back = white / scale
        for j, inverse in inverses.items():
            back = refolding._along(back, j, inverse)
        assert_allclose(back, cores[k], atol=1e-9)


def test_a_split_of_full_rank_keeps_a_network_with_loops():
    cores = graph.random_cores([4, 6, 5], complete_matrix(2, 3), np.random.default_rng(0))
    dense = graph.to_dense(cores)
    for pair in ((2, 3), (3, 2)):
        for second in ((), (0,), (2,), (0, 2)):
            split = folding._Split(1, pair, second, 10**6, 0.0, 0.0)
            halves = refolding._halved(cores, split, *refolding.whitened(cores, 1))
            assert [core.shape[k] for k, core in enumerate(halves)] == [4, *pair, 5]
            assert_allclose(graph.to_dense(halves).reshape(dense.shape), dense, atol=1e-9)


def test_a_mode_in_a_loop_falls_apart():
    X, cores = folded_loop()
    task = Task(X, 1e-3, np.random.default_rng(0))
    # The first two cores as one: bonds to 7 (through the factor 3) and to 8 (through the factor 4).
    merged = np.einsum("arv,rbs->abvs", cores[0][..., 0], cores[1][:, :, 0]).reshape(12, 2, 2)
    plain = [merged, cores[2][:, 0], cores[3][0]]
    assert_allclose(graph.to_dense(plain), X, atol=1e-12)
    found, split = refolding.refold(task, flat(X), plain)
    assert found.factors == ((3, 4), (7,), (8,))
    assert sum(core.size for core in split) <= sum(core.size for core in cores)
    assert sum(core.size for core in split) < sum(core.size for core in plain)
    assert np.linalg.norm(graph.to_dense(split).reshape(X.shape) - X) <= 1e-3


@pytest.mark.parametrize("k", [0, 1, 2])
def test_cores_that_are_joined_are_the_same_tensor(k):
    cores = graph.random_cores([3, 4, 2, 5], complete_matrix(2, 4), np.random.default_rng(k))
    whole = folding.joined(cores, k)
    assert [core.ndim for core in whole] == [3, 3, 3]
    dense = graph.to_dense(cores)
    assert_allclose(graph.to_dense(whole).ravel(), dense.ravel(), atol=1e-10)


def test_only_factors_of_one_mode_are_joined():
    found = folding.Folding(((2, 3, 2), (7,), (4, 2)))
    assert found.joints == [0, 1, 4]
    assert found.joined(1).factors == ((2, 6), (7,), (4, 2))
    assert found.joined(4).factors == ((2, 3, 2), (7,), (8,))


@pytest.mark.parametrize("pair", [(2, 6), (4, 3), (6, 2)])
def test_factors_of_the_wrong_lengths_are_split_otherwise(pair):
    X, cores = folded_loop()
    task = Task(X, 1e-3, np.random.default_rng(0))
    split = folding._Split(0, pair, (1,), 10**6, 0.0, 0.0)
    wrong = folding.applied(folding.joined(cores, 0), split)
    found, other = refolding.remake(task, folding.Folding((pair, (7,), (8,))), wrong)
    assert found.factors[0][0] == 3
    assert sum(core.size for core in other) <= sum(core.size for core in cores)
    assert np.linalg.norm(graph.to_dense(other).reshape(X.shape) - X) <= 1e-3
    late = Task(X, 1e-3, np.random.default_rng(0), deadline=Deadline.after(-1.0))
    assert refolding.remake(late, found, wrong)[1] is wrong
    assert refolding.remake(task, found, other)[1] is other


def test_what_does_not_fall_apart_is_left_as_it_is():
    rng = np.random.default_rng(0)
    cores = graph.random_cores([8, 6, 9], complete_matrix(2, 3), rng)
    cores[0] /= np.linalg.norm(graph.to_dense(cores))
    X = graph.to_dense(cores)
    found, same = refolding.refold(Task(X, 1e-3, rng), flat(X), cores)
    assert found.trivial
    assert same is cores
    late = Task(X, 1e-3, rng, deadline=Deadline.after(-1.0))
    assert refolding.refold(late, flat(X), cores)[1] is cores


def test_the_search_over_foldings_reports_modes_of_the_tensor():
    X, _ = folded_loop()
    Y = X + 0.02 * np.random.default_rng(1).normal(size=X.shape) / np.sqrt(X.size)
    Y = (Y / np.linalg.norm(Y)).cumsum(axis=1)
    Y /= np.linalg.norm(Y)
    history = []
    task = Task(Y, 0.1, np.random.default_rng(0), history=history.append)
    found, cores = portfolio.search(task, rg.Settings())
    assert np.linalg.norm(graph.to_dense(cores).reshape(Y.shape) - Y) <= 0.1
    assert tuple(core.shape[k] for k, core in enumerate(cores)) == found.shape
    bonds = {entry["bond"] for entry in history} - {None}
    assert bonds
    assert max(max(bond) for bond in bonds) < 3


def test_modes_of_one_entry_stay_where_they_are():
    X, cores = folded_loop()
    model = sktn.RGTNDecomposer(1e-3, random_state=0).fit(X.reshape(12, 1, 7, 8))
    assert model.folded_shape_ == ((3, 4), (1,), (7,), (8,))
    assert model.n_parameters_ <= sum(core.size for core in cores) + 1
    assert model.to_tensor().shape == (12, 1, 7, 8)
    assert model.reconstruction_error_ <= 1e-3
    codes = model.transform(X.reshape(12, 1, 7, 8))
    assert_allclose(model.inverse_transform(codes)[:, 0], X, atol=1e-3)
