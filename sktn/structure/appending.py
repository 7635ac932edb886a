"""Samples that come later: a network learns from them without those that it was fitted on.

The old samples are what the network says of them, every entry counting as much as was observed of
them on average. Of their codes only the Gram matrix matters to the other cores, so that as many
rows as the sample core is wide stand for all of them, however many there were.

A network that has promised an error keeps it: what it says of the old samples does not change at
all. Where it says too little of the new ones, bonds of the sample core get components that the old
samples have zeros in.
"""

import numpy as np

from sktn.networks import graph
from sktn.solvers import als
from sktn.solvers.als_masked import Observed, update
from sktn.solvers.smoothness import Penalty
from sktn.structure import codes, moves

__all__ = ["appended", "encoded"]

# Components of a bond that are added at once, as a share of those there are: their codes and the
# cores beside them are found together.
_SHARE = 0.1
# Half steps that find them: on trees, those of a power iteration.
_HALF_STEPS = 6
# Of the codes, next to none: they are least squares.
_RIDGE = 1e-12


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


def encoded(cores, X, n_samples, allowed, rng, deadline):
    """The network for other samples, of which it misses no more than is allowed; what it says of
    those that have zeros in the new components of the first core stays.

    cores N arrays, X (m, I_2, .., I_N), n_samples that are paid for, allowed squared error
    -> N arrays, the first (m, ..), squared error
    """
    norm2 = float(np.vdot(X, X))
    cores, error = [np.zeros((len(X), *cores[0].shape[1:])), *cores[1:]], np.inf
    while True:
        cores[0] = als.update(X, cores, 0, norm2, _RIDGE)[0]
        before, error = error, als.squared_error(X, cores)
        # As many codes as a sample has entries say all there is to say.
        spent = cores[0].size >= 4 * X.size or deadline.expired()
        if error <= allowed or not error < before or spent:
            return cores, error
        residual, best = X - graph.to_dense(cores), (-1.0,)
        for j in range(1, len(cores)):
            width = int(np.ceil(_SHARE * cores[0].shape[j]))
            slices = moves.growth(residual, cores, 0, j, width, rng, _HALF_STEPS)
            price = slices[0].size * n_samples / len(X) + slices[1].size
            worth = slices[2] / price
            best = max(best, (worth, j, *slices[:2]), key=lambda offer: offer[0])
        _, j, first, second = best
        cores = moves.append_slices(cores, 0, j, first, second)
