"""Foldings of a network with loops: its cores fall apart one after the other.

Without a canonical form the error of a split is known through the Gram matrix A of the core's
environment. Here that is taken to be a product over the bonds,

    A = tr(A) S_1 (x) .. (x) S_n,    S_j = tr_(all but j) A / tr(A),

exact on trees, so that with the roots of all S_j multiplied in the tail of the core's singular
values is the error, as in `folding`. What the product misses, sweeps make up for.

Splits that came one after the other depend on each other, and on the network that was split: two
factors of a mode are joined again, and split otherwise, until that helps no more.
"""

from functools import partial

import numpy as np

from sktn.networks import normal
from sktn.solvers.als import Stop
from sktn.solvers.quasi_newton import joint
from sktn.structure import folding, moves, steps

__all__ = ["refold", "remake", "whitened"]

# A split may drop so much of the squared error allowed: expansion buys it back, for less than it
# saved by the price of error that it was chosen with.
_ROOM = 0.5
# Splits that are tried before a network is left as it is.
_TRIES = 3
# Other splits of two factors that are fitted for a short time, and those of them, about as good as
# what they come from, that are brought to the target.
_FITTED, _NEAR = 8, 1.02
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
        for split in folding.priced(white[0], k, core.size, *own, deadline)[:1]:
            if split.worth > folding.WORTH * total:
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


def remake(task, found, cores):
    """Join two factors of a mode of a network that meets the target, and split them otherwise or
    not at all, as long as that makes it smaller.

    task with X (I_1, .., I_N), found Folding of X, cores a network on it -> Folding, cores
    """
    while found.joints and not task.deadline.expired():
        for other, state in _rearranged(task, found, cores):
            state = _compressed(_problem(task, other.shape), state)
            if state is not None and state.size < sum(core.size for core in cores):
                found, cores = refold(task, other, state.cores)
                break
        else:
            break
    return found, cores


def _rearranged(task, found, cores):
    """Networks of other splits, after fits of equal length, the most promising first.

    -> list of (Folding, State)
    """
    problem, options, ranked = _problem(task, found.shape), [], []
    tight = _tight(problem, cores)
    own = _ROOM * problem.target, tight.size / problem.target
    for k in found.joints:
        whole = folding.joined(tight.cores, k)
        if whole[k].size // whole[k].shape[k] > _WIDEST or whole[k].size > _LARGEST:
            continue
        white, size = whitened(whole, k), sum(core.size for core in whole)
        options.append((-size, found.joined(k), partial(list, whole)))
        for split in folding.priced(white[0], k, whole[k].size, *own, task.deadline):
            if split.pair[0] != found.shape[k]:
                other = found.joined(k).split(k, split.pair)
                options.append((split.worth - size, other, partial(_halved, whole, split, *white)))
    options.sort(key=lambda option: -option[0])
    for _, other, make in options[:_FITTED]:
        state = _tight(_problem(task, other.shape), make())
        # Along good networks the squared error falls about like one over the size.
        promised = state.size * state.error / (tight.size * tight.error)
        if promised < _NEAR:
            ranked.append((promised, other, state))
    ranked.sort(key=lambda network: network[0])
    return [(other, state) for _, other, state in ranked[:_TRIES]]


def _tight(problem, cores):
    """A fit that goes on beyond the target: one that ends there hides which network is better."""
    # All cores together: to plan sweeps of a shape takes longer than to judge it.
    stop = Stop(60, 2e-4, 0.0, give_up=False, deadline=problem.deadline)
    return problem.state(joint(problem.X, cores, stop))


def _problem(task, shape):
    target = task.target**2 * (1.0 - 1e-7)
    X, history, deadline = task.X.reshape(shape), task.history, task.deadline
    return steps.Problem(X, shape, target, task.rng, history=history, deadline=deadline)


def _refitted(problem, cores):
    """The network at the target again, without what it can spare, or None."""
    return _compressed(problem, problem.fit(cores, 12, give_up=False))


def _compressed(problem, state):
    state = steps.expand(problem, state, limit=2 * state.size)
    if not problem.met(state):
        return None
    problem.note("split", state)
    return steps.compress(problem, state)
