"""One entry point for every kind of data."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from reluflow.data.formats.bytes_to_input import is_image_bytes, prepared
from reluflow.data.formats.datasets import Rows, is_indexed, open_rows, refuse_splits
from reluflow.data.formats.foreign import as_array, is_foreign_array, is_module
from reluflow.data.formats.idx import GZIP_MAGIC, idx_column, is_idx
from reluflow.data.formats.images import SUFFIXES, ImageColumn, identify, list_images
from reluflow.data.formats.iterator import IteratorSource, is_batches
from reluflow.data.formats.npy import MAGIC, npy_column, with_small_float
from reluflow.data.formats.npz import npz_columns
from reluflow.data.formats.random import (
    RandomColumn,
    RandomData,
    idle_dims,
    random_identity,
)
from reluflow.data.sets.find import find_set
from reluflow.data.sets.standard import StandardSet, open_set
from reluflow.data.sources.column import ArrayColumn, Column, LimitedColumn
from reluflow.data.sources.pixels import DECODE_NOTE
from reluflow.data.sources.places import is_url, open_binary, place_of, reach, stamp
from reluflow.data.sources.preprocessing import Preprocessing, make_plan
from reluflow.data.sources.source import ColumnSource, DataSource, hash_array
from reluflow.data.sources.spec import InputSpec
from reluflow.data.sources.validate import check_kind, check_lengths, check_names, check_specs
from reluflow.data.sources.words import listing, near_names, tensor
from reluflow.errors import DataError, OptionError

_SHOWN_BYTES = 8
"""Of a file of unknown format: PNG's signature, the longest of the usual ones."""
_FORMATS = ".npy, .npz, idx, idx.gz, a folder of images or a standard data set"


def open_data(
    source: object,
    inputs: Sequence[InputSpec],
    *,
    preprocessing: Preprocessing | None = None,
    limit: int | None = None,
) -> DataSource:
    """Open data for a model; only headers are read.

    Args:
        source: a path (.npy, .npz, idx, idx.gz, an image, a folder of images or of a standard data
            set), a URL of one that fsspec knows, a name of one such as "cifar10:train"
            (`open_set`), an array or a tensor of another library, a dict input name -> array,
            `RandomData`, a dataset or loader of torch, `tf.data`, Keras or Hugging Face, or an
            iterable, iterator or callable of batches (`IteratorSource` says what an item is). A
            list or tuple is an iterable of batches; the items of a dataset may be samples. Files
            are recognised by their first bytes, not by their name.
        inputs: what the model expects, in its order.
        preprocessing: for images, and for uint8 arrays that are to become floats. Byte images in
            idx files are scaled by default; other arrays never are.
        limit: use the first so many samples only.

    Returns:
        The source; its `description` says what was found and what will be done to it.

    Raises:
        DataError: the data cannot be read or do not fit the model.
        OptionError: an option has a value that is not accepted.

    Example:
        >>> spec = InputSpec("x", np.dtype("float32"), ("N", 3))
        >>> data = open_data(np.zeros((5, 3), np.float32), [spec])
        >>> [batch["x"].shape for batch in data.batches(4)]
        [(4, 3), (1, 3)]
    """
    specs = check_specs(inputs)
    if limit is not None:
        whole = isinstance(limit, int | np.integer) and not isinstance(limit, bool)
        if not whole or limit < 1:
            raise OptionError(f"limit is {limit!r}; give a number of samples of at least 1.")
    if isinstance(source, StandardSet):
        return _open_set(source, specs, preprocessing, limit)
    if isinstance(source, str | os.PathLike):
        place = None if is_url(source) else find_set(source)
        if place is not None:
            return _open_set(open_set(place.folder, place.split), specs, preprocessing, limit)
        return _open_path(place_of(source), specs, preprocessing, limit)
    if isinstance(source, np.ndarray):
        return _open_arrays({"": source}, specs, preprocessing, limit)
    refuse_splits(source)
    if isinstance(source, Mapping):
        return _open_arrays(source, specs, preprocessing, limit)
    if isinstance(source, RandomData):
        columns: dict[str, Column] = {s.name: RandomColumn(s, source) for s in specs}
        words = f"random data, seed {source.seed}"
        identity = random_identity(source, columns)
        _refuse(preprocessing, words)
        idle = idle_dims(specs, source)
        extra = {"ignored": idle} if idle else {}
        return _joined(columns, specs, "random", words, identity, None, limit, extra)
    if is_foreign_array(source):
        array = as_array(source, "data are")
        return _open_arrays({"": array}, specs, preprocessing, limit)
    rows = open_rows(source, specs)
    if rows is not None:
        return _open_rows(rows, specs, preprocessing, limit)
    batches = is_batches(source) or is_indexed(source)
    if batches and not is_module(source) and not isinstance(source, bytes | bytearray):
        _refuse(preprocessing, "an iterator")
        return IteratorSource(source, specs, None if limit is None else int(limit))
    raise DataError(
        f"data are a {type(source).__name__}; give a path to {_FORMATS}, an array, "
        "a dict of arrays, a dataset or an iterable of batches."
    )


