"""Where pixels end, with the reason, and what old opsets and layouts mean."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from reluflow.graph import SpatialEnd, SpatialGraph, load, read_spatial, to_psb

SHIPPED = Path(__file__).parents[3] / "models"
SHAPE = (1, 2, 6, 8)


def graph_of(
    op: str,
    stored: dict[str, Any] | None = None,
    *,
    shape: tuple[int, ...] = SHAPE,
    opset: int = 18,
    inputs: tuple[str, ...] | None = None,
    **attributes: Any,
) -> SpatialGraph:
    """Return the pixels of a graph of one node."""
    kept = {k: np.array(v) for k, v in (stored or {}).items()}
    names = ["x", *kept] if inputs is None else list(inputs)
    node = helper.make_node(op, names, ["y"], "only", **attributes)
    value = helper.make_tensor_value_info
    fed = [value("x", TensorProto.FLOAT, ["N", *[None] * (len(shape) - 1)])]
    fed += [
        value(each, TensorProto.INT64, [None]) for each in names if each not in {"x", "", *kept}
    ]
    graph = helper.make_graph(
        [node],
        "one",
        fed,
        [value("y", TensorProto.FLOAT, None)],
        [numpy_helper.from_array(array, name) for name, array in kept.items()],
    )
    opsets = [helper.make_opsetid("", opset)]
    model = helper.make_model(graph, opset_imports=opsets, ir_version=8)
    return read_spatial(load(model), {"x": shape})


PADS = {"pads": [0, 0, 1, 1, 0, 0, 1, 1]}
SIZES = {"sizes": [1, 2, 9, 9]}
ENDS: list[tuple[dict[str, Any], str]] = [
    ({"op": "Flatten"}, "Flatten does not keep pixels apart"),
    (
        {"op": "InstanceNormalization", "stored": {"s": [1.0, 1], "b": [0.0, 0]}},
        "does not keep pix",
    ),
    ({"op": "Softmax", "axis": 3}, "it works along an axis of pixels"),
    ({"op": "Softmax", "axis": 1, "opset": 11}, "it works along an axis of pixels"),
    ({"op": "Transpose", "perm": [0, 1, 3, 2]}, "it exchanges the axes of pixels"),
    ({"op": "ReduceMean", "opset": 17, "axes": [2, 3], "keepdims": 0}, "takes the axes of pixels"),
    ({"op": "ReduceMean", "inputs": ("x", "axes")}, "its axes are computed"),
    ({"op": "Pad", "inputs": ("x", "pads")}, "how far it pads is computed"),
    ({"op": "Slice", "inputs": ("x", "starts", "ends")}, "where it cuts is computed"),
    (
        {
            "op": "Resize",
            "stored": {"roi": np.zeros(8, "f4"), "scales": np.zeros(0, "f4"), **SIZES},
            "coordinate_transformation_mode": "tf_crop_and_resize",
        },
        "its coordinates are tf_crop_and_resize",
    ),
    (
        {"op": "Resize", "stored": SIZES, "inputs": ("x", "", "", "sizes"), "antialias": 1},
        "it filters before it makes smaller",
    ),
    (
        {
            "op": "Resize",
            "stored": {"sizes": [9, 9]},
            "inputs": ("x", "", "", "sizes"),
            "axes": [2, 3],
            "keep_aspect_ratio_policy": "not_larger",
        },
        "it keeps the aspect ratio",
    ),
    ({"op": "Resize", "inputs": ("x", "", "", "sizes")}, "the graph does not tell the size"),
]


@pytest.mark.parametrize(("given", "reason"), ENDS, ids=[reason for _, reason in ENDS])
def test_a_node_that_ends_pixels_says_why(given: dict[str, Any], reason: str) -> None:
    found = graph_of(**given)
    [end] = found.ends
    assert reason in end.reason and "y" not in found.sizes
    assert end.sentence().startswith(f"Pixels end at 'only' ({given['op']}), since ")
    assert end.sentence().endswith("it reads all of 'x'.")


KEPT: list[tuple[dict[str, Any], tuple[int, ...]]] = [
    ({"op": "Softmax", "axis": 1}, (6, 8)),
    ({"op": "ReduceMax", "opset": 17, "axes": [1], "keepdims": 0}, (6, 8)),
    ({"op": "ReduceMean", "opset": 17, "axes": [3]}, (6, 1)),
    ({"op": "ReduceMean", "stored": {"axes": [-1]}}, (6, 1)),
    ({"op": "Pad", "stored": PADS}, (8, 10)),
    ({"op": "Pad", "opset": 9, "pads": PADS["pads"]}, (8, 10)),
    ({"op": "Pad", "stored": {"pads": [2, 1]}, "inputs": ("x", "pads", "", "axes")}, (6, 8)),
    ({"op": "Slice", "opset": 9, "starts": [1], "ends": [5], "axes": [3]}, (6, 4)),
    ({"op": "Upsample", "opset": 9, "stored": {"s": np.array([1, 1, 2, 1.5], "f4")}}, (12, 12)),
    ({"op": "Resize", "opset": 10, "stored": {"s": np.array([1, 1, 2, 1.5], "f4")}}, (12, 12)),
    ({"op": "MaxPool", "kernel_shape": [2, 3], "strides": [4, 4], "ceil_mode": 1}, (2, 2)),
    (  # here a third window begins before the end
        {
            "op": "MaxPool",
            "shape": (1, 2, 6, 9),
            "kernel_shape": [2, 3],
            "strides": [4, 4],
            "ceil_mode": 1,
        },
        (2, 3),
    ),
    ({"op": "MaxPool", "shape": (1, 2, 9), "kernel_shape": [3]}, (7,)),
    ({"op": "AveragePool", "shape": (1, 2, 5, 6, 7), "kernel_shape": [2, 2, 2]}, (4, 5, 6)),
]


@pytest.mark.parametrize(("given", "sizes"), KEPT, ids=[str(given) for given, _ in KEPT])
def test_forms_of_other_opsets_and_ranks(given: dict[str, Any], sizes: tuple[int, ...]) -> None:
    if given.get("inputs", ())[-1:] == ("axes",):
        given = {**given, "stored": {"pads": [0, 0], "axes": [2]}}
    found = graph_of(**given)
    assert found.ends == () and found.sizes["y"] == sizes


def test_channels_last_is_told_by_the_first_transpose() -> None:
    text = """<ir_version: 8, opset_import: ["" : 17]>
        g (float[1,6,8,3] x) => (float[1,6,8,3] y) <float[3] s = {1, 2, 3}> {
            a = Mul(x, s) b = Transpose<perm = [0,3,1,2]>(a) c = Relu(b)
            y = Transpose<perm = [0,2,3,1]>(c) }"""
    found = read_spatial(load(onnx.parser.parse_model(text)), {"x": (1, 6, 8, 3)})
    assert found.ends == () and set(found.sizes.values()) == {(6, 8)}
    assert [found.axes[name] for name in "xabcy"] == [(1, 2), (1, 2), (2, 3), (2, 3), (1, 2)]


def test_a_convolution_on_channels_last_ends() -> None:
    text = """<ir_version: 8, opset_import: ["" : 17]>
        g (float[1,6,8,3] x) => (float[N,C,H,W] y) {
            b = Transpose<perm = [0,3,1,2]>(x) y = MaxPool<kernel_shape = [2,2]>(x) }"""
    found = read_spatial(load(onnx.parser.parse_model(text)), {"x": (1, 6, 8, 3)})
    assert [end.reason for end in found.ends] == [
        "its input has the pixels on other axes than from the third on"
    ]


def test_sizes_that_the_graph_computes_from_shapes_are_found() -> None:
    text = """<ir_version: 8, opset_import: ["" : 13]>
        g (float[1,2,H,W] x) => (float[N,C,A,B] y) <int64[1] two = {2}, int64[1] four = {4}> {
            p = MaxPool<kernel_shape = [2,2], strides = [2,2]>(x)
            s = Shape(x) t = Shape(p) hw = Slice(s, two, four) c = Slice(t, zero, two)
            all = Concat<axis = 0>(c, hw) r = Resize(p, , , all) q = Relu(r) y = Add(q, x) }"""
    proto = onnx.parser.parse_model(text)
    proto.graph.initializer.append(numpy_helper.from_array(np.array([0]), "zero"))
    found = read_spatial(load(proto), {"x": (1, 2, 7, 10)})
    assert found.ends == () and found.sizes["y"] == (7, 10) and found.sizes["p"] == (3, 5)


def test_a_converted_model_has_the_pixels_of_its_float_model() -> None:
    model = load(SHIPPED / "fashion_convnet8.onnx")
    float_graph = read_spatial(model, {"image": (1, 1, 28, 28)})
    psb_graph = read_spatial(to_psb(model).model, {"image": (1, 1, 28, 28)})
    shared = set(float_graph.sizes) & set(psb_graph.sizes)
    assert len(shared) > 5 and not any("Psb" in end.op for end in psb_graph.ends[:-1])
    assert {float_graph.sizes[name] == psb_graph.sizes[name] for name in shared} == {True}


def test_a_second_output_and_a_subgraph_count_as_all() -> None:
    text = """<ir_version: 8, opset_import: ["" : 17]>
        g (float[1,2,6,8] x) => (float[1,2,5,7] y, int64[1,2,5,7] i) {
            y, i = MaxPool<kernel_shape = [2,2]>(x) }"""
    found = read_spatial(load(onnx.parser.parse_model(text)), {"x": SHAPE})
    assert SpatialEnd("y", "MaxPool", ("x",), ("i",), "") in found.steps and found.ends == ()
