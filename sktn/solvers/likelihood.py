"""Born machines by sweeps, with a ridge in function space whose strength held-out rows choose.

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

# Sweeps without a better likelihood of the held-out rows after which the path ends.
_PATIENCE = 3


class Result(NamedTuple):
    """cores: list of (l, d, 1, r), norm 1; alpha: strength; losses: penalised, one per sweep."""

    cores: list
    alpha: float
    losses: np.ndarray


def maximize(cores, sites, weight, held_out, degrees, alphas, *, tol, **options):
    """One sweep at every strength, and the cores of the best likelihood of held-out rows, or the
    last ones. Ends early when this likelihood does not rise any more, or the loss does not fall by
    `tol` at one strength.

    cores list of (l, d, 1, r), sites list of (N, e, d), weight (N,) of the rows to learn from,
    held_out (N,) of the others, 0 elsewhere; degrees: list of (d,); alphas: iterable; options: of
    `born_sweep.sweep`
    """
    objective = born_sweep.LogLikelihood(weight)
    validation = born_sweep.LogLikelihood(held_out) if held_out.any() else None
    roots, previous, best = [np.ones_like(s) for s in degrees], None, None
    losses, monitored = [], []
    for alpha in alphas:
        new = [np.sqrt(1 + alpha * s**2) for s in degrees]
        inputs = [x / root for x, root in zip(sites, new, strict=True)]
        ratios = [(a / b)[:, None, None] for a, b in zip(new, roots, strict=True)]
        cores, roots = [core * ratio for core, ratio in zip(cores, ratios, strict=True)], new
        found = born_sweep.sweep(cores, inputs, objective, max_sweeps=1, **options)
        cores = found.cores
        losses.append(found.losses[-1])
        plain = [core / root[:, None, None] for core, root in zip(cores, roots, strict=True)]
        log_norm = born_sweep.log_squared_norm(plain)
        if validation is not None:
            monitored.append(validation.value(found.logs) + log_norm)
        if validation is None or monitored[-1] <= min(monitored):
            shrink = np.exp(-log_norm / (2 * len(plain))).astype(plain[0].dtype)
            best = [shrink * core for core in plain], alpha
        settled = alpha == previous and found.losses[0] - found.losses[1] < tol
        if settled or (monitored and len(monitored) - np.argmin(monitored) > _PATIENCE):
            break
        previous = alpha
    return Result(*best, np.array(losses))
