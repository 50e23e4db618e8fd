"""Where inputs come from: files, folders, iterators; one batch in memory at a time."""

from reluflow.data.formats.iterator import IteratorSource
from reluflow.data.formats.random import RandomData
from reluflow.data.open import open_data
from reluflow.data.sources.preprocessing import Preprocessing
from reluflow.data.sources.source import Batch, DataSource
from reluflow.data.sources.spec import DataDescription, Dim, InputSpec

__all__ = [
    "Batch",
    "DataDescription",
    "DataSource",
    "Dim",
    "InputSpec",
    "IteratorSource",
    "Preprocessing",
    "RandomData",
    "open_data",
]
