"""Models on their way to a device: calibration, accuracy against precision, size and cost."""

from reluflow.deployment._run import batch_size
from reluflow.deployment.calibrate import calibrate
from reluflow.deployment.describe import describe_psb
from reluflow.deployment.evaluate import EvaluationOptions, evaluate
from reluflow.deployment.labels import accuracy, read_labels, read_targets
from reluflow.deployment.result import (
    Evaluation,
    LayerCost,
    LayerSaturation,
    LayerSensitivity,
    PsbDescription,
    SamplePoint,
)
from reluflow.deployment.saturation import measure_saturation

__all__ = [
    "Evaluation",
    "EvaluationOptions",
    "LayerCost",
    "LayerSaturation",
    "LayerSensitivity",
    "PsbDescription",
    "SamplePoint",
    "accuracy",
    "batch_size",
    "calibrate",
    "describe_psb",
    "evaluate",
    "measure_saturation",
    "read_labels",
    "read_targets",
]
