"""reluflow for torch: patterns of a running model, and a scheduler steered by their change."""

from reluflow_torch._clock import ClockWarning
from reluflow_torch.distance import Distances, SiteDistance, distances
from reluflow_torch.hashing import fingerprints
from reluflow_torch.monitor import DivergenceWarning, PatternMonitor
from reluflow_torch.onnx_module import OnnxModule, from_onnx
from reluflow_torch.patterns import (
    MAX_SAMPLES,
    OtherFold,
    PatternCapture,
    Patterns,
    SitePattern,
)
from reluflow_torch.probe import Batch, StepProbe
from reluflow_torch.scheduler import ActCoolLR
from reluflow_torch.sensitivity import LOSSES, sensitivity

__all__ = [
    "LOSSES",
    "MAX_SAMPLES",
    "ActCoolLR",
    "Batch",
    "ClockWarning",
    "Distances",
    "DivergenceWarning",
    "OnnxModule",
    "OtherFold",
    "PatternCapture",
    "PatternMonitor",
    "Patterns",
    "SiteDistance",
    "SitePattern",
    "StepProbe",
    "distances",
    "fingerprints",
    "from_onnx",
    "sensitivity",
]
