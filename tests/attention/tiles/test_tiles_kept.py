"""A run in tiles that is interrupted keeps what it has, and goes on to the same result."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from spatial.converted import as_int16, residual

from reluflow.attention import TileOptions, run_tiles
from reluflow.errors import DataError, Interrupted, OptionError, OutputError

MODEL = as_int16(residual(("N", 3, "H", "W")))
X = np.random.default_rng(0).random((1, 3, 64, 48)).astype(np.float32)
OPTIONS = {"crop": (32, 32), "samples": 16}


def stop_at(number: int) -> Any:
    """Return a progress that is interrupted, as by Ctrl-C, after some tiles."""

    def progress(stage: str, done: int, total: int | None) -> None:
        assert stage == "tiles" and total is not None and done <= total
        if done == number:
            raise KeyboardInterrupt

    return progress


def options(**more: Any) -> TileOptions:
    return TileOptions(**{**OPTIONS, **more})


@pytest.mark.parametrize("number", [1, 3])
def test_an_interrupted_run_goes_on(tmp_path: Path, number: int) -> None:
    file = tmp_path / "y.npy"
    whole = run_tiles(MODEL, {"x": X}, options=options()).outputs["y"]
    with pytest.raises(Interrupted, match=rf"interrupted after {number} of \d+ tiles, which are"):
        run_tiles(MODEL, {"x": X}, file, options=options(), progress=stop_at(number))
    assert not file.exists()
    found = run_tiles(MODEL, {"x": X}, file, options=options(resume=True))
    assert found.n_resumed == number and found.n_tiles > number
    np.testing.assert_array_equal(np.load(file), whole)
    assert [path.name for path in tmp_path.iterdir()] == ["y.npy"]


def test_several_interruptions(tmp_path: Path) -> None:
    file = tmp_path / "y.npy"
    with pytest.raises(Interrupted):
        run_tiles(MODEL, {"x": X}, file, options=options(), progress=stop_at(1))
    with pytest.raises(Interrupted, match="after 2 of"):
        run_tiles(MODEL, {"x": X}, file, options=options(resume=True), progress=stop_at(2))
    found = run_tiles(MODEL, {"x": X}, {"y": file}, options=options(resume=True))
    np.testing.assert_array_equal(
        found.outputs["y"], run_tiles(MODEL, {"x": X}, options=options()).outputs["y"]
    )


def test_arrays_are_kept_nowhere() -> None:
    with pytest.raises(Interrupted, match=r"interrupted after 2 of .* in memory are gone; give a"):
        run_tiles(MODEL, {"x": X}, options=options(), progress=stop_at(2))


@pytest.mark.parametrize("change", ["picture", "samples", "seed", "crop"])
def test_another_run_is_not_taken_for_it(tmp_path: Path, change: str) -> None:
    file = tmp_path / "y.npy"
    with pytest.raises(Interrupted):
        run_tiles(MODEL, {"x": X}, file, options=options(), progress=stop_at(1))
    changed: dict[str, dict[str, Any]] = {
        "samples": {"samples": 8},
        "seed": {"seed": 1},
        "crop": {"crop": (48, 48)},
    }
    x = X + 1 if change == "picture" else X
    again = options(resume=True, **changed.get(change, {}))
    with pytest.raises(DataError, match="had another model, picture, crop, samples or seed"):
        run_tiles(MODEL, {"x": x}, file, options=again)


def test_nothing_to_resume(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="no interrupted run is beside"):
        run_tiles(MODEL, {"x": X}, tmp_path / "y.npy", options=options(resume=True))


def test_where_no_file_can_be(tmp_path: Path) -> None:
    with pytest.raises(OutputError, match=r"out is .*where there is a folder"):
        run_tiles(MODEL, {"x": X}, tmp_path, options=options())
    with pytest.raises(OutputError, match=r"out is .*where there is no folder"):
        run_tiles(MODEL, {"x": X}, tmp_path / "no" / "y.npy", options=options())
    with pytest.raises(OptionError, match="out names 'z', but the outputs are 'y'"):
        run_tiles(MODEL, {"x": X}, {"z": tmp_path / "z.npy"}, options=options())
