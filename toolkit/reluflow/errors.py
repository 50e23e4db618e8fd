"""Every error a user can cause, one small tree under `ReluflowError`.

The message is one sentence that names the argument, shows the value, says what
is accepted and what to do next. The command line prints it and exits with 2.
"""

from __future__ import annotations


class ReluflowError(Exception):
    """Something the caller can mend: the message says what and how."""


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
