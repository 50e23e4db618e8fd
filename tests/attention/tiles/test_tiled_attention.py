"""Two passes in tiles give what two passes over the whole picture give, to the bit."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import onnx
import pytest
from chain_nets import conv, converted, network
from rewriting import N
from spatial.converted import as_bytes, as_int16, gated, pooled, residual, stored

from reluflow.attention import (
    AttentionSession,
    RegionOptions,
    TiledAttention,
    TileOptions,
    attend_tiles,
)
from reluflow.errors import DataError, ModelError, OptionError
from reluflow.graph import Model, load

FREE = ("N", 3, "H", "W")
Array = np.ndarray[Any, Any]


def upsampled(x: Any = FREE) -> Model:
    """Return a network whose strides are undone by a Resize, joined with what it began with."""
    return network(
        conv("x", "w", "a", "first", pads=[1, 1, 1, 1]),
        N("Relu", ["a"], ["b"]),
        conv("b", "v", "c", "down", pads=[1, 1, 1, 1], strides=[1, 2]),
        N("Relu", ["c"], ["d"]),
        N("Resize", ["d", "", "size"], ["e"], mode="nearest"),
        N("Concat", ["e", "b"], ["f"], axis=1),
        conv("f", "u", "y", "last"),
        tensors={
            **stored(w=(4, 3, 3, 3), wb=(4,), v=(4, 4, 3, 3), vb=(4,), u=(2, 8, 1, 1), ub=(2,)),
            "size": np.array([1, 1, 1, 2], np.float32),
        },
        x=x,
    )


def as_psb(model: Model) -> Model:
    """Return floats between operators whose exponents are known."""
    exponents = {name: 4 for name in ("x", "b", "d", "f", "g", "p", "q", "r")}
    return converted(model, x_exponents=exponents)


NETWORKS = (residual, pooled, upsampled)
FORMS = (as_psb, as_bytes, as_int16)


def picture(seed: int, *sizes: int, n: int = 1) -> Array:
    """Return a picture that is calm but for some places."""
    rng = np.random.default_rng(seed)
    found = np.full((n, 3, *sizes), 0.5, np.float32)
    for each in found:
        top, left = (int(rng.integers(0, size - 12)) for size in sizes)
        each[:, top : top + 12, left : left + 12] = rng.random((3, 12, 12))
    return found


class Lively:
    """Takes pixels for unsure whose scores are not the usual ones."""

    tensor = "y"

    def read(self, values: Array, inputs: Any = None) -> Array:
        first = values if values.shape[1] < values.shape[2] else np.moveaxis(values, -1, 1)
        usual = np.median(first, axis=(2, 3), keepdims=True)
        return np.asarray(np.abs(first - usual).sum(axis=1), np.float64)


def whole(
    fine: Model, x: Array, options: RegionOptions, coarse: Model | None = None, **how: Any
) -> Any:
    session = AttentionSession(fine, coarse, unsure=Lively(), threads=1, **how)
    return session.run({"x": x}, (4, 16), options)


def same(found: TiledAttention, wanted: Any, region: bool | None = True) -> None:
    """Compare everything but times."""
    run = found.run
    assert region is None or bool(wanted.region.any()) is region
    for name in wanted.first:
        np.testing.assert_array_equal(run.first[name], wanted.first[name])
        np.testing.assert_array_equal(run.answers[name], wanted.answers[name])
    np.testing.assert_array_equal(run.unsure, wanted.unsure)
    np.testing.assert_array_equal(run.region, wanted.region)
    assert run.masks.keys() == wanted.masks.keys()
    for name, mask in wanted.masks.items():
        np.testing.assert_array_equal(run.masks[name], mask)
    assert run.nodes == wanted.nodes and run.tensor == wanted.tensor
    assert run.first_shift_adds == wanted.first_shift_adds and run.notes == wanted.notes


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("network_of", NETWORKS)
def test_one_model(network_of: Callable[..., Model], form: Callable[[Model], Model]) -> None:
    fine, x = form(network_of(FREE)), picture(1, 64, 120)
    for number, options in enumerate(
        (
            RegionOptions("coverage", 0.03),
            RegionOptions("coverage", 0.1, margin=1, halo=2),
            RegionOptions("coverage", 0.01, carry="exact"),
        )
    ):
        tiles = TileOptions(crop=(40, 40 + 4 * number), threads=1)
        found = attend_tiles(fine, {"x": x}, (4, 16), options, unsure=Lively(), options=tiles)
        assert found.n_tiles > 3 and found.overhead > 1
        same(found, whole(fine, x, options))


@pytest.mark.parametrize("half", [False, True])
@pytest.mark.parametrize("network_of", NETWORKS)
def test_another_model_first(network_of: Callable[..., Model], half: bool) -> None:
    coarse, fine = as_bytes(network_of(FREE)), as_int16(network_of(FREE))
    x = picture(2, 64, 160)
    for options in (RegionOptions("coverage", 0.03, halo=1), RegionOptions(margin=1)):
        tiles = TileOptions(crop=(64, 80), threads=1)
        if network_of is pooled and half:  # n - 1 pixels and n / 2 - 1 do not lie in step
            with pytest.raises(ModelError, match=r"pixels of 'q' \(the values of 'pass 1'\) read"):
                attend_tiles(fine, {"x": x}, coarse=coarse, half=half, options=tiles)
            continue
        found = attend_tiles(
            fine,
            {"x": x},
            (4, 16),
            options,
            coarse=coarse,
            half=half,
            unsure=Lively(),
            options=tiles,
        )
        assert found.n_tiles > 1
        same(found, whole(fine, x, options, coarse, half=half))


@pytest.mark.parametrize("native", [True, False])
def test_only_tiles_with_something_of_the_region_run(native: bool) -> None:
    fine, coarse = (as_int16(residual(FREE)), as_bytes(residual(FREE)))
    x = picture(3, 64, 240)
    options = RegionOptions("coverage", 0.01)
    tiles = TileOptions(crop=(64, 48), threads=1, native=native)
    for first in (None, coarse):
        found = attend_tiles(
            fine, {"x": x}, (4, 16), options, coarse=first, unsure=Lively(), options=tiles
        )
        assert 0 < found.n_run < found.n_tiles
        same(found, whole(fine, x, options, first, native=native))


def test_no_region_and_all_of_it() -> None:
    fine, x = as_int16(residual(FREE)), picture(4, 64, 96)
    for share, run in ((0.0, 0), (1.0, None)):
        options = RegionOptions("coverage", share)
        tiles = TileOptions(crop=(40, 40), threads=1)
        found = attend_tiles(fine, {"x": x}, (4, 16), options, unsure=Lively(), options=tiles)
        assert found.n_run == (found.n_tiles if run is None else run)
        same(found, whole(fine, x, options), region=run is None)


def test_outputs_that_cannot_skip_come_from_all_tiles() -> None:
    """A Sigmoid in floats computes all pixels from what the other pass gave."""

    def bent(x: Any = FREE) -> Model:
        return network(
            conv("x", "w", "a", "first", pads=[1, 1, 1, 1]),
            N("Relu", ["a"], ["b"]),
            conv("b", "u", "z", "last"),
            N("Sigmoid", ["z"], ["s"]),
            N("Transpose", ["s"], ["y"], perm=[0, 2, 3, 1]),
            tensors=stored(w=(4, 3, 3, 3), wb=(4,), u=(2, 4, 1, 1), ub=(2,)),
            x=x,
        )

    x, options = picture(5, 64, 200), RegionOptions("coverage", 0.01)
    for first in (None, as_bytes(bent())):
        fine = as_int16(bent())
        tiles = TileOptions(crop=(64, 40), threads=1)
        found = attend_tiles(
            fine, {"x": x}, (4, 16), options, coarse=first, unsure=Lively(), options=tiles
        )
        assert (found.n_run == found.n_tiles) is (first is not None)
        same(found, whole(fine, x, options, first))


def test_several_pictures_have_regions_of_their_own() -> None:
    fine = as_int16(residual(FREE))
    x = np.concatenate([picture(6, 64, 96), np.full((1, 3, 64, 96), 0.5, np.float32)])
    options = RegionOptions("absolute", 1.0)
    tiles = TileOptions(crop=(40, 40), threads=1)
    found = attend_tiles(fine, {"x": x}, (4, 16), options, unsure=Lively(), options=tiles)
    same(found, whole(fine, x, options))


def test_a_limit_bounds_the_estimate_of_a_tile() -> None:
    fine, coarse, x = as_int16(residual(FREE)), as_bytes(residual(FREE)), picture(7, 96, 160)
    counts = []
    for limit in (2**30, 600_000, 300_000):
        found = attend_tiles(fine, {"x": x}, coarse=coarse, options=TileOptions(limit, threads=1))
        assert found.estimated_bytes <= limit
        counts.append(found.n_tiles)
    assert counts[0] == 1 < counts[1] < counts[2]
    # a tile takes as much whatever the picture's size is
    wide = np.concatenate([x] * 4, axis=-1)
    again = attend_tiles(fine, {"x": wide}, coarse=coarse, options=TileOptions(limit, threads=1))
    assert again.n_tiles > counts[2] and again.estimated_bytes <= limit


def test_what_cannot_be_tiled_is_said() -> None:
    fine, x = as_int16(residual(FREE)), picture(8, 48, 48)
    small = TileOptions(crop=(24, 24))
    with pytest.raises(ModelError, match="FixedGlobalPool16 'm' reads all pixels of 'b/int16'"):
        attend_tiles(as_int16(gated(FREE)), {"x": x}, options=small)
    with pytest.raises(ModelError, match="takes the exponent of 'x' from all pixels of the run"):
        attend_tiles(converted(residual(FREE)), {"x": x}, options=small)
    with pytest.raises(ModelError, match="has no PSB operator"):
        attend_tiles(residual(FREE), {"x": x}, options=small)
    with pytest.raises(OptionError, match=r"options have samples 4, outputs None and resume Fal"):
        attend_tiles(fine, {"x": x}, options=TileOptions(samples=4))
    with pytest.raises(OptionError, match="half is True, but there is no coarse model to run on"):
        attend_tiles(fine, {"x": x}, half=True)
    with pytest.raises(OptionError, match="samples of a pass are 3; accepted are 1, 2, 4"):
        attend_tiles(fine, {"x": x}, (3, 16))
    with pytest.raises(OptionError, match=r"a crop of \[8, 8\] pixels is too small"):
        attend_tiles(fine, {"x": x}, options=TileOptions(crop=(8, 8)))
    with pytest.raises(OptionError, match="the memory limit allows crops of"):
        attend_tiles(fine, {"x": x}, options=TileOptions(1000))
    other = onnx.load_from_string(as_bytes(residual(FREE)).serialize())
    other.graph.output[0].name = other.graph.node[-1].output[0] = "z"
    with pytest.raises(DataError, match="coarse has no output 'y', but fine has; give two forms"):
        attend_tiles(fine, {"x": x}, coarse=load(other), options=small)
