"""Sweeps over trees against dense weight tensors and exact solutions."""

import tracemalloc
from types import SimpleNamespace

import numpy as np
import pytest

from sktn import config_context, losses
from sktn.networks import topology, tree
from sktn.networks.linalg import outer
from sktn.networks.tree import TTN
from sktn.solvers.convex_tree import rows_of_tree
from sktn.solvers.sweep import SweepOptions
from sktn.solvers.tree_sweep import _Tree, sweep_tree

# A caterpillar, a balanced tree, one with a leaf at the root, one site, two sites.
TREES = [
    [[0, 1], [4, 2], [5, 3]],
    [[2, 0], [1, 3], [4, 5]],
    [[1, 3], [4, 0], [2, 5]],
    [[0, -1]],
    [[1, 0]],
]


class Problem(SimpleNamespace):
    """Loss, target, weight and alpha: what sweeps need of a problem."""

    @property
    def strength(self):
        return 2 * self.alpha * self.loss.ridge_share


def random_tree(rng, merges, D=3, d=4, c=1):
    """A tree whose leaves are narrower than their sites."""
    merges = np.array(merges)
    n = merges.max() - len(merges) + 2 if len(merges) > 1 else int((merges >= 0).sum())
    leaves = tuple(rng.normal(size=(d, D)) for _ in range(n))
    cores = tuple(rng.normal(size=(D, D, D)) / D for _ in merges[:-1])
    l, r = (1 if child < 0 else D for child in merges[-1])
    return TTN(leaves, cores, rng.normal(size=(l, c, r)), merges)


def site_vectors(rng, n, N=60, d=4):
    x = rng.normal(size=(n, N, d))
    x[:, :, 0] = 1
    return x


def make_problem(kind, rng, N=60):
    if kind == "softmax":
        loss, target = losses.Softmax(3), rng.integers(0, 3, N)
    elif kind == "logistic":
        loss, target = losses.classification(rng.integers(0, 2, N), 2, float)
    else:
        loss, target = losses.SquaredError(), rng.normal(size=(N, 2))
    weight = rng.integers(0, 3, N).astype(float)
    return Problem(loss=loss, target=target, weight=weight, alpha=0.3)


def dense_inputs(x):
    out = np.ones((x.shape[1], 1))
    for site in x:
        out = outer(out, site)
    return out


def penalised(network, x, problem):
    W = tree.to_dense(network)
    W = W.reshape(-1, W.shape[-1])
    values = problem.loss.values(dense_inputs(x) @ W, problem.target)
    return problem.weight @ values + 0.5 * problem.strength * np.sum(W[1:] ** 2)


@pytest.mark.parametrize("kind", ["softmax", "logistic", "squared"])
@pytest.mark.parametrize("merges", TREES)
def test_sweeps_descend_and_report_the_true_loss(rng, kind, merges):
    problem = make_problem(kind, rng)
    network = random_tree(rng, merges, c=problem.loss.n_scores(problem.target))
    x = site_vectors(rng, network.n_sites)
    options = SweepOptions(max_sweeps=4, tol=0.0)
    found, curve = sweep_tree(network, x, problem, options)
    assert curve[0] <= penalised(network, x, problem) + 1e-9
    assert np.all(np.diff(curve) <= 1e-9)
    assert curve[-1] < curve[0]
    assert np.isclose(curve[-1], penalised(found, x, problem), rtol=1e-8)
    for core in (*found.leaves, *found.cores):
        matrix = core.reshape(-1, core.shape[-1])
        np.testing.assert_allclose(matrix.T @ matrix, np.eye(matrix.shape[1]), atol=1e-10)


@pytest.mark.parametrize("merges", TREES[:3])
def test_a_tree_without_truncation_reaches_the_exact_ridge_solution(rng, merges):
    problem = make_problem("squared", rng, N=30)
    network, x = random_tree(rng, merges, D=2, d=2, c=2), site_vectors(rng, 4, N=30, d=2)
    # Bonds as wide as the smaller of their sides: any tensor is such a tree.
    sites = tree.below(network.merges, 4)
    widths = [min(2 ** len(part), 2 * 2 ** (4 - len(part))) for part in sites]
    cores = tuple(
        rng.normal(size=(widths[a], widths[b], widths[4 + j])) / 2
        for j, (a, b) in enumerate(network.merges[:-1])
    )
    l, r = (widths[child] for child in network.merges[-1])
    network = TTN(network.leaves, cores, rng.normal(size=(l, 2, r)), network.merges)
    _, curve = sweep_tree(network, x, problem, SweepOptions(max_sweeps=60, tol=1e-10))
    Z, s = dense_inputs(x), problem.strength
    penalty = s * np.eye(Z.shape[1])
    penalty[0, 0] = 0
    H = problem.loss.derivatives(np.zeros((30, 2)), problem.target)[1]
    curvature = np.broadcast_to(H, (30, 2))[0, 0]
    w = problem.weight[:, None] * curvature
    W = np.linalg.solve(Z.T @ (w * Z) + penalty, Z.T @ (w * problem.target))
    values = problem.loss.values(Z @ W, problem.target)
    least = problem.weight @ values + 0.5 * s * np.sum(W[1:] ** 2)
    assert curve[-1] <= least * (1 + 1e-3)
    assert curve[-1] >= least * (1 - 1e-9)


