"""Convolutions of bytes inside a chain, and ONNX Runtime's own, as they stand in a network.

FixedConv (docs/psb-ops.md, "Chains") and QLinearConv both read and write bytes with the channels
last.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from networks.conv_shape import Shape
from networks.psb import one_node
from onnx import TensorProto, helper, numpy_helper

from reluflow.psb import encode, pack

P_BITS = 4
X_EXPONENT = 5
"""A byte u stands for u 2^-5: bytes below 128 are values below 4."""
SHAPES = [
    Shape(1, 64, 64, 56, 3),
    Shape(1, 128, 128, 28, 3),
    Shape(1, 256, 256, 14, 3),
    Shape(1, 512, 512, 7, 3),
    Shape(1, 64, 128, 56, 3, stride=2),
    Shape(1, 4, 64, 224, 7, stride=2),
    Shape(1, 64, 256, 56, 1),
    Shape(1, 256, 64, 56, 1),
    Shape(1, 256, 512, 56, 1, stride=2),
    Shape(1, 1024, 256, 14, 1),
    Shape(1, 2048, 512, 7, 1),
    Shape(1, 512, 2048, 7, 1),
    # Mobile networks.
    Shape(1, 4, 32, 224, 3, stride=2),
    Shape(1, 32, 16, 112, 1),
    Shape(1, 24, 144, 56, 1),
    Shape(1, 144, 24, 56, 1),
    Shape(1, 192, 32, 28, 1),
    Shape(1, 64, 384, 14, 1),
    Shape(1, 576, 96, 14, 1),
    Shape(1, 160, 960, 7, 1),
    Shape(1, 960, 320, 7, 1),
    Shape(1, 320, 1280, 7, 1),
    Shape(1, 32, 32, 112, 3, group=32),
    Shape(1, 96, 96, 112, 3, stride=2, group=96),
    Shape(1, 144, 144, 56, 3, group=144),
    Shape(1, 144, 144, 56, 5, stride=2, group=144),
    Shape(1, 240, 240, 28, 5, group=240),
    Shape(1, 384, 384, 14, 3, group=384),
    Shape(1, 672, 672, 14, 5, group=672),
    Shape(1, 672, 672, 14, 5, stride=2, group=672),
    Shape(1, 960, 960, 7, 3, group=960),
    Shape(1, 1152, 1152, 7, 5, group=1152),
    Shape(1, 512, 512, 4, 3, group=512),
    Shape(1, 512, 512, 4, 1),
]


def fixed_conv(shape: Shape, w: np.ndarray, b: np.ndarray) -> bytes:
    """Return a model of one FixedConv."""
    code = encode(w, p_bits=P_BITS)
    scalar: tuple[int, list[Any]] = (TensorProto.INT64, [])
    image = (TensorProto.UINT8, [shape.n, shape.size, shape.size, shape.cin])
    return one_node(
        "FixedConv",
        {"x": image, "samples": scalar, "seed": scalar},
        {"w": pack(code), "emax": code.emax, "b": b},
        ["x", "w", "emax", "b", "samples", "seed"],
        {"y": TensorProto.UINT8},
        {
            "weight_shape": list(code.shape),
            "p_bits": P_BITS,
            "x_exponent": X_EXPONENT,
            "y_exponent": X_EXPONENT,
            **shape.attributes,
        },
    )


def int8_conv(shape: Shape, w: np.ndarray, b: np.ndarray) -> bytes:
    """Return a model of one QLinearConv as ONNX Runtime puts it into a network: channels last."""
    scales = np.abs(w).reshape(len(w), -1).max(axis=1) / 127
    q = np.rint(w / scales.reshape(-1, 1, 1, 1)).astype(np.int8)
    x_scale = np.float32(2.0**-X_EXPONENT)
    constants = {
        "x_scale": x_scale,
        "x_zero": np.uint8(0),
        "w": q,
        "w_scale": scales.astype(np.float32),
        "w_zero": np.zeros(len(w), np.int8),
        "y_scale": x_scale,
        "y_zero": np.uint8(0),
        "b": np.rint(b / (x_scale * scales)).astype(np.int32),
    }
    node = helper.make_node(
        "QLinearConv",
        ["x", *constants],
        ["y"],
        domain="com.microsoft",
        channels_last=1,
        kernel_shape=[shape.k] * 2,
        **shape.attributes,
    )
    value = helper.make_tensor_value_info
    graph = helper.make_graph(
        [node],
        "one",
        [value("x", TensorProto.UINT8, [shape.n, shape.size, shape.size, shape.cin])],
        [value("y", TensorProto.UINT8, None)],
        [numpy_helper.from_array(np.asarray(v), n) for n, v in constants.items()],
    )
    imports = [helper.make_opsetid("", 17), helper.make_opsetid("com.microsoft", 1)]
    return helper.make_model(graph, opset_imports=imports, ir_version=9).SerializeToString()
