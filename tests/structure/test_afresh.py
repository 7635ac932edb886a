"""Structures for random starts: which are listed, which come first, and when there are no more."""

from dataclasses import replace
from itertools import product

import numpy as np
import pytest

from sktn.networks import graph
from sktn.structure import afresh, readings, steps, tomography
from sktn.structure.fixed import complete_matrix

SHAPE = (6, 5, 4, 5)


def task_and_best(told=True):
    """A smooth tensor at the error of a fit, and the fit; told what its spectra prove."""
    X = np.random.default_rng(0).normal(size=SHAPE)
    for axis in range(4):
        X = X.cumsum(axis)
    X /= np.linalg.norm(X)
    rng = np.random.default_rng(0)
    task = steps.Problem(X, SHAPE, 1e-12, rng)
    cores = graph.random_cores(SHAPE, complete_matrix(2, 4), rng)
    best = task.fit(cores, 60, tol=1e-6, target=0.0, give_up=False)
    task = replace(task, target=best.error)
    if told:
        task = replace(task, cuts=readings.needed(task, tomography.spectra(X)))
    return task, best


def ranks(R):
    return tuple(R[np.triu_indices(len(R), 1)].tolist())


def test_all_that_are_smaller_and_not_forbidden_are_listed():
    task, best = task_and_best()
    found = {ranks(R) for R in afresh.Structures(task).choose(best, 10**4)}
    expected = {
        some
        for some in product(range(1, 5), repeat=6)
        if graph.n_parameters(SHAPE, afresh._matrix(some)) < best.size
        and task.possible(afresh._matrix(some))
    }
    assert len(expected) > 80
    assert {some for some in found if max(some) <= 4} == expected


def test_structures_are_drawn_again_only_when_all_were():
    task, best = task_and_best()
    structures, seen = afresh.Structures(task), []
    while some := structures.choose(best, 40):
        for R in some:
            assert (R == R.T).all()
            assert (np.diag(R) == 1).all()
            assert graph.n_parameters(SHAPE, R) < best.size
            assert task.possible(R)
            structures.learn(R, 2.0 * best.error)
            seen.append(ranks(R))
    n = len(set(seen))
    assert len(set(seen[:n])) == n
    assert len(seen) == afresh._STARTS * n


def test_fits_tell_which_structures_come_next():
    task, best = task_and_best()
    structures = afresh.Structures(task)
    for R in structures.choose(best, 30):  # the first bond is what matters here
        structures.learn(R, best.error / R[0, 1])
    second = structures.choose(best, 20)
    promised, drawn = ([R[0, 1] for R in half] for half in (second[:10], second[10:]))
    assert np.mean(promised) > 1.2 * np.mean(drawn)


@pytest.mark.parametrize("told", [False, True])
def test_modes_are_exchanged(told):
    R = complete_matrix(1, 4)
    R[0, 1] = R[1, 0] = 3
    swapped = [afresh._exchanged(R)[n] for n in range(6)]
    assert {ranks(other) for other in swapped} >= {(1, 3, 1, 1, 1, 1), (1, 1, 1, 3, 1, 1)}
    task, _ = task_and_best(told)
    task.target = 1.0
    state = steps.State(graph.random_cores(SHAPE, R, task.rng), 1.0, graph.n_parameters(SHAPE, R))
    found = {ranks(other) for other in afresh.Structures(task).choose(state, 10**3)}
    smaller = {ranks(o) for o in swapped if graph.n_parameters(SHAPE, o) < state.size}
    assert smaller
    assert smaller <= found
