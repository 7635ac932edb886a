"""The mechanisms of the renormalization-group search, each against its definition."""

from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.testing import assert_allclose

from sktn.networks import graph, normal
from sktn.solvers.als import Fit, Stop, als, squared_error, update
from sktn.solvers.deadline import Deadline
from sktn.structure import folding, moves, readings, rg, scales, steps, tomography, trees, tucker
from sktn.structure.fixed import chain_matrix, complete_matrix, ring_matrix, tensor_train
from sktn.structure.task import Task


@pytest.fixture
def fitted():
    rng = np.random.default_rng(0)
    X = rng.normal(size=(7, 8, 6, 5))
    X /= np.linalg.norm(X)
    fit = als(X, graph.random_cores(X.shape, complete_matrix(3, 4), rng), Stop(30, give_up=True))
    return X, fit.cores, rng


def measured(X):
    return trees.Unfoldings(X, tomography.spectra(X))


def problem(X, target, sizes=None):
    return steps.Problem(X, sizes or X.shape, target, np.random.default_rng(1))


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 2**16), st.floats(0.0, 0.9))
def test_reduction_splits_the_error(seed, share):
    rng = np.random.default_rng(seed)
    X = rng.normal(size=(5, 4, 6))
    core, factors = tucker.reduce(X, share * np.vdot(X, X))
    dropped = np.vdot(X, X) - np.vdot(core, core)
    assert dropped <= share * np.vdot(X, X) + 1e-9
    cores = graph.random_cores(core.shape, complete_matrix(2, 3), rng)
    full = tucker.expand(cores, factors)
    assert squared_error(X, full) == pytest.approx(dropped + squared_error(core, cores))
    for back, there in zip(tucker.lift(full, factors), cores, strict=True):
        assert_allclose(back, there, atol=1e-9)


def test_tensor_train_meets_its_budget():
    X = np.random.default_rng(0).normal(size=(4, 5, 6, 3))
    for share in (0.0, 0.1, 0.5):
        cores = tensor_train(X, share * np.vdot(X, X))
        assert squared_error(X, cores) <= share * np.vdot(X, X) + 1e-9


def test_bond_matrices():
    assert chain_matrix([2, 3]).tolist() == [[1, 2, 1], [2, 1, 3], [1, 3, 1]]
    assert ring_matrix([2, 3, 4])[0, 2] == 4
    assert ring_matrix([2]).tolist() == [[1, 2], [2, 1]]


def test_growth_is_the_exact_decrease(fitted):
    X, cores, rng = fitted
    residual = X - graph.to_dense(cores)
    first, second, gain = moves.growth(residual, cores, 0, 2, 2, rng, half_steps=3)
    wider = moves.append_slices(cores, 0, 2, first, second)
    assert gain > 0
    assert squared_error(X, wider) == pytest.approx(np.vdot(residual, residual) - gain, rel=1e-6)


@pytest.mark.parametrize("wide", [None, 1, 3])
def test_local_gauge_keeps_the_network(fitted, wide):
    _, cores, _ = fitted
    grams = [normal.normal_equations(None, cores, k)[0] for k in range(4)]
    if wide is not None:  # too wide for an environment
        grams[wide] = None
    Xi, Xj, _ = moves.local_gauge(cores, grams, 1, 3)
    assert_allclose(Xi @ Xj.T, np.eye(len(Xi)), atol=1e-8)
    assert_allclose(
        graph.to_dense(moves.gauge_bond(cores, 1, 3, Xi, Xj)), graph.to_dense(cores), atol=1e-9
    )


def test_removal_costs_are_the_refitted_errors(fitted):
    # The closed form assumes that the core is at its optimum: solve it, remove, and solve again.
    X, cores, _ = fitted
    norm2 = float(np.vdot(X, X))
    gauges, options = moves.removals(cores, X.shape)
    for option in [o for o in options if o.component == 0]:
        k = option.solve
        solved = list(cores)
        solved[k], before, _ = update(X, solved, k, norm2, 1e-13)
        gauges, again = moves.removals(solved, X.shape, [option.bond])
        again = next(o for o in again if o.component == 0 and o.solve == k)
        less = moves.remove_component(solved, option.bond, [0], gauges[option.bond])
        _, after, _ = update(X, less, k, norm2, 1e-13)
        assert after - before == pytest.approx(again.cost, rel=1e-3, abs=1e-8)


