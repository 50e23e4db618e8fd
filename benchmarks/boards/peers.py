"""The same networks as C by emx-onnx-cgen and onnx2c, in floats and in bytes.

Both get the network without batch normalisation and with one input at a time, emx-onnx-cgen with
each Relu fused into its convolution, which onnx2c does not know. Bytes are those of ONNX Runtime's
static quantisation, per channel; the conversions from and to floats at the ends are taken off, so
that the C takes and gives bytes, as ours does. emx-onnx-cgen keeps all tensors on the stack
(`--large-temp-threshold 0`, which its manual has for programs without malloc), onnx2c in unions.
onnx2c knows one scale for a tensor, and convolutions but no pooling or dense layer in bytes: it
gets convolutions in bytes, per tensor, and floats behind them.
"""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime as ort
from boards.board import Code
from numpy.typing import NDArray
from onnx import TensorProto, helper, shape_inference
from onnxruntime.quantization import (
    CalibrationDataReader,
    QuantFormat,
    QuantType,
    quantize_static,
)

_TYPES: dict[int, tuple[str, str]] = {
    TensorProto.FLOAT: ("float", "<f4"),
    TensorProto.UINT8: ("uint8_t", "u1"),
}


class _Inputs(CalibrationDataReader):
    def __init__(self, name: str, inputs: NDArray[np.float32]) -> None:
        self._name, self._left = name, iter(inputs[:, None])

    def get_next(self) -> dict[str, NDArray[np.float32]] | None:
        """Return the next input, or None at the end."""
        found = next(self._left, None)
        return None if found is None else {self._name: found}


def folded(model: Path, folder: Path) -> Path:
    """Write a network without batch normalisation, for one input at a time; return its file.

    Args:
        model: the float network.
        folder: to write to.
    """
    out = folder / "float.onnx"
    proto = _optimised(model, out, ort.GraphOptimizationLevel.ORT_ENABLE_BASIC)
    onnx.save(shape_inference.infer_shapes(proto), out)
    return out


def fused(model: Path, plain: Path) -> Path:
    """Write a network with each Relu in its convolution; return its file.

    Args:
        model: the float network.
        plain: that `folded` wrote; it knows the shapes.
    """
    out = plain.with_name("fused.onnx")
    proto = _optimised(model, out, ort.GraphOptimizationLevel.ORT_ENABLE_EXTENDED)
    made = {name for node in proto.graph.node for name in node.output}
    proto.graph.value_info.extend(v for v in onnx.load(plain).graph.value_info if v.name in made)
    onnx.save(proto, out)
    return out


def _optimised(model: Path, out: Path, level: ort.GraphOptimizationLevel) -> onnx.ModelProto:
    options = ort.SessionOptions()
    options.graph_optimization_level = level
    options.optimized_model_filepath = str(out)
    ort.InferenceSession(model, options, providers=["CPUExecutionProvider"])
    proto = onnx.load(out)
    del proto.graph.value_info[:]
    for value in (*proto.graph.input, *proto.graph.output):
        first = value.type.tensor_type.shape.dim[0]
        first.ClearField("dim_param")
        first.dim_value = 1
    return proto


def in_bytes(model: Path, calibration: NDArray[np.float32], *, per_channel: bool) -> Path:
    """Write a network as ONNX Runtime quantises it; return its file.

    Args:
        model: that `folded` wrote.
        calibration: inputs, float32 `(n, ...)`.
        per_channel: whether each channel has a scale and all layers are quantised; otherwise
            convolutions alone.
    """
    out = model.with_name("channels.onnx" if per_channel else "convolutions.onnx")
    name = onnx.load(model).graph.input[0].name
    quantize_static(
        model,
        out,
        _Inputs(name, calibration),
        quant_format=QuantFormat.QOperator,
        activation_type=QuantType.QUInt8,
        weight_type=QuantType.QInt8,
        per_channel=per_channel,
        op_types_to_quantize=None if per_channel else ["Conv"],
    )
    onnx.save(_without_ends(onnx.load(model), onnx.load(out)), out)
    return out


def _without_ends(plain: onnx.ModelProto, proto: onnx.ModelProto) -> onnx.ModelProto:
    """Take the conversions at the ends off; name the shapes of what lies between."""
    graph = proto.graph
    told = (*plain.graph.input, *plain.graph.output, *plain.graph.value_info)
    shapes = {v.name: [d.dim_value for d in v.type.tensor_type.shape.dim] for v in told}
    del graph.value_info[:]
    values = {
        name: helper.make_tensor_value_info(name, TensorProto.UINT8, shapes[base])
        for node in graph.node
        for name in node.output
        for base in (name.removesuffix("_quantized"),)
        if name != base and base in shapes
    }
    first, last = graph.node[0], graph.node[-1]
    if first.op_type == "QuantizeLinear":
        graph.input[0].CopyFrom(values[first.output[0]])
        graph.node.remove(first)
    if last.op_type == "DequantizeLinear":
        graph.output[0].CopyFrom(values[last.input[0]])
        graph.node.remove(last)
    graph.value_info.extend(values.values())
    return proto


