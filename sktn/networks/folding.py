"""A chain folded at its output: two arms that are read towards it, both at once.

`arms` (h, 2, D, d, D): arm 0 is the part left of the output, arm 1 the mirrored right part, both
from the end of the chain towards the output, the shorter one padded in front with identity sites.
`index` (h, 2) says which site of the table stands where.

Examples
--------
>>> import numpy as np
>>> from sktn.networks.folding import fold, site_index
>>> fold(np.ones((5, 3, 2, 3)), output_site=3).shape
(3, 2, 3, 2, 3)
>>> site_index(5, output_site=3)  # 5 is padding
array([[0, 5],
       [1, 4],
       [2, 3]])
"""

import numpy as np

from sktn.backend import namespace


def fold(cores, output_site):
    """Cores of a chain -> its two arms, each read towards the output.

    cores (n, D, d, D), output_site p -> (h, 2, D, d, D), h = max(p, n - p)
    """
    xp = namespace(cores)
    n, D, d, _ = cores.shape
    left = cores[:output_site]
    right = xp.flip(cores[output_site:], axis=0).transpose(0, 3, 2, 1)
    # A padding site must pass every vector on unchanged when it is fed the constant.
    identity = xp.eye(D, dtype=cores.dtype)[:, None] * xp.eye(1, d, dtype=cores.dtype).T
    padding = xp.broadcast_to(identity, (abs(n - 2 * output_site), D, d, D))
    if len(left) < len(right):
        left = xp.concatenate([padding, left])
    else:
        right = xp.concatenate([padding, right])
    return xp.stack([left, right], axis=1)


def unfold(arms, output_site, n):
    """Inverse of `fold`: arms (h, 2, D, d, D) -> cores (n, D, d, D)."""
    xp = namespace(arms)
    h = arms.shape[0]
    left = arms[h - output_site :, 0]
    right = xp.flip(arms[h - (n - output_site) :, 1], axis=0).transpose(0, 3, 2, 1)
    return xp.concatenate([left, right])


def absorb_padding(arms, readout, index, n):
    """The same function with identities on the padding sites, whose training may have moved them.

    NumPy. arms (h, 2, D, d, D), readout (D, c, D), index (h, 2) -> arms, readout
    """
    arms, readout = np.array(arms), np.array(readout)
    identity = np.zeros_like(arms[0, 0])
    identity[:, 0] = np.eye(len(identity))
    for arm, padding in enumerate((index == n).T):
        start = np.eye(1, len(identity), dtype=arms.dtype)[0]
        for k in np.flatnonzero(padding):
            start, arms[k, arm] = start @ arms[k, arm, :, 0], identity
        # The vector that padding makes of the end of the chain is a row of what comes next.
        if not padding.any():
            continue
        if not padding.all():
            first = np.argmin(padding)
            row = np.tensordot(start, arms[first, arm], 1)
            arms[first, arm] = 0
            arms[first, arm, 0] = row
        elif arm == 0:
            row = np.tensordot(start, readout, 1)
            readout[...] = 0
            readout[0] = row
        else:
            column = readout @ start
            readout[...] = 0
            readout[..., 0] = column
    return arms, readout


def site_index(n, output_site, order=None):
    """Which site of a table stands where in the arms; n stands for a padding site.

    `order` lists the table's sites along the chain, default as they come. NumPy, so that it can be
    an array argument of a compiled function: a new order or output site compiles nothing.

    n, output_site p -> (h, 2) integers
    """
    order = np.arange(n) if order is None else np.asarray(order)
    h = max(output_site, n - output_site)
    index = np.full((h, 2), n)
    index[h - output_site :, 0] = order[:output_site]
    index[h - (n - output_site) :, 1] = order[output_site:][::-1]
    return index


def fold_inputs(phi, index):
    """Site vectors in the order of the arms; padding sites get the constant, the first unit vector.

    phi (b, n, d), index (h, 2) -> (h, 2, b, d)
    """
    xp = namespace(phi)
    b, _, d = phi.shape
    constant = xp.broadcast_to(xp.eye(1, d, dtype=phi.dtype), (b, 1, d))
    arranged = xp.concatenate([phi, constant], axis=1)[:, index]
    return xp.moveaxis(arranged, 0, 2)