def test_a_network_that_meets_the_target_is_left_as_it_is(fitted):
    X, cores, _ = fitted
    error = squared_error(X, cores)
    whole = steps.Problem(X, X.shape, 1.1 * error, np.random.default_rng(0))
    assert rg._verified(whole, cores) is cores
    stricter = steps.Problem(X, X.shape, 0.3 * error, np.random.default_rng(0))
    assert squared_error(X, rg._verified(stricter, cores)) <= 0.3 * error


def test_bonds_without_a_core_in_common_grow_at_once():
    # Two pairs of modes, each entangled: both bonds are missing.
    rng = np.random.default_rng(0)
    pairs = [rng.normal(size=(6, 2)) @ rng.normal(size=(2, 6)) for _ in range(2)]
    X = np.multiply.outer(*pairs)
    X /= np.linalg.norm(X)
    start = steps.Problem(X, X.shape, 1e-6, rng)
    state = start.fit(graph.random_cores(X.shape, np.ones((4, 4), int), rng), 20, tol=1e-9)
    grown = steps.expand(start, state, fraction=1.0, max_steps=1)
    assert graph.bond_dims(grown.cores)[[0, 2], [1, 3]].tolist() == [2, 2]


def test_removal_on_a_chain_is_the_schmidt_weight():
    rng = np.random.default_rng(4)
    X = graph.to_dense(graph.random_cores([6, 6, 6], chain_matrix([3, 4]), rng))
    cores = tensor_train(X, 1e-20 * np.vdot(X, X))
    _, options = moves.removals(cores, X.shape)
    for bond, unfolding in (((0, 1), X.reshape(6, -1)), ((1, 2), X.reshape(36, -1))):
        weights = np.linalg.svd(unfolding, compute_uv=False) ** 2
        costs = sorted((o.cost for o in options if o.bond == bond), reverse=True)
        assert_allclose(costs, weights[: len(costs)], rtol=1e-5)


def test_tomography_reads_the_bonds():
    rng = np.random.default_rng(0)
    R = ring_matrix([2, 3, 2, 2])
    X = graph.to_dense(graph.random_cores([9, 9, 9, 9], R, rng))
    measured = tomography.spectra(X)
    ranks = [tomography.epsilon_rank(v, 1e-8 * np.vdot(X, X)) for _, v in measured]
    cuts = tomography.Cuts(X.shape, [s for s, _ in measured], ranks)
    found = np.rint(cuts.estimate(ranks)).astype(int)
    assert (cuts.matrix(found) == R).all()
    assert cuts.feasible(found)
    assert not cuts.feasible(np.maximum(found - 1, 1))
    best = tomography.candidates(cuts, np.ones_like(found))
    assert cuts.parameters(best[0]) <= graph.n_parameters(X.shape, R)


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize(
    ("sizes", "edges"),
    [
        # A triangle of threes has the cuts of a tree of nines, which costs twice as much.
        ((16, 13, 14, 16, 13), "03:2 04:2 12:3 13:3 14:3 23:2"),
        # A generic network whose unfolding of modes 1 and 2 has rank 96, where its cut carries 100.
        ((14, 10, 10, 16, 9), "01:3 02:3 03:2 04:3 12:2 14:2 23:3 24:2 34:2"),
    ],
)
def test_loops_are_told_from_trees_with_the_same_cuts(sizes, edges, seed):
    rng = np.random.default_rng(seed)
    R = np.ones((5, 5), dtype=int)
    for edge in edges.split():
        i, j, r = int(edge[0]), int(edge[1]), int(edge[3])
        R[i, j] = R[j, i] = r
    X = graph.to_dense(graph.random_cores(sizes, R, rng))
    X /= np.linalg.norm(X)
    read = tomography.spectra(X)
    ranks = [tomography.gap_rank(values, 1e-8)[0] for _, values in read]
    cuts = tomography.Cuts(sizes, [subset for subset, _ in read], ranks)
    found = tomography.explanations(cuts, rng)
    assert cuts.parameters(found[0]) <= graph.n_parameters(sizes, R)
    assert cuts.mismatch([found[0], tuple(R[pair] for pair in cuts.pairs)]).max() == 0.0


