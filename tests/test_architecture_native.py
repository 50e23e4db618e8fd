"""Which folder of the native code may include which: itself and the floors below it."""

import re
from pathlib import Path

import pytest

RUNTIME = Path(__file__).parents[1] / "runtime"
SOURCE = RUNTIME / "src"
MOST_FILES = 15
# From the ground up. Folders of one floor do not know each other.
FLOORS = [
    {"base", "counts"},
    {"host", "spec"},
    {"kernels"},
    {"kernels/portable"},
    {"kernels/avx2", "kernels/neon"},
    {"kernels/avx512", "kernels/dotprod"},
    {"kernels/i8mm"},
    {"hash", "weights"},
    {"grid"},
    {"bytes", "fixed", "fixed16", "inputs", "shorts"},
    {"sums"},
    {"ops/region"},
    {"ops/psb"},
    {"ops/fixed"},
    {"ops/fixed16", "ops/products"},
    {"ops"},
]
RANK = {folder: floor for floor, folders in enumerate(FLOORS) for folder in folders}
FILES = sorted(path for path in SOURCE.rglob("*") if path.is_file())
INCLUDE = re.compile(r'^\s*#\s*include\s*"([^"]+)"', re.MULTILINE)


def folder_of(path: Path) -> str:
    return path.parent.relative_to(SOURCE).as_posix()


def wrong_include(folder: str, included: str) -> str | None:
    """Why a file of `folder` may not include `included`, a path from `src/`; None if it may."""
    target = Path(included).parent.as_posix()
    if target not in RANK:
        return f"{included} is not written as a path from runtime/src"
    if target != folder and RANK[target] >= RANK[folder]:
        return f"{folder} is on floor {RANK[folder]}, {target} on floor {RANK[target]}"
    return None


def own_includes(path: Path) -> list[str]:
    """The quoted includes of a file, but for the ABI, which is part of the public `include/`."""
    found = INCLUDE.findall(path.read_text(encoding="utf-8"))
    return [name for name in found if not (RUNTIME / "include" / name).is_file()]


@pytest.mark.parametrize(
    ("folder", "included", "reason"),
    [
        ("base", "sums/gemm.h", "base is on floor 0, sums on floor 10"),
        ("hash", "weights/lanes.h", "hash is on floor 7, weights on floor 7"),
        ("kernels", "kernels/avx2/blocked_hash_body.h", "kernels is on floor 2"),
        ("sums", "gemm.h", "not written as a path from runtime/src"),
        ("sums", "../weights/lanes.h", "not written as a path from runtime/src"),
    ],
)
def test_an_include_against_the_order_is_seen(folder: str, included: str, reason: str) -> None:
    assert reason in str(wrong_include(folder, included))


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(SOURCE)))
def test_a_file_includes_only_its_own_and_lower_floors(path: Path) -> None:
    for name in own_includes(path):
        assert (SOURCE / name).is_file(), f"{path} includes {name}, which is not there"
        assert not wrong_include(folder_of(path), name)


def test_each_folder_has_a_floor_and_few_files() -> None:
    sizes = {folder: 0 for folder in RANK}
    for path in FILES:
        sizes[folder_of(path)] += 1  # a KeyError names a folder without a floor
    assert all(0 < size <= MOST_FILES for size in sizes.values()), sizes


@pytest.mark.parametrize("folder", ["tests", "tests/support", "examples", "include/reluflow"])
def test_the_other_folders_have_few_files(folder: str) -> None:
    assert 0 < len(list((RUNTIME / folder).iterdir())) <= MOST_FILES


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(SOURCE)))
def test_a_header_is_guarded_by_its_path(path: Path) -> None:
    assert path.suffix in {".h", ".cpp"}
    if path.suffix == ".h":
        guard = "RELUFLOW_" + re.sub(r"[/.]", "_", path.relative_to(SOURCE).as_posix()).upper()
        text = path.read_text(encoding="utf-8")
        assert text.count(f"#ifndef {guard}\n#define {guard}\n") == 1
        assert text.rstrip().endswith("#endif")


def test_a_body_has_internal_linkage_and_no_standard_library() -> None:
    bodies = [path for path in FILES if path.name.endswith("_body.h")]
    assert bodies
    for path in bodies:
        text = path.read_text(encoding="utf-8")
        assert "namespace {\n" in text, path
        assert not re.search(r"\bstd::", text), path
        included = set(re.findall(r"#include <(\w+(?:\.h)?)>", text))
        assert included <= {"arm_neon.h", "cstdint", "immintrin.h"}


def test_every_source_is_built() -> None:
    listed = (RUNTIME / "CMakeLists.txt").read_text(encoding="utf-8")
    for path in FILES:
        if path.suffix == ".cpp":
            assert f"src/{path.relative_to(SOURCE).as_posix()}" in listed


def test_the_tests_include_by_paths_too() -> None:
    tests = RUNTIME / "tests"
    helpers = {path.relative_to(tests).as_posix() for path in tests.rglob("*.h")}
    for path in filter(Path.is_file, tests.rglob("*")):
        for name in set(own_includes(path)) - helpers:
            assert (SOURCE / name).is_file(), f"{path} includes {name}"
