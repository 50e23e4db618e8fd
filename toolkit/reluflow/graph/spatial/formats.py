"""What the integers of each tensor of a chain stand for, read off the operators around it."""

from __future__ import annotations

from dataclasses import dataclass

from onnx import NodeProto

from reluflow.graph.proto.inline import domain_of
from reluflow.graph.proto.model import Model
from reluflow.graph.proto.own_domain import (
    ADDEND_PLACE,
    FIXED_16_DEFAULTS,
    FIXED_ADD,
    FIXED_CONV_16,
    FIXED_DEFAULTS,
    FIXED_MUL,
    FIXED_TABLE,
    OWN_DOMAIN,
    TABLE_PLACE,
)
from reluflow.graph.rewrite.reader import attribute, read_graph

_OWN_KEEP = {"FixedMaxPool", "FixedMaxPool16", "FixedResize", "FixedResize16"}
_KEEP = {"Concat", "Pad", "Reshape", "Transpose", "Slice", "Resize", "Identity", "Split"}
"""Operators of ONNX that act on the integers of a chain as they are."""
_JOINS = {"Concat", "RegionConcat"}


@dataclass(frozen=True, slots=True)
class ChainFormat:
    """The value of an integer u of a chain: (u - zero) 2^-exponent.

    Attributes:
        exponent: f, whole.
        zero: the zero point; 0 in chains of int16.

    Example:
        >>> ChainFormat(4, 128).exponent
        4
    """

    exponent: int
    zero: int


def chain_formats(model: Model) -> dict[str, ChainFormat]:
    """Return what the integers of each tensor of the chains stand for.

    Args:
        model: any; one without chains has none.

    Returns:
        Tensor -> format, for those that an operator of a chain reads or makes.

    Example:
        >>> import onnx.parser
        >>> from reluflow.graph import chain_psb16, load, to_psb
        >>> proto = onnx.parser.parse_model('''<ir_version: 8, opset_import: ["" : 17]>
        ...     g (float[N,1,4] x) => (float[N,1,4] y) <float[1,1,1] w = {0.5}>
        ...     { [one] h = Conv(x, w) r = Relu(h) [two] y = Conv(r, w) }''')
        >>> made = chain_psb16(to_psb(load(proto)).model, {"x": 9, "r": 10, "y": 11}).model
        >>> {name: each.exponent for name, each in chain_formats(made).items()}
        {'y/int16': 11, 'r/int16': 10, 'x/int16': 9}

    Reference: docs/psb-ops.md, chains.
    """
    found: dict[str, ChainFormat] = {}
    nodes = read_graph(model).nodes
    for node in reversed(nodes):
        for name, form in _read_by(node).items():
            found.setdefault(name, form)
        if _keeps(node) and node.output[0] in found:
            for name in _kept(node):
                found.setdefault(name, found[node.output[0]])
    for node in nodes:
        own = _made_by(node)
        if own is not None:
            found.setdefault(node.output[0], own)
        known = [found[name] for name in _kept(node) if name in found] if _keeps(node) else []
        for name in node.output if known else ():
            found.setdefault(name, known[0])
    made = {name for node in nodes for name in node.output}
    return {name: form for name, form in found.items() if name in made}


def _keeps(node: NodeProto) -> bool:
    if domain_of(node.domain) == OWN_DOMAIN:
        return node.op_type in _OWN_KEEP or node.op_type in _JOINS
    return node.op_type in _KEEP and not domain_of(node.domain)


def _kept(node: NodeProto) -> list[str]:
    """Return the inputs whose integers a node passes on."""
    return [name for name in node.input if name] if node.op_type in _JOINS else [node.input[0]]


def _read_by(node: NodeProto) -> dict[str, ChainFormat]:
    """Return the formats in which a node reads its inputs."""
    if domain_of(node.domain) != OWN_DOMAIN:
        return {}
    if node.op_type == FIXED_ADD:
        letters = {"a": 0, "b": 1}
    elif node.op_type == FIXED_MUL:
        letters = {"x": 0, "s": 1}
    elif "x_exponent" in _defaults(node):
        letters = {"x": 0, "z": ADDEND_PLACE.get(node.op_type, len(node.input))}
    else:
        return {}
    places = ((letter, at) for letter, at in letters.items() if at < len(node.input))
    return {node.input[at]: _form(node, letter) for letter, at in places if node.input[at]}


def _made_by(node: NodeProto) -> ChainFormat | None:
    """Return the format in which a node makes its result; a table gives one of its own."""
    if domain_of(node.domain) != OWN_DOMAIN or "y_exponent" not in _defaults(node):
        return None
    place = TABLE_PLACE.get(node.op_type, len(node.input))
    tabled = place < len(node.input) and bool(node.input[place])
    return None if tabled or node.op_type == FIXED_TABLE else _form(node, "y")


def _defaults(node: NodeProto) -> dict[str, int]:
    return {**FIXED_DEFAULTS, **FIXED_16_DEFAULTS}.get(node.op_type, {})


def _form(node: NodeProto, letter: str) -> ChainFormat:
    exponent = attribute(node, f"{letter}_exponent")
    if exponent is None and letter == "z" and node.op_type == FIXED_CONV_16:
        exponent = attribute(node, "y_exponent")
    zero = attribute(node, f"{letter}_zero", 0)
    return ChainFormat(int(str(exponent or 0)), int(str(zero)))
