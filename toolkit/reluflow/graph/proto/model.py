"""`Model`: an ONNX model behind an interface without protobuf; `load` and `save`."""

from __future__ import annotations

import hashlib
import os
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from onnx import GraphProto, ModelProto, ValueInfoProto

from reluflow.data import Dim, InputSpec
from reluflow.errors import ModelError
from reluflow.graph.proto.check import check_model
from reluflow.graph.proto.external import (
    elements,
    external_part,
    is_external,
    walk_graphs,
    walk_tensors,
)
from reluflow.graph.proto.foreign import held_model, made_like, refusal
from reluflow.graph.proto.save import PROTOBUF_LIMIT, memory_bytes, save_model
from reluflow.graph.proto.skeleton import make_skeleton

_LOOKED_AT = 4096
"""Bytes of a file that are examined to recognise text: one page, enough and quick to read."""
_TEXT = frozenset(b"\t\r\n") | frozenset(range(ord(" "), ord("~") + 1))
"""Printable ASCII."""


_IN = 1
"""Axis of the channels in a tensor, and of those that it takes in a kernel."""


class Model:
    """A checked ONNX model. Rewrites return a new one; none changes the model it was given.

    External data stay in their files: a model of any size takes little memory. `load` makes it.

    Args:
        proto: the protobuf, which the model keeps.
        path: of the file it was read from; None: not from a file.
        base_dir: folder of the external data.
        data: the file's bytes, for its size and its SHA-256; None: they are generated from `proto`.
        notes: sentences on what loading had to correct.

    Example:
        >>> model = load('models/fashion_resnet8.onnx')
        >>> str(model.inputs[0]), model.outputs, model.opset['']
        ('float32 [N, 1, 28, 28]', ('logits',), 17)
        >>> load(model.serialize()).n_parameters == model.n_parameters
        True
        >>> import tempfile
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     model.save(Path(folder, "again.onnx"))
        ...     load(Path(folder, "again.onnx")).n_nodes
        31
    """

    def __init__(
        self,
        proto: ModelProto,
        *,
        path: Path | None = None,
        base_dir: Path | None = None,
        data: bytes | None = None,
        notes: tuple[str, ...] = (),
    ) -> None:
        self._proto = proto
        self._path = path
        self._base_dir = base_dir
        self._digest = hashlib.sha256(data).hexdigest() if data is not None else None
        self._file_bytes = len(data) if data is not None else None
        self._notes = notes
        self._located: tuple[Any, ...] | None = None  # sites and their locations, found on demand
        self._reader: Any = None  # the index of the graph, made on demand

    def __repr__(self) -> str:
        return f"Model({str(self.path or '<memory>')!r}, {self.n_nodes} nodes)"

    @property
    def path(self) -> Path | None:
        """The file it was read from, None for a model from memory or from a rewrite."""
        return self._path

    @property
    def base_dir(self) -> Path | None:
        """The folder of the external data, None where there are none and no file."""
        return self._base_dir

    @property
    def notes(self) -> tuple[str, ...]:
        """Sentences on what loading had to correct, such as nodes out of order."""
        return self._notes

    @cached_property
    def inputs(self) -> tuple[InputSpec, ...]:
        """What must be fed: graph inputs to which no initializer gives a value.

        Strings and inputs that are not tensors have dtype `object`. Channels that the graph leaves
        open are as many as the convolution that reads them takes.
        """
        graph = self._proto.graph
        channels = _channels(graph)
        given = {tensor.name for tensor in graph.initializer}
        given |= {tensor.values.name for tensor in graph.sparse_initializer}
        wanted = [value for value in graph.input if value.name not in given]
        return tuple(_input_spec(value, channels.get(value.name)) for value in wanted)

    @cached_property
    def outputs(self) -> tuple[str, ...]:
        """Names of the graph's outputs, in order."""
        return tuple(value.name for value in self._proto.graph.output)

    @cached_property
    def opset(self) -> dict[str, int]:
        """Operator set domain -> version; the default domain is ""."""
        return {
            "" if entry.domain == "ai.onnx" else entry.domain: entry.version
            for entry in self._proto.opset_import
        }

    @property
    def ir_version(self) -> int:
        """The ONNX IR version."""
        return self._proto.ir_version

    @property
    def producer(self) -> str:
        """The exporter's "name version", "" where the file does not say."""
        return f"{self._proto.producer_name} {self._proto.producer_version}".strip()

    @cached_property
    def sha256(self) -> str:
        """SHA-256 of the ONNX file's bytes, external data not included.

        For a model in memory that is too large for one file: of its structure and its weights.
        """
        return self._digest or _digest(self)

    @property
    def n_nodes(self) -> int:
        """Nodes of the main graph."""
        return len(self._proto.graph.node)

    @cached_property
    def n_parameters(self) -> int:
        """Elements of all initializers, those of subgraphs included."""
        return sum(
            sum(map(elements, graph.initializer))
            + sum(elements(sparse.values) for sparse in graph.sparse_initializer)
            for graph in walk_graphs(self._proto)
        )

    @cached_property
    def size_bytes(self) -> int:
        """Bytes of the ONNX file and of its external data files."""
        own = self._file_bytes
        if own is None:
            own = memory_bytes(self._proto)
            own = len(self.serialize()) if own < PROTOBUF_LIMIT else own
        return own + sum(path.stat().st_size for path in self.external_files)

    @cached_property
    def external_files(self) -> tuple[Path, ...]:
        """The external data files, each once, in order of first use."""
        base = self._base_dir or Path()
        tensors = (tensor for tensor in walk_tensors(self._proto) if is_external(tensor))
        return tuple(dict.fromkeys(base / external_part(tensor).location for tensor in tensors))

    def serialize(self) -> bytes:
        """Return the bytes of the ONNX file; external data are not part of them.

        Raises:
            ModelError: it takes more than 2 GB, which one protobuf file cannot hold.
        """
        try:
            return bytes(self._proto.SerializeToString())
        except Exception as error:  # protobuf's own error type depends on its backend
            raise ModelError(
                "the model takes more than 2 GB, which one ONNX file cannot hold; "
                "use save, which puts weights in a file of their own."
            ) from error

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write the model; the file appears completely or not at all.

        External data files are copied next to it when it goes to another folder. The weights of a
        model beyond 2 GB are put into `<name>.data`.

        Args:
            path: file to write; an existing one is replaced.

        Raises:
            OutputError: the file cannot be written.
        """
        save_model(self._proto, self._base_dir, Path(path))

    def like(self, source: Any) -> Any:
        """Return the model as the kind of object that `source` is, to go on in another package.

        Args:
            source: an object, or a type: `onnx.ModelProto`, `onnx_ir.Model`,
                `onnx_graphsurgeon.Graph`, `bytes` or `Model`. Its content does not matter.

        Returns:
            A new object (a `Model`: itself). External data are left in their files for `onnx_ir`;
            those of another folder are loaded for the others, which would not find them.
            `onnx_graphsurgeon` keeps no documentation and no metadata of models and nodes.

        Raises:
            ModelError: it is a path or another object, or that kind cannot hold the model.

        Example:
            >>> import onnx
            >>> given = onnx.load("models/fashion_resnet8.onnx")
            >>> from reluflow.graph import fold_batchnorm
            >>> folded = fold_batchnorm(load(given)).model.like(given)
            >>> type(folded).__name__, len(given.graph.node), len(folded.graph.node)
            ('ModelProto', 31, 22)
        """
        kind = source if isinstance(source, type) else type(source)
        if issubclass(kind, Model):
            return self
        if issubclass(kind, bytes):
            proto = made_like(self._proto, self._base_dir, ModelProto)
            return Model(proto).serialize()
        made = made_like(self._proto, self._base_dir, kind)
        if made is None:
            raise ModelError(
                f"a model cannot become a {kind.__name__}; name a kind of object, such as "
                "onnx.ModelProto, or write a file with save."
            )
        return made


def load(source: Any) -> Model:
    """Read and check an ONNX model.

    Args:
        source: a path, the bytes of a file, an `onnx.ModelProto`, an `onnx_ir.Model`, an
            `onnx_graphsurgeon.Graph` (all three copied), an object with a ModelProto as its
            `model_proto` (torch's `ONNXProgram`), or a `Model`, returned as it is. External data
            of an `onnx_ir.Model` stay where it has them; those of bytes and of the others are
            looked up in the current folder.

    Returns:
        The model; external data stay in their files.

    Raises:
        ModelError: it cannot be read or is not valid; one sentence says why.

    Example:
        >>> import onnx.parser
        >>> proto = onnx.parser.parse_model('''<ir_version: 8, opset_import: ["" : 17]>
        ...     g (float[N,4] x) => (float[N,4] y) { y = Relu(x) }''')
        >>> model = load(proto)
        >>> str(model.inputs[0]), model.outputs
        ('float32 [N, 4]', ('y',))
    """
    if isinstance(source, Model):
        return source
    if (held := held_model(source)) is not None:
        return _checked(held.proto, None, None, "the model", held.base_dir)
    if isinstance(source, bytes | bytearray | memoryview):
        data = bytes(source)
        return _checked(_parse(data, "the model"), None, data, "the model")
    if not isinstance(source, str | os.PathLike):
        raise ModelError(refusal(source))
    path = Path(source)
    label = f"model {str(path)!r}"
    data = _read(path, label)
    return _checked(_parse(data, label), path, data, label)


def _digest(model: Model) -> str:
    if memory_bytes(model._proto) < PROTOBUF_LIMIT:
        return hashlib.sha256(model.serialize()).hexdigest()
    digest = hashlib.sha256(
        make_skeleton(model._proto, model.base_dir).proto.SerializeToString(deterministic=True)
    )
    for tensor in walk_tensors(model._proto):
        digest.update(tensor.raw_data if tensor.HasField("raw_data") else b"")
    return digest.hexdigest()


def _read(path: Path, label: str) -> bytes:
    try:
        if path.is_dir():
            raise ModelError(f"{label} is a folder; give the .onnx file inside it.")
        if path.exists() and not path.is_file():
            raise ModelError(f"{label} is no regular file; give the path of an .onnx file.")
        return path.read_bytes()
    except FileNotFoundError:
        raise ModelError(f"{label} does not exist; give the path of an .onnx file.") from None
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or error
        raise ModelError(
            f"{label} cannot be read: {reason}; give a readable .onnx file."
        ) from error


def _parse(data: bytes, label: str) -> ModelProto:
    if not data:
        raise ModelError(f"{label} is empty (0 bytes); give a file that an ONNX exporter wrote.")
    proto = ModelProto()
    try:
        proto.ParseFromString(data)
    except Exception as error:  # protobuf's own error type depends on its backend
        raise ModelError(f"{label} {_diagnose(data)}; give a whole binary ONNX file.") from error
    return proto


def _diagnose(data: bytes) -> str:
    """Guess what bytes that are not a protobuf are."""
    if data[:1] == b"\x08":  # field 1, the IR version, as every exporter starts
        return f"is not a readable ONNX file: its {len(data)} bytes are truncated or damaged"
    if all(byte in _TEXT for byte in data[:_LOOKED_AT]):
        return "is not a binary ONNX file: it is text"
    return "is not an ONNX file: its bytes are no protobuf message"


def _checked(
    proto: ModelProto,
    path: Path | None,
    data: bytes | None,
    label: str,
    base_dir: Path | None = None,
) -> Model:
    base_dir = path.parent if path else base_dir
    if base_dir is None and any(is_external(tensor) for tensor in walk_tensors(proto)):
        base_dir = Path.cwd()
    folders = [base_dir or Path(), *([path.resolve().parent] if path else [])]
    notes = check_model(proto, folders, label)
    return Model(proto, path=path, base_dir=base_dir, data=data, notes=notes)


def _channels(graph: GraphProto) -> dict[str, int]:
    """Return the channels that convolutions take of the tensors that they read."""
    dims = {tensor.name: tensor.dims for tensor in graph.initializer}
    found: dict[str, int] = {}
    for node in graph.node:
        if node.op_type != "Conv" or node.domain or len(node.input) <= _IN:
            continue
        if len(dims.get(node.input[1], ())) > _IN:
            groups = [entry.i for entry in node.attribute if entry.name == "group"] or [1]
            found[node.input[0]] = dims[node.input[1]][_IN] * groups[0]
    return found


def _input_spec(value: ValueInfoProto, channels: int | None) -> InputSpec:
    tensor = value.type.tensor_type
    if not value.type.HasField("tensor_type"):
        return InputSpec(value.name, np.dtype(object), None)
    shape: tuple[Dim, ...] | None = None
    if tensor.HasField("shape"):
        shape = tuple(_dim(dim) for dim in tensor.shape.dim)
        if channels and len(shape) > _IN and not isinstance(shape[_IN], int):
            shape = (*shape[:_IN], channels, *shape[_IN + 1 :])
    return InputSpec(value.name, _numpy_type(tensor.elem_type), shape)


def _dim(dim: onnx.TensorShapeProto.Dimension) -> Dim:
    if dim.HasField("dim_value"):
        return dim.dim_value if dim.dim_value >= 0 else None
    return dim.dim_param or None


def _numpy_type(elem_type: int) -> np.dtype[np.generic]:
    try:
        return np.dtype(onnx.helper.tensor_dtype_to_np_dtype(elem_type))
    except (KeyError, ValueError, TypeError):
        return np.dtype(object)
