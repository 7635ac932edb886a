"""SVDinsTN: a complete graph with a sparse diagonal factor on every edge.

    min 1/2 ||X - TN(G, S)||^2 + mu/2 sum_k ||G_k||^2 + sum_ij lambda_ij ||S_ij||_1

Solved by proximal alternating minimization of all G_k and S_ij, from diagonals that are the mean
singular values of X's slices; lambda_ij = gamma max(S_ij), reweighted by 1 / (|s| + eps), so that
large values are spared. The one number gamma trades size for error: the paper tunes it, here a
bisection finds the largest that meets the target.

Y.-B. Zheng, X.-L. Zhao, J. Zeng, C. Li, Q. Zhao, H.-C. Li, T.-Z. Huang, "SVDinsTN: a tensor network
paradigm for efficient structure search from regularized modeling perspective", CVPR 2024.
"""

from itertools import combinations

import numpy as np

from sktn.networks import graph, normal
from sktn.solvers.als import Fit, Stop, als, squared_error

__all__ = ["search"]

# Slices of two modes whose singular values are averaged: more do not change the mean.
_SLICES = 500
_EPS = 1e-16
# A weight that leaves nothing of any diagonal; products with larger ones need not be finite.
_LARGEST = 1e100
# Weight of the proximal terms, as published.
_RHO = 1e-3
# Steps of gamma below which its networks hardly differ.
_FINEST = 1.1


def bond_quadratic(core, gram, projection, k, bond):
    """D_ab = <T_a, T_b> and b_a = <X, T_a> of the components of one bond of core k.

    core N axes, gram (P_k, P_k), projection (I_k, P_k) -> D (R, R), b (R,)
    """
    moved = np.moveaxis(core, k, 0)
    G = moved.reshape(moved.shape[0], -1).astype(np.float64)
    position = bond if bond < k else bond - 1
    shape = moved.shape[1:]
    before, after = int(np.prod(shape[:position])), int(np.prod(shape[position + 1 :]))
    weighted = ((G.T @ G) * gram).reshape(before, shape[position], after, before, -1, after)
    D = weighted.sum(axis=(0, 2, 3, 5))
    b = (G * projection).sum(axis=0).reshape(before, shape[position], after).sum(axis=(0, 2))
    return D, b


def slice_values(X, i, j, rng):
    """Mean singular values of the slices X[.., i, .., j, ..].

    X (I_1, .., I_N) -> (min(I_i, I_j),)
    """
    slices = np.moveaxis(X, (i, j), (-2, -1)).reshape(-1, X.shape[i], X.shape[j])
    if len(slices) > _SLICES:
        slices = slices[rng.choice(len(slices), _SLICES, replace=False)]
    return np.linalg.svd(slices, compute_uv=False).mean(axis=0)


def _shrunk(values, threshold):
    """The reweighted soft threshold sign(v) max(|v| - t / (|v| + eps), 0)."""
    size = np.abs(values)
    return np.sign(values) * np.maximum(size - threshold / (size + _EPS), 0.0)


def _start(evaluator, X, gamma, max_rank):
    """The first network: all edges, cut where the network could not be contracted.

    -> random cores, diagonals
    """
    order, diagonals = X.ndim, {}
    for i, j in combinations(range(order), 2):
        values = slice_values(X, i, j, evaluator.rng).astype(np.float64)
        kept = _shrunk(values, gamma * values.max())
        kept = kept[kept > 0.0] if (kept > 0.0).any() else values[:1]
        diagonals[i, j] = kept[:max_rank]
    while not evaluator.affordable(_ranks(diagonals, order)):
        # The narrowest value of the widest bonds goes; last of all, bonds between distant modes.
        widest = max(len(s) for s in diagonals.values())
        if widest > 2:
            diagonals = {edge: s[: widest - 1] for edge, s in diagonals.items()}
            continue
        wide = [edge for edge, s in diagonals.items() if len(s) > 1]
        if not wide:
            break
        far = max(wide, key=lambda edge: edge[1] - edge[0])
        diagonals[far] = diagonals[far][:1]
    R = _ranks(diagonals, order)
    return graph.random_cores(X.shape, R, evaluator.rng, X.dtype), diagonals


def _ranks(diagonals, order):
    R = np.ones((order, order), dtype=int)
    for (i, j), s in diagonals.items():
        R[i, j] = R[j, i] = len(s)
    return R


def _absorbed(cores, diagonals, k):
    """The network of cores and diagonals; those beside core k go to its neighbours."""
    result = list(cores)
    for (i, j), s in diagonals.items():
        a, b = (j, i) if i == k else (i, j)
        shape = [1] * len(cores)
        shape[b] = -1
        result[a] = result[a] * s.reshape(shape).astype(result[a].dtype)
    return result


def _diagonal(D, b, start, strength, rounds=30):
    """Coordinate descent of s D s / 2 - b s + sum_a strength_a |s_a| + rho/2 ||s - start||^2.

    D (R, R), b (R,), start (R,), strength (R,) -> (R,)
    """
    s, curve = start.copy(), np.diag(D) + _RHO
    for _ in range(rounds):
        before = s.copy()
        for a in range(len(s)):
            pull = b[a] + _RHO * start[a] - D[a] @ s + D[a, a] * s[a]
            s[a] = np.sign(pull) * max(abs(pull) - strength[a], 0.0) / curve[a]
        if np.abs(s - before).max() <= 1e-6 * np.abs(s).max():
            break
    return s


