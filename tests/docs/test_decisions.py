"""Decisions have one form: number, title, status, text; the index lists them all."""

import re
from pathlib import Path

import pytest

FOLDER = Path(__file__).parents[2] / "docs" / "decisions"
PAGES = sorted(FOLDER.glob("[0-9]*.md"))
FORM = re.compile(r"# (\d+)\. ([A-Z].*[^.])\n\nStatus: (accepted|superseded by \d+)\n\n\S")
ROW = re.compile(r"^\| (\d+) \| \[(.+)\]\((.+)\) \| (.+) \|$", re.M)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_a_decision_has_the_form(page: Path) -> None:
    head = FORM.match(page.read_text(encoding="utf-8"))
    assert head is not None
    assert re.fullmatch(rf"{int(head[1]):04d}-[a-z0-9-]+", page.stem)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_what_supersedes_a_decision_is_there(page: Path) -> None:
    newer = re.search(r"^Status: superseded by (\d+)$", page.read_text(encoding="utf-8"), re.M)
    if newer is not None:
        assert list(FOLDER.glob(f"{int(newer[1]):04d}-*.md"))


def test_the_index_lists_every_decision_as_it_is() -> None:
    listed = ROW.findall((FOLDER / "README.md").read_text(encoding="utf-8"))
    heads = [FORM.match(page.read_text(encoding="utf-8")) for page in PAGES]
    assert listed == [
        (head[1], head[2], page.name, head[3])
        for head, page in zip(heads, PAGES, strict=True)
        if head is not None
    ]


def test_no_number_is_given_twice() -> None:
    numbers = [page.name[:4] for page in PAGES]
    assert len(numbers) > 15 and len(set(numbers)) == len(numbers)
