"""The lower bound on the size of a network."""

import numpy as np
import pytest
from scipy.optimize import minimize

import sktn
from sktn.networks import graph
from sktn.solvers.deadline import NEVER
from sktn.structure import certificate, fixed, tomography
from sktn.structure.fixed import chain_matrix, complete_matrix, ring_matrix


@pytest.mark.parametrize("seed", range(5))
def test_the_bound_is_the_optimum_of_the_convex_problem(seed):
    rng = np.random.default_rng(seed)
    sizes = rng.integers(4, 12, 4)
    subsets = [(0,), (1,), (2,), (3,), (0, 1), (0, 2), (0, 3)]
    ranks = [*rng.integers(1, 4, 4), *rng.integers(2, 12, 3)]
    rows = [np.isin(range(4), s) for s in subsets] + [~np.isin(range(4), s) for s in subsets]
    A, b = np.array(rows, dtype=float), np.log(np.tile(ranks, 2))
    primal = minimize(
        lambda p: sizes @ np.exp(p),
        np.full(4, 3.0),
        constraints={"type": "ineq", "fun": lambda p: A @ p - b},
        bounds=[(0, None)] * 4,
        method="SLSQP",
    )
    bound = certificate.fewest_parameters(sizes, subsets, ranks)
    assert bound <= primal.fun * (1 + 1e-6)
    assert bound == pytest.approx(primal.fun, rel=1e-3)


@pytest.mark.parametrize("graph_of", [chain_matrix([3, 2, 3]), ring_matrix([2, 3, 2, 2])])
def test_no_planted_network_undercuts_it(graph_of):
    X = graph.to_dense(graph.random_cores([9, 8, 7, 6], graph_of, np.random.default_rng(0)))
    X /= np.linalg.norm(X)
    bound = certificate.size_bound(X, 1e-4, NEVER)
    size = graph.n_parameters(X.shape, graph_of)
    assert 0.5 * size < bound <= size


def test_a_matrix_has_no_gap():
    X = np.random.default_rng(0).normal(size=(12, 9))
    model = sktn.RGTNDecomposer(0.3, random_state=0).fit(X)
    assert model.optimality_gap_ == 0.0
    assert model.size_bound_ == model.n_parameters_


def test_any_fit_stays_above_the_bound():
    X = np.random.default_rng(0).normal(size=(7, 6, 5)).cumsum(axis=0).cumsum(axis=1)
    model = sktn.RGTNDecomposer(0.1, random_state=0).fit(X)
    assert sum(X.shape) <= model.size_bound_ <= model.n_parameters_
    assert model.optimality_gap_ == 1 - model.size_bound_ / model.n_parameters_
    free = np.linalg.norm(X)
    for rank in range(1, 4):
        cores = fixed.fit(
            fixed_task(X / free), complete_matrix(rank, 3), fixed.Sweeps(100, 1e-6, 2)
        )
        error = np.linalg.norm(graph.to_dense(cores) - X / free)
        bound = certificate.size_bound(X / free, min(error, 1.0), NEVER)
        assert bound <= graph.n_parameters(X.shape, complete_matrix(rank, 3))
    assert sktn.RGTNDecomposer(max_parameters=30, random_state=0).fit(X).optimality_gap_ is None


def fixed_task(X):
    from sktn.structure.task import Task

    return Task(X, 0.1, np.random.default_rng(0))


def test_ranks_below_rounding_are_not_counted():
    X = np.full((4, 5, 6), 1.0) / np.sqrt(120)
    assert certificate.size_bound(X, 1e-14, NEVER) == 15
    assert tomography.epsilon_rank(np.array([1.0, 1e-20]), 1e-12) == 1
