"""Errors speak one dialect: whole sentences that end with a full stop."""

from __future__ import annotations

import ast
import re
from pathlib import Path
from typing import Any

import pytest

from reluflow import errors

ROOT = Path(__file__).parents[1]
FILES = sorted(path for top in ("toolkit", "exporters") for path in (ROOT / top).rglob("*.py"))
OWN = {name for name, kind in vars(errors).items() if isinstance(kind, type)}


def raises(path: Path) -> list[ast.Call]:
    """Return the calls that make errors of our own: to raise them, or for others to raise."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    records = {  # another class of the same name
        alias.name
        for node in ast.walk(tree)
        if isinstance(node, ast.ImportFrom) and node.module != "reluflow.errors"
        for alias in node.names
    }
    calls = [node for node in ast.walk(tree) if isinstance(node, ast.Call)]
    return [call for call in calls if getattr(call.func, "id", "") in OWN - records]


def functions() -> dict[str, list[ast.FunctionDef]]:
    found: dict[str, list[ast.FunctionDef]] = {}
    for path in FILES:
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.FunctionDef):
                found.setdefault(node.name, []).append(node)
    return found


def ends(node: ast.expr, known: dict[str, list[ast.FunctionDef]]) -> list[str]:
    """Return the ends that a message may have; "?" for one that only a run shows."""
    if isinstance(node, ast.Constant):
        return [str(node.value)[-1:]]
    if isinstance(node, ast.JoinedStr):
        return ends(node.values[-1], known)
    if isinstance(node, ast.FormattedValue):
        return ends(node.value, known)
    if isinstance(node, ast.BinOp):
        return ends(node.right, known)
    if isinstance(node, ast.IfExp):
        return ends(node.body, known) + ends(node.orelse, known)
    if isinstance(node, ast.Name) and node.id == "error":
        return ["."]  # one of ours, said again with what it is about
    if isinstance(node, ast.Call) and (name := getattr(node.func, "id", "")) in known:
        makers = known[name]
        returned = [
            n.value for maker in makers for n in ast.walk(maker) if isinstance(n, ast.Return)
        ]
        return [end for value in returned if value is not None for end in ends(value, known)]
    return ["?"]


KNOWN = functions()


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(ROOT)))
def test_an_error_ends_with_a_full_stop(path: Path) -> None:
    for call in raises(path):
        assert call.args, f"{path.name}:{call.lineno} says nothing"
        found = ends(call.args[0], KNOWN)
        assert found and set(found) <= {".", "?"}, f"{path.name}:{call.lineno}: {found}"


def test_the_walk_sees_the_errors() -> None:
    assert sum(len(raises(path)) for path in FILES) > 300
    bad = ast.parse("raise OptionError(f'x is {x}')").body[0]
    assert isinstance(bad, ast.Raise) and isinstance(bad.exc, ast.Call)
    assert ends(bad.exc.args[0], {}) == ["?"]


VERBS = frozenset(
    """accept add analyze ask build call change check choose compare convert copy count create
    cut delete download drop export feed fit free give go hash install keep leave let load
    make mark measure mend move name number open pass prune put raise read record remove
    rename replace report run save see set start sweep take train turn update upgrade use wait
    want write yield""".split()
)
"""Verbs that say what to do. A sentence may state what is accepted instead: "accepted are"."""
ACCEPTS = ("accepted", "can be", "wants", "needs", "has ", "can follow")
ALLOWED = {
    "analysis/lookup.py": "a variable: set batch_size, or export with a dynamic batch",
    "data/sources/validate.py": "a list of steps, made by _shape_hint and _dtype_hint",
    "data/formats/iterator.py": "one of ours, said again with what it is about",
    "reluflow/native.py": "a sentence of the native library, which has its own tests",
    "analysis/run/pipeline.py": "interrupted: it says what is kept, and how to go on",
}
"""Files with a sentence that says no more than the fact, and why."""


def words(node: ast.AST, known: dict[str, list[ast.FunctionDef]]) -> str:
    """Return all literal text that a message may be made of, also by the functions it calls."""
    found, called = [], []
    for part in ast.walk(node):
        if isinstance(part, ast.Constant) and isinstance(part.value, str):
            found.append(part.value)
        if isinstance(part, ast.Call) and (name := getattr(part.func, "id", "")) in known:
            makers = known[name]
            called += [n for m in makers for n in ast.walk(m) if isinstance(n, ast.Return)]
    return " ".join([*found, *(words(each, {}) for each in called)])


def says_what_to_do(text: str) -> bool:
    """Tell whether a sentence holds an instruction, or what is accepted behind a semicolon."""
    advice = text.partition(";")[2] or text
    return bool(VERBS & set(re.findall(r"[a-z]+", advice.lower()))) or (
        ";" in text and any(word in advice for word in ACCEPTS)
    )


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(ROOT)))
def test_an_error_says_what_to_do(path: Path) -> None:
    silent = [
        f"{path.name}:{call.lineno}: {words(call.args[0], KNOWN)}"
        for call in raises(path)
        if not says_what_to_do(words(call.args[0], KNOWN))
    ]
    allowed = any(str(path).endswith(name) for name in ALLOWED)
    assert len(silent) == allowed, silent


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(ROOT)))
def test_the_library_speaks_of_arguments(path: Path) -> None:
    if "cli" in path.parts:
        return
    tree = ast.parse(path.read_text(encoding="utf-8"))
    docstrings = {
        id(node.body[0].value)
        for node in ast.walk(tree)
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef)
        and node.body
        and isinstance(node.body[0], ast.Expr)
    }
    flags = [
        f"{path.name}:{node.lineno}: {node.value}"
        for node in ast.walk(tree)
        if isinstance(node, ast.Constant) and isinstance(node.value, str)
        if id(node) not in docstrings and re.search(r"(?<![\w<!])--[a-z]", node.value)
    ]
    assert not flags


def test_what_the_walk_finds_silent() -> None:
    for text, does in (
        ("x is 3.", False),
        ("x is 3, but the data have only 2 samples.", False),
        ("x is 3; give 2 at most.", True),
        ("x is 3: give 2 at most.", True),
        ("hash is 'md5'; accepted are a and b.", True),
        ("give it; it is missing.", False),
    ):
        assert says_what_to_do(text) is does, text


def test_exit_codes_come_from_the_errors() -> None:
    """No file of the command line but `errors` has a number for how a process ends."""
    kinds: list[Any] = [kind for kind in vars(errors).values() if isinstance(kind, type)]
    assert {kind.__name__: kind.exit_code for kind in kinds if kind.exit_code != 2} == {
        "Interrupted": 130
    }
    for path in (ROOT / "toolkit/reluflow/cli").rglob("*.py"):
        tree = ast.parse(path.read_text(encoding="utf-8"))
        codes = [
            node.value.value
            for node in ast.walk(tree)
            if isinstance(node, ast.Assign | ast.AnnAssign) and isinstance(node.value, ast.Constant)
            if isinstance(node.value.value, int) and node.value.value in (2, 130)
        ]
        assert not codes, path
