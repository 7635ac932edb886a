"""Exact readings of a function of one output, a chain or a tree: the same questions, by name."""

from types import SimpleNamespace

from sktn.networks import chain, shapley, sobol, tree_readings
from sktn.networks.tree import TTN

_CHAIN = SimpleNamespace(
    change_basis=chain.change_basis,
    conditional_mean=chain.conditional_mean,
    evaluate=chain.evaluate,
    pair_variances=sobol.pair_variances,
    shapley_values=shapley.shapley_values,
    subset_variance=sobol.subset_variance,
    total_variances=sobol.total_variances,
    variance_by_order=sobol.variance_by_order,
)


def kernels_of(part):
    """The functions that read a scalar chain (n, D, d, D), or a scalar tree."""
    return tree_readings if isinstance(part, TTN) else _CHAIN
