"""Recipe: jax 0.10.2, flax 0.12.8 (nnx) and jax2onnx 0.17.1.

pip install jax==0.10.2 flax==0.12.8 jax2onnx==0.17.1
python jax_export.py
"""

from __future__ import annotations

import jax
import jax.numpy as jnp
from common import attempt
from flax import nnx
from jax2onnx import onnx_function, to_onnx


class Cnn(nnx.Module):
    """NHWC convolutions, BatchNorm, a skip, relu6, a dense head."""

    def __init__(self, rngs: nnx.Rngs) -> None:
        self.stem = nnx.Conv(3, 5, (3, 3), rngs=rngs)
        self.bn = nnx.BatchNorm(5, use_running_average=True, rngs=rngs)
        self.inner = nnx.Conv(5, 6, (3, 3), rngs=rngs)
        self.outer = nnx.Conv(6, 5, (1, 1), rngs=rngs)
        self.fc1, self.fc2 = nnx.Linear(5, 8, rngs=rngs), nnx.Linear(8, 3, rngs=rngs)

    def __call__(self, x):
        x = nnx.relu(self.bn(self.stem(x)))
        x = nnx.relu(x + self.outer(nnx.relu6(self.inner(x))))
        return self.fc2(nnx.relu(self.fc1(x.mean((1, 2)))))


class Knees(nnx.Module):
    """The piecewise-linear forms of jax.nn and of jax.numpy on a dense chain."""

    def __init__(self, rngs: nnx.Rngs) -> None:
        self.layers = nnx.List([nnx.Linear(n, n + 1, rngs=rngs) for n in range(3, 11)])

    def __call__(self, x):
        x = jax.nn.leaky_relu(self.layers[0](x), 0.1)
        x = jax.nn.hard_swish(self.layers[1](x))
        x = jax.nn.hard_sigmoid(self.layers[2](x))
        x = jax.nn.relu6(self.layers[3](x))
        x = jnp.maximum(self.layers[4](x), 0.0)
        y = self.layers[5](x)
        x = jnp.where(y > 0, y, 0.3 * y)
        x = jnp.clip(self.layers[6](x), 0.0, 1.0)
        y = self.layers[7](x)
        return jnp.where(y >= 0, y, 0.0)


class Smooth(nnx.Module):
    """The smooth relatives on a dense chain; one ReLU at the end."""

    def __init__(self, rngs: nnx.Rngs) -> None:
        self.layers = nnx.List([nnx.Linear(n, n + 1, rngs=rngs) for n in range(3, 11)])

    def __call__(self, x):
        names = ["gelu", "silu", "elu", "selu", "softplus", "mish", "celu", "relu"]
        for layer, name in zip(self.layers, names, strict=True):
            x = getattr(jax.nn, name)(layer(x))
        return x


@onnx_function
class Block(nnx.Module):
    """A ReLU perceptron on `[N, T, D]` that becomes a model-local function."""

    def __init__(self, rngs: nnx.Rngs) -> None:
        self.up, self.down = nnx.Linear(8, 12, rngs=rngs), nnx.Linear(12, 8, rngs=rngs)

    def __call__(self, x):
        return x + self.down(nnx.relu(self.up(x)))


class Stack(nnx.Module):
    """Two such blocks: two functions, or one called twice."""

    def __init__(self, rngs: nnx.Rngs) -> None:
        self.first, self.second = Block(rngs), Block(rngs)

    def __call__(self, x):
        return nnx.relu(self.second(self.first(x)))


class Scan(nnx.Module):
    """A cell applied along a sequence by lax.scan."""

    def __init__(self, rngs: nnx.Rngs) -> None:
        self.cell = nnx.Linear(4, 4, rngs=rngs)

    def __call__(self, x):
        step = lambda state, item: (jax.nn.relu(self.cell(state) + item),) * 2  # noqa: E731
        return jax.lax.scan(step, jnp.zeros((2, 4)), x)[1]


def main() -> None:
    """Export each with a symbolic batch where it has one."""
    nets = {
        "cnn": (Cnn, ("B", 6, 6, 3)),
        "knees": (Knees, ("B", 3)),
        "smooth": (Smooth, ("B", 3)),
        "functions": (Stack, ("B", 5, 8)),
        "scan": (Scan, (6, 2, 4)),
    }
    for name, (make, shape) in nets.items():
        net = make(nnx.Rngs(0))
        attempt(f"jax2onnx-23-{name}", lambda n=net, s=shape: to_onnx(n, [s]))
    net = Cnn(nnx.Rngs(0))
    attempt("jax2onnx-21-cnn", lambda: to_onnx(net, [("B", 6, 6, 3)], opset=21))


if __name__ == "__main__":
    main()
