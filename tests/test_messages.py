"""Errors speak one dialect: whole sentences that end with a full stop."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

from reluflow import errors

ROOT = Path(__file__).parents[1]
FILES = sorted(path for top in ("toolkit", "exporters") for path in (ROOT / top).rglob("*.py"))
OWN = {name for name, kind in vars(errors).items() if isinstance(kind, type)}


def raises(path: Path) -> list[ast.Call]:
    """Return the calls that make the errors which a file raises, own ones only."""
    nodes = ast.walk(ast.parse(path.read_text(encoding="utf-8")))
    calls = [n.exc for n in nodes if isinstance(n, ast.Raise) and isinstance(n.exc, ast.Call)]
    return [call for call in calls if getattr(call.func, "id", "") in OWN]


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
    if isinstance(node, ast.Call) and getattr(node.func, "id", "") in known:
        makers = known[node.func.id]
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
