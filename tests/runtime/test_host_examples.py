"""The example hosts: three languages, one file, the same numbers."""

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import onnxruntime as ort
import pytest

from reluflow.graph import PsbOptions, load, to_psb
from reluflow.sessions import get_library_path, open_session

ROOT = Path(__file__).parents[2]
EXAMPLES = ROOT / "runtime" / "examples"
HOSTS = ["host.py", "host_c", "host_cpp"]
PRECISIONS = [1, 4, 16, 0]
STRICT = ["-O1", "-Wall", "-Wextra", "-pedantic", "-Werror"]
BUILDS = {
    "host_c": (["cc", "-std=c99"], "host.c"),
    "host_cpp": (["c++", "-std=c++17"], "host.cpp"),
}


@dataclass(frozen=True)
class Files:
    """What a host is given, and where the built hosts are."""

    folder: Path
    model: Path
    input: Path

    def command(self, host: str, **changed: Path) -> list[str]:
        """Return a host's command line; `changed` replaces a path by its role."""
        roles = {
            "runtime": _onnxruntime(),
            "library": Path(get_library_path()),
            "model": self.model,
            "input": self.input,
        } | changed
        if host == "host.py":
            start = [sys.executable, str(EXAMPLES / host)]
            del roles["runtime"]
        else:
            start = [str(self.folder / host)]
        return [*start, *map(str, roles.values())]


def _onnxruntime() -> Path:
    """Return the shared library that the onnxruntime wheel ships."""
    found = sorted((Path(ort.__file__).parent / "capi").glob("libonnxruntime.so*"))
    if not found:
        pytest.skip("this onnxruntime wheel ships no libonnxruntime.so")
    return found[0]


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Files]:
    folder = tmp_path_factory.mktemp("hosts")
    for name, (compiler, source) in BUILDS.items():
        if shutil.which(compiler[0]) is None:
            pytest.skip(f"there is no compiler {compiler[0]}")
        build = [*compiler, *STRICT, str(EXAMPLES / source), "-o", str(folder / name), "-ldl"]
        done = subprocess.run(build, capture_output=True, text=True)
        assert done.returncode == 0, done.stderr
    made = Files(folder, folder / "psb.onnx", folder / "input.f32")
    float_model = load(ROOT / "models" / "fashion_resnet8.onnx")
    to_psb(float_model, PsbOptions(p_bits=4)).model.save(made.model)
    _image().tofile(made.input)
    yield made


def _image() -> np.ndarray:
    with np.load(ROOT / "models" / "fashion_mnist_test_2000.npz") as arrays:
        return arrays["image"][:1]


def run(command: list[str]) -> subprocess.CompletedProcess[str]:
    return subprocess.run(command, capture_output=True, text=True, timeout=60)


def numbers(output: str) -> dict[int, np.ndarray]:
    """Read a host's lines `samples N: y ...`; nine digits give the float32 back."""
    found = {}
    for line in output.splitlines():
        label, values = line.split(":")
        found[int(label.removeprefix("samples "))] = np.array(values.split(), np.float32)
    return found


@pytest.mark.parametrize("host", HOSTS)
def test_a_host_prints_what_the_toolkit_computes(files: Files, host: str) -> None:
    done = run(files.command(host))
    assert (done.returncode, done.stderr) == (0, "")
    got = numbers(done.stdout)
    assert list(got) == PRECISIONS
    session = open_session(load(files.model), outputs=("logits",))
    for samples in PRECISIONS:
        feeds = {"samples": np.array(samples, np.int64), "seed": np.array(7, np.int64)}
        want = session.run({"image": _image(), **feeds})[0].ravel()
        np.testing.assert_array_equal(got[samples].view(np.uint32), want.view(np.uint32))


def test_the_hosts_print_the_same(files: Files) -> None:
    printed = [run(files.command(host)).stdout for host in HOSTS]
    assert printed[0] == printed[1] == printed[2]
    got = numbers(printed[0])
    assert not np.array_equal(got[1], got[0])  # the precision reaches the operators


MISTAKES = [
    ("library", "load the library"),
    ("model", "load the model"),
    ("input", "read"),
    ("runtime", "load ONNX Runtime"),
]


@pytest.mark.parametrize(("role", "doing"), MISTAKES)
@pytest.mark.parametrize("host", HOSTS)
def test_a_missing_file_is_one_sentence(files: Files, host: str, role: str, doing: str) -> None:
    if (host, role) == ("host.py", "runtime"):
        pytest.skip("Python imports its ONNX Runtime")
    done = run(files.command(host, **{role: Path("/nowhere/file")}))
    check_refusal(done, f"{host}: cannot {doing} '/nowhere/file': ")


@pytest.mark.parametrize("host", HOSTS)
def test_an_input_of_another_size_is_one_sentence(files: Files, host: str, tmp_path: Path) -> None:
    for size in (783, 785):
        other = tmp_path / f"{size}.f32"
        np.zeros(size, np.float32).tofile(other)
        check_refusal(run(files.command(host, input=other)), f"{host}: cannot read '{other}': ")


@pytest.mark.parametrize("host", HOSTS)
def test_a_run_that_fails_is_one_sentence(files: Files, host: str) -> None:
    model = ROOT / "models" / "fashion_resnet8.onnx"  # it has no input `samples`
    done = run(files.command(host, model=model))
    check_refusal(done, f"{host}: cannot compute ")


@pytest.mark.parametrize("host", HOSTS)
def test_a_host_without_arguments_says_what_to_give(files: Files, host: str) -> None:
    start = files.command(host)[: 2 if host == "host.py" else 1]
    check_refusal(run(start), f"{host}: cannot start")


def check_refusal(done: subprocess.CompletedProcess[str], start: str) -> None:
    """Fail unless a host ended with code 2, no output and one sentence."""
    assert done.returncode == 2, done.stderr
    assert done.stdout == ""
    assert done.stderr.startswith(start)
    assert done.stderr.endswith(".\n") and not done.stderr.endswith("..\n")
    assert done.stderr.count("\n") == 1


def test_cmake_builds_the_hosts_on_request(tmp_path: Path) -> None:
    if shutil.which("cmake") is None:
        pytest.skip("there is no cmake")
    options = ["-DRELUFLOW_EXAMPLES=ON", "-DRELUFLOW_TESTS=OFF"]
    configure = ["cmake", "-S", str(ROOT / "runtime"), "-B", str(tmp_path), *options]
    build = ["cmake", "--build", str(tmp_path), "--target", "host_c", "host_cpp"]
    for command in (configure, build):
        done = run(command)
        assert done.returncode == 0, done.stdout + done.stderr
    for host in ("host_c", "host_cpp"):
        assert os.access(tmp_path / "examples" / host, os.X_OK)
