"""What operators of 16 bits say about regions, and what they look at."""

from typing import Any

import numpy as np
import pytest
from chain_cases import one_node
from networks.psb import open_native
from onnx import helper
from regional.runs import check_region, open_in_region, random_region

from reluflow.graph.proto.psb_check import check_psb_nodes
from reluflow.psb import encode, pack

LARGE = "X holds a value of magnitude 8, but x_bits 4 allows at most 7"


@pytest.mark.parametrize("depthwise", [False, True])
@pytest.mark.parametrize("pads", [0, 1])
@pytest.mark.parametrize("channels", [2, 3])
def test_only_what_windows_of_the_region_see_is_looked_at(
    depthwise: bool, pads: int, channels: int
) -> None:
    rng = np.random.default_rng(channels)
    w = rng.normal(size=(channels, 1 if depthwise else channels, 3, 3)).astype(np.float32)
    code = encode(w, p_bits=4)
    x = rng.integers(-7, 8, (1, 9, 12, channels)).astype(np.int16)
    x[0, 4, 6, channels - 1] = 8
    y = np.zeros((1, 7 + 2 * pads, 10 + 2 * pads, channels), np.int16)
    constants = {"w": pack(code), "emax": code.emax, "b": None, "samples": np.array(0)}
    constants |= {"seed": np.array(0), "z": None}
    attributes: dict[str, Any] = {"weight_shape": code.shape, "p_bits": 4, "x_bits": 4}
    attributes |= {"pads": [pads] * 4, "group": channels if depthwise else 1}
    region = np.zeros(y.shape[:-1], bool)
    fed = {"x": x, "region": region, "base": y}
    session = open_in_region("FixedConv16", fed, {"x": x}, constants, attributes, y)
    for place in np.ndindex(*region.shape):
        region[...] = False
        region[place] = True
        if abs(place[1] - pads - 3) <= 1 and abs(place[2] - pads - 5) <= 1:
            with pytest.raises(Exception, match=LARGE):
                session.run(None, fed)
        else:
            session.run(None, fed)
    region[...] = False
    np.testing.assert_array_equal(session.run(None, fed)[0], y)


def join(parts: list[np.ndarray], fed: dict[str, np.ndarray]) -> np.ndarray:
    """Run RegionConcat of some parts; `fed` may hold a region and a base."""
    given = dict(zip("ABCDEFGH", parts, strict=False)) | fed
    proto = one_node("RegionConcat", given, {}, {})
    places = [name if name in given else "" for name in ("region", "base", *"ABCDEFGH")]
    del proto.graph.node[0].input[:]
    proto.graph.node[0].input.extend(places[: 2 + len(parts)])
    made = helper.np_dtype_to_tensor_dtype(parts[0].dtype)
    proto.graph.output[0].CopyFrom(helper.make_tensor_value_info("y", made, None))
    check_psb_nodes(proto)
    return np.asarray(open_native(proto.SerializeToString()).run(None, given)[0])


@pytest.mark.parametrize("kind", [np.uint8, np.int16])
@pytest.mark.parametrize("count", [1, 2, 3, 8])
@pytest.mark.parametrize("spatial", [(), (70,), (9, 50)])
def test_concat_joins_channels_in_the_region(
    kind: type[np.integer[Any]], count: int, spatial: tuple[int, ...]
) -> None:
    rng = np.random.default_rng(count)
    channels = rng.integers(0, 40, count)
    info = np.iinfo(kind)
    parts = [
        rng.integers(info.min, info.max, (2, *spatial, int(c)), kind, endpoint=True)
        for c in channels
    ]
    joined = np.concatenate(parts, axis=-1)
    np.testing.assert_array_equal(join(parts, {}), joined)
    for seed in range(6):
        region = random_region(np.random.default_rng(seed), (2, *spatial))
        base = np.full_like(joined, 5)
        found = join(parts, {"region": region, "base": base})
        np.testing.assert_array_equal(found, np.where(region[..., None], joined, base))
    places = {name: part for name, part in zip("ABCDEFGH", parts, strict=False)}
    if joined.size:
        check_region("RegionConcat", places, {}, {}, joined, seed=count, threads=2)


@pytest.mark.parametrize(
    ("shapes", "sentence"),
    [
        ([(1, 4, 3), (1, 5, 3)], r"B has shape \[1, 5, 3\] and A \[1, 4, 3\], but tensors that"),
        ([(1, 4, 3), (2, 4, 3)], r"B has shape \[2, 4, 3\] and A"),
        ([(1, 4, 3), (1, 4, 3), (1, 4, 1, 3)], r"C has shape \[1, 4, 1, 3\] and A"),
        ([(7,), (7,)], r"A has shape \[7\], but an axis of inputs and one of channels"),
    ],
)
def test_parts_that_do_not_fit_are_one_sentence(
    shapes: list[tuple[int, ...]], sentence: str
) -> None:
    with pytest.raises(Exception, match=f"RegionConcat: {sentence}"):
        join([np.zeros(shape, np.uint8) for shape in shapes], {})


CONV: dict[str, Any] = {"weight_shape": (2, 2, 1), "p_bits": 4}


def constants() -> dict[str, np.ndarray | None]:
    code = encode(np.ones((2, 2, 1), np.float32), p_bits=4)
    numbers = {"samples": np.array(0), "seed": np.array(0)}
    return {"w": pack(code), "emax": code.emax, "b": None, **numbers, "z": None}


@pytest.mark.parametrize(
    ("region", "base", "sentence"),
    [
        (np.ones((1, 4), bool), (1, 5, 2), r"region has shape \[1, 4\], but \[1, 5\] is wanted"),
        (np.ones((1, 5, 2), bool), (1, 5, 2), r"region has shape \[1, 5, 2\], but \[1, 5\]"),
        (np.ones((1, 5), np.int8), (1, 5, 2), "region has element type 3, but bool or uint8"),
        (np.ones((1, 5), bool), (1, 2, 5), r"base has shape \[1, [25], [25]\], but that of Y"),
        (np.ones(0, bool), (1, 5, 2), "but there is no region; give a region, or no base"),
    ],
)
@pytest.mark.parametrize("op", ["FixedConv16", "ToFixed16", "FromFixed16", "FixedMaxPool16"])
def test_a_region_that_does_not_fit_is_one_sentence(
    op: str, region: np.ndarray, base: tuple[int, ...], sentence: str
) -> None:
    x: np.ndarray = np.zeros((1, 5, 2), np.int16)
    y = np.zeros((1, 5, 2), np.int16)
    if op == "ToFixed16":
        x = np.zeros((1, 2, 5), np.float32)
    if op == "FromFixed16":
        y, base = np.zeros((1, 2, 5), np.float32), (base[0], *base[:0:-1])
    attributes = CONV if op == "FixedConv16" else {}
    if op == "FixedMaxPool16":
        attributes = {"kernel_shape": [1]}
    fed = {"x": x, "region": region, "base": np.zeros(base, y.dtype)}
    given = constants() if op == "FixedConv16" else {}
    session = open_in_region(op, fed, {"x": x}, given, attributes, y)
    with pytest.raises(Exception, match=f"{op}: .*{sentence}"):
        session.run(None, fed)
