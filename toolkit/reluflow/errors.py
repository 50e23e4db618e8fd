"""Every error a user can cause, one small tree under `ReluflowError`.

The message is one sentence that names the argument, shows the value, says what
is accepted and what to do next. The command line prints it and exits with the
error's `exit_code`.
"""

from __future__ import annotations

from typing import ClassVar

BAD_INPUT = 2
"""Exit code of a command that was given what it cannot use, and of failures nobody foresaw."""
INTERRUPTED = 130
"""Exit code after Ctrl-C: 128 and the number of the signal, as shells have it."""


class ReluflowError(Exception):
    """Something the caller can mend: the message says what and how.

    Attributes:
        exit_code: of a command that ends with this error.
    """

    exit_code: ClassVar[int] = BAD_INPUT


class ModelError(ReluflowError):
    """The ONNX model cannot be read, checked, rewritten or run."""


class EquivalenceError(ModelError):
    """A rewritten model does not compute what the old one did; its result was not kept."""


class DataError(ReluflowError):
    """The input data cannot be read or do not fit the model's inputs."""


class OptionError(ReluflowError):
    """An option or argument has a value that is not accepted."""


class OutputError(ReluflowError):
    """A result cannot be written or read back."""


class DivergenceError(ReluflowError):
    """The training runs away: no learning rate in range gives the wanted temperature."""


class Interrupted(ReluflowError):
    """The work was stopped by the user; the message says what is kept."""

    exit_code = INTERRUPTED
