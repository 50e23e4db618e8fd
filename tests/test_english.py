"""Prose is in British English, and rates say "per": "one draw per weight", not "one draw a weight".

Prose is Markdown outside code, docstrings outside their examples, and comments of Python and C++.
Names in backticks, names of arguments and words in double quotes are not prose.
"""

from __future__ import annotations

import ast
import io
import re
import tokenize
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
TOPS = ("toolkit", "exporters", "runtime", "tests", "benchmarks", "examples", "models", "docs")

OWN_WORDS = re.compile(r"(re|over|under|any)?siz(e|es|ed|ing)|seiz\w+|prizes?", re.I)
"""Words that end like American ones everywhere."""
TERMS = re.compile(r"(initial|sanit)izers?", re.I)
"""ONNX's initializers and the compilers' sanitizers have no other name."""
AMERICAN = re.compile(
    r"""\b(?:
        [A-Z]?[a-z]*iz(?:e|es|ed|er|ers|ing|able|ation|ations)
        | (?:behavi|col|fav|flav|hon|lab|neighb|rum|vap)or(?:s|ed|ing|al|able|ite|hood|less)*
        | (?:center|fiber|caliber)(?:s|ed|ing)?
        | gray(?:s|scale|ish)?
        | (?:analy|cataly|paraly)z(?:e|es|ed|er|ers|ing)
        | (?:model|label|cancel|travel|signal|channel|level|total)(?:ed|ing)
        | artifacts? | fulfill | skillful | catalogs? | maneuver\w*
    )\b""",
    re.X,
)

THINGS = (
    "activations|arrays?|bars?|bits?|bytes|calls?|channels?|characters|colours?|columns?|constant|"
    "copies|copy|counts?|draws?|entries|entry|files?|fingerprints|functions?|gradients?|images?|"
    "inputs?|[KMG]iB|keys?|labels?|lines?|numbers?|outputs?|panels?|pass|passes|patterns?|pixels?|"
    "positions?|records?|rows?|samples?|scalars?|seconds?|sites?|steps?|tables?|tensors?|texts?|"
    "threads?|units?|values?|weights?|words?"
)
PER = (
    "axis|batch|call|channel|column|dimension|element|epoch|fit|group|image|input|kind|label|layer|"
    "line|measure|network|operator|output|pair|panel|pass|pixel|process|product|row|run|sample|"
    "second|seed|side|site|step|tap|tensor|unit|weight|word"
)
CLOSED = (
    r"(?=\s*(?:[.,;:)\]|*/\"]|$|(?:and|or|are|were|at\ most|instead|from|in|by|for|of\ one)\b))"
)
"""What follows a rate, but not a clause such as "inputs a run needs"."""
OPEN = (
    r"(?!\s*(?:at\ a\ time|'s|of\b|has\b|is\b|that\b|needs?\b|takes?\b|reads?\b|gives?\b|time\b))"
)
RATES = (
    re.compile(
        rf"\b(?:\d[\d.,^]*|one|two|three|four)\s+(?:\w+\s+)?(?:{THINGS})\s+an?\s+(?:{PER})\b{OPEN}"
    ),
    re.compile(
        rf"\b(?:inputs|samples|images|keys|bytes|bits|draws|million|positions|rows|seconds)\s+an?\s+(?:{PER})\b{CLOSED}",
        re.I,
    ),
    re.compile(rf"\b(?:one|once|two|twice)\s+an?\s+(?:{PER})\b{CLOSED}", re.I),
)
Prose = Callable[[str], str]


def blank(match: re.Match[str]) -> str:
    """Return as many lines as a match has, empty."""
    return "\n" * match.group().count("\n")


def without_names(text: str) -> str:
    """Take out what stands in backticks, within a paragraph, words in quotes, and addresses."""
    text = re.sub(r"(`+)(?:(?!\n\s*\n)[\s\S])+?\1", blank, text)
    return re.sub(r"https?://\S+|(?<!\")\"\w+\"(?!\")", "", text)


def markdown(text: str) -> str:
    """Return the prose of a page, line by line."""
    for pattern in (
        r"<!--[\s\S]*?-->",
        r"^(`{3,})[\s\S]*?^\1",
        r"^:::[\s\S]*",
        r"(?<=\])\([^)]*\)",
    ):
        text = re.sub(pattern, blank, text, flags=re.M)
    return without_names(text)


