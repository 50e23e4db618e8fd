"""Recipe: Keras 3.15.1 by its own `model.export(format="onnx")`, on the backend KERAS_BACKEND.

It calls torch.onnx (torch 2.13.0, onnxscript 0.7.2), jax2onnx 0.17.1 (jax 0.10.2) or tf2onnx 1.17.0
(TensorFlow 2.21.0).

    pip install keras==3.15.1 and one of those lists
    KERAS_BACKEND=torch python keras_onnx_export.py
"""

from __future__ import annotations

import tempfile
from pathlib import Path

import keras
import onnx
from common import attempt

layers, ops = keras.layers, keras.ops


def cnn() -> keras.Model:
    """Conv-BN-ReLU with a skip, ReLU6, depthwise, LeakyReLU, PReLU, a dense head."""
    inputs = layers.Input((6, 6, 3), name="image")
    x = layers.Conv2D(5, 3, padding="same", use_bias=False, name="stem")(inputs)
    x = layers.ReLU(name="stem_relu")(layers.BatchNormalization(name="stem_bn")(x))
    y = layers.Conv2D(6, 3, padding="same", name="inner")(x)
    y = layers.ReLU(max_value=6.0, name="relu6")(y)
    y = layers.Conv2D(5, 1, name="outer")(y)
    x = layers.Activation("relu", name="sum_relu")(layers.Add(name="sum")([x, y]))
    if keras.backend.backend() != "jax":  # jax2onnx pools over four axes: no ONNX Runtime does
        x = layers.MaxPooling2D(2)(x)
    x = layers.DepthwiseConv2D(3, padding="same", name="depthwise")(x)
    x = layers.LeakyReLU(negative_slope=0.2, name="leaky")(x)
    x = layers.PReLU(shared_axes=[1, 2], name="prelu")(layers.Conv2D(4, 1, name="last")(x))
    x = layers.GlobalAveragePooling2D(name="pool")(x)
    x = layers.Dense(7, activation="relu", name="dense")(x)
    return keras.Model(inputs, layers.Dense(3, name="head")(x))


def knees() -> keras.Model:
    """The other piecewise-linear forms on a dense chain."""
    x = inputs = layers.Input((3,), name="x")
    forms = [
        keras.activations.hard_sigmoid,
        keras.activations.hard_swish,
        lambda t: ops.maximum(t, 0.0),
        lambda t: ops.where(t > 0, t, 0.3 * t),
        lambda t: ops.clip(t, 0.0, 1.0),
    ]
    for width, form in enumerate(forms, start=4):
        x = layers.Dense(width, activation=form, name=f"d{width}")(x)
    return keras.Model(inputs, x)


def smooth() -> keras.Model:
    """The smooth relatives on a dense chain; one ReLU at the end."""
    x = inputs = layers.Input((3,), name="x")
    names = ["silu", "elu", "selu", "softplus", "mish", "relu"]
    x = layers.Dense(3, activation=lambda t: keras.activations.gelu(t, approximate=True))(x)
    for width, name in enumerate(names, start=4):
        x = layers.Dense(width, activation=name, name=f"d_{name}")(x)
    return keras.Model(inputs, x)


def export(model: keras.Model) -> onnx.ModelProto:
    """Return what Keras writes."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "model.onnx"
        model(keras.ops.zeros((2, *model.inputs[0].shape[1:])))
        model.export(str(path), format="onnx", verbose=False)
        return onnx.load(path)


def main() -> None:
    """Export all on one backend."""
    backend = keras.backend.backend()
    for make in (cnn, knees, smooth):
        keras.utils.set_random_seed(0)
        model = make()
        attempt(f"keras-{backend}-{make.__name__}", lambda m=model: export(m))


if __name__ == "__main__":
    main()
