"""Samples that come later: a network learns from them without those that it was fitted on.

The old samples are what the network says of them, every entry counting as much as was observed of
them on average. Of their codes only the Gram matrix matters to the other cores, so that as many
rows as the sample core is wide stand for all of them, however many there were.
"""

import numpy as np

from sktn.networks import graph
from sktn.solvers.als_masked import Observed, update
from sktn.solvers.smoothness import Penalty
from sktn.structure import codes

__all__ = ["appended"]


def appended(cores, density, Z, seen, noise, sweeps=2):
    """The network after more samples: the codes of the old ones stay, all other cores move.

    cores N arrays, density observed share of the old samples, Z (m, I_2, .., I_N), seen of the same
    shape bool, noise variance of an entry -> N arrays, the new samples last in the first
    """
    old = graph.unfolded(cores[0], 0).astype(np.float64)
    bonds = cores[0].shape[1:]
    stand_in = np.linalg.qr(old, mode="r")
    cores = [stand_in.reshape(-1, *bonds)] + [core.astype(np.float64) for core in cores[1:]]
    remembered = density * graph.to_dense(cores)
    data = Observed(
        np.concatenate([remembered, np.where(seen, Z, 0.0)]),
        np.concatenate([np.full(remembered.shape, density), seen.astype(np.float64)]),
    )
    flat, known = Z.reshape(len(Z), -1), seen.reshape(len(Z), -1)
    for _ in range(sweeps):
        new = codes.posterior(flat, known, graph.environment(cores, 0), old, noise)
        cores[0] = np.concatenate([stand_in, new]).reshape(-1, *bonds)
        for k in range(1, len(cores)):
            # No ridge: the old samples hold what the new ones leave open.
            cores[k] = update(data, cores, k, Penalty({}, {}), ridge=0.0)
    cores[0] = np.concatenate([old, new]).reshape(-1, *bonds)
    return cores
