"""Chains of int16: what joins, what it computes, and what stays outside with a reason."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import onnx
import pytest
from chain16_nets import interpolated, largest_exponents, mobile, pooled
from chain_nets import conv, converted, kernels, network

from reluflow.errors import ModelError, OptionError
from reluflow.graph import Model, chain_psb16, find_psb, psb_inputs
from reluflow.sessions import get_library_path, open_session

native = pytest.mark.skipif(get_library_path() is None, reason="no native library")


def inputs(model: Model) -> dict[str, np.ndarray]:
    """Return an image, and nearest weights."""
    x = np.random.default_rng(0).normal(size=(2, 3, 9, 8)).astype(np.float32)
    return {"x": x} | dict.fromkeys(psb_inputs(model), np.array(0, np.int64))


@native
@pytest.mark.parametrize("made", [pooled, mobile, interpolated])
def test_a_chain_computes_what_the_operators_did(made: Callable[[], Model]) -> None:
    model = converted(made())
    feeds = inputs(model)
    found = chain_psb16(model, largest_exponents(model, feeds["x"]))
    plain = open_session(model, threads=1).run(feeds)[0]
    chained = open_session(found.model, threads=1).run(feeds)[0]
    assert np.linalg.norm(chained - plain) < 0.01 * np.linalg.norm(plain)
    alone = open_session(found.model, threads=1, optimisation="none", library=False).run(feeds)[0]
    if made is not mobile:  # the end of the other rounds in float32
        np.testing.assert_array_equal(alone, chained)
    onnx.checker.check_model(found.model._proto, full_check=True)


def test_all_between_the_ends_is_int16() -> None:
    model = converted(pooled())
    found = chain_psb16(model, dict.fromkeys(["x", "r", "t"], 6))
    ops = ["ToFixed16", "FixedConv16", "FixedMaxPool16", "FixedConv16", "FixedGlobalPool16"]
    assert [node.op_type for node in found.model._proto.graph.node] == ops
    assert (found.done.begins, found.done.ends) == (("x",), ("y",))
    assert list(found.done.nodes.values()) == ops[1:]
    first, last = (n for n in found.model._proto.graph.node if n.op_type == "FixedConv16")
    bounds = {a.name: a.i for a in first.attribute if a.name.startswith("y_m")}
    assert bounds == {"y_min": 0, "y_max": 2047}
    assert len(last.input) == 7
    assert psb_inputs(found.model) == psb_inputs(model)
    assert [node.op for node in find_psb(found.model)] == ["FixedConv16"] * 2


@pytest.mark.parametrize(
    "coordinates", ["half_pixel", "pytorch_half_pixel", "align_corners", "asymmetric"]
)
def test_linear_resizes_stay_in_the_chain(coordinates: str) -> None:
    model = converted(interpolated(coordinate_transformation_mode=coordinates))
    found = chain_psb16(model, largest_exponents(model, inputs(model)["x"]))
    ops = [node.op_type for node in found.model._proto.graph.node]
    assert ops.count("FixedResize16") == 2
    assert ops.count("ToFixed16") == ops.count("FromFixed16") == 1
    assert not {"Resize"} & set(ops)
    assert not found.refused
    joined = {node.name: node for node in found.done.chained}
    assert joined["up"].op == joined["like"].op == "FixedResize16"
    assert len({joined[name].form.exponent for name in ("second", "like", "join")}) == 1
    assert joined["up"].form == joined["first"].form


@pytest.mark.parametrize(
    ("how", "reason"),
    [
        ({"mode": "nearest"}, "it interpolates (nearest), for which chains have no exact rule"),
        ({"mode": "cubic"}, "it interpolates (cubic)"),
        ({"coordinate_transformation_mode": "half_pixel_symmetric"}, "its coordinates are half_p"),
        ({"antialias": 1}, "it smooths what it makes smaller (antialias)"),
    ],
)
def test_a_resize_that_cannot_join_says_why(how: dict[str, object], reason: str) -> None:
    model = converted(interpolated(**how))
    found = chain_psb16(model, largest_exponents(model, inputs(model)["x"]))
    reasons = {each.node: each.reason for each in found.refused}
    assert set(reasons) >= {"up", "like"}
    assert all(reason in reasons[name] for name in ("up", "like")), reasons
    assert [n.op_type for n in found.model._proto.graph.node].count("Resize") == 2
    feeds = inputs(model)
    plain = open_session(model, threads=1).run(feeds)[0]
    chained = open_session(found.model, threads=1).run(feeds)[0]
    assert np.linalg.norm(chained - plain) < 0.01 * np.linalg.norm(plain)


def test_calibrated_exponents_are_taken() -> None:
    model = converted(pooled())
    proto = onnx.ModelProto.FromString(model.serialize())
    exponents = iter((7, 6))
    for node in proto.graph.node:
        if node.op_type == "PsbConv":
            kept = [a for a in node.attribute if a.name != "x_exponent"]
            del node.attribute[:]
            node.attribute.extend(
                [*kept, onnx.helper.make_attribute("x_exponent", next(exponents))]
            )
    found = chain_psb16(Model(proto), {"t": 5})
    assert not found.refused
    seen = [
        a.i for n in found.model._proto.graph.node for a in n.attribute if a.name[1:] == "_exponent"
    ]
    assert {7, 6, 5} == set(seen)


@pytest.mark.parametrize(
    ("exponents", "options", "node", "reason"),
    [
        ({"x": 5, "r": 5}, {}, "inner", "the exponent of 't' is not known"),
        ({"r": 5, "t": 5}, {}, "stem", "the exponent of 'x' is not known"),
        ({"x": 5, "r": 5, "t": 30}, {}, "inner", "are too far apart"),
        ({"x": 5, "r": 5, "t": 5}, {"draws": "product"}, "stem", "it draws for every product"),
    ],
)
def test_what_cannot_join_says_why(
    exponents: dict[str, int], options: dict[str, str], node: str, reason: str
) -> None:
    found = chain_psb16(converted(pooled(), **options), exponents)
    assert any(node in r.node and reason in r.reason for r in found.refused), found.refused


def test_wrong_arguments_are_refused() -> None:
    with pytest.raises(ModelError, match="has no PSB operator; convert it with to_psb first"):
        chain_psb16(pooled())
    with pytest.raises(OptionError, match=r"exponents\['x'\]=101 is out of range"):
        chain_psb16(converted(pooled()), {"x": 101})


@pytest.mark.parametrize(
    ("made", "alone", "joined"),
    [
        (pooled, False, ["stem", "inner"]),
        (mobile, False, ["expand", "depthwise"]),
        (mobile, True, ["expand", "depthwise", "project"]),
        (lambda: network(conv("x", "w", "y", "only"), tensors=kernels(w=(4, 3, 1, 1))), False, []),
    ],
)
def test_a_convolution_alone_joins_only_on_request(
    made: Callable[[], Model], alone: bool, joined: list[str]
) -> None:
    model = converted(made())
    exponents = largest_exponents(model, inputs(model)["x"])
    found = chain_psb16(model, exponents, alone=alone)
    names = [node.name for node in found.done.chained if node.was == "PsbConv"]
    assert names == joined
    left = {node.name for node in find_psb(model)} - set(joined)
    assert {each.node for each in found.refused} == left
    assert all("no other convolution passes int16" in each.reason for each in found.refused)
