import subprocess
import sys
from pathlib import Path

import numpy as np
import onnxruntime as ort
import pytest
from networks import psb

from reluflow import native
from reluflow.errors import OptionError
from reluflow.psb import conv, encode
from reluflow.sessions import library


def test_the_environment_names_another_library(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    other = tmp_path / "libother.so"
    other.write_bytes(b"")
    monkeypatch.setenv("RELUFLOW_LIBRARY", str(other))
    assert native.get_library_path() == str(other.resolve())


def test_a_named_library_that_is_missing_is_one_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RELUFLOW_LIBRARY", "/nowhere/lib.so")
    with pytest.raises(
        OptionError, match=r"RELUFLOW_LIBRARY is '/nowhere/lib.so', but there is no"
    ):
        native.get_library_path()


def test_an_installed_library_that_is_missing_is_one_sentence(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.delenv("RELUFLOW_LIBRARY", raising=False)
    monkeypatch.setattr(native, "__file__", str(tmp_path / "native.py"))
    with pytest.raises(OptionError, match=r"the native library is missing at .*install reluflow"):
        native.get_library_path()


def test_a_file_that_is_no_library_is_one_sentence(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    broken = tmp_path / "libbroken.so"
    broken.write_bytes(b"not a library")
    monkeypatch.setenv("RELUFLOW_LIBRARY", str(broken))
    with pytest.raises(OptionError, match="ONNX Runtime refuses the native library") as caught:
        library.register(ort.SessionOptions())
    assert "\n" not in str(caught.value)


def test_a_fresh_process_needs_the_path_alone() -> None:
    code = (
        "import sys, onnxruntime as ort; o = ort.SessionOptions();"
        "o.register_custom_ops_library(sys.argv[1]); print('loaded')"
    )
    path = native.get_library_path()
    done = subprocess.run([sys.executable, "-c", code, path], capture_output=True, text=True)
    assert done.stdout == "loaded\n", done.stderr


def test_two_sessions_share_their_options() -> None:
    rng = np.random.default_rng(0)
    code = encode(rng.standard_normal((3, 2, 3, 3)), p_bits=4)
    x = rng.standard_normal((1, 2, 5, 5)).astype(np.float32)
    options = ort.SessionOptions()
    library.register(options)
    model = psb.psb_node("PsbConv", code, rank=4)
    sessions = [ort.InferenceSession(model, options) for _ in range(2)]
    want = conv(x, code, samples=4, seed=3)
    for session in sessions:
        psb.assert_same_bits(psb.run_psb(session, x, 4, 3), want)


@pytest.mark.skipif(sys.platform != "linux", reason="looks at glibc's heap")
def test_loading_the_library_again_leaves_nothing_behind() -> None:
    code = """
import ctypes, gc, sys, onnxruntime as ort
class Info(ctypes.Structure):
    _fields_ = [(name, ctypes.c_size_t) for name in "abcdefghij"]
libc = ctypes.CDLL(None)
libc.mallinfo2.restype = Info
def load():
    options = ort.SessionOptions()
    options.register_custom_ops_library(sys.argv[1])
    del options
    gc.collect()
def held():
    info = libc.mallinfo2()
    return info.e + info.h  # memory of its own maps, and what is in use
for _ in range(5):
    load()
before = held()
for _ in range(40):
    load()
print(held() - before)
"""
    path = native.get_library_path()
    done = subprocess.run([sys.executable, "-c", code, path], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert int(done.stdout) < 40 * 10_000  # it was 72 kB each
