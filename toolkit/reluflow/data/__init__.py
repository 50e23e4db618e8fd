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
from reluflow.data.sets.find import Place, find_set
from reluflow.data.sets.standard import StandardSet, open_set
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
    "Place",
    "Preprocessing",
    "RandomData",
    "StandardSet",
    "agreed_batch_size",
    "batch_that_fits",
    "bytes_per_sample",
    "check_label_name",
    "find_classes",
    "find_set",
    "fixed_batch_size",
    "has_array",
    "open_data",
    "open_set",
    "read_answers",
    "read_labels",
    "read_targets",
]
