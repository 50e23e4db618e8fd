"""reluflow for torch: patterns of a running model, and a scheduler steered by their change."""

from reluflow.monitoring import DivergenceWarning
from reluflow_torch.models.onnx_module import OnnxModule, from_onnx
from reluflow_torch.monitoring.monitor import PatternMonitor
from reluflow_torch.sites.distance import distances
from reluflow_torch.sites.hashing import fingerprints
from reluflow_torch.sites.patterns import (
    MAX_SAMPLES,
    OtherFold,
    PatternCapture,
    Patterns,
    SitePattern,
)
from reluflow_torch.training.clock import ClockWarning
from reluflow_torch.training.probe import Batch, SmoothWarning, StepProbe
from reluflow_torch.training.scheduler import ActCoolLR
from reluflow_torch.training.sensitivity import LOSSES, sensitivity
from reluflow_torch.training.site_groups import site_groups

__all__ = [
    "LOSSES",
    "MAX_SAMPLES",
    "ActCoolLR",
    "Batch",
    "ClockWarning",
    "DivergenceWarning",
    "OnnxModule",
    "OtherFold",
    "PatternCapture",
    "PatternMonitor",
    "Patterns",
    "SitePattern",
    "SmoothWarning",
    "StepProbe",
    "distances",
    "fingerprints",
    "from_onnx",
    "sensitivity",
    "site_groups",
]
