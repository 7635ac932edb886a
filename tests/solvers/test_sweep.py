"""The sweeping solver against dense weight tensors and exact solutions."""

import tracemalloc
from types import SimpleNamespace

import numpy as np
import pytest

import sktn
from sktn import backend, losses
from sktn.networks.linalg import outer
from sktn.networks.mps import MPS
from sktn.solvers import convex, convex_chain, sweep
from sktn.solvers.local import Inner, Output, minimize_locally
from sktn.solvers.local_squares import least_squares
from sktn.solvers.newton import Effort
from sktn.solvers.sweep import SweepOptions

SIDES = [(2, 2), (0, 3), (3, 0), (1, 2)]


class Problem(SimpleNamespace):
    """Loss, target, weight and alpha: what sweeps need of a problem."""

    @property
    def strength(self):
        return 2 * self.alpha * self.loss.ridge_share

    def take(self, rows):
        return Problem(
            loss=self.loss, target=self.target[rows], weight=self.weight[rows], alpha=self.alpha
        )


def random_chain(rng, p, q, D=3, d=3, c=2):
    def arm(length):
        return [rng.normal(size=(1 if k == 0 else D, d, D)) / np.sqrt(D) for k in range(length)]

    l, r = (D if p else 1), (D if q else 1)
    return MPS((arm(p), arm(q)), rng.normal(size=(l, c, r)), np.arange(p + q))


def site_vectors(rng, p, q, N=60, d=3):
    x = rng.normal(size=(p + q, N, d))
    x[:, :, 0] = 1
    return [x[:p], x[p:]]


def dense(chain):
    """The weight tensor (left sites..., right sites..., c) with its axes merged: (d^n, c)."""

    def products(cores):
        out = np.ones((1, 1))
        for core in cores:
            out = np.einsum("al,lsr->asr", out, core).reshape(-1, core.shape[2])
        return out

    left, right = map(products, chain.arms)
    return np.einsum("al,lcr,br->abc", left, chain.readout, right).reshape(
        -1, chain.readout.shape[1]
    )


def dense_inputs(inputs):
    out = np.ones((inputs[0].shape[1], 1))
    for x in (*inputs[0], *inputs[1]):
        out = outer(out, x)
    return out


def penalised(chain, inputs, problem):
    W = dense(chain)
    values = problem.loss.values(dense_inputs(inputs) @ W, problem.target)
    return problem.weight @ values + 0.5 * problem.strength * np.sum(W[1:] ** 2)


def make_problem(kind, rng, N=60, alpha=0.3):
    if kind == "softmax":
        loss, target = losses.Softmax(3), rng.integers(0, 3, N)
    elif kind == "logistic":
        loss, target = losses.classification(rng.integers(0, 2, N), 2, float)
    elif kind == "poisson":
        loss, target = losses.Poisson(), rng.poisson(1.0, (N, 1)).astype(float)
    else:
        loss, target = losses.SquaredError(), rng.normal(size=(N, 2))
    return Problem(loss=loss, target=target, weight=np.ones(N), alpha=alpha)


@pytest.mark.parametrize(("p", "q"), SIDES)
def test_scores_are_those_of_the_dense_tensor(rng, p, q):
    chain, inputs = random_chain(rng, p, q), site_vectors(rng, p, q)
    np.testing.assert_allclose(
        sweep.scores(chain, inputs), dense_inputs(inputs) @ dense(chain), rtol=1e-9, atol=1e-9
    )


@pytest.mark.parametrize("kind", ["softmax", "logistic", "squared", "poisson"])
@pytest.mark.parametrize(("p", "q"), SIDES)
@pytest.mark.parametrize("two_site", [False, True])
def test_sweeps_descend_and_report_the_true_loss(rng, kind, p, q, two_site):
    problem = make_problem(kind, rng)
    problem.weight = rng.integers(0, 3, 60).astype(float)
    chain = random_chain(rng, p, q, c=problem.loss.n_scores(problem.target))
    inputs = site_vectors(rng, p, q)
    # A truncation that cuts nothing: a larger bond dimension is allowed.
    options = SweepOptions(two_site, 9, 0.0, max_sweeps=4, tol=0.0)
    found, curve = sweep.sweep(chain, inputs, problem, options)
    assert curve[0] <= penalised(chain, inputs, problem) + 1e-9
    assert np.all(np.diff(curve) <= 1e-9)
    assert np.isclose(curve[-1], penalised(found, inputs, problem), rtol=1e-8)
    for cores in found.arms:
        for core in cores:
            matrix = core.reshape(-1, core.shape[2])
            np.testing.assert_allclose(matrix.T @ matrix, np.eye(matrix.shape[1]), atol=1e-10)


