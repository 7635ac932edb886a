"""Pictures of fitted models and of their searches, and a page with those of a model. Matplotlib is
imported when one is drawn."""

from sktn.display.chain import ChainDisplay, LossCurveDisplay
from sktn.display.explanation import MarginalEffectDisplay, VarianceSharesDisplay
from sktn.display.html_report import Report, report
from sktn.display.interaction import InteractionDisplay
from sktn.display.network import NetworkDisplay, plot_history
from sktn.display.reconstruction import ReconstructionDisplay
from sktn.display.reliability import ReliabilityDisplay
from sktn.display.shapley import ShapleyDisplay

__all__ = [
    "ChainDisplay",
    "InteractionDisplay",
    "LossCurveDisplay",
    "MarginalEffectDisplay",
    "NetworkDisplay",
    "ReconstructionDisplay",
    "ReliabilityDisplay",
    "Report",
    "ShapleyDisplay",
    "VarianceSharesDisplay",
    "plot_history",
    "report",
]
