"""What the graph alone determines: every rule against ONNX's reference, over types and shapes."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
from numpy.typing import DTypeLike
from onnx import NodeProto, TensorProto, helper
from onnx.reference import ReferenceEvaluator

from reluflow.graph.view.index import Node
from reluflow.graph.view.rules import RULES, apply_rule

RNG = np.random.default_rng(5)
BFLOAT16 = helper.tensor_dtype_to_np_dtype(TensorProto.BFLOAT16)
FLOATS = (np.float16, np.float32, np.float64)
WHOLE = (np.int8, np.uint8, np.int32, np.int64, np.uint16)
NUMBERS = (*FLOATS, *WHOLE)
Case = tuple[NodeProto, list[np.ndarray]]


def numbers(dtype: DTypeLike, *shape: int, positive: bool = False) -> np.ndarray:
    values = RNG.standard_normal(shape) * 7
    values = np.abs(values) + 1 if positive else values
    if np.dtype(dtype).kind == "u":
        values = np.abs(values)
    return np.round(values).astype(dtype) if np.dtype(dtype).kind in "iu" else values.astype(dtype)


def ints(*values: int) -> np.ndarray:
    return np.array(values, np.int64)


def node(op: str, n: int, **attributes: Any) -> NodeProto:
    return helper.make_node(op, [f"i{k}" for k in range(n)], ["o"], **attributes)


def shaping() -> Iterator[Case]:
    for dtype in (*NUMBERS, np.bool_):
        x = numbers(np.int64, 2, 1, 3).astype(dtype)
        yield node("Identity", 1), [x]
        yield node("Transpose", 1), [x]
        yield node("Transpose", 1, perm=[2, 0, 1]), [x]
        yield node("Squeeze", 2), [x, ints(1)]
        yield node("Squeeze", 1), [x]
        yield node("Squeeze", 2), [x, ints(-2)]
        yield node("Unsqueeze", 2), [x, ints(0, -1)]
        yield node("Reshape", 2), [x, ints(0, -1)]
        yield node("Reshape", 2), [x, ints(3, 2)]
        yield node("Reshape", 2, allowzero=1), [x[:0], ints(0, 5)]
        yield node("Expand", 2), [x, ints(4, 1, 5, 1)]
        yield node("Concat", 2, axis=1), [x, x]
        yield node("Concat", 3, axis=-1), [x, x, x]


def arithmetic() -> Iterator[Case]:
    for dtype in NUMBERS:
        a, b = numbers(dtype, 2, 3), numbers(dtype, 3)
        for op in ("Add", "Sub", "Mul", "Max", "Min"):
            yield node(op, 2), [a, b]
        yield node("Div", 2), [a, numbers(dtype, 2, 1, positive=True)]
        if np.dtype(dtype).kind != "u":
            yield node("Div", 2), [a, -numbers(dtype, 2, 1, positive=True)]
            yield node("Neg", 1), [a]
        yield node("Max", 3), [a, b, numbers(dtype)]
        yield node("Min", 1), [a]
    for dtype in FLOATS:
        yield node("Sqrt", 1), [numbers(dtype, 5, positive=True)]
        yield node("Max", 2), [np.array([np.nan, 1], dtype), np.array([1, np.nan], dtype)]
        yield node("Div", 2), [np.array([1, 0, -1], dtype), np.zeros(3, dtype)]


def casting() -> Iterator[Case]:
    for source in (*NUMBERS, np.bool_, BFLOAT16):
        for target in (*NUMBERS, np.bool_, BFLOAT16):
            kind = helper.np_dtype_to_tensor_dtype(np.dtype(target))
            whole = numbers(np.int64, 4)
            unsigned = "u" in (np.dtype(target).kind, np.dtype(source).kind)
            x = (np.abs(whole) if unsigned else whole).astype(source)
            yield node("Cast", 1, to=kind), [x]
            yield node("CastLike", 2), [x, np.zeros(1, target)]
    yield node("Cast", 1, to=TensorProto.INT32), [np.array([-1.9, 1.9, 0.5], np.float32)]
    yield node("Cast", 1, to=TensorProto.BOOL), [np.array([0.0, -0.0, 0.25], np.float32)]


def filling() -> Iterator[Case]:
    yield node("ConstantOfShape", 1), [ints(2, 3)]
    yield node("ConstantOfShape", 1), [np.zeros(0, np.int64)]
    value = helper.make_tensor("v", TensorProto.INT32, [1], [7])
    yield node("ConstantOfShape", 1, value=value), [ints(2, 0)]
    yield node("Dropout", 1), [numbers(np.float32, 3)]
    yield node("Dropout", 2), [numbers(np.float32, 3), np.array(0.5, np.float32)]
    off = np.array(False)
    yield node("Dropout", 3), [numbers(np.float32, 3), np.array(0.5, np.float32), off]


def dequantising() -> Iterator[Case]:
    for scale in (np.float32, np.float16):
        for whole in (np.int8, np.uint8, np.int16, np.uint16):
            q = numbers(whole, 4, 6)
            yield node("DequantizeLinear", 2), [q, np.array(0.1, scale)]
            zero = np.array(3, whole)
            yield node("DequantizeLinear", 3), [q, np.array(0.1, scale), zero]
            for axis, size in ((0, 4), (1, 6), (-1, 6)):
                parts = [numbers(scale, size, positive=True), numbers(whole, size)]
                yield node("DequantizeLinear", 3, axis=axis), [q, *parts]
            blocks = [numbers(scale, 4, 3, positive=True), numbers(whole, 4, 3)]
            yield node("DequantizeLinear", 3, axis=1, block_size=2), [q, *blocks]
            first = [numbers(scale, 2, 6, positive=True)]
            yield node("DequantizeLinear", 2, axis=0, block_size=2), [q, *first]
    yield node("DequantizeLinear", 2), [numbers(np.int32, 5) * 10**7, np.array(0.3, np.float32)]


def quantising() -> Iterator[Case]:
    x = 40 * numbers(np.float32, 4, 6)
    yield node("QuantizeLinear", 2), [x, np.array(0.5, np.float32)]
    yield node("QuantizeLinear", 2, output_dtype=TensorProto.INT8), [x, np.array(0.5, np.float32)]
    for whole in (np.int8, np.uint8, np.int16, np.uint16):
        for scale in (0.5, 1e-3):  # ties, and values that saturate
            yield (
                node("QuantizeLinear", 3),
                [x, np.array(scale, np.float32), np.array(3, whole)],
            )
        for axis, size in ((0, 4), (-1, 6)):
            spread = [numbers(np.float32, size, positive=True), np.arange(size).astype(whole)]
            yield node("QuantizeLinear", 3, axis=axis), [x, *spread]
        blocks = [numbers(np.float32, 4, 3, positive=True), np.ones((4, 3), whole)]
        yield node("QuantizeLinear", 3, axis=1, block_size=2), [x, *blocks]


def test_a_nan_is_quantised_to_no_integer() -> None:
    scale = np.array(0.5, np.float32)
    wrong: list[np.ndarray | None] = [np.array([np.nan], np.float32), scale, np.array(0, np.int8)]
    assert apply_rule(Node.made(node("QuantizeLinear", 3)), wrong) is None
    narrow: list[np.ndarray | None] = [
        np.ones(1, np.float16),
        scale.astype(np.float16),
        np.array(0, np.int8),
    ]
    assert apply_rule(Node.made(node("QuantizeLinear", 3)), narrow) is None


def parts() -> Iterator[Case]:
    lowest = np.iinfo(np.int64).min
    for dtype in (*NUMBERS, np.bool_):
        x = numbers(np.int64, 4, 5).astype(dtype)
        yield node("Slice", 3), [x, ints(1), ints(3)]
        yield node("Slice", 4), [x, ints(-3), ints(100), ints(-1)]
        yield node("Slice", 5), [x, ints(-1, 9), ints(lowest + 1, 0), ints(0, 1), ints(-1, -2)]
        yield node("Slice", 5), [x, ints(0, 4), ints(3, 4), ints(1, 0), ints(2, 1)]
        yield node("Gather", 2), [x, ints(2, 0, -1)]
        yield node("Gather", 2, axis=1), [x, np.array([[0, -5], [4, 1]], np.int32)]
        yield node("Gather", 2, axis=-1), [x, np.array(3, np.int64)]
        yield node("Split", 2, axis=1), [x, ints(5)]
        yield node("Split", 1, num_outputs=1), [x]


CASES = [
    case
    for make in (shaping, arithmetic, casting, filling, dequantising, quantising, parts)
    for case in make()
]


def reference(case: Case) -> np.ndarray:
    proto, values = case
    graph = helper.make_graph(
        [proto],
        "g",
        [
            helper.make_tensor_value_info(f"i{k}", helper.np_dtype_to_tensor_dtype(v.dtype), None)
            for k, v in enumerate(values)
        ],
        [helper.make_tensor_value_info("o", 0, None)],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 21)], ir_version=10)
    feeds = {f"i{k}": value for k, value in enumerate(values)}
    with np.errstate(all="ignore"):
        found: Any = ReferenceEvaluator(model).run(None, feeds)
    return found[0]


@pytest.mark.parametrize("op", sorted(RULES))
def test_every_rule_gives_what_the_reference_gives(op: str) -> None:
    cases = [case for case in CASES if case[0].op_type == op]
    assert cases, f"no case for {op}"
    for proto, values in cases:
        wanted = np.asarray(reference((proto, values)))
        found = apply_rule(Node.made(proto), list(values))
        assert found is not None, (proto, values)
        assert found.dtype == wanted.dtype, (proto, values)
        np.testing.assert_array_equal(
            found.astype(np.float64), wanted.astype(np.float64), err_msg=str((proto, values))
        )


def unknown(proto: NodeProto, *values: np.ndarray | None) -> bool:
    return apply_rule(Node.made(proto), list(values)) is None


def test_what_is_not_defined_stays_unknown() -> None:
    one = numbers(np.float32, 3)
    on, half = np.array(True), np.array(0.5, np.float32)
    assert unknown(node("Dropout", 3), one, half, on)
    assert unknown(node("Dropout", 1, is_test=0), one)
    assert unknown(node("Div", 2), ints(1), ints(0))
    assert unknown(node("Div", 2), ints(np.iinfo(np.int64).min), ints(-1))
    assert unknown(node("Cast", 1, to=TensorProto.INT8), np.array([300.0], np.float32))
    assert unknown(node("Cast", 1, to=TensorProto.INT64), np.array([np.nan], np.float32))
    assert unknown(node("Cast", 1, to=TensorProto.FLOAT), np.array(["1.5"], object))
    assert unknown(node("Cast", 1, to=TensorProto.FLOAT8E4M3FN), one)
    assert unknown(node("Add", 2, broadcast=1, axis=0), numbers(np.float32, 3, 3), one)
    assert unknown(node("Add", 2), one, one.astype(np.float64))
    assert unknown(node("Relu", 1), one)
    assert unknown(node("Squeeze", 2), one, ints(0))
    assert unknown(node("Expand", 2), one, ints(2**22, 3))
    assert unknown(node("Slice", 5), one, ints(0), ints(1), ints(0), ints(0))
    assert unknown(node("Slice", 3), one, None, ints(1))
    assert unknown(node("Gather", 2), one, ints(3))
    assert unknown(node("Gather", 2), one, one)
    assert unknown(node("Gather", 2), ints(*range(2**13)), np.zeros((2**14), np.int64))
    assert unknown(node("Split", 2), one, ints(2))


def test_bfloat16_is_a_float() -> None:
    q, scale = numbers(np.int8, 2, 3), np.array(0.5, BFLOAT16)
    found = apply_rule(Node.made(node("DequantizeLinear", 2)), [q, scale])
    assert found is not None and found.dtype == BFLOAT16
    np.testing.assert_array_equal(found.astype(np.float32), q.astype(np.float32) / 2)
    three = np.array([3, 1], BFLOAT16)
    found = apply_rule(Node.made(node("Div", 2)), [three, np.array([2, 4], BFLOAT16)])
    assert found is not None and found.astype(np.float32).tolist() == [1.5, 0.25]


def test_an_integer_division_goes_towards_zero() -> None:
    found = apply_rule(Node.made(node("Div", 2)), [ints(-7, 7, -7), ints(2, -2, -2)])
    assert found is not None and found.tolist() == [-3, -3, 3]


@pytest.mark.parametrize(
    ("attributes", "sizes"),
    [({}, [2, 2, 1]), ({"split": [1, 3, 1]}, [1, 3, 1]), ({"split": [0, 5, 0]}, [0, 5, 0])],
)
def test_every_part_of_a_split_is_known(attributes: dict[str, Any], sizes: list[int]) -> None:
    proto = helper.make_node("Split", ["i0"], ["a", "b", "c"], axis=1, **attributes)
    x = numbers(np.float32, 2, 5)
    parts = [apply_rule(Node.made(proto), [x], place) for place in range(3)]
    found = [part for part in parts if part is not None]
    assert [part.shape[1] for part in found] == sizes
    np.testing.assert_array_equal(np.concatenate(found, axis=1), x)


def test_bounds_of_an_old_slice_are_attributes() -> None:
    proto = node("Slice", 1, starts=[1, -2], ends=[3, 100], axes=[1, 0])
    x = numbers(np.int32, 4, 5)
    found = apply_rule(Node.made(proto), [x])
    assert found is not None
    np.testing.assert_array_equal(found, x[-2:, 1:3])
