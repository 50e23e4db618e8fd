"""Pages for developers name existing files, and the picture of the rooms is correct."""

import importlib.util
import re
from pathlib import Path
from types import ModuleType

import pytest

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "architecture.md").read_text(encoding="utf-8")
PATH = re.compile(r"`((?:[\w.-]+/)+[\w.-]*)`")
NAMED = sorted(
    (page, path)
    for page in ("docs/architecture.md", "docs/extending.md", "CONTRIBUTING.md")
    for path in set(PATH.findall((ROOT / page).read_text(encoding="utf-8")))
)


def load(path: str) -> ModuleType:
    spec = importlib.util.spec_from_file_location(Path(path).stem, ROOT / path)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


ROOMS = load("docs/draw_rooms.py")
ORDER = load("tests/test_architecture.py")


@pytest.mark.parametrize(("page", "path"), NAMED)
def test_a_path_that_a_page_names_exists(page: str, path: str) -> None:
    assert (ROOT / path).exists()


def test_the_page_answers_what_a_newcomer_asks() -> None:
    assert len(PATH.findall(PAGE)) > 50
    rows = "\n".join(line for line in PAGE.splitlines() if line.startswith("| "))
    for question in ("switch site", "fold", "AVX2", "chart", "controller", "flag"):
        assert question in rows


def test_the_picture_shows_the_rooms_in_their_order() -> None:
    assert list(ROOMS.ROOMS) == [room for room in ORDER.ROOMS if room != "_version"]


def test_the_picture_shows_the_floors_in_their_order() -> None:
    drawn = {f"reluflow.{room}": floors for room, (_, floors) in ROOMS.ROOMS.items() if floors}
    drawn.update((name, floors) for name, floors in ROOMS.BRIDGES if floors)
    tested = {
        room: tuple(
            floor
            for floor in floors
            if floor and not floor.startswith("_") and (ORDER.folder_of(room) / floor).is_dir()
        )
        for room, floors in ORDER.FLOORS.items()
    }
    assert drawn == tested


def test_the_picture_is_drawn_by_its_script() -> None:
    kept = (ROOT / "docs" / "images" / "rooms.svg").read_text(encoding="utf-8")
    assert kept == ROOMS.draw()
