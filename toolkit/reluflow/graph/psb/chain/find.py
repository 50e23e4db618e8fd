"""The chains of a converted model: where it passes bytes or int16."""

from __future__ import annotations

from dataclasses import dataclass

from onnx import NodeProto

from reluflow.graph.proto.model import Model
from reluflow.graph.proto.own_domain import (
    FIXED_16_DEFAULTS,
    FIXED_DEFAULTS,
    FIXED_GLOBAL_POOL,
    FIXED_GLOBAL_POOL_16,
    FROM_FIXED,
    FROM_FIXED_16,
    FROM_FIXED_CONV,
    FROM_FIXED_MATMUL,
    OWN_DOMAIN,
    TO_FIXED,
    TO_FIXED_16,
    USUAL_X_BITS,
)
from reluflow.graph.psb.nodes import is_psb
from reluflow.graph.rewrite.reader import attribute, name_of, read_graph

_BEGINS = (TO_FIXED, TO_FIXED_16)
_BACK = (FROM_FIXED, FROM_FIXED_16)
ENDS = (*_BACK, FIXED_GLOBAL_POOL, FIXED_GLOBAL_POOL_16, FROM_FIXED_CONV, FROM_FIXED_MATMUL)
_BYTE_BITS = 8
_OPERATORS = {*FIXED_DEFAULTS, *FIXED_16_DEFAULTS}


@dataclass(frozen=True, slots=True)
class Chain:
    """Nodes that pass bytes, or int16, to each other; `find_chains` returns them.

    Attributes:
        nodes: names of the nodes that take or give bytes, without those that convert.
        operators: number of PSB operators among them.
        begins: float tensors that become bytes or int16.
        ends: float tensors that are made of them.
        bits: of a value: 8 in bytes, more or fewer in int16.
    """

    nodes: tuple[str, ...]
    operators: int
    begins: tuple[str, ...]
    ends: tuple[str, ...]
    bits: int = _BYTE_BITS


def find_chains(model: Model) -> tuple[Chain, ...]:
    """Return the chains of a converted model, in the order of their first nodes.

    Args:
        model: of `chain_psb` or `chain_psb16`; any other has none.

    Example:
        >>> import onnx.parser
        >>> from reluflow.graph import chain_psb, load, to_psb
        >>> from reluflow.psb.fixed import FixedFormat
        >>> proto = onnx.parser.parse_model('''<ir_version: 8, opset_import: ["" : 17]>
        ...     g (float[N,1,4] x) => (float[N,1,4] y) <float[1,1,1] w = {0.5}>
        ...     { [one] h = Conv(x, w) [two] y = Conv(h, w) }''')
        >>> form = FixedFormat(5, 128)
        >>> chained = chain_psb(to_psb(load(proto)).model, {"x": form, "h": form, "y": form}).model
        >>> (chain,) = find_chains(chained)
        >>> chain.nodes, chain.begins, chain.ends
        (('one', 'two'), ('x',), ('y',))

    Reference: docs/psb-ops.md, chains.
    """
    reader = read_graph(model)
    of: dict[str, int] = {}  # bytes -> number of their chain
    same: list[int] = []

    def root(number: int) -> int:
        while same[number] != number:
            number = same[number]
        return number

    members: list[tuple[int, NodeProto]] = []
    for node in reader.nodes:
        ours = node.domain == OWN_DOMAIN and node.op_type in _OPERATORS
        joined = {root(of[name]) for name in node.input if name in of}
        if not ours and (not joined or node.op_type == "Shape"):
            continue
        number = min(joined, default=len(same))
        if number == len(same):
            same.append(number)
        for other in joined:
            same[other] = number
        members.append((number, node))
        if node.op_type not in ENDS:
            of.update(dict.fromkeys(node.output, number))
    chains: dict[int, list[NodeProto]] = {}
    for number, node in members:
        chains.setdefault(root(number), []).append(node)
    return tuple(map(_chain, chains.values()))


def _chain(nodes: list[NodeProto]) -> Chain:
    return Chain(
        tuple(name_of(node) for node in nodes if node.op_type not in (*_BEGINS, *_BACK)),
        sum(map(is_psb, nodes)),
        tuple(node.input[0] for node in nodes if node.op_type in _BEGINS),
        tuple(node.output[0] for node in nodes if node.op_type in ENDS),
        _bits(nodes),
    )


def _bits(nodes: list[NodeProto]) -> int:
    """Return the bits of the values of a chain; what its first operators say holds for all."""
    for node in nodes:
        if node.domain == OWN_DOMAIN and node.op_type in FIXED_16_DEFAULTS:
            for key in ("x_bits", "y_bits"):
                value = attribute(node, key)
                if value is not None:
                    return int(str(value))
    wide = any(node.op_type in FIXED_16_DEFAULTS for node in nodes)
    return USUAL_X_BITS if wide else _BYTE_BITS
