"""Tensor networks for scikit-learn."""

from sktn.classification import MPSClassifier

__version__ = "0.1.0"

__all__ = ["MPSClassifier", "__version__"]
