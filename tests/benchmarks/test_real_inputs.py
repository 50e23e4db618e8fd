"""The inputs of the benchmark on real networks: pictures, pages, sounds, contents of files."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from real import contents, faces, pages, pictures, sounds
from real.tasks import TASKS

HAVE = ("skimage", "sklearn")


@pytest.fixture
def two_pictures(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A package of our own that holds two pictures."""
    folder = tmp_path / "pictures_of_a_test" / "data"
    folder.mkdir(parents=True)
    (folder.parent / "__init__.py").touch()
    ramp = np.add.outer(np.arange(60), np.arange(80)).astype(np.uint8)
    Image.fromarray(ramp).save(folder / "grey.png")
    Image.fromarray(np.stack([ramp, ramp, 255 - ramp], axis=2)).save(folder / "coloured.jpg")
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setattr(pictures, "FOLDERS", {"no_such_package": "", folder.parent.name: "data"})


@pytest.mark.usefixtures("two_pictures")
def test_views_are_parts_of_their_pictures_chosen_by_the_seed() -> None:
    found = pictures.views(["grey", "coloured"], 3, 20, 30, seed=4)
    assert found.shape == (6, 20, 30, 3) and found.dtype == np.float32
    assert (found[:3, ..., 0] == found[:3, ..., 2]).all()  # grey ones stay grey
    assert (found[3:, ..., 0] != found[3:, ..., 2]).any()
    assert len({view.tobytes() for view in found}) == 6
    assert np.array_equal(found, pictures.views(["grey", "coloured"], 3, 20, 30, seed=4))
    assert not np.array_equal(found, pictures.views(["grey", "coloured"], 3, 20, 30, seed=5))


@pytest.mark.usefixtures("two_pictures")
def test_a_missing_picture_names_the_packages() -> None:
    with pytest.raises(FileNotFoundError, match=r"picture 'none' is not in .*install scikit-image"):
        pictures.find_picture("none")


def test_calibration_never_sees_a_picture_of_the_test() -> None:
    assert not set(pictures.CALIBRATION) & set(pictures.TEST)
    assert not set(pages.CALIBRATION.pictures) & set(pages.TEST.pictures)
    assert set(pages.CALIBRATION.pictures) <= set(pictures.CALIBRATION)
    assert set(pages.TEST.pictures) | set(pictures.WITH_LINES) <= set(pictures.TEST)


@pytest.mark.usefixtures("two_pictures")
def test_pages_hold_words_on_plain_grounds_and_on_pictures() -> None:
    press = pages.Press(("DejaVuSans.ttf",), ("coloured",), seed=3)
    found = pages.pages(press, 4, 96, 160)
    assert found.shape == (4, 96, 160, 3)
    assert 0 <= found.min() and found.max() <= 255
    for page in found[::2]:  # mostly the ground, and ink
        colours, counts = np.unique(page.reshape(-1, 3), axis=0, return_counts=True)
        assert len(colours) > 10 and counts.max() > 0.5 * counts.sum()


def test_melodies_are_sounds_that_end_and_begin() -> None:
    found = sounds.melodies(3, sounds.RATE, seed=1)
    assert found.shape == (3, sounds.RATE, 1) and found.dtype == np.float32
    assert 0.2 <= np.abs(found).max() <= 1
    assert np.array_equal(found, sounds.melodies(3, sounds.RATE, seed=1))


@pytest.mark.parametrize("length", [0, 8, 1023, 1024, 3000, 5000, 9000])
def test_a_content_is_its_beginning_and_its_end(length: int) -> None:
    content = bytes(33 + i % 90 for i in range(length))
    row = contents.features(b" \n" + content + b"\n\n")
    n = min(length, contents.HALF)
    assert row.shape == (2 * contents.HALF,)
    assert bytes(row[:n].astype(np.uint8)) == content[:n]
    assert bytes(row[2 * contents.HALF - n :].astype(np.uint8)) == content[length - n :]
    assert (row[n : 2 * contents.HALF - n] == contents.NO_BYTE).all()


def test_files_of_python_are_of_many_kinds() -> None:
    found = contents.installed_files(2)
    assert len(found) == len(set(found))
    assert {".py", ".h"} <= {path.suffix for path in found}
    assert contents.contents(found[:3]).shape == (3, 2 * contents.HALF)


@pytest.mark.parametrize("name", TASKS)
def test_every_task_makes_its_inputs(name: str) -> None:
    for package in HAVE:
        pytest.importorskip(package)
    task = TASKS[name]
    for calibration in (True, False):
        found = task.inputs(calibration, 2)
        assert len(found) == 2 and found.dtype in (np.float32, np.int32)
        assert not np.array_equal(found[0], found[1])
        assert np.array_equal(found, task.inputs(calibration, 2))
    assert not np.array_equal(task.inputs(True, 1), task.inputs(False, 1))


def test_faces_are_pasted_on_pictures() -> None:
    pytest.importorskip("skimage")
    names = ["camera", "moon"]
    with_faces = faces.face_pictures(names, 2, 64, 0, range(3))
    plain = pictures.views(names, 2, 64, 64, 0)
    changed = (with_faces != plain).any(axis=-1).mean(axis=(1, 2))
    assert ((0.05 < changed) & (changed < 0.6)).all()
    assert 0 <= with_faces.min() and with_faces.max() <= 255
