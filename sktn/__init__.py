"""Tensor networks for scikit-learn."""

from sktn.decomposition import RGTNDecomposer

__version__ = "0.1.0"

__all__ = ["RGTNDecomposer", "__version__"]
