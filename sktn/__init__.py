"""Tensor networks for scikit-learn."""

from sktn._continuous_decomposers import GreedyTNDecomposer, SVDinsTNDecomposer
from sktn._fixed_decomposers import FCTNDecomposer, TRDecomposer, TTDecomposer
from sktn._sampling_decomposers import (
    EnumerationTNDecomposer,
    GeneticTNDecomposer,
    LocalSearchTNDecomposer,
)
from sktn.anomaly import SMPOAnomalyDetector
from sktn.classification import MPSClassifier
from sktn.classification_cv import MPSClassifierCV
from sktn.decomposition import RGTNDecomposer
from sktn.density import MPSDensityEstimator
from sktn.display import NetworkDisplay
from sktn.image import PixelOrder, PixelPadding, PixelPatches, PixelPooling
from sktn.imputation import RGTNImputer
from sktn.regression import MPSRegressor
from sktn.regression_cv import MPSRegressorCV

__version__ = "0.1.0"

__all__ = [
    "EnumerationTNDecomposer",
    "FCTNDecomposer",
    "GeneticTNDecomposer",
    "GreedyTNDecomposer",
    "LocalSearchTNDecomposer",
    "MPSClassifier",
    "MPSClassifierCV",
    "MPSDensityEstimator",
    "MPSRegressor",
    "MPSRegressorCV",
    "NetworkDisplay",
    "PixelOrder",
    "PixelPadding",
    "PixelPatches",
    "PixelPooling",
    "RGTNDecomposer",
    "RGTNImputer",
    "SMPOAnomalyDetector",
    "SVDinsTNDecomposer",
    "TRDecomposer",
    "TTDecomposer",
    "__version__",
]
