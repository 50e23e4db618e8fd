"""ONNX models of one reluflow operator, and sessions over them, for tests."""

from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime as ort
from onnx import TensorProto, helper, numpy_helper

from reluflow.psb import PsbCode, pack
from reluflow.sessions.library import register

DOMAIN = "ai.reluflow"


def _supported_kernels() -> list[str]:
    """Return the names that RELUFLOW_KERNEL accepts on this processor, from its feature flags."""
    flags = ""
    if Path("/proc/cpuinfo").is_file():
        flags = Path("/proc/cpuinfo").read_text(encoding="utf-8")
    vectors = {"avx2": "avx2", "avx512vnni": "avx512_vnni"}
    return ["portable", *(name for name, flag in vectors.items() if flag in flags)]


KERNELS = _supported_kernels()


def one_node(
    op: str,
    inputs: dict[str, tuple[int, list[Any]]],
    constants: dict[str, np.ndarray],
    order: list[str],
    outputs: dict[str, int],
    attributes: dict[str, Any],
) -> bytes:
    """Return a model of one node; `inputs` are fed, `constants` are initializers."""
    node = helper.make_node(op, order, list(outputs), domain=DOMAIN, **attributes)
    graph = helper.make_graph(
        [node],
        "one",
        [helper.make_tensor_value_info(n, t, shape) for n, (t, shape) in inputs.items()],
        [helper.make_tensor_value_info(n, t, None) for n, t in outputs.items()],
        [numpy_helper.from_array(a, n) for n, a in constants.items()],
    )
    imports = [helper.make_opsetid("", 17), helper.make_opsetid(DOMAIN, 1)]
    return helper.make_model(graph, opset_imports=imports, ir_version=9).SerializeToString()


def psb_node(
    op: str,
    code: PsbCode,
    bias: np.ndarray | None = None,
    *,
    rank: int,
    constant: bool = True,
    z: bool = False,
    region: int | None = None,
    base: bool = False,
    x_type: int = TensorProto.FLOAT,
    **attributes: Any,
) -> bytes:
    """Return a model of one PsbConv or PsbMatMul; W and emax are inputs if not `constant`.

    With `z` the result is added to what is fed as "z"; with `region`, an element type, only the
    pixels fed as "region" are computed, and with `base` the others are those fed as "base".
    """
    weights = {"w": pack(code), "emax": code.emax}
    constants = dict(weights) if constant else {}
    scalar: tuple[int, list[Any]] = (TensorProto.INT64, [])
    inputs = {"x": (x_type, [f"d{i}" for i in range(rank)]), "samples": scalar, "seed": scalar}
    if not constant:
        inputs["w"] = (TensorProto.UINT8, [None, None])
        inputs["emax"] = (TensorProto.INT8, [None])
    if bias is not None:
        constants["b"] = bias
    order = ["x", "w", "emax", "" if bias is None else "b", "samples", "seed"]
    image: tuple[int, list[Any]] = (TensorProto.FLOAT, [f"z{i}" for i in range(rank)])
    if z:
        inputs["z"] = image
    if region is not None:
        inputs["region"] = (region, [f"r{i}" for i in range(rank - 1)])
    if base:
        inputs["base"] = image
    own_order = ["region", "z", "base"] if op == "PsbConv" else ["z"]
    order += [name if name in inputs else "" for name in own_order]
    while not order[-1]:
        order.pop()
    given = {k: v for k, v in attributes.items() if v is not None}
    own = {"weight_shape": list(code.shape), "p_bits": code.p_bits, "rounding": code.rounding}
    given = own | given
    return one_node(op, inputs, constants, order, {"y": TensorProto.FLOAT}, given)


def open_native(model: bytes, threads: int = 1) -> ort.InferenceSession:
    """Open a session with the native library, quiet but for fatal errors."""
    options = ort.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    options.log_severity_level = 4
    # Threads that wait for more work would take the cores from the next session of a process.
    options.add_session_config_entry("session.force_spinning_stop", "1")
    register(options)
    return ort.InferenceSession(model, options, providers=["CPUExecutionProvider"])


def run_psb(
    session: ort.InferenceSession, x: np.ndarray, samples: int, seed: int = 0, **feeds: np.ndarray
) -> np.ndarray:
    """Run a `psb_node` model once."""
    given = {"x": x, "samples": np.array(samples, "i8"), "seed": np.array(seed, "i8")}
    return session.run(None, given | feeds)[0]


def assert_same_bits(got: np.ndarray, want: np.ndarray) -> None:
    """Fail unless both arrays are float32 of one shape and the same bits."""
    assert got.dtype == want.dtype == np.float32
    assert got.shape == want.shape
    different = np.flatnonzero(got.reshape(-1).view(np.uint32) != want.reshape(-1).view(np.uint32))
    if different.size:
        i = different[0]
        first = f"{got.reshape(-1)[i]!r} is not {want.reshape(-1)[i]!r} at {i}"
        raise AssertionError(f"{different.size} of {got.size} differ, first {first}")