def test_coarse_graining_and_its_lift():
    X = np.arange(24.0).reshape(8, 3)
    half = scales.coarsen(X, (1, 0))
    assert half.shape == (4, 3)
    assert_allclose(half[0], X[:2].mean(axis=0))
    assert scales.coarsen(X[:7], (1, 0)).shape == (4, 3)
    ramp = np.linspace(0, 1, 8)[:, None]
    lifted = scales.interpolate(scales.coarsen(ramp, (1, 0)), 0, 8)
    assert_allclose(lifted[1:-1], ramp[1:-1], atol=1e-12)
    assert scales.levels((40, 60, 3), (0, 1), 3) == [(2, 2, 0), (1, 1, 0), (0, 0, 0)]
    assert scales.levels((4, 3), (0,), 3) == [(0, 0)]


@pytest.mark.parametrize("name", ["tomography", "information", "reduction"])
def test_search_meets_the_target_without_any_one_mechanism(name):
    rng = np.random.default_rng(0)
    X = graph.to_dense(graph.random_cores([16, 8, 7, 6], ring_matrix([2, 3, 2, 2]), rng))
    X = X / np.linalg.norm(X) + 0.02 * rng.normal(size=X.shape) / np.sqrt(X.size)
    X /= np.linalg.norm(X)
    history = []
    task = Task(X, 0.05, np.random.default_rng(0), history=history.append)
    cores = rg.search(task, rg.Settings(**{name: False}, cycles=2))
    assert np.linalg.norm(X - graph.to_dense(cores)) <= 0.05
    assert {"scale", "action", "bond", "relative_error", "n_parameters"} <= set(history[0])


def test_compress_and_exchange_never_leave_the_target():
    rng = np.random.default_rng(3)
    X = graph.to_dense(graph.random_cores([8, 8, 8, 8], ring_matrix([2, 2, 2, 2]), rng))
    X /= np.linalg.norm(X)
    task = problem(X, 1e-4)
    state = steps.expand(
        task, task.fit(graph.random_cores(X.shape, complete_matrix(2, 4), rng), 40)
    )
    assert task.met(state)
    smaller = steps.compress(task, state)
    assert task.met(smaller)
    assert smaller.size <= state.size
    traded = steps.exchange(task, smaller, cycles=2)
    assert task.met(traded)
    assert traded.size <= smaller.size
    tiny = steps.shrink(task, traded, 0.5)
    assert tiny.size <= 0.5 * traded.size


def test_exchanges_find_what_pruning_alone_does_not():
    X = np.random.default_rng(1).normal(size=(6, 5, 4, 3))
    for axis in range(4):
        X = X.cumsum(axis)
    X /= np.linalg.norm(X)
    history, target = [], 0.05**2
    task = steps.Problem(X, X.shape, target, np.random.default_rng(1), history=history.append)
    cores = tensor_train(X, target)
    pruned = steps.compress(task, task.state(Fit(cores, squared_error(X, cores), 0)))
    traded = steps.exchange(task, pruned, cycles=20)
    assert task.met(traded)
    assert traded.size < 0.9 * pruned.size
    assert rg._traded(task, rg.Settings(cycles=0), pruned) is pruned
    history.clear()
    done = rg._finished(task, rg.Settings(stage="starts"), [pruned])
    assert task.met(done)
    assert done.size <= traded.size
    assert "exchange" in {entry["action"] for entry in history}


