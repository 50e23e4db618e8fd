"""Random feed-forward graphs of pictures: windows, pooling, resizing, joins, activations."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

INPUT = "x"


class Maker:
    """Grows a graph from one input; every tensor keeps its shape."""

    def __init__(self, seed: int, positive: bool = False) -> None:
        self.rng = np.random.default_rng(seed)
        self.positive = positive
        self.shapes: dict[str, tuple[int, ...]] = {}
        self.nodes: list[onnx.NodeProto] = []
        self.stored: list[onnx.TensorProto] = []
        self.shapes[INPUT] = (1, 2, *self.rng.integers(9, 15, 2).tolist())

    def pick(self, *options: Any) -> Any:
        return options[self.rng.integers(len(options))]

    def constant(self, value: Any, dtype: type = np.int64) -> str:
        name = f"c{len(self.stored)}"
        self.stored.append(numpy_helper.from_array(np.array(value, dtype), name))
        return name

    def weights(self, *shape: int) -> str:
        lowest = 1 if self.positive else -3
        return self.constant(self.rng.integers(lowest, 4, shape), np.float32)

    def add(self, op: str, inputs: list[str], **attributes: Any) -> str:
        name = f"t{len(self.nodes)}"
        self.nodes.append(helper.make_node(op, inputs, [name], f"{op}{name}", **attributes))
        inferred = onnx.shape_inference.infer_shapes(self.model(name), data_prop=True)
        dims = inferred.graph.output[0].type.tensor_type.shape.dim
        self.shapes[name] = tuple(dim.dim_value for dim in dims)
        return name

    def model(self, *outputs: str) -> onnx.ModelProto:
        value = helper.make_tensor_value_info
        graph = helper.make_graph(
            self.nodes,
            "spatial",
            [value(INPUT, TensorProto.FLOAT, list(self.shapes[INPUT]))],
            [value(name, TensorProto.FLOAT, self.shapes.get(name)) for name in outputs],
            self.stored,
        )
        opsets = [helper.make_opsetid("", 18)]
        return helper.make_model(graph, opset_imports=opsets, ir_version=9)


def convolution(m: Maker, x: str) -> str:
    channels = m.shapes[x][1]
    groups = m.pick(1, channels)
    size = m.rng.integers(1, 4, 2).tolist()
    given: dict[str, Any] = {"strides": m.rng.integers(1, 3, 2).tolist(), "group": groups}
    how = m.pick("pads", "SAME_UPPER", "SAME_LOWER", "VALID")
    if how == "pads":
        given |= {"pads": m.rng.integers(0, 3, 4).tolist()}
        given |= {"dilations": m.rng.integers(1, 3, 2).tolist()}
    else:
        given["auto_pad"] = how
    outputs = groups * int(m.rng.integers(1, 3))
    return m.add("Conv", [x, m.weights(outputs, channels // groups, *size)], **given)


def transposed_convolution(m: Maker, x: str) -> str:
    strides = m.rng.integers(1, 3, 2).tolist()
    size = m.rng.integers(2, 4, 2).tolist()
    weights = m.weights(m.shapes[x][1], int(m.rng.integers(1, 3)), *size)
    given: dict[str, Any] = {"strides": strides}
    given |= m.pick(
        {"pads": m.rng.integers(0, 2, 4).tolist()},
        {"dilations": m.rng.integers(1, 3, 2).tolist()},
        {"output_padding": [s - 1 for s in strides]},
    )
    return m.add("ConvTranspose", [x, weights], **given)


def pooling(m: Maker, x: str) -> str:
    size = m.rng.integers(2, 4, 2).tolist()
    given: dict[str, Any] = {"kernel_shape": size, "strides": m.rng.integers(1, 3, 2).tolist()}
    given |= m.pick({"pads": [1, 0, 0, 1]}, {"auto_pad": m.pick("SAME_UPPER", "SAME_LOWER")}, {})
    given |= m.pick({"ceil_mode": 1}, {}) if "auto_pad" not in given else {}
    op = "AveragePool" if m.positive else m.pick("MaxPool", "AveragePool")
    if op == "MaxPool" and "auto_pad" not in given:
        given |= m.pick({"dilations": [2, 1]}, {})
    return m.add(op, [x], **given)


def resizing(m: Maker, x: str) -> str:
    mode = m.pick("nearest", "linear", "cubic")
    where = m.pick("half_pixel", "pytorch_half_pixel", "align_corners", "asymmetric")
    given = {"mode": mode, "coordinate_transformation_mode": where}
    if mode == "nearest":
        rounding = ("floor", "ceil", "round_prefer_floor", "round_prefer_ceil")
        given["nearest_mode"] = m.pick(*rounding)
    if m.pick(0, 1):
        scales = [1.0, 1.0, *m.rng.choice([0.5, 0.75, 1.0, 1.5, 2.0], 2).tolist()]
        return m.add("Resize", [x, "", m.constant(scales, np.float32)], **given)
    sizes = [*m.shapes[x][:2], *m.rng.integers(5, 18, 2).tolist()]
    return m.add("Resize", [x, "", "", m.constant(sizes)], **given)


def padding(m: Maker, x: str) -> str:
    mode = m.pick("constant", "edge", "reflect")
    lowest = -1 if mode == "constant" else 0
    begin, end = m.rng.integers(lowest, 3, (2, 2)).tolist()
    return m.add("Pad", [x, m.constant([0, 0, *begin, 0, 0, *end])], mode=mode)


def cutting(m: Maker, x: str) -> str:
    along = int(m.rng.integers(1, 4))
    size = m.shapes[x][along]
    if size < 2:
        return x
    start, end, step = m.pick((1, 2**31, 1), (0, -1, 1), (-1, -(2**31), -1), (0, 2**31, 2))
    return m.add("Slice", [x, *(m.constant([each]) for each in (start, end, along, step))])


def joining(m: Maker, x: str) -> str:
    along = int(m.rng.integers(1, 4))
    other = activation(m, x)
    return m.add("Concat", [x, other], axis=along)


def addition(m: Maker, x: str) -> str:
    channels = m.shapes[x][1]
    same = m.add("Conv", [x, m.weights(channels, channels, 3, 3)], pads=[1] * 4)
    return m.add("Add" if m.positive else m.pick("Add", "Mul", "Sub", "Max"), [same, x])


def activation(m: Maker, x: str) -> str:
    if m.positive:
        return m.add("Identity", [x])
    return m.add(m.pick("Relu", "Sigmoid", "HardSwish", "Neg"), [x])


def shuffling(m: Maker, x: str) -> str:
    wide = m.add("Conv", [x, m.weights(4, m.shapes[x][1], 1, 1)])
    return m.add("DepthToSpace", [wide], blocksize=2)


def gathering(m: Maker, x: str) -> str:
    even = [size - size % 2 for size in m.shapes[x][2:]]
    places = (m.constant(each) for each in ([0, 0], even, [2, 3]))
    cut = m.add("Slice", [x, *places])
    return m.add("SpaceToDepth", [cut], blocksize=2)


def turning(m: Maker, x: str) -> str:
    last = m.add("Transpose", [x], perm=[0, 2, 3, 1])
    scaled = m.add("Mul", [last, m.weights(m.shapes[x][1])])
    return m.add("Transpose", [scaled], perm=[0, 3, 1, 2])


def gate(m: Maker, x: str) -> str:
    mean = m.add("GlobalAveragePool", [x])
    return m.add("Mul", [x, m.add("Sigmoid", [mean])])


Growth = Callable[[Maker, str], str]
LOCAL: tuple[Growth, ...] = (
    *(convolution, convolution, transposed_convolution, pooling, resizing, padding, cutting),
    *(joining, addition, activation, shuffling, gathering, turning),
)
LINEAR: tuple[Growth, ...] = (
    *(convolution, transposed_convolution, padding, cutting, joining, addition, shuffling),
    *(gathering, turning),
)
LEAST, MOST = 5, 40


def grow(
    seed: int, *, steps: int = 5, kinds: tuple[Growth, ...] = LOCAL, positive: bool = False
) -> Maker:
    """Return a random graph; steps that would leave too few or too many pixels are tried again."""
    made = Maker(seed, positive)
    last = INPUT
    done = 0
    while done < steps:
        nodes, stored, shapes = len(made.nodes), len(made.stored), dict(made.shapes)
        grown = made.pick(*kinds)(made, last)
        if all(LEAST <= size <= MOST for size in made.shapes[grown][2:]):
            last, done = grown, done + 1
        else:
            del made.nodes[nodes:], made.stored[stored:]
            made.shapes = shapes
    return made