def _open_rows(
    rows: Rows, inputs: tuple[InputSpec, ...], given: Preprocessing | None, limit: int | None
) -> DataSource:
    matched = rows.matched
    extra: dict[str, Any] = {"ignored": list(matched.left)} if matched.left else {}
    source = _joined(
        rows.columns(), inputs, "dataset", rows.words(), rows.identity(), given, limit, extra
    )
    source.notes = matched.sentences()
    return source


def _refuse(preprocessing: Preprocessing | None, words: str) -> None:
    if preprocessing is not None:
        raise OptionError(
            f"preprocessing was given with {words}, which is fed as it is; leave it out."
        )


def _open_path(
    path: Path, inputs: tuple[InputSpec, ...], given: Preprocessing | None, limit: int | None
) -> DataSource:
    try:
        head = _head(path)
        # By content first: an array file that is called .png is still an array file.
        if head is None or (not _is_array_file(head) and path.suffix.lower() in SUFFIXES):
            return _open_images(path, inputs, given, limit)
        identity: dict[str, Any] = {"files": [stamp(path)]}
        extra: dict[str, Any] = {}
        if head.startswith(MAGIC):
            kind, columns = "npy", _single(npy_column(path), inputs, path)
        elif head.startswith(b"PK"):
            found = npz_columns(path, inputs)
            kind, columns = "npz", found.columns
            extra = {"ignored": list(found.ignored)} if found.ignored else {}
        elif head.startswith(GZIP_MAGIC) or is_idx(head):
            kind, columns = "idx", _single(idx_column(path), inputs, path)
        else:
            raise DataError(_unknown(path, head))
    except OSError as error:
        raise DataError(
            f"data '{path}' cannot be read ({error.strerror or error}); "
            "check the path and its permissions."
        ) from error
    return _joined(columns, inputs, kind, str(path), identity, given, limit, extra)


def _open_set(
    found: StandardSet,
    inputs: tuple[InputSpec, ...],
    given: Preprocessing | None,
    limit: int | None,
) -> DataSource:
    where = str(found.place)
    if found.is_pictures:
        return _images(found.files, found.place.folder, inputs, given, limit, "set", where)
    columns = _single(found.column_for(inputs[0]), inputs, where)
    identity = {"files": identify(found.files, found.place.folder)}
    return _joined(columns, inputs, "set", where, identity, given, limit)


def _head(path: Path) -> bytes | None:
    """Return a file's first bytes, None for a folder."""
    try:
        reach(path)
    except ValueError as error:
        raise DataError(f"data {str(path)!r} is no path ({error}); check it.") from error
    except (FileNotFoundError, NotADirectoryError) as error:
        raise DataError(f"data '{path}' do not exist{near_names(path)}") from error
    if path.is_dir():
        return None
    if not path.is_file():
        raise DataError(f"data '{path}' are no regular file; give {_FORMATS}.")
    with open_binary(path) as stream:
        head = stream.read(16)
    if not head:
        raise DataError(f"data '{path}' are an empty file; give {_FORMATS}.")
    return head


def _is_array_file(head: bytes) -> bool:
    return head.startswith((MAGIC, b"PK", GZIP_MAGIC)) or is_idx(head)


def _unknown(path: Path, head: bytes) -> str:
    what = "a pickle, which is never opened" if head[:1] == b"\x80" else "of no known format"
    return (
        f"data '{path}' are {what} (first bytes {head[:_SHOWN_BYTES].hex(' ')}); give {_FORMATS}."
    )