@pytest.mark.parametrize("order", [2, 3, 4, 5])
def test_every_labelled_tree_is_priced_once(order):
    found = {frozenset(map(frozenset, edges)) for edges in trees._all_trees(order)}
    assert len(found) == order ** (order - 2)  # Cayley


@pytest.mark.parametrize("target", [0.9, 0.5, 0.2, 0.05, 1e-12])
def test_cheapest_tree_meets_its_error(target):
    rng = np.random.default_rng(1)
    X = graph.to_dense(graph.random_cores([6, 5, 7, 4], ring_matrix([2, 3, 2, 2]), rng))
    X = X / np.linalg.norm(X) + 0.1 * rng.normal(size=X.shape) / np.sqrt(X.size)
    X /= np.linalg.norm(X)
    R = trees.cheapest(measured(X), X.shape, target**2)
    cores = trees.truncated(X, R)
    assert np.linalg.norm(X - graph.to_dense(cores)) <= target + 1e-7


@pytest.mark.parametrize("seed", range(5))
def test_cheapest_tree_is_nearly_the_best_of_all(seed):
    X = np.random.default_rng(seed).normal(size=(7, 5, 6)).cumsum(axis=0).cumsum(axis=1)
    X /= np.linalg.norm(X)
    spectra = tomography.spectra(X)
    R = trees.cheapest(measured(X), X.shape, 0.01)
    tail = [np.append(np.cumsum(v[::-1])[::-1], 0.0) for _, v in spectra]  # modes 0, 1, 2 alone
    fewest = min(
        graph.n_parameters(X.shape, trees._matrix(3, ((a, middle), (middle, b)), (r, s)))
        for a, middle, b in ((0, 1, 2), (1, 2, 0), (2, 0, 1))
        for r in range(1, X.shape[a] + 1)
        for s in range(1, X.shape[b] + 1)
        if tail[a][r] + tail[b][s] <= 0.01
    )
    assert fewest <= graph.n_parameters(X.shape, R) <= 1.1 * fewest


def test_closest_tree_keeps_its_budget():
    rng = np.random.default_rng(2)
    X = rng.normal(size=(6, 5, 7, 4))
    spectra, errors = measured(X), []
    for budget in (22, 60, 200, 800):
        R = trees.closest(spectra, X.shape, budget)
        assert graph.n_parameters(X.shape, R) <= budget
        errors.append(np.linalg.norm(X - graph.to_dense(trees.truncated(X, R))))
    assert (np.diff(errors) < 0).all()
    assert trees.closest(spectra, X.shape, 21) is None


def test_trees_of_independent_parts():
    rng = np.random.default_rng(3)
    first, second = rng.normal(size=(5, 2)) @ rng.normal(size=(2, 6)), rng.normal(size=(4, 3))
    X = np.einsum("ab,cd,e->acbde", first, second, rng.normal(size=7))
    R = trees.cheapest(measured(X), X.shape, 1e-10)
    assert (R > 1).sum() == 4  # two edges
    assert_allclose(graph.to_dense(trees.truncated(X, R)), X, atol=1e-6)


def test_high_orders_without_structure_need_none():
    X = np.ones((2,) * 7) / 2**3.5
    for find, limit in ((trees.cheapest, 0.1), (trees.closest, 1000)):
        R = find(measured(X), X.shape, limit)
        assert squared_error(X, trees.truncated(X, R)) < 1e-12
    assert (trees.cheapest(measured(X), X.shape, 0.1) == 1).all()


def test_greedy_growth_closes_a_loop_that_trees_open():
    rng = np.random.default_rng(0)
    R = np.array([[1, 3, 3, 1], [3, 1, 3, 1], [3, 3, 1, 3], [1, 1, 3, 1]])
    X = graph.to_dense(graph.random_cores([8, 8, 8, 7], R, rng))
    X /= np.linalg.norm(X)
    size = graph.n_parameters(X.shape, R)
    state = steps.greedy(problem(X, 0.05**2))
    assert state.error <= 0.05**2
    assert state.size <= size
    task = Task(X, 0.05, np.random.default_rng(0))
    cores = rg.search(task, rg.Settings(cycles=0))
    assert graph.n_parameters(X.shape, graph.bond_dims(cores)) <= size


