"""Where inputs come from: files, folders, iterators; one batch in memory at a time."""

from reluflow.data.spec import DataDescription, Dim, InputSpec

__all__ = ["DataDescription", "Dim", "InputSpec"]
