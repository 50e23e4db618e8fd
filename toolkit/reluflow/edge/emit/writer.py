"""Pieces of C: arrays, structures, comments."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping

import numpy as np
from numpy.typing import NDArray

_PER_LINE = 16
_WIDTH = 100
_POINTER_BYTES = 4
_TYPES = {
    "uint8_t": 1,
    "uint16_t": 2,
    "int32_t": 4,
    "reluflow_channel": 8,
    "reluflow_between": 12,
    "reluflow_part": 2,
}


class CWriter:
    """Collects constants of a source file, each with its bytes in flash.

    Attributes:
        lines: of the file, in order.
        flash_bytes: of the constants, by what they are.
    """

    def __init__(self) -> None:
        self.lines: list[str] = []
        self.flash_bytes: dict[str, int] = {}
        self._known: dict[tuple[str, bytes], str] = {}

    def array(self, kind: str, stem: str, what: str, values: Iterable[object]) -> str:
        """Write a constant array, once for equal values; return its name.

        Args:
            kind: type of an element.
            stem: of the name.
            what: part of the flash that it counts to.
            values: numbers, or texts of structures.
        """
        texts = [str(value) for value in values]
        key = kind, "\n".join(texts).encode()
        if key in self._known:
            return self._known[key]
        self._known[key] = stem
        self.flash_bytes[what] = self.flash_bytes.get(what, 0) + _TYPES[kind] * len(texts)
        per_line = _PER_LINE if kind in ("uint8_t", "uint16_t", "int32_t") else 1
        self.lines.append(f"static const {kind} {stem}[{len(texts)}] = {{")
        for at in range(0, len(texts), per_line):
            self.lines.append(f"    {', '.join(texts[at : at + per_line])},")
        self.lines.append("};")
        return stem

    def bytes(self, stem: str, what: str, values: NDArray[np.uint8]) -> str:
        """Write an array of bytes."""
        return self.array("uint8_t", stem, what, values.reshape(-1).tolist())

    def struct(self, kind: str, stem: str, fields: Mapping[str, object], size: int) -> str:
        """Write a constant structure; return a pointer to it.

        Args:
            kind: its type.
            stem: of its name.
            fields: name -> value as C has it.
            size: its bytes on a machine of 32 bits.
        """
        self.flash_bytes["descriptors"] = self.flash_bytes.get("descriptors", 0) + size
        self.lines.append(f"static const {kind} {stem} = {{")
        self.lines += [f"    .{name} = {value}," for name, value in fields.items()]
        self.lines.append("};")
        return f"&{stem}"

    def comment(self, text: str) -> None:
        """Write a line of comment, whatever the text holds."""
        self.lines.append(f"/* {safe(text)} */")


def safe(text: str) -> str:
    """Return a text that a comment can hold: printable ASCII that neither ends nor begins one.

    Args:
        text: any, such as the name of a node.
    """
    plain = re.sub(r"[^ -~]", "?", text)
    plain = plain.replace("*/", "* /").replace("/*", "/ *").replace("??", "? ?")
    return plain.rstrip("\\")[:_WIDTH]
