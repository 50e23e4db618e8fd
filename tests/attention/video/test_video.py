"""Frames that start from the last one's values, against a dense run of each."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest
from spatial.converted import as_bytes, as_int16, pooled, residual

from reluflow.attention import VideoOptions, VideoSession
from reluflow.errors import DataError, ModelError, OptionError
from reluflow.evaluation.answers.outputs import run_arrays
from reluflow.graph import Model
from reluflow.sessions import open_session

FREE = ("N", 3, "H", "W")
NUMBERS = {"samples": np.array(16), "seed": np.array(0)}


def dense(model: Model, frames: list[np.ndarray]) -> list[np.ndarray]:
    session = open_session(model, threads=1)
    return [run_arrays(session, {"x": frame, **NUMBERS})["y"] for frame in frames]


def moving_object(n: int, height: int = 48, width: int = 64) -> list[np.ndarray]:
    """Return a still ground over which a bright square moves."""
    ground = np.random.default_rng(0).random((1, 3, height, width)).astype(np.float32)
    frames = []
    for number in range(n):
        frame = ground.copy()
        frame[..., 10 : 10 + 6, 3 * number : 3 * number + 6] += 0.7
        frames.append(frame)
    return frames


def panned(n: int, step: int, height: int = 48, width: int = 64) -> list[np.ndarray]:
    """Return a window that moves over a wide picture."""
    wide = np.random.default_rng(1).random((1, 3, height, width + n * step)).astype(np.float32)
    return [wide[..., number * step : number * step + width].copy() for number in range(n)]


def run(model: Model, frames: list[np.ndarray], **options: Any) -> Iterator[Any]:
    session = VideoSession(model, VideoOptions(**options), threads=2)
    return (session.run({"x": frame}) for frame in frames)


@pytest.mark.parametrize("convert", [as_int16, as_bytes])
@pytest.mark.parametrize("network_of", [residual, pooled])
def test_exact_regions_give_the_dense_pass(
    network_of: Callable[..., Model], convert: Callable[[Model], Model]
) -> None:
    model = convert(network_of(FREE))
    frames = moving_object(6)
    kinds = []
    found_all = run(model, frames, carry="exact", most_changed=1.0)
    for found, wanted in zip(found_all, dense(model, frames), strict=True):
        np.testing.assert_array_equal(found.answers["y"], wanted)
        kinds.append(found.kind)
    assert kinds == ["all", *["part"] * 5]


def test_no_drift_after_everything_was_computed() -> None:
    model = as_int16(residual(FREE))
    frames = moving_object(10)
    drifts, kinds = [], []
    found_all = run(model, frames, refresh=4, margin=0)
    for found, wanted in zip(found_all, dense(model, frames), strict=True):
        drifts.append(float(np.abs(found.answers["y"] - wanted).max()))
        kinds.append(found.kind)
        assert (found.kind == "all") == (found.share == 1.0) == bool(found.reason)
        assert found.milliseconds > 0
    assert [at for at, kind in enumerate(kinds) if kind == "all"] == [0, 4, 8]
    assert all(drifts[at] == 0 for at in (0, 4, 8))
    assert max(drifts) > 0


def test_a_wider_margin_drifts_less() -> None:
    model = as_int16(residual(FREE))
    frames = moving_object(5)
    drifts = []
    for margin in (0, 2, 5):
        pairs = zip(run(model, frames, margin=margin), dense(model, frames), strict=True)
        drifts.append(sum(float(np.abs(a.answers["y"] - b).mean()) for a, b in pairs))
    assert drifts[0] > drifts[1] > drifts[2]


def test_a_still_picture_costs_nothing() -> None:
    frames = [moving_object(1)[0]] * 4
    found = list(run(as_int16(residual(FREE)), frames))
    assert [each.kind for each in found] == ["all", "none", "none", "none"]
    assert [each.share for each in found] == [1, 0, 0, 0]
    for each in found:
        np.testing.assert_array_equal(each.answers["y"], found[0].answers["y"])


def test_noise_is_no_change_and_slow_changes_add_up() -> None:
    ground = moving_object(1)[0]
    rng = np.random.default_rng(2)
    noisy = [ground + rng.uniform(-0.01, 0.01, ground.shape).astype(np.float32) for _ in range(4)]
    kinds = [each.kind for each in run(as_int16(residual(FREE)), noisy, threshold=0.025)]
    assert kinds == ["all", "none", "none", "none"]
    slow = [ground.copy() for _ in range(7)]
    for number, frame in enumerate(slow):
        frame[..., 8:16, 8:16] += 0.01 * number
    kinds = [each.kind for each in run(as_int16(residual(FREE)), slow, threshold=0.025)]
    assert kinds == ["all", "none", "none", "part", "none", "none", "part"]


def test_single_pixels_need_not_count() -> None:
    frames = [moving_object(1)[0] for _ in range(2)]
    frames[1][..., 9, 9] += 1
    kinds = [each.kind for each in run(as_int16(residual(FREE)), frames, least_pixels=2)]
    assert kinds == ["all", "none"]


@pytest.mark.parametrize("step", [2, 4, -2])
def test_a_moved_picture_takes_its_values_along(step: int) -> None:
    model = as_int16(residual(FREE))
    frames = panned(5, abs(step))[:: 1 if step > 0 else -1]
    inner = (slice(None), slice(None), slice(6, -6), slice(14, -14))
    found_all = run(model, frames, pan_reach=4)
    for number, (found, wanted) in enumerate(zip(found_all, dense(model, frames), strict=True)):
        assert found.moved == ((0, -step) if number else (0, 0))
        assert found.kind == ("part" if number else "all") and (number == 0) == (found.share == 1)
        if number < 3:  # what came in reaches further with every frame
            np.testing.assert_array_equal(found.answers["y"][inner], wanted[inner])


@pytest.mark.parametrize(("step", "reach"), [(1, 4), (4, 1), (2, 0)])
def test_other_movements_are_computed_anew(step: int, reach: int) -> None:
    """Rows move by one pixel here, columns by 2: the strides of the network."""
    model = as_int16(residual(FREE))
    frames = [np.ascontiguousarray(frame.swapaxes(2, 3)) for frame in panned(3, step, 64, 48)]
    found_all = run(model, frames, pan_reach=reach)
    for number, (found, wanted) in enumerate(zip(found_all, dense(model, frames), strict=True)):
        assert found.kind == "all" and (number == 0 or "of the blocks changed" in found.reason)
        np.testing.assert_array_equal(found.answers["y"], wanted)


def test_another_size_begins_anew() -> None:
    model = as_int16(residual(FREE))
    session = VideoSession(model, threads=1)
    first, second = moving_object(1)[0], moving_object(1, 32, 40)[0]
    assert [session.run({"x": each}).kind for each in (first, second, second, first)] == [
        *("all", "all", "none", "all")
    ]


@pytest.mark.parametrize(
    ("options", "reason"),
    [
        ({"block": 0}, "block is 0; give a whole number from 1 on"),
        ({"least_pixels": 0}, "least_pixels is 0"),
        ({"margin": -1}, "margin is -1; give a whole number from 0 on"),
        ({"refresh": 0}, "refresh is 0"),
        ({"pan_reach": -1}, "pan_reach is -1"),
        ({"threshold": -0.5}, "threshold is -0.5; give a number from 0 on"),
        ({"threshold": np.nan}, "threshold is nan"),
        ({"most_changed": 1.5}, "most_changed is 1.5; give a share"),
        ({"carry": "near"}, "carry is 'near'; accepted are scaled, exact"),
        ({"samples": 3}, "samples is 3; accepted are 1, 2, 4"),
    ],
)
def test_options_that_cannot_be(options: dict[str, Any], reason: str) -> None:
    with pytest.raises(OptionError, match=reason):
        VideoSession(as_int16(residual(FREE)), VideoOptions(**options))


def test_models_and_inputs_that_do_not_fit() -> None:
    with pytest.raises(ModelError, match="has no PSB operator, so none that skips pixels"):
        VideoSession(residual(FREE))
    session = VideoSession(as_int16(residual(FREE)))
    frames = np.concatenate(moving_object(2))
    with pytest.raises(DataError, match=r"inputs with pixels are 'x' \[2, 3, 48, 64\]; give one"):
        session.run({"x": frames})
