"""The chains of bytes of a converted model."""

from __future__ import annotations

from dataclasses import dataclass

from onnx import NodeProto

from reluflow.graph.proto.model import Model
from reluflow.graph.proto.own_domain import (
    FIXED_CONV,
    FIXED_DEFAULTS,
    FIXED_GLOBAL_POOL,
    FROM_FIXED,
    FROM_FIXED_CONV,
    FROM_FIXED_MATMUL,
    OWN_DOMAIN,
    TO_FIXED,
)
from reluflow.graph.rewrite.reader import name_of, read_graph

_PRODUCTS = (FIXED_CONV, FROM_FIXED_CONV, FROM_FIXED_MATMUL)
ENDS = (FROM_FIXED, FIXED_GLOBAL_POOL, FROM_FIXED_CONV, FROM_FIXED_MATMUL)


@dataclass(frozen=True, slots=True)
class Chain:
    """Nodes that pass bytes to each other; `find_chains` returns them.

    Attributes:
        nodes: names of the nodes that take or give bytes, without those that convert.
        operators: number of PSB operators among them.
        begins: float tensors that become bytes.
        ends: float tensors that are made of bytes.
    """

    nodes: tuple[str, ...]
    operators: int
    begins: tuple[str, ...]
    ends: tuple[str, ...]


def find_chains(model: Model) -> tuple[Chain, ...]:
    """Return the chains of a converted model, in the order of their first nodes.

    Args:
        model: of `chain_psb`; any other has none.

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
        ours = node.domain == OWN_DOMAIN and node.op_type in FIXED_DEFAULTS
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
        tuple(name_of(node) for node in nodes if node.op_type not in (TO_FIXED, FROM_FIXED)),
        sum(node.op_type in _PRODUCTS for node in nodes),
        tuple(node.input[0] for node in nodes if node.op_type == TO_FIXED),
        tuple(node.output[0] for node in nodes if node.op_type in ENDS),
    )
