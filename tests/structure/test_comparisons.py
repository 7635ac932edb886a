"""The searches of others: their losses and steps against their definitions."""

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

import sktn
from sktn.networks import graph, normal
from sktn.solvers.als import squared_error
from sktn.solvers.deadline import Deadline
from sktn.structure.comparisons import enumeration, paper, svdins
from sktn.structure.evaluate import Evaluator
from sktn.structure.fixed import chain_matrix, complete_matrix, ring_matrix
from sktn.structure.task import Task


@pytest.fixture
def rng():
    return np.random.default_rng(0)


@pytest.fixture
def network(rng):
    X = rng.normal(size=(7, 5, 6)).cumsum(axis=0)
    X /= np.linalg.norm(X)
    return X, graph.random_cores(X.shape, complete_matrix(2, 3), rng)


def planted(seed=0):
    R = ring_matrix([2, 3, 2, 2])
    X = graph.to_dense(graph.random_cores([12, 8, 7, 6], R, np.random.default_rng(seed)))
    return X / np.linalg.norm(X), graph.n_parameters(X.shape, R)


def test_a_gate_is_a_diagonal_factor(network):
    _, cores = network
    gates = {(0, 1): np.array([0.0, 1.0]), (1, 2): np.array([1.0, 0.5])}
    kept = [cores[0][:, 1:], cores[1][1:], cores[2]]
    kept[1] = kept[1] * np.array([1.0, 0.5])
    assert_allclose(graph.to_dense(paper.gated(cores, gates)), graph.to_dense(kept), atol=1e-12)


def test_the_slopes_of_the_six_losses(network, rng):
    X, cores = network
    gates = {edge: rng.uniform(0.2, 0.9, 2) for edge in [(0, 1), (0, 2), (1, 2)]}
    weight = {"smooth": 0.3, "sparse": 0.2, "entropy": 0.1, "nuclear": 0.05}
    error, _, slopes, by_gate = paper.loss(X, cores, gates, (0, 2), weight)
    assert error == pytest.approx(squared_error(X, paper.gated(cores, gates)))

    def slope(array, index, step=1e-6):
        values = []
        for sign in (1, -1):
            array[index] += sign * step
            values.append(paper.loss(X, cores, gates, (0, 2), weight)[1])
            array[index] -= sign * step
        return (values[0] - values[1]) / (2 * step)

    for core, own in zip(cores, slopes, strict=True):
        assert slope(core, (1, 1, 1)) == pytest.approx(own[1, 1, 1], rel=1e-4)
    for edge, g in gates.items():
        assert slope(g, 1) == pytest.approx(by_gate[edge][1], rel=1e-4)


def test_every_loss_counts(network):
    X, cores = network
    gates = {(0, 1): np.array([0.3, 0.8])}
    none = dict.fromkeys(("smooth", "sparse", "entropy", "nuclear"), 0.0)
    plain = paper.loss(X, cores, gates, (0,), none)[1]
    for name in none:
        assert paper.loss(X, cores, gates, (0,), {**none, name: 1.0})[1] > plain


def test_tension_is_the_gradient_times_the_degree(network):
    X, cores = network
    step, gradient = 1e-6, np.zeros(cores[1].shape)
    for index in np.ndindex(*cores[1].shape):
        moved = [core.copy() for core in cores]
        moved[1][index] += step
        high = squared_error(X, moved)
        moved[1][index] -= 2 * step
        gradient[index] = (high - squared_error(X, moved)) / (2 * step)
    expected = 2 * np.linalg.norm(gradient)
    assert paper.tension(X, cores)[1] == pytest.approx(expected, rel=1e-3)


def test_shut_gates_and_faint_edges_go(network, rng):
    _, cores = network
    less, _ = paper._compressed(cores, {(0, 1): np.array([-1.0, 2.0])}, 1.0)
    assert graph.bond_dims(less)[0, 1] == 1
    faint = [core.copy() for core in cores]
    faint[0][:, :, 1] *= 1e-9
    less, _ = paper._compressed(faint, {(0, 1): np.ones(2), (0, 2): np.ones(2)}, 1.0)
    assert graph.bond_dims(less)[0, 2] == 1


