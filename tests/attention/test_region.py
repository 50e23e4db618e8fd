"""What lies outside a carried region has no influence, to the bit; what lies inside has some."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper
from spatial import graphs
from spatial.graphs import INPUT, LINEAR, Maker, grow

from reluflow.attention import Region, blocks_of, changed_region, pixels_of, receptive_region
from reluflow.errors import DataError, OptionError
from reluflow.graph import SpatialGraph, load, read_spatial
from reluflow.sessions import Session, open_session

SHIPPED = Path(__file__).parents[2] / "models"
Values = dict[str, np.ndarray]


def opened(made: Maker, tensors: list[str]) -> tuple[Session, SpatialGraph]:
    model = load(made.model(*tensors))
    graph = read_spatial(load(made.model(tensors[-1])), {INPUT: made.shapes[INPUT]})
    return open_session(model, threads=1, optimisation="none"), graph


def run(session: Session, x: np.ndarray) -> Values:
    return dict(zip(session.outputs, session.run({INPUT: x}), strict=True))


def last_first(values: np.ndarray, axes: tuple[int, ...]) -> np.ndarray:
    """Return an array with the axes of pixels in front."""
    return np.moveaxis(values, axes, range(len(axes)))


def random_mask(rng: np.random.Generator, sizes: tuple[int, ...]) -> np.ndarray:
    share = rng.choice([0.02, 0.1, 0.4])
    mask = rng.random(sizes) < share
    mask[tuple(rng.integers(size) for size in sizes)] = True
    return mask


@pytest.mark.parametrize("seed", range(60))
def test_pixels_outside_what_is_read_do_not_matter(seed: int) -> None:
    made = grow(seed)
    tensors = [name for name in made.shapes if name != INPUT]
    session, graph = opened(made, tensors)
    rng = np.random.default_rng(seed)
    x = rng.standard_normal(made.shapes[INPUT]).astype(np.float32)
    first = run(session, x)
    assert graph.ends == () and set(graph.sizes) == set(made.shapes)
    for name in tensors:
        mask = random_mask(rng, graph.sizes[name])
        region = receptive_region(graph, name, mask)
        other = np.where(region.mask(INPUT), x, x + rng.standard_normal(x.shape) * 3)
        second = run(session, other.astype(np.float32))
        axes = graph.axes[name]
        kept = last_first(first[name], axes)[mask], last_first(second[name], axes)[mask]
        np.testing.assert_array_equal(*kept)


@pytest.mark.parametrize("seed", range(100, 140))
def test_pixels_outside_what_changes_stay_as_they_are(seed: int) -> None:
    made = grow(seed, steps=6)
    tensors = [name for name in made.shapes if name != INPUT]
    session, graph = opened(made, tensors)
    rng = np.random.default_rng(seed)
    x = rng.standard_normal(made.shapes[INPUT]).astype(np.float32)
    mask = random_mask(rng, graph.sizes[INPUT])
    region = changed_region(graph, INPUT, mask)
    other = np.where(mask, x + rng.standard_normal(x.shape) * 3, x).astype(np.float32)
    first, second = run(session, x), run(session, other)
    for name in tensors:
        outside = ~region.mask(name)
        axes = graph.axes[name]
        np.testing.assert_array_equal(
            last_first(first[name], axes)[outside], last_first(second[name], axes)[outside]
        )


@pytest.mark.parametrize("seed", range(200, 230))
def test_every_pixel_inside_matters_where_weights_are_positive(seed: int) -> None:
    made = grow(seed, steps=3, kinds=LINEAR, positive=True)
    name = list(made.shapes)[-1]
    session, graph = opened(made, [name])
    x = np.ones(made.shapes[INPUT], np.float32)
    first = run(session, x)[name]
    touched = {at: np.zeros(graph.sizes[name], bool) for at in np.ndindex(*graph.sizes[INPUT])}
    for (row, column), mask in touched.items():
        other = x.copy()
        other[:, :, row, column] += 1  # small whole numbers: sums are exact
        change = last_first(run(session, other)[name] != first, graph.axes[name])
        mask |= change.reshape(*mask.shape, -1).any(axis=-1)
        one = np.zeros(graph.sizes[INPUT], bool)
        one[row, column] = True
        np.testing.assert_array_equal(changed_region(graph, INPUT, one).mask(name), mask)
    rng = np.random.default_rng(seed)
    mask = random_mask(rng, graph.sizes[name])
    expected = np.array([(touched[at] & mask).any() for at in touched])
    found = receptive_region(graph, name, mask).mask(INPUT)
    np.testing.assert_array_equal(found, expected.reshape(found.shape))


@pytest.mark.parametrize("seed", range(8))
def test_a_gate_over_all_pixels_reads_all(seed: int) -> None:
    made = Maker(seed)
    last = graphs.gate(made, graphs.convolution(made, INPUT))
    _, graph = opened(made, [last])
    mask = np.zeros(graph.sizes[last], bool)
    mask[0, 0] = True
    assert receptive_region(graph, last, mask).coverage("t0") == 1
    one = np.zeros(graph.sizes["t0"], bool)
    one[0, 0] = True
    assert changed_region(graph, "t0", one).coverage(last) == 1


def behind_a_dense_layer(values: bool = True) -> onnx.ModelProto:
    """Return a picture times a factor that a dense layer computes, of it or of another input."""
    nodes = [
        helper.make_node("Relu", ["x"], ["r"]),
        helper.make_node("Flatten", ["r" if values else "other"], ["f"], "flat"),
        helper.make_node("Gemm", ["f", "w"], ["g"]),
        helper.make_node("Reshape", ["g", "s"], ["gate"]),
        helper.make_node("Mul", ["r", "gate"], ["m"]),
        helper.make_node("MaxPool", ["m"], ["y"], kernel_shape=[2, 2]),
    ]
    value = helper.make_tensor_value_info
    stored = {"w": np.ones((32, 2), np.float32), "s": np.array([1, 2, 1, 1])}
    graph = helper.make_graph(
        nodes,
        "gate",
        [value(name, TensorProto.FLOAT, [1, 2, 4, 4]) for name in ("x", "other")],
        [value("y", TensorProto.FLOAT, None)],
        [numpy_helper.from_array(array, name) for name, array in stored.items()],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)


def corner(region_sizes: tuple[int, ...]) -> np.ndarray:
    mask = np.zeros(region_sizes, bool)
    mask[0, 0] = True
    return mask


def test_a_way_around_through_a_dense_layer_is_seen() -> None:
    graph = read_spatial(load(behind_a_dense_layer()), {"x": (1, 2, 4, 4)})
    assert [end.op for end in graph.ends] == ["Flatten"]
    back = receptive_region(graph, "y", corner(graph.sizes["y"]))
    assert back.coverage("x") == back.coverage("r") == 1 and back.coverage("m") == 0.25
    assert back.ends == (
        "Pixels end at 'flat' (Flatten), since Flatten does not keep pixels apart: it reads all "
        "of 'r'.",
    )
    forth = changed_region(graph, "x", corner((4, 4)))
    assert forth.coverage("r") == 1 / 16 and forth.coverage("y") == 1


def test_without_that_way_the_region_stays_small() -> None:
    graph = read_spatial(load(behind_a_dense_layer(values=False)), {"x": (1, 2, 4, 4)})
    back = receptive_region(graph, "y", corner(graph.sizes["y"]))
    assert back.ends == () and back.coverage("x") == 0.25


def test_nothing_reads_nothing_and_all_reads_all() -> None:
    model = load(SHIPPED / "fashion_resnet8.onnx")
    graph = read_spatial(model, {"image": (1, 1, 28, 28)})
    [end] = graph.ends
    assert end.op in ("Flatten", "Reshape", "Squeeze", "Gemm", "ReduceMean")
    last = end.sources[0]
    none = receptive_region(graph, last, np.zeros(graph.sizes[last], bool))
    assert none.masks == {} and all(none.coverage(name) == 0 for name in graph.sizes)
    all_ = receptive_region(graph, last, np.ones(graph.sizes[last], bool))
    assert all_.coverage("image") == 1


@pytest.mark.parametrize("seed", range(12))
def test_blocks_cover_their_pixels(seed: int) -> None:
    rng = np.random.default_rng(seed)
    sizes = tuple(rng.integers(1, 20, int(rng.integers(1, 4))).tolist())
    mask, side = rng.random(sizes) < 0.1, int(rng.integers(1, 6))
    blocks = blocks_of(mask, side)
    covered = pixels_of(blocks, side, sizes)
    assert covered.shape == mask.shape and (covered >= mask).all()
    for at in np.ndindex(*blocks.shape):
        part = mask[tuple(slice(i * side, (i + 1) * side) for i in at)]
        assert blocks[at] == part.any()
    region = Region({"t": mask} if mask.any() else {}, {"t": sizes}, ())
    np.testing.assert_array_equal(region.blocks("t", side), blocks)


def test_refusals() -> None:
    model = load(SHIPPED / "fashion_resnet8.onnx")
    graph = read_spatial(model, {"image": (1, 1, 28, 28)})
    with pytest.raises(DataError, match="tensor is 'logits', which has no pixels or is not there;"):
        receptive_region(graph, "logits", np.ones(10, bool))
    with pytest.raises(
        DataError, match=r"mask is \[28\], but tensor 'image' has \[28, 28\] pixels"
    ):
        changed_region(graph, "image", np.ones(28, bool))
    region = changed_region(graph, "image", np.ones((28, 28), bool))
    with pytest.raises(DataError, match="tensor is 'logits', which has no pixels; name one"):
        region.mask("logits")
    with pytest.raises(OptionError, match="side is 0; give a whole number of pixels from 1 on"):
        region.blocks("image", 0)
    with pytest.raises(DataError, match=r"blocks are \[1\], but \[3\] pixels have \[2\] blocks of"):
        pixels_of(np.ones(1, bool), 2, (3,))
    with pytest.raises(DataError, match=r"inputs are 'image' \[1, 784\], of which none has pixels"):
        read_spatial(model, {"image": (1, 784)})
