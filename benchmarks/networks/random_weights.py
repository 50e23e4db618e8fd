"""The networks whose whole inference is timed, with random weights."""

from __future__ import annotations

from typing import Any

import numpy as np
from networks.light import paths, random_input, with_random_weights
from onnx import ModelProto, NodeProto, TensorProto, helper, numpy_helper


def networks() -> dict[str, ModelProto]:
    """Return the networks by name, for one image of 224 x 224 pixels."""
    return {"resnet18": resnet18(), "resnet50": with_random_weights(paths()["resnet50"])}


def images(proto: ModelProto, seed: int) -> dict[str, np.ndarray]:
    """Return one random image for a network of `networks`."""
    return random_input(proto, seed)


def resnet18(seed: int = 0) -> ModelProto:
    """Return a ResNet-18 with He-normal weights, as PyTorch exports one for inference.

    Batch normalisation is folded, as exporters do; the last convolution of a branch is scaled
    down, so that the sum of branch and skip neither grows nor fades.
    """
    net = _Net(seed)
    x = net.pool(net.conv("image", 3, 64, 7, 2, "relu"))
    width = 64
    for stage in range(4):
        for block in range(2):
            wide, stride = 64 << stage, 2 if stage and not block else 1
            inner = net.conv(x, width, wide, 3, stride, "relu")
            branch = net.conv(inner, wide, wide, 3, 1, gain=0.35)
            skip = net.conv(x, width, wide, 1, stride) if wide != width else x
            x, width = net.add(branch, skip), wide
    return net.finish(x)


class _Net:
    """Nodes and weights of a network that grows layer by layer."""

    def __init__(self, seed: int) -> None:
        self.rng = np.random.default_rng(seed)
        self.nodes: list[NodeProto] = []
        self.weights: list[TensorProto] = []

    def node(self, op: str, inputs: list[str], **attributes: Any) -> str:
        name = f"{op.lower()}_{len(self.nodes)}"
        self.nodes.append(helper.make_node(op, inputs, [name], name, **attributes))
        return name

    def weight(self, *shape: int, gain: float) -> str:
        name = f"weight_{len(self.weights)}"
        values = gain * self.rng.standard_normal(shape, dtype=np.float32)
        self.weights.append(numpy_helper.from_array(values, name))
        return name

    def conv(
        self, x: str, cin: int, cout: int, k: int, stride: int, then: str = "", gain: float = 1.0
    ) -> str:
        w = self.weight(cout, cin, k, k, gain=gain * float(np.sqrt(2 / (cin * k * k))))
        b = self.weight(cout, gain=0.05)
        pads = [k // 2] * 4
        y = self.node("Conv", [x, w, b], kernel_shape=[k, k], strides=[stride] * 2, pads=pads)
        return self.node("Relu", [y]) if then == "relu" else y

    def pool(self, x: str) -> str:
        return self.node("MaxPool", [x], kernel_shape=[3, 3], strides=[2, 2], pads=[1] * 4)

    def add(self, branch: str, skip: str) -> str:
        return self.node("Relu", [self.node("Add", [branch, skip])])

    def finish(self, x: str) -> ModelProto:
        x = self.node("Flatten", [self.node("GlobalAveragePool", [x])])
        w, b = self.weight(1000, 512, gain=0.05), self.weight(1000, gain=0.05)
        y = self.node("Gemm", [x, w, b], transB=1)
        value = helper.make_tensor_value_info
        graph = helper.make_graph(
            self.nodes,
            "resnet18",
            [value("image", TensorProto.FLOAT, [1, 3, 224, 224])],
            [value(y, TensorProto.FLOAT, [1, 1000])],
            self.weights,
        )
        return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)
