"""What `psb eval` judges by: right answers, and a measure."""

from __future__ import annotations

import importlib
import importlib.util
import sys
from pathlib import Path
from typing import Any

from numpy.typing import NDArray

from reluflow.cli._options import has_arrays, refuse_without
from reluflow.data import has_array, read_answers
from reluflow.errors import OptionError
from reluflow.evaluation import METRICS, MetricFunction


def choose_answers(
    data: Path, labels: Path | None, name: str | None, limit: int | None, float_model: bool
) -> tuple[NDArray[Any] | None, str | None]:
    """Return the right answers, None where the float model's are taken, and a note on that.

    Args:
        data: the inputs.
        labels: the file that was named, None: none was.
        name: of the array in an .npz; None: "label", if there is one.
        limit: the first so many inputs only.
        float_model: whether one was given.

    Raises:
        OptionError: there is nothing to judge by.
        DataError: the file cannot be read, or has no such array.
    """
    file = labels or (data if data.suffix == ".npz" else None)
    wanted = name or "label"
    is_archive = file is not None and has_arrays(file)
    refuse_without("an .npz file of answers", is_archive, {"--label-name": name})
    if file is not None and (labels is not None or name is not None or has_array(file, wanted)):
        return read_answers(file, wanted, limit), None
    why = f"{str(data)!r} holds no array {wanted!r}" if file is not None else "no labels are given"
    if not float_model:
        raise OptionError(
            f"{why}, and the float model that the file was converted from is not named, so there "
            "is nothing to judge by; give --float MODEL, --labels FILE or --label-name NAME."
        )
    return None, f"{why[0].upper()}{why[1:]}: all is judged by the answers of the float model."


def choose_metric(text: str | None) -> str | MetricFunction | None:
    """Return a measure's name, or the function that MODULE:FUNCTION or FILE.py:FUNCTION names.

    Raises:
        OptionError: there is no such measure, module or function.
    """
    if text is None or text in METRICS:
        return text
    where, colon, name = text.rpartition(":")
    if not colon:
        listed = ", ".join(METRICS)
        raise OptionError(
            f"--metric is {text!r}; give one of {listed}, or a function of outputs and labels as "
            "MODULE:FUNCTION or FILE.py:FUNCTION."
        )
    try:
        module = (
            _from_file(Path(where)) if where.endswith(".py") else importlib.import_module(where)
        )
        function: MetricFunction = getattr(module, name)
    except Exception as error:
        raise OptionError(
            f"--metric is {text!r}, which cannot be loaded ({type(error).__name__}: {error}); give "
            "the path of a Python file or the name of an installed module."
        ) from error
    if not callable(function):
        raise OptionError(f"--metric is {text!r}, which is no function; name one.")
    return function


def _from_file(path: Path) -> Any:
    spec = importlib.util.spec_from_file_location(path.stem, path)
    assert spec is not None and spec.loader is not None, "a name that ends in .py has a loader"
    module = importlib.util.module_from_spec(spec)
    sys.modules.setdefault(path.stem, module)
    spec.loader.exec_module(module)
    return module
