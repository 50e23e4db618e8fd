"""Models for deployment: calibration, accuracy against precision, size and cost."""

from reluflow.evaluation.answers.given import choose_answers
from reluflow.evaluation.answers.metrics import (
    METRICS,
    Metric,
    MetricFunction,
    accuracy,
    find_metric,
)
from reluflow.evaluation.answers.own_metric import load_metric
from reluflow.evaluation.answers.task import Task, recognise
from reluflow.evaluation.budget.allocate import Allocation, NodeSamples, allocate
from reluflow.evaluation.calibrate import calibrate
from reluflow.evaluation.conversion import Conversion, convert, prove, proven, unproven
from reluflow.evaluation.describe import describe_psb
from reluflow.evaluation.evaluate import evaluate
from reluflow.evaluation.formats.find import MeasuredFormat, find_formats, measure_formats
from reluflow.evaluation.inlining import InlinedModel, inline
from reluflow.evaluation.options import EvaluationOptions
from reluflow.evaluation.proof.difference import OutputDifference
from reluflow.evaluation.proof.equivalence import Equivalence, compare_models
from reluflow.evaluation.result import (
    Evaluation,
    LayerCost,
    LayerSaturation,
    LayerSensitivity,
    Neighbour,
    OutputError,
    PsbDescription,
    SamplePoint,
)
from reluflow.evaluation.saturation import measure_saturation
from reluflow.evaluation.timing.profile import profile
from reluflow.evaluation.timing.result import NodeProfile, ProfileOptions, PsbProfile
from reluflow.evaluation.tuning.bits import ChosenBits, LayerBits, choose_bits
from reluflow.evaluation.tuning.for_budget import (
    TunedForBudget,
    convert_for_budget,
    tune_for_budget,
)
from reluflow.evaluation.tuning.for_bytes import TunedForBytes, tune_for_bytes
from reluflow.evaluation.tuning.options import (
    USUAL,
    USUAL_FOR_BYTES,
    TuningOptions,
    options_of,
)
from reluflow.evaluation.tuning.ranges import fill_bytes
from reluflow.evaluation.tuning.tune import Tuned, tune
from reluflow.evaluation.widths.activation_bits import (
    ActivationBits,
    TriedBits,
    choose_activation_bits,
)
from reluflow.evaluation.widths.chains import Chains, convert_to_chains
from reluflow.evaluation.widths.chains16 import convert_to_chains16
from reluflow.evaluation.widths.mixed import choose_chains

__all__ = [
    "METRICS",
    "USUAL",
    "USUAL_FOR_BYTES",
    "ActivationBits",
    "Allocation",
    "Chains",
    "ChosenBits",
    "Conversion",
    "Equivalence",
    "Evaluation",
    "EvaluationOptions",
    "InlinedModel",
    "LayerBits",
    "LayerCost",
    "LayerSaturation",
    "LayerSensitivity",
    "MeasuredFormat",
    "Metric",
    "MetricFunction",
    "Neighbour",
    "NodeProfile",
    "NodeSamples",
    "OutputDifference",
    "OutputError",
    "ProfileOptions",
    "PsbDescription",
    "PsbProfile",
    "SamplePoint",
    "Task",
    "TriedBits",
    "Tuned",
    "TunedForBudget",
    "TunedForBytes",
    "TuningOptions",
    "accuracy",
    "allocate",
    "calibrate",
    "choose_activation_bits",
    "choose_answers",
    "choose_bits",
    "choose_chains",
    "compare_models",
    "convert",
    "convert_for_budget",
    "convert_to_chains",
    "convert_to_chains16",
    "describe_psb",
    "evaluate",
    "fill_bytes",
    "find_formats",
    "find_metric",
    "inline",
    "load_metric",
    "measure_formats",
    "measure_saturation",
    "options_of",
    "profile",
    "prove",
    "proven",
    "recognise",
    "tune",
    "tune_for_budget",
    "tune_for_bytes",
    "unproven",
]
