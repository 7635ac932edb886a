"""Tensor networks for scikit-learn."""

from importlib import import_module
from typing import TYPE_CHECKING

from sktn.anomaly import SMPOAnomalyDetector
from sktn.backend import config_context, get_config, set_config
from sktn.chains.classification import MPSClassifier
from sktn.chains.classification_cv import MPSClassifierCV
from sktn.chains.regression import MPSRegressor
from sktn.chains.regression_cv import MPSRegressorCV
from sktn.decomposition.comparisons.continuous import GreedyTNDecomposer, SVDinsTNDecomposer
from sktn.decomposition.comparisons.sampling import (
    EnumerationTNDecomposer,
    GeneticTNDecomposer,
    LocalSearchTNDecomposer,
)
from sktn.decomposition.completer import RGTNCompleter
from sktn.decomposition.fixed import FCTNDecomposer, TRDecomposer, TTDecomposer
from sktn.decomposition.imputer import RGTNImputer
from sktn.decomposition.regressor import RGTNRegressor
from sktn.decomposition.rgtn import RGSearch, RGTNDecomposer
from sktn.density.estimator import MPSDensityEstimator
from sktn.image import PixelOrder, PixelPadding, PixelPatches, PixelPooling
from sktn.imputation.imputer import MPSImputer
from sktn.imputation.pooling import PooledEstimate, pool_estimates
from sktn.trees import TTNClassifier, TTNRegressor, grid_topology
from sktn.versions import show_versions

if TYPE_CHECKING:
    from sktn.display import NetworkDisplay

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
    "MPSImputer",
    "MPSRegressor",
    "MPSRegressorCV",
    "NetworkDisplay",
    "PixelOrder",
    "PixelPadding",
    "PixelPatches",
    "PixelPooling",
    "PooledEstimate",
    "RGSearch",
    "RGTNCompleter",
    "RGTNDecomposer",
    "RGTNImputer",
    "RGTNRegressor",
    "SMPOAnomalyDetector",
    "SVDinsTNDecomposer",
    "TRDecomposer",
    "TTDecomposer",
    "TTNClassifier",
    "TTNRegressor",
    "__version__",
    "config_context",
    "get_config",
    "grid_topology",
    "pool_estimates",
    "set_config",
    "show_versions",
]


def __getattr__(name):
    # Pictures and explanations bring a large part of scikit-learn, which a fit does not need.
    if name in ("display", "inspection"):
        return import_module(f"sktn.{name}")
    if name == "NetworkDisplay":
        return import_module("sktn.display").NetworkDisplay
    raise AttributeError(f"module 'sktn' has no attribute {name!r}")


def __dir__():
    return sorted({*globals(), *__all__, "display", "inspection"})
