"""A panorama in tiles: what is shown of it, and what an interruption keeps."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from spatial.converted import as_bytes, as_int16, residual

import reluflow
from reluflow.attention import AttentionSession
from reluflow.attention.attend.panorama import answer_files, attend_panorama
from reluflow.attention.attend.picture import smaller
from reluflow.cli import main
from reluflow.errors import DataError, Interrupted, OptionError, OutputError
from reluflow.graph import load

FREE = ("N", 3, "H", "W")
REGION = reluflow.RegionOptions("coverage", 0.2, halo=1)
CALM = np.zeros((1, 3, 64, 120), np.float32)
CALM[..., 8:30, 8:40] = np.random.default_rng(0).random((3, 22, 32))
SHARES = ("tensor", "coverage", "answers", "nodes", "pixels", "region", "source", "samples")


@pytest.fixture(scope="module")
def given(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("panorama")
    as_int16(residual(FREE)).save(folder / "int16.onnx")
    as_bytes(residual(FREE)).save(folder / "bytes.onnx")
    residual(FREE).save(folder / "float.onnx")
    np.save(folder / "x.npy", CALM)
    return folder


def attend(given: Path, out: Path | None = None, **more: Any) -> reluflow.Attended:
    how = {"samples": "4/16", "region": REGION, "coarse": given / "bytes.onnx", "threads": 1}
    return reluflow.attend(given / "int16.onnx", given / "x.npy", out, **{**how, **more})


def plain(found: reluflow.Attended) -> dict[str, Any]:
    return dict(json.loads(json.dumps(found.to_dict())))


@pytest.mark.parametrize("tile", [(40, 40), "auto"])
def test_it_shows_what_the_whole_picture_gives(given: Path, tmp_path: Path, tile: Any) -> None:
    limit = 500_000 if tile == "auto" else None
    found = attend(given, tmp_path, tile=tile, memory_limit_bytes=limit)
    whole = attend(given)
    one, other = plain(found), plain(whole)
    assert {name: one[name] for name in SHARES} == {name: other[name] for name in SHARES}
    np.testing.assert_array_equal(found.region, whole.region)
    np.testing.assert_array_equal(found.unsure, whole.unsure)
    np.testing.assert_array_equal(found.picture, whole.picture)
    assert found.region.any() and found.total().shift_adds == whole.total().shift_adds
    assert found.tiling is not None and whole.tiling is None and other["tiles"] is None
    assert one["tiles"]["n_tiles"] == found.tiling.n_tiles >= found.tiling.n_run > 0
    assert found.total().ms is not None and found.dense().ms is not None
    told = " ".join(found.notes)
    assert f"pass 2 ran {found.tiling.n_run} of {found.tiling.n_tiles}" in told
    assert "Errors of layers are not computed" in told
    session = AttentionSession(load(given / "int16.onnx"), load(given / "bytes.onnx"), threads=1)
    run = session.run({"x": CALM}, (4, 16), REGION)
    np.testing.assert_array_equal(np.load(tmp_path / "y.npy"), run.answers["y"])
    assert sorted(path.name for path in tmp_path.iterdir()) == [
        "attend.html",
        "attend.json",
        "region.png",
        "y.npy",
    ]


def test_a_float_model_answers_beside_them(given: Path) -> None:
    found = attend(given, tile=(40, 40), float_model=given / "float.onnx")
    whole = attend(given, float_model=given / "float.onnx")
    assert [each.name for each in found.answers][-1] == "float32" == found.reference
    assert found.answers[:3] == whole.answers[:3]
    assert found.answers[3].mean_apart == pytest.approx(whole.answers[3].mean_apart, rel=1e-4)


class _Stop:
    """Presses Ctrl-C after some tiles of a stage."""

    def __init__(self, stage: str, tiles: int) -> None:
        self.at = stage, tiles

    def __call__(self, stage: str, done: int, total: int | None) -> None:
        if (stage, done) == self.at:
            raise KeyboardInterrupt


@pytest.mark.parametrize(
    ("stage", "tiles"),
    [("pass 1", 2), ("pass 2", 3), ("dense pass 2", 1), ("float32", 2)],
)
def test_an_interrupted_run_goes_on(given: Path, tmp_path: Path, stage: str, tiles: int) -> None:
    how: dict[str, Any] = {"tile": (40, 40), "float_model": given / "float.onnx"}
    words = rf"interrupted in {stage} after {tiles} of \d+ tiles; all of them are kept in"
    with pytest.raises(Interrupted, match=words):
        attend(given, tmp_path, progress=_Stop(stage, tiles), **how)
    assert [path.name for path in tmp_path.iterdir()] == ["attend.partial"]
    with pytest.raises(OutputError, match=r"an interrupted run lies in .*go on with resume=True"):
        attend(given, tmp_path, **how)
    with pytest.raises(DataError, match="had another model, picture or options"):
        attend(given, tmp_path, resume=True, seed=1, **how)
    found, whole = attend(given, tmp_path, resume=True, **how), attend(given, **how)
    assert found.answers == whole.answers and found.nodes == whole.nodes
    assert not (tmp_path / "attend.partial").exists() and (tmp_path / "y.npy").is_file()
    assert found.total().ms is None
    assert (found.dense().ms is None) == (stage in ("dense pass 2", "float32"))
    assert "Times are missing where an interrupted run had done a part." in found.notes


def test_arrays_in_memory_are_gone(given: Path) -> None:
    with pytest.raises(Interrupted, match=r"in pass 2 after 1 of .* are gone; give a folder to"):
        attend(given, tile=(40, 40), progress=_Stop("pass 2", 1))


def test_what_does_not_fit_is_said(given: Path, tmp_path: Path) -> None:
    with pytest.raises(OptionError, match="tile is 'wide'; give its height and width in pixels"):
        attend(given, tile="wide")
    with pytest.raises(OptionError, match=r"tile is \(0, 4\); give its height and width in pixels"):
        attend(given, tile=(0, 4))
    with pytest.raises(OptionError, match=r"crop is \[40\], but the picture has 2 axes of pixels"):
        attend(given, tile=(40,))
    with pytest.raises(OptionError, match=r"a crop of .* pixels is too small for this model"):
        attend(given, tile=(8, 8))
    with pytest.raises(OptionError, match=r"the memory limit allows crops of .* pixels, but"):
        attend(given, tile="auto", memory_limit_bytes=5000)
    with pytest.raises(OptionError, match="memory_limit_bytes is 5000, but does nothing with a t"):
        attend(given, tile=(40, 40), memory_limit_bytes=5000)
    with pytest.raises(OptionError, match="memory_limit_bytes is 5000, but does nothing without t"):
        attend(given, memory_limit_bytes=5000)
    with pytest.raises(OptionError, match="resume is True, but does nothing without tile"):
        attend(given, tmp_path, resume=True)
    with pytest.raises(DataError, match="resume is True, but no folder is given"):
        attend(given, tile="auto", resume=True)
    with pytest.raises(DataError, match="there is nothing to resume in"):
        attend(given, tmp_path, tile="auto", resume=True)
    with pytest.raises(DataError, match=r"input 'x' is \[2, 3, 64, 120\]; give one picture"):
        attend_panorama(load(given / "int16.onnx"), {"x": np.concatenate([CALM, CALM])})


def test_files_of_outputs() -> None:
    model = as_int16(residual(FREE))
    assert answer_files(model) == {"y": "y.npy"}


@pytest.mark.parametrize(("height", "width"), [(6, 8), (7, 9), (1, 40)])
def test_large_pictures_are_shown_smaller(height: int, width: int) -> None:
    x = np.random.default_rng(1).random((1, height, width, 3)).astype(np.float32)
    assert smaller(x, (1, 2), height * width) is x
    found = smaller(x, (1, 2), 15)
    assert found.shape[1] * found.shape[2] <= 15 and found.shape[3] == 3
    np.testing.assert_allclose(found[0, 0, 0], x[0, :, :][: min(2, height), :2].mean((0, 1)), 0.5)


def test_the_command(given: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    line = f"attend {given}/int16.onnx --coarse {given}/bytes.onnx -i {given}/x.npy -t 1"
    chosen = f"--samples 4/16 --unsure coverage=0.2 --halo 1 --tile 40x40 -o {tmp_path}/look"
    assert main(f"{line} {chosen} --json".split()) == 0
    printed = json.loads(capsys.readouterr().out)
    called = plain(attend(given, tile=(40, 40)))
    for each in (printed, called):
        for cost in each["costs"]:
            assert cost.pop("measured_ms") > 0
    assert printed == {**called, "model": printed["model"]}
    for words, said in (
        ("--tile 40by40", "--tile is '40by40'; give HEIGHTxWIDTH"),
        ("--memory 5", "--memory is given, but does nothing without --tile"),
        ("--tile 40x40 --memory 5", "--memory is 5242880, but does nothing with a tile"),
        ("--tile auto --resume", "--resume is given, but does nothing without --out FOLDER"),
        (f"--tile auto --resume -o {tmp_path}/other", "there is nothing to resume in"),
    ):
        assert main(f"{line} {words}".split()) == 2
        assert said in capsys.readouterr().err, words
    assert not (tmp_path / "other").exists()
    shutil.rmtree(tmp_path / "look")
