"""The examples of docs/extending.md run as they stand there.

A block names its file. A Python file becomes the module of that name; a block "in FILE" runs in
that module, as an addition to it; a file of tests is run by pytest; C++ is compiled and loaded.
"""

from __future__ import annotations

import ast
import importlib
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import pytest
from jinja2 import ChoiceLoader, FileSystemLoader

from reluflow.graph.sites.forms import ops
from reluflow.report.pages.rendering import environment

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "extending.md").read_text(encoding="utf-8")
BLOCK = re.compile(r'^```(\w+) title="(.+?)"\n(.*?)^```$', re.M | re.S)
RUNTIME = ROOT / "runtime"


def section(title: str) -> dict[str, str]:
    """Return the blocks of a section by the file that each names."""
    (text,) = re.findall(rf"^## {title}\n(.*?)(?=^## |\Z)", PAGE, re.M | re.S)
    return {name: code for _, name, code in BLOCK.findall(text)}


def dotted(path: str) -> str:
    name = path.removeprefix("toolkit/").removeprefix("exporters/").removesuffix(".py")
    return name.removesuffix("/__init__").replace("/", ".")


def install(blocks: dict[str, str], monkeypatch: pytest.MonkeyPatch) -> None:
    """Make modules of the blocks that are Python and no tests."""
    for path, code in blocks.items():
        if path.startswith("in "):
            module = importlib.import_module(dotted(path.removeprefix("in ")))
            exec(compile(code, path, "exec"), vars(module))
        elif path.endswith(".py") and not path.startswith("tests/"):
            assert not (ROOT / path).exists(), f"{path} is there already"
            module = ModuleType(dotted(path))
            monkeypatch.setitem(sys.modules, module.__name__, module)
            exec(compile(code, path, "exec"), vars(module))


def run_tests(blocks: dict[str, str], folder: Path) -> None:
    """Run the block that is a file of tests, in this process."""
    (path,) = (path for path in blocks if path.startswith("tests/"))
    file = folder / Path(path).name
    file.write_text(blocks[path], encoding="utf-8")
    assert len(re.findall(r"^def test_", blocks[path], re.M)) >= 1
    options = ["-q", "-p", "no:cacheprovider", "-p", "no:xdist", "-c", str(ROOT / "pyproject.toml")]
    assert pytest.main([*options, "--rootdir", str(folder), str(file)]) == pytest.ExitCode.OK


@pytest.fixture(autouse=True)
def tables_as_before() -> Iterator[None]:
    """Put the table of forms back, with the name that the page's line imported."""
    before, names = dict(ops.DIRECT), set(vars(ops))
    yield
    ops.DIRECT.clear()
    ops.DIRECT.update(before)
    for name in set(vars(ops)) - names:
        delattr(ops, name)


@pytest.mark.parametrize("title", ["A form of switch site", "A rewrite", "A bridge to a framework"])
def test_an_addition_in_python(title: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    blocks = section(title)
    install(blocks, monkeypatch)
    run_tests(blocks, tmp_path)


def test_a_page(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    blocks = section("A page of a report")
    (template,) = (path for path in blocks if path.endswith(".html.j2"))
    (tmp_path / Path(template).name).write_text(blocks[template], encoding="utf-8")
    loader = environment().loader
    assert loader is not None
    both = ChoiceLoader([FileSystemLoader(tmp_path), loader])
    monkeypatch.setattr(environment(), "loader", both)
    install(blocks, monkeypatch)
    run_tests(blocks, tmp_path)


def test_an_operator(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    if shutil.which("c++") is None:
        pytest.skip("no C++ compiler is installed")
    blocks = section("An operator with a kernel")
    (header,) = (path for path in blocks if path.endswith(".h"))
    (tmp_path / Path(header).name).write_text(blocks[header], encoding="utf-8")
    library = compile_alone(Path(header).name, blocks[header], tmp_path)
    monkeypatch.setenv("RELUFLOW_LIBRARY", str(library))
    run_tests(blocks, tmp_path)


def compile_alone(header: str, code: str, folder: Path) -> Path:
    """Build a library of the page's operator alone, registered as all others are."""
    (name,) = re.findall(r'kName = "(\w+)"', code)
    (register,) = RUNTIME.rglob("src/**/register.cpp")
    text = register.read_text(encoding="utf-8")
    text = re.sub(r'#include "(?:[\w/]+/)?op_(?!adapter)\w+\.h"\n', "", text)
    text = re.sub(r" *static const OrtCustomOp \w+ = describe<.+>\(\);\n", "", text)
    line = f"static const OrtCustomOp made = describe<{name}>();\n"
    text, found = re.subn(r"( *)(static const OrtCustomOp\* const all\[\] = )\{.*?\}",
                          rf"\1{line}\1\2{{&made}}", text, flags=re.S)  # fmt: skip
    assert found == 1
    (folder / "register.cpp").write_text(f'#include "{header}"\n{text}', encoding="utf-8")
    folders = {path.parent for path in RUNTIME.rglob("src/**/*.h")} | {RUNTIME / "src"}
    (host,) = RUNTIME.rglob("src/**/host.cpp")
    library = folder / "library.so"
    command = [
        *("c++", "-std=c++17", "-shared", "-fPIC", "-Wl,-z,nodelete"),
        *(f"-I{path}" for path in (folder, RUNTIME / "include", *sorted(folders))),
        *(str(folder / "register.cpp"), str(host), "-o", str(library)),
    ]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert os.path.getsize(library)
    return library


def test_every_section_has_its_file_and_its_test() -> None:
    titles = re.findall(r"^## (.+)$", PAGE, re.M)
    assert len(titles) == 5
    for title in titles:
        blocks = section(title)
        assert len([path for path in blocks if path.startswith("tests/")]) == 1, title
        assert len(blocks) >= 2, title


def test_the_blocks_keep_the_rules_of_the_house() -> None:
    """A bridge knows neither ONNX nor ONNX Runtime; a public function says what it does."""
    for path, code in (block[1:] for block in BLOCK.findall(PAGE)):
        if not path.endswith(".py") or path.startswith("tests/"):
            continue
        tree = ast.parse(code)
        if path.startswith("exporters/"):
            assert "onnx" not in code
        for node in tree.body:
            if isinstance(node, ast.FunctionDef | ast.ClassDef) and not node.name.startswith("_"):
                assert ast.get_docstring(node), (path, node.name)
