"""Structure search on the observed entries of a tensor, for the sake of the missing ones.

The size of a network no longer matters, its generalisation does. So every decision (scales,
smoothness, which bond to widen, when to stop) is made by the error on observed entries that were
held out, and the last sweeps use all of them.
"""

import time
from dataclasses import dataclass
from itertools import combinations

import numpy as np

from sktn.networks import graph
from sktn.solvers import smoothness
from sktn.solvers.als_masked import Observed, masked_sweep
from sktn.structure import moves, scales

__all__ = ["Settings", "complete"]

# Where the search for the noise variance starts, relative to the variance of the data.
_FIRST_NOISE = 1e-2
# Where the search for the attachment of the smooth residual to the network starts.
_FIRST_ATTACHMENT = 0.1


@dataclass(frozen=True)
class Settings:
    """What the completion uses.

    ordered modes that may be averaged and smoothed, noise variance relative to the data's (0: no
    smoothness, None: chosen), growth share of the parameters added per step, deadline moment of
    `time.perf_counter` after which nothing new is begun
    """

    ordered: tuple | None = ()
    noise: float | None = None
    n_scales: int = 3
    max_steps: int = 30
    growth: float = 0.6
    sweeps: int = 2
    patience: int = 2
    ridge: float = 1e-3
    held_out: float = 0.05
    residual: bool = True
    deadline: float | None = None


@dataclass
class _Data:
    """Observed entries of one scale: to train on, to decide by, and together."""

    train: Observed
    held: Observed
    full: Observed
    prior: smoothness.Prior

    def __getitem__(self, window):
        """The same for a part of the tensor."""
        parts = (Observed(o.X[window], o.W[window]) for o in (self.train, self.held, self.full))
        return _Data(*parts, self.prior)

    def loss(self, dense):
        """Mean squared error on the held-out entries."""
        W, X = self.held.W, self.held.X
        seen = W > 0
        weight = W[seen]
        residual = dense[seen] - X[seen] / weight
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


def _level(X, train, held, halvings, ordered):
    parts = [_observed(*_average(X, W, halvings)) for W in (train, held)]
    full = _observed(*_average(X, train + held, halvings))
    return _Data(parts[0], parts[1], full, smoothness.prior(full, ordered))


@dataclass
class _Completion:
    """The state of the search: where it is, what it has found, and how smooth that is."""

    rng: np.random.Generator
    settings: Settings
    callback: object = None
    noise: float = 0.0
    attachment: float | None = None
    scale: int = 0

    def expired(self):
        deadline = self.settings.deadline
        return deadline is not None and time.perf_counter() > deadline

    def note(self, action, cores, loss, bond=None):
        if self.callback is not None:
            self.callback(
                {
                    "scale": self.scale,
                    "action": action,
                    "bond": bond,
                    "relative_error": float(np.sqrt(loss)),
                    "n_parameters": int(sum(core.size for core in cores)),
                }
            )

    def sweeps(self, observed, prior, cores, noise):
        """Sweeps of masked ALS, reweighted before each."""
        for _ in range(self.settings.sweeps):
            form = None
            if prior.steps and noise > 0:
                form = smoothness.penalty(graph.to_dense(cores), prior, noise)
            cores = masked_sweep(observed, cores, form, self.settings.ridge, expired=self.expired)
            if self.expired():
                break
        return cores

    def fit(self, data, cores):
        """Network after sweeps on the training entries, and its held-out loss."""
        cores = self.sweeps(data.train, data.prior, cores, self.noise)
        return data.loss(graph.to_dense(cores)), cores

    def grow(self, data, best):
        """Widen bonds until the held-out loss no longer falls."""
        settings, failures, cores = self.settings, 0, best[1]
        for _ in range(settings.max_steps):
            if best[0] < 1e-8 or self.expired():
                break
            wider, bond = _grow(data, cores, self.rng, settings.growth, self.expired)
            if bond is None or self.expired():
                break
            loss, cores = self.fit(data, wider)
            self.note("expand", cores, loss, bond)
            # A coarse scale only has to find what is plain; detail is cheaper to find in focus.
            failures = 0 if loss < (0.97 if self.scale else 0.995) * best[0] else failures + 1
            if loss < best[0]:
                best = (loss, cores)
            if failures >= (1 if self.scale else settings.patience):
                break
        return best

    def finish(self, data, cores):
        """Refit on all observed entries what the held-out entries have settled."""
        sweep_noise = self.noise
        loss = self.settle(data, graph.to_dense(cores), 2.0)
        cores = self.sweeps(data.full, data.prior, cores, sweep_noise)
        self.note("refit", cores, loss)
        return cores, self.values(data.full, data.prior, graph.to_dense(cores)), loss

    def settle(self, data, dense, factor):
        """Choose attachment and noise of the smooth residual; no residual where it does not help.

        dense values of the network -> held-out loss
        """
        if self.expired() or not (self.settings.residual and data.prior.steps and self.noise > 0):
            return data.loss(dense)
        window = _window(dense.shape, data.prior.steps)
        part, some = data[window], dense[window]

        def loss(attachment, noise):
            return part.loss(_with_residual(part.train, part.prior, some, attachment, noise))

        attachment = self.attachment or _FIRST_ATTACHMENT
        attachment = _descend(lambda a: loss(a, self.noise), attachment, factor)
        if self.settings.noise is None:
            self.noise = _descend(lambda n: loss(attachment, n), self.noise, factor)
        helps = loss(attachment, self.noise) < part.loss(some)
        self.attachment = attachment if helps else None
        return data.loss(self.values(data.train, data.prior, dense))

    def values(self, observed, prior, dense):
        """The network's values with the smooth part of its residual."""
        if self.attachment is None:
            return dense
        return _with_residual(observed, prior, dense, self.attachment, self.noise)


