"""Last touches on a written chain: tables become a part of what they follow, idle nodes go."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Sequence

from onnx import NodeProto

from reluflow.graph.proto.own_domain import (
    FIXED_TABLE,
    OWN_DOMAIN,
    TABLE_PLACE,
)
from reluflow.graph.rewrite.reader import reads


def fuse_tables(nodes: Sequence[NodeProto], outputs: Collection[str]) -> list[NodeProto]:
    """Let operators apply the table that is the only reader of their bytes themselves.

    Args:
        nodes: of a graph, in order; changed in place.
        outputs: of the graph.
    """
    readers = Counter(name for node in nodes for name in reads(node))
    makers = {name: node for node in nodes for name in node.output}
    kept = []
    for node in nodes:
        maker = makers.get(node.input[0]) if node.op_type == FIXED_TABLE else None
        alone = maker is not None and readers[node.input[0]] == 1 and node.input[0] not in outputs
        if maker is None or not alone or not _takes_table(maker):
            kept.append(node)
            continue
        place = TABLE_PLACE[maker.op_type]
        maker.input.extend([""] * (place - len(maker.input)))
        maker.input.append(node.input[1])
        maker.output[0] = node.output[0]
        makers[node.output[0]] = maker
    return kept


def _takes_table(node: NodeProto) -> bool:
    place = TABLE_PLACE.get(node.op_type)
    return node.domain == OWN_DOMAIN and place is not None and len(node.input) <= place


def live(nodes: Sequence[NodeProto], outputs: Collection[str]) -> list[NodeProto]:
    """Return the nodes whose outputs are read, by others of them or as outputs of the graph."""
    wanted = set(outputs)
    kept = []
    for node in reversed(nodes):
        if not wanted.isdisjoint(node.output):
            wanted.update(reads(node))
            kept.append(node)
    return kept[::-1]
