"""Random float networks of the operators that pixels pass through, and their converted forms."""

from collections.abc import Callable
from typing import Any

import numpy as np
from chain16_nets import largest_exponents
from chain_nets import converted, network, ranged
from onnx import NodeProto
from rewriting import N

from reluflow.graph import Model, chain_psb, chain_psb16

Shape = tuple[int, int, int, int]
LEAST = 3
"""Pixels along an axis, at least: windows fit."""


def as_bytes(model: Model, x: np.ndarray) -> Model:
    """Return its chains of bytes."""
    psb = converted(model)
    return chain_psb(psb, ranged(psb, x)).model


def as_int16(model: Model, x: np.ndarray) -> Model:
    """Return its chains of int16."""
    psb = converted(model)
    return chain_psb16(psb, largest_exponents(psb, x)).model


FORMS: dict[str, Callable[[Model, np.ndarray], Model]] = {
    "floats": lambda model, _: converted(model),
    "bytes": as_bytes,
    "int16": as_int16,
}


def random_net(seed: int, steps: int = 7) -> tuple[Model, np.ndarray]:
    """Return a float network from x to y, and an x."""
    grown = _Growth(np.random.default_rng(seed))
    for _ in range(steps):
        grown.step()
    model = network(*grown.finish(), tensors=grown.tensors, x=grown.x.shape)
    return model, grown.x


class _Growth:
    """A network that grows node by node."""

    def __init__(self, rng: np.random.Generator) -> None:
        self.rng = rng
        size = rng.integers(7, 20, 2)
        shape = (int(rng.integers(1, 3)), int(rng.choice([1, 3, 4])), int(size[0]), int(size[1]))
        self.x = rng.standard_normal(shape).astype(np.float32)
        self.nodes: list[NodeProto] = []
        self.tensors: dict[str, np.ndarray] = {}
        self.shapes: dict[str, Shape] = {"x": shape}
        self.last = "x"
        self.conv()

    def step(self) -> None:
        """Add one kind of node behind the last."""
        kinds: list[Callable[[], object]] = [self.conv, self.depthwise, self.block, self.gate]
        kinds += [self.branches, self.pool, self.resize]
        kinds[self.rng.choice(len(kinds), p=[0.15, 0.15, 0.2, 0.1, 0.15, 0.15, 0.1])]()

    def finish(self) -> list[NodeProto]:
        """Return all nodes, the last of which gives y."""
        self.conv(channels=4)
        self.nodes[-1].output[0] = "y"
        return self.nodes

    def add(self, op: str, inputs: list[str], shape: Shape, **attributes: Any) -> str:
        name = f"t{len(self.nodes)}"
        self.nodes.append(N(op, inputs, [name], name=f"n{name}", **attributes))
        self.shapes[name] = shape
        self.last = name
        return name

    def conv(self, channels: int | None = None, group: int = 1, same: bool = False) -> str:
        """Add a convolution of the last tensor; `same`: of its size."""
        x = self.last
        n, c, *size = self.shapes[x]
        outputs = channels or int(self.rng.choice([4, 5, 8, 20, 66]))
        kernel = [int(k) for k in (self.rng.choice([1, 3, 5, 2], 2) if not same else [3, 3])]
        strides = [1, 1] if same else [int(s) for s in self.rng.choice([1, 1, 2, 3], 2)]
        dilations = [int(d) for d in self.rng.choice([1, 1, 2], 2)]
        pads, out = [0, 0, 0, 0], [0, 0]
        for axis in range(2):
            span = (kernel[axis] - 1) * dilations[axis] + 1
            before = span // 2 if same else int(self.rng.integers(0, span))
            after = span - 1 - before if same else int(self.rng.integers(0, span))
            if (size[axis] + before + after - span) // strides[axis] + 1 < LEAST:
                strides[axis], before, after = 1, span // 2, span - 1 - span // 2
            pads[axis], pads[2 + axis] = before, after
            out[axis] = (size[axis] + before + after - span) // strides[axis] + 1
        w = f"w{len(self.nodes)}"
        shape = (outputs, c // group, *kernel)
        scale = 1 / np.sqrt(np.prod(shape[1:]))
        self.tensors[w] = (scale * self.rng.standard_normal(shape)).astype(np.float32)
        self.tensors[f"{w}b"] = (0.2 * self.rng.standard_normal(outputs)).astype(np.float32)
        given = {"strides": strides, "dilations": dilations, "pads": pads, "group": group}
        self.add("Conv", [x, w, f"{w}b"], (n, outputs, out[0], out[1]), **given)
        if channels is None and self.rng.random() < 0.7:
            self.add("Relu", [self.last], self.shapes[self.last])
        return self.last

    def depthwise(self) -> None:
        """Add a convolution of each channel by itself, or of groups of them."""
        c = self.shapes[self.last][1]
        group = c if self.rng.random() < 0.7 or c % 2 else 2
        self.conv(channels=c * int(self.rng.integers(1, 3)), group=group)

    def block(self) -> None:
        """Add a convolution whose result is added to its input."""
        x = self.last
        y = self.conv(channels=self.shapes[x][1], same=True)
        if self.rng.random() < 0.5:  # else the convolution itself adds
            y = self.add("Relu", [y], self.shapes[x])
        self.add("Add", [y, x], self.shapes[x])
        if self.rng.random() < 0.5:
            self.add("Relu", [self.last], self.shapes[x])

    def gate(self) -> None:
        """Multiply by a number between 0 and 1 for each value."""
        x = self.last
        y = self.conv(channels=self.shapes[x][1], same=True)
        self.add("Mul", [x, self.add("Sigmoid", [y], self.shapes[x])], self.shapes[x])

    def branches(self) -> None:
        """Join the last tensor and a convolution of it."""
        x = self.last
        y = self.conv(channels=int(self.rng.choice([4, 6])), same=True)
        n, c, height, width = self.shapes[x]
        self.add("Concat", [x, y], (n, c + self.shapes[y][1], height, width), axis=1)

    def pool(self) -> None:
        """Take the largest or the mean of windows."""
        n, c, *size = self.shapes[self.last]
        if min(size) < 2 * LEAST:
            return
        kernel, stride = int(self.rng.integers(2, 4)), int(self.rng.integers(1, 3))
        pads = [int(p) for p in self.rng.integers(0, kernel - 1, 4)]
        out = [(size[a] + pads[a] + pads[2 + a] - kernel) // stride + 1 for a in range(2)]
        given = {"kernel_shape": [kernel] * 2, "strides": [stride] * 2, "pads": pads}
        op = str(self.rng.choice(["MaxPool", "AveragePool"]))
        self.add(op, [self.last], (n, c, out[0], out[1]), **given)

    def resize(self) -> None:
        """Double the sides."""
        n, c, height, width = self.shapes[self.last]
        if height * width > 300:
            return
        sizes = f"s{len(self.nodes)}"
        shape = (n, c, 2 * height, 2 * width)
        self.tensors[sizes] = np.array(shape, np.int64)
        mode = str(self.rng.choice(["linear", "nearest"]))
        given = {"coordinate_transformation_mode": "half_pixel", "mode": mode}
        if mode == "nearest":
            given = {"coordinate_transformation_mode": "asymmetric", "mode": mode}
            given["nearest_mode"] = "floor"
        self.add("Resize", [self.last, "", "", sizes], shape, **given)
