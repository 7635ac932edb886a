"""Alternating least squares on coordinates, against dense contractions and plain regressions."""

import numpy as np
import pytest
from numpy.testing import assert_allclose

from sktn.networks import graph
from sktn.solvers import als_coordinates as als


@pytest.fixture
def problem(rng):
    R = np.array([[1, 2, 3], [2, 1, 2], [3, 2, 1]])
    shape = (5, 4, 6)
    cores = graph.random_cores(shape, R, rng)
    index = np.stack([rng.integers(n, size=70) for n in shape], axis=1).astype(np.int32)
    index[index[:, 1] == 3, 1] = 2  # a level without rows
    return als.Coordinates(index, rng.normal(size=70), rng.uniform(0.5, 2, 70), shape), cores


def test_the_network_at_coordinates_is_the_dense_one(problem, monkeypatch):
    data, cores = problem
    dense = graph.to_dense(cores)[tuple(data.index.T)]
    assert_allclose(als.at(cores, data.index), dense)
    monkeypatch.setattr(als, "_BLOCK", 50)
    assert_allclose(als.at(cores, data.index), dense)


@pytest.mark.parametrize("k", [0, 1, 2])
def test_environments_of_rows_are_those_of_the_network(problem, k):
    data, cores = problem
    env = graph.environment(cores, k)
    others = [n for j, n in enumerate(data.shape) if j != k]
    where = np.ravel_multi_index(tuple(np.delete(data.index, k, axis=1).T), others)
    assert_allclose(als.rows_of_environment(cores, k, data.index), env[where])


def test_every_row_is_in_the_group_of_its_level_once(problem):
    data, _ = problem
    for k in range(3):
        seen = []
        for levels, rows in data.groups(k):
            for level, some in zip(levels, rows, strict=True):
                own = some[some >= 0]
                assert (data.index[own, k] == level).all()
                seen += own.tolist()
        assert sorted(seen) == list(range(len(data)))


@pytest.mark.parametrize("block", [2**19, 40])
def test_an_update_is_the_posterior_of_every_slice(problem, rng, monkeypatch, block):
    monkeypatch.setattr(als, "_BLOCK", block)
    data, cores = problem
    k, width = 1, cores[1].size // 4
    root = rng.normal(size=(width, width))
    prior = als.Prior(rng.normal(size=width), root @ root.T + np.eye(width))
    core, found = als.update(data, cores, k, prior, 0.3)
    slices = np.moveaxis(core, k, 0).reshape(4, -1)
    env = als.rows_of_environment(cores, k, data.index)
    inverse = np.linalg.inv(prior.covariance)
    moments = []
    for level in range(4):
        own = data.index[:, k] == level
        E, w = env[own], data.weight[own]
        curvature = (E.T * w) @ E / 0.3 + inverse
        expected = np.linalg.solve(
            curvature, (E.T * w) @ data.value[own] / 0.3 + inverse @ prior.mean
        )
        assert_allclose(slices[level], expected, rtol=1e-8)
        if own.any():
            moments.append((expected, np.linalg.inv(curvature)))
    assert_allclose(slices[3], prior.mean)  # no row has said anything
    mean = np.mean([m for m, _ in moments], axis=0)
    covariance = np.mean([np.outer(m - mean, m - mean) + v for m, v in moments], axis=0)
    assert_allclose(found.mean, mean, rtol=1e-8)
    assert_allclose(found.covariance, covariance, rtol=1e-6, atol=1e-9)


def test_the_past_counts_as_rows_of_the_mean_environment(problem):
    data, cores = problem
    k, width = 0, cores[0].size // 5
    prior = als.Prior(np.zeros(width), np.eye(width))
    gram = als.mean_gram(data, cores, k)
    env = als.rows_of_environment(cores, k, data.index)
    assert_allclose(gram, (env.T * data.weight) @ env / data.weight.sum())
    old = np.ones((5, width))
    certain = als.Past(old, np.full(5, 1e12), gram)
    core, kept = als.update(data, cores, k, prior, 0.3, certain)
    assert_allclose(np.moveaxis(core, k, 0).reshape(5, -1), old, atol=1e-5)
    assert kept is prior
    nothing = als.Past(np.zeros((5, width)), np.zeros(5), gram)
    core, _ = als.update(data, cores, k, prior, 0.3, nothing)
    assert_allclose(core, als.update(data, cores, k, prior, 0.3)[0])
