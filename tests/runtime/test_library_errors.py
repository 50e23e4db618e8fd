"""What ONNX Runtime says when one of our nodes gets wrong input; the session stays usable."""

import re
from typing import Any

import numpy as np
import pytest
from networks.psb import assert_same_bits, open_native, psb_node, run_psb
from onnx import TensorProto, numpy_helper
from onnx.onnx_ml_pb2 import ModelProto

from reluflow.psb import conv, encode

RNG = np.random.default_rng(0)
CODE = encode(RNG.standard_normal((4, 3, 3, 3)), p_bits=4)
X = RNG.standard_normal((1, 3, 6, 6)).astype(np.float32)


@pytest.mark.parametrize(
    ("x", "samples", "sentence"),
    [
        (X, -1, r"PsbConv: samples is -1, but 1, 2, 4, 8, 16, 32 and 64 are accepted, and 0"),
        (X, 3, r"samples is 3, but"),
        (X, 128, r"samples is 128, but"),
        (X[:, :2], 4, r"X has shape \[1, 2, 6, 6\], but rank 4 and 3 channels are wanted"),
        (X[:, :, :2], 4, r"X has 2 pixels along a spatial axis, .* at least 3 are wanted"),
        (X[0], 4, r"X"),
    ],
)
def test_a_wrong_input_is_one_sentence_and_the_session_lives_on(
    x: np.ndarray, samples: int, sentence: str
) -> None:
    session = open_native(psb_node("PsbConv", CODE, rank=4))
    with pytest.raises(Exception, match=sentence) as caught:
        run_psb(session, x, samples)
    assert "\n" not in str(caught.value).strip()
    assert_same_bits(run_psb(session, X, 4, 1), conv(X, CODE, samples=4, seed=1))


def test_samples_of_two_numbers_are_refused() -> None:
    session = open_native(psb_node("PsbConv", CODE, rank=4))
    feeds = {"x": X, "samples": np.array([1, 2], "i8"), "seed": np.array(0, "i8")}
    with pytest.raises(Exception, match="samples"):
        session.run(None, feeds)
    assert_same_bits(run_psb(session, X, 4, 1), conv(X, CODE, samples=4, seed=1))


@pytest.mark.parametrize(
    ("attributes", "sentence"),
    [
        ({"sampler": "dice"}, r'sampler is "dice", but one of systematic, binomial, nearest is'),
        ({"draws": "never"}, r'draws is "never", but one of run, product is accepted'),
        ({"activation": "elu"}, r'activation is "elu", but one of none, relu, clip is accepted'),
        ({"p_bits": 5}, r"p_bits is 5, but 1, 2, 3, 4, 6, 8 or 16 is accepted"),
        ({"p_bits": 8}, r"W has shape \[9, 14\], but \[13, 14\] is wanted"),
        ({"x_bits": 17}, r"x_bits is 17, but 2 to 16 is accepted"),
        ({"x_exponent": 1.5}, r"attribute x_exponent cannot be read"),
        ({"group": 3}, r"group is 3, but a divisor of the 4 output channels is wanted"),
        ({"strides": [1, 0]}, r"strides is \[1, 0\], but 2 whole numbers, each at least 1"),
        ({"pads": [1, 1]}, r"pads is \[1, 1\], but 4 whole numbers"),
        ({"auto_pad": "SAME"}, r'auto_pad is "SAME", but NOTSET, VALID'),
        ({"weight_shape": [4, 27]}, r"weight_shape is \[4, 27\], but \[M, C/group, k\]"),
        ({"weight_shape": [4, 3, 3, 2]}, r"W has shape \[9, 14\], but \[9, 9\] is wanted"),
    ],
    ids=lambda v: str(v) if isinstance(v, dict) else "",
)
def test_a_wrong_attribute_is_one_sentence_at_load(
    attributes: dict[str, Any], sentence: str
) -> None:
    with pytest.raises(Exception, match="PsbConv: " + sentence) as caught:
        open_native(psb_node("PsbConv", CODE, rank=4, **attributes))
    assert "\n" not in str(caught.value).strip()


def test_a_wrong_type_is_refused_at_load() -> None:
    with pytest.raises(Exception, match=r"Type 'tensor\(double\)' of input parameter \(x\)"):
        open_native(psb_node("PsbConv", CODE, rank=4, x_type=TensorProto.DOUBLE))


@pytest.mark.parametrize(
    ("name", "value", "sentence"),
    [
        ("emax", np.zeros(5, np.int8), r"emax has shape \[5\], but \[4\] is wanted"),
        ("b", np.zeros((1, 4), np.float32), r"B has shape \[1, 4\], but \[4\] is wanted"),
        ("w", np.full((9, 14), 255, np.uint8), r"W has bits set behind its last weight"),
    ],
)
def test_a_wrong_constant_is_one_sentence(name: str, value: np.ndarray, sentence: str) -> None:
    model = ModelProto.FromString(psb_node("PsbConv", CODE, np.zeros(4, np.float32), rank=4))
    for tensor in model.graph.initializer:
        if tensor.name == name:
            tensor.CopyFrom(numpy_helper.from_array(value, name))
    with pytest.raises(Exception, match=sentence):
        run_psb(open_native(model.SerializeToString()), X, 4)


@pytest.mark.parametrize("shape", [(1, 4, 1, 1), (2, 4, 4, 4), (1, 4, 4, 5)])
def test_a_z_of_another_shape_is_one_sentence_and_the_session_lives_on(
    shape: tuple[int, ...],
) -> None:
    session = open_native(psb_node("PsbConv", CODE, rank=4, z=True))
    z = RNG.standard_normal((1, 4, 4, 4)).astype(np.float32)
    wrong = re.escape(str(list(shape)))
    sentence = rf"Z has shape {wrong}, but that of Y, \[1, 4, 4, 4\], is wanted"
    with pytest.raises(Exception, match=sentence) as caught:
        run_psb(session, X, 4, z=np.zeros(shape, np.float32))
    assert "\n" not in str(caught.value).strip()
    assert_same_bits(run_psb(session, X, 4, 1, z=z), conv(X, CODE, z=z, samples=4, seed=1))


def test_an_unknown_kernel_is_one_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RELUFLOW_KERNEL", "abacus")
    with pytest.raises(Exception, match="RELUFLOW_KERNEL is abacus, but portable, avx2 and"):
        open_native(psb_node("PsbConv", CODE, rank=4))


def test_a_wrong_product_is_one_sentence() -> None:
    code = encode(RNG.standard_normal((4, 6)), p_bits=4)
    session = open_native(psb_node("PsbMatMul", code, rank=2))
    with pytest.raises(Exception, match=r"PsbMatMul: A has shape \[2, 5\], but \[..., 6\] is"):
        run_psb(session, np.zeros((2, 5), np.float32), 4)
    with pytest.raises(Exception, match=r"PsbMatMul: weight_shape is \[4, 6, 1\], but \[N, K\]"):
        open_native(psb_node("PsbMatMul", code, rank=2, weight_shape=[4, 6, 1]))
