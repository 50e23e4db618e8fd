"""Recipe: tensorflow-cpu 2.21.0, Keras 3.15.1 and tf2onnx 1.17.0 (images are NHWC).

pip install tensorflow-cpu==2.21.0 tf2onnx==1.17.0
python keras_export.py
"""

from __future__ import annotations

import os

os.environ["TF_CPP_MIN_LOG_LEVEL"] = "3"
os.environ["CUDA_VISIBLE_DEVICES"] = ""

import tensorflow as tf
import tf2onnx
from common import attempt
from tensorflow import keras

layers = keras.layers


def cnn() -> keras.Model:
    """Conv-BN-ReLU with a skip, ReLU6, LeakyReLU, PReLU, a dense head."""
    inputs = layers.Input((6, 6, 3), name="image")
    x = layers.Conv2D(5, 3, padding="same", use_bias=False, name="stem")(inputs)
    x = layers.ReLU(name="stem_relu")(layers.BatchNormalization(name="stem_bn")(x))
    y = layers.Conv2D(6, 3, padding="same", name="inner")(x)
    y = layers.ReLU(max_value=6.0, name="relu6")(y)
    y = layers.Conv2D(5, 1, name="outer")(y)
    x = layers.Activation("relu", name="sum_relu")(layers.Add(name="sum")([x, y]))
    x = layers.DepthwiseConv2D(3, strides=2, padding="same", name="depthwise")(x)
    x = layers.LeakyReLU(negative_slope=0.2, name="leaky")(x)
    x = layers.PReLU(shared_axes=[1, 2], name="prelu")(layers.Conv2D(4, 1, name="last")(x))
    x = layers.GlobalAveragePooling2D(name="pool")(x)
    x = layers.Dense(7, activation="relu", name="dense")(x)
    return keras.Model(inputs, layers.Dense(3, activation="softmax", name="head")(x))


def mobile() -> keras.Model:
    """Hard swish and a squeeze-and-excite gate with a hard sigmoid, as MobileNet v3 has them."""
    inputs = layers.Input((6, 6, 3), name="image")
    x = layers.Activation("hard_swish", name="swish")(layers.Conv2D(4, 1, name="stem")(inputs))
    s = layers.GlobalAveragePooling2D(keepdims=True, name="squeeze")(x)
    s = layers.Conv2D(2, 1, activation="relu", name="reduce")(s)
    s = layers.Activation("hard_sigmoid", name="gate")(layers.Conv2D(4, 1, name="expand")(s))
    x = layers.Multiply(name="excite")([x, s])
    return keras.Model(inputs, layers.Conv2D(3, 1, name="head")(x))


def knees() -> keras.Model:
    """The other piecewise-linear forms on a dense chain."""
    inputs = layers.Input((3,), name="x")
    x = layers.Dense(4, name="a")(inputs)
    x = layers.ReLU(threshold=0.5, name="threshold")(x)
    x = layers.Dense(5, name="b")(x)
    x = layers.ReLU(max_value=4.0, negative_slope=0.1, name="bent")(x)
    x = layers.Dense(6, activation="hard_sigmoid", name="c")(x)
    x = layers.Dense(7, activation=lambda t: tf.maximum(t, 0.0), name="d")(x)
    x = layers.Dense(8, activation=lambda t: tf.where(t > 0, t, 0.3 * t), name="e")(x)
    x = layers.Dense(9, activation=lambda t: tf.clip_by_value(t, 0.0, 1.0), name="f")(x)
    return keras.Model(inputs, x)


def signal() -> keras.Model:
    """1-D convolution, `[N, L, C]` outside."""
    inputs = layers.Input((32, 2), name="wave")
    x = layers.Conv1D(5, 4, strides=2, activation="relu", name="a")(inputs)
    x = layers.Conv1D(6, 3, activation="relu", name="b")(layers.MaxPooling1D(2)(x))
    return keras.Model(inputs, layers.Dense(3, name="head")(layers.GlobalMaxPooling1D()(x)))


def transformer() -> keras.Model:
    """A perceptron on `[N, T, D]` after attention."""
    inputs = layers.Input((5, 8), name="tokens")
    x = inputs + layers.MultiHeadAttention(2, 4, name="attention")(inputs, inputs)
    y = layers.Dense(12, activation="relu", name="up")(layers.LayerNormalization(name="norm")(x))
    return keras.Model(inputs, x + layers.Dense(8, name="down")(y))


def smooth() -> keras.Model:
    """The smooth relatives on a dense chain; one ReLU at the end."""
    x = inputs = layers.Input((3,), name="x")
    # The exact GELU becomes Erfc, which is no ONNX operator: only the tanh form converts.
    x = layers.Dense(3, activation=lambda t: keras.activations.gelu(t, approximate=True))(x)
    names = ["silu", "elu", "selu", "softplus", "mish", "relu"]
    for width, name in enumerate(names, start=4):
        x = layers.Dense(width, activation=name, name=f"d_{name}")(x)
    return keras.Model(inputs, x)


def export(model: keras.Model, opset: int, **options):
    """Convert with tf2onnx from a tf.function, the form its documentation shows for Keras 3."""
    value = model.inputs[0]
    spec = [tf.TensorSpec([None, *value.shape[1:]], tf.float32, name=value.name)]
    function = tf.function(lambda x: model(x, training=False), input_signature=spec)
    return tf2onnx.convert.from_function(function, spec, opset=opset, **options)[0]


def main() -> None:
    """Export all, some at several opsets."""
    makers = [cnn, mobile, knees, signal, transformer, smooth]
    opsets = {cnn: (9, 11, 13, 18), knees: (11, 17), mobile: (13, 17)}
    for make in makers:
        keras.utils.set_random_seed(0)
        model = make()
        for opset in opsets.get(make, (17,)):
            attempt(f"tf2onnx-{opset}-{make.__name__}", lambda m=model, o=opset: export(m, o))
    model = cnn()
    attempt(
        "tf2onnx-15-cnn-nchw",
        lambda: export(model, 15, inputs_as_nchw=[model.inputs[0].name]),
    )


if __name__ == "__main__":
    main()
