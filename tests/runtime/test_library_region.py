"""PsbConv on some pixels: the region's are those of a whole run, the others stay or are base's."""

import re
from typing import Any

import numpy as np
import pytest
from networks.psb import KERNELS, assert_same_bits, open_native, psb_node, run_psb
from onnx import TensorProto, numpy_helper
from onnx.onnx_ml_pb2 import ModelProto
from regional.masks import KINDS, mask_of, run_into, spread

from reluflow.psb import conv, encode

Node = tuple[np.ndarray, Any, np.ndarray, dict[str, Any]]

# (x shape, weight shape, attributes). A new case is a new row.
ROWS: list[tuple[tuple[int, ...], tuple[int, ...], dict[str, Any]]] = [
    ((1, 3, 9, 8), (5, 3, 3, 3), {"pads": [1, 1, 1, 1]}),
    ((2, 64, 7, 7), (64, 64, 3, 3), {"pads": [1, 1, 1, 1], "x_exponent": 8}),
    ((2, 16, 7, 9), (70, 16, 3, 2), {"strides": [2, 1], "dilations": [1, 2], "pads": [0, 2, 1, 0]}),
    ((1, 20, 25, 25), (33, 20, 1, 1), {"strides": [2, 2]}),
    ((3, 13, 4, 46), (17, 13, 1, 1), {}),
    ((1, 9, 30, 31), (130, 9, 3, 3), {"pads": [1, 1, 1, 1]}),
    ((1, 3, 23, 63), (64, 3, 7, 7), {"strides": [2, 2], "pads": [3, 3, 3, 3]}),
    ((1, 5, 10, 11), (6, 5, 4, 4), {"strides": [3, 2], "auto_pad": "SAME_UPPER"}),
    ((1, 5, 10, 11), (6, 5, 2, 2), {"strides": [5, 3], "auto_pad": "SAME_LOWER"}),
    ((1, 12, 6, 6), (90, 4, 3, 3), {"group": 3, "pads": [1, 1, 1, 1]}),
    ((1, 9, 12, 12), (12, 3, 3, 3), {"group": 3, "pads": [1, 2, 1, 2], "dilations": [1, 2]}),
    ((1, 40, 5, 5), (20, 40, 3, 3), {"x_bits": 16, "pads": [1, 1, 1, 1]}),
    ((1, 2, 90, 90), (3, 2, 3, 3), {"dilations": [40, 40], "pads": [3, 3, 3, 3]}),
    ((1, 2, 4, 400), (3, 2, 1, 3), {"dilations": [1, 100], "pads": [0, 100, 0, 100]}),
    ((2, 5, 133), (7, 5, 3), {"pads": [1, 1], "strides": [2]}),
    ((1, 1, 400), (32, 1, 80), {"strides": [4]}),
    ((2, 8, 12, 37), (8, 1, 3, 3), {"group": 8, "pads": [1, 1, 1, 1]}),
    ((2, 8, 13, 72), (16, 1, 3, 3), {"group": 8, "pads": [1, 1, 1, 1], "strides": [2, 2]}),
    ((1, 6, 15, 28), (6, 1, 5, 5), {"group": 6, "pads": [2, 2, 2, 2], "strides": [2, 2]}),
    ((1, 3, 20, 20), (3, 1, 3, 3), {"group": 3, "pads": [2, 2, 2, 2], "dilations": [2, 2]}),
    ((1, 3, 20, 21), (3, 1, 3, 3), {"group": 3, "pads": [1, 1, 1, 1], "strides": [3, 3]}),
    ((1, 3, 140, 9), (3, 1, 3, 3), {"group": 3, "pads": [9, 9, 9, 9], "dilations": [60, 2]}),
    ((1, 3, 5, 5), (3, 1, 3, 3), {"group": 3, "pads": [9, 9, 9, 9], "x_bits": 16}),
    ((2, 6, 130), (6, 1, 5), {"group": 6, "pads": [4, 4], "dilations": [2]}),
]
IDS = [f"{x}-{w}-{'-'.join(a) or 'plain'}" for x, w, a in ROWS]


