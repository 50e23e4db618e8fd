"""The bans of imports hold in every room, and each room may use what it is for."""

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
BESIDE = Path(sys.executable).with_name("ruff")
RUFF = BESIDE if BESIDE.exists() else shutil.which("ruff")
FRAMEWORKS = {"torch", "jax", "keras", "sklearn", "tensorflow"}
FILE_LIBRARIES = {"onnx", "onnx_ir", "onnx_graphsurgeon"}
ALL = FRAMEWORKS | FILE_LIBRARIES | {"onnxruntime"}
MAY_USE = {
    "toolkit/reluflow/graph": FILE_LIBRARIES,
    "toolkit/reluflow/sessions": {"onnxruntime"},
    "exporters/reluflow_jax": {"jax"},
    "exporters/reluflow_keras": {"keras"},
    "exporters/reluflow_sklearn": {"sklearn"},
    "exporters/reluflow_torch": {"torch"},
}
"""What a room may import of these libraries; nothing where it is not listed."""

SELECT = ("check", "--select=TID251", "--output-format=concise", "--quiet")
FOLDERS = sorted(
    {
        path.parent.relative_to(ROOT).as_posix()
        for top in ("toolkit/reluflow", "exporters")
        for path in (ROOT / top).rglob("*.py")
    }
)
FORMS = (
    "import {name}",
    "import {name}.part as x",
    "from {name} import x",
    "def f():\n import {name}",
)


def banned(folder: str, code: str) -> int:
    """Return how often ruff finds a banned import in a file of this folder."""
    done = subprocess.run(
        [str(RUFF), *SELECT, "--stdin-filename", str(ROOT / folder / "tried.py"), "-"],
        input=code,
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode in (0, 1), done.stderr
    return done.stdout.count("TID251")


def allowed(folder: str) -> set[str]:
    return next(
        (names for room, names in MAY_USE.items() if f"{folder}/".startswith(f"{room}/")), set()
    )


@pytest.mark.parametrize("folder", FOLDERS)
def test_what_a_room_may_not_use_is_banned_in_every_form(folder: str) -> None:
    for name in sorted(ALL - allowed(folder)):
        code = "\n".join(form.format(name=name) for form in FORMS)
        assert banned(folder, code) == len(FORMS), f"{name} in {folder}"


@pytest.mark.parametrize("folder", FOLDERS)
def test_what_a_room_is_for_is_not_banned(folder: str) -> None:
    code = "\n".join(f"import {name}" for name in sorted({"numpy", *allowed(folder)}))
    assert banned(folder, code) == 0
