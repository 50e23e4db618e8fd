# The public names, listed once: __init__.py loads each from its home when it is first used.
from ._api.allocation import allocate_samples
from ._api.attention import attend, evaluate_attention
from ._api.cascade import evaluate_cascade
from ._api.demo import demo
from ._api.deploy import convert, edge_project, inline_psb
from ._api.evaluation import evaluate, inspect_psb, profile_psb
from ._api.inspect import animate_cells, find_cells, inspect
from ._api.lookup import activation_bits, find_pattern
from ._api.pages import write_index, write_recording_page
from ._api.patterns import analyze, compare, compare_checkpoints, count_patterns
from ._api.slimming.drift import check_drift, fit_drift
from ._api.slimming.slim import slim
from ._api.training import sensitivity
from ._version import __version__
from .analysis import (
    AnalysisOptions,
    ComparisonReport,
    Inspection,
    PatternCounts,
    PatternReport,
    SeriesReport,
)
from .attention import (
    Attended,
    AttentionOptions,
    AttentionReport,
    CascadeOptions,
    CascadeReport,
    RegionOptions,
)
from .cells import CellsReport, CellsSeries
from .data import open_data
from .drift import DriftReference, DriftReport
from .edge import EdgeOptions, EdgeProject
from .errors import ReluflowError
from .evaluation import (
    Allocation,
    Conversion,
    Evaluation,
    EvaluationOptions,
    InlinedModel,
    ProfileOptions,
    PsbProfile,
)
from .graph import Model, PsbOptions, find_sites, fold_batchnorm, load, tap, to_psb
from .installation import Installation, doctor
from .report import read_json, read_patterns
from .sessions import get_library_path, open_session
from .slimming import SlimReport
from .temperature import Sensitivity, StepMeter

__all__ = [
    "Allocation",
    "AnalysisOptions",
    "Attended",
    "AttentionOptions",
    "AttentionReport",
    "CascadeOptions",
    "CascadeReport",
    "CellsReport",
    "CellsSeries",
    "ComparisonReport",
    "Conversion",
    "DriftReference",
    "DriftReport",
    "EdgeOptions",
    "EdgeProject",
    "Evaluation",
    "EvaluationOptions",
    "InlinedModel",
    "Inspection",
    "Installation",
    "Model",
    "PatternCounts",
    "PatternReport",
    "ProfileOptions",
    "PsbOptions",
    "PsbProfile",
    "RegionOptions",
    "ReluflowError",
    "Sensitivity",
    "SeriesReport",
    "SlimReport",
    "StepMeter",
    "__version__",
    "activation_bits",
    "allocate_samples",
    "analyze",
    "animate_cells",
    "attend",
    "check_drift",
    "compare",
    "compare_checkpoints",
    "convert",
    "count_patterns",
    "demo",
    "doctor",
    "edge_project",
    "evaluate",
    "evaluate_attention",
    "evaluate_cascade",
    "find_cells",
    "find_pattern",
    "find_sites",
    "fit_drift",
    "fold_batchnorm",
    "get_library_path",
    "inline_psb",
    "inspect",
    "inspect_psb",
    "load",
    "open_data",
    "open_session",
    "profile_psb",
    "read_json",
    "read_patterns",
    "sensitivity",
    "slim",
    "tap",
    "to_psb",
    "write_index",
    "write_recording_page",
]
