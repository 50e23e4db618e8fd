"""Models on their way to a device: calibration, accuracy against precision, size and cost."""

from reluflow.deployment._difference import OutputDifference
from reluflow.deployment._proof import Conversion, convert, proven
from reluflow.deployment._run import batch_size
from reluflow.deployment.activation_bits import (
    ActivationBits,
    TriedBits,
    choose_activation_bits,
)
from reluflow.deployment.calibrate import calibrate
from reluflow.deployment.describe import describe_psb
from reluflow.deployment.equivalence import Equivalence, compare_models
from reluflow.deployment.evaluate import evaluate
from reluflow.deployment.evaluation_options import EvaluationOptions
from reluflow.deployment.labels import has_array, read_answers, read_labels, read_targets
from reluflow.deployment.metrics import METRICS, Metric, MetricFunction, accuracy, find_metric
from reluflow.deployment.result import (
    Evaluation,
    LayerCost,
    LayerSaturation,
    LayerSensitivity,
    Neighbour,
    OutputError,
    PsbDescription,
    SamplePoint,
)
from reluflow.deployment.saturation import measure_saturation
from reluflow.deployment.task import Task, recognise

__all__ = [
    "METRICS",
    "ActivationBits",
    "Conversion",
    "Equivalence",
    "Evaluation",
    "EvaluationOptions",
    "LayerCost",
    "LayerSaturation",
    "LayerSensitivity",
    "Metric",
    "MetricFunction",
    "Neighbour",
    "OutputDifference",
    "OutputError",
    "PsbDescription",
    "SamplePoint",
    "Task",
    "TriedBits",
    "accuracy",
    "batch_size",
    "calibrate",
    "choose_activation_bits",
    "compare_models",
    "convert",
    "describe_psb",
    "evaluate",
    "find_metric",
    "has_array",
    "measure_saturation",
    "proven",
    "read_answers",
    "read_labels",
    "read_targets",
    "recognise",
]
