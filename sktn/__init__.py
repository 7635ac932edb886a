"""Tensor networks for scikit-learn."""

from sktn.classification import MPSClassifier
from sktn.classification_cv import MPSClassifierCV

__version__ = "0.1.0"

__all__ = ["MPSClassifier", "MPSClassifierCV", "__version__"]