def _single(column: Column, inputs: tuple[InputSpec, ...], path: Path | str) -> dict[str, Column]:
    if len(inputs) > 1:
        names = listing(spec.name for spec in inputs)
        raise DataError(
            f"data '{path}' hold one array, but the model wants {len(inputs)} inputs ({names}); "
            "give a .npz with an array for each."
        )
    return {inputs[0].name: column}


def _open_images(
    path: Path, inputs: tuple[InputSpec, ...], given: Preprocessing | None, limit: int | None
) -> DataSource:
    folder = path if path.is_dir() else path.parent
    paths, others = list_images(path) if path.is_dir() else ([path], 0)
    return _images(paths, folder, inputs, given, limit, "images", str(path), others)


def _images(
    paths: Sequence[Path],
    folder: Path,
    inputs: tuple[InputSpec, ...],
    given: Preprocessing | None,
    limit: int | None,
    kind: str,
    where: str,
    others: int = 0,
) -> DataSource:
    if len(inputs) > 1:
        names = listing(spec.name for spec in inputs)
        raise DataError(
            f"images '{where}' can feed one input, but the model wants {len(inputs)} ({names}); "
            "give a .npz with an array for each."
        )
    plan = make_plan(given or Preprocessing(), inputs[0], None)
    paths = paths[:limit]
    files = identify(paths, folder)
    column = ImageColumn(paths, plan)
    record = {"decode": DECODE_NOTE, **plan.record()}
    if others:
        record["ignored"] = [f"{others} files that are no images"]
    return ColumnSource(
        {inputs[0].name: column},
        inputs,
        kind=kind,
        source=where,
        preprocessing=record,
        identity={"files": files},
    )


def _open_arrays(
    arrays: Mapping[Any, Any],
    inputs: tuple[InputSpec, ...],
    given: Preprocessing | None,
    limit: int | None,
) -> DataSource:
    named = {str(name): as_array(a, f"data for input '{name}' are") for name, a in arrays.items()}
    if list(named) == [""] and len(inputs) == 1:
        named = {inputs[0].name: named[""]}
    elif list(named) == [""]:
        names = listing(spec.name for spec in inputs)
        raise DataError(
            f"data are one array, but the model wants {len(inputs)} inputs ({names}); "
            "give a dict of arrays by name."
        )
    check_names(list(named), inputs, "data have")
    for name, array in named.items():
        check_kind(f"data for input '{name}'", array.dtype, array.shape)
    columns: dict[str, Column] = {name: ArrayColumn(array) for name, array in named.items()}
    identity = {"bytes": {name: hash_array(array[:limit]) for name, array in named.items()}}
    return _joined(columns, inputs, "array", "arrays in memory", identity, given, limit)


def _joined(
    columns: Mapping[str, Column],
    inputs: tuple[InputSpec, ...],
    kind: str,
    source: str,
    identity: object,
    given: Preprocessing | None,
    limit: int | None,
    extra: Mapping[str, Any] | None = None,
) -> DataSource:
    """Limit, preprocess and join columns into a source."""
    # First, since preprocessing tries one sample of the shape that a header promises.
    check_lengths({spec.name: columns[spec.name].n_samples for spec in inputs}, f"'{source}' has")
    records: dict[str, Any] = {}
    ready: dict[str, Column] = {}
    for spec in inputs:
        column = with_small_float(columns[spec.name], spec)
        column = column if limit is None else LimitedColumn(column, int(limit))
        if (given is not None or kind in ("idx", "set")) and is_image_bytes(column, spec):
            column, plan = prepared(column, spec, given)
            records[spec.name] = plan.record()
        ready[spec.name] = column
    if given is not None and not records:
        found = listing(f"{name}: {tensor(c.dtype, c.shape)}" for name, c in ready.items())
        raise OptionError(
            f"preprocessing was given, but no data are uint8 images ({found} a sample); leave it "
            "out or give bytes [N, H, W], [N, H, W, 3] or [N, 3, H, W]."
        )
    steps = next(iter(records.values())) if len(records) == 1 else records
    return ColumnSource(
        ready,
        inputs,
        kind=kind,
        source=source,
        preprocessing={**steps, **(extra or {})},
        identity=identity,
    )