def made(row: int) -> Node:
    """Return X, the weights' code, a bias, and attributes."""
    x_shape, w_shape, attributes = ROWS[row]
    rng = np.random.default_rng(row)
    x = rng.standard_normal(x_shape).astype(np.float32)
    w = rng.standard_normal(w_shape)
    w[rng.random(w_shape) < 0.1] = 0
    bias = rng.standard_normal(w_shape[0]).astype(np.float32)
    own = {"activation": ("none", "relu", "clip")[row % 3], "clip_max": 1.5, "stream": row}
    return x, encode(w, p_bits=(4, 16, 1, 8)[row % 4]), bias, attributes | own


def check_kinds(node: Node, threads: int, kinds: tuple[str, ...], n: int, **given: Any) -> None:
    """Compare runs on masks of some kinds with a whole run of the oracle."""
    x, code, bias, attributes = node
    attributes = attributes | given
    rng = np.random.default_rng(len(kinds))
    want = conv(x, code, bias, samples=n, seed=7, **attributes)
    z = rng.standard_normal(want.shape).astype(np.float32)
    added = conv(x, code, bias, z, samples=n, seed=7, **attributes)
    form: dict[str, Any] = {"rank": x.ndim, "region": TensorProto.BOOL} | attributes
    plain = open_native(psb_node("PsbConv", code, bias, **form), threads)
    whole = open_native(psb_node("PsbConv", code, bias, z=True, base=True, **form), threads)
    before = rng.standard_normal(want.shape).astype(np.float32)
    numbers = {"samples": np.array(n, "i8"), "seed": np.array(7, "i8")}
    for kind in kinds:
        mask = mask_of(kind, (want.shape[0], *want.shape[2:]), rng)
        outside = np.where(spread(mask, "first"), want, before)
        feeds = {"x": x, "region": mask} | numbers
        assert_same_bits(run_into(plain, feeds, before), outside)
        base = -before
        inside = np.where(spread(mask, "first"), added, base)
        assert_same_bits(run_psb(whole, x, n, 7, region=mask, z=z, base=base), inside)