def _sweep(X, cores, diagonals, gamma, mu, deadline):
    """One round over all cores and the diagonals beside each; zeros of a diagonal are deleted."""
    order = len(cores)
    for k in range(order):
        if deadline.expired():
            return
        A, B = normal.normal_equations(X, _absorbed(cores, diagonals, k), k)
        A, B = A.astype(np.float64), B.astype(np.float64)
        moved = np.moveaxis(cores[k], k, 0)
        old = moved.reshape(moved.shape[0], -1)
        lhs = A.copy()
        lhs.flat[:: len(A) + 1] += mu + _RHO
        G = np.linalg.solve(lhs, (B + _RHO * old).T).T
        core = np.ascontiguousarray(np.moveaxis(G.reshape(moved.shape), 0, k))
        cores[k] = core.astype(X.dtype)
        for j in range(order):
            edge = (min(j, k), max(j, k))
            if j == k or len(diagonals[edge]) == 1:
                continue
            s = diagonals[edge]
            D, b = bond_quadratic(cores[k], A, B, k, j)  # of components that carry s
            D, b = D / np.outer(s, s), b / s
            strength = gamma * np.abs(s).max() / (np.abs(s) + _EPS)
            new = _diagonal(D, b, s, strength)
            keep = np.abs(new) > 1e-6 * np.abs(s).max()
            if not keep.any():
                keep[np.argmax(np.abs(s))] = True
                new = s
            A, B = _rescaled(A, B, cores[k].shape, k, j, new / s, keep)
            diagonals[edge] = new[keep]
            cores[k] = np.compress(keep, cores[k], axis=j)
            cores[j] = np.compress(keep, cores[j], axis=k)


def _rescaled(A, B, shape, k, j, factor, keep):
    """Normal equations of core k after its bond to core j got other weights and lost components."""
    bonds = [n for axis, n in enumerate(shape) if axis != k]
    along = [1] * len(bonds)
    along[j if j < k else j - 1] = -1
    kept = np.broadcast_to(keep.reshape(along), bonds).ravel()
    weight = np.broadcast_to(factor.reshape(along), bonds).ravel()[kept]
    return A[np.ix_(kept, kept)] * np.outer(weight, weight), B[:, kept] * weight


def _minimized(evaluator, X, network, gamma, mu, sweeps):
    """Sweeps of one gamma until nothing changes: the last network of every structure on the way.

    network (cores, diagonals) -> list of (cores, diagonals)
    """
    deadline, passed = evaluator.task.deadline, []
    cores, diagonals = list(network[0]), dict(network[1])
    for sweep in range(sweeps):
        last = cores[0]
        passed.append((list(cores), dict(diagonals)))
        _sweep(X, cores, diagonals, gamma, mu, deadline)
        still = (graph.bond_dims(cores) == graph.bond_dims(passed[-1][0])).all()
        if still or sweep == 0:  # What has not been swept yet is no network of its structure.
            passed.pop()
        if deadline.expired():
            break
        if still and np.linalg.norm(cores[0] - last) <= 1e-3 * np.linalg.norm(last):
            break
    return [*passed, (cores, diagonals)]


def _refitted(evaluator, network, scale):
    """The network without penalties, fitted to the tensor and offered; whether it meets the target.

    network (cores, diagonals) of the tensor times scale
    """
    task = evaluator.task
    cores = [core.astype(np.float64) for core in _absorbed(*network, -1)]
    cores[0] /= scale
    stop = Stop(2 * evaluator.sweeps, 1e-5, evaluator.budget, deadline=task.deadline)
    fit = als(task.X, cores, stop)
    fit = Fit(fit.cores, squared_error(task.X, fit.cores), fit.sweeps)
    evaluator.offer(fit)
    return fit.error <= evaluator.budget


def _last_met(evaluator, passed, scale):
    """The last of several networks, ever smaller, that meets the target when it is refitted."""
    low, high = -1, len(passed)
    middle = high - 1  # most often it is the last of all, or none
    while high - low > 1 and not evaluator.expired():
        if _refitted(evaluator, passed[middle], scale):
            low = middle
        else:
            high = middle
        middle = (low + high) // 2
    return passed[low] if low >= 0 else None


def search(evaluator, *, max_rank=10, gamma=1e-3, mu=1.0, sweeps=100, tries=16):
    """The smallest of the networks of several gammas that meets the target when it is refitted.

    Gamma falls until the target is met; from then on it rises, each time from the network that met
    it last, in steps that halve where it is missed. Of the networks that a minimization passes
    through the last one that meets the target counts. Minimizations that begin anew at every gamma
    end at minima that have nothing to do with each other: of two neighbouring gammas one left 982
    parameters, the other 51, and nothing was seen of what lies between.

    -> cores
    """
    target = evaluator.task.target
    # The published weights are those of data between 0 and 1.
    scale = 1.0 / max(float(np.abs(evaluator.X).max()), 1e-300)
    X = (evaluator.X * scale).astype(np.float32 if target >= 1e-3 else np.float64)
    weight, met, step = min(gamma, _LARGEST), None, 10.0
    enough = weight / step
    for _ in range(tries):
        begun = _start(evaluator, X, weight, max_rank) if met is None else met
        passed = _minimized(evaluator, X, begun, weight, mu, sweeps)
        found = _last_met(evaluator, passed, scale)
        met = met if found is None else found
        if met is None:
            weight, enough = enough, enough / step
        else:
            if found is passed[-1]:
                enough = weight
            else:
                step = np.sqrt(step)
            weight = min(step * enough, _LARGEST)
        if evaluator.expired() or step < _FINEST:
            break
    return evaluator.cores
