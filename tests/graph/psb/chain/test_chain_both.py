"""Chains of both widths in one model: bytes where formats are given, int16 elsewhere."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import onnx
import pytest
from chain16_nets import largest_exponents, mobile, pooled
from chain_nets import PIXELS, conv, converted, kernels, network, ranged
from rewriting import N

from reluflow.errors import ModelError, OptionError
from reluflow.graph import Model, chain_both, chain_psb, chain_psb16, find_chains, psb_inputs
from reluflow.sessions import open_session

IMAGES = np.random.default_rng(7).normal(size=PIXELS).astype(np.float32)


def residual() -> Model:
    """Three convolutions, the last one with an addition of what the first made."""
    return network(
        conv("x", "w", "h", "one"),
        N("Relu", ["h"], ["r"]),
        conv("r", "v", "k", "two", pads=[1, 1, 1, 1]),
        N("Relu", ["k"], ["m"]),
        conv("m", "u", "q", "three", pads=[1, 1, 1, 1]),
        N("Add", ["q", "r"], ["y"]),
        tensors=kernels(w=(8, 3, 1, 1), v=(8, 8, 3, 3), u=(8, 8, 3, 3)),
    )


CASES = {
    "first in bytes": (residual, {"x", "r"}, [8, 16, 16]),
    "last in bytes": (residual, {"m", "r", "y"}, [8, 8, 16]),
    "pooled": (pooled, {"x", "r", "m"}, [8, 16]),
    "depthwise": (mobile, {"g", "y"}, [8, 16, 16]),
}


@pytest.mark.parametrize("case", CASES)
def test_each_operator_passes_what_is_given_for_it(case: str) -> None:
    made, in_bytes, wanted = CASES[case]
    model = converted(made())
    formats = {name: form for name, form in ranged(model, IMAGES).items() if name in in_bytes}
    found = chain_both(model, formats, largest_exponents(model, IMAGES))
    ops = [node.op for node in found.done.nodes if node.was == "PsbConv"]
    assert sorted(16 if op.endswith("16") else 8 for op in ops) == wanted
    assert not [each for each in found.refused if each.op.startswith("Psb")]
    assert {chain.bits for chain in find_chains(found.model)} == {8, 12}
    feeds = {"x": IMAGES} | dict.fromkeys(psb_inputs(model), np.array(0, np.int64))
    plain = open_session(model, threads=1).run(feeds)[0]
    both = open_session(found.model, threads=1).run(feeds)[0]
    bytes_alone = open_session(chain_psb(model, ranged(model, IMAGES)).model).run(feeds)[0]
    error, more = (np.linalg.norm(each - plain) for each in (both, bytes_alone))
    assert error < 0.05 * np.linalg.norm(plain) and error < 1.5 * more
    alone = open_session(found.model, threads=1, library=False).run(feeds)[0]
    np.testing.assert_allclose(alone, both, rtol=1e-4, atol=1e-4)
    onnx.checker.check_model(found.model._proto, full_check=True)


@pytest.mark.parametrize("formats", [{}, {"none": None}])
def test_without_bytes_there_is_only_int16(formats: dict[str, None]) -> None:
    model = converted(residual())
    exponents = largest_exponents(model, IMAGES)
    given = {name: next(iter(ranged(model, IMAGES).values())) for name in formats}
    found = chain_both(model, given, exponents)
    alone = chain_psb16(model, exponents)
    assert found.model.serialize() == alone.model.serialize()
    assert found.done.nodes == alone.done.chained and found.refused == alone.refused


def test_what_joins_neither_says_why() -> None:
    model = converted(residual())
    formats = {name: form for name, form in ranged(model, IMAGES).items() if name in ("x", "r")}
    found = chain_both(model, formats, {"r": 8})
    assert [(each.node, each.reason) for each in found.refused] == [
        ("two", "the exponent of 'm' is not known"),
        ("three", "the exponent of 'm' is not known"),
    ]


@pytest.mark.parametrize(
    ("make", "exponents", "error", "sentence"),
    [
        (residual, {}, ModelError, "has no PSB operator; convert it with to_psb first"),
        (lambda: converted(residual()), {"x": 101}, OptionError, "is out of range; give -100"),
    ],
)
def test_wrong_arguments_are_refused(
    make: Callable[[], Model], exponents: dict[str, int], error: type[Exception], sentence: str
) -> None:
    with pytest.raises(error, match=sentence):
        chain_both(make(), {}, exponents)
