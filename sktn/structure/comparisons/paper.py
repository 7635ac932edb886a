"""RGTN as published: gates, tension, information flow and scales under one gradient descent.

At every scale, coarse to fine: Adam on all cores and gates together under six losses; the bond
between the two nodes of most tension is widened; components whose gate has closed, and the edge of
least information flow, are dropped. The solution is interpolated to the next scale.

    L = ||X - TN(g)||^2 + a sum ||D_k TN||^2 + b sum g + c sum H(g) + d sum_k ||G_(k)||_*
    g = sigmoid(w / tau),  tau(t) = tau_0 exp(-t / t_0)
    weights     lambda(s) = lambda exp(beta s), the solution of d lambda / ds = beta lambda
    rates       cores eta_0 exp(-s / s_0),  gates eta_0 (1 + s / s_1)

The sum over D_k are the temporal and the spatial terms: differences along the ordered modes. There
is a gate for every component of a bond, so that a closed one lowers the rank.

M. Wang et al., "Renormalization group guided tensor network structure search", AAAI 2026,
arXiv:2512.24663. What the paper leaves open (weights, constants, when to widen) is set here.
"""

from itertools import combinations

import numpy as np

from sktn.networks import graph
from sktn.networks.residual import error_and_gradient
from sktn.solvers.als import Stop, als
from sktn.structure import moves, scales
from sktn.structure.evaluate import padded

__all__ = ["gated", "loss", "search", "tension"]

# Weights of the losses, their exponents beta, and the constants of the schedules.
_SMOOTH, _SPARSE, _ENTROPY, _NUCLEAR = 1e-3, 1e-4, 1e-4, 1e-5
_BETA = {"smooth": 0.5, "sparse": -0.5, "entropy": -0.5, "nuclear": 0.0}
_RATE, _S0, _S1, _TAU = 0.02, 2.0, 1.0, 1.0
# Steps of Adam before the structure is looked at again, and how often that is at a scale.
_STEPS, _ROUNDS = 30, 8
# Share of the largest information flow below which an edge is dropped.
_FAINT = 0.01
# Sweeps of the last fit and rounds of growth where the target is missed.
_SWEEPS, _MORE = 40, 60


def gated(cores, gates):
    """The network with the gates of bond (i, j), i < j, as a diagonal factor in core i.

    cores N arrays, gates dict of (i, j) to (R_ij,) -> N arrays
    """
    result = list(cores)
    for (i, j), g in gates.items():
        shape = [1] * len(cores)
        shape[j] = -1
        result[i] = result[i] * g.reshape(shape)
    return result


def _entropy(g):
    g = np.clip(g, 1e-9, 1.0 - 1e-9)
    return -(g * np.log(g) + (1 - g) * np.log(1 - g)), np.log((1 - g) / g)


def _weights(scale):
    """What every loss weighs at a scale."""
    base = {"smooth": _SMOOTH, "sparse": _SPARSE, "entropy": _ENTROPY, "nuclear": _NUCLEAR}
    return {name: value * np.exp(_BETA[name] * scale) for name, value in base.items()}


def loss(X, cores, gates, ordered, weight):
    """The six losses, and their derivatives by cores and gates.

    X (I_1, .., I_N), cores N arrays, gates dict, ordered modes, weight dict
    -> squared error, all losses, N arrays, dict
    """
    whole = gated(cores, gates)
    error, slopes = error_and_gradient(X, whole)
    total = error
    for k in ordered:
        moved = list(whole)
        moved[k] = np.diff(whole[k], axis=k)
        shape = [core.shape[n] for n, core in enumerate(moved)]
        rough, pulled = error_and_gradient(np.zeros(shape), moved)
        total += weight["smooth"] * rough
        before = np.zeros_like(np.take(whole[k], [0], axis=k))
        pad = np.concatenate([before, pulled[k], before], axis=k)
        pulled[k] = -np.diff(pad, axis=k)
        slopes = [a + weight["smooth"] * b for a, b in zip(slopes, pulled, strict=True)]
    by_gate = {}
    for (i, j), g in gates.items():
        axes = tuple(a for a in range(len(cores)) if a != j)
        # Gates of other bonds of core i are in `whole`; its own is divided out of it.
        entropy, by_entropy = _entropy(g)
        slope = (slopes[i] * whole[i]).sum(axis=axes) / np.maximum(g, 1e-12)
        by_gate[i, j] = slope + weight["sparse"] + weight["entropy"] * by_entropy
        total += weight["sparse"] * g.sum() + weight["entropy"] * entropy.sum()
    slopes = gated(slopes, gates)
    for k, core in enumerate(cores):
        flat = np.moveaxis(core, k, 0)
        U, s, Vt = np.linalg.svd(flat.reshape(flat.shape[0], -1), full_matrices=False)
        total += weight["nuclear"] * s.sum()
        slopes[k] = slopes[k] + weight["nuclear"] * np.moveaxis((U @ Vt).reshape(flat.shape), 0, k)
    return error, total, slopes, by_gate


class _Adam:
    """Adam on a list of arrays (Kingma and Ba 2015)."""

    def __init__(self, values):
        self.first = [np.zeros_like(v) for v in values]
        self.second = [np.zeros_like(v) for v in values]
        self.t = 0

    def step(self, values, slopes, rates):
        """values, slopes lists of arrays, rates list of float -> list of arrays"""
        self.t += 1
        result = []
        for n, (v, slope, rate) in enumerate(zip(values, slopes, rates, strict=True)):
            self.first[n] = 0.9 * self.first[n] + 0.1 * slope
            self.second[n] = 0.999 * self.second[n] + 0.001 * slope**2
            mean = self.first[n] / (1 - 0.9**self.t)
            square = self.second[n] / (1 - 0.999**self.t)
            result.append(v - rate * mean / (np.sqrt(square) + 1e-8))
        return result