@pytest.mark.parametrize("two_site", [False, True])
def test_without_a_bound_sweeps_find_the_convex_minimum(rng, two_site):
    # Bond dimension 9 holds every tensor of four sites with d = 3.
    inputs, problem = site_vectors(rng, 2, 2, N=40), make_problem("logistic", rng, 40, 0.2)
    options = SweepOptions(two_site, 9, 0.0, max_sweeps=200, tol=1e-9)
    _, curve = sweep.sweep(random_chain(rng, 2, 2, D=9, c=1), inputs, problem, options)
    dense = np.roll(dense_inputs(inputs), -1, axis=1)
    exact = convex.solve(
        dense, problem, problem.weight[None], [problem.strength], Effort(tol=1e-12)
    )[2][-1][0]
    assert np.isclose(curve[-1], exact, rtol=1e-4)


def test_two_site_sweeps_find_the_bond_dimension(rng):
    # Two pairs that add up: bond dimension 2 between them, and no more.
    inputs = site_vectors(rng, 2, 2, N=500, d=2)
    a, b, c, d = (x[:, 1] for x in (*inputs[0], *inputs[1]))
    y = ((a * b) + (c * d))[:, None]
    problem = Problem(loss=losses.SquaredError(), target=y, weight=np.ones(500), alpha=1e-3)
    options = SweepOptions(True, 8, 1e-2, max_sweeps=10)
    found, _ = sweep.sweep(random_chain(rng, 2, 2, D=4, d=2, c=1), inputs, problem, options)
    assert np.mean((sweep.scores(found, inputs) - y) ** 2) < 1e-3
    assert found.readout.shape == (2, 1, 2)


@pytest.mark.parametrize(("outward", "visits"), [(True, 2 * (3 + 5)), (False, 2 * (2 + 3))])
def test_cores_are_visited_on_both_ways_or_back_only(rng, monkeypatch, outward, visits):
    problem, seen = make_problem("squared", rng), []
    chain, inputs = random_chain(rng, 2, 3), site_vectors(rng, 2, 3)
    inner = sweep.Local.inner
    monkeypatch.setattr(
        sweep.Local, "inner", lambda *core: seen.append(core[1].shape) or inner(*core)
    )
    options = SweepOptions(max_sweeps=2, tol=0.0, outward=outward)
    found, curve = sweep.sweep(chain, inputs, problem, options)
    assert len(seen) == visits
    assert np.all(np.diff(curve) < 0)
    np.testing.assert_allclose(curve[-1], penalised(found, inputs, problem))


@pytest.mark.parametrize("after", [0, 1, 3])
def test_no_sweep_and_no_core_is_begun_when_told_to_stop(rng, monkeypatch, after):
    inputs, problem = site_vectors(rng, 3, 2), make_problem("squared", rng)
    chain, solved, asked = random_chain(rng, 3, 2), [], []

    def counted(site, *args):
        solved.extend([site] if isinstance(site, Inner) else [])
        return minimize_locally(site, *args)

    def stop():
        asked.append(True)
        return len(asked) > after

    monkeypatch.setattr(sweep, "minimize_locally", counted)
    options = SweepOptions(max_sweeps=7, tol=0.0)
    found, curve = sweep.sweep(chain, inputs, problem, options, stop=stop)
    assert len(solved) == max(after - 1, 0)
    assert len(curve) == 1 + (after > 0)
    assert curve[-1] <= curve[0] * (1 + 1e-12)
    np.testing.assert_allclose(curve[-1], penalised(found, inputs, problem))


def test_rows_without_weight_do_not_count(rng):
    inputs, chain = site_vectors(rng, 2, 1), random_chain(rng, 2, 1, c=1)
    problem = make_problem("logistic", rng, alpha=0.1)
    problem.weight[40:] = 0
    options = SweepOptions(max_sweeps=3, tol=0.0)
    all_rows, curve = sweep.sweep(chain, inputs, problem, options)
    some, expected = sweep.sweep(
        chain, [x[:, :40] for x in inputs], problem.take(np.arange(40)), options
    )
    np.testing.assert_allclose(curve, expected, rtol=1e-8)
    np.testing.assert_allclose(
        sweep.scores(all_rows, inputs), sweep.scores(some, inputs), rtol=1e-5, atol=1e-6
    )


