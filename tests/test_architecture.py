"""Who may call whom: a room imports the rooms above it, and in it a floor those below."""

import ast
import importlib
from collections import Counter
from pathlib import Path

import pytest

import reluflow

ROOT = Path(reluflow.__file__).parent
ROOMS = [
    "errors",
    "files",
    "progress",
    "native",
    "_version",
    "frames",
    "data",
    "psb",
    "graph",
    "patterns",
    "sessions",
    "installation",
    "temperature",
    "monitoring",
    "analysis",
    "evaluation",
    "attention",
    "cells",
    "folding",
    "slimming",
    "drift",
    "edge",
    "scale",
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


FLOORS = {
    "reluflow.data": ["sources", "formats", "sets", ""],
    "reluflow.psb": [
        "_check",
        "_window",
        "activation",
        "random_bits",
        "codec",
        "sampling",
        "fixed",
        "",
    ],
    "reluflow.graph": [
        "proto",
        "view",
        "sites/forms",
        "sites",
        "rewrite",
        "rewrite/opset",
        "rewrite/windows",
        "slim",
        "spatial",
        "taps",
        "psb/forms",
        "psb",
        "psb/chain",
        "psb/chain/wide",
        "psb/variants",
        "psb/standard",
        "tuning",
        "",
    ],
    "reluflow.patterns": ["kernels", "tables", ""],
    "reluflow.temperature": ["crossing", "steps", ""],
    "reluflow.analysis": ["run", "results", ""],
    "reluflow.evaluation": [
        "answers",
        "proof",
        "result",
        "run",
        "signal_error",
        "calibrate",
        "formats",
        "widths",
        "budget",
        "timing",
        "tuning",
        "",
    ],
    "reluflow.attention": [
        "uncertainty",
        "threshold",
        "choose",
        "slices",
        "region",
        "scores",
        "judged",
        "result",
        "maps",
        "regional",
        "passes",
        "tiles",
        "video",
        "attend",
        "table",
        "",
    ],
    "reluflow.cells": [
        "plane",
        "kernels",
        "lowering",
        "regions",
        "exact",
        "",
    ],
    "reluflow.edge": [
        "program",
        "maps",
        "ends",
        "constants",
        "lowering",
        "lower",
        "run",
        "cascade",
        "options",
        "bands",
        "plan",
        "choose",
        "cost",
        "emit",
        "",
    ],
    "reluflow._api": ["outputs", "slimming", ""],
    "reluflow.report": ["files", "tables", "text", "pictures", "pages", ""],
    "reluflow.cli": [
        "_words",
        "_wrote",
        "_progress",
        "_options",
        "commands",
        "",
    ],
    "reluflow_jax": ["sites", "training", ""],
    "reluflow_torch": [
        "sites/device",
        "sites",
        "sites/hooked",
        "training/state",
        "training",
        "monitoring",
        "models",
        "networks",
        "psb",
        "zoo",
        "layers",
        "",
    ],
}
"""The floors of each room that has any, from the ground up; a file imports its own floor and those
named before it. "" is the room's own folder."""

MOST_FILES = 15
"""Files of code in one folder that a reader still takes in at a glance."""


def folder_of(room: str) -> Path:
    if room.partition(".")[0] == "reluflow":
        return Path(importlib.import_module(room).__file__ or "").parent
    return Path(__file__).parents[1] / "exporters" / room  # its framework may not be installed


def floor_of(parts: tuple[str, ...], floors: list[str]) -> str:
    """Return the innermost floor of a module or folder, given its names below the room."""
    for length in range(len(parts), 0, -1):
        if (name := "/".join(parts[:length])) in floors:
            return name
    return ""


def modules_imported(path: Path) -> set[str]:
    """Return what a file imports, `from package import module` taken for the module."""
    names = imported(path)
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.ImportFrom):
            names.update(f"{node.module}.{alias.name}" for alias in node.names)
    return names