@pytest.mark.parametrize("kernel", KERNELS)
@pytest.mark.parametrize("row", range(len(ROWS)), ids=IDS)
def test_a_region_is_that_part_of_a_whole_run(
    row: int, kernel: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("RELUFLOW_KERNEL", kernel)
    sampler = ("systematic", "nearest", "binomial")[row % 3]
    check_kinds(made(row), row % 2 + 1, KINDS, 4, sampler=sampler)


@pytest.mark.parametrize("kernel", KERNELS)
@pytest.mark.parametrize("row", [0, 2, 8, 10, 14, 18])
def test_draws_per_product_are_those_of_the_pixels(
    row: int, kernel: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("RELUFLOW_KERNEL", kernel)
    check_kinds(made(row), 2, ("one", "blob", "sparse"), 2, draws="product")


SMALL = made(0)
Y_SHAPE = (1, 5, 9, 8)


def fed(**feeds: np.ndarray) -> np.ndarray:
    """Run the first row with inputs beside X, from the types that they have."""
    x, code, bias, attributes = SMALL
    region = feeds.get("region")
    kind = None
    if region is not None:
        kind = TensorProto.BOOL if region.dtype == bool else TensorProto.UINT8
    form: dict[str, Any] = {"region": kind, "base": "base" in feeds}
    model = psb_node("PsbConv", code, bias, rank=4, **form, **attributes)
    return run_psb(open_native(model), x, 4, 1, **feeds)


def whole() -> np.ndarray:
    x, code, bias, attributes = SMALL
    return conv(x, code, bias, samples=4, seed=1, **attributes)


@pytest.mark.parametrize("value", [1, 2, 128, 255])
def test_bytes_serve_as_a_mask(value: int) -> None:
    mask = np.zeros((1, 9, 8), np.uint8)
    mask[0, 2:5, 3:8] = value
    base = np.full(Y_SHAPE, 0.5, np.float32)
    assert_same_bits(fed(region=mask, base=base), np.where(mask[:, None] > 0, whole(), base))


@pytest.mark.parametrize("shape", [(0,), (0, 9, 8), (1, 0, 8)])
def test_a_region_without_elements_counts_as_left_out(shape: tuple[int, ...]) -> None:
    if len(shape) == 3:
        assert_same_bits(fed(region=np.zeros(shape, bool)), whole())
        return
    x, code, bias, attributes = SMALL
    model = ModelProto.FromString(psb_node("PsbConv", code, bias, rank=4, **attributes))
    for name in ("region", "z", "base"):
        value = np.zeros(0, bool if name == "region" else np.float32)
        model.graph.initializer.append(numpy_helper.from_array(value, name))
        model.graph.node[0].input.append(name)
    assert_same_bits(run_psb(open_native(model.SerializeToString()), x, 4, 1), whole())


@pytest.mark.parametrize(
    ("feeds", "sentence"),
    [
        (
            {"region": np.ones((1, 9, 9), bool)},
            "region has shape [1, 9, 9], but [1, 9, 8] is wanted",
        ),
        (
            {"region": np.ones((2, 9, 8), bool)},
            "region has shape [2, 9, 8], but [1, 9, 8] is",
        ),
        ({"region": np.ones((1, 8, 9), np.uint8)}, "region has shape [1, 8, 9], but"),
        (
            {"region": np.ones((1, 9, 8), bool), "base": np.zeros((1, 5, 9, 9), np.float32)},
            "base has shape [1, 5, 9, 9], but that of Y, [1, 5, 9, 8], is wanted",
        ),
        ({"base": np.zeros(Y_SHAPE, np.float32)}, "but there is no region; give a region, or no"),
    ],
)
def test_a_wrong_mask_or_base_is_one_sentence(feeds: dict[str, np.ndarray], sentence: str) -> None:
    with pytest.raises(Exception, match="PsbConv: .*" + re.escape(sentence)) as caught:
        fed(**feeds)
    assert "\n" not in str(caught.value).strip()


@pytest.mark.parametrize("kind", [np.float32, np.int64, np.int8])
def test_a_mask_of_another_type_is_one_sentence(kind: type) -> None:
    x, code, bias, attributes = SMALL
    model = ModelProto.FromString(psb_node("PsbConv", code, bias, rank=4, **attributes))
    mask = numpy_helper.from_array(np.ones((1, 9, 8), kind), "region")
    model.graph.initializer.append(mask)
    model.graph.node[0].input.append("region")
    session = open_native(model.SerializeToString())
    with pytest.raises(Exception, match=r"region has element type .*, but bool or uint8 is wanted"):
        run_psb(session, x, 4)


def test_a_run_without_images_takes_an_empty_mask() -> None:
    x, code, bias, attributes = SMALL
    session = open_native(
        psb_node("PsbConv", code, bias, rank=4, region=TensorProto.BOOL, **attributes)
    )
    got = run_psb(session, x[:0], 4, 1, region=np.zeros((0, 9, 8), bool))
    assert got.shape == (0, *Y_SHAPE[1:])


def test_the_exponent_is_that_of_the_whole_input() -> None:
    x, code, bias, attributes = SMALL
    x = x.copy()
    x[0, 0, -1, -1] = 1e4  # no window of the region sees it
    mask = np.zeros((1, 9, 8), bool)
    mask[0, 1, 2] = True
    session = open_native(
        psb_node("PsbConv", code, bias, rank=4, region=TensorProto.BOOL, base=True, **attributes)
    )
    base = np.zeros(Y_SHAPE, np.float32)
    want = conv(x, code, bias, samples=4, seed=1, **attributes)
    assert (want != whole())[:, :, 1, 2].any()
    got = run_psb(session, x, 4, 1, region=mask, base=base)
    assert_same_bits(got, np.where(mask[:, None], want, base))