@pytest.mark.parametrize(("side", "kind"), [((2, 2), "softmax"), ((0, 3), "logistic")])
@pytest.mark.parametrize("two_site", [False, True])
def test_rows_on_a_device_give_the_same_chain(side, kind, two_site, rng, monkeypatch):
    monkeypatch.setattr(backend.executors, "_DEVICE_ENTRIES", 1)
    inputs, problem = site_vectors(rng, *side), make_problem(kind, rng)
    start = random_chain(rng, *side, c=3 if kind == "softmax" else 1)
    options = SweepOptions(two_site, max_sweeps=2, tol=0, max_bond_dim=3)
    found, compiled = [], backend.n_compiled()
    for name in ("numpy", "jax"):
        with sktn.config_context(backend=name):
            chain, curve = sweep.sweep(start, inputs, problem, options)
            found.append((sweep.scores(chain, inputs), curve))
        assert all(type(core) is np.ndarray for arm in chain.arms for core in arm)
    assert backend.n_compiled() > compiled
    for host, device in zip(*found, strict=True):
        assert type(device) is np.ndarray
        np.testing.assert_allclose(device, host, rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize("two_site", [False, True])
def test_components_that_no_row_has_take_no_part(rng, two_site):
    chain, inputs = random_chain(rng, 2, 2, d=3), site_vectors(rng, 2, 2, d=3)
    inputs[0][1, :, 2] = 0
    labels = rng.integers(3, size=60)
    loss, target = losses.classification(labels, 3, np.float64)
    task = Problem(loss=loss, target=target, weight=np.ones(60), alpha=0.1)
    chain = MPS(chain.arms, rng.normal(size=(3, 3, 3)), chain.order)
    options = SweepOptions(two_site=two_site, max_bond_dim=3, truncation_tol=0.0, max_sweeps=30)
    found, curve = sweep.sweep(chain, inputs, task, options)
    np.testing.assert_array_equal(found.arms[0][1][:, 2], 0)
    assert [core.shape[1] for core in (*found.arms[0], *found.arms[1])] == [3] * 4
    # Its penalty counts as that of any other network.
    values = loss.values(sweep.scores(found, inputs), target)
    W = dense(found)
    penalty = (W**2).sum() - (W[0] ** 2).sum()
    np.testing.assert_allclose(curve[-1], values.sum() + task.strength / 2 * penalty, rtol=1e-6)


def test_a_core_inside_an_arm_is_factorised_where_it_has_one_score(rng):
    X, far = rng.normal(size=(13, 5)), rng.normal(size=(13, 4, 3))
    X[-1], far[-1] = np.eye(5)[0], np.array([0.6, 0.8, 0, 0])[:, None]  # the constant, of norm 1
    assert Inner(X, far, 0.3, 12).factors() is None  # all scores share it
    site = Inner(X, far[:, :, :1], 0.3, 12)
    weight, target = rng.uniform(0.5, 2, 12), rng.normal(size=(12, 1))
    A = site.assembled(least_squares(*site.factors(), target, weight, 0.3))[None]
    slope = site.adjoint(weight[:, None] * (site.scores(A) - target)) + site.ridge(A)
    np.testing.assert_allclose(slope, 0, atol=1e-9)


@pytest.mark.parametrize("n_rows", [12, 60])
@pytest.mark.parametrize("n_outputs", [1, 3])
def test_a_factorisation_finds_the_local_minimum(rng, n_rows, n_outputs):
    """By as many equations as there are rows, or entries of the core."""
    X, Y = rng.normal(size=(n_rows + 1, 5)), rng.normal(size=(n_rows + 1, 4))
    X[-1], Y[-1] = np.eye(5)[0], np.array([0.8, 0.3, 0, 0])
    weight = rng.uniform(0.5, 2, n_rows)
    weight[:2] = 0
    target = rng.normal(size=(n_rows, n_outputs))
    constant = X[n_rows:], Y[n_rows:]
    found = least_squares(X[:n_rows], Y[:n_rows], constant, target, weight, 0.3)
    site = Output(X, Y, 0.3, n_rows)
    A = site.assembled(found)[None]
    residual = site.scores(A) - target
    slope = site.adjoint(weight[:, None] * residual) + site.ridge(A)
    np.testing.assert_allclose(slope, 0, atol=1e-9)


@pytest.mark.parametrize("sides", [(30, 30), (0, 60)])
def test_a_sweep_takes_the_memory_that_its_rows_are_counted_for(rng, sides):
    """What lies beyond a core is held on one arm at a time."""
    chain = random_chain(rng, *sides, D=6, d=2, c=10)
    with sktn.config_context(max_memory=2**25):
        some = SimpleNamespace(
            penalty=np.ones((60, 2)), n_sites=60, n_scores=10, dtype=np.dtype(float)
        )
        N = convex_chain.rows_that_fit(some, 6, max(sides))
        inputs = site_vectors(rng, *sides, N, 2)
        target = rng.integers(0, 10, N)
        problem = Problem(loss=losses.Softmax(10), target=target, weight=np.ones(N), alpha=1.0)
        tracemalloc.start()
        sweep.sweep(chain, inputs, problem, SweepOptions(max_sweeps=1, tol=0.0))
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
    assert 2**24 < peak + sum(x.nbytes for x in inputs) < 2**25
