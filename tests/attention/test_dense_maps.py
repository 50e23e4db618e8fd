"""Maps that a model gives: where the channels are, and what they say."""

from __future__ import annotations

import numpy as np
import onnx.parser
import pytest

from reluflow.attention import channels_last, find_reading, open_map, unsure_pixels
from reluflow.errors import DataError, OptionError
from reluflow.graph import Model, load

SIZES = {"x": (1, 4, 8, 6)}


def model_of(body: str, output: str = "float[N,A,B,C] y") -> Model:
    return load(
        onnx.parser.parse_model(
            f'<ir_version: 8, opset_import: ["" : 17]> g (float[N,4,H,W] x) => ({output}) '
            f"{{ r = Relu(x) {body} }}"
        )
    )


@pytest.mark.parametrize(
    ("body", "axis", "shape"),
    [
        ("y = Neg(r)", 1, (1, 4, 8, 6)),
        ("y = Transpose<perm=[0,2,3,1]>(r)", 3, (1, 8, 6, 4)),
        (
            "p = MaxPool<kernel_shape=[2,2], strides=[2,2]>(r) y = Softmax<axis=1>(p)",
            1,
            (1, 4, 4, 3),
        ),
    ],
)
def test_the_graph_tells_where_the_channels_are(
    body: str, axis: int, shape: tuple[int, ...]
) -> None:
    unsure = open_map(model_of(body), SIZES)
    assert (unsure.tensor, unsure.axis, unsure.head) == ("y", axis, None)
    found = unsure.scores(np.zeros(shape, np.float32))
    pixels = tuple(np.delete(shape, [0, axis]))
    assert found.shape == (1, *pixels, 4)


def test_the_maker_tells_what_channels_say() -> None:
    half = np.full((1, 4, 8, 6), 0.25, np.float32)
    for body, reading in (
        ("y = Softmax<axis=1>(r)", "probabilities"),
        ("y = Sigmoid(r)", "yes-no"),
        ("y = Neg(r)", "softmax"),
    ):
        unsure = open_map(model_of(body), SIZES)
        assert unsure.sentence() == "The uncertainty of each pixel comes from 'y'."
        values = half if reading != "softmax" else 9 * half
        found = unsure.read(values)
        assert unsure.reading == reading and found.shape == (1, 8, 6)
        expected = 2.0 if reading != "yes-no" else 4 * 0.8112781
        assert np.allclose(found, expected)
        assert unsure.sentence() != "The uncertainty of each pixel comes from 'y'."


def test_a_named_tensor_is_read_as_asked() -> None:
    model = model_of("s = Sigmoid(r) y = Neg(s)")
    unsure = open_map(model, SIZES, tensor="s", reading="softmax")
    assert unsure.axis == 1
    assert np.allclose(unsure.read(np.ones((1, 4, 8, 6), np.float32)), 2.0)
    one = open_map(model, SIZES, tensor="s", axis=-1, reading="uncertainty")
    with pytest.raises(DataError, match="the map has 6 channels, but an uncertainty has one"):
        one.read(np.ones((1, 4, 8, 6), np.float32))
    with pytest.raises(DataError, match=r"tensor 's' holds integers \(uint8\)"):
        unsure.read(np.ones((1, 4, 8, 6), np.uint8))
    with pytest.raises(OptionError, match=r"axis is 5, but tensor 'y' is \[1, 4, 8, 6\]"):
        open_map(model, SIZES, axis=5).read(np.ones((1, 4, 8, 6), np.float32))


@pytest.mark.parametrize(
    ("shape", "picture", "expected"),
    [
        ((2, 16, 24, 2), (32, 48), (2, 16, 24, 2)),
        ((2, 2, 16, 24), (32, 48), (2, 16, 24, 2)),
        ((2, 300, 16, 24), (32, 48), (2, 16, 24, 300)),
        ((2, 16, 24), (32, 48), (2, 16, 24, 1)),
        ((2, 3, 40), (80,), (2, 40, 3)),
        ((2, 7, 7, 64), (28, 28), (2, 7, 7, 64)),
        ((2, 33, 17, 5), (65, 33), (2, 33, 17, 5)),
    ],
)
def test_the_proportions_of_the_picture_tell_too(
    shape: tuple[int, ...], picture: tuple[int, ...], expected: tuple[int, ...]
) -> None:
    assert channels_last(np.zeros(shape), "t", picture).shape == expected


def test_what_the_proportions_do_not_tell_is_asked_for() -> None:
    with pytest.raises(DataError, match="does not tell where its channels are; give their axis"):
        channels_last(np.zeros((1, 8, 8, 8)), "t", (16, 16))
    assert channels_last(np.zeros((1, 8, 8, 8)), "t", (16, 16), 1).shape == (1, 8, 8, 8)
    with pytest.raises(DataError, match=r"a map of a picture of \[16, 16\] pixels has 4 axes"):
        channels_last(np.zeros((1, 8)), "t", (16, 16))


@pytest.mark.parametrize(
    ("scores", "maker", "reading"),
    [
        ([[0.1, 0.9]], "", "probabilities"),
        ([[0.1, 0.9]], "Sigmoid", "yes-no"),
        ([[-0.2, 1.1]], "Conv", "yes-no"),
        ([[-0.7, 1.1]], "Conv", "softmax"),
        ([[2.0], [-1.0]], "Conv", "softmax"),
        ([[0.3], [0.8]], "", "yes-no"),
        ([[np.nan, 0.9], [0.2, 0.8]], "", "probabilities"),
    ],
)
def test_values_tell_how_they_are_read(scores: list[list[float]], maker: str, reading: str) -> None:
    assert find_reading(np.array([scores]), maker) == reading


def test_uncertainties_of_each_reading() -> None:
    one = np.array([[[0.5], [1.0], [0.0]]])
    assert unsure_pixels(one, "yes-no").tolist() == [[1.0, 0.0, 0.0]]
    assert unsure_pixels(one, "probabilities").tolist() == [[1.0, 0.0, 0.0]]
    assert unsure_pixels(one, "uncertainty").tolist() == [[0.5, 1.0, 0.0]]
    assert unsure_pixels(one * 0, "softmax").tolist() == [[1.0, 1.0, 1.0]]
    both = np.array([[[0.5, 0.5], [np.nan, 0.5]]])
    assert unsure_pixels(both, "yes-no")[0, 0] == 2.0
    assert np.isnan(unsure_pixels(both, "yes-no")[0, 1])