def noisy_network(order, noise, seed):
    """A path with two chords and what noise adds to it, of norm one; and its parameters."""
    rng = np.random.default_rng(seed)
    R = chain_matrix([2] * (order - 1))
    R[0, 3] = R[3, 0] = R[1, 4] = R[4, 1] = 2
    sizes = [5] * order
    X = graph.to_dense(graph.random_cores(sizes, R, rng))
    X /= np.linalg.norm(X)
    E = rng.standard_normal(X.shape)
    X = X + noise * E / np.linalg.norm(E)
    return X / np.linalg.norm(X), graph.n_parameters(sizes, R)


def test_noise_does_not_hide_a_network_of_high_order():
    X, planted = noisy_network(7, 0.01, 0)
    rng = np.random.default_rng(0)
    cores, exact = rg.read(Task(X, 0.0102, rng), rg.Settings())
    assert exact
    assert squared_error(X, cores) <= 0.0102**2
    assert sum(core.size for core in cores) <= planted


def test_noise_beyond_the_gaps_of_modes_is_left_out():
    X, _ = noisy_network(6, 0.01, 1)
    task = steps.Problem(X, X.shape, 0.0102**2, np.random.default_rng(0))
    small, factors = readings.compacted(task)
    assert small.X.shape[0] == 4  # two bonds of two
    dropped = 1.0 - np.vdot(small.X, small.X)
    assert small.target == pytest.approx(task.target - dropped)
    assert_allclose(tucker.lift([X], factors[:1])[0].shape[0], 4)


@pytest.mark.parametrize(
    ("rank", "weak", "length"),
    [(6, 0.018, 9), (7, 0.02, 9), (8, 0.01, 9), (6, 0.018, 100), (7, 0.02, 100)],
)
def test_weak_directions_are_not_left_out_as_noise(rank, weak, length):
    rng = np.random.default_rng(0)
    core = rng.standard_normal((rank, 9, length))
    core /= np.linalg.norm(core)
    core[-1] *= weak  # far below the others
    X = np.tensordot(np.linalg.qr(rng.standard_normal((8, rank)))[0], core, 1)
    E = rng.standard_normal(X.shape)
    X += 0.01 * E / np.linalg.norm(E)
    task = steps.Problem(X, X.shape, 0.0102**2, rng)
    assert tomography.gap_rank(tucker.leading(X, 0)[0], task.target)[0] < rank
    assert readings.compacted(task)[0].X.shape[:2] == (rank, 9)


def test_a_weak_direction_counts_where_noise_is_weaker_still():
    noise = 1e-6  # squared, of an entry of 8 x 8 x 8
    flat = np.r_[np.ones(4), np.full(4, 64 * noise)]
    weak = np.r_[np.ones(7), 300 * noise]
    spectra = [((0,), flat), ((1,), weak), ((2,), np.r_[np.ones(7), 64 * noise])]
    task = SimpleNamespace(X=np.zeros((8, 8, 8)), target=530 * noise)
    assert [tomography.gap_rank(v, task.target)[0] for _, v in spectra] == [4, 7, 7]
    ranks, sure, _ = readings._ranks(task, spectra, [4, 7, 7])
    assert ranks == (4, 8, 7)
    assert sure.all()


def test_trees_count_noise_once():
    X, planted = noisy_network(7, 0.01, 2)
    task = steps.Problem(X, X.shape, 0.0102**2, np.random.default_rng(0))
    tree = next(rg._tree_starts(task, rg._spectra(task)))
    assert task.met(tree)
    assert tree.size < 4 * planted


