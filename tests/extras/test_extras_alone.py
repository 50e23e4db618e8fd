"""Each extra in an environment of its own, with nothing else: its users train, export and convert.

It downloads gigabytes and takes minutes an extra: only `make test-extras` runs it.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
USERS = Path(__file__).with_name("users")
DATA = ROOT / "models" / "fashion_mnist_test_2000.npz"
SHIPPED = ROOT / "models" / "fashion_resnet8.onnx"
pytestmark = [
    pytest.mark.slow,
    pytest.mark.timeout(3600),
    pytest.mark.skipif(
        os.environ.get("RELUFLOW_LONG_TESTS") != "1", reason="make test-extras runs it"
    ),
]


@dataclass(frozen=True)
class Use:
    """What a user installs, which script of `users` they run, and what comes of it."""

    extras: str
    units: tuple[int, ...]
    installed: tuple[str, ...]
    """Of the frameworks and packages that other extras bring."""
    accuracy: float = 0.75
    distance: float = 0.1
    backend: str = ""


RESNET8 = (16, 16, 16, 32, 32, 64, 64)
JAX = ("equinox", "flax", "jax", "onnx_ir")
USES = {
    "jax": Use("jax", (64, 32), JAX),
    "keras": Use("keras,jax", (8, 32), (*JAX[:3], "keras", "onnx_ir"), backend="jax"),
    "sklearn": Use("sklearn", (32, 16), ("sklearn",)),
    "ir": Use("ir", RESNET8, ("onnx_ir",), 0.85, 0.0),
    "graphsurgeon": Use("graphsurgeon", RESNET8, ("onnx_graphsurgeon",), 0.85, 0.0),
}


def tried(*command: object, **variables: str) -> subprocess.CompletedProcess[str]:
    """Run a command without what Python and Keras take from this environment and its user."""
    ours = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith(("PYTHON", "KERAS_"))
    }
    ours |= {"PYTHONNOUSERSITE": "1", "PIP_CONSTRAINT": str(ROOT / "constraints.txt"), **variables}
    words = [str(each) for each in command]
    return subprocess.run(words, env=ours, capture_output=True, text=True)


def run(*command: object, **variables: str) -> str:
    """Return what a command prints that has to succeed."""
    done = tried(*command, **variables)
    assert done.returncode == 0, f"{command}\n{done.stdout[-3000:]}\n{done.stderr[-6000:]}"
    return done.stdout


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The project's wheel: the one that RELUFLOW_WHEEL names, else a new one."""
    if "RELUFLOW_WHEEL" in os.environ:
        return Path(os.environ["RELUFLOW_WHEEL"])
    folder = tmp_path_factory.mktemp("wheel")
    run(sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "-w", folder, ROOT)
    (made,) = folder.glob("reluflow-*.whl")
    return made


def environment(folder: Path, wheel: Path, extras: str) -> Path:
    """Return the Python of a new environment with the extras, whose packages fit together."""
    run(sys.executable, "-m", "venv", folder)
    python = folder / "bin" / "python"
    run(python, "-m", "pip", "install", "--quiet", f"{wheel}[{extras}]")
    run(python, "-m", "pip", "check")
    return python


@pytest.mark.parametrize("extra", USES)
def test_an_extra_is_all_that_its_users_need(extra: str, wheel: Path, tmp_path: Path) -> None:
    use, folder = USES[extra], tmp_path / "made"
    folder.mkdir()
    shutil.copy(SHIPPED, folder / "early.onnx")  # for those who train nothing
    python = environment(tmp_path / "venv", wheel, use.extras)
    keras = {"KERAS_HOME": str(tmp_path), "KERAS_BACKEND": use.backend} if use.backend else {}
    run(python, "-I", USERS / f"{extra}_user.py", DATA, folder, **keras)
    own = folder / "data.npz"
    data = own if own.exists() else DATA
    found = json.loads(run(python, "-I", USERS / "anyone.py", data, folder))
    shutil.rmtree(tmp_path / "venv")  # a gigabyte
    print(extra, found)
    assert found["units"] == list(use.units)
    assert sorted(found["installed"]) == sorted(use.installed)
    assert found["float"] > use.accuracy
    assert found["shift_adds"] > found["float"] - 0.03
    assert found["distance"] >= use.distance


def test_keras_without_a_backend_says_what_to_install(wheel: Path, tmp_path: Path) -> None:
    python = environment(tmp_path / "venv", wheel, "keras")
    done = tried(python, "-I", "-c", "import reluflow_keras", KERAS_HOME=str(tmp_path))
    shutil.rmtree(tmp_path / "venv")
    assert done.returncode == 1
    last = done.stderr.splitlines()[-1]
    assert last.startswith("ImportError: Keras cannot import its backend")
    assert "install jax, torch or tensorflow beside it" in last
