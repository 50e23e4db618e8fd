"""Who may call whom: a room imports the rooms above it, never below."""

import ast
from pathlib import Path

import pytest

import reluflow

ROOT = Path(reluflow.__file__).parent
ROOMS = [
    "errors",
    "files",
    "progress",
    "_version",
    "data",
    "psb",
    "graph",
    "patterns",
    "sessions",
    "temperature",
    "analysis",
    "evaluation",
    "report",
    "_api",
    "cli",
]
FILES = sorted(ROOT.rglob("*.py"))
FRAMEWORKS = {"torch", "jax", "keras", "tensorflow", "sklearn"}
BRIDGES = sorted(
    path for path in (Path(__file__).parents[1] / "exporters").iterdir() if path.is_dir()
)


def imported(path: Path) -> set[str]:
    names: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            names.update(alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path} has a relative import"
            names.add(node.module or "")
    return names


def room_of(path: Path) -> str:
    first = path.relative_to(ROOT).parts[0]
    return first.removesuffix(".py")


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(ROOT)))
def test_a_file_imports_only_rooms_above_its_own(path: Path) -> None:
    room = room_of(path)
    if room in ("__init__", "__main__"):
        return
    for name in imported(path):
        if name.startswith("reluflow."):
            other = name.split(".")[1]
            assert ROOMS.index(other) <= ROOMS.index(room), f"{room} imports {name}"


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(ROOT)))
def test_each_library_stays_in_its_room(path: Path) -> None:
    tops = {name.split(".")[0] for name in imported(path)}
    assert not tops & FRAMEWORKS
    if room_of(path) != "graph":
        assert not tops & {"onnx", "onnx_graphsurgeon"}
    if room_of(path) != "sessions":
        assert "onnxruntime" not in tops


@pytest.mark.parametrize("bridge", BRIDGES, ids=lambda path: path.name)
def test_a_bridge_knows_its_framework_and_no_other_bridge(bridge: Path) -> None:
    own = bridge.name.removeprefix("reluflow_")
    others = {path.name for path in BRIDGES} - {bridge.name}
    for path in bridge.rglob("*.py"):
        tops = {name.split(".")[0] for name in imported(path)}
        assert not tops & (FRAMEWORKS - {own}), path
        assert not tops & (others | {"onnx", "onnxruntime", "onnx_graphsurgeon"}), path


def test_the_toolkit_knows_no_bridge() -> None:
    names = {bridge.name for bridge in BRIDGES}
    assert names
    for path in FILES:
        assert not {name.split(".")[0] for name in imported(path)} & names, path
