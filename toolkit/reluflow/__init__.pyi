# The public names, listed once: __init__.py loads each from its home when it is first used.
from ._api.deploy import convert, evaluate
from ._api.inspect import inspect
from ._api.lookup import activation_bits, find_pattern
from ._api.patterns import analyze, compare, compare_checkpoints
from ._api.training import sensitivity
from ._version import __version__
from .analysis import AnalysisOptions, ComparisonReport, PatternReport, SeriesReport
from .data import open_data
from .errors import ReluflowError
from .evaluation import EvaluationOptions
from .graph import Model, PsbOptions, find_sites, fold_batchnorm, load, tap, to_psb
from .report import read_json
from .sessions import get_library_path, open_session
from .temperature import StepMeter

__all__ = [
    "AnalysisOptions",
    "ComparisonReport",
    "EvaluationOptions",
    "Model",
    "PatternReport",
    "PsbOptions",
    "ReluflowError",
    "SeriesReport",
    "StepMeter",
    "__version__",
    "activation_bits",
    "analyze",
    "compare",
    "compare_checkpoints",
    "convert",
    "evaluate",
    "find_pattern",
    "find_sites",
    "fold_batchnorm",
    "get_library_path",
    "inspect",
    "load",
    "open_data",
    "open_session",
    "read_json",
    "sensitivity",
    "tap",
    "to_psb",
]
