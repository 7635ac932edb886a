"""What a component of the local basis costs: the prior over functions of a table."""

import numpy as np

# Charges end here, in both directions: even the products of many of them stay in single precision,
# and a component that costs this much is as good as ruled out.
_LARGEST, _SMALLEST = 1e12, 1e-2

# A relevance of 0 rules a column out.
_LEAST_RELEVANT = 1e-9


def n_counted(basis, relevance=1.0):
    """How many sites have a relevance, levels counted as often as their variance says."""
    counts = np.ones(len(basis.degrees))
    levels = basis.spread * (np.asarray(basis.degrees) > 0)
    counts[basis.sites] = levels[basis.sites].sum(axis=1, dtype=np.float64)
    return float(counts @ np.broadcast_to(np.asarray(relevance) > 0, counts.shape))


def penalty_weights(basis, interaction_penalty, smoothness, relevance=1.0):
    """g(0) = 1, g(s) = max(1, interaction_penalty n) degree(s)^(2 smoothness) / spread(s) / r.

    With omega a multiple of the number of sites n, the prior variance of all k-way interactions
    together, binomial(n, k) / omega^k, tends to 1 / k!: one value of the multiple charges tables
    of any width alike. A categorical site counts as often as its levels' variance says, one that is
    ruled out not at all. Where columns share a unit, spread takes the normalisation of the
    components back: columns of little variance are charged more.

    relevance r (n,) or () -> (n, d)
    """
    degrees = np.asarray(basis.degrees, dtype=np.float64)
    omega = max(1.0, interaction_penalty * n_counted(basis, relevance))
    # The logarithm: a power of a degree leaves the range of floats.
    log_g = np.log(omega) + 2 * min(smoothness, _LARGEST) * np.log(np.maximum(degrees, 0.5))
    log_g = log_g - np.log(np.maximum(basis.spread, np.finfo(basis.spread.dtype).tiny))
    relevance = np.maximum(np.asarray(relevance, dtype=np.float64), _LEAST_RELEVANT)
    log_g = log_g - np.log(relevance).reshape(-1, 1)
    g = np.exp(np.clip(log_g, np.log(_SMALLEST), np.log(_LARGEST)))
    return np.where(degrees > 0, g, 1.0).astype(np.asarray(basis.degrees).dtype)
