"""Born machines by sweeps, with a ridge in function space that is lowered from sweep to sweep.

With g(s) = 1 + alpha s^2 for the degree s of a basis function,

    J(psi) = sum_s prod_i g(s_i) psi_s^2 >= <psi, psi>

charges rough functions and interactions of many columns. The sweeps minimise

    - mean_b log psi(x_b)^2 + log J(psi) ,

the negative log-likelihood plus log(J / <psi, psi>): for site vectors divided by sqrt(g), where J
is the plain norm, this is the likelihood of a Born machine again, at no cost. J falls with alpha,
so the loss keeps falling when alpha is lowered between two sweeps.
"""

from typing import NamedTuple

import numpy as np

from sktn.solvers import born_sweep

# A function that is charged its square has no part in psi, whatever the precision.
_LARGEST_ROOT = 1e6


class Step(NamedTuple):
    """After a sweep. cores: list of (l, d, 1, r), norm 1; alpha: its strength; loss: penalised;
    logs (N,): log psi^2 / <psi, psi> of all rows, those of weight 0 too; settled: whether the loss
    fell by less than the tolerance at a strength that had been used before"""

    cores: list
    alpha: float
    loss: float
    logs: np.ndarray
    settled: bool


def _roots(alpha, degrees):
    """sqrt(g), where single precision can hold its square: degrees (d,) -> (d,)"""
    g = 1 + alpha * degrees.astype(np.float64) ** 2
    return np.minimum(np.sqrt(g), _LARGEST_ROOT).astype(degrees.dtype)


def path(cores, sites, weight, degrees, alphas, *, tol, **options):
    """One sweep at every strength: yields a `Step` after each.

    cores list of (l, d, 1, r), sites list of (N, e, d), weight (N,), 0 for rows that are not
    learned from, degrees: list of (d,); alphas: iterable; options: of `born_sweep.sweep`
    """
    objective = born_sweep.LogLikelihood(weight)
    roots, previous = [np.ones_like(s) for s in degrees], None
    for alpha in alphas:
        new = [_roots(alpha, s) for s in degrees]
        inputs = [x / root for x, root in zip(sites, new, strict=True)]
        ratios = [(a / b)[:, None, None] for a, b in zip(new, roots, strict=True)]
        cores, roots = [core * ratio for core, ratio in zip(cores, ratios, strict=True)], new
        found = born_sweep.sweep(cores, inputs, objective, max_sweeps=1, **options)
        cores = found.cores
        plain = [core / root[:, None, None] for core, root in zip(cores, roots, strict=True)]
        log_norm = born_sweep.log_squared_norm(plain)
        shrink = np.exp(-log_norm / (2 * len(plain))).astype(plain[0].dtype)
        settled = alpha == previous and found.losses[0] - found.losses[1] < tol
        yield Step(
            [shrink * core for core in plain],
            alpha,
            float(found.losses[-1]),
            found.logs - log_norm,
            settled,
        )
        previous = alpha
