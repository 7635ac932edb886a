"""Tree tensor network estimators for tables."""

from sktn.networks.topology import grid_topology
from sktn.trees.classification import TTNClassifier
from sktn.trees.regression import TTNRegressor

__all__ = ["TTNClassifier", "TTNRegressor", "grid_topology"]
