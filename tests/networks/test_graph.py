"""Graph networks against dense contractions."""

from itertools import combinations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.testing import assert_allclose

from sktn.backend import config_context
from sktn.networks import graph, normal
from sktn.networks.contraction import _layouts
from sktn.networks.residual import error_and_gradient


def dense(cores):
    """The definition, by one einsum over integer labels."""
    order = len(cores)
    label = {}
    for n, (i, j) in enumerate(combinations(range(order), 2)):
        label[i, j] = label[j, i] = order + n
    operands = []
    for k, core in enumerate(cores):
        operands += [core, [k if j == k else label[k, j] for j in range(order)]]
    return np.einsum(*operands, list(range(order)), optimize="greedy")


def bonds(order, entries):
    R = np.ones((order, order), dtype=int)
    R[np.triu_indices(order, 1)] = entries
    return np.maximum(R, R.T)


@st.composite
def networks(draw):
    order = draw(st.integers(1, 5))
    sizes = draw(st.lists(st.integers(1, 4), min_size=order, max_size=order))
    entries = draw(
        st.lists(
            st.integers(1, 3),
            min_size=order * (order - 1) // 2,
            max_size=order * (order - 1) // 2,
        )
    )
    seed = draw(st.integers(0, 2**16))
    R = bonds(order, entries) if order > 1 else np.ones((1, 1), dtype=int)
    return graph.random_cores(sizes, R, np.random.default_rng(seed)), R


@settings(max_examples=40, deadline=None)
@given(networks())
def test_contraction_is_the_definition(network):
    cores, R = network
    assert_allclose(graph.to_dense(cores), dense(cores), atol=1e-12)
    assert (graph.bond_dims(cores) == R).all()
    sizes = [core.shape[k] for k, core in enumerate(cores)]
    assert graph.n_parameters(sizes, R) == sum(core.size for core in cores)
    assert graph.core_sizes(sizes, R).sum() == sum(core.size for core in cores)


@settings(max_examples=30, deadline=None)
@given(networks(), st.integers(0, 2**16))
def test_normal_equations_are_the_environments(network, seed):
    cores, _ = network
    X = np.random.default_rng(seed).normal(size=[c.shape[k] for k, c in enumerate(cores)])
    for k, core in enumerate(cores):
        A, B = normal.normal_equations(X, cores, k)
        if len(cores) > 1:
            env = graph.environment(cores, k)
            assert_allclose(A, env.T @ env, atol=1e-10)
            assert_allclose(B, np.moveaxis(X, k, 0).reshape(X.shape[k], -1) @ env, atol=1e-10)
            unfolded = np.moveaxis(core, k, 0).reshape(X.shape[k], -1)
            fitted = np.moveaxis(dense(cores), k, 0).reshape(X.shape[k], -1)
            assert_allclose(unfolded @ env.T, fitted, atol=1e-10)


def test_both_routes_of_the_gram_matrix_agree():
    # Order 7 on a sparse graph takes the squared network, the environment is the reference.
    rng = np.random.default_rng(0)
    R = bonds(7, rng.choice([1, 1, 1, 2], 21))
    cores = graph.random_cores([5] * 7, R, rng)
    X = rng.normal(size=[5] * 7)
    for k in range(7):
        A, B = normal.normal_equations(X, cores, k)
        env = graph.environment(cores, k)
        assert_allclose(A, env.T @ env, rtol=1e-9, atol=1e-9)
        assert_allclose(B, np.moveaxis(X, k, 0).reshape(5, -1) @ env, rtol=1e-9, atol=1e-9)


def test_slices_bound_the_memory_and_change_nothing():
    rng = np.random.default_rng(1)
    cores = graph.random_cores([4, 5, 6, 7], bonds(4, [3, 3, 3, 3, 3, 3]), rng)
    assert_allclose(graph.to_dense(cores, max_entries=50), dense(cores), atol=1e-12)
    X = rng.normal(size=(4, 5, 6, 7))
    A, B = normal.normal_equations(X, cores, 1)
    sliced_A, sliced_B = normal._normal_equations_in_slices(X, cores, 1, A.shape[0])
    assert_allclose(sliced_A, A, atol=1e-10)
    assert_allclose(sliced_B, B, atol=1e-10)