def floors_imported(path: Path, room: str) -> set[str]:
    """Return the floors of its own room that a file imports from."""
    found = set()
    for name in modules_imported(path):
        parts = tuple(name.removeprefix(f"{room}.").split("."))
        at = folder_of(room).joinpath(*parts)
        if name.startswith(f"{room}.") and (at.with_suffix(".py").is_file() or at.is_dir()):
            found.add(floor_of(parts, FLOORS[room]))
    return found


@pytest.mark.parametrize("room", FLOORS)
def test_a_file_imports_only_floors_below_its_own(room: str) -> None:
    floors = FLOORS[room]
    arrows = 0
    for path in sorted(folder_of(room).rglob("*.py")):
        relative = path.relative_to(folder_of(room)).with_suffix("")
        own = floor_of(relative.parts, floors)
        for other in floors_imported(path, room) - {own}:
            arrows += 1
            order = f"{room}/{relative} stands on {own or 'the top'!r} and imports {other!r}"
            assert floors.index(other) < floors.index(own), order
    assert arrows, f"{room} was not read"


@pytest.mark.parametrize("room", FLOORS)
def test_every_folder_of_a_room_is_a_floor(room: str) -> None:
    root = folder_of(room)
    folders = {path.parent.relative_to(root).as_posix() for path in root.rglob("*.py")} - {"."}
    listed = {name for name in FLOORS[room] if name and (root / name).is_dir()}
    assert folders == listed
    for name in set(FLOORS[room]) - listed - {""}:
        assert (root / f"{name}.py").is_file(), f"{room} has no {name}"


def test_a_room_with_folders_has_floors() -> None:
    for room in ROOMS:
        if [path for path in (ROOT / room).rglob("*.py") if path.parent != ROOT / room]:
            assert f"reluflow.{room}" in FLOORS, room


@pytest.mark.parametrize("top", ["toolkit", "exporters", "tests", "benchmarks"])
def test_no_folder_holds_more_code_than_a_glance_takes_in(top: str) -> None:
    root = Path(__file__).parents[1] / top
    counts = Counter(
        path.parent
        for path in root.rglob("*")
        if path.suffix in {".py", ".cpp", ".h"} and path.is_file()
    )
    assert counts
    crowded = {str(folder): n for folder, n in counts.items() if n > MOST_FILES}
    assert not crowded


def path_changes(code: str) -> list[int]:
    """Return the lines of a script that change where Python looks for modules."""
    lines = []
    for node in ast.walk(ast.parse(code)):
        changed: list[ast.expr] = []
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute):
            changed = [node.func.value] if node.func.attr in {"append", "insert", "extend"} else []
        elif isinstance(node, ast.Assign | ast.AugAssign):
            changed = node.targets if isinstance(node, ast.Assign) else [node.target]
        bare = [each.value if isinstance(each, ast.Subscript) else each for each in changed]
        lines += [each.lineno for each in bare if ast.unparse(each) == "sys.path"]
    return lines


@pytest.mark.parametrize("top", ["toolkit", "exporters", "tests", "benchmarks", "models"])
def test_no_script_changes_where_modules_are_looked_for(top: str) -> None:
    scripts = sorted((Path(__file__).parents[1] / top).rglob("*.py"))
    assert scripts
    found = {str(path): path_changes(path.read_text(encoding="utf-8")) for path in scripts}
    assert {path: lines for path, lines in found.items() if lines} == {}


@pytest.mark.parametrize(
    "code",
    [
        "sys.path.insert(0, 'x')",
        "sys.path.append('x')",
        "sys.path[:0] = ['x']",
        "sys.path += ['x']",
        "sys.path = ['x', *sys.path]",
    ],
)
def test_each_way_of_changing_it_is_seen(code: str) -> None:
    assert path_changes(f"import sys\n{code}") == [2]
    assert path_changes("import sys\nprint(sys.path[0], ':'.join(sys.path))") == []
