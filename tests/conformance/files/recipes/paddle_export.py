"""Recipe: paddlepaddle 3.3.1 and paddle2onnx 2.1.0.

pip install paddlepaddle==3.3.1 paddle2onnx==2.1.0
python paddle_export.py
"""

from __future__ import annotations

import os
import tempfile

import onnx
import paddle
import paddle.nn.functional as F
from common import attempt
from paddle import nn


class Cnn(nn.Layer):
    """Conv-BN-ReLU, a skip, ReLU6, LeakyReLU, PReLU, hard swish and hard sigmoid, a head."""

    def __init__(self) -> None:
        super().__init__()
        self.stem, self.bn = nn.Conv2D(3, 5, 3, padding=1, bias_attr=False), nn.BatchNorm2D(5)
        self.inner, self.outer = nn.Conv2D(5, 6, 3, padding=1), nn.Conv2D(6, 5, 1)
        self.a, self.b, self.c = nn.Conv2D(5, 4, 1), nn.Conv2D(4, 7, 1), nn.Conv2D(7, 8, 1)
        self.d, self.prelu = nn.Conv2D(8, 6, 1), nn.PReLU(6)
        self.fc1, self.fc2 = nn.Linear(6, 9), nn.Linear(9, 3)

    def forward(self, x):
        x = F.relu(self.bn(self.stem(x)))
        x = F.relu(x + self.outer(F.relu6(self.inner(x))))
        x = F.leaky_relu(self.a(x), 0.1)
        x = F.hardswish(self.b(x))
        x = F.hardsigmoid(self.c(x))
        x = self.prelu(self.d(x))
        x = paddle.flatten(F.adaptive_avg_pool2d(x, 1), 1)
        return self.fc2(F.relu(self.fc1(x)))


class Spelled(nn.Layer):
    """clip, maximum, where, thresholded ReLU, swish and GELU on a dense chain."""

    def __init__(self) -> None:
        super().__init__()
        self.layers = nn.LayerList([nn.Linear(n, n + 1) for n in range(3, 9)])

    def forward(self, x):
        x = self.layers[0](x).clip(min=0.0)
        x = self.layers[1](x)
        x = paddle.maximum(x, paddle.zeros_like(x))
        x = self.layers[2](x)
        x = paddle.where(x > 0, x, 0.1 * x)
        x = F.thresholded_relu(self.layers[3](x), 0.5)
        x = F.swish(self.layers[4](x))
        return F.gelu(self.layers[5](x))


def export(net: nn.Layer, shape: list[int | None], opset: int) -> onnx.ModelProto:
    """Export through paddle.onnx.export, which calls paddle2onnx."""
    net.eval()
    with tempfile.TemporaryDirectory() as folder:
        stem = os.path.join(folder, "net")
        spec = paddle.static.InputSpec(shape, "float32", "x")
        paddle.onnx.export(net, stem, input_spec=[spec], opset_version=opset)
        return onnx.load(f"{stem}.onnx")


def main() -> None:
    """Export both nets at several opsets."""
    paddle.seed(0)
    nets = {"cnn": (Cnn(), [None, 3, 6, 6]), "spelled": (Spelled(), [None, 3])}
    for name, (net, shape) in nets.items():
        for opset in (11, 13, 16):
            attempt(f"paddle-{opset}-{name}", lambda n=net, s=shape, o=opset: export(n, s, o))


if __name__ == "__main__":
    main()
