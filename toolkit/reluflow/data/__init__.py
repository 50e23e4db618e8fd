"""Where inputs come from: files, folders, iterators; one batch in memory at a time."""

from reluflow.data.classes import Classes, find_classes
from reluflow.data.formats.iterator import IteratorSource
from reluflow.data.formats.random import RandomData
from reluflow.data.labels import (
    check_label_name,
    has_array,
    read_answers,
    read_labels,
    read_targets,
)
from reluflow.data.open import open_data
from reluflow.data.sources.batch_size import (
    DEFAULT_BATCH,
    agreed_batch_size,
    batch_that_fits,
    bytes_per_sample,
    fixed_batch_size,
)
from reluflow.data.sources.preprocessing import Preprocessing
from reluflow.data.sources.source import Batch, DataSource
from reluflow.data.sources.spec import DataDescription, Dim, InputSpec

__all__ = [
    "DEFAULT_BATCH",
    "Batch",
    "Classes",
    "DataDescription",
    "DataSource",
    "Dim",
    "InputSpec",
    "IteratorSource",
    "Preprocessing",
    "RandomData",
    "agreed_batch_size",
    "batch_that_fits",
    "bytes_per_sample",
    "check_label_name",
    "find_classes",
    "fixed_batch_size",
    "has_array",
    "open_data",
    "read_answers",
    "read_labels",
    "read_targets",
]
