"""A certificate: what no network on these modes can undercut at an error.

The unfolding of a network has at most the rank that the bonds between both sides multiply to. An
error of epsilon needs the epsilon-rank r_S of every unfolding (Eckart and Young). All bonds that
leave the modes S are among those of its cores, so with P_k the product of the bonds of core k

    prod_{k in S} P_k >= r_S   and   prod_{k not in S} P_k >= r_S,

and the size is sum_k I_k P_k. In the logarithms of P_k this is a convex problem. Every point of its
dual is a lower bound, however roughly it was solved:

    sum_S l_S log r_S + sum_k m_k (1 - log(m_k / I_k)),   m_k = sum_{S with k} l_S,  l_S >= 0,

here with P_k >= r_k, the rank of its own mode, as a bound on the variable.
"""

import numpy as np

from sktn.structure import tomography, tucker

__all__ = ["fewest_parameters", "size_bound"]


def fewest_parameters(sizes, subsets, ranks):
    """Lower bound on the size of every network whose unfoldings have at least these ranks.

    sizes (N,), subsets of modes, ranks one for each -> float
    """
    from scipy.optimize import minimize  # a quarter of the package's import time

    order = len(sizes)
    member = np.zeros((2 * len(subsets), order))
    for row, subset in enumerate(subsets):
        member[row, list(subset)] = 1.0
        member[len(subsets) + row] = 1.0 - member[row]
    need = np.log(np.tile(np.asarray(ranks, dtype=float), 2))
    single = {next(iter(s)): r for s, r in zip(subsets, ranks, strict=True) if len(s) == 1}
    least = np.array([single.get(k, 1) for k in range(order)], dtype=float)
    # No P_k is less than the rank of its own mode: the problem in what is above that.
    floor = np.asarray(sizes) * least
    need = need - member @ np.log(least)

    def negative_dual(weight):
        # A core that no constraint pulls stays at its floor.
        marginal = np.maximum(member.T @ weight, floor)
        grown = np.log(marginal / floor)
        return -(weight @ need + np.sum(marginal * (1.0 - grown))), -(need - member @ grown)

    found = minimize(
        negative_dual,
        np.zeros(len(need)),
        jac=True,
        method="L-BFGS-B",
        bounds=[(0, None)] * len(need),
    )
    return max(-float(found.fun), float(floor.sum()))


def size_bound(X, target, deadline):
    """Fewest parameters of any network of X's modes with ||X - TN|| <= target ||X||.

    The HOSVD core stands for X: what a projection drops lowers no rank that an error needs, so that
    the bound holds for X too.

    X (I_1, .., I_N) of norm 1 -> int
    """
    core, _ = tucker.reduce(X, 0.02 * target**2)
    # Squares below the rounding of a Gram matrix tell no rank.
    allowed = max(target**2, 1e-12)
    measured = tomography.spectra(core, max_flops=2e9, deadline=deadline)
    if not measured:  # A single mode.
        return sum(X.shape)
    ranks = [tomography.epsilon_rank(values, allowed) for _, values in measured]
    bound = fewest_parameters(X.shape, [subset for subset, _ in measured], ranks)
    return int(np.ceil(bound * (1.0 - 1e-9)))
