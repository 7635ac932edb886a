"""Tensor networks for scikit-learn."""

from sktn.anomaly import SMPOAnomalyDetector
from sktn.classification import MPSClassifier
from sktn.classification_cv import MPSClassifierCV
from sktn.density import MPSDensityEstimator

__version__ = "0.1.0"

__all__ = [
    "MPSClassifier",
    "MPSClassifierCV",
    "MPSDensityEstimator",
    "SMPOAnomalyDetector",
    "__version__",
]
