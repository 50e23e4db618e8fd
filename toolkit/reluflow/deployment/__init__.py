"""Models on their way to a device: calibration, accuracy against precision, size and cost."""

from reluflow.deployment._difference import OutputDifference
from reluflow.deployment._proof import Conversion, convert, proven
from reluflow.deployment._run import batch_size
from reluflow.deployment.calibrate import calibrate
from reluflow.deployment.describe import describe_psb
from reluflow.deployment.equivalence import Equivalence, compare_models
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
    "Conversion",
    "Equivalence",
    "Evaluation",
    "EvaluationOptions",
    "LayerCost",
    "LayerSaturation",
    "LayerSensitivity",
    "OutputDifference",
    "PsbDescription",
    "SamplePoint",
    "accuracy",
    "batch_size",
    "calibrate",
    "compare_models",
    "convert",
    "describe_psb",
    "evaluate",
    "measure_saturation",
    "proven",
    "read_labels",
    "read_targets",
]
