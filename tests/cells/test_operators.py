"""Each operator that exact cells follow, against ONNX Runtime at the centre of every cell."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest
from celled.models import graph, image_model
from onnx import helper, numpy_helper

from reluflow.cells.exact import exact_cells
from reluflow.cells.join import centres_of
from reluflow.cells.plane import plane_of_inputs
from reluflow.errors import ModelError
from reluflow.graph import find_sites, tap
from reluflow.patterns.hashing import fingerprint
from reluflow.sessions.session import open_session

DRAW = np.random.default_rng(1)
PLANE = plane_of_inputs((-0.6, 0.7, -0.5, 0.8))


def floats(*shape: int) -> np.ndarray:
    return DRAW.standard_normal(shape).astype(np.float32)


def node(op: str, inputs: str, output: str, **attributes: Any) -> Any:
    names = [name.strip() for name in inputs.split(",")]
    return helper.make_node(op, names, [output], name=f"{op}_{output}", **attributes)


RELU = node("Relu", "u", "t")
W = {"k": floats(3, 2, 3, 3), "kb": floats(3)}
LINEAR: dict[str, tuple[Sequence[Any], dict[str, np.ndarray]]] = {
    "conv": ([node("Conv", "h,k,kb", "u", pads=[1, 1, 1, 1])], W),
    "conv strided, dilated": (
        [node("Conv", "h,k", "u", strides=[2, 1], dilations=[1, 2], pads=[0, 2, 1, 1])],
        W,
    ),
    "conv same": ([node("Conv", "h,k", "u", strides=[2, 2], auto_pad="SAME_LOWER")], W),
    "conv in groups": ([node("Conv", "h,k", "u", group=2)], {"k": floats(4, 1, 3, 3)}),
    "depthwise": ([node("Conv", "h,k", "u", group=2)], {"k": floats(2, 1, 2, 3)}),
    "batch norm": (
        [node("BatchNormalization", "h,a,b,m,v", "u", epsilon=0.1)],
        {"a": floats(2), "b": floats(2), "m": floats(2), "v": np.abs(floats(2))},
    ),
    "average pool": (
        [node("AveragePool", "h", "u", kernel_shape=[3, 2], strides=[2, 2], pads=[1, 0, 1, 1])],
        {},
    ),
    "average pool with padding": (
        [
            node(
                *("AveragePool", "h", "u"),
                kernel_shape=[3, 3],
                strides=[2, 2],
                pads=[1, 1, 0, 0],
                count_include_pad=1,
                ceil_mode=1,
            )
        ],
        {},
    ),
    "pad": (
        [node("Pad", "h,pads,value", "u")],
        {"pads": np.array([0, 0, 1, 0, 0, 0, 0, 2]), "value": np.array(-0.5, np.float32)},
    ),
    "reflected": (
        [node("Pad", "h,pads", "u", mode="reflect")],
        {"pads": np.array([0, 0, 1, 2, 0, 0, 0, 2])},
    ),
    "resize linear": (
        [node("Resize", "h,,s", "u", mode="linear")],
        {"s": np.array([1, 1, 1.5, 2], np.float32)},
    ),
    "resize aligned": (
        [
            node(
                *("Resize", "h,,z", "u"),
                mode="linear",
                coordinate_transformation_mode="align_corners",
            )
        ],
        {"z": np.array([1, 1, 1.5, 0.7], np.float32)},
    ),
    "resize nearest": (
        [
            node(
                *("Resize", "h,,s", "u"),
                nearest_mode="floor",
                coordinate_transformation_mode="asymmetric",
            )
        ],
        {"s": np.array([1, 1, 2, 2], np.float32)},
    ),
    "add a constant": ([node("Add", "h,c", "u")], {"c": floats(2, 1, 6)}),
    "constant less": ([node("Sub", "c,h", "u")], {"c": floats(1, 2, 1, 1)}),
    "times": ([node("Mul", "h,c", "v"), node("Div", "v,d", "u")], {"c": floats(6), "d": floats(1)}),
    "negated, turned": (
        [node("Neg", "h", "v"), node("Transpose", "v", "u", perm=[0, 1, 3, 2])],
        {},
    ),
    "joined": ([node("Neg", "h", "v"), node("Concat", "h,v", "u", axis=1)], {}),
    "cut": (
        [node("Slice", "h,from,to,axes", "u")],
        {"from": np.array([1, 0]), "to": np.array([6, 3]), "axes": np.array([2, 3])},
    ),
    "matrices": (
        [node("MatMul", "h,right", "v"), node("MatMul", "left,v", "u")],
        {"right": floats(6, 5), "left": floats(4, 6)},
    ),
    "residual": (
        [
            node("Conv", "h,k", "z", pads=[1, 1, 1, 1]),
            node("Relu", "z", "a"),
            node("Conv", "a,k2", "b", pads=[1, 1, 1, 1]),
            node("Add", "b,h", "u"),
        ],
        {"k": floats(2, 2, 3, 3), "k2": floats(2, 2, 3, 3)},
    ),
}
PIECEWISE: dict[str, tuple[Sequence[Any], dict[str, np.ndarray]]] = {
    "leaky": ([node("LeakyRelu", "h", "t", alpha=0.2)], {}),
    "prelu": ([node("PRelu", "h,s", "t")], {"s": floats(2, 1, 1)}),
    "clip": (
        [node("Clip", "h,low,high", "t")],
        {"low": np.array(0.0, np.float32), "high": np.array(1.5, np.float32)},
    ),
    "hard sigmoid": ([node("HardSigmoid", "h", "t", alpha=0.3, beta=0.4)], {}),
    "abs": ([node("Abs", "h", "t")], {}),
    "max with a constant": ([node("Max", "h,c", "t")], {"c": floats(2, 1, 1)}),
    "min of two": ([node("Neg", "h", "v"), node("Min", "h,v", "t")], {}),
    "max pool": ([node("MaxPool", "h", "t", kernel_shape=[2, 2], strides=[2, 2])], {}),
    "max pool, padded, wide": (
        [
            node(
                *("MaxPool", "h", "t"),
                kernel_shape=[3, 3],
                strides=[2, 2],
                pads=[1, 1, 1, 1],
                ceil_mode=1,
            )
        ],
        {},
    ),
    "relu, max pool": (
        [node("Relu", "h", "u"), node("MaxPool", "u", "t", kernel_shape=[2, 3], strides=[2, 3])],
        {},
    ),
    "global max pool": ([node("GlobalMaxPool", "h", "t")], {}),
}


@pytest.mark.parametrize("name", [*LINEAR, *PIECEWISE])
def test_an_operator_is_followed(name: str) -> None:
    nodes, constants = LINEAR[name] if name in LINEAR else PIECEWISE[name]
    model = image_model([*nodes, RELU] if name in LINEAR else nodes, constants)
    cells = exact_cells(model, PLANE)
    assert len(cells) > 5
    assert abs(cells.areas.sum() / PLANE.area - 1) < 1e-9
    sites = [site for site in find_sites(model) if site.name in cells.switches]
    session = open_session(tap(model, sites).model)
    centres = centres_of(cells)
    outputs = session.run({"x": centres.astype(np.float32)})
    at = np.column_stack([centres, np.ones(len(cells))])
    got = np.einsum("nkc,nc->nk", cells.maps, at)
    np.testing.assert_allclose(got, outputs[0].reshape(got.shape), rtol=1e-4, atol=2e-5)
    roomy = cells.areas > 1e-6
    for site, tapped in zip(sites, outputs[1:], strict=True):
        keys = fingerprint(tapped.reshape(len(cells), -1), threshold=site.threshold).keys
        own = cells.keys[:, cells.switches.index(site.name)]
        assert (own[roomy] == keys[roomy]).all()


def test_a_max_pool_is_cut_only_where_its_greatest_input_changes() -> None:
    nodes, constants = PIECEWISE["global max pool"]
    cells = exact_cells(image_model(nodes, constants), PLANE)
    assert cells.switches == ("GlobalMaxPool_t",)
    assert len(np.unique(cells.maps.round(9), axis=0)) == len(cells)


@pytest.mark.parametrize(
    ("nodes", "reason"),
    [
        ([node("HardSwish", "h", "t")], "neither linear nor piecewise linear"),
        ([node("Mul", "h,h", "t")], "by a product"),
        ([node("Sigmoid", "h", "v"), node("Relu", "v", "t")], "neither linear"),
        ([node("Transpose", "h", "t", perm=[1, 0, 2, 3])], "moves the axis of the batch"),
        ([node("Resize", "h,,s", "t", mode="cubic")], "only nearest and linear"),
        ([node("Max", "h,h,h", "t")], "compares 3 tensors"),
        ([node("Add", "h,w", "t")], "do not fit each other"),
        ([node("Resize", "h", "t")], "it has no attribute 'scales'"),
        ([node("Squeeze", "h,c", "t")], "it reads complex numbers"),
    ],
)
def test_another_operator_is_refused_by_name(nodes: Sequence[Any], reason: str) -> None:
    scales = {"s": np.array([1, 1, 2, 2], np.float32), "w": floats(7), "c": np.array([2j])}
    with pytest.raises(ModelError, match=f"{nodes[0].op_type}.*no exact cells: .*{reason}"):
        exact_cells(image_model(nodes, scales), PLANE)


@pytest.mark.parametrize("made", [True, False])
def test_an_output_that_depends_on_nothing_is_refused(made: bool) -> None:
    nodes = [node("Relu", "x", "r"), *([node("Neg", "w", "y")] if made else [])]
    weights = numpy_helper.from_array(floats(1, 7), "w" if made else "y")
    with pytest.raises(ModelError, match="'y' does not depend on the input"):
        exact_cells(graph(nodes, [weights], [2], [7]), PLANE)


def test_a_softmax_at_the_end_is_left_out_and_said() -> None:
    model = image_model([node("Relu", "h", "r"), node("Softmax", "r", "t", axis=1)], {})
    with pytest.raises(ModelError, match="Softmax_t"):
        exact_cells(model, PLANE)
    tail = helper.make_node("Softmax", ["y"], ["chances"], name="last")
    proto = image_model([node("Relu", "h", "t")], {})._proto
    proto.graph.node.append(tail)
    proto.graph.output[0].name = "chances"
    from reluflow.graph import load

    cells = exact_cells(load(proto), PLANE)
    assert cells.notes == (
        "the maps are those of 'y', before Softmax 'last', which is not piecewise linear",
    )
