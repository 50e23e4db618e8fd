"""Linear interpolation of bytes against ONNX's own Resize, and what it refuses."""

import numpy as np
import pytest
from onnx import TensorProto, helper

from reluflow.errors import DataError, OptionError
from reluflow.graph import Model
from reluflow.psb.fixed import COORDINATES, fixed_resize, fixed_resize16
from reluflow.sessions import open_session

CHANNELS = 3


def resized(x: np.ndarray, sizes: list[int], coordinates: str) -> np.ndarray:
    """Return what ONNX Runtime's Resize makes of channels-last values, as float."""
    first = np.moveaxis(x, -1, 1).astype(np.float32)
    node = helper.make_node(
        "Resize", ["x", "", "", "s"], ["y"], mode="linear",
        coordinate_transformation_mode=coordinates,
    )  # fmt: skip
    graph = helper.make_graph(
        [node],
        "g",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, first.shape)],
        [helper.make_empty_tensor_value_info("y")],
        [helper.make_tensor("s", TensorProto.INT64, [len(sizes)], sizes)],
    )
    proto = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    y = open_session(Model(proto), threads=1, optimisation="none").run({"x": first})[0]
    return np.moveaxis(y, 1, -1)


def bound(x: np.ndarray) -> float:
    """Return what a byte may be off by: docs/psb-ops.md, FixedResize; and float32's own error."""
    apart = [np.abs(np.diff(x.astype(int), axis=a)).max(initial=0) for a in range(1, x.ndim - 1)]
    return float(0.5 + sum(apart) / 256 + 1e-2)


@pytest.mark.parametrize("coordinates", COORDINATES)
@pytest.mark.parametrize("seed", range(25))
def test_bytes_lie_within_the_bound_of_float_resize(coordinates: str, seed: int) -> None:
    rng = np.random.default_rng(seed)
    axes = 1 + seed % 2
    shape = (2, *rng.integers(1, 13, axes).tolist(), CHANNELS)
    x = rng.integers(0, 256, shape).astype(np.uint8)
    sizes = [2, CHANNELS, *rng.integers(1, 30, axes).tolist()]
    y = fixed_resize(x, sizes, coordinates=coordinates)
    wanted = resized(x, sizes, coordinates)
    assert y.shape == wanted.shape
    assert np.abs(y - wanted).max() <= bound(x)


@pytest.mark.parametrize("coordinates", COORDINATES)
@pytest.mark.parametrize("seed", range(10))
def test_values_of_16_bits_lie_within_the_bound_of_float_resize(
    coordinates: str, seed: int
) -> None:
    rng = np.random.default_rng(seed)
    axes = 1 + seed % 2
    shape = (2, *rng.integers(1, 13, axes).tolist(), CHANNELS)
    x = rng.integers(-32768, 32768, shape).astype(np.int16)
    sizes = [2, CHANNELS, *rng.integers(1, 30, axes).tolist()]
    y = fixed_resize16(x, sizes, coordinates=coordinates)
    assert y.dtype == np.int16
    assert np.abs(y - resized(x, sizes, coordinates)).max() <= bound(x)
    whole = fixed_resize16(x, [2, CHANNELS, *x.shape[1:-1]], coordinates=coordinates)
    np.testing.assert_array_equal(whole, x)


@pytest.mark.parametrize("scale", [2, 4, 8])
@pytest.mark.parametrize("coordinates", ["half_pixel", "asymmetric"])
def test_powers_of_two_are_rounded_once(scale: int, coordinates: str) -> None:
    x = np.random.default_rng(scale).integers(0, 256, (1, 5, 6, CHANNELS)).astype(np.uint8)
    sizes = [1, CHANNELS, 5 * scale, 6 * scale]
    wanted = np.floor(resized(x, sizes, coordinates) + 0.5)
    np.testing.assert_array_equal(fixed_resize(x, sizes, coordinates=coordinates), wanted)


@pytest.mark.parametrize("coordinates", ["half_pixel", "pytorch_half_pixel"])
def test_halves_are_means_of_two_by_two(coordinates: str) -> None:
    x = np.random.default_rng(1).integers(0, 256, (2, 8, 6, CHANNELS)).astype(np.uint8)
    mean = x.reshape(2, 4, 2, 3, 2, CHANNELS).astype(int).sum(axis=(2, 4))
    y = fixed_resize(x, [2, CHANNELS, 4, 3], coordinates=coordinates)
    np.testing.assert_array_equal(y, (mean + 2) // 4)


def test_what_keeps_its_size_keeps_its_bytes() -> None:
    x = np.random.default_rng(2).integers(0, 256, (1, 7, 9, CHANNELS)).astype(np.uint8)
    for coordinates in COORDINATES:
        y = fixed_resize(x, [1, CHANNELS, 7, 9], coordinates=coordinates)
        np.testing.assert_array_equal(y, x)


@pytest.mark.parametrize(
    ("shape", "sizes"),
    [
        ((1, 4, 3), [1, 4, 8]),
        ((1, 4, 3), [2, 3, 8]),
        ((1, 4, 3), [1, 3, 8, 8]),
        ((1, 4, 3), [1, 3, 0]),
        ((1, 0, 3), [1, 3, 4]),
        ((1, 2, 2, 2, 3), [1, 3, 4, 4, 4]),
        ((1, 3), [1, 3]),
    ],
)
def test_sizes_that_do_not_fit_are_refused(shape: tuple[int, ...], sizes: list[int]) -> None:
    with pytest.raises(DataError, match=r"sizes are .* for x of shape .*: give its inputs and"):
        fixed_resize(np.zeros(shape, np.uint8), sizes)


def test_other_coordinates_are_refused() -> None:
    with pytest.raises(OptionError, match="coordinates='cubic' is not accepted; give one of half"):
        fixed_resize(np.zeros((1, 2, 1), np.uint8), [1, 1, 2], coordinates="cubic")
