"""Every error that a user can cause: one small hierarchy under `ReluflowError`.

The message is one sentence that names the argument, shows the value, says what
is accepted and what to do next. The command line prints it and exits with the
error's `exit_code`.
"""

from __future__ import annotations

from typing import ClassVar

BAD_INPUT = 2
"""Exit code of a command that was given something unusable, and of unforeseen failures."""
INTERRUPTED = 130
"""Exit code after Ctrl-C: 128 plus the number of the signal, as in shells."""


class ReluflowError(Exception):
    """A fault that the caller can correct: the message says what and how.

    Attributes:
        exit_code: of a command that ends with this error.

    Example:
        >>> import reluflow
        >>> try:
        ...     reluflow.load("missing.onnx")
        ... except reluflow.ReluflowError as error:
        ...     type(error).__name__, error.exit_code
        ('ModelError', 2)
    """

    exit_code: ClassVar[int] = BAD_INPUT


class ModelError(ReluflowError):
    """The ONNX model cannot be read, checked, rewritten or run; every call may raise it.

    Example:
        >>> from reluflow.graph import load
        >>> load(b"no model")  # doctest: +ELLIPSIS
        Traceback (most recent call last):
        reluflow.errors.ModelError: ...
    """


class EquivalenceError(ModelError):
    """A rewritten model does not compute what the original did; it was not kept.

    `convert` raises it.
    """


class DataError(ReluflowError):
    """The input data cannot be read or do not fit the model's inputs.

    Example:
        >>> import numpy as np, reluflow
        >>> reluflow.analyze("models/fashion_resnet8.onnx", np.zeros((2, 3), np.float32))
        Traceback (most recent call last):
        reluflow.errors.DataError: ...
    """


class OptionError(ReluflowError):
    """An option or argument has a value that is not accepted.

    Example:
        >>> from reluflow.analysis import AnalysisOptions
        >>> AnalysisOptions(top=-1)
        Traceback (most recent call last):
        reluflow.errors.OptionError: top is -1; give a whole number from 0 on.
    """


class OutputError(ReluflowError):
    """A result cannot be written or read back.

    Example:
        >>> from reluflow.report import read_json
        >>> read_json("missing.json")
        Traceback (most recent call last):
        reluflow.errors.OutputError: ...
    """


class DivergenceError(ReluflowError):
    """The training diverges: no learning rate in range gives the target temperature.

    `ActCool` raises it.
    """


class Interrupted(ReluflowError):
    """The work was stopped by the user; the message says what is kept.

    `Pipeline` raises it.
    """

    exit_code = INTERRUPTED
