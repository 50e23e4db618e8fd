"""A bias of zeros may be stored as one zero, and as nothing else that is short."""

import numpy as np
import onnx
import onnxruntime as ort
import pytest
from networks.psb import KERNELS, open_native, psb_node, run_psb
from onnx import numpy_helper, parser

from reluflow.errors import ModelError
from reluflow.graph import PsbOptions, load, to_psb
from reluflow.psb import encode


def multiply(bias: np.ndarray) -> tuple[bytes, np.ndarray]:
    rng = np.random.default_rng(0)
    code = encode(rng.standard_normal((20, 33)), p_bits=8)
    a = rng.standard_normal((5, 33)).astype(np.float32)
    return psb_node("PsbMatMul", code, bias, rank=2), a


@pytest.mark.parametrize("kernel", KERNELS)
def test_one_zero_is_zeros_in_all_channels(kernel: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RELUFLOW_KERNEL", kernel)
    found = []
    for size in (1, 20):
        model, a = multiply(np.zeros(size, np.float32))
        found.append(run_psb(open_native(model, 1), a, 4, 7))
    np.testing.assert_array_equal(found[0], found[1])


@pytest.mark.parametrize("bias", [[1.0], [np.nan], [0.0, 0.0]], ids=["one", "nan", "two zeros"])
def test_other_short_biases_are_refused(bias: list[float]) -> None:
    model, _ = multiply(np.array(bias, np.float32))
    with pytest.raises(Exception, match=r"B has shape \[\d\], but \[20\] is wanted"):
        open_native(model, 1)
    with pytest.raises(ModelError, match=r"its input B, 'b', has shape \[\d\]; \[20\] is wanted"):
        load(model)


def test_a_product_without_bias_stores_one_zero_and_runs_without_the_library() -> None:
    proto = parser.parse_model(
        '<ir_version: 8, opset_import: ["" : 17]> g (float[N,64] a) => (float[N,32] y) '
        "{ y = MatMul(a, w) }"
    )
    w = np.random.default_rng(1).standard_normal((64, 32)).astype(np.float32)
    proto.graph.initializer.append(numpy_helper.from_array(w, "w"))
    made = to_psb(load(proto), PsbOptions(p_bits=16)).model
    proto = onnx.load_from_string(made.serialize())
    (bias,) = [each for each in proto.graph.initializer if each.name.endswith("bias")]
    assert list(bias.dims) == [1]
    session = ort.InferenceSession(made.serialize(), providers=["CPUExecutionProvider"])
    a = np.random.default_rng(2).standard_normal((3, 64)).astype(np.float32)
    np.testing.assert_allclose(session.run(None, {"a": a})[0], a @ w, atol=0.1)
