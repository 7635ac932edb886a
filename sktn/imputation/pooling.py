"""What was estimated on several imputations of one table, as one estimate."""

from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike

from sktn.tables.arguments import numbers

__all__ = ["PooledEstimate", "pool_estimates"]


class PooledEstimate(NamedTuple):
    """What :func:`pool_estimates` returns: an estimate with its variance.

    Attributes
    ----------
    estimate, variance : ndarray
        Of the shape of one estimate.
    degrees_of_freedom : ndarray
        Of the t distribution for intervals.
    missing_information : ndarray
        Share of the variance that is due to gaps.
    """

    estimate: np.ndarray
    variance: np.ndarray
    degrees_of_freedom: np.ndarray
    missing_information: np.ndarray


def pool_estimates(estimates: ArrayLike, variances: ArrayLike) -> PooledEstimate:
    """Combine estimates from several imputations by Rubin's rules.

        estimate = mean_m q_m,   variance = mean_m u_m + (1 + 1/M) var_m q_m

    The first term is what would be uncertain without gaps, the second what the gaps add.

    Parameters
    ----------
    estimates : array-like of shape (n_draws, ...)
        What was estimated on every table.
    variances : array-like of shape (n_draws, ...)
        The squared standard errors.

    Returns
    -------
    pooled : PooledEstimate
        Named tuple of estimate, variance, degrees_of_freedom, missing_information.

    References
    ----------
    .. [1] D. B. Rubin, "Multiple Imputation for Nonresponse in Surveys", 1987, chapter 3.

    Examples
    --------
    >>> from sktn import pool_estimates
    >>> pooled = pool_estimates([1.0, 1.2, 1.1], [0.04, 0.05, 0.045])
    >>> print(f"{pooled.estimate:.2f} +- {pooled.variance ** 0.5:.2f}")
    1.10 +- 0.24
    """
    estimates = numbers(estimates, "estimates")
    variances = numbers(variances, "variances")
    if estimates.shape != variances.shape or len(estimates) < 2:
        raise ValueError(
            f"estimates of shape {estimates.shape} and variances of shape {variances.shape}: give "
            "both for the same two or more imputations."
        )
    if not (variances >= 0).all():
        raise ValueError(
            f"variances must be squared standard errors, none negative; got {variances.min()}."
        )
    n = len(estimates)
    within = variances.mean(axis=0)
    between = (1.0 + 1.0 / n) * estimates.var(axis=0, ddof=1)
    total = within + between
    share = np.divide(between, total, out=np.zeros_like(total), where=total > 0)
    with np.errstate(divide="ignore"):
        freedom = (n - 1) / share**2
    return PooledEstimate(estimates.mean(axis=0), total, freedom, share)
