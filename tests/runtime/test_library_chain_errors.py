"""What ONNX Runtime says when an operator of a chain gets wrong input; the session lives on."""

from typing import Any

import numpy as np
import pytest
from networks.psb import one_node, open_native
from onnx import TensorProto

from reluflow.errors import OptionError
from reluflow.psb import PsbCode, encode, pack
from reluflow.psb.fixed import FixedFormat, fixed_conv

RNG = np.random.default_rng(0)
CODE = encode(RNG.standard_normal((4, 3, 3, 3)), p_bits=4)
X = RNG.integers(0, 256, (1, 6, 6, 3), np.uint8)


def chain_node(code: PsbCode, z: bool = False, table: int | None = None, **own: Any) -> bytes:
    """Return a model of one FixedConv; `table` is the size of one."""
    scalar: tuple[int, list[Any]] = (TensorProto.INT64, [])
    image: tuple[int, list[Any]] = (TensorProto.UINT8, [f"d{i}" for i in range(4)])
    inputs = {"x": image, "samples": scalar, "seed": scalar}
    constants = {"w": pack(code), "emax": code.emax}
    order = ["x", "w", "emax", "", "samples", "seed"]
    if z or table is not None:
        order.append("z" if z else "")
    if z:
        inputs["z"] = (TensorProto.UINT8, [f"z{i}" for i in range(4)])
    if table is not None:
        constants["table"] = np.zeros(table, np.uint8)
        order.append("table")
    given = {"weight_shape": list(code.shape), "p_bits": code.p_bits, **own}
    return one_node("FixedConv", inputs, constants, order, {"y": TensorProto.UINT8}, given)


def numbers(samples: int = 4, seed: int = 1) -> dict[str, np.ndarray]:
    return {"samples": np.array(samples, "i8"), "seed": np.array(seed, "i8")}


@pytest.mark.parametrize(
    ("x", "samples", "sentence"),
    [
        (X, 3, "FixedConv: samples is 3, but 1, 2, 4, 8, 16, 32 and 64 are accepted"),
        (X[..., :2], 4, r"X has shape \[1, 6, 6, 2\], but rank 4 and 3 channels in the last"),
        (X.transpose(0, 3, 1, 2), 4, r"X has shape \[1, 3, 6, 6\], but rank 4 and 3 channels"),
        (X[:, :2], 4, "X has 2 pixels along a spatial axis, .* at least 3 are wanted"),
        (X[0], 4, "X"),
        (X.astype(np.float32), 4, "x"),
    ],
)
def test_a_wrong_input_is_one_sentence_and_the_session_lives_on(
    x: np.ndarray, samples: int, sentence: str
) -> None:
    session = open_native(chain_node(CODE))
    with pytest.raises(Exception, match=sentence):
        session.run(None, {"x": x} | numbers(samples))
    form = FixedFormat(0, 0)
    expected = fixed_conv(X, CODE, x_form=form, y_form=form, samples=4, seed=1)
    np.testing.assert_array_equal(session.run(None, {"x": X} | numbers())[0], expected)


@pytest.mark.parametrize(
    ("own", "sentence"),
    [
        ({"x_zero": 5}, "x_zero is 5, but 0 and 128 are accepted"),
        ({"y_exponent": 101}, "y_exponent is 101, but -100 to 100 is accepted"),
        ({"y_max": 256}, "y_max is 256, but 0 to 255 is accepted"),
        ({"draws": "product"}, 'draws is "product", but on the 8-bit grid draws are made per run'),
        ({"sampler": "binomial"}, 'sampler is "binomial", but the 8-bit grid has systematic and'),
        ({"weight_shape": [4, 3, 3]}, "W has shape"),
        ({"group": 3}, "group is 3, but a divisor of the 4 output channels is wanted"),
    ],
)
def test_a_wrong_attribute_is_refused_at_once(own: dict[str, Any], sentence: str) -> None:
    with pytest.raises(Exception, match=sentence):
        open_native(chain_node(CODE, **own))


@pytest.mark.parametrize(
    ("shape", "value"), [((1, 20000, 1, 1), 1.9), ((2, 2100, 3, 3), -1.99), ((1, 17000, 1, 1), 1.0)]
)
def test_weights_whose_sum_may_be_too_large_are_refused(
    shape: tuple[int, ...], value: float
) -> None:
    code = encode(np.full(shape, value, np.float32), p_bits=4)
    sentence = r"the weights of a channel add up to as much as \d+ with bytes, but less than 2\^29"
    with pytest.raises(Exception, match=sentence):
        open_native(chain_node(code))


def test_a_table_of_another_size_is_refused() -> None:
    session = open_native(chain_node(CODE, table=255))
    with pytest.raises(Exception, match=r"table has shape \[255\], but \[256\] is wanted"):
        session.run(None, {"x": X} | numbers())


def test_z_of_another_shape_is_refused() -> None:
    session = open_native(chain_node(CODE, z=True))
    z = np.zeros((1, 4, 4, 3), np.uint8)
    sentence = r"Z has shape \[1, 4, 4, 3\], but that of Y, \[1, 4, 4, 4\], is wanted"
    with pytest.raises(Exception, match=sentence):
        session.run(None, {"x": X, "z": z} | numbers())


@pytest.mark.parametrize("z_exponent", [-21, 21, 60, -100])
def test_formats_of_z_and_y_lie_within_20_bits(z_exponent: int) -> None:
    session = open_native(chain_node(CODE, z=True, z_exponent=z_exponent))
    z = np.zeros((1, 4, 4, 4), np.uint8)
    with pytest.raises(Exception, match=f"z_exponent is {z_exponent}, but beside y_exponent 0"):
        session.run(None, {"x": X, "z": z} | numbers())
    form = FixedFormat(0, 0)
    with pytest.raises(OptionError, match=f"z_form has exponent {z_exponent}, more than 20"):
        fixed_conv(
            X, CODE, None, z, x_form=form, y_form=form, z_form=FixedFormat(z_exponent, 0), samples=4
        )


@pytest.mark.parametrize("z_exponent", [-20, 20])
def test_formats_20_bits_apart_give_the_bytes_of_the_oracle(z_exponent: int) -> None:
    session = open_native(chain_node(CODE, z=True, z_exponent=z_exponent, x_exponent=7))
    z = RNG.integers(0, 256, (1, 4, 4, 4), np.uint8)
    x_form, y_form, z_form = (FixedFormat(exponent, 0) for exponent in (7, 0, z_exponent))
    expected = fixed_conv(
        X, CODE, None, z, x_form=x_form, y_form=y_form, z_form=z_form, samples=4, seed=1
    )
    got = session.run(None, {"x": X, "z": z} | numbers())[0]
    np.testing.assert_array_equal(got, expected)
