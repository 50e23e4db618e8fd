"""The main task: run a tapped model over data, hash, count and measure every switch site."""

from reluflow.analysis.compare import compare_models
from reluflow.analysis.lookup import Occurrences, find_occurrences, read_bits
from reluflow.analysis.results.describe import describe_model, peak_memory_bytes
from reluflow.analysis.results.inspection import Inspection, inspect_model
from reluflow.analysis.results.pattern_counts import PatternCounts, join_chunks
from reluflow.analysis.results.result import (
    ComparisonReport,
    GlobalReport,
    ModelDescription,
    PatternReport,
    PatternSummary,
    RunDescription,
    SiteComparison,
    SiteReport,
)
from reluflow.analysis.results.summarize import Analysis, site_metrics, summarize
from reluflow.analysis.run.accumulate import why_no_global
from reluflow.analysis.run.checkpoint import holds_checkpoint
from reluflow.analysis.run.options import AnalysisOptions
from reluflow.analysis.run.pipeline import Pipeline
from reluflow.analysis.series import SeriesReport, SiteSeries, compare_series
from reluflow.errors import Interrupted

__all__ = [
    "Analysis",
    "AnalysisOptions",
    "ComparisonReport",
    "GlobalReport",
    "Inspection",
    "Interrupted",
    "ModelDescription",
    "Occurrences",
    "PatternCounts",
    "PatternReport",
    "PatternSummary",
    "Pipeline",
    "RunDescription",
    "SeriesReport",
    "SiteComparison",
    "SiteReport",
    "SiteSeries",
    "compare_models",
    "compare_series",
    "describe_model",
    "find_occurrences",
    "holds_checkpoint",
    "inspect_model",
    "join_chunks",
    "peak_memory_bytes",
    "read_bits",
    "site_metrics",
    "summarize",
    "why_no_global",
]
