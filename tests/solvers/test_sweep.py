"""The sweeping solver against dense weight tensors and exact solutions."""

import numpy as np
import pytest
from scipy.special import expit

from sktn.networks import mps
from sktn.solvers import convex, objectives, sweep

SIDES = [(2, 2), (0, 3), (3, 0), (1, 2)]


def random_chain(rng, p, q, D=3, d=3, c=2):
    def arm(length):
        return [rng.normal(size=(1 if k == 0 else D, d, D)) / np.sqrt(D) for k in range(length)]

    l, r = (D if p else 1), (D if q else 1)
    return sweep.Chain((arm(p), arm(q)), rng.normal(size=(l, c, r)))


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
        out = sweep.outer(out, x)
    return out


def penalised(chain, inputs, objective, weight, alpha):
    W = dense(chain)
    F = dense_inputs(inputs) @ W
    return weight @ objective.values(F) + alpha * objective.ridge_share * np.sum(W[1:] ** 2)


def make_objective(kind, rng, N):
    if kind == "softmax":
        return objectives.Softmax(rng.integers(0, 3, N), 3)
    if kind == "logistic":
        return objectives.Logistic(rng.integers(0, 2, N))
    if kind == "poisson":
        return objectives.Poisson(rng.poisson(1.0, (N, 1)).astype(float))
    return objectives.Squared(rng.normal(size=(N, 2)))


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
    N, alpha = 60, 0.3
    objective = make_objective(kind, rng, N)
    chain = random_chain(rng, p, q, c=objective.n_scores)
    inputs, weight = site_vectors(rng, p, q), rng.integers(0, 3, N).astype(float)
    # A truncation that cuts nothing: a larger bond dimension is allowed.
    found, losses = sweep.sweep(
        chain,
        inputs,
        objective,
        weight,
        alpha,
        two_site=two_site,
        max_bond_dim=9,
        truncation_tol=0.0,
        max_sweeps=4,
        tol=0.0,
    )
    assert losses[0] <= penalised(chain, inputs, objective, weight, alpha) + 1e-9
    assert np.all(np.diff(losses) <= 1e-9)
    assert np.isclose(losses[-1], penalised(found, inputs, objective, weight, alpha), rtol=1e-8)
    for cores in found.arms:
        for core in cores:
            matrix = core.reshape(-1, core.shape[2])
            np.testing.assert_allclose(matrix.T @ matrix, np.eye(matrix.shape[1]), atol=1e-10)


@pytest.mark.parametrize("two_site", [False, True])
def test_without_a_bound_sweeps_find_the_convex_minimum(rng, two_site):
    # Bond dimension 9 holds every tensor of four sites with d = 3.
    inputs, weight, alpha = site_vectors(rng, 2, 2, N=40), np.ones(40), 0.2
    objective = objectives.Logistic(rng.integers(0, 2, 40))
    _, losses = sweep.sweep(
        random_chain(rng, 2, 2, D=9, c=1),
        inputs,
        objective,
        weight,
        alpha,
        two_site=two_site,
        max_bond_dim=9,
        truncation_tol=0.0,
        max_sweeps=200,
        tol=1e-9,
    )
    exact = convex.solve(
        dense_inputs(inputs)[:, 1:], objective, weight[:, None], [alpha], tol=1e-12
    )[3][-1][0]
    assert np.isclose(losses[-1], exact, rtol=1e-4)


def test_two_site_sweeps_find_the_bond_dimension(rng):
    # Two pairs that add up: bond dimension 2 between them, and no more.
    inputs = site_vectors(rng, 2, 2, N=500, d=2)
    a, b, c, d = (x[:, 1] for x in (*inputs[0], *inputs[1]))
    objective = objectives.Squared(((a * b) + (c * d))[:, None])
    found, _ = sweep.sweep(
        random_chain(rng, 2, 2, D=4, d=2, c=1),
        inputs,
        objective,
        np.ones(500),
        1e-3,
        two_site=True,
        max_bond_dim=8,
        truncation_tol=1e-2,
        max_sweeps=10,
    )
    F = sweep.scores(found, inputs)
    assert np.mean((F - objective.y) ** 2) < 1e-3
    assert found.readout.shape == (2, 1, 2)


