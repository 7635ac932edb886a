"""Explanations averaged over the states that absent features are in."""

import numpy as np

# Rows times background rows that are explained at once.
_PAIRS = 2048


def averaged(explain, backgrounds, phi):
    """The mean of explain(absent, phi) over k background states, about _PAIRS rows at once.

    explain: absent (n, d) or (b', n, d), phi (b', n, d) -> (b', m);
    backgrounds (k, n, d), phi (b, n, d) -> (b, m)
    """
    if len(backgrounds) == 1:
        return explain(backgrounds[0], phi)
    total, size = 0.0, max(1, _PAIRS // max(1, len(phi)))
    for start in range(0, len(backgrounds), size):
        block = backgrounds[start : start + size]
        absent = np.repeat(block, len(phi), axis=0)
        values = explain(absent, np.tile(phi, (len(block), 1, 1)))
        # Divided first: their sum may be beyond the floats where their mean is not.
        values = values.reshape(len(block), len(phi), -1) / len(backgrounds)
        total = total + values.sum(axis=0)
    return total
