"""Watching a training run: when to measure, what to record, where records go, when to warn.

This room is independent of frameworks; a bridge, such as `reluflow_torch`, supplies the training.
"""

from reluflow.monitoring.alarm import DivergenceWarning, pass_on
from reluflow.monitoring.counts import PatternHistory, SiteCounter, SiteCounts, measure_site
from reluflow.monitoring.flips import SampleFlips, Strike, StrikeWatch
from reluflow.monitoring.kept import KeptTables, read_recording
from reluflow.monitoring.periods import Due, Periods, log_steps
from reluflow.monitoring.records import MEAN, Measures, step_measures, sweep_measures
from reluflow.monitoring.sinks import ParquetSink, Sink, TensorBoardSink, WandbSink, open_sinks

__all__ = [
    "MEAN",
    "DivergenceWarning",
    "Due",
    "KeptTables",
    "Measures",
    "ParquetSink",
    "PatternHistory",
    "Periods",
    "SampleFlips",
    "Sink",
    "SiteCounter",
    "SiteCounts",
    "Strike",
    "StrikeWatch",
    "TensorBoardSink",
    "WandbSink",
    "log_steps",
    "measure_site",
    "open_sinks",
    "pass_on",
    "read_recording",
    "step_measures",
    "sweep_measures",
]
