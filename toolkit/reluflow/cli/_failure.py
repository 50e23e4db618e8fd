"""Any exception, foreseen or not, as one sentence and an exit code."""

from __future__ import annotations

import errno
import os
import traceback

import typer

from reluflow.cli._words import in_options
from reluflow.errors import BAD_INPUT, INTERRUPTED, ReluflowError

DEBUG_VARIABLE = "RELUFLOW_DEBUG"
"""Set to anything, it asks for tracebacks as --debug does."""

_CACHING, _READS = os.path.join("numba", "core", "caching.py"), ("_load_index", "_load_data")
_LONGEST = 300
"""Characters of an unforeseen error's text: some quote whole models."""
_CUT = "..."


def explain(error: BaseException) -> tuple[str, int]:
    """Return the sentence that tells an error, "" where all is said, and the exit code."""
    if isinstance(error, ReluflowError):
        return in_options(str(error)), error.exit_code
    if isinstance(error, KeyboardInterrupt | typer.Abort):
        return "interrupted.", INTERRUPTED
    if isinstance(error, typer.Exit):
        return "", int(error.exit_code)
    if isinstance(error, MemoryError) or _no_thread(error):
        return "not enough memory; give a smaller --batch-size.", BAD_INPUT
    if isinstance(error, RecursionError):
        return "the model nests deeper than can be followed; give a flatter one.", BAD_INPUT
    if isinstance(error, OSError) and error.errno == errno.ENOSPC:
        place = f" for {str(error.filename)!r}" if error.filename else ""
        return f"no space is left on the disk{place}; free some and run again.", BAD_INPUT
    if damaged := _damaged_cache(error):
        return damaged, BAD_INPUT
    format_message = getattr(error, "format_message", None)  # the option parser's own errors
    if format_message is None:
        return _unforeseen(error), BAD_INPUT
    if type(error).__name__ == "NoArgsIsHelpError":
        return "", BAD_INPUT
    return f"{format_message().rstrip('.')}; see reluflow --help.", BAD_INPUT


def _no_thread(error: BaseException) -> bool:
    """Tell whether there was no memory for one more thread, which Python has no type for."""
    return isinstance(error, RuntimeError) and "can't start new thread" in str(error)


def _damaged_cache(error: BaseException) -> str:
    """Return what to do where numba cannot read the compiled code that it keeps, "" elsewhere.

    A power cut may leave files of it short, which numba takes for an error of its own.
    """
    for frame, _ in traceback.walk_tb(error.__traceback__):
        if frame.f_code.co_filename.endswith(_CACHING) and frame.f_code.co_name in _READS:
            folder = getattr(frame.f_locals.get("self"), "_cache_path", "")
            return f"compiled code that numba keeps in {folder!r} is damaged; delete that folder."
    return ""


def wants_traceback(arguments: list[str]) -> bool:
    """Tell whether tracebacks are asked for; takes --debug out of the arguments."""
    asked = "--debug" in arguments
    arguments[:] = [word for word in arguments if word != "--debug"]
    return asked or bool(os.environ.get(DEBUG_VARIABLE))


def trace(error: BaseException) -> str:
    """Return the traceback of an error, that of its causes first."""
    return "".join(traceback.format_exception(error))


def _unforeseen(error: BaseException) -> str:
    """Own up to a defect: the user can mend nothing, but may give another input."""
    text = " ".join(str(error).split()).rstrip(".")
    text = text[: _LONGEST - len(_CUT)] + _CUT if len(text) > _LONGEST else text
    what = f"{type(error).__name__}: {text}" if text else type(error).__name__
    return (
        f"an error that reluflow did not foresee ({what}), most likely from a damaged "
        "input; run again with --debug for the traceback, and report it if the input is sound."
    )
