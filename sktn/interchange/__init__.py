"""Networks and fitted models for other packages."""

from sktn.interchange.networks import (
    from_quimb,
    from_tensorly,
    network_arrays,
    to_quimb,
    to_tensorly,
)
from sktn.interchange.onnx_model import to_onnx

__all__ = [
    "from_quimb",
    "from_tensorly",
    "network_arrays",
    "to_onnx",
    "to_quimb",
    "to_tensorly",
]
