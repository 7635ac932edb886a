"""What the field's other searches share: one ALS evaluator, and an honest word on a missed error.

They are here to be compared with: same data, same errors, same fitted attributes as RGTNDecomposer.
"""

from sktn.decomposition.base import SEARCH_CONSTRAINTS, GraphDecomposer
from sktn.structure import fixed
from sktn.structure.evaluate import Evaluator

__all__ = ["SearchDecomposer"]


class SearchDecomposer(GraphDecomposer):
    """A search of the field on the shared ALS evaluator."""

    _parameter_constraints: dict = {
        **GraphDecomposer._parameter_constraints,
        **SEARCH_CONSTRAINTS,
    }

    def _decompose(self, task):
        if task.X.ndim == 2:
            return fixed.matrix(task.X, task.target)
        return self._search(Evaluator(task, penalty=getattr(self, "penalty", 1.0)))
