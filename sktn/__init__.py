"""Tensor networks for scikit-learn."""

from sktn._peer_decomposers import (
    EnumerationTNDecomposer,
    FCTNDecomposer,
    GeneticTNDecomposer,
    GreedyTNDecomposer,
    LocalSearchTNDecomposer,
    SVDinsTNDecomposer,
    TRDecomposer,
    TTDecomposer,
)
from sktn.classification import MPSClassifier
from sktn.classification_cv import MPSClassifierCV
from sktn.decomposition import RGTNDecomposer
from sktn.display import NetworkDisplay
from sktn.imputation import RGTNImputer

__version__ = "0.1.0"

__all__ = [
    "EnumerationTNDecomposer",
    "FCTNDecomposer",
    "GeneticTNDecomposer",
    "GreedyTNDecomposer",
    "LocalSearchTNDecomposer",
    "MPSClassifier",
    "MPSClassifierCV",
    "NetworkDisplay",
    "RGTNDecomposer",
    "RGTNImputer",
    "SVDinsTNDecomposer",
    "TRDecomposer",
    "TTDecomposer",
    "__version__",
]