def test_what_a_contraction_costs_is_of_its_own_bonds():
    R = np.full((8, 8), 3) - 2 * np.eye(8, dtype=int)
    flops, peak = graph.dense_costs([2] * 8, R)
    wider, more = graph.dense_costs([2] * 8, np.where(R == 3, 4, 1))
    # Half of the modes, and the 16 bonds between them and the others.
    assert (peak, more) == (2**4 * 3**16, 2**4 * 4**16)
    assert (4 / 3) ** 16 < wider / flops < (4 / 3) ** 28


def test_inner_product():
    rng = np.random.default_rng(2)
    first = graph.random_cores([3, 4, 5], bonds(3, [2, 1, 3]), rng)
    second = graph.random_cores([3, 4, 5], bonds(3, [1, 2, 2]), rng)
    assert graph.inner(first, second) == pytest.approx(np.vdot(dense(first), dense(second)))


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_contractions_on_a_device_are_those_of_the_host(monkeypatch, rng, dtype):
    R = bonds(4, [2, 3, 1, 2, 1, 2])
    cores = graph.random_cores([4, 3, 5, 4], R, rng, dtype)
    X = rng.normal(size=(4, 3, 5, 4)).astype(dtype)

    def everything():
        placed = graph.placed(X)
        error, gradient = error_and_gradient(placed, cores)
        equations = [a for k in range(4) for a in normal.normal_equations(placed, cores, k)]
        return [
            graph.to_dense(cores),
            *normal.normal_equations(None, cores, 1)[:1],
            *equations,
            np.array(error, dtype),
            *gradient,
        ]

    host = everything()
    monkeypatch.setattr(graph, "_DEVICE_ENTRIES", 1)
    with config_context(backend="jax"):
        assert not isinstance(graph.placed(X), np.ndarray)
        device = everything()
    for ours, theirs in zip(host, device, strict=True):
        assert isinstance(theirs, np.ndarray)
        assert theirs.dtype == dtype
        assert_allclose(theirs, ours, rtol=1e-3 if dtype == np.float32 else 1e-10, atol=1e-4)


def test_a_sketched_gram_is_near_the_gram(monkeypatch):
    rng = np.random.default_rng(0)
    R = bonds(4, [2, 1, 2, 2, 1, 2])
    cores = graph.random_cores((40, 30, 35, 25), R, rng)
    exact = normal.normal_equations(None, cores, 0)[0]
    assert_allclose(normal.sketched_gram(cores, 0), exact, rtol=1e-12)  # cheap: as it is
    calls, whole = [], normal.normal_equations

    def seen(X, cores, k):
        calls.append([core.shape[j] for j, core in enumerate(cores)])
        return whole(X, cores, k)

    monkeypatch.setattr(normal, "_CHEAP", 0.0)
    monkeypatch.setattr(normal, "normal_equations", seen)
    sketched = normal.sketched_gram(cores, 0)
    (lengths,) = calls
    width = len(exact)
    # Halved no more often than is needed, so that no direction is lost.
    assert 3 * width <= np.prod(lengths[1:]) <= 6 * width
    assert lengths[0] == 40
    assert np.linalg.matrix_rank(sketched) == width
    draws = np.random.default_rng(1)
    monkeypatch.setattr(np.random, "default_rng", lambda seed: draws)
    mean = np.mean([normal.sketched_gram(cores, 0) for _ in range(500)], axis=0)
    assert_allclose(mean, exact, atol=0.1 * np.trace(exact) / width)


def test_a_product_is_laid_out_for_the_step_that_follows():
    labels = [("a", "b", "j"), ("j", "c"), ("b", "d")]
    lost = {0: frozenset("j"), 1: frozenset("j"), 2: frozenset("b"), 3: frozenset("b")}
    steps, result = _layouts(labels, [(0, 1), (3, 2)], lost, dict.fromkeys("abcdj", 2))
    assert steps[0][2:] == ((2, 1, 0), (0, 1), 1)  # b, which is shared next, before a
    assert steps[1][2:] == ((0, 1, 2), (0, 1), 1)  # so nothing is moved
    assert result == ("a", "c", "d")