def tension(X, cores):
    """T_v = ||dL_data/dG_v||_F degree(v).

    X (I_1, .., I_N), cores N arrays -> (N,)
    """
    _, slopes = error_and_gradient(X, cores)
    degree = np.sum(graph.bond_dims(cores) > 1, axis=1)
    return np.array([np.linalg.norm(s) for s in slopes]) * np.maximum(degree, 1)


def _flows(cores):
    """Information flow of every edge: the entropy of its components' weights, in nats."""
    R = graph.bond_dims(cores)
    grams, _ = moves.unit_grams(cores)
    flows = {}
    for i, j in combinations(range(len(cores)), 2):
        if R[i, j] > 1:
            _, _, weights = moves.local_gauge(cores, grams, i, j)
            p = weights**2 / max(np.sum(weights**2), 1e-300)
            flows[i, j] = float(-np.sum(p * np.log(np.maximum(p, 1e-300))))
    return flows


def _expanded(X, cores, rng):
    """The bond between the two nodes of most tension, wider by one."""
    i, j = np.sort(np.argsort(-tension(X, cores))[:2])
    R = graph.bond_dims(cores)
    R[i, j] = R[j, i] = R[i, j] + 1
    return padded(cores, R, rng)


def _compressed(cores, logits, tau):
    """Without components whose gate is shut, and without the edge of least information flow."""
    cores = list(cores)
    for (i, j), w in list(logits.items()):
        keep = w / tau > 0.0
        if not keep.any():
            keep[np.argmax(w)] = True
        cores[i], cores[j] = (
            np.compress(keep, cores[i], axis=j),
            np.compress(keep, cores[j], axis=i),
        )
        logits[i, j] = w[keep]
    flows = _flows(cores)
    if len(flows) > 1:
        i, j = min(flows, key=flows.get)
        if flows[i, j] < _FAINT * max(flows.values()):
            cores[i], cores[j] = np.take(cores[i], [0], axis=j), np.take(cores[j], [0], axis=i)
            logits.pop((i, j))
    return cores, logits


def _scale(task, X, cores, ordered, scale):
    """One scale: rounds of descent, compression and, while the target is missed, expansion."""
    rates = _RATE * np.exp(-scale / _S0), _RATE * (1 + scale / _S1)
    weight, step, allowed = _weights(scale), 0, task.target**2
    for _ in range(_ROUNDS):
        R = graph.bond_dims(cores)
        logits = {
            edge: np.full(R[edge], 2.0) for edge in zip(*np.triu_indices(len(R), 1), strict=True)
        }
        logits = {edge: w for edge, w in logits.items() if len(w) > 1}
        adam, error = _Adam([*cores, *logits.values()]), np.inf
        for _ in range(_STEPS):
            if task.deadline.expired():
                return cores
            tau = _TAU * np.exp(-step / (_STEPS * _ROUNDS))
            gates = {edge: 1 / (1 + np.exp(-w / tau)) for edge, w in logits.items()}
            error, _, slopes, by_gate = loss(X, cores, gates, ordered, weight)
            by_logit = [by_gate[edge] * g * (1 - g) / tau for edge, g in gates.items()]
            values = adam.step(
                [*cores, *logits.values()],
                [*slopes, *by_logit],
                [rates[0]] * len(cores) + [rates[1]] * len(logits),
            )
            cores = values[: len(cores)]
            logits = dict(zip(logits, values[len(cores) :], strict=True))
            step += 1
        gates = {edge: 1 / (1 + np.exp(-w / tau)) for edge, w in logits.items()}
        cores, _ = _compressed(gated(cores, gates), logits, tau)
        size = graph.n_parameters(task.X.shape, graph.bond_dims(cores))
        task.note("paper", error, size, scale=scale)
        if error <= allowed:
            break
        cores = _expanded(X, cores, task.rng)
    return cores


def search(task, *, ordered=(), n_scales=3, rank=2):
    """The published flow, then alternating least squares and growth by tension to the target.

    task with X (I_1, .., I_N) of norm 1, ordered modes that may be averaged -> cores
    """
    X, cores = task.X, None
    grid = scales.levels(X.shape, ordered, n_scales)
    for level, halvings in enumerate(grid):
        scale = len(grid) - 1 - level
        data = scales.coarsen(X, halvings)
        norm = np.linalg.norm(data)
        if norm < 1e-3:  # Averaging has cancelled the data.
            continue
        if cores is None:
            R = np.full((X.ndim, X.ndim), rank)
            np.fill_diagonal(R, 1)
            if X.ndim > 6:  # A complete graph of so many modes cannot be contracted.
                R = np.where(np.abs(np.subtract.outer(range(X.ndim), range(X.ndim))) == 1, rank, 1)
            cores = graph.random_cores(data.shape, R, task.rng)
            cores[0] /= np.linalg.norm(graph.to_dense(cores))
        cores = [scales.interpolate(c, k, data.shape[k]) for k, c in enumerate(cores)]
        cores = _scale(task, data / norm, cores, ordered, scale)
    allowed = task.target**2
    for _ in range(_MORE):
        fit = als(X, cores, Stop(_SWEEPS, target=allowed, deadline=task.deadline))
        cores = fit.cores
        size = graph.n_parameters(X.shape, graph.bond_dims(cores))
        task.note("paper", fit.error, size)
        if fit.error <= allowed or size > X.size or task.deadline.expired():
            break
        cores = _expanded(X, cores, task.rng)
    return cores
