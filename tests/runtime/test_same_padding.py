"""Automatic padding with strides beyond the window: all give what ONNX Runtime gives."""

import itertools

import numpy as np
import onnxruntime as ort
import pytest
from onnx import parser

from reluflow.graph import PsbOptions, load, to_psb
from reluflow.sessions import open_session


def float_model(kernel: int, stride: int, size: int, mode: str, group: int) -> bytes:
    taps = ",".join(str(1 << t) for t in range(kernel))
    weights = ",".join([taps] * 2)
    channels = 2 // group
    weights = ",".join([weights] * channels)
    return parser.parse_model(
        f"""<ir_version: 8, opset_import: ["" : 17]>
        g (float[1,2,{size}] x) => (float[1,2,M] y)
        <float[2,{channels},{kernel}] w = {{{weights}}}>
        {{ y = Conv <auto_pad = "{mode}", strides = [{stride}], group = {group}> (x, w) }}"""
    ).SerializeToString()


@pytest.mark.parametrize("mode", ["SAME_UPPER", "SAME_LOWER"])
@pytest.mark.parametrize("kernel", [1, 2, 3])
def test_all_give_what_onnx_runtime_gives(mode: str, kernel: int) -> None:
    for stride, size, group in itertools.product((2, 3, 5, 7), (3, 4, 8, 9), (1, 2)):
        proto = float_model(kernel, stride, size, mode, group)
        x = np.arange(1, 2 * size + 1, dtype=np.float32).reshape(1, 2, size)
        plain = ort.InferenceSession(proto, providers=["CPUExecutionProvider"])
        want = plain.run(None, {"x": x})[0]
        made = to_psb(load(proto), PsbOptions(p_bits=16, x_bits=16)).model
        for library in (False, True):
            found = open_session(made, threads=1, library=library).run({"x": x})[0]
            np.testing.assert_array_equal(found, want, err_msg=f"{stride} {size} {group} {library}")
