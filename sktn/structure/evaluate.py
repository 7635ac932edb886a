"""What every search of the field shares: fit a given graph, score it, keep the best."""

from dataclasses import replace

import numpy as np

from sktn.networks import graph, normal
from sktn.solvers.als import Fit, Stop, als, squared_error
from sktn.structure import modes

__all__ = ["Evaluator", "fit_flops", "padded"]

# Width of a core's normal matrix above which one solution takes seconds (128 MiB in float64).
_WIDEST = 4000
# Flops of a contraction that takes some ten seconds on one core: no candidate may cost more.
_DEAREST = 5e10
# Flops a second that a small contraction reaches, to tell what fits in the time that is left.
_SPEED = 2e9


def padded(cores, R, rng, scale=0.1):
    """The network with its bonds set to R: kept slices, cut slices, or small random new ones.

    Starting a candidate from its neighbour's solution is the weight transfer of [1].

    cores N arrays, R (N, N) -> N arrays

    [1] M. Hashemizadeh et al., arXiv:2008.05437.
    """
    sizes = [core.shape[k] for k, core in enumerate(cores)]
    fresh = graph.random_cores(sizes, R, rng, cores[0].dtype)
    result = []
    for old, new in zip(cores, fresh, strict=True):
        level = np.sqrt(np.mean(old**2)) / max(np.sqrt(np.mean(new**2)), 1e-300)
        new = new * (scale * level)
        part = tuple(slice(0, min(a, b)) for a, b in zip(old.shape, new.shape, strict=True))
        new[part] = old[part]
        result.append(new.astype(old.dtype))
    return result


def fit_flops(sizes, R):
    """Cost of one contraction and of the dearest core's equations: the least that a fit takes.

    sizes (N,), R (N, N) -> float
    """
    widths = R.prod(axis=1).astype(float)
    cores = [np.broadcast_to(0.0, row) for row in np.where(np.eye(len(R), dtype=bool), sizes, R)]
    dearest = 0.0
    for k, width in enumerate(widths):
        whole = 2.0 * np.prod(sizes) / sizes[k] * width**2
        squared = normal.gram_flops(cores, k)
        # A normal matrix of the whole environment is one product, ten times as fast.
        gram = squared if squared < whole else 0.1 * whole
        dearest = max(dearest, gram + 0.1 * width**3)
    return graph.dense_costs(sizes, R)[0] + dearest


class Evaluator:
    """ALS fits of candidate structures on one tensor, remembered, with the best one kept.

    Fitness is CR + penalty max(0, RE^2 / target^2 - 1), lower is better: the papers' weighted sum
    of size and error, with the error counted from where it matters.

    task with X (I_1, .., I_N) of norm 1
    """

    def __init__(self, task, penalty=1.0, sweeps=40):
        self.task, self.penalty, self.sweeps = task, penalty, sweeps
        self.X, self.rng, self.order = task.X, task.rng, task.X.ndim
        self.budget = task.target**2
        self.capacity = modes.capacity(task.X.shape)
        self.seen, self.best = {}, None

    def expired(self):
        return self.task.deadline.expired()

    @property
    def cores(self):
        """Cores of the best structure so far; of a rank-one network where none was fitted."""
        if self.best is None:
            self(np.ones((self.order, self.order), dtype=int), sweeps=1)
        return self.best[2].cores

    def fitness(self, R, error):
        """Fitness of a structure whose fit has the given squared error."""
        ratio = graph.n_parameters(self.X.shape, R) / self.X.size
        return ratio + self.penalty * max(0.0, error / self.budget - 1.0)

    def affordable(self, R):
        """Whether a structure is no larger than the tensor and can be fitted in the time left."""
        if R.prod(axis=1).max() > _WIDEST:
            return False
        # A tensor of a few entries is smaller than most networks: no reason to refuse them.
        if graph.n_parameters(self.X.shape, R) > max(2 * self.X.size, 1000):
            return False
        flops = fit_flops(self.X.shape, R)
        return flops <= min(_DEAREST, _SPEED * self.task.deadline.left())

    def __call__(self, R, start=None, sweeps=None):
        """Fitness and fit of a bond matrix; every matrix is fitted once unless given a start.

        Bonds wider than their modes can carry are cut to what they can.

        R (N, N) -> float, Fit
        """
        R = np.minimum(R, self.capacity)
        key = tuple(R[np.triu_indices(len(R), 1)])
        if start is None and key in self.seen:
            return self.seen[key]
        if R.max() > 1 and not self.affordable(R):
            return np.inf, Fit([], np.inf, 0)
        if start is not None and (graph.bond_dims(start) > R).any():
            start = padded(start, R, self.rng)
        sweeps = self.sweeps if sweeps is None else sweeps
        stop = Stop(sweeps, 1e-4, self.budget, deadline=self.task.deadline)
        fit = als(
            self.X,
            graph.random_cores(self.X.shape, R, self.rng) if start is None else start,
            stop,
            norm2=1.0,
        )
        # The error itself, not the solver's difference of large numbers.
        fit = replace(fit, error=squared_error(self.X, fit.cores))
        value = self.fitness(graph.bond_dims(fit.cores), fit.error)
        self.seen[key] = min(self.seen.get(key, (np.inf, None)), (value, fit), key=lambda p: p[0])
        self.offer(fit)
        return value, fit

    def offer(self, fit):
        """Keep a fit if it is the best so far, and report it."""
        R = graph.bond_dims(fit.cores)
        value = self.fitness(R, fit.error)
        if self.best is None or value < self.best[0]:
            self.best = (value, R, fit)
            self.task.note("evaluate", fit.error, graph.n_parameters(self.X.shape, R))
