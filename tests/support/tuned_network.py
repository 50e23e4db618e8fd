"""A small network with every kind of layer that is tuned."""

from rewriting import N, build, norm, weights

from reluflow.graph import Model

SHAPE = (4, 12, 12)


def network() -> Model:
    """Every kind of layer: strides, depthwise, a skip connection, dilations, MatMul and Gemm."""
    first_norm, tensors = norm("h", "n", 8)
    nodes = [
        N("Conv", ["x", "w1"], ["h"], name="first", pads=[1, 1, 1, 1]),
        first_norm,
        N("Relu", ["n"], ["r"]),
        N("Conv", ["r", "w2", "b2"], ["d"], name="depthwise", group=8, pads=[1, 1, 1, 1]),
        N("Relu", ["d"], ["e"]),
        N("Conv", ["e", "w3"], ["c"], name="pointwise"),
        N("Add", ["c", "r"], ["s"]),
        N("Conv", ["s", "w4"], ["q"], name="dilated", dilations=[2, 2], strides=[2, 2]),
        N("Relu", ["q"], ["t"]),
        N("GlobalAveragePool", ["t"], ["g"]),
        N("Flatten", ["g"], ["f"]),
        N("MatMul", ["f", "w5"], ["m"], name="matrix"),
        N("Relu", ["m"], ["o"]),
        N("Gemm", ["o", "w6", "b6"], ["y"], name="last", alpha=0.5, transB=1),
    ]
    tensors |= {
        "w1": weights(8, 4, 3, 3),
        "w2": weights(8, 1, 3, 3),
        "b2": weights(8),
        "w3": weights(8, 8, 1, 1),
        "w4": weights(16, 8, 3, 3),
        "w5": weights(16, 10),
        "w6": weights(5, 10),
        "b6": weights(5),
    }
    return build(nodes, tensors, ("N", *SHAPE), 2)
