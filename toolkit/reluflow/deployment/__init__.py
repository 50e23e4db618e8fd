"""Models on their way to a device: calibration, accuracy against precision, size and cost."""

from reluflow.deployment.calibrate import calibrate
from reluflow.deployment.describe import describe_psb
from reluflow.deployment.evaluate import EvaluationOptions, evaluate
from reluflow.deployment.labels import accuracy, read_labels, read_targets
from reluflow.deployment.result import (
    Evaluation,
    LayerCost,
    LayerSensitivity,
    PsbDescription,
    SamplePoint,
)

__all__ = [
    "Evaluation",
    "EvaluationOptions",
    "LayerCost",
    "LayerSensitivity",
    "PsbDescription",
    "SamplePoint",
    "accuracy",
    "calibrate",
    "describe_psb",
    "evaluate",
    "read_labels",
    "read_targets",
]
