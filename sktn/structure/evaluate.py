"""What every search of the field shares: fit a given graph, score it, keep the best."""

import time
from dataclasses import dataclass, field

import numpy as np

from sktn.networks import graph
from sktn.solvers.als import Fit, als

__all__ = ["Evaluator", "padded"]


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


@dataclass
class Evaluator:
    """ALS fits of candidate structures on one tensor, remembered, with the best one kept.

    Fitness is CR + penalty max(0, RE^2 / target^2 - 1), lower is better: the papers' weighted sum
    of size and error, with the error counted from where it matters.

    X (I_1, .., I_N) of norm 1, target relative error
    """

    X: np.ndarray
    target: float
    rng: np.random.Generator
    penalty: float = 1.0
    sweeps: int = 40
    deadline: float | None = None
    callback: object = None
    name: str = "evaluate"
    seen: dict = field(default_factory=dict)
    best: tuple | None = None

    def expired(self):
        return self.deadline is not None and time.perf_counter() > self.deadline

    def fitness(self, R, error):
        """Fitness of a structure whose fit has the given squared error."""
        ratio = graph.n_parameters(self.X.shape, R) / self.X.size
        return ratio + self.penalty * max(0.0, error / self.target**2 - 1.0)

    def __call__(self, R, start=None, sweeps=None):
        """Fitness and fit of a bond matrix; every matrix is fitted once unless given a start.

        R (N, N) -> float, Fit
        """
        key = tuple(R[np.triu_indices(len(R), 1)])
        if start is None and key in self.seen:
            return self.seen[key]
        if R.prod(axis=1).max() > 4000 or graph.n_parameters(self.X.shape, R) > 2 * self.X.size:
            return np.inf, Fit([], np.inf, 0)
        cores = graph.random_cores(self.X.shape, R, self.rng) if start is None else start
        fit = als(
            self.X,
            cores,
            max_sweeps=self.sweeps if sweeps is None else sweeps,
            tol=1e-4,
            target=self.target**2,
            give_up=False,
            norm2=1.0,
            deadline=self.deadline,
        )
        value = self.fitness(R, fit.error)
        self.seen[key] = min(self.seen.get(key, (np.inf, None)), (value, fit), key=lambda p: p[0])
        if self.best is None or value < self.best[0]:
            self.best = (value, R.copy(), fit)
            self.record(fit)
        return value, fit

    def record(self, fit):
        """Report a fit to the callback."""
        R = graph.bond_dims(fit.cores)
        if self.callback is not None:
            self.callback(
                {
                    "scale": 0,
                    "action": self.name,
                    "bond": None,
                    "relative_error": float(np.sqrt(max(fit.error, 0.0))),
                    "n_parameters": graph.n_parameters(self.X.shape, R),
                }
            )
