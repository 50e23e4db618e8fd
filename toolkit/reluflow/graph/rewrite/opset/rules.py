"""How operators of versions 7 to 12 of ONNX are written in version 13, node by node.

Only operators whose form or meaning changed are listed here; all others of version 7 mean the same
in version 13. A rule returns the nodes to write instead, or the reason why there are none.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field

import numpy as np
from onnx import NodeProto, helper, numpy_helper

from reluflow.graph.proto.versions import (
    DROPOUT_MASK_OF_BOOL,
    DROPOUT_RATIO_IS_INPUT,
    RESIZE_COORDINATES,
    SCAN_WITHOUT_BATCH,
)
from reluflow.graph.rewrite.contract import Reason
from reluflow.graph.view.index import TensorType
from reluflow.graph.view.nesting import NameMaker

TARGET = 13


@dataclass(eq=False, slots=True)
class Raising:
    """What the rules may query and create.

    Attributes:
        opset: the version that the nodes are written in.
        types: tensor -> type, as far as the graph tells.
        constants: tensor -> value of small initializers and Constant nodes.
        read: names of all tensors that some node reads or the model returns.
        names: makes new tensor names.
        made: Constant nodes of the current rule.
    """

    opset: int
    types: dict[str, TensorType]
    constants: dict[str, np.ndarray]
    read: set[str]
    names: NameMaker
    made: list[NodeProto] = field(default_factory=list)

    def put(self, stem: str, what: str, value: np.ndarray) -> str:
        """Make a Constant node and return its tensor."""
        name = self.names.fresh(stem, what)
        node = helper.make_node("Constant", [], [name], value=numpy_helper.from_array(value))
        self.made.append(node)
        return name

    def integers(self, stem: str, what: str, values: Iterable[int]) -> str:
        """Make a Constant node of integers."""
        return self.put(stem, what, np.array(list(values), np.int64))

    def dtype(self, tensor: str) -> np.dtype[np.generic] | None:
        """Return the type of a tensor's numbers, None where the graph does not tell."""
        known = self.types.get(tensor)
        if known is None or not known.elem_type:
            return None
        return np.dtype(helper.tensor_dtype_to_np_dtype(known.elem_type))

    def rank(self, tensor: str) -> int | None:
        """Return the number of axes, None where the graph does not tell."""
        known = self.types.get(tensor)
        return None if known is None or known.shape is None else len(known.shape)


Rule = Callable[[NodeProto, Raising], list[NodeProto] | Reason]


def raise_new_node(node: NodeProto, raising: Raising) -> list[NodeProto] | Reason:
    """Return the nodes of version 13 that replace one of an older version, or why there are none.

    Args:
        node: of ONNX's own domain.
        raising: the graph around it.
    """
    rule = _RULES.get(node.op_type)
    raising.made.clear()
    done = [node] if rule is None else rule(node, raising)
    if isinstance(done, Reason):
        return done
    return [*raising.made, *done]


def pop_attribute(node: NodeProto, name: str) -> object:
    """Remove an attribute from a node and return its value, None where it is not set."""
    for position, entry in enumerate(node.attribute):
        if entry.name == name:
            value = helper.get_attribute_value(entry)
            del node.attribute[position]
            return value.decode("utf-8", "replace") if isinstance(value, bytes) else value
    return None


def _integers_to_input(name: str) -> Rule:
    """Make the rule that turns a list attribute into the second input."""

    def rule(node: NodeProto, raising: Raising) -> list[NodeProto] | Reason:
        values = pop_attribute(node, name)
        if values is not None:
            node.input.append(raising.integers(node.output[0], name, values))  # type: ignore[arg-type]
        return [node]

    return rule


def _slice(node: NodeProto, raising: Raising) -> list[NodeProto] | Reason:
    for name in ("starts", "ends", "axes"):
        values = pop_attribute(node, name)
        if values is not None:
            node.input.append(raising.integers(node.output[0], name, values))  # type: ignore[arg-type]
    return [node]


def _top_k(node: NodeProto, raising: Raising) -> list[NodeProto] | Reason:
    k = pop_attribute(node, "k")
    if k is not None:
        node.input.append(raising.integers(node.output[0], "k", [int(str(k))]))
    return [node]


def _clip(node: NodeProto, raising: Raising) -> list[NodeProto] | Reason:
    bounds = [pop_attribute(node, "min"), pop_attribute(node, "max")]
    if len(node.input) > 1 or bounds == [None, None]:
        return [node]
    dtype = raising.dtype(node.input[0]) or raising.dtype(node.output[0])
    if dtype is None or dtype.kind == "O":
        return Reason("the element type of its input, which its bounds need, is no known number")
    for what, bound in zip(("min", "max"), bounds, strict=True):
        name = "" if bound is None else raising.put(node.output[0], what, np.asarray(bound, dtype))
        node.input.append(name)
    return [node]


def _pad(node: NodeProto, raising: Raising) -> list[NodeProto] | Reason:
    pads, value = pop_attribute(node, "pads"), pop_attribute(node, "value")
    if pads is None:
        return [node]
    node.input.append(raising.integers(node.output[0], "pads", pads))  # type: ignore[arg-type]
    if value:
        dtype = raising.dtype(node.input[0]) or raising.dtype(node.output[0])
        if dtype is None:
            return Reason("the element type of its input, which its padding needs, is not known")
        node.input.append(raising.put(node.output[0], "value", np.asarray(value, dtype)))
    return [node]


