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
    order = evaluator.X.ndim
    R = np.ones((order, order), dtype=int)
    _, fit = evaluator(R)
    for _ in range(max_steps):
        if fit.error <= evaluator.target**2 or evaluator.expired():
            break
        best = None
        for i in range(order):
            for j in range(i + 1, order):
                wider = R.copy()
                wider[i, j] = wider[j, i] = R[i, j] + 1
                start = padded(fit.cores, wider, evaluator.rng)
                _, trial = evaluator(wider, start, trial_sweeps)
                if best is None or trial.error < best[1].error:
                    best = wider, trial
        if not np.isfinite(best[1].error):
            break
        R = best[0]
        _, fit = evaluator(R, best[1].cores)
    return fit.cores
