"""Anomaly detection with spaced matrix product operators."""

from sktn.anomaly.closed_form import MeanState, Projector
from sktn.anomaly.detector import SMPOAnomalyDetector
from sktn.anomaly.looks import Looks
from sktn.anomaly.robust import RobustLooks
from sktn.anomaly.solvers import Adam, Sweep
from sktn.anomaly.trained import TrainedSMPO

__all__ = [
    "Adam",
    "Looks",
    "MeanState",
    "Projector",
    "RobustLooks",
    "SMPOAnomalyDetector",
    "Sweep",
    "TrainedSMPO",
]
