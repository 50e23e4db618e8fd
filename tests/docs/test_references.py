"""References in code, tests and pages lead to something that is in the repository."""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
TOPS = ("toolkit", "exporters", "runtime", "tests", "benchmarks", "examples", "models", "docs")
TEXT = {".py", ".md", ".cpp", ".h", ".c", ".txt", ".toml", ".json", ".html", ".css", ".js"}
PAGES = sorted((ROOT / "docs").rglob("*.md"))


def texts() -> dict[str, str]:
    """Return every text of the repository but this file, by its path."""
    found = [p for p in ROOT.iterdir() if p.suffix in TEXT or p.name == "Makefile"]
    for top in TOPS:
        found += [p for p in (ROOT / top).rglob("*") if p.suffix in TEXT and p.is_file()]
    return {
        path.relative_to(ROOT).as_posix(): path.read_text(encoding="utf-8")
        for path in found
        if path != Path(__file__) and "node_modules" not in path.parts
    }


TEXTS = texts()


def places(pattern: str) -> dict[str, list[str]]:
    """Return what a pattern matches, by the path of the text."""
    found = {path: re.findall(pattern, text) for path, text in TEXTS.items()}
    return {path: matches for path, matches in found.items() if matches}


def sections(page: str) -> set[str]:
    return set(re.findall(r"^## (\d+)\. ", (ROOT / page).read_text(encoding="utf-8"), re.M))


def test_the_texts_are_read() -> None:
    assert {"README.md", "docs/spec.md", "toolkit/reluflow/errors.py"} <= TEXTS.keys()


def test_the_definitions_are_numbered_without_gaps() -> None:
    numbers = sections("docs/spec.md")
    assert numbers == {str(n) for n in range(1, len(numbers) + 1)}


def test_every_section_of_the_definitions_that_is_cited_exists() -> None:
    cited = places(r"docs/spec\.md,?\s+section (\d+)")
    assert len(cited) > 30
    for path, numbers in cited.items():
        assert set(numbers) <= sections("docs/spec.md"), path


def test_the_definitions_are_cited_by_section() -> None:
    """A bare name of the page makes the reader search all of it."""
    for path, after in places(r"docs/spec\.md([^`\n]{0,10}\n?\s*[^`\n]{0,10})").items():
        if not path.startswith(("docs/", "README", "CHANGELOG", "CONTRIBUTING", "tests/docs")):
            assert all(re.match(r",\s+section \d", text) for text in after), (path, after)


@pytest.mark.parametrize(
    "pattern",
    [
        r"(?<![\w.\[(])SPEC\b(?! = )[,:]? ?(?:section|switch|activation|measures|\d)",
        r"\(SPEC[ :]",
        r"\bSPEC\.md\b",
        r"(?<![\w/.])shared/",
    ],
)
def test_no_reference_leads_out_of_the_repository(pattern: str) -> None:
    assert not places(pattern)


def test_every_page_that_is_named_exists() -> None:
    named = places(r"(?<![\w/])docs/[\w/-]+\.(?:md|png|svg)")
    assert named
    missing = {
        (path, name)
        for path, names in named.items()
        for name in names
        if not (ROOT / name).is_file()
    }
    assert not missing


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_links_of_a_page_lead_to_files(page: Path) -> None:
    for target in re.findall(r"\]\(([^)#\s]+)[^)]*\)", page.read_text(encoding="utf-8")):
        if "://" not in target:
            assert (page.parent / target).exists(), target