def test_the_published_search_finds_a_planted_network():
    X, _ = planted()
    model = sktn.RGTNDecomposer(0.05, search="paper", random_state=0).fit(X)
    assert model.reconstruction_error_ <= 0.05
    assert {entry["scale"] for entry in model.history_} >= {0}
    assert model.bond_dims_.shape == (4, 4)
    with pytest.raises(ValueError, match="max_parameters=900 is nothing that search='paper'"):
        sktn.RGTNDecomposer(search="paper", max_parameters=900).fit(X)
    with pytest.raises(ValueError, match="is nothing that search='paper' takes: give fold=None"):
        sktn.RGTNDecomposer(search="paper", fold=((3, 4), (8,), (7,), (6,))).fit(X)


def test_the_published_search_begins_with_a_complete_graph_of_unit_norm(monkeypatch, rng):
    begun = []

    def scale(task, X, cores, ordered, scale):
        begun.append(cores)
        return cores

    monkeypatch.setattr(paper, "_scale", scale)
    X, _ = planted()
    paper.search(Task(X, 1.0, rng))
    assert_array_equal(graph.bond_dims(begun[0]), complete_matrix(2, 4))
    assert np.linalg.norm(graph.to_dense(begun[0])) == pytest.approx(1)


def test_a_coarse_scale_comes_first_where_a_mode_is_ordered(rng):
    X = rng.normal(size=(32, 6, 5)).cumsum(axis=0)
    model = sktn.RGTNDecomposer(0.3, search="paper", random_state=0).fit(X)
    assert model.history_[0]["scale"] == 2
    assert {entry["scale"] for entry in model.history_} == {0, 1, 2}


def test_component_quadratic_is_the_error(network, rng):
    X, cores = network
    A, B = normal.normal_equations(X, cores, 2)
    D, b = svdins.bond_quadratic(cores[2], A, B, 2, 0)
    g = rng.random(len(b))
    scaled = [*cores[:2], cores[2] * g.reshape(-1, 1, 1)]
    exact = squared_error(X, scaled)
    assert np.vdot(X, X) - 2 * b @ g + g @ D @ g == pytest.approx(exact)


def test_diagonals_begin_as_mean_singular_values_of_slices(rng):
    X = rng.normal(size=(4, 3, 5))
    slices = [np.linalg.svd(X[:, k], compute_uv=False) for k in range(3)]
    assert_allclose(svdins.slice_values(X, 0, 2, rng), np.mean(slices, axis=0))


def test_diagonals_are_minimised_under_their_penalty(rng):
    half = rng.normal(size=(6, 4))
    D, b, start, strength = half.T @ half, rng.normal(size=4), rng.normal(size=4), np.full(4, 0.3)

    def value(s):
        near = svdins._RHO / 2 * np.sum((s - start) ** 2)
        return s @ D @ s / 2 - b @ s + strength @ np.abs(s) + near

    best = svdins._diagonal(D, b, start, strength, rounds=500)
    for _ in range(50):
        assert value(best) <= value(best + 1e-3 * rng.normal(size=4)) + 1e-12


def test_normal_equations_follow_a_rescaled_bond(network):
    X, cores = network
    A, B = normal.normal_equations(X, cores, 0)
    keep, factor = np.array([False, True]), np.array([3.0, 0.5])
    A, B = svdins._rescaled(A, B, cores[0].shape, 0, 2, factor, keep)
    other = [cores[0][:, :, 1:], cores[1], 0.5 * cores[2][1:]]
    expected = normal.normal_equations(X, other, 0)
    assert_allclose(A, expected[0], atol=1e-12)
    assert_allclose(B, expected[1], atol=1e-12)


def test_sparse_diagonals_find_a_planted_network(rng):
    R = chain_matrix([2, 3])
    X = graph.to_dense(graph.random_cores([10, 8, 7], R, rng))
    options = {"max_rank": 4, "n_sweeps": 30, "random_state": 0}
    model = sktn.SVDinsTNDecomposer(0.01, n_tries=6, **options).fit(X)
    assert model.reconstruction_error_ <= 0.01
    assert model.n_parameters_ <= 1.5 * graph.n_parameters(X.shape, R)


