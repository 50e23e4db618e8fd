"""Where inputs come from: files, folders, iterators; one batch in memory at a time."""

from reluflow.data.iterator import IteratorSource
from reluflow.data.open import open_data
from reluflow.data.preprocessing import Preprocessing
from reluflow.data.random import RandomData
from reluflow.data.source import Batch, DataSource
from reluflow.data.spec import DataDescription, Dim, InputSpec

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
