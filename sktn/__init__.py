"""Tensor networks for scikit-learn."""

from sktn.anomaly import SMPOAnomalyDetector
from sktn.classification import MPSClassifier

__version__ = "0.1.0"

__all__ = ["MPSClassifier", "SMPOAnomalyDetector", "__version__"]
