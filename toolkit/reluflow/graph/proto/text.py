"""Names must be text: protobuf returns bytes where a file does not hold valid UTF-8."""

from __future__ import annotations

from collections.abc import Iterator

from google.protobuf.descriptor import FieldDescriptor  # type: ignore[import-untyped]
from google.protobuf.message import Message  # type: ignore[import-untyped]
from onnx import TensorProto


def first_broken_name(message: Message) -> bytes | None:
    """Return the first string of a message, at any depth, that is not UTF-8; None: all are.

    The data of tensors are not examined.
    """
    return next((value for value in _strings(message) if isinstance(value, bytes)), None)


def _strings(message: Message) -> Iterator[str | bytes]:
    if isinstance(message, TensorProto):
        yield from (message.name, message.doc_string)
        for entry in message.external_data:
            yield from (entry.key, entry.value)
        return
    for field, value in message.ListFields():
        if field.type == FieldDescriptor.TYPE_MESSAGE:
            for inner in (value,) if isinstance(value, Message) else value:
                yield from _strings(inner)
        elif field.type == FieldDescriptor.TYPE_STRING:
            if isinstance(value, str | bytes):
                yield value
            else:
                yield from value
