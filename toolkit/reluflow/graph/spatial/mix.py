"""Joining two passes: a region of every tensor is computed, the rest is what was given."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass

import numpy as np
from onnx import NodeProto, TensorProto, helper

from reluflow.errors import ModelError, OptionError
from reluflow.graph.proto.model import Model
from reluflow.graph.rewrite.contract import Rewritten
from reluflow.graph.rewrite.edit import Editor
from reluflow.graph.spatial.read import SpatialGraph

_SINCE = 9
"""Opset from which on there is a Where."""
_THROUGH = {
    np.dtype(np.bool_): TensorProto.UINT8,
    np.dtype(np.int16): TensorProto.INT32,
    np.dtype(np.uint16): TensorProto.INT32,
    np.dtype(np.uint64): TensorProto.INT64,
}
"""Types that ONNX Runtime has no Where for, and those that hold them."""


@dataclass(frozen=True, slots=True)
class MixedTensor:
    """A tensor of which a region is computed, as listed by `mix_passes`.

    Attributes:
        tensor: its name.
        region: the input of the new model with True where it is computed: as many axes as the
            tensor, of size 1 where it has channels.
        base: the input with its values elsewhere, of its type and shape.
    """

    tensor: str
    region: str
    base: str


def mix_passes(
    model: Model, graph: SpatialGraph, tensors: Collection[str] | None = None
) -> Rewritten[tuple[MixedTensor, ...]]:
    """Return a model that computes a region of its tensors, from mixed values.

    Every tensor Y with pixels becomes `where(region, op(X), base)`, where op reads mixed values:
    what a second pass over a region computes, if bases hold the values of the first. The new nodes
    are ONNX's own, so that any ONNX Runtime runs them; time is not saved.

    Args:
        model: any model, not changed.
        graph: of `read_spatial` of the model.
        tensors: tensors that are mixed, made by nodes; None: all with pixels. The others are
            computed everywhere.

    Returns:
        The new model, and the inputs that it got, in graph order.

    Raises:
        OptionError: a tensor has no pixels, or no node makes it.
        ModelError: the model's opset is below 9.

    Example:
        >>> from reluflow.graph import load, read_spatial
        >>> model = load("models/fashion_resnet8.onnx")
        >>> mixed = mix_passes(model, read_spatial(model, {"image": (1, 1, 28, 28)}))
        >>> mixed.done[0]
        MixedTensor(tensor='/conv/Conv_output_0', region='/conv/Conv_output_0/region', base='...')

    Reference: thesis 4.2.5; docs/attention.md, regions.
    """
    editor = Editor(model)
    if editor.opset < _SINCE:
        raise ModelError(
            f"model {str(model.path or '<memory>')!r} is of opset {editor.opset}, which has no "
            f"Where; raise it to {_SINCE} or more with `upgrade`."
        )
    made = {name: node for node in editor.nodes for name in node.output if name in graph.sizes}
    wanted = set(made if tensors is None else tensors)
    for tensor in sorted(wanted - set(made)):
        raise OptionError(
            f"tensors name {tensor!r}, which has no pixels or is not made by a node; give "
            "tensors of the graph's `sizes`."
        )
    done = [_mix(editor, graph, name, node) for name, node in made.items() if name in wanted]
    return editor.finish(tuple(done))


def _mix(editor: Editor, graph: SpatialGraph, tensor: str, node: NodeProto) -> MixedTensor:
    """Put a Where behind a node, which then gives the tensor its name."""
    computed = editor.fresh(tensor, "computed")
    places = [at for at, name in enumerate(node.output) if name == tensor]
    editor.set_output(node, places[0], computed)
    dtype, rank = graph.dtypes[tensor], len(graph.shapes[tensor])
    region = _input(editor, tensor, "region", TensorProto.BOOL, rank)
    base = _input(editor, tensor, "base", helper.np_dtype_to_tensor_dtype(dtype), rank)
    held = _THROUGH.get(dtype)
    if held is None:
        editor.insert(helper.make_node("Where", [region, computed, base], [tensor]), node)
        return MixedTensor(tensor, region, base)
    names = [editor.fresh(tensor, what) for what in ("computed held", "base held", "held")]
    own = helper.np_dtype_to_tensor_dtype(dtype)
    chain = [
        helper.make_node("Cast", [computed], [names[0]], to=held),
        helper.make_node("Cast", [base], [names[1]], to=held),
        helper.make_node("Where", [region, *names[:2]], [names[2]]),
        helper.make_node("Cast", [names[2]], [tensor], to=own),
    ]
    for each in reversed(chain):
        editor.insert(each, node)
    return MixedTensor(tensor, region, base)


def _input(editor: Editor, tensor: str, what: str, kind: int, rank: int) -> str:
    name = editor.fresh(tensor, what)
    sizes: Sequence[None] = [None] * rank
    editor.proto.graph.input.append(helper.make_tensor_value_info(name, kind, sizes))
    return name
