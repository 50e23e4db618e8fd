"""Blocks of which the network is unsure are computed beside the changed ones."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest
from chain_nets import conv, network
from rewriting import N
from spatial.converted import as_bytes, as_floats, as_int16, gated, pooled, residual

from reluflow.attention import RegionOptions, VideoOptions, VideoSession
from reluflow.attention.video.unsure import UnsureBlocks, mean_of_blocks
from reluflow.errors import DataError, OptionError
from reluflow.evaluation.answers.outputs import run_arrays
from reluflow.graph import Model
from reluflow.sessions import open_session

FREE = ("N", 3, "H", "W")
NUMBERS = {"samples": np.array(16), "seed": np.array(0)}
EVERY, NONE = RegionOptions("absolute", -1.0), RegionOptions("absolute", 1e9)


def dense(model: Model, frames: list[np.ndarray]) -> list[np.ndarray]:
    session = open_session(model, threads=1)
    return [run_arrays(session, {"x": frame, **NUMBERS})["y"] for frame in frames]


def moving(n: int, height: int = 48, width: int = 64, seed: int = 0) -> list[np.ndarray]:
    """Return a still ground over which bright squares move."""
    rng = np.random.default_rng(seed)
    ground = rng.random((1, 3, height, width)).astype(np.float32)
    frames = []
    for number in range(n):
        frame = ground.copy()
        row, column = rng.integers(0, height - 6), 3 * number
        frame[..., row : row + 6, column : column + 6] += 0.7
        frames.append(frame)
    return frames


def run(model: Model, frames: list[np.ndarray], **options: Any) -> list[Any]:
    session = VideoSession(model, VideoOptions(**options), threads=2)
    return [session.run({"x": frame}) for frame in frames]


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("convert", [as_int16, as_bytes])
@pytest.mark.parametrize("network_of", [residual, pooled, gated])
def test_where_all_is_unsure_each_frame_is_the_dense_one(
    network_of: Callable[..., Model], convert: Callable[[Model], Model], seed: int
) -> None:
    model = convert(network_of(FREE))
    frames = moving(4, 40 + 8 * seed, 64, seed)
    found = run(model, frames, unsure=EVERY, margin=0, most_changed=1.0, refresh=99)
    assert [each.kind for each in found] == ["all", *["part"] * 3]
    for each, wanted in zip(found, dense(model, frames), strict=True):
        np.testing.assert_array_equal(each.answers["y"], wanted)
    assert all(each.unsure > 0 for each in found[1:])


@pytest.mark.parametrize("network_of", [residual, pooled])
def test_where_all_is_sure_only_changes_are_computed(network_of: Callable[..., Model]) -> None:
    model, frames = as_int16(network_of(FREE)), moving(4)
    plain, sure = run(model, frames), run(model, frames, unsure=NONE)
    for one, other in zip(plain, sure, strict=True):
        np.testing.assert_array_equal(one.answers["y"], other.answers["y"])
        assert (one.kind, one.share, one.changed) == (other.kind, other.share, other.changed)
        assert other.unsure == 0


@pytest.mark.parametrize("unsure", [EVERY, NONE, RegionOptions("coverage", 0.3), RegionOptions()])
def test_a_still_picture_comes_to_rest(unsure: RegionOptions) -> None:
    frames = moving(2)
    kinds = [each.kind for each in run(as_int16(residual(FREE)), [*frames, *frames[1:] * 8],
                                       unsure=unsure, refresh=99)]  # fmt: skip
    assert kinds[:2] == ["all", "part"] and kinds[-1] == "none"
    still = run(as_int16(residual(FREE)), frames[:1] * 3, unsure=unsure)
    assert [each.kind for each in still] == ["all", "none", "none"]


def test_more_unsure_blocks_drift_less() -> None:
    model, frames = as_int16(residual(FREE)), moving(8)
    wanted = dense(model, frames)
    drifts, unsure = [], []
    for share in (0.0, 0.1, 1.0):
        found = run(
            model, frames, margin=0, unsure=RegionOptions("coverage", share), most_changed=1.0
        )
        pairs = zip(found, wanted, strict=True)
        drifts.append(sum(float(np.abs(a.answers["y"] - b).mean()) for a, b in pairs))
        unsure.append(sum(each.unsure for each in found))
    assert drifts[0] > drifts[1] > drifts[2] == 0
    assert unsure[0] == 0 < unsure[1] < unsure[2]


def test_blocks_wait_after_they_were_computed() -> None:
    model, frames = as_int16(residual(FREE)), moving(7)
    sums = [
        sum(each.unsure for each in run(model, frames, unsure=EVERY, patience=patience, refresh=99))
        for patience in (0, 2, 90)
    ]
    assert sums[0] > sums[1] > sums[2] == 0


def test_as_many_blocks_may_be_drawn_at_random() -> None:
    model, frames = as_int16(residual(FREE)), moving(3)
    chosen = run(model, frames, unsure=RegionOptions("coverage", 0.1))
    drawn = run(model, frames, unsure=RegionOptions("coverage", 0.1, random=1))
    other = run(model, frames, unsure=RegionOptions("coverage", 0.1, random=2))
    assert drawn[1].unsure == other[1].unsure == chosen[1].unsure > 0
    assert (drawn[1].answers["y"] != other[1].answers["y"]).any()


@pytest.mark.parametrize("step", [2, 4, 8])
def test_uncertainties_move_with_the_picture(step: int) -> None:
    wide = np.random.default_rng(1).random((1, 3, 48, 64 + 5 * step)).astype(np.float32)
    frames = [wide[..., step * at : step * at + 64].copy() for at in range(5)]
    model = as_int16(residual(FREE))
    found = run(model, frames, pan_reach=8, unsure=EVERY, most_changed=1.0, refresh=99)
    for each, wanted in zip(found, dense(model, frames), strict=True):
        np.testing.assert_array_equal(each.answers["y"], wanted)
    few = RegionOptions("coverage", 0.05)
    less = run(model, frames, pan_reach=8, unsure=few, most_changed=0.9, refresh=99)
    assert [each.moved for each in less[1:]] == [(0, -step)] * 4
    assert all(0 < each.unsure <= 0.05 for each in less[1:])


def test_too_much_that_is_unsure_is_everything() -> None:
    found = run(as_int16(residual(FREE)), moving(2), unsure=EVERY, most_changed=0.05)
    assert [each.kind for each in found] == ["all", "all"]
    assert "of the blocks changed and in" in found[1].reason
    assert found[1].reason.endswith("% the network is unsure")


def test_maps_without_a_number_are_said_and_the_next_frame_begins_anew() -> None:
    rooted = network(
        conv("x", "w", "a", "only"),
        N("Sqrt", ["a"], ["y"]),
        tensors={"w": np.ones((2, 3, 1, 1), np.float32), "wb": np.full(2, -0.5, np.float32)},
        x=FREE,
    )
    session = VideoSession(as_floats(rooted), VideoOptions(unsure=EVERY), threads=1)
    good = 1 + moving(1)[0]
    assert session.run({"x": good}).kind == "all"
    with pytest.raises(DataError, match="gives NaN or infinite scores at all pixels"):
        session.run({"x": np.zeros_like(good)})
    found = [session.run({"x": good}) for _ in range(2)]
    assert [each.kind for each in found] == ["all", "none"]
    some = good.copy()
    some[..., 20:, :] = 0  # half of them is unknown, and so the most unsure
    assert session.run({"x": some}).kind in ("part", "all")


def test_a_model_without_a_map_is_refused() -> None:
    session = VideoSession(as_int16(residual(FREE)), VideoOptions(unsure=EVERY), threads=1)
    with pytest.raises(DataError, match="no output has pixels, and output"):
        session.run({"x": np.zeros((1, 3, 1, 1), np.float32)})


@pytest.mark.parametrize(
    ("options", "reason"),
    [
        ({"patience": 3}, "patience is 3, but does nothing without unsure; give both"),
        ({"patience": -1, "unsure": EVERY}, "patience is -1; give a whole number from 0 on"),
        ({"unsure": RegionOptions(margin=2)}, "unsure has margin 2, but unsure blocks are carried"),
        ({"unsure": RegionOptions(carry="exact")}, "unsure has carry 'exact'"),
        ({"unsure": EVERY, "carry": "exact"}, "carry is 'exact', with which nothing drifts"),
    ],
)
def test_options_that_do_nothing(options: dict[str, Any], reason: str) -> None:
    with pytest.raises(OptionError, match=reason):
        VideoOptions(**options)


@pytest.mark.parametrize("sizes", [(5,), (16, 24), (7, 30), (33, 9)])
@pytest.mark.parametrize("side", [1, 4, 8])
def test_a_block_has_the_mean_of_what_it_overlaps(sizes: tuple[int, ...], side: int) -> None:
    rng = np.random.default_rng(0)
    for factor in (0.5, 1, 2, 1.4):
        shape = tuple(max(1, round(factor * size)) for size in sizes)
        values = rng.random(shape)
        found = mean_of_blocks(values, sizes, side)
        assert found.shape == tuple(-(-size // side) for size in sizes)
        for at in np.ndindex(*found.shape):
            window = tuple(
                slice(i * side * n // size, -(-min((i + 1) * side, size) * n // size))
                for i, n, size in zip(at, shape, sizes, strict=True)
            )
            assert found[at] == pytest.approx(values[window].mean())
    assert (mean_of_blocks(np.arange(3.0), (16, 24), 8) == 1).all()


@dataclass
class Told:
    """A map of uncertainties as it is given."""

    tensor: str = "map"

    def read(self, values: Any, inputs: Any = None) -> Any:
        return values


def test_stale_is_what_reads_a_change_and_was_not_computed_since() -> None:
    watched = UnsureBlocks(Told(), EVERY, 1, 8, (8, 80), (4, 17))
    watched.look(np.ones((1, 8, 80)), {})
    none = np.zeros((1, 10), bool)
    changed = none.copy()
    changed[0, 5] = True
    watched.changed(changed)  # 17 pixels reach into three blocks to each side
    assert np.flatnonzero(watched.choose(none, 1)).tolist() == [2, 3, 4, 5, 6, 7, 8]
    watched.computed(changed)
    watched.changed(none)
    assert np.flatnonzero(watched.choose(none, 2)).tolist() == [2, 3, 4, 6, 7, 8]
    watched.moved((0, 16), none)
    assert np.flatnonzero(watched.choose(none, 3)).tolist() == [4, 5, 6, 8, 9]
    watched.moved((0, 3), none)  # no whole block: all may be stale
    assert watched.choose(none, 4).all()
    watched.computed(None)
    assert not watched.choose(none, 5).any()