def test_gamma_rises_from_network_to_network(rng):
    X = rng.normal(size=(9, 7, 6, 5))
    for axis in range(4):
        X = X.cumsum(axis)
    first, second = (
        sktn.SVDinsTNDecomposer(0.05, n_tries=n, max_rank=4, random_state=0).fit(X) for n in (1, 3)
    )
    assert second.reconstruction_error_ <= 0.05
    assert second.n_parameters_ < first.n_parameters_


def test_a_minimization_tells_what_it_passed_through(rng):
    X = rng.normal(size=(9, 7, 6, 5)).cumsum(0).cumsum(1).cumsum(2)
    evaluator = Evaluator(Task(X / np.linalg.norm(X), 0.05, np.random.default_rng(0)))
    scaled = X / np.abs(X).max()
    begun = svdins._start(evaluator, scaled, 1e-6, 5)
    begun = svdins._minimized(evaluator, scaled, begun, 1e-4, 1.0, 30)[-1]
    passed = svdins._minimized(evaluator, scaled, begun, 0.1, 1.0, 30)
    sizes = [sum(core.size for core in cores) for cores, _ in passed]
    assert len(sizes) > 2
    assert sizes == sorted(sizes, reverse=True)
    assert len({graph.bond_dims(cores).tobytes() for cores, _ in passed}) == len(passed)


def test_the_last_network_that_meets_the_target_is_found_in_few_fits():
    evaluator, asked = Evaluator(Task(np.ones((2, 2, 2)), 0.1, np.random.default_rng(0))), []

    def reached(evaluator, network, scale):
        asked.append(network)
        return network in "ab"

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(svdins, "_refitted", reached)
        assert svdins._last_met(evaluator, list("abcd"), 1.0) == "b"
        assert asked[0] == "d"
        assert len(asked) == 3
        assert svdins._last_met(evaluator, list("cd"), 1.0) is None


def test_an_evaluator_believes_the_error_itself():
    """Cores that grow against each other: the solver's sums are rounding, and looked like zero."""
    y, x = np.meshgrid(np.linspace(0, 6, 12), np.linspace(0, 6, 10), indexing="ij")
    views = np.arange(4)[:, None, None] * 0.1
    X = np.stack([np.sin(k * (y + views)) * np.cos(k * x) / k for k in (1, 3, 7)], axis=-1)
    X /= np.linalg.norm(X)
    evaluator = Evaluator(Task(X, 0.05, np.random.default_rng(0)))
    enumeration.search(evaluator, rounds=1)
    for _, fit in evaluator.seen.values():
        if fit is not None and fit.cores:
            assert fit.error == pytest.approx(squared_error(X, fit.cores), rel=1e-9, abs=1e-12)


def test_options_without_bounds_are_as_good_as_large_ones(rng):
    X = rng.normal(size=(4, 3, 5))
    models = [
        sktn.SVDinsTNDecomposer(0.99, gamma=1e300, n_tries=2, random_state=0),
        sktn.LocalSearchTNDecomposer(0.99, radius=1e300, n_iterations=1, random_state=0),
    ]
    for model in models:
        assert np.isfinite(model.fit(X).reconstruction_error_)


def test_enumeration_tries_no_bond_that_its_modes_cannot_carry(rng):
    X = rng.normal(size=(3, 2, 2))
    tried = []

    class Counted(Evaluator):
        def __call__(self, R, *args):
            tried.append(R)
            return super().__call__(R, *args)

    evaluator = Counted(Task(X / np.linalg.norm(X), 0.1, rng))
    enumeration.search(evaluator, rounds=1, reach=10**6, max_rank=1000)
    assert all((evaluator.capacity >= R).all() for R in tried)


def test_a_candidate_whose_squared_network_takes_seconds_is_not_fitted_in_half_a_second(rng):
    X = rng.normal(size=(8,) * 6)
    task = Task(X / np.linalg.norm(X), 0.1, rng, deadline=Deadline.after(0.5))
    assert Evaluator(task).affordable(complete_matrix(2, 6))
    assert not Evaluator(task).affordable(complete_matrix(3, 6))
