"""The native library as other programs find it: installed, with CMake and with pkg-config."""

from __future__ import annotations

import fcntl
import os
import re
import shutil
import subprocess
from pathlib import Path

import onnxruntime as ort
import pytest

import reluflow
from reluflow.graph import PsbOptions, load, to_psb

ROOT = Path(__file__).parents[3]
RUNTIME = ROOT / "runtime"
LINKED = RUNTIME / "examples" / "linked"
HEADERS = RUNTIME / "include" / "reluflow"
BUILD = ROOT / "build" / "installed"
STRICT = ["-std=c99", "-Wall", "-Wextra", "-pedantic", "-Werror"]

pytestmark = pytest.mark.timeout(900)  # a whole build


def run(
    command: list[str], environment: dict[str, str] | None = None
) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        command, capture_output=True, text=True, env=os.environ | (environment or {})
    )


def done(command: list[str], environment: dict[str, str] | None = None) -> str:
    """What a command that must succeed prints."""
    result = run(command, environment)
    assert result.returncode == 0, result.stdout + result.stderr
    return result.stdout


def named_operators() -> dict[str, int]:
    text = (HEADERS / "operators.h").read_text(encoding="utf-8")
    return {name: int(version) for name, version in re.findall(r"X\((\w+), (\d+)\)", text)}


@pytest.fixture(scope="module")
def prefix(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A prefix where the library was installed, and moved afterwards.

    Built with few optimisations: how fast it is does not matter here. The build is kept, and one
    process at a time works in it.
    """
    for tool in ("cmake", "cc", "c++"):
        if shutil.which(tool) is None:
            pytest.skip(f"there is no {tool}")
    base = tmp_path_factory.mktemp("installed")
    options = ["-DRELUFLOW_TESTS=OFF", "-DCMAKE_CXX_FLAGS_RELEASE=-O1"]
    options += [f"-DCMAKE_INSTALL_PREFIX={base / 'first'}", "-DCMAKE_INSTALL_LIBDIR=lib"]
    BUILD.mkdir(parents=True, exist_ok=True)
    with (BUILD / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        done(["cmake", "-S", str(RUNTIME), "-B", str(BUILD), *options])
        done(["cmake", "--build", str(BUILD), "-j", "2", "--target", "reluflow"])
        done(["cmake", "--install", str(BUILD)])
    shutil.move(base / "first", base / "second")
    return base / "second"


def check_program(program: Path, prefix: Path, tmp_path: Path) -> None:
    """Fail unless a program that links the library prints what it must, and opens a model."""
    library = {"LD_LIBRARY_PATH": str(prefix / "lib")}
    first, *lines = done([str(program)], library).splitlines()
    assert first == f"reluflow {reluflow.__version__}"
    names = {line.split()[1]: int(line.split()[2]) for line in lines[:-2]}
    assert names == named_operators()
    assert lines[-2:] == ["sample 0: 17 34", "sample 1: 4 8"]
    found = sorted((Path(ort.__file__).parent / "capi").glob("libonnxruntime.so*"))
    if not found:
        pytest.skip("this onnxruntime wheel ships no libonnxruntime.so")
    model = tmp_path / "psb.onnx"
    float_model = load(ROOT / "models" / "fashion_resnet8.onnx")
    to_psb(float_model, PsbOptions(p_bits=4)).model.save(model)
    assert done([str(program), str(found[0]), str(model)], library) == f"{model} opens\n"
    bad = run([str(program), str(found[0]), "/nowhere/model.onnx"], library)
    assert (bad.returncode, bad.stdout) == (2, "")
    assert bad.stderr.startswith("linked: cannot load the model: ")


def test_a_program_finds_it_with_cmake(prefix: Path, tmp_path: Path) -> None:
    build = tmp_path / "build"
    done(["cmake", "-S", str(LINKED), "-B", str(build), f"-DCMAKE_PREFIX_PATH={prefix}"])
    done(["cmake", "--build", str(build)])
    check_program(build / "linked", prefix, tmp_path)


def test_a_program_finds_it_with_pkg_config(prefix: Path, tmp_path: Path) -> None:
    if shutil.which("pkg-config") is None:
        pytest.skip("there is no pkg-config")
    where = {"PKG_CONFIG_PATH": str(prefix / "lib" / "pkgconfig")}
    assert done(["pkg-config", "--modversion", "reluflow"], where).strip() == reluflow.__version__
    flags = done(["pkg-config", "--cflags", "--libs", "reluflow"], where).split()
    source, program = str(LINKED / "linked.c"), tmp_path / "linked"
    done(["cc", *STRICT, source, *flags, "-ldl", "-o", str(program)])
    check_program(program, prefix, tmp_path)


def test_another_minor_version_is_not_found(prefix: Path, tmp_path: Path) -> None:
    (tmp_path / "CMakeLists.txt").write_text(
        "cmake_minimum_required(VERSION 3.20)\nproject(other LANGUAGES C)\n"
        "find_package(reluflow 0.9 REQUIRED)\n"
    )
    command = ["cmake", "-S", str(tmp_path), "-B", str(tmp_path / "build")]
    refused = run([*command, f"-DCMAKE_PREFIX_PATH={prefix}"])
    assert refused.returncode != 0
    assert f"version: {reluflow.__version__}" in refused.stderr


def test_the_library_is_versioned_and_exports_what_its_headers_say(prefix: Path) -> None:
    major = reluflow.__version__.split(".")[0]
    files = sorted(path.name for path in (prefix / "lib").glob("libreluflow.so*"))
    assert files == [
        "libreluflow.so",
        f"libreluflow.so.{major}",
        f"libreluflow.so.{reluflow.__version__}",
    ]
    if shutil.which("nm") is None:
        pytest.skip("there is no nm")
    symbols = done(["nm", "-D", "--defined-only", str(prefix / "lib" / "libreluflow.so")])
    exported = {line.split()[-1] for line in symbols.splitlines()}
    texts = [path.read_text(encoding="utf-8") for path in (prefix / "include").rglob("*.h")]
    declared = set(re.findall(r"\b(reluflow_\w+_v\d+|RegisterCustomOps)\(", "\n".join(texts)))
    assert declared == {name for name in exported if not name.startswith("_")}


def test_the_native_version_is_that_of_the_package() -> None:
    text = (HEADERS / "version.h").read_text(encoding="utf-8")
    assert f'#define RELUFLOW_VERSION "{reluflow.__version__}"' in text
