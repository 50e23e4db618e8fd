"""Tiles give what the whole run gives: integers bit for bit, floats up to their last bits."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx
import pytest
from chain_nets import network
from onnx import TensorProto, helper
from rewriting import N
from spatial.converted import as_bytes, as_int16, pooled, residual
from spatial.graphs import INPUT, LOCAL, Growth, cutting, gathering, grow, joining, resizing

from reluflow.attention import TileOptions, run_tiles
from reluflow.errors import ModelError
from reluflow.evaluation.answers.outputs import run_arrays
from reluflow.graph import Model, load
from reluflow.sessions import open_session

FREE = ("N", 3, "H", "W")
IRREGULAR = (joining, resizing, gathering, cutting)
"""Whose sizes do not follow the picture's, or that turn it over."""
REGULAR: tuple[Growth, ...] = tuple(kind for kind in LOCAL if kind not in IRREGULAR)


def free_graph(seed: int, kinds: tuple[Growth, ...]) -> tuple[Model, str]:
    """Return a random graph whose height and width are free."""
    made = grow(seed, kinds=kinds)
    last = list(made.shapes)[-1]
    proto = made.model(last)
    value = helper.make_tensor_value_info
    proto.graph.input[0].CopyFrom(value(INPUT, TensorProto.FLOAT, [1, 2, "H", "W"]))
    proto.graph.output[0].CopyFrom(value(last, TensorProto.FLOAT, None))
    return load(proto), last


def picture(seed: int) -> np.ndarray:
    rng = np.random.default_rng(seed)
    height, width = (12 * rng.integers(5, 9, 2) + rng.choice([0, 0, 1, 5], 2)).tolist()
    return rng.integers(-4, 5, (1, 2, height, width)).astype(np.float32)


def whole_run(model: Model, **feeds: np.ndarray) -> dict[str, np.ndarray]:
    return dict(run_arrays(open_session(model, threads=1), feeds))


@pytest.mark.parametrize("seed", range(24))
def test_random_graphs_give_the_whole_run(seed: int) -> None:
    model, last = free_graph(seed, REGULAR)
    x = picture(seed)
    crop = tuple(np.random.default_rng(seed).integers(40, 50, 2).tolist())
    found = run_tiles(model, {INPUT: x}, options=TileOptions(crop=crop, threads=1))
    wanted = whole_run(model, **{INPUT: x})[last]
    assert found.n_tiles > 1 and found.outputs[last].shape == wanted.shape
    np.testing.assert_allclose(
        found.outputs[last], wanted, rtol=0, atol=1e-6 * np.abs(wanted).max()
    )


@pytest.mark.parametrize("mode", ["nearest", "linear", "cubic"])
@pytest.mark.parametrize("scale", [0.5, 1.5, 2, 3, 4])
def test_resized_pictures(mode: str, scale: float) -> None:
    weights = np.random.default_rng(0).integers(-3, 4, (2, 3, 3, 3)).astype(np.float32)
    scales = np.array([1, 1, scale, scale], np.float32)
    model = network(
        N("Conv", ["x", "w"], ["c"], pads=[1, 1, 1, 1], strides=[2, 2]),
        N("Resize", ["c", "", "scales"], ["y"], mode=mode),
        tensors={"w": weights, "scales": scales},
        x=FREE,
    )
    x = np.random.default_rng(1).integers(-9, 9, (1, 3, 60, 72)).astype(np.float32)
    if (mode, scale) == ("nearest", 1.5):
        with pytest.raises(ModelError, match="nearest pixels at 3/2 of the size"):
            run_tiles(model, {"x": x})
        return
    found = run_tiles(model, {"x": x}, options=TileOptions(crop=(24, 24))).outputs["y"]
    wanted = whole_run(model, x=x)["y"]
    # positions are computed in float32: exactly where the scale is a power of two
    atol = 0 if scale in (0.5, 2, 4) else 1e-4
    np.testing.assert_allclose(found, wanted, rtol=0, atol=atol * np.abs(wanted).max())


@pytest.mark.parametrize("size", [(60, 76), (96, 40), (61, 75)])
@pytest.mark.parametrize("convert", [as_bytes, as_int16])
@pytest.mark.parametrize("network_of", [residual, pooled])
def test_chains_give_the_same_integers(
    network_of: Callable[..., Model], convert: Callable[[Model], Model], size: tuple[int, int]
) -> None:
    if network_of is pooled and size[0] % 2:
        size = (size[0] + 1, size[1] + 1)
    model = convert(network_of(FREE))
    x = np.random.default_rng(1).random((1, 3, *size)).astype(np.float32)
    for samples in (4, 16):
        options = TileOptions(crop=(32, 36), samples=samples, seed=7, threads=2)
        found = run_tiles(model, {"x": x}, options=options)
        more = {"samples": np.array(samples), "seed": np.array(7)}
        assert found.n_tiles >= 4
        np.testing.assert_array_equal(found.outputs["y"], whole_run(model, x=x, **more)["y"])


