"""The grid of a search: bases, penalties and strengths, all combinations of them."""

from numbers import Integral, Real

import numpy as np

from sktn.chains.base import BaseChain
from sktn.chains.prior import SMOOTH_DEGREE


def grid_of(model):
    """All combinations of the lists of a search, those of one design next to each other. Degrees
    that are for the data to say are not among them, unless alone."""
    check_grid(model)
    bases = [basis for basis in model.bases if basis[1] != "auto"]
    bases = bases or [(scaling, SMOOTH_DEGREE) for scaling, _ in model.bases]
    weights = [("equal", omega) for omega in model.interaction_penalties]
    if "equal" not in model.relevances:
        weights = []
    if "auto" in model.relevances:
        # Relevances found from the data settle the size of interactions, too.
        weights.append(("auto", 1.0))
    return [
        {
            "scaling": scaling,
            "degree": int(degree),
            "interaction_penalty": float(omega),
            "smoothness": float(q),
            "relevance": relevance,
            "alpha": float(alpha),
            "bond_dim": int(max(model.bond_dims)),
        }
        for scaling, degree in bases
        for relevance, omega in weights
        for q in (model.smoothnesses if degree > 1 else model.smoothnesses[:1])
        for alpha in model.alphas
    ]


def check_grid(model):
    """Say what is wrong with the lists of a search."""
    lists = ("bases", "alphas", "interaction_penalties", "smoothnesses", "relevances")
    for name in (*lists, "bond_dims"):
        if len(getattr(model, name)) == 0:
            raise ValueError(f"{name} is empty: give at least one value.")
    for name in ("alphas", "interaction_penalties", "smoothnesses"):
        for value in getattr(model, name):
            if not isinstance(value, Real) or not 0 <= value < np.inf:
                raise ValueError(f"{name} must be finite non-negative numbers, got {value!r}.")
    for value in model.bond_dims:
        if not isinstance(value, Integral) or value < 1:
            raise ValueError(f"bond_dims must be positive integers, got {value!r}.")
    for value in model.relevances:
        if not isinstance(value, str) or value not in ("equal", "auto"):
            raise ValueError(f'relevances must be "equal" or "auto", got {value!r}.')
    scalings = BaseChain._parameter_constraints["scaling"][0].options - {"auto"}
    for value in model.bases:
        pair = isinstance(value, (tuple, list)) and len(value) == 2
        automatic = pair and isinstance(value[1], str) and value[1] == "auto"
        number = pair and isinstance(value[1], Integral) and value[1] >= 1
        if not automatic and not number:
            raise ValueError(
                "bases must be pairs (scaling, degree), the degree a positive integer or "
                f'"auto", like ("quantile", 8); got {value!r}.'
            )
        if value[0] not in scalings:
            raise ValueError(
                f"bases has the scaling {value[0]!r}, which is none of {sorted(scalings)}."
            )
