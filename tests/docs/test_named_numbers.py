"""Numbers that decide something have a name, and with it a place for their reason."""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

import reluflow

TOOLKIT = Path(reluflow.__file__).parent
BRIDGES = Path(__file__).parents[2] / "exporters"
PLAIN = {-2, -1, 0, 1, 2}
UNITS = {8, 10, 64, 100}
"""Bits of a byte and of a word, digits and percent: they say what they are in a product or rest."""
BOUNDING = {"range", "min", "max"}
LAYOUTS = ("cells/kernels", "patterns/kernels", "patterns/tables", "patterns/thesis.py")
"""Compiled loops, whose columns of records, tables and unrolled strides their docstrings tell."""
ALLOWED: dict[str, set[float]] = {}
"""File -> numbers that no name would explain; an entry that does not occur fails as well."""


def operands(node: ast.expr, in_product: bool = False) -> Iterator[float]:
    """Give the numbers of an expression, through arithmetic, sequences and slices."""
    match node:
        case ast.Constant(value=int() | float() as value) if not isinstance(value, bool):
            if value not in PLAIN and not (in_product and value in UNITS):
                yield value
        case ast.UnaryOp(operand=inner):
            yield from operands(inner, in_product)
        case ast.BinOp(left=ast.Constant(value=2 | 10), op=ast.Pow()):
            pass  # a power says itself what it is
        case ast.BinOp(left=left, right=right):
            yield from operands(left, True)
            yield from operands(right, True)
        case ast.Tuple(elts=parts) | ast.List(elts=parts) | ast.Set(elts=parts):
            for part in parts:
                yield from operands(part)
        case ast.Slice(lower=lower, upper=upper, step=step):
            for bound in (lower, upper, step):
                yield from operands(bound) if bound is not None else ()


def deciding(node: ast.AST) -> Iterator[ast.expr]:
    """Give what a node compares with, takes a part by or bounds something by."""
    match node:
        case ast.Compare(left=left, comparators=others):
            yield left
            yield from others
        case ast.Subscript(slice=part):
            yield part
        case ast.Call(func=ast.Name(id=name), args=given) if name in BOUNDING:
            yield from given


def outside_constants(tree: ast.AST) -> Iterator[ast.AST]:
    """Walk a module without its constants and its annotations."""
    waiting = [tree]
    while waiting:
        node = waiting.pop()
        yield node
        for name, value in ast.iter_fields(node):
            children = value if isinstance(value, list) else [value]
            if name not in ("annotation", "returns") and not is_constant(node):
                waiting += [child for child in children if isinstance(child, ast.AST)]


def is_constant(node: ast.AST) -> bool:
    if not isinstance(node, ast.Assign | ast.AnnAssign):
        return False
    targets = node.targets if isinstance(node, ast.Assign) else [node.target]
    names = [part for target in targets for part in getattr(target, "elts", [target])]
    return all(isinstance(each, ast.Name) and each.id.isupper() for each in names)


def numbers(source: str) -> set[float]:
    return {
        number
        for node in outside_constants(ast.parse(source))
        for part in deciding(node)
        for number in operands(part)
    }


def nameless() -> dict[str, set[float]]:
    files = [(path, TOOLKIT) for path in TOOLKIT.rglob("*.py")]
    files += [(path, BRIDGES) for path in BRIDGES.rglob("*.py")]
    found = {
        path.relative_to(root).as_posix(): numbers(path.read_text(encoding="utf-8"))
        for path, root in sorted(files)
    }
    return {name: some for name, some in found.items() if some and not name.startswith(LAYOUTS)}


def test_numbers_that_decide_have_names() -> None:
    found = nameless()
    new = {name: some - ALLOWED.get(name, set()) for name, some in found.items()}
    assert not {name: some for name, some in new.items() if some}


def test_what_is_allowed_still_occurs() -> None:
    found = nameless()
    stale = {name: some - found.get(name, set()) for name, some in ALLOWED.items()}
    assert not {name: some for name, some in stale.items() if some}
    assert sum(map(len, ALLOWED.values())) <= 5


@pytest.mark.parametrize(
    "source",
    [
        "def f(x):\n    return x > 7",
        "def f(x):\n    return 3 <= x.ndim",
        "def f(x):\n    return x[4]",
        "def f(x):\n    return x[:12]",
        "def f(x):\n    return x[:, 5 * n]",
        "def f(x):\n    return x in (1, 3)",
        "def f(x):\n    return x == -9",
        "def f(x):\n    for _ in range(8):\n        pass",
        "def f(x):\n    return max(0.25, x)",
        "def f(x):\n    return x % 8 == 7",
        "class A:\n    def f(self):\n        limit = 2\n        return self.x < limit + 5",
    ],
)
def test_a_nameless_number_is_seen(source: str) -> None:
    assert numbers(source)


@pytest.mark.parametrize(
    "source",
    [
        "LIMIT = 7\ndef f(x):\n    return x > LIMIT",
        "_FIRST, _LAST = range(3, 9)",
        "_SIZES: dict[int, int] = {k: 3 for k in range(4)}",
        "def f(x: tuple[int, 5]) -> Literal[3]:\n    return x[0] == 1",
        "def f(x):\n    return x < 2**64 and x[-1] % 8 == 0 and 100 * x > 1",
        "def f(x):\n    return x is True or x == 'a'",
    ],
)
def test_named_and_plain_ones_pass(source: str) -> None:
    assert not numbers(source)