@pytest.mark.parametrize("crop", [(64, 80), (1000, 1000), (40, 80), (64, 30), (33, 31)])
def test_any_crop_gives_the_same(crop: tuple[int, int]) -> None:
    model = as_int16(residual(FREE))
    x = np.random.default_rng(2).random((2, 3, 64, 80)).astype(np.float32)
    found = run_tiles(model, {"x": x}, options=TileOptions(crop=crop, samples=16))
    whole = run_tiles(model, {"x": x}, options=TileOptions(samples=16))
    assert whole.n_tiles == 1 and whole.overhead == 1
    assert found.overhead >= 1 and all(np.array(found.crop) <= (64, 80))
    np.testing.assert_array_equal(found.outputs["y"], whole.outputs["y"])


def layout_last() -> Model:
    """Return a network whose picture has its channels last."""
    rng = np.random.default_rng(0)
    return network(
        N("Transpose", ["x"], ["t"], perm=[0, 3, 1, 2]),
        N("Conv", ["t", "w"], ["c"], auto_pad="SAME_UPPER", strides=[2, 2]),
        N("Relu", ["c"], ["r"]),
        N("Transpose", ["r"], ["y"], perm=[0, 2, 3, 1]),
        tensors={"w": rng.integers(-3, 4, (2, 3, 3, 3)).astype(np.float32)},
        x=("N", "H", "W", 3),
    )


def one_axis() -> Model:
    rng = np.random.default_rng(0)
    return network(
        N("Conv", ["x", "w"], ["c"], pads=[4, 0], dilations=[2]),
        N("MaxPool", ["c"], ["y"], kernel_shape=[3], strides=[3]),
        tensors={"w": rng.integers(-3, 4, (2, 3, 3)).astype(np.float32)},
        x=("N", 3, "L"),
        rank=3,
    )


@pytest.mark.parametrize(
    ("model_of", "shape", "crop"),
    [(layout_last, (1, 61, 48, 3), (20, 17)), (one_axis, (2, 3, 200), (40,))],
)
def test_other_layouts(
    model_of: Callable[[], Model], shape: tuple[int, ...], crop: tuple[int, ...]
) -> None:
    model = model_of()
    x = np.random.default_rng(3).integers(-9, 9, shape).astype(np.float32)
    found = run_tiles(model, {"x": x}, options=TileOptions(crop=crop))
    assert found.n_tiles > 3
    np.testing.assert_array_equal(found.outputs["y"], whole_run(model, x=x)["y"])


PARSED = """<ir_version: 8, opset_import: ["" : 17]>
g (float[1,1,H,W] x, float[1,1,A,B] half, float[1] factor)
  => (float[1,1,C,D] full, float[1,1,E,F] small)
<float[1,1,3,3] w = {1,2,1,0,3,0,-1,2,1}>
{
  c = Conv <pads = [1,1,1,1], strides = [2,2]> (x, w)
  s = Add(c, half)
  small = Mul(s, factor)
  scales = Constant <value_floats = [1.0, 1.0, 2.0, 2.0]> ()
  full = Resize <mode = "nearest"> (small, , scales)
}"""


def test_several_pictures_and_outputs_of_other_sizes() -> None:
    model = load(onnx.parser.parse_model(PARSED))
    rng = np.random.default_rng(4)
    feeds = {
        "x": rng.integers(-9, 9, (1, 1, 60, 80)).astype(np.float32),
        "half": rng.integers(-9, 9, (1, 1, 30, 40)).astype(np.float32),
        "factor": np.array([3], np.float32),
    }
    found = run_tiles(model, feeds, options=TileOptions(crop=(20, 20)))
    assert found.outputs["full"].shape == (1, 1, 60, 80)
    for name, wanted in whole_run(model, **feeds).items():
        np.testing.assert_array_equal(found.outputs[name], wanted)
    one = run_tiles(model, feeds, options=TileOptions(crop=(20, 20), outputs=("small",)))
    assert list(one.outputs) == ["small"]


def test_pictures_and_outputs_may_be_files(tmp_path: Path) -> None:
    model = layout_last()
    x = np.random.default_rng(5).random((1, 64, 64, 3)).astype(np.float32)
    np.save(tmp_path / "x.npy", x)
    mapped = np.load(tmp_path / "x.npy", mmap_mode="r")
    found = run_tiles(model, {"x": mapped}, tmp_path / "y.npy", options=TileOptions(crop=(20, 20)))
    assert isinstance(found.outputs["y"], np.memmap)
    np.testing.assert_array_equal(np.load(tmp_path / "y.npy"), whole_run(model, x=x)["y"])
    assert sorted(path.name for path in tmp_path.iterdir()) == ["x.npy", "y.npy"]


def test_a_smaller_limit_makes_more_and_smaller_crops() -> None:
    model = as_int16(residual(FREE))
    x = np.random.default_rng(6).random((1, 3, 96, 96)).astype(np.float32)
    runs = []
    for limit in (2**30, 300_000, 100_000):
        runs.append(run_tiles(model, {"x": x}, options=TileOptions(limit, samples=16)))
        assert runs[-1].estimated_bytes <= limit
        np.testing.assert_array_equal(runs[-1].outputs["y"], runs[0].outputs["y"])
    assert [run.n_tiles for run in runs] == sorted({run.n_tiles for run in runs})
    assert runs[0].overhead == 1 < runs[1].overhead