def _dropout(node: NodeProto, raising: Raising) -> list[NodeProto] | Reason:
    if raising.opset >= DROPOUT_RATIO_IS_INPUT:
        return [node]
    mask = node.output[1] if len(node.output) > 1 else ""
    if mask and mask in raising.read and raising.opset < DROPOUT_MASK_OF_BOOL:
        return Reason("its mask, numbers then and truth values now, is read")
    ratio = pop_attribute(node, "ratio")
    if ratio is not None:
        node.input.append(raising.put(node.output[0], "ratio", np.asarray(ratio, np.float32)))
    return [node]


def _batch_norm(node: NodeProto, raising: Raising) -> list[NodeProto] | Reason:
    spatial = pop_attribute(node, "spatial")
    if spatial == 0:
        return Reason("it normalises every position on its own (spatial = 0)")
    return [node]


def _flattening(node: NodeProto, raising: Raising) -> list[NodeProto] | Reason:
    """Softmax, LogSoftmax and Hardmax ran over all axes from `axis` on; now over one."""
    given = pop_attribute(node, "axis")
    axis = 1 if given is None else int(str(given))
    x, y = node.input[0], node.output[0]
    rank = raising.rank(x) or raising.rank(y)
    if axis == -1 or (rank and axis % rank == rank - 1):
        node.attribute.append(helper.make_attribute("axis", -1))
        return [node]
    shape, flat, done = (raising.names.fresh(y, what) for what in ("shape", "flat", "rows"))
    node.attribute.append(helper.make_attribute("axis", -1))
    node.input[0], node.output[0] = flat, done
    return [
        helper.make_node("Shape", [x], [shape]),
        helper.make_node("Flatten", [x], [flat], axis=axis),
        node,
        helper.make_node("Reshape", [done, shape], [y]),
    ]


def _scatter(node: NodeProto, raising: Raising) -> list[NodeProto] | Reason:
    node.op_type = "ScatterElements"
    return [node]


def _scan(node: NodeProto, raising: Raising) -> list[NodeProto] | Reason:
    if raising.opset < SCAN_WITHOUT_BATCH:
        return Reason("Scan of version 8 has a batch axis")
    return [node]


def _resize(node: NodeProto, raising: Raising) -> list[NodeProto] | Reason:
    """Upsample, and Resize of version 10, place corners at 0: asymmetric, towards zero."""
    if raising.opset >= RESIZE_COORDINATES and node.op_type == "Resize":
        wanted = next(
            (a.s for a in node.attribute if a.name == "coordinate_transformation_mode"), b""
        )
        if wanted == b"tf_half_pixel_for_nn":
            return Reason("its coordinates tf_half_pixel_for_nn are no more")
        return [node]
    scales = pop_attribute(node, "scales")
    if scales is not None:
        value = np.asarray(scales, np.float32)
        node.input.append(raising.put(node.output[0], "scales", value))
    else:
        found = raising.constants.get(node.input[1])
        value = np.zeros(0, np.float32) if found is None else found
    mode = pop_attribute(node, "mode") or "nearest"
    shrinks = node.op_type == "Resize" and mode == "nearest"
    if shrinks and not value.size:
        return Reason("its scales are computed, so that its rounding is not known")
    return _resized(node, raising, str(mode), value if shrinks else np.ones(1))


def _resized(
    node: NodeProto, raising: Raising, mode: str, scales: np.ndarray
) -> list[NodeProto] | Reason:
    """Write Resize of version 13; where it shrinks by nearest values, version 10 rounded up."""
    x, scales_name, y = node.input[0], node.input[1], node.output[0]
    shared = {"mode": mode, "coordinate_transformation_mode": "asymmetric"}
    if not ((scales < 1).any() and (scales > 1).any()):
        rounding = "ceil" if (scales < 1).any() else "floor"
        made = helper.make_node(
            "Resize", [x, "", scales_name], [y], nearest_mode=rounding, **shared
        )
        return [_like(made, node)]
    between = raising.names.fresh(y, "enlarged")
    grown = raising.put(y, "enlarging", np.maximum(scales, 1).astype(np.float32))
    shrunk = raising.put(y, "shrinking", np.minimum(scales, 1).astype(np.float32))
    first = helper.make_node("Resize", [x, "", grown], [between], nearest_mode="floor", **shared)
    last = helper.make_node("Resize", [between, "", shrunk], [y], nearest_mode="ceil", **shared)
    return [first, _like(last, node)]


def _like(made: NodeProto, node: NodeProto) -> NodeProto:
    """Give a node the name and metadata of another one."""
    made.name, made.doc_string = node.name, node.doc_string
    made.metadata_props.extend(node.metadata_props)
    return made


_RULES: dict[str, Rule] = {
    **{op: _integers_to_input("axes") for op in ("Squeeze", "Unsqueeze", "ReduceSum")},
    **{op: _flattening for op in ("Softmax", "LogSoftmax", "Hardmax")},
    "BatchNormalization": _batch_norm,
    "Clip": _clip,
    "Dropout": _dropout,
    "Pad": _pad,
    "Resize": _resize,
    "Scan": _scan,
    "Scatter": _scatter,
    "Slice": _slice,
    "Split": _integers_to_input("split"),
    "TopK": _top_k,
    "Upsample": _resize,
}
CHANGED: Sequence[str] = tuple(sorted(_RULES))
"""Operators with a rule."""
