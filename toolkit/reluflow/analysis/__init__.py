"""The main job: run a tapped model over data, hash, count and measure every switch site."""

from reluflow.analysis.checkpoint import holds_checkpoint
from reluflow.analysis.compare import compare_models
from reluflow.analysis.describe import describe_model, peak_memory_bytes
from reluflow.analysis.lookup import Occurrences, find_occurrences, read_bits
from reluflow.analysis.options import AnalysisOptions
from reluflow.analysis.pipeline import Interrupted, Pipeline
from reluflow.analysis.result import (
    ComparisonReport,
    GlobalReport,
    ModelDescription,
    PatternReport,
    PatternSummary,
    RunDescription,
    SiteComparison,
    SiteReport,
)
from reluflow.analysis.series import SeriesReport, SiteSeries, compare_series
from reluflow.analysis.step_meter import Patterns, StepMeter
from reluflow.analysis.step_result import SiteDistance, StepDistance
from reluflow.analysis.summarize import Analysis, site_metrics, summarize

__all__ = [
    "Analysis",
    "AnalysisOptions",
    "ComparisonReport",
    "GlobalReport",
    "Interrupted",
    "ModelDescription",
    "Occurrences",
    "PatternReport",
    "PatternSummary",
    "Patterns",
    "Pipeline",
    "RunDescription",
    "SeriesReport",
    "SiteComparison",
    "SiteDistance",
    "SiteReport",
    "SiteSeries",
    "StepDistance",
    "StepMeter",
    "compare_models",
    "compare_series",
    "describe_model",
    "find_occurrences",
    "holds_checkpoint",
    "peak_memory_bytes",
    "read_bits",
    "site_metrics",
    "summarize",
]
