"""TNGreedy: from rank one, always the bond increment that lowers the error most.

M. Hashemizadeh, M. Liu, J. Miller, G. Rabusseau, "Adaptive learning of tensor network structures",
arXiv:2008.05437.
"""

import numpy as np

from sktn.structure.evaluate import padded

__all__ = ["search"]


def search(evaluator, *, trial_sweeps=5, max_steps=500):
    """Try +1 on every bond with weight transfer, keep the best, refit; until the target is met.

    -> cores
    """
    order = evaluator.order
    R = np.ones((order, order), dtype=int)
    _, fit = evaluator(R)
    bonds = [(i, j) for i in range(order) for j in range(i + 1, order)]
    for _ in range(max_steps):
        if fit.error <= evaluator.budget or evaluator.expired():
            break
        best = None
        for i, j in bonds:
            if R[i, j] >= evaluator.capacity[i, j] or (best is not None and evaluator.expired()):
                continue
            wider = R.copy()
            wider[i, j] = wider[j, i] = R[i, j] + 1
            start = padded(fit.cores, wider, evaluator.rng)
            _, trial = evaluator(wider, start, trial_sweeps)
            if best is None or trial.error < best[1].error:
                best = wider, trial
        if best is None or not np.isfinite(best[1].error):
            break
        R, fit = best
        _, refit = evaluator(R, fit.cores)
        fit = refit if refit.error < fit.error else fit
    return fit.cores
