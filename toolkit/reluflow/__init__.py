"""reluflow opens the box of ReLU networks, from one file format: ONNX.

>>> import reluflow
>>> report = reluflow.analyze("model.onnx", "images.npy", "report")  # doctest: +SKIP
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from reluflow._version import __version__

if TYPE_CHECKING:
    from reluflow._api.deploy import convert as convert
    from reluflow._api.deploy import evaluate as evaluate
    from reluflow._api.inspect import inspect as inspect
    from reluflow._api.lookup import activation_bits as activation_bits
    from reluflow._api.lookup import find_pattern as find_pattern
    from reluflow._api.patterns import analyze as analyze
    from reluflow._api.patterns import compare as compare
    from reluflow._api.patterns import compare_checkpoints as compare_checkpoints
    from reluflow._api.training import sensitivity as sensitivity
    from reluflow.analysis import AnalysisOptions as AnalysisOptions
    from reluflow.analysis import ComparisonReport as ComparisonReport
    from reluflow.analysis import PatternReport as PatternReport
    from reluflow.analysis import SeriesReport as SeriesReport
    from reluflow.analysis import StepMeter as StepMeter
    from reluflow.errors import ReluflowError as ReluflowError
    from reluflow.evaluation import EvaluationOptions as EvaluationOptions
    from reluflow.graph import PsbOptions as PsbOptions
    from reluflow.sessions import get_library_path as get_library_path

_HOMES = {
    "activation_bits": "reluflow._api.lookup",
    "analyze": "reluflow._api.patterns",
    "compare": "reluflow._api.patterns",
    "compare_checkpoints": "reluflow._api.patterns",
    "convert": "reluflow._api.deploy",
    "evaluate": "reluflow._api.deploy",
    "find_pattern": "reluflow._api.lookup",
    "get_library_path": "reluflow.sessions",
    "inspect": "reluflow._api.inspect",
    "sensitivity": "reluflow._api.training",
    "AnalysisOptions": "reluflow.analysis",
    "ComparisonReport": "reluflow.analysis",
    "EvaluationOptions": "reluflow.evaluation",
    "PatternReport": "reluflow.analysis",
    "PsbOptions": "reluflow.graph",
    "ReluflowError": "reluflow.errors",
    "SeriesReport": "reluflow.analysis",
    "StepMeter": "reluflow.analysis",
}

__all__ = ["__version__", *_HOMES]


def __getattr__(name: str) -> Any:
    """Import a public name when it is first used, so that `import reluflow` stays quick."""
    if name not in _HOMES:
        raise AttributeError(f"module 'reluflow' has no attribute {name!r}")
    from importlib import import_module

    return getattr(import_module(_HOMES[name]), name)


def __dir__() -> list[str]:
    """Name the calls before they are imported, so that completion shows them."""
    return sorted({*globals(), *__all__})
