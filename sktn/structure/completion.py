"""Structure search on the observed entries of a tensor, for the sake of the missing ones.

The size of a network no longer matters, its generalisation does. So every decision (scales,
smoothness, which bond to widen, when to stop) is made by the error on observed entries that were
held out, and the last sweeps use all of them.
"""

import time
from dataclasses import dataclass

import numpy as np

from sktn.networks import graph
from sktn.solvers.masked import Observed, masked_sweep
from sktn.structure import moves, scales

__all__ = ["Settings", "complete"]


@dataclass(frozen=True)
class Settings:
    """What the completion uses.

    ordered modes that may be averaged and smoothed, smoothness (N,) weights,
    growth share of the parameters added per step
    """

    ordered: tuple = ()
    smoothness: tuple = ()
    edge: float = 0.1
    n_scales: int = 3
    max_steps: int = 30
    growth: float = 0.6
    sweeps: int = 4
    patience: int = 2
    ridge: float = 1e-3
    held_out: float = 0.05
    time_limit: float | None = None


@dataclass
class _Data:
    """Observed entries of one scale: to train on, to decide by, and together."""

    train: Observed
    held: Observed
    full: Observed

    def loss(self, cores):
        """Mean squared error on the held-out entries."""
        W, X = self.held.W, self.held.X
        seen = W > 0
        weight = W[seen]
        residual = graph.to_dense(cores)[seen] - X[seen] / weight
        return float(np.vdot(residual, residual * weight)) / max(float(weight.sum()), 1e-12)


def _average(X, W, halvings):
    """Weighted block means: sums of values over sums of weights stay exact through scales."""
    total, weight = X * W, W.astype(X.dtype)
    n = 2.0 ** sum(halvings)
    return scales.coarsen(total, halvings) * n, scales.coarsen(weight, halvings) * n


def _observed(total, weight):
    """Observed data with weights of at most about one, values times weights as data."""
    top = max(float(weight.max()), 1.0)
    return Observed(total / top, weight / top)


def _level(X, train, held, halvings):
    parts = [_observed(*_average(X, W, halvings)) for W in (train, held)]
    full = _observed(*_average(X, train + held, halvings))
    return _Data(parts[0], parts[1], full)


def complete(X, W, rng, settings, callback=None):
    """Network that predicts the missing entries.

    X (I_1, .., I_N) zero where missing, W (I_1, .., I_N) of zeros and ones -> cores
    """
    started = time.perf_counter()
    train, held = _split(W, rng, settings.held_out)

    def note(action, scale, cores, loss, bond=None):
        if callback is not None:
            callback(
                {
                    "scale": scale,
                    "action": action,
                    "bond": bond,
                    "relative_error": float(np.sqrt(loss)),
                    "n_parameters": int(sum(core.size for core in cores)),
                }
            )

    def expired():
        limit = settings.time_limit
        return limit is not None and time.perf_counter() - started > limit

    grid = scales.levels(X.shape, settings.ordered, settings.n_scales, shortest=16)
    ones = np.ones((X.ndim, X.ndim), dtype=int)
    cores, most = None, 0.5 * float(W.sum())
    for level, halvings in enumerate(grid):
        scale = len(grid) - 1 - level
        data = _level(X, train, held, halvings)
        shape = data.train.shape
        if cores is None:
            cores = graph.random_cores(shape, ones, rng, X.dtype)
        cores = [scales.interpolate(c, k, shape[k]).astype(X.dtype) for k, c in enumerate(cores)]
        cores = _sweeps(data.train, cores, settings)
        best, failures = (data.loss(cores), cores), 0
        note("lift" if level else "start", scale, cores, best[0])
        for _ in range(settings.max_steps):
            # More parameters than observations tell nothing apart, and cost the cube of a width.
            if best[0] < 1e-8 or sum(core.size for core in cores) > most or expired():
                break
            wider, bond = _grow(data, cores, rng, settings)
            if bond is None:
                break
            cores = _sweeps(data.train, wider, settings)
            loss = data.loss(cores)
            note("expand", scale, cores, loss, bond)
            # A coarse scale only has to find what is plain; detail is cheaper to find in focus.
            failures = 0 if loss < (0.97 if scale else 0.995) * best[0] else failures + 1
            if loss < best[0]:
                best = (loss, cores)
            if failures >= (1 if scale else settings.patience):
                break
        cores = best[1]
    cores = _sweeps(data.full, cores, settings)
    note("refit", 0, cores, best[0])
    return cores


def _split(W, rng, share):
    """Observed entries to train on and to decide by; at least one of each where there are two."""
    held = W * (rng.random(W.shape) < share)
    total = W.sum()
    if total > 1 and not 0 < held.sum() < total:
        held = np.zeros_like(W)
        where = np.argwhere(W > 0)
        held[tuple(where[rng.integers(len(where))])] = 1.0
    held = held.astype(W.dtype)
    return W - held, held


def _sweeps(observed, cores, settings):
    for _ in range(settings.sweeps):
        cores = masked_sweep(observed, cores, settings.smoothness, settings.edge, settings.ridge)
    return cores


def _grow(data, cores, rng, settings):
    """Widen the bonds whose new slices, found on training entries, help the held-out ones most.

    -> cores, first bond or None
    """
    order = len(cores)
    sizes = data.train.shape
    R = graph.bond_dims(cores)
    total = sum(core.size for core in cores)
    dense = graph.to_dense(cores)
    residual = (data.train.X - dense * data.train.W) / max(data.train.density, 1e-12)
    error = data.held.X - dense * data.held.W
    paid = graph.core_sizes(sizes, R)
    offers = []
    for i in range(order):
        for j in range(i + 1, order):
            price = paid[i] // R[i, j] + paid[j] // R[i, j]
            width = int(np.clip(settings.growth * total // price, 1, R[i, j]))
            if R[i, j] >= min(np.prod(sizes) // sizes[i], np.prod(sizes) // sizes[j]):
                continue
            first, second, _ = moves.growth(residual, cores, i, j, width, rng, 2)
            some = list(cores)
            some[i], some[j] = first, second
            new = graph.to_dense(some)
            norm = float(np.vdot(new, new * data.held.W))
            projection = float(np.vdot(error, new))
            if norm > 0 and projection > 0:
                gain = projection**2 / norm
                offers.append((gain, (i, j), projection / norm, first, second))
    offers.sort(key=lambda offer: -offer[0])
    added, used, bond = 0, set(), None
    new = list(cores)
    for gain, (i, j), factor, first, second in offers:
        if bond is not None and (gain < 0.3 * offers[0][0] or added > settings.growth * total):
            break
        if used & {i, j}:
            continue
        scale = min(factor, 1.0)
        new = moves.append_slices(new, i, j, first * scale, second)
        used |= {i, j}
        added += first.size + second.size
        bond = bond or (i, j)
    return [core.astype(cores[0].dtype) for core in new], bond