def python(text: str) -> str:
    """Return docstrings without examples, and comments, each on its own line of the file."""
    lines, source = [""] * (text.count("\n") + 2), text.split("\n")
    for token in tokenize.generate_tokens(io.StringIO(text).readline):
        if token.type == tokenize.COMMENT and not re.match(r"#\s*(type:|noqa|fmt:)", token.string):
            lines[token.start[0] - 1] += token.string.lstrip("#:")
    for node in ast.walk(ast.parse(text)):
        if not isinstance(node, ast.Expr) or not isinstance(node.value, ast.Constant):
            continue
        if isinstance(node.value.value, str):
            for number in range(node.lineno - 1, node.end_lineno or node.lineno):
                if not source[number].lstrip().startswith((">>>", "...")):
                    lines[number] += re.sub(
                        r"^\s+\*{0,2}\w+(?:, \*{0,2}\w+)*: ", "", source[number]
                    )
    return without_names("\n".join(lines))


def cpp(text: str) -> str:
    """Return the comments of C and C++ that begin with two slashes."""
    found = (re.search(r"(?<!:)//[/!<]*(.*)", line) for line in text.split("\n"))
    return without_names("\n".join(match[1] if match else "" for match in found))


PROSE: dict[str, Prose] = {".md": markdown, ".py": python, ".h": cpp, ".cpp": cpp, ".c": cpp}


def faults(text: str, prose: Prose) -> Iterator[tuple[int, str]]:
    """Give the line and the words of each fault."""
    words = prose(text)
    for pattern in (AMERICAN, *RATES):
        for match in pattern.finditer(words):
            if not OWN_WORDS.fullmatch(match[0]) and not TERMS.fullmatch(match[0]):
                yield words.count("\n", 0, match.start()) + 1, " ".join(match[0].split())


def files() -> list[Path]:
    """Return every file of the repository that has prose, but this one."""
    found = [path for top in TOPS for path in (ROOT / top).rglob("*") if path.is_file()]
    found += ROOT.glob("*.md")
    own = (path for path in found if "node_modules" not in path.parts)
    return [path for path in own if path.suffix in PROSE and path != Path(__file__)]


def test_prose_is_british_and_says_per() -> None:
    found = [
        f"{path.relative_to(ROOT)}:{line}: {words}"
        for path in files()
        for line, words in faults(path.read_text(encoding="utf-8"), PROSE[path.suffix])
    ]
    assert not found, "\n".join(found)


@pytest.mark.parametrize(
    ("suffix", "text", "expected"),
    [
        (".md", "It stores 9 bits a weight.", "9 bits a weight"),
        (".md", "The thesis draws once a\nweight and run.", "once a weight"),
        (".md", "The neighboring color is normalized.", "neighboring"),
        (".py", '"""Return one row a site."""', "one row a site"),
        (".py", "def f(size):\n    '''Run.\n\n    size: inputs a run.\n    '''", "inputs a run"),
        (".py", "x = 1  # in the center of the grid", "center"),
        (".cpp", "int n;  // one random number a channel", "one random number a channel"),
        (".h", "/// Serialized by the host.", "Serialized"),
    ],
)
def test_a_fault_is_found(suffix: str, text: str, expected: str) -> None:
    assert expected in [words for _, words in faults(text, PROSE[suffix])]


@pytest.mark.parametrize(
    ("suffix", "text"),
    [
        (".md", "One model at a time; the inputs a run needs; a size of 3; seize the prize."),
        (".md", "`optimizer` and\n```\ncolor = 9  # bits a weight\n```\nand [it](normalize.md)."),
        (".md", "BatchNormalization and its initializers, samples a batch at a time."),
        (".py", '"""Step.\n\n    optimizer: the optimiser.\n    >>> color(normalize)\n"""'),
        (".py", 'center = "one row a site"  # once a run ends, "gray" is kept'),
        (".cpp", 'auto url = "https://a.b/center";  // one draw per weight'),
    ],
)
def test_names_code_and_other_sentences_pass(suffix: str, text: str) -> None:
    assert not list(faults(text, PROSE[suffix]))
