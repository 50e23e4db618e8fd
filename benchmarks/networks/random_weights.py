"""The networks whose whole inference is timed: with random weights, and one trained."""

from __future__ import annotations

from typing import Any

import numpy as np
import onnx
from networks.light import paths, random_input, with_random_weights
from networks.real import real_networks
from onnx import ModelProto, NodeProto, TensorProto, helper, numpy_helper

NETWORKS = ("resnet18", "resnet50", "mobilenet_v2", "efficientnet_lite0")
_MOBILE_BLOCKS = (
    *((1, 16, 1, 1), (6, 24, 2, 2), (6, 32, 3, 2), (6, 64, 4, 2)),
    *((6, 96, 3, 1), (6, 160, 3, 2), (6, 320, 1, 1)),
)
"""MobileNetV2's stages: factor of the inner width, width, blocks, stride of the first."""


def network(name: str) -> ModelProto | None:
    """Return one of `NETWORKS` for one image of 224 x 224; None where its file is missing."""
    if name == "resnet18":
        return resnet18()
    if name == "resnet50":
        return with_random_weights(paths()["resnet50"])
    if name == "mobilenet_v2":
        return mobilenet_v2()
    path = real_networks().get(name)
    return None if path is None else _of_one_image(onnx.load(path))


def _of_one_image(model: ModelProto) -> ModelProto:
    for value in model.graph.input:
        value.type.tensor_type.shape.dim[0].dim_value = 1
    return model


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


def mobilenet_v2(seed: int = 0) -> ModelProto:
    """Return a MobileNetV2 with random weights, with batch normalisation behind each convolution.

    Statistics and factors are near those of the random activations, as training makes them.
    """
    net = _Net(seed)
    x, width = net.normed(net.conv("image", 3, 32, 3, 2, bias=False), 32), 32
    for factor, wide, blocks, first in _MOBILE_BLOCKS:
        for block in range(blocks):
            stride, inner, y = first if not block else 1, factor * width, x
            if factor > 1:
                y = net.normed(net.conv(x, width, inner, 1, 1, bias=False), inner)
            y = net.conv(y, 1, inner, 3, stride, bias=False, group=inner)
            y = net.conv(net.normed(y, inner), inner, wide, 1, 1, bias=False)
            skips = stride == 1 and width == wide
            y = net.normed(y, wide, gain=0.5 if skips else 1.0, six=False)
            x, width = net.node("Add", [x, y]) if skips else y, wide
    x = net.normed(net.conv(x, width, 1280, 1, 1, bias=False), 1280)
    return net.finish(x, 1280, "mobilenet_v2")


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

    def stored(self, values: np.ndarray) -> str:
        name = f"weight_{len(self.weights)}"
        self.weights.append(numpy_helper.from_array(values.astype(np.float32), name))
        return name

    def conv(
        self,
        x: str,
        cin: int,
        cout: int,
        k: int,
        stride: int,
        then: str = "",
        gain: float = 1.0,
        bias: bool = True,
        **attributes: Any,
    ) -> str:
        w = self.weight(cout, cin, k, k, gain=gain * float(np.sqrt(2 / (cin * k * k))))
        given = [x, w, self.weight(cout, gain=0.05)] if bias else [x, w]
        window = {"kernel_shape": [k, k], "strides": [stride] * 2, "pads": [k // 2] * 4}
        y = self.node("Conv", given, **window, **attributes)
        return self.node("Relu", [y]) if then == "relu" else y

    def normed(self, x: str, channels: int, gain: float = 1.0, six: bool = True) -> str:
        """Normalise channels; `six`: and bound them to 0..6."""
        near = 1 + 0.1 * self.rng.standard_normal((4, channels))
        parts = [gain * near[0], 0.2 * (near[1] - 1), 0.2 * (near[2] - 1), np.abs(near[3])]
        y = self.node("BatchNormalization", [x, *map(self.stored, parts)])
        if not six:
            return y
        return self.node("Clip", [y, self.stored(np.array(0.0)), self.stored(np.array(6.0))])

    def pool(self, x: str) -> str:
        return self.node("MaxPool", [x], kernel_shape=[3, 3], strides=[2, 2], pads=[1] * 4)

    def add(self, branch: str, skip: str) -> str:
        return self.node("Relu", [self.node("Add", [branch, skip])])

    def finish(self, x: str, width: int = 512, name: str = "resnet18") -> ModelProto:
        x = self.node("Flatten", [self.node("GlobalAveragePool", [x])])
        w, b = self.weight(1000, width, gain=0.05), self.weight(1000, gain=0.05)
        y = self.node("Gemm", [x, w, b], transB=1)
        value = helper.make_tensor_value_info
        graph = helper.make_graph(
            self.nodes,
            name,
            [value("image", TensorProto.FLOAT, [1, 3, 224, 224])],
            [value(y, TensorProto.FLOAT, [1, 1000])],
            self.weights,
        )
        return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)
