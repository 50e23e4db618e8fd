"""Small networks that run in the native library, with inputs and sessions, for loads."""

from __future__ import annotations

import ctypes
from collections.abc import Callable
from functools import cache
from typing import Any

import numpy as np
import onnx
import onnxruntime as ort
from onnx import numpy_helper, parser

from reluflow.data import open_data
from reluflow.evaluation import find_formats
from reluflow.graph import Model, chain_psb, find_sites, hash_taps, load, tap, to_psb
from reluflow.sessions.library import register

Feeds = dict[str, np.ndarray]
NETS = ("drawn", "bytes", "hashed")
IMAGE = (2, 5, 5)


def _plain() -> onnx.ModelProto:
    """Return Conv, Relu, Conv, Relu with weights of small whole numbers."""
    proto = parser.parse_model("""<ir_version: 8, opset_import: ["" : 17]>
        g (float[N,2,5,5] x) => (float[N,7,2,2] y) {
        a = Conv<pads = [1,1,1,1]>(x, w0)
        b = Relu(a)
        c = Conv<strides = [2,2]>(b, w1)
        y = Relu(c) }""")
    rng = np.random.default_rng(0)
    for key, shape in (("w0", (5, 2, 3, 3)), ("w1", (7, 5, 3, 3))):
        values = rng.integers(-2, 3, shape).astype(np.float32)
        proto.graph.initializer.append(numpy_helper.from_array(values, key))
    return proto


def _images(count: int, seed: int) -> np.ndarray:
    return np.random.default_rng(seed).integers(-3, 4, (count, *IMAGE)).astype(np.float32)


@cache
def net(name: str) -> Model:
    """Return a network of PsbConv, one that computes in bytes, or one that hashes its patterns."""
    plain = load(_plain())
    if name == "hashed":
        tapped = tap(plain, find_sites(plain))
        return hash_taps(tapped.model, tapped.done, keep=plain.outputs, seed=5).model
    drawn = to_psb(plain).model
    if name == "drawn":
        return drawn
    return chain_psb(drawn, find_formats(drawn, open_data(_images(8, 0), drawn.inputs))).model


def feeds(name: str, number: int) -> Feeds:
    """Return inputs, 1 to 3 images; every number has its own."""
    found = {"x": _images(1 + number % 3, number)}
    if name != "hashed":
        found |= {"samples": np.array((0, 1, 4)[number % 3], "i8"), "seed": np.array(number, "i8")}
    return found


def session(
    name: str, threads: int = 1, change: Callable[[ort.SessionOptions], None] | None = None
) -> Any:
    """Open a session of ONNX Runtime, with other options where `change` sets them."""
    options = ort.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    options.log_severity_level = 4
    options.add_session_config_entry("session.force_spinning_stop", "1")
    if change is not None:
        change(options)
    register(options)
    return ort.InferenceSession(net(name).serialize(), options, providers=["CPUExecutionProvider"])


def as_bytes(outputs: Any) -> list[bytes]:
    """Return the bits of all outputs."""
    return [np.asarray(output).tobytes() for output in outputs]


@cache
def wanted(name: str, number: int) -> list[bytes]:
    """Return what a session of one thread gives that nothing else runs beside."""
    return as_bytes(_alone(name).run(None, feeds(name, number)))


@cache
def _alone(name: str) -> Any:
    return session(name)


class _Mallinfo(ctypes.Structure):
    _fields_ = [(name, ctypes.c_size_t) for name in "abcdefghij"]


def held_bytes() -> int:
    """Return the memory in use by the C heap of this process: of glibc's, or of the sanitizer's."""
    process = ctypes.CDLL(None)
    try:
        sanitizer = process.__sanitizer_get_current_allocated_bytes
    except AttributeError:
        process.mallinfo2.restype = _Mallinfo
        found = process.mallinfo2()
        return int(found.e + found.h)  # memory of its own maps, and what is in use
    sanitizer.restype = ctypes.c_size_t
    return int(sanitizer())
