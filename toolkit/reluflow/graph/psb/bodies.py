"""The files of function bodies in the folder functions, and what a model leaves out of them."""

from __future__ import annotations

import string
from collections.abc import Mapping
from itertools import product
from pathlib import Path

from onnx import FunctionProto, parser

_FOLDER = Path(__file__).with_name("functions")


def read_body(name: str, opset: int, folder: Path = _FOLDER) -> FunctionProto:
    """Parse the file of a function and set its version of ONNX's own operators.

    Args:
        name: of the function, and of its file.
        opset: the model's version, from 13 on.
        folder: of the file.
    """
    text = (folder / f"{name}.onnxtxt").read_text(encoding="utf-8")
    function: FunctionProto = parser.parse_function(text)
    for entry in function.opset_import:
        if not entry.domain:
            entry.version = opset
    return function


def leave_out(function: FunctionProto, instead: Mapping[str, str]) -> None:
    """Redirect readers of some tensors to others, then drop the nodes that are no longer read.

    Args:
        function: changed in place.
        instead: tensor -> the one that its readers get.
    """
    for node in function.node:
        for position, name in enumerate(node.input):
            node.input[position] = instead.get(name, name)
    needed = set(function.output)
    kept = []
    for node in reversed(function.node):
        if not needed.isdisjoint(node.output):
            needed.update(node.input)
            kept.append(node)
    del function.node[:]
    function.node.extend(reversed(kept))


def shorten(function: FunctionProto) -> None:
    """Give inner tensors names of one or two letters: the body is part of every file.

    Args:
        function: changed in place.
    """
    outer = {*function.input, *function.output}
    letters = string.ascii_letters
    free = (name for name in [*letters, *map("".join, product(letters, letters))])
    fresh = (name for name in free if name not in outer)
    short: dict[str, str] = {}
    for node in function.node:
        for names in (node.input, node.output):
            for position, name in enumerate(names):
                if name and name not in outer:
                    if name not in short:
                        short[name] = next(fresh)
                    names[position] = short[name]
