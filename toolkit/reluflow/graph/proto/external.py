"""Tensors and the location of their data: inside the file or in files next to it."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np
import onnx
from onnx import AttributeProto, GraphProto, ModelProto, NodeProto, TensorProto, numpy_helper

from reluflow.errors import ModelError

SMALL_ELEMENTS = 1024
"""Tensors up to this many elements may hold shapes and bounds; larger ones are weights."""

_FOUR_BIT = {
    TensorProto.UINT4,
    TensorProto.INT4,
    getattr(TensorProto, "FLOAT4E2M1", -1),
}
_ONE_BYTE = {
    getattr(TensorProto, name, -3)
    for name in ("FLOAT8E4M3FN", "FLOAT8E4M3FNUZ", "FLOAT8E5M2", "FLOAT8E5M2FNUZ", "FLOAT8E8M0")
}
BFLOAT16 = np.dtype(onnx.helper.tensor_dtype_to_np_dtype(TensorProto.BFLOAT16))
"""numpy's name for it comes from the package ml_dtypes."""

_TWO_BIT = {getattr(TensorProto, "UINT2", -2), getattr(TensorProto, "INT2", -2)}


@dataclass(frozen=True, slots=True)
class ExternalPart:
    """The part of an external file that holds one tensor.

    Attributes:
        location: path relative to the model's folder, as written in the model.
        offset: first byte.
        length: number of bytes, None: to the end of the file.
    """

    location: str
    offset: int
    length: int | None


def walk_graphs(proto: ModelProto) -> Iterator[GraphProto]:
    """Yield the main graph and every subgraph, those inside local functions included."""
    yield proto.graph
    yield from _subgraphs(proto.graph.node)
    for function in proto.functions:
        yield from _subgraphs(function.node)


def _subgraphs(nodes: Iterable[NodeProto]) -> Iterator[GraphProto]:
    for node in nodes:
        for attribute in node.attribute:
            for graph in graphs_of(attribute):
                yield graph
                yield from _subgraphs(graph.node)


def graphs_of(attribute: AttributeProto) -> list[GraphProto]:
    """Return the graphs in an attribute: none, one or several."""
    if attribute.type == AttributeProto.GRAPH:
        return [attribute.g]
    if attribute.type == AttributeProto.GRAPHS:
        return list(attribute.graphs)
    return []


def attribute_tensors(nodes: Iterable[NodeProto]) -> Iterator[TensorProto]:
    """Yield the tensors held by the attributes of some nodes, subgraphs left out."""
    for node in nodes:
        for attribute in node.attribute:
            if attribute.type == AttributeProto.TENSOR:
                yield attribute.t
            elif attribute.type == AttributeProto.TENSORS:
                yield from attribute.tensors


def walk_tensors(proto: ModelProto) -> Iterator[TensorProto]:
    """Yield every tensor of a model: initializers and attributes, subgraphs, functions."""
    for graph in walk_graphs(proto):
        yield from graph.initializer
        yield from attribute_tensors(graph.node)
    for function in proto.functions:
        yield from attribute_tensors(function.node)


def elements(tensor: TensorProto) -> int:
    """Return the number of elements that a tensor's dimensions imply."""
    return math.prod(tensor.dims)


def is_float(dtype: np.dtype[Any]) -> bool:
    """Tell whether numbers of a type are floating point that can be calculated with.

    bfloat16, which an extension adds to numpy, is one; the 8-bit formats are for storage only.
    """
    return (dtype.kind == "f" and dtype.itemsize > 1) or dtype == BFLOAT16