def test_sweeps_stop_when_asked(rng):
    problem = make_problem("squared", rng)
    network = random_tree(rng, TREES[1], c=2)
    x = site_vectors(rng, 4)
    options = SweepOptions(max_sweeps=9, tol=0)
    found, curve = sweep_tree(network, x, problem, options, lambda: True)
    assert len(curve) == 2
    # No core but the root was solved for, which nothing moves further.
    assert curve[1] >= curve[0] * (1 - 1e-6)
    assert len(sweep_tree(found, x, problem, options)[1]) > 2


def test_components_without_rows_take_no_part(rng):
    problem = make_problem("squared", rng)
    network, x = random_tree(rng, TREES[1], c=2), site_vectors(rng, 4)
    x[2, :, 2:] = 0
    found, _ = sweep_tree(network, x, problem, SweepOptions(max_sweeps=1))
    assert found.leaves[2].shape[0] == 4
    assert not found.leaves[2][2:].any()


@pytest.mark.slow
def test_sweeps_run_on_either_executor(rng, executor, monkeypatch):
    problem = make_problem("softmax", rng)
    network, x = random_tree(rng, TREES[1], c=3), site_vectors(rng, 4)
    options = SweepOptions(max_sweeps=2, tol=0)
    _, expected = sweep_tree(network, x, problem, options)
    monkeypatch.setattr("sktn.solvers.tree_sweep.executor_for", lambda entries: executor)
    _, curve = sweep_tree(network, x, problem, options)
    np.testing.assert_allclose(curve, expected, rtol=1e-6)


@pytest.mark.parametrize(
    ("still", "updates", "steps"),
    [
        # Above leaves that are solved for, twice.
        ([], [4, 0, 1, 4], [("down", 6, 0), ("down", 4, 0), ("back", 4, 0), ("down", 4, 1)]),
        ([0, 1], [4], [("down", 6, 0)]),
        ([0], [4, 1, 4], [("down", 6, 0), ("down", 4, 1)]),
    ],
)
def test_cores_are_solved_for_before_and_after_those_below(monkeypatch, still, updates, steps):
    walk = object.__new__(_Tree)
    walk.n, walk.children = 4, [(), (), (), (), (0, 1), (2, 3), (4, 5)]
    done, moved = [], []
    monkeypatch.setattr(_Tree, "moves", lambda self, child: child not in still)
    monkeypatch.setattr(_Tree, "_update", lambda self, node: done.append(node))
    for name in ("down", "back"):
        step = lambda self, node, side, name=name: moved.append((name, node, side))  # noqa: E731
        monkeypatch.setattr(_Tree, f"_{name}", step)
    walk.around(0)
    assert done == updates
    assert moved[: len(steps)] == steps
    # The centre is back at the root.
    assert moved[-1] == ("back", 6, 0)
    assert sum(name == "down" for name, *_ in moved) * 2 == len(moved)


def test_a_sweep_takes_the_memory_that_its_rows_are_counted_for(rng):
    """What lies beyond a node is held on one way from the root, not for all nodes at once."""
    merges, d, c = topology.from_nested(topology.grid_topology((8, 8))), 2, 10
    network = random_tree(rng, merges, D=6, d=d, c=c)
    with config_context(max_memory=2**25):
        some = SimpleNamespace(penalty=np.ones((64, d)), n_scores=c, dtype=np.dtype(float))
        N = rows_of_tree(some, network)
        x = site_vectors(rng, 64, N, d)
        target = rng.integers(0, c, N)
        problem = Problem(loss=losses.Softmax(c), target=target, weight=np.ones(N), alpha=1.0)
        tracemalloc.start()
        sweep_tree(network, x, problem, SweepOptions(max_sweeps=1, tol=0.0))
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
    assert 2**24 < peak + x.nbytes < 2**25
