"""reluflow for torch: patterns of a running model, and a scheduler steered by their change."""

from reluflow_torch.distance import Distances, SiteDistance, distances
from reluflow_torch.onnx_module import OnnxModule, from_onnx
from reluflow_torch.patterns import MAX_SAMPLES, PatternCapture, Patterns, SitePattern
from reluflow_torch.probe import Batch, StepProbe
from reluflow_torch.scheduler import ActCoolLR
from reluflow_torch.sensitivity import LOSSES, sensitivity

__all__ = [
    "LOSSES",
    "MAX_SAMPLES",
    "ActCoolLR",
    "Batch",
    "Distances",
    "OnnxModule",
    "PatternCapture",
    "Patterns",
    "SiteDistance",
    "SitePattern",
    "StepProbe",
    "distances",
    "from_onnx",
    "sensitivity",
]
