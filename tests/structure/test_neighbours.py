"""The last phase of a search: races between networks, what failures lead to, random starts."""

from dataclasses import replace

import numpy as np
import pytest

from sktn.networks import graph
from sktn.solvers.als import squared_error
from sktn.structure import neighbours, readings, steps, tomography
from sktn.structure.fixed import complete_matrix


def smooth(shape=(6, 5, 4, 5), seed=0):
    X = np.random.default_rng(seed).normal(size=shape)
    for axis in range(len(shape)):
        X = X.cumsum(axis)
    return X / np.linalg.norm(X)


def fitted(X, R, target, sweeps=60, seed=0):
    rng = np.random.default_rng(seed)
    task = steps.Problem(X, X.shape, target, rng)
    cores = graph.random_cores(X.shape, R, rng)
    return task, task.fit(cores, sweeps, tol=1e-6, target=0.0, give_up=False)


def test_a_race_tells_a_slow_fit_from_a_failure():
    X = smooth()
    R = complete_matrix(2, 4)
    task, found = fitted(X, R, 1e-12, sweeps=12)
    task.target = found.error  # what takes more than the first round
    rng = np.random.default_rng(1)
    hopeless = [graph.random_cores(X.shape, np.ones((4, 4), int), rng) for _ in range(3)]
    # Not yet there, and in front of it some that never will be.
    slow = task.fit(graph.random_cores(X.shape, R, np.random.default_rng(0)), 3, give_up=False)
    assert not task.met(task.fit(slow.cores, 6, tol=1e-5, give_up=False))
    runners = [(cores, None, None) for cores in (*hopeless, slow.cores)]
    trial, failed = neighbours._race(task, runners, 6, "neighbour")
    assert task.met(trial)
    assert failed == []
    assert squared_error(X, trial.cores) <= task.target
    trial, failed = neighbours._race(task, runners[:3], 6, "neighbour")
    assert trial is None
    assert len(failed) == 3
    assert neighbours._race(task, [], 6, "neighbour") == (None, [])


def told(task):
    """The task, with what the spectra of its tensor prove."""
    return replace(task, cuts=readings.needed(task, tomography.spectra(task.X)))


def test_no_fit_undercuts_what_the_unfoldings_prove():
    X = smooth()
    task, _ = fitted(X, complete_matrix(1, 4), 1e-3)
    cuts = told(task).cuts
    for seed in range(8):
        R = np.triu(np.random.default_rng(seed).integers(1, 4, (4, 4)), 1)
        R = np.maximum(R + R.T, 1)
        missed = cuts.missed([R[np.triu_indices(4, 1)]])[0]
        _, found = fitted(X, R, 1e-12, sweeps=100, seed=seed)
        assert missed <= found.error * (1 + 1e-6)
    # One bond cuts mode 0 from the others, and is all that does.
    R = np.ones((4, 4), dtype=int)
    R[0, 1] = R[1, 0] = 2
    values = np.linalg.svd(X.reshape(6, -1), compute_uv=False) ** 2
    alone = [
        np.linalg.svd(np.moveaxis(X, k, 0).reshape(X.shape[k], -1), compute_uv=False)
        for k in (2, 3)
    ]
    expected = max([values[2:].sum(), *((s**2)[1:].sum() for s in alone)])
    assert cuts.missed([R[np.triu_indices(4, 1)]])[0] >= expected * (1 - 1e-9)


@pytest.mark.slow
def test_every_part_of_the_last_phase_can_be_switched_off(monkeypatch):
    X = smooth()
    task, found = fitted(X, complete_matrix(2, 4), 1e-12)
    task.target = found.error  # no smaller network comes near
    sweeps, called = [], []
    fit, choose = task.fit, neighbours.Structures.choose
    monkeypatch.setattr(task, "fit", lambda cores, n, **k: sweeps.append(n) or fit(cores, n, **k))
    monkeypatch.setattr(neighbours.Structures, "choose", lambda *a: called.append(a) or choose(*a))

    def descended(**off):
        sweeps.clear()
        called.clear()
        assert neighbours.descend(task, found, neighbours.Descent(**off)) is found
        return set(sweeps), bool(called)

    tried, begun = descended()
    assert {6, 12} < tried
    assert begun
    assert not descended(random_starts=False)[1]
    assert descended(race=False) == ({12}, True)
