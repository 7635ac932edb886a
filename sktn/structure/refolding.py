"""Foldings of a network with loops: its cores fall apart one after the other.

Without a canonical form the error of a split is known through the Gram matrix A of the core's
environment. Here that is taken to be a product over the bonds,

    A = tr(A) S_1 (x) .. (x) S_n,    S_j = tr_(all but j) A / tr(A),

exact on trees, so that with the roots of all S_j multiplied in the tail of the core's singular
values is the error, as in `folding`. What the product misses, sweeps make up for.
"""

import numpy as np

from sktn.networks import normal
from sktn.structure import folding, moves, steps

__all__ = ["refold", "whitened"]

# A split may drop so much of the squared error allowed: expansion buys it back, for less than it
# saved by the price of error that it was chosen with.
_ROOM = 0.5
# Splits that are tried before a network is left as it is.
_TRIES = 3
# Width and entries of a core whose splits take seconds to price.
_WIDEST, _LARGEST = 1500, 2e5


def whitened(cores, k):
    """Core k in the metric of its environment, and what brings it back.

    cores N arrays -> core k, dict of bond to inverse root (R, R), number
    """
    core = cores[k].astype(np.float64)
    gram = normal.sketched_gram(cores, k).astype(np.float64)
    total, inverses = max(float(np.trace(gram)), 1e-300), {}
    for j in range(core.ndim):
        if j != k and core.shape[j] > 1:
            values, vectors = np.linalg.eigh(moves.partial_trace(gram, core, k, j) / total)
            root = np.sqrt(np.maximum(values, 1e-10 * values[-1]))
            core = _along(core, j, (vectors * root) @ vectors.T)
            inverses[j] = (vectors / root) @ vectors.T
    return core * np.sqrt(total), inverses, np.sqrt(total)


def _along(core, j, matrix):
    return np.moveaxis(np.tensordot(core, matrix, (j, 0)), -1, j)


def _halved(cores, split, white, inverses, scale):
    """The network after a split: N arrays -> N + 1 arrays"""
    some = list(cores)
    some[split.k] = white / scale
    new = folding.applied(some, split)
    for j, inverse in inverses.items():
        own = split.k + 1 if j in split.second else split.k
        new[own] = _along(new[own], j + (j > split.k), inverse)
    dtype = cores[split.k].dtype
    return [np.ascontiguousarray(core.astype(dtype)) for core in new]


def _splits(cores, allowed, deadline):
    """Splits that pay, the best first: list of (split, cores after it)."""
    total, found = sum(core.size for core in cores), []
    own = _ROOM * allowed, total / allowed
    for k, core in enumerate(cores):
        width = core.size // core.shape[k]
        if width > _WIDEST or core.size > _LARGEST or not folding.pairs(core.shape[k]):
            continue
        white = whitened(cores, k)
        split = folding.priced(white[0], k, core.size, *own, deadline)
        if split is not None and split.worth > folding.WORTH * total:
            found.append((split, white))
    found.sort(key=lambda item: -item[0].worth)
    return [(split, _halved(cores, split, *white)) for split, white in found[:_TRIES]]


def refold(task, found, cores):
    """Split the cores of a network that meets the target, as long as that makes it smaller.

    task with X (I_1, .., I_N), found Folding of X, cores a network on it -> Folding, cores
    """
    while len(cores) < folding.MOST_MODES and not task.deadline.expired():
        if not any(folding.pairs(n) for n in found.shape):
            break
        problem = _problem(task, found.shape)
        # A fit that ended at the target hides what falls apart behind what it still misses.
        tight = problem.fit(cores, 12, tol=1e-3, target=0.0).cores
        for split, halves in _splits(tight, problem.target, task.deadline):
            finer = found.split(split.k, split.pair)
            state = _refitted(_problem(task, finer.shape), halves)
            if state is not None and state.size < sum(core.size for core in cores):
                found, cores = finer, state.cores
                break
        else:
            break
    return found, cores


def _problem(task, shape):
    target = task.target**2 * (1.0 - 1e-7)
    X, history, deadline = task.X.reshape(shape), task.history, task.deadline
    return steps.Problem(X, shape, target, task.rng, history=history, deadline=deadline)


def _refitted(problem, cores):
    """The network at the target again, without what it can spare, or None."""
    limit = 2 * sum(core.size for core in cores)
    state = problem.fit(cores, 12, give_up=False)
    state = steps.expand(problem, state, limit=limit)
    if not problem.met(state):
        return None
    problem.note("split", state)
    return steps.compress(problem, state)
