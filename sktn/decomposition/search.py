"""What the field's other searches share: one ALS evaluator, and an honest word on a missed error.

They are here to be compared with: same data, same errors, same fitted attributes as RGTNDecomposer.
"""

import time
import warnings

import numpy as np
from sklearn.exceptions import ConvergenceWarning

from sktn.decomposition.base import SEARCH_CONSTRAINTS, GraphDecomposer
from sktn.networks import graph
from sktn.structure import rg
from sktn.structure.evaluate import Evaluator

__all__ = ["SearchDecomposer"]


class SearchDecomposer(GraphDecomposer):
    """A search of the field on the shared ALS evaluator."""

    _parameter_constraints: dict = {
        **GraphDecomposer._parameter_constraints,
        **SEARCH_CONSTRAINTS,
    }

    def _decompose(self, work, kept, T, rng, history):
        target = self._error_target(T)
        if work.ndim == 2:
            return rg.matrix(work, target)
        limit = self.time_limit
        evaluator = Evaluator(
            work,
            target,
            rng,
            penalty=getattr(self, "penalty", 1.0),
            deadline=None if limit is None else time.perf_counter() + limit,
            callback=history,
        )
        cores = self._search(evaluator)
        if cores is None:
            raise ValueError(
                f"time_limit={limit} ended before one structure was fitted; give more seconds."
            )
        error = np.linalg.norm(work - graph.to_dense(cores))
        if error > target * (1.0 + 1e-6):
            warnings.warn(
                f"{type(self).__name__} ended at a relative error of {error:.3g}, above "
                f"target_error={self.target_error}. Raise its limits, or use RGTNDecomposer, which "
                "always meets the target.",
                ConvergenceWarning,
                stacklevel=4,
            )
        return cores