def test_rows_without_weight_do_not_count(rng):
    inputs, chain = site_vectors(rng, 2, 1), random_chain(rng, 2, 1, c=1)
    objective, weight = objectives.Logistic(rng.integers(0, 2, 60)), np.ones(60)
    weight[40:] = 0
    settings = {"max_sweeps": 3, "tol": 0.0}
    all_rows, losses = sweep.sweep(chain, inputs, objective, weight, 0.1, **settings)
    some, expected = sweep.sweep(
        chain,
        [x[:, :40] for x in inputs],
        objective.take(np.arange(40)),
        weight[:40],
        0.1,
        **settings,
    )
    np.testing.assert_allclose(losses, expected, rtol=1e-8)
    np.testing.assert_allclose(
        sweep.scores(all_rows, inputs), sweep.scores(some, inputs), rtol=1e-5, atol=1e-6
    )


def test_networks_go_there_and_back(rng):
    g = np.concatenate([np.ones((5, 1)), rng.uniform(1, 4, (5, 2))], axis=1)
    index = mps.site_index(5, 2, [3, 1, 0, 2, 4])
    chain = random_chain(rng, 2, 3)
    network = sweep.to_network(chain, index, g, 6)
    assert network["arms"].shape == (3, 2, 6, 3, 6)
    back = sweep.from_network(network, g)
    for cores, expected in zip(back.arms, chain.arms, strict=True):
        for core, wanted in zip(cores, expected, strict=True):
            np.testing.assert_allclose(core, wanted)
    np.testing.assert_allclose(back.readout, chain.readout)


@pytest.mark.parametrize(
    "objective",
    [
        objectives.Softmax(np.array([0, 2, 1]), 3),
        objectives.Logistic(np.array([0, 1, 1])),
        objectives.Squared(np.array([[0.3], [1.0], [-2.0]])),
        objectives.Huber(np.array([[0.3], [1.0], [-2.0]]), 0.5),
        objectives.Pinball(np.array([[0.3], [1.0], [-2.0]]), 0.8, 0.1),
        objectives.Poisson(np.array([[0.0], [3.0], [1.0]])),
    ],
    ids=lambda objective: type(objective).__name__,
)
def test_derivatives_of_the_objectives(rng, objective):
    F = rng.normal(size=(4, 3, objective.n_scores))
    direction = rng.normal(size=F.shape)
    slope, h = objective.derivatives(F)
    eps = 1e-6
    up, down = objective.values(F + eps * direction), objective.values(F - eps * direction)
    np.testing.assert_allclose((slope * direction).sum(-1), (up - down) / (2 * eps), atol=1e-7)
    bent = objective.curve(h, direction)
    if isinstance(objective, objectives.Huber | objectives.Pinball):
        # A parabola above the loss that touches it.
        above = objective.values(F) + np.sum(slope * direction + 0.5 * direction * bent, axis=-1)
        assert np.all(above >= objective.values(F + direction) - 1e-12)
    else:
        ends = [objective.derivatives(F + s * eps * direction)[0] for s in (1, -1)]
        np.testing.assert_allclose(bent, (ends[0] - ends[1]) / (2 * eps), atol=1e-7)
    basis = np.eye(objective.n_scores)
    diagonal = np.stack([objective.curve(h, np.broadcast_to(e, F.shape)) @ e for e in basis], -1)
    np.testing.assert_allclose(objective.curve_diagonal(h), diagonal)
    np.testing.assert_allclose(objective.take([2]).values(F[:, [2]]), objective.values(F)[:, [2]])


def test_logistic_is_softmax_of_half_scores(rng):
    labels, F = np.array([0, 1, 1]), rng.normal(size=(3, 1))
    both = np.concatenate([-F / 2, F / 2], axis=1)
    np.testing.assert_allclose(
        objectives.Logistic(labels).values(F), objectives.Softmax(labels, 2).values(both)
    )
    np.testing.assert_allclose(
        np.exp(-objectives.Logistic(np.ones(3, int)).values(F)), expit(F[:, 0])
    )
