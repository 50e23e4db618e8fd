"""Saturation inside chains: what lies at an end of its format, not at a bound of the operator."""

from __future__ import annotations

from typing import Any

import numpy as np
import onnx
import pytest
from rewriting import N, build, weights

from reluflow.graph import (
    Model,
    PsbOptions,
    chain_psb,
    chain_psb16,
    count_saturation,
    expose,
    to_psb,
)
from reluflow.psb.fixed import FixedFormat
from reluflow.sessions import open_session

SHAPE = (2, 4, 5, 5)
SIGNED, BYTES = FixedFormat(5, 128), FixedFormat(6, 0)
TIGHT = FixedFormat(7, 0)
"""Bytes up to 255 / 128: most results of the convolutions below are larger."""


def two_convs(*between: Any, **constants: np.ndarray) -> Model:
    """Return a converted model of two convolutions; `between` makes "r" of "h"."""
    nodes = [
        N("Conv", ["x", "w"], ["h"], name="one"),
        *between,
        N("Conv", ["r", "v"], ["y"], name="two"),
    ]
    w = {"w": weights(4, 4, 1, 1, scale=2), "v": weights(3, 4, 1, 1)}
    return to_psb(
        build(nodes, w | constants, SHAPE), PsbOptions(x_exponents={"x": 8, "r": 7})
    ).model


def image(scale: float = 2.0) -> np.ndarray:
    return (scale * np.random.default_rng(5).standard_normal(SHAPE)).astype(np.float32)


def counted(model: Model, x: np.ndarray, library: bool) -> dict[str, tuple[int, int]]:
    """Return what is counted for the tensors of chains, by the node that makes them."""
    result = count_saturation(model)
    onnx.checker.check_model(result.model._proto, full_check=True)
    names = [result.done.saturated, result.done.activations]
    session = open_session(result.model, outputs=names, threads=1, library=library)
    numbers = [found[len(result.done.nodes) :] for found in session.run({"x": x})]
    rows = zip(result.done.chained, *numbers, strict=True)
    return {tensor.name: (int(saturated), int(size)) for tensor, saturated, size in rows}


def tensor(model: Model, node: str, x: np.ndarray) -> np.ndarray:
    """Return what a node makes."""
    name = next(n.output[0] for n in model._proto.graph.node if n.name == node)
    shown = expose(model, [name]).model
    return open_session(shown, outputs=[name], threads=1, library=True).run({"x": x})[0]


RELU = N("Relu", ["h"], ["r"], name="act")


@pytest.mark.parametrize("library", [True, False])
@pytest.mark.parametrize("form", [BYTES, TIGHT, FixedFormat(1, 0)])
def test_bytes_count_where_the_format_ends_and_not_at_the_zero_of_a_relu(
    form: FixedFormat, library: bool
) -> None:
    model = chain_psb(two_convs(RELU), {"x": SIGNED, "r": form, "y": SIGNED}).model
    x = image()
    found = counted(model, x, library)
    made = tensor(model, "one", x)
    assert found["one"] == (int(np.count_nonzero(made == 255)), made.size)
    assert np.count_nonzero(made == 0) > made.size // 4
    assert (found["one"][0] > 0) == (form != FixedFormat(1, 0))


def test_both_ends_count_where_numbers_have_a_sign() -> None:
    narrow = FixedFormat(7, 128)
    middle = N("Conv", ["h", "m"], ["r"], name="middle")
    psb = two_convs(middle, m=weights(4, 4, 1, 1))
    model = chain_psb(psb, {"x": narrow, "h": narrow, "r": SIGNED, "y": narrow}).model
    x = image()
    found = counted(model, x, True)
    begins = next(node.name for node in model._proto.graph.node if node.op_type == "ToFixed")
    assert found[begins] == (int(np.count_nonzero((x * 128 > 126.5) | (x * 128 < -127.5))), x.size)
    made = tensor(model, "one", x)
    assert found["one"] == (int(np.count_nonzero((made == 0) | (made == 255))), made.size)
    assert found["one"][0] > 0


@pytest.mark.parametrize(("form", "clipped"), [(FixedFormat(5, 0), False), (BYTES, True)])
def test_the_bound_of_a_relu6_is_no_saturation_where_the_format_holds_it(
    form: FixedFormat, clipped: bool
) -> None:
    bounds = {"low": np.array(0, np.float32), "high": np.array(6, np.float32)}
    psb = two_convs(N("Clip", ["h", "low", "high"], ["r"], name="six"), **bounds)
    model = chain_psb(psb, {"x": SIGNED, "r": form, "y": SIGNED}).model
    x = image(4)
    made = tensor(model, "one", x)
    assert made.max() == (255 if clipped else 6 * 32)
    found = counted(model, x, True)["one"]
    assert found == (int(np.count_nonzero(made == 255)), made.size)
    assert (found[0] > 0) == clipped


@pytest.mark.parametrize("library", [True, False])
def test_of_a_table_the_bytes_before_it_count(library: bool) -> None:
    psb = two_convs(N("HardSigmoid", ["h"], ["r"], alpha=0.2, name="gate"))
    formats = {"x": SIGNED, "h": FixedFormat(6, 128), "r": FixedFormat(8, 0), "y": SIGNED}
    model = chain_psb(psb, formats).model
    x = image()
    (conv,) = [n for n in model._proto.graph.node if n.name == "one"]
    assert len(conv.input) == 8  # it applies the table itself
    floats = open_session(expose(psb, ["h"]).model, outputs=["h"], threads=1, library=True)
    h = floats.run({"x": np.clip(np.round(x * 32), -128, 127) / np.float32(32)})[0]
    beyond = np.count_nonzero((h > 127 / 64) | (h < -2))
    saturated, size = counted(model, x, library)["one"]
    assert size == h.size and 0 < saturated
    assert abs(saturated - beyond) <= 0.05 * size  # the weights have fewer bits in the chain


@pytest.mark.parametrize("library", [True, False])
@pytest.mark.parametrize("exponent", [4, 9, 12])
def test_integers_of_16_bits_count_at_the_largest_of_their_bits(
    exponent: int, library: bool
) -> None:
    found = chain_psb16(two_convs(RELU), {"x": 8, "r": exponent, "y": exponent})
    model, x = found.model, image()
    assert [node for node in found.done.nodes if node in ("one", "two")] == ["one", "two"]
    rows = counted(model, x, library)
    made = tensor(model, "one", x)
    assert made.dtype == np.int16 and made.max() <= 2047
    assert rows["one"] == (int(np.count_nonzero(made == 2047)), made.size)
    assert (rows["one"][0] > 0) == (exponent != 4)


def test_a_model_without_chains_counts_no_tensor_of_one() -> None:
    assert count_saturation(two_convs(RELU)).done.chained == ()
