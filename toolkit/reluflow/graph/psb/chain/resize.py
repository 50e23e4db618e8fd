"""Resize in a chain: ONNX's own to nearest pixels, FixedResize where it interpolates."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from onnx import NodeProto

from reluflow.graph.psb.chain.layout import MoveStep, last
from reluflow.graph.psb.chain.steps import Planned, Step
from reluflow.graph.psb.chain.write import ChainWriter
from reluflow.graph.rewrite.contract import Reason
from reluflow.graph.rewrite.edit import Editor
from reluflow.graph.rewrite.reader import attribute
from reluflow.psb.fixed import COORDINATES

_SCALES_PLACE, _SIZES_PLACE = 2, 3
"""Of what a Resize takes."""
_FROM_OPSET = 11
"""From here on Resize takes coordinates, and sizes as an input."""
_SPATIAL_FROM = 2
_RANKS = (3, 4)


@dataclass(frozen=True)
class Sizes:
    """What a linear Resize makes: sizes in a tensor of the graph, or whole scales."""

    tensor: str = ""
    scales: np.ndarray | None = None


@dataclass(frozen=True)
class Linear:
    """A Resize that interpolates linearly by the rule of chains.

    Attributes:
        coordinates: number of its coordinates among `COORDINATES`.
        sizes: of what it makes.
    """

    coordinates: int
    sizes: Sizes


class LinearStep(Step):
    """Linear interpolation, in the format of what is interpolated."""

    becomes = "FixedResize"

    def __init__(self, node: NodeProto, maker: Step, how: Linear) -> None:
        super().__init__(node, (node.input[0],), maker.form, maker.rank)
        self._coordinates, self._sizes = how.coordinates, how.sizes

    def write(self, writer: ChainWriter) -> None:
        """Write a FixedResize."""
        x, _ = writer.bytes_of(self.reads[0])
        scales = self._sizes.scales
        sizes = self._sizes.tensor if scales is None else self._scaled(writer, scales)
        writer.make(self, "FixedResize", [x, sizes], {"coordinates": self._coordinates})

    def _scaled(self, writer: ChainWriter, scales: np.ndarray) -> str:
        """Write the sizes of what it reads times whole scales."""
        old, new = (writer.editor.fresh(self.output, stem) for stem in ("old", "sizes"))
        writer.shape_of(self.reads[0], old)
        stored = writer.editor.add_initializer(self.name, "scales", scales)
        writer.emit("Mul", [old, stored], new, new, {}, own=False)
        return new


def join_resize(plan: Planned, node: NodeProto) -> Step | Reason:
    """Return the step of a Resize, or why it cannot take bytes."""
    maker = plan.makers.get(node.input[0])
    if maker is None:
        return Reason("what it reads is not in a chain")
    if attribute(node, "mode", "nearest") != "nearest":
        how = read_linear(plan.editor, node, maker.rank, plan.shape(node.input[0]))
        return how if isinstance(how, Reason) else LinearStep(node, maker, how)
    return _kind(plan.editor, node) or _nearest(plan, node, maker)


def _kind(editor: Editor, node: NodeProto) -> Reason | None:
    """Return why a node is no Resize that is known here."""
    if node.op_type != "Resize" or editor.opset < _FROM_OPSET:
        return Reason(f"it is {node.op_type} of opset {editor.opset}")
    if attribute(node, "axes") is not None:
        return Reason("it names the axes that it resizes")
    return None


def _nearest(plan: Planned, node: NodeProto, maker: Step) -> Step | Reason:
    parts: list[np.ndarray | None] = [None, None, None]
    for place in (_SCALES_PLACE, _SIZES_PLACE):
        name = _given(node, place)
        if not name:
            continue
        value = plan.editor.constant(name)
        if value is None:
            return Reason("its sizes are computed")
        if value.size:
            parts[place - 1] = np.array(last(value.reshape(-1).tolist()), value.dtype)
    kept = {e.name for e in node.attribute} - {"mode"}
    attributes: dict[str, Any] = {name: attribute(node, name) for name in kept}
    if attributes.get("coordinate_transformation_mode") == "tf_crop_and_resize":
        return Reason("it crops while it resizes")
    return MoveStep(node, maker.form, maker.rank, parts, attributes | {"mode": "nearest"})


def _given(node: NodeProto, place: int) -> str:
    return str(node.input[place]) if len(node.input) > place else ""


def read_linear(
    editor: Editor, node: NodeProto, rank: int, x: tuple[int | str | None, ...] | None
) -> Linear | Reason:
    """Return how a Resize interpolates, or why chains have no rule for it.

    Args:
        editor: of the model; sizes that follow from constants become one.
        node: a Resize or an Upsample.
        rank: of what it reads.
        x: the shape of that, where it is known.
    """
    if reason := _kind(editor, node):
        return reason
    mode = str(attribute(node, "mode", "nearest"))
    if mode != "linear":
        return Reason(f"it interpolates ({mode}), for which chains have no exact rule")
    mode = str(attribute(node, "coordinate_transformation_mode", COORDINATES[0]))
    if mode not in COORDINATES:
        return Reason(f"its coordinates are {mode}, for which chains have no exact rule")
    if attribute(node, "antialias", 0):
        return Reason("it smooths what it makes smaller (antialias)")
    if attribute(node, "keep_aspect_ratio_policy", "stretch") != "stretch":
        return Reason("it keeps the ratio of the sizes")
    if rank not in _RANKS:
        return Reason(f"it interpolates {rank - _SPATIAL_FROM} axes; 1 and 2 are accepted")
    sizes = _sizes(editor, node, x)
    return sizes if isinstance(sizes, Reason) else Linear(COORDINATES.index(mode), sizes)


def _sizes(
    editor: Editor, node: NodeProto, x: tuple[int | str | None, ...] | None
) -> Sizes | Reason:
    """Return the tensor of sizes, or whole scales, with which the rule is that of Resize."""
    name = _given(node, _SIZES_PLACE)
    if name:
        value = editor.constant(name)
        known = value is None or x is None or tuple(value[:_SPATIAL_FROM]) == x[:_SPATIAL_FROM]
        return (
            Sizes(name) if known else Reason("its sizes are not those of its inputs and channels")
        )
    name = _given(node, _SCALES_PLACE)
    scales = editor.constant(name) if name else None
    if scales is None:
        return Reason("its scales are computed")
    factors = scales.reshape(-1).astype(np.float64)
    if (factors[:_SPATIAL_FROM] != 1).any():
        return Reason("it resizes inputs or channels")
    if (factors == np.rint(factors)).all():
        return Sizes(scales=factors.astype(np.int64))
    if x is None or not all(isinstance(size, int) for size in x):
        return Reason("its scales are no whole numbers, and the sizes that they make unknown")
    made = np.array(x, np.float64) * factors
    if (made != np.rint(made)).any() or (made < 1).any():
        return Reason("its scales leave parts of a pixel")
    return Sizes(editor.add_initializer(node.output[0], "sizes", made.astype(np.int64)))