def _window(shape, steps, largest=2**20):
    """A central part of a large tensor, enough to judge two numbers by.

    Modes with the smallest steps are cut first: what is cut off looks like what is left.
    """
    lengths = list(shape)
    for j in sorted(steps, key=steps.get):
        while np.prod(lengths) > largest and lengths[j] > 8:
            lengths[j] = (lengths[j] + 1) // 2
    return tuple(
        slice((n - part) // 2, (n - part) // 2 + part)
        for n, part in zip(shape, lengths, strict=True)
    )


def _with_residual(observed, prior, dense, attachment, noise):
    form = smoothness.penalty(dense, prior, noise)
    return smoothness.smooth_residual(observed, dense, form, attachment)


def _descend(loss, value, factor, steps=4):
    """Multiply or divide by a factor while the loss falls.

    loss function of a positive number -> number
    """
    best = loss(value)
    for ratio in (factor, 1.0 / factor):
        moved = False
        for _ in range(steps):
            trial = loss(value * ratio)
            if not trial < best:
                break
            best, value, moved = trial, value * ratio, True
        if moved:
            break
    return value


def complete(X, W, rng, settings, callback=None):
    """Network that predicts the missing entries, and what it predicts with its smooth residual.

    X (I_1, .., I_N) zero where missing, W (I_1, .., I_N) of zeros and ones
    -> cores, values (I_1, .., I_N), held-out mean squared error
    """
    train, held = _split(W, rng, settings.held_out)
    noise = _FIRST_NOISE if settings.noise is None else settings.noise
    search = _Completion(rng, settings, callback, noise)
    grid = scales.levels(X.shape, settings.ordered, settings.n_scales, shortest=16)
    ones = np.ones((X.ndim, X.ndim), dtype=int)
    cores = None
    for level, halvings in enumerate(grid):
        search.scale = len(grid) - 1 - level
        data = _level(X, train, held, halvings, settings.ordered)
        shape = data.train.shape
        if cores is None:
            cores = graph.random_cores(shape, ones, rng, X.dtype)
        cores = [scales.interpolate(c, k, shape[k]).astype(X.dtype) for k, c in enumerate(cores)]
        best = search.fit(data, cores)
        search.note("lift" if level else "start", best[1], best[0])
        if level:  # A network of rank one is too far from the data to tell how smooth they are.
            search.settle(data, graph.to_dense(best[1]), 4.0)
        cores = search.grow(data, best)[1]
    cores, values, loss = search.finish(data, cores)
    nothing = data.loss(np.zeros_like(values))
    if loss < nothing:
        return cores, values, loss
    # A network that predicts held-out entries worse than their mean is none.
    return [np.zeros_like(core) for core in cores], np.zeros_like(values), nothing


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


def _grow(data, cores, rng, growth, expired):
    """Widen the bonds whose new slices, found on training entries, help the held-out ones most.

    growth share of the parameters to add -> cores, first bond or None
    """
    total = sum(core.size for core in cores)
    # More parameters than observations tell nothing apart, and cost the cube of a width.
    most = min((1.0 + growth) * total, float(data.full.W.sum()))
    offers = sorted(_offers(data, cores, rng, most - total, expired), key=lambda o: -o[0])
    new, used, bond = list(cores), set(), None
    for gain, (i, j), first, second in offers:
        if bond is not None and (gain < 0.3 * offers[0][0] or sum(c.size for c in new) > most):
            break
        if not used & {i, j}:
            new = moves.append_slices(new, i, j, first, second)
            used |= {i, j}
            bond = bond or (i, j)
    return [core.astype(cores[0].dtype) for core in new], bond


def _offers(data, cores, rng, room, expired):
    """New slices of every bond, as many as there is room for, and the held-out error they save.

    room number of parameters -> iterator of (gain, bond, slices of core i, slices of core j)
    """
    sizes, R = data.train.shape, graph.bond_dims(cores)
    dense = graph.to_dense(cores)
    residual = (data.train.X - dense * data.train.W) / max(data.train.density, 1e-12)
    error = data.held.X - dense * data.held.W
    paid = graph.core_sizes(sizes, R)
    for i, j in combinations(range(len(cores)), 2):
        if expired():
            return
        price = paid[i] // R[i, j] + paid[j] // R[i, j]
        widest = np.prod(sizes) // max(sizes[i], sizes[j]) - R[i, j]
        width = int(min(max(room // price, 1), R[i, j], widest))
        if width < 1 or (width == 1 and price > max(room, data.full.W.sum() - sum(paid))):
            continue
        first, second, _ = moves.growth(residual, cores, i, j, width, rng, 2)
        some = list(cores)
        some[i], some[j] = first, second
        new = graph.to_dense(some)
        norm = float(np.vdot(new, new * data.held.W))
        projection = float(np.vdot(error, new))
        if norm > 0 and projection > 0:
            # Slices that follow the noise are shortened to what they explain of the held-out.
            yield projection**2 / norm, (i, j), first * min(projection / norm, 1.0), second
