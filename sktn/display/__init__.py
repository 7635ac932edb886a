"""Pictures of fitted models and of their searches. Matplotlib is imported when one is drawn."""

from sktn.display.chain import ChainDisplay, LossCurveDisplay
from sktn.display.explanation import MarginalEffectDisplay, ShapleyDisplay, VarianceSharesDisplay
from sktn.display.network import NetworkDisplay, plot_history
from sktn.display.reconstruction import ReconstructionDisplay

__all__ = [
    "ChainDisplay",
    "LossCurveDisplay",
    "MarginalEffectDisplay",
    "NetworkDisplay",
    "ReconstructionDisplay",
    "ShapleyDisplay",
    "VarianceSharesDisplay",
    "plot_history",
]