def input_form(model: Path, quantised: Path) -> tuple[float, int]:
    """Return scale and zero point of the bytes that a quantised network takes.

    Args:
        model: that `folded` wrote.
        quantised: that `in_bytes` made of it.
    """
    name = onnx.load(model).graph.input[0].name
    stored = {t.name: onnx.numpy_helper.to_array(t) for t in onnx.load(quantised).graph.initializer}
    return float(stored[f"{name}_scale"]), int(stored[f"{name}_zero_point"])


def by_emx(model: Path, folder: Path, name: str) -> Code:
    """Return a network as C of emx-onnx-cgen.

    Args:
        model: with one input and one output of fixed sizes.
        folder: to write to.
        name: of the C file.
    """
    out = folder / f"{name}.c"
    line = [sys.executable, "-m", "emx_onnx_cgen", "compile", str(model), str(out)]
    line += ["--model-name", "network", "--restrict-arrays"]
    _call([*line, "--large-temp-threshold", "0", "--large-weight-threshold", "0"])
    return _code(model, out, name, "network", "void network({given}, {made});")


def by_onnx2c(tool: str, model: Path, folder: Path, name: str) -> Code:
    """Return a network as C of onnx2c.

    Args:
        tool: onnx2c.
        model: with one input and one output of fixed sizes.
        folder: to write to.
        name: of the C file.
    """
    out = folder / f"{name}.c"
    out.write_text(_call([tool, "-l", "0", str(model)]))
    return _code(model, out, name, "entry", "void entry({given}, {made});")


def _code(model: Path, source: Path, name: str, function: str, declaration: str) -> Code:
    graph = onnx.load(model).graph
    ends = [_end(graph.input[0]), _end(graph.output[0])]
    (given, given_type, _), (made, made_type, n_made) = ends
    given, made = given.replace("end", "network_in"), made.replace("end", "network_out")
    declared = declaration.format(given=f"const {given}", made=made)
    header = f"""#include <stdint.h>
{declared}
static {given};
static {made};
#define NETWORK_INPUT network_in
#define NETWORK_IN sizeof network_in
#define NETWORK_OUTPUT network_out
#define NETWORK_OUT sizeof network_out
static void network_run(uint32_t samples, uint32_t seed) {{
  (void)samples, (void)seed;
  {function}(network_in, network_out);
}}
"""
    return Code(name, (source,), None, header, given_type, made_type, n_made)


def _end(value: onnx.ValueInfoProto) -> tuple[str, str, int]:
    """Return an input or output as C declares it, its type as numpy calls it, and its size."""
    kind = value.type.tensor_type
    sizes = [d.dim_value for d in kind.shape.dim]
    word, code = _TYPES[kind.elem_type]
    return f"{word} end{''.join(f'[{n}]' for n in sizes)}", code, int(np.prod(sizes))


def make_all(
    model: Path, calibration: NDArray[np.float32], folder: Path, onnx2c: str | None
) -> Iterator[tuple[Code, dict[str, Any]]]:
    """Yield all forms of a network, and what is said of each.

    Args:
        model: the float network.
        calibration: inputs, float32 `(n, ...)`.
        folder: to write to.
        onnx2c: the tool; None: it is left out.
    """
    plain = folded(model, folder)
    channels = in_bytes(plain, calibration, per_channel=True)
    scale, zero = input_form(plain, channels)
    form = {"scale": scale, "zero": zero}
    emx = {"tool": "emx-onnx-cgen"}
    yield by_emx(fused(model, plain), folder, "emx_float"), {**emx, "numbers": "float"}
    yield by_emx(channels, folder, "emx_bytes"), {**emx, "numbers": "int8", **form}
    if onnx2c is not None:
        convolutions = in_bytes(plain, calibration, per_channel=False)
        other, name = {"tool": "onnx2c"}, "onnx2c_bytes"
        yield by_onnx2c(onnx2c, plain, folder, "onnx2c_float"), {**other, "numbers": "float"}
        yield by_onnx2c(onnx2c, convolutions, folder, name), {**other, "numbers": "int8", **form}


def to_input(inputs: NDArray[np.float32], facts: dict[str, Any]) -> NDArray[np.generic]:
    """Return inputs as a form takes them: floats, or bytes.

    Args:
        inputs: float32 `(n, ...)`.
        facts: what `make_all` says of the form.
    """
    if "scale" not in facts:
        return inputs
    steps = np.rint(inputs / np.float32(facts["scale"])) + facts["zero"]
    return np.clip(steps, 0, 255).astype(np.uint8)


def _call(line: list[str]) -> str:
    done = subprocess.run(line, capture_output=True, text=True)
    if done.returncode != 0:
        raise SystemExit(f"{line[0]} failed: {(done.stderr or done.stdout)[-800:]}")
    return done.stdout
