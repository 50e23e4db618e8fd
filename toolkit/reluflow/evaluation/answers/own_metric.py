"""A measure of the user's own, named by the location of its function."""

from __future__ import annotations

import importlib
import importlib.util
import sys
from pathlib import Path
from typing import Any

from reluflow.errors import OptionError
from reluflow.evaluation.answers.metrics import METRICS, MetricFunction


def load_metric(wanted: str | MetricFunction | None) -> str | MetricFunction | None:
    """Return a measure's name, or the function that MODULE:FUNCTION or FILE.py:FUNCTION names.

    The module, or the file, is imported, so its code runs.

    Args:
        wanted: a name of `METRICS`, the location of a function, or a function; None: what fits.

    Raises:
        OptionError: there is no such measure, module or function.

    Example:
        >>> load_metric("rmse"), load_metric("numpy:vdot").__name__
        ('rmse', 'vdot')
    """
    if wanted is None or not isinstance(wanted, str) or wanted in METRICS:
        return wanted
    where, _, name = wanted.rpartition(":")
    if not (where and name):
        listed = ", ".join(METRICS)
        raise OptionError(
            f"metric is {wanted!r}; give one of {listed}, or a function of outputs and labels as "
            "MODULE:FUNCTION or FILE.py:FUNCTION."
        )
    try:
        module = _import_file(Path(where)) if _is_file(where) else importlib.import_module(where)
        function: MetricFunction = getattr(module, name)
    except Exception as error:  # foreign code may raise anything
        raise OptionError(
            f"metric is {wanted!r}, which cannot be loaded ({type(error).__name__}: {error}); give "
            "the path of a Python file or the name of an installed module."
        ) from error
    if not callable(function):
        raise OptionError(f"metric is {wanted!r}, which is no function; name one.")
    return function


def file_of_metric(wanted: object) -> str | None:
    """Return the Python file that a measure comes from; None where it is not known.

    Args:
        wanted: name of a measure, "FILE.py:FUNCTION", or a function.

    Example:
        >>> file_of_metric("mine.py:largest"), file_of_metric("rmse")
        ('mine.py', None)
    """
    if isinstance(wanted, str):
        where = wanted.rpartition(":")[0]
        return where if _is_file(where) else None
    code = getattr(wanted, "__code__", None)
    return None if code is None else str(code.co_filename)


def _is_file(where: str) -> bool:
    return where.endswith(".py")


def _import_file(path: Path) -> Any:
    spec = importlib.util.spec_from_file_location(path.stem, path)
    assert spec is not None and spec.loader is not None, "a name that ends in .py has a loader"
    module = importlib.util.module_from_spec(spec)
    sys.modules.setdefault(path.stem, module)
    spec.loader.exec_module(module)
    return module