def byte_size(tensor: TensorProto) -> int | None:
    """Return the bytes that raw data of this tensor take, None for strings and unknown types."""
    count = elements(tensor)
    if tensor.data_type in _FOUR_BIT:
        return -(-count // 2)
    if tensor.data_type in _TWO_BIT:
        return -(-count // 4)
    if tensor.data_type in _ONE_BYTE:
        return count
    if tensor.data_type == TensorProto.BFLOAT16:
        return 2 * count
    if tensor.data_type == TensorProto.STRING:
        return None
    try:
        return count * onnx.helper.tensor_dtype_to_np_dtype(tensor.data_type).itemsize
    except (KeyError, ValueError, TypeError):
        return None


def is_external(tensor: TensorProto) -> bool:
    """Tell whether a tensor's data are in another file."""
    return tensor.data_location == TensorProto.EXTERNAL


def external_part(tensor: TensorProto) -> ExternalPart:
    """Read where a tensor's data are stored.

    Raises:
        ModelError: the entry is incomplete, or points outside the model's folder.
    """
    entries = {entry.key: entry.value for entry in tensor.external_data}
    location = entries.get("location", "")
    name = tensor.name
    if not location:
        raise ModelError(
            f"tensor {name!r} keeps its data outside the model but names no file; "
            "export the model again."
        )
    _check_location(name, location)
    try:
        offset = int(entries.get("offset", "0"))
        length = int(entries["length"]) if "length" in entries else None
    except ValueError:
        offset, length = -1, None
    if offset < 0 or (length is not None and length < 0):
        raise ModelError(
            f"tensor {name!r} gives offset {entries.get('offset')!r} and length "
            f"{entries.get('length')!r} into {location!r}; whole numbers >= 0 are accepted."
        )
    return ExternalPart(location, offset, length)


def _check_location(name: str, location: str) -> None:
    path = PurePosixPath(location.replace("\\", "/"))
    windows_drive = len(location) > 1 and location[1] == ":"
    if path.is_absolute() or windows_drive:
        raise ModelError(
            f"tensor {name!r} keeps its data in the absolute path {location!r}; "
            "only files in the model's folder are accepted."
        )
    depth = 0
    for part in path.parts:
        depth += -1 if part == ".." else 1
        if depth < 0 or "\0" in part:
            raise ModelError(
                f"tensor {name!r} keeps its data in {location!r}, outside the model's folder; "
                "only files in that folder are accepted."
            )


def check_external(tensor: TensorProto, folders: Sequence[Path]) -> None:
    """Check that a tensor's external data exist and are long enough.

    Args:
        tensor: with external data.
        folders: the model's folder, then others that a link may lead into.

    Raises:
        ModelError: no such file, or it ends before the tensor does.
    """
    part = external_part(tensor)
    path = folders[0] / part.location
    if not path.is_file():
        what = "is no regular file" if path.exists() else "does not exist"
        what = "is a folder" if path.is_dir() else what
        raise ModelError(
            f"external data file {str(path)!r} of tensor {tensor.name!r} {what}; "
            "put it next to the model."
        )
    real = path.resolve()
    if not any(real.is_relative_to(folder.resolve()) for folder in folders):
        raise ModelError(
            f"external data file {str(path)!r} of tensor {tensor.name!r} is a link to "
            f"{str(real)!r}, outside the model's folder; copy the file there."
        )
    wanted = byte_size(tensor)
    if wanted is None:
        raise ModelError(
            f"tensor {tensor.name!r} has element type {tensor.data_type}, which cannot be "
            "kept in an external file; numeric types are accepted."
        )
    if part.length is not None and part.length != wanted:
        raise ModelError(
            f"tensor {tensor.name!r} needs {wanted} bytes, but its entry for "
            f"{part.location!r} gives {part.length}; export the model again."
        )
    size = path.stat().st_size
    if part.offset + wanted > size:
        raise ModelError(
            f"external data file {str(path)!r} has {size} bytes, but tensor {tensor.name!r} "
            f"needs bytes {part.offset} to {part.offset + wanted}; the file is incomplete, "
            "copy it again."
        )


def read_tensor(tensor: TensorProto, base_dir: Path | None) -> np.ndarray:
    """Return a tensor's values, from its external file if necessary.

    Raises:
        ModelError: its values do not fit its type and size.
    """
    whole = with_data(tensor, base_dir) if is_external(tensor) else tensor
    try:
        return numpy_helper.to_array(whole)
    except (ValueError, TypeError) as error:
        raise ModelError(
            f"tensor {tensor.name!r} of element type {tensor.data_type} and size "
            f"{list(tensor.dims)} holds values that do not fit; export the model again."
        ) from error


def with_data(tensor: TensorProto, base_dir: Path | None) -> TensorProto:
    """Return a copy of an external tensor that contains its data."""
    part = external_part(tensor)
    copy = TensorProto(name=tensor.name, data_type=tensor.data_type, dims=tensor.dims)
    with open((base_dir or Path()) / part.location, "rb") as file:
        file.seek(part.offset)
        copy.raw_data = file.read(byte_size(tensor) or 0)
    return copy
