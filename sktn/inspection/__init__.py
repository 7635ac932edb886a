"""Exact readings of fitted matrix product state models, without sampling.

All of them speak of the *scores*: the log-odds of the second class for two classes, one score a
class (whose softmax is the probability) for more, the prediction of a regressor, the logarithm of
the predicted mean for counts. "Averaged over a column" means over its distribution in the training
rows, one column independently of the others, which is what the local basis is orthonormal under.

A model may stand at the end of a pipeline or have been chosen by a search: the columns explained
are those before the steps that go column by column.

Several networks (`n_estimators`, the members of a `...CV` model) are averaged: what is read is the
(weighted) mean of the scores. Entropies need a single network.

All readings are NumPy in float64 and start no JAX backend.
"""

from sktn.inspection.distillation import Fidelity, distill
from sktn.inspection.effects import marginal_effect
from sktn.inspection.entropies import bond_entropy, mutual_information
from sktn.inspection.gradients import input_gradient
from sktn.inspection.interactions import Interactions, interactions
from sktn.inspection.monotonicity import make_monotonic
from sktn.inspection.orders import limit_order
from sktn.inspection.pruning import prune
from sktn.inspection.shapley import ShapleyValues, shapley_values
from sktn.inspection.terms import remove_terms
from sktn.inspection.truncation import truncate
from sktn.inspection.variance import feature_importances, variance_shares

__all__ = [
    "Fidelity",
    "Interactions",
    "ShapleyValues",
    "bond_entropy",
    "distill",
    "feature_importances",
    "input_gradient",
    "interactions",
    "limit_order",
    "make_monotonic",
    "marginal_effect",
    "mutual_information",
    "prune",
    "remove_terms",
    "shapley_values",
    "truncate",
    "variance_shares",
]
