"""Starts of a chain. NumPy: a few random numbers are not worth a compilation."""

import numpy as np


def near_constant(rng, n_cores, bond_dim, n_outputs, mask, dtype, noise=0.3):
    """Identity on the constant component, small noise on the others: the constant function 0 with
    every gradient alive.

    The noise falls as 1 / sqrt(n D d), so that the plain squared norm of what is not constant
    starts at order one for any number of sites: 2,000 features start as finite as 4.

    mask (h, 2, d) -> arms (h, 2, D, d, D), readout (D, c, D)
    """
    h, _, d = mask.shape
    D = bond_dim
    components = np.maximum(np.sum(mask, axis=-1, keepdims=True), 1)
    scale = mask * noise / np.sqrt(n_cores * D * components)
    arms = rng.standard_normal((h, 2, D, d, D)) * scale[:, :, None, :, None]
    arms[:, :, np.arange(D), 0, np.arange(D)] += 1
    readout = rng.standard_normal((D, n_outputs, D)) / np.sqrt(D)
    readout[0, :, 0] = 0
    return arms.astype(dtype), readout.astype(dtype)
