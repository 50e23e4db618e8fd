"""A graph whose operators compute a region of their results and leave the rest as it was."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass

import numpy as np
from onnx import NodeProto, TensorProto, helper

from reluflow.graph.proto.chain_rules import CHAIN_PORTS
from reluflow.graph.proto.inline import domain_of
from reluflow.graph.proto.model import Model
from reluflow.graph.proto.own_domain import OWN_DOMAIN, REGION_CONCAT
from reluflow.graph.proto.psb_rules import PORTS
from reluflow.graph.rewrite.contract import Reason, Refused, Rewritten
from reluflow.graph.rewrite.draft import retain
from reluflow.graph.rewrite.edit import Editor
from reluflow.graph.rewrite.reader import attribute, name_of
from reluflow.graph.spatial.read import SpatialGraph

_MOST_JOINED = 8
"""Tensors that RegionConcat joins at once, at most."""
_JOINED = (np.dtype(np.uint8), np.dtype(np.int16))


@dataclass(frozen=True, slots=True)
class RegionalTensor:
    """A tensor of which a run computes a region alone, as listed by `to_regional`.

    Attributes:
        tensor: its name; it is an output of the new model, whose memory the host gives.
        region: the input with its region: bool, `(n, pixels...)`; of shape `(0,)`: everything.
    """

    tensor: str
    region: str


def to_regional(
    model: Model, graph: SpatialGraph, outputs: Collection[str] = ()
) -> Rewritten[tuple[RegionalTensor, ...]]:
    """Return a model whose operators compute regions of their results, for the native library.

    Pixels outside the region are not written: the memory that the host gives for a tensor keeps
    what it held, the values of an earlier pass. So a run computes what `mix_passes` of the same
    tensors does, and time falls with the region.

    Args:
        model: a converted model, not changed.
        graph: of `read_spatial` of it.
        outputs: other tensors that become outputs.

    Returns:
        The new model; the tensors that have a region, in graph order; as refused, the nodes that
        make pixels and cannot skip any, with the reason.

    Raises:
        DataError: one of `outputs` has no pixels.

    Example:
        >>> from reluflow.graph import load, read_spatial, to_psb
        >>> model = to_psb(load("models/fashion_resnet8.onnx")).model
        >>> found = to_regional(model, read_spatial(model, {"image": (1, 1, 28, 28)}))
        >>> [each.reason for each in found.refused if "Pool" in each.op]
        ['GlobalAveragePool computes all pixels']

    Reference: docs/psb-ops.md, regions; docs/attention.md.
    """
    for name in outputs:
        graph.check(name)
    editor = Editor(model)
    done, refused = [], []
    for node in list(editor.nodes):
        pixels = [name for name in node.output if name in graph.sizes]
        if not pixels:
            continue
        reason = _join(editor, graph, node) if _is_concat(node) else _place(node)
        if isinstance(reason, Reason):
            refused.append(Refused(name_of(node), node.op_type, reason.text))
            continue
        tensor = node.output[0]
        region = editor.fresh(tensor, "region")
        owner = editor.producer(tensor)
        assert owner is not None
        editor.set_input(owner, reason, region)
        value = helper.make_tensor_value_info(region, TensorProto.BOOL, None)
        editor.proto.graph.input.append(value)
        done.append(RegionalTensor(tensor, region))
    _give_outputs(editor, graph, [*(each.tensor for each in done), *outputs])
    # whoever reads regions is the library; functions of fewer inputs would stand against the nodes
    retain(editor.proto.functions, lambda function: function.domain != OWN_DOMAIN)
    return editor.finish(tuple(done), refused)


def _is_concat(node: NodeProto) -> bool:
    return node.op_type == "Concat" and not domain_of(node.domain)


def _place(node: NodeProto) -> int | Reason:
    """Return the number of a node's input `region`."""
    ports = {**PORTS, **CHAIN_PORTS}.get(node.op_type)
    if domain_of(node.domain) != OWN_DOMAIN or ports is None or "base" not in ports.inputs:
        return Reason(f"{node.op_type} computes all pixels")
    return list(ports.inputs).index("region")


def _join(editor: Editor, graph: SpatialGraph, node: NodeProto) -> int | Reason:
    """Replace a Concat of channels by one that joins regions."""
    tensor, parts = node.output[0], list(node.input)
    if graph.dtypes[tensor] not in _JOINED:
        return Reason("Concat computes all pixels where it joins floats")
    if any(name not in graph.sizes for name in parts) or len(parts) > _MOST_JOINED:
        return Reason(f"Concat computes all pixels of constants and of more than {_MOST_JOINED}")
    rank = len(graph.shapes[tensor])
    along = int(str(attribute(node, "axis", 1))) % rank
    if along in graph.axes[tensor] or along != rank - 1:
        return Reason("Concat computes all pixels where it joins them")
    made = helper.make_node(REGION_CONCAT, ["", "", *parts], [tensor], node.name, domain=OWN_DOMAIN)
    editor.replace(node, made)
    return 0


def _give_outputs(editor: Editor, graph: SpatialGraph, tensors: Collection[str]) -> None:
    listed = {value.name for value in editor.proto.graph.output}
    for tensor in dict.fromkeys(tensors):
        if tensor not in listed:
            kind = helper.np_dtype_to_tensor_dtype(graph.dtypes[tensor])
            value = helper.make_tensor_value_info(tensor, kind, None)
            editor.proto.graph.output.append(value)
