"""patterns.parquet: every distinct pattern of every site, streamed to disk."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from reluflow.analysis import PatternCounts
from reluflow.errors import OptionError, OutputError
from reluflow.report.files.atomic import replacing

CountChunk = tuple[NDArray[np.uint64], NDArray[np.int64], NDArray[np.int64]]
ROWS_PER_GROUP = 1 << 17


def write_patterns_parquet(
    path: str | os.PathLike[str],
    tables: Iterable[tuple[str, Iterator[CountChunk]]],
    metadata: Mapping[str, str],
) -> None:
    """Write count tables to one Parquet file, completely or not at all.

    Columns: `site` (dictionary of strings), `fingerprint` (16 bytes, big-endian, so that
    `.hex()` is `f"{hi:016x}{lo:016x}"`), `count` and `first_index` (int64). The bytes
    depend on the rows and their order, not on how they were divided into chunks or on the time.
    Memory: one row group and one chunk.

    Args:
        path: the file; replaced when it exists.
        tables: site name and its chunks of keys `(n, 2)` uint64 (high word first),
            counts `(n,)` and indices of the first sample `(n,)`.
        metadata: kept as the file's key-value metadata.

    Raises:
        OutputError: the file cannot be written.

    Example:
        >>> import tempfile
        >>> import pyarrow.parquet as pq
        >>> keys = np.array([[1, 2]], np.uint64)
        >>> chunk = keys, np.array([5]), np.array([0])
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     write_patterns_parquet(f'{folder}/p.parquet', [('y', iter([chunk]))], {})
        ...     pq.read_table(f'{folder}/p.parquet')['count'].to_pylist()
        [5]
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    schema = _schema(metadata)
    with (
        replacing(path) as partial,
        partial.open("xb") as file,
        pq.ParquetWriter(file, schema, compression="zstd", use_dictionary=["site"]) as writer,
    ):
        for rows in _regrouped(tables):
            batch = [_batch(name, chunk, schema) for name, chunk in rows]
            table = pa.Table.from_batches(batch, schema).unify_dictionaries().combine_chunks()
            writer.write_table(table, row_group_size=ROWS_PER_GROUP)


def read_patterns(
    path: str | os.PathLike[str], sites: Sequence[str] | None = None
) -> dict[str, PatternCounts]:
    """Read every distinct pattern of the sites of a report, as numpy arrays.

    Args:
        path: folder of a report of `analyze`, or its patterns.parquet.
        sites: names of sites; all by default.

    Returns:
        Site name -> its patterns, in the order of the file; what `count_patterns` gives.

    Raises:
        OutputError: there is no such file, or it is not one of reluflow.
        OptionError: an unknown site.

    Example:
        >>> import tempfile
        >>> import numpy as np, reluflow
        >>> images = np.load("models/fashion_mnist_test_2000.npz")["image"][:20]
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     report = reluflow.analyze("models/fashion_resnet8.onnx", images, f"{folder}/r")
        ...     found = reluflow.read_patterns(f"{folder}/r")
        >>> [len(found[site.site.name]) == site.patterns for site in report].count(True)
        7
    """
    import pyarrow as pa
    import pyarrow.compute as pc
    import pyarrow.parquet as pq

    file = Path(path)
    file = file / "patterns.parquet" if file.is_dir() else file
    try:
        table = pq.read_table(file)
        if not table.schema.equals(_schema({})) or any(each.null_count for each in table):
            raise ValueError("its columns are not those of patterns")
        names = table["site"].combine_chunks().cast(pa.string())
        found = names.unique().to_pylist()
    except (OSError, KeyError, ValueError, pa.ArrowException) as error:
        raise OutputError(
            f"path {str(file)!r} holds no patterns ({' '.join(str(error).split())}); give the "
            "folder of a report that analyze wrote."
        ) from error
    for name in sites or ():
        if name not in found:
            raise OptionError(f"site is {name!r}; accepted are {', '.join(found)}.")
    return {name: _counts(name, table.filter(pc.equal(names, name))) for name in sites or found}


def _counts(name: str, rows: Any) -> PatternCounts:
    raw = b"".join(rows["fingerprint"].to_pylist())
    keys = np.frombuffer(raw, ">u8").astype(np.uint64).reshape(-1, 2)
    return PatternCounts(name, keys, rows["count"].to_numpy(), rows["first_index"].to_numpy())


def _schema(metadata: Mapping[str, str]) -> Any:
    """Return the file's columns and its sorted key-value metadata."""
    import pyarrow as pa

    return pa.schema(
        [
            pa.field("site", pa.dictionary(pa.int32(), pa.string()), nullable=False),
            pa.field("fingerprint", pa.binary(16), nullable=False),
            pa.field("count", pa.int64(), nullable=False),
            pa.field("first_index", pa.int64(), nullable=False),
        ],
        metadata={key: metadata[key] for key in sorted(metadata)},
    )


def _regrouped(
    tables: Iterable[tuple[str, Iterator[CountChunk]]],
) -> Iterator[list[tuple[str, CountChunk]]]:
    """Cut the stream of chunks into groups of exactly `ROWS_PER_GROUP` rows."""
    group: list[tuple[str, CountChunk]] = []
    room = ROWS_PER_GROUP
    for name, chunks in tables:
        for keys, counts, first in chunks:
            start = 0
            while start < len(counts):
                part = slice(start, start + room)
                group.append((name, (keys[part], counts[part], first[part])))
                start += room
                room -= len(counts[part])
                if room == 0:
                    yield group
                    group, room = [], ROWS_PER_GROUP
    if group:
        yield group


def _batch(name: str, chunk: CountChunk, schema: Any) -> Any:
    """Return one record batch: the rows of one site."""
    import pyarrow as pa

    keys, counts, first = chunk
    n = len(counts)
    site = pa.DictionaryArray.from_arrays(
        pa.array(np.zeros(n, np.int32)), pa.array([name], pa.string())
    )
    data = pa.py_buffer(np.ascontiguousarray(keys, dtype=">u8").tobytes())
    fingerprint = pa.FixedSizeBinaryArray.from_buffers(pa.binary(16), n, [None, data])
    columns = [site, fingerprint, pa.array(counts, pa.int64()), pa.array(first, pa.int64())]
    return pa.RecordBatch.from_arrays(columns, schema=schema)
