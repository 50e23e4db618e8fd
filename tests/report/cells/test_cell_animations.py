"""Animations over checkpoints: a pattern has one colour in all pictures, in the GIF too."""

import io
import json
from pathlib import Path

import numpy as np
import pytest
from celled.models import random_mlp
from numpy.typing import NDArray
from PIL import Image

import reluflow
from reluflow._api.inspect import _by_numbers
from reluflow.errors import ModelError, OptionError
from reluflow.report.pages.cells import ANIMATION_FILES
from reluflow.report.pictures.animation import animated

MODELS = [random_mlp([2, 8, 8, 3], seed) for seed in range(3)]


def frames_of(file: bytes) -> tuple[list[NDArray[np.uint8]], int]:
    """Return the pictures of an animation, and milliseconds of the first."""
    with Image.open(io.BytesIO(file)) as held:
        frames = []
        for i in range(getattr(held, "n_frames", 1)):
            held.seek(i)
            if i == 0:
                held.load()
                duration = int(held.info["duration"])
            frames.append(np.asarray(held.convert("RGB")))
    return frames, duration


def test_a_webp_has_every_pixel_and_a_gif_one_colour_for_each() -> None:
    rng = np.random.default_rng(0)
    colours = rng.integers(0, 256, (400, 3), np.uint8)  # more than a GIF has
    labels = rng.integers(0, 400, (5, 32, 24))
    pictures = [colours[each] for each in labels]
    files = animated(pictures, seconds=0.25)
    frames, duration = frames_of(files["webp"])
    assert duration == 250 and (np.stack(frames) == np.stack(pictures)).all()
    frames, duration = frames_of(files["gif"])
    assert duration == 250 and len(frames) == 5
    drawn = np.stack(frames)
    for label in range(400):
        assert len(np.unique(drawn[labels == label], axis=0)) <= 1
    assert len(np.unique(drawn.reshape(-1, 3), axis=0)) > 200


def test_checkpoints_are_animated_with_their_numbers(tmp_path: Path) -> None:
    series = reluflow.animate_cells(MODELS, tmp_path / "out", classes=True, seconds=1)
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == sorted(ANIMATION_FILES)
    alone = [reluflow.find_cells(model, classes=True) for model in MODELS]
    assert list(series) == alone
    assert json.loads((tmp_path / "out" / "animation.json").read_text()) == json.loads(
        json.dumps(series.to_dict())
    )
    for name in ANIMATION_FILES[:2]:
        frames, duration = frames_of((tmp_path / "out" / name).read_bytes())
        assert duration == 1000 and len(frames) == 3
        assert len({frame.shape for frame in frames}) == 1
        assert (frames[0] != frames[1]).any() and (frames[1] != frames[2]).any()


def test_what_does_not_change_keeps_its_colour() -> None:
    """The first layer is the same in both models, so its cells look the same."""
    from reluflow.cells import plane_of_inputs, raster_cells, sum_up_raster
    from reluflow.report import frame_of

    weights = [np.array([[1.0, 0.5], [0.25, -1.0]]), np.ones((2, 1))]
    from celled.models import mlp

    one = mlp(weights, [np.array([0.1, 0.2]), np.zeros(1)])
    other = mlp([weights[0], -weights[1]], [np.array([0.1, 0.2]), np.ones(1)])
    frames = []
    for model in (one, other):
        cells = raster_cells(model, plane_of_inputs(), width=40, height=40)
        frames.append(frame_of(cells, sum_up_raster(cells), "step"))
    assert (frames[0] == frames[1]).all()


def test_a_folder_is_taken_in_order_of_its_numbers(tmp_path: Path) -> None:
    for name, model in zip(("epoch10", "epoch2", "epoch1"), MODELS, strict=True):
        model.save(tmp_path / f"{name}.onnx")
    (tmp_path / "notes.txt").write_text("no model")
    series = reluflow.animate_cells(tmp_path, raster=6)
    assert [each.model for each in series] == ["epoch1.onnx", "epoch2.onnx", "epoch10.onnx"]
    names = ["b.onnx", "a10.onnx", "a9.onnx", "10.onnx", "9.onnx"]
    ordered = sorted(map(Path, names), key=_by_numbers)
    assert [path.name for path in ordered] == ["9.onnx", "10.onnx", "a9.onnx", "a10.onnx", "b.onnx"]


def test_all_are_on_a_grid_where_one_has_too_many_cells(monkeypatch: pytest.MonkeyPatch) -> None:
    from reluflow._api import inspect

    monkeypatch.setattr(inspect, "MOST_ON_PAGE", 100)
    monkeypatch.setattr(inspect, "PIXELS", 10)
    few, many = random_mlp([2, 3, 1], 0), random_mlp([2, 40, 1], 0)
    series = reluflow.animate_cells([few, many], classes=True)
    assert {each.kind for each in series} == {"raster"}
    assert "more than 100 cells" in str(series) and "no decision boundary" in str(series)


def test_what_cannot_be_animated_is_said(tmp_path: Path) -> None:
    MODELS[0].save(tmp_path / "alone.onnx")
    with pytest.raises(OptionError, match="there are 1 checkpoints"):
        reluflow.animate_cells(tmp_path)
    with pytest.raises(OptionError, match=r"alone\.onnx', one file; give two or more"):
        reluflow.animate_cells(tmp_path / "alone.onnx")
    with pytest.raises(OptionError, match="but the model reads"):
        reluflow.animate_cells([MODELS[0], random_mlp([3, 4, 1], 0)], raster=4)
    with pytest.raises(OptionError, match="seconds is 0; give a time from"):
        reluflow.animate_cells(MODELS, tmp_path / "out", raster=4, seconds=0)
    assert not (tmp_path / "out").exists()
    with pytest.raises(OptionError, match="an animation of 1 does not move"):
        animated([np.zeros((2, 2, 3), np.uint8)])
    with pytest.raises(ModelError, match="2 inputs"):
        import onnx.parser

        two = onnx.parser.parse_model(
            """<ir_version: 8, opset_import: ["" : 17]>
            g (float[N,2] x, float[N,2] b) => (float[N,2] y) { z = Add(x, b) y = Relu(z) }"""
        )
        reluflow.animate_cells([two, two])
