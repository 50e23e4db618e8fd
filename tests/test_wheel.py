"""The wheel that people install: with and without a compiler, and the demo out of it."""

from __future__ import annotations

import os
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
BUILD = "import sys; from scikit_build_core.build import build_wheel; build_wheel(sys.argv[1])"


@pytest.fixture(scope="module")
def pure(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A wheel built where the C++ compiler is missing, from the files that git knows."""
    base = tmp_path_factory.mktemp("wheel")
    listed = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, check=True)
    source = base / "source"
    for name in filter(None, listed.stdout.decode().split("\0")):
        if name.startswith(("toolkit/", "exporters/reluflow", "runtime/", "models/")) or (
            "/" not in name
        ):
            (source / name).parent.mkdir(parents=True, exist_ok=True)
            (source / name).write_bytes((ROOT / name).read_bytes())
    environment = {**os.environ, "CXX": str(base / "no-such-compiler")}
    done = subprocess.run(
        [sys.executable, "-c", BUILD, str(base)],
        cwd=source,
        env=environment,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    assert "built without its native library" in done.stdout + done.stderr
    (wheel,) = base.glob("*.whl")
    return wheel


def test_without_a_compiler_the_wheel_is_pure(pure: Path) -> None:
    assert pure.name.endswith("-py3-none-any.whl")
    with zipfile.ZipFile(pure) as held:
        assert not [name for name in held.namelist() if name.endswith((".so", ".dll"))]


def test_files_that_are_no_code_are_in_the_wheel(pure: Path) -> None:
    with zipfile.ZipFile(pure) as held:
        names = set(held.namelist())
    beside = ("*.onnxtxt", "*.j2", "*.css", "*.js", "py.typed")
    wanted = {
        str(path.relative_to(ROOT / "toolkit"))
        for ending in beside
        for path in (ROOT / "toolkit").rglob(ending)
    }
    assert any(name.endswith("PsbConv.onnxtxt") for name in wanted)
    assert wanted <= names


def test_the_demo_runs_out_of_the_wheel_alone(pure: Path, tmp_path: Path) -> None:
    packages = tmp_path / "packages"
    with zipfile.ZipFile(pure) as held:
        held.extractall(packages)
    here = tmp_path / "here"
    here.mkdir()
    code = (
        "import sys; sys.path.insert(0, sys.argv.pop(1)); import reluflow.cli as cli; "
        "print(cli.__file__); sys.exit(cli.main())"
    )
    done = subprocess.run(
        [sys.executable, "-P", "-c", code, str(packages), "demo"],
        cwd=here,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith(str(packages))
    assert (here / "demo-report" / "report.html").is_file()


def test_the_kernels_of_edge_projects_are_in_the_wheel(pure: Path) -> None:
    with zipfile.ZipFile(pure) as held:
        names = set(held.namelist())
    kernels = [path.name for path in (ROOT / "runtime" / "edge").iterdir()]
    assert len(kernels) > 8
    assert {f"reluflow/edge/kernels/{name}" for name in kernels} <= names