@pytest.mark.parametrize("seed", [131, 271, 280])
def test_single_precision_does_not_feign_a_target(seed):
    # Of two components that nearly cancel, what the normal equations say of the error is rounding.
    rng = np.random.default_rng(seed)
    X = graph.to_dense(graph.random_cores([6, 6, 6], ring_matrix([2, 2, 2]), rng))
    X = X.astype(np.float32)
    X /= np.linalg.norm(X)
    start = graph.random_cores([6, 6, 6], ring_matrix([3, 3, 3]), rng, np.float32)
    for k, j in ((0, 1), (1, 0)):
        start[k] = np.take(start[k], [0, 1, 0], axis=j)
    start[1][2] *= -1
    fit = als(X, start, Stop(40, target=1e-6, tol=0))
    assert squared_error(X, fit.cores) <= max(1e-6, 1.1 * fit.error)


def test_networks_too_wide_to_fit_are_left_as_they_are():
    X = np.random.default_rng(0).normal(size=(3, 20, 20, 20))
    R = np.ones((4, 4), dtype=int)
    R[0, 1:] = R[1:, 0] = 17
    task = steps.Problem(X, X.shape, 1.0, np.random.default_rng(0))
    cores = graph.random_cores(X.shape, R, np.random.default_rng(0))
    state = task.fit(cores, 5)
    assert state.cores is cores
    assert state.error == pytest.approx(squared_error(X, cores))


def test_a_wide_bond_that_stands_for_two_triangles_is_told_from_them():
    rng = np.random.default_rng(0)
    R = np.ones((5, 5), dtype=int)
    for i, j in ((0, 3), (1, 3), (1, 4), (2, 3), (2, 4), (3, 4)):
        R[i, j] = R[j, i] = 3
    X = graph.to_dense(graph.random_cores([15, 13, 12, 10, 10], R, rng))
    cores, exact = rg.read(Task(X / np.linalg.norm(X), 1e-4, rng), rg.Settings())
    assert exact
    assert sum(core.size for core in cores) <= graph.n_parameters(X.shape, R)


def test_nothing_is_priced_or_offered_when_time_is_over(fitted):
    X, cores, _ = fitted
    over = Deadline.after(-1.0)
    assert folding.priced(cores[1], 1, cores[1].size, 0.5, 0.0) != []
    assert folding.priced(cores[1], 1, cores[1].size, 0.5, 0.0, over) == []
    late = replace(problem(X, 1.0), deadline=over)
    state = late.state(Fit(cores, squared_error(X, cores), 0))
    assert steps.exchange(late, state) is state


def test_no_slices_are_offered_whose_equations_take_seconds(monkeypatch, fitted):
    X, cores, _ = fitted
    state = problem(X, 0.1).state(Fit(cores, squared_error(X, cores), 0))
    assert len(steps.scored_growth(problem(X, 0.1), state, 0.05)) == 6
    monkeypatch.setattr(steps, "_WIDEST", 8)
    assert steps.scored_growth(problem(X, 0.1), state, 0.05) == []


def test_lengths_of_modes_tell_bonds_that_their_ranks_hide():
    rng, order, sizes = np.random.default_rng(12), 6, (9, 8, 10, 10, 8, 8)
    R = np.ones((order, order), dtype=int)
    for i, j, r in [(0, 2, 3), (0, 5, 2), (1, 4, 3), (1, 5, 3), (2, 5, 2), (3, 5, 3), (4, 5, 2)]:
        R[i, j] = R[j, i] = r
    X = graph.to_dense(graph.random_cores(sizes, R, rng))
    # Of the ranks alone, bonds (0, 2), (1, 4), .. of 6 and 8 with fewer parameters are possible.
    task = Task(X / np.linalg.norm(X), 1e-4, np.random.default_rng(0))
    cores, exact = rg.read(task, rg.Settings())
    assert exact
    assert sum(core.size for core in cores) == graph.n_parameters(sizes, R)


def test_further_starts_are_tried_where_they_cost_little():
    problem, limit = SimpleNamespace(X=np.empty(1000)), rg._QUICK / 1000
    assert rg._quick(problem, [])
    for sizes, quick in (([limit - 1], True), ([limit], False), ([limit - 1, 9 * limit], True)):
        assert rg._quick(problem, [SimpleNamespace(size=size) for size in sizes]) == quick
