"""Another model as pass 1: its values become those that pass 2 reads outside the region."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np
import pytest
from chain16_nets import largest_exponents
from chain_nets import PIXELS, conv, converted, kernels, network, ranged
from rewriting import N, build

from reluflow.attention import AttentionSession, RegionOptions, open_pass
from reluflow.attention.regional.half import Enlarged, Halves, half_sizes
from reluflow.attention.regional.pairs import Converter, Places, nearest_places, pair_tensors
from reluflow.attention.regional.rim import Rims
from reluflow.errors import DataError, ModelError, OptionError
from reluflow.graph import (
    ChainFormat,
    Model,
    chain_formats,
    chain_psb,
    chain_psb16,
    expose,
    load,
    read_spatial,
)
from reluflow.sessions import open_session

IMAGES = np.random.default_rng(11).standard_normal(PIXELS).astype(np.float32)
FREE = (2, 3, "h", "w")


def dense(last: str = "map") -> Model:
    """A network with strides, pooling and an addition, for pictures of any size."""
    nodes = [
        conv("x", "w", "h", "stem", pads=[1, 1, 1, 1]),
        N("Relu", ["h"], ["r"], name="act"),
        N("MaxPool", ["r"], ["m"], name="pool", kernel_shape=[2, 2], strides=[1, 1]),
        conv("m", "v", "k", "inner", pads=[1, 1, 1, 1], dilations=[1, 1]),
        N("Add", ["k", "m"], ["s"], name="add"),
        N("Relu", ["s"], ["t"], name="act2"),
        conv("t", "u", "y" if last == "map" else "z", "scores", strides=[2, 1]),
    ]
    if last != "map":
        nodes.append(N("GlobalAveragePool", ["z"], ["y"], name="mean"))
    return build(nodes, kernels(w=(8, 3, 3, 3), v=(8, 8, 3, 3), u=(4, 8, 1, 1)), FREE)


def as_bytes(model: Model) -> Model:
    psb = converted(model)
    return chain_psb(psb, ranged(psb, IMAGES)).model


def as_int16(model: Model) -> Model:
    psb = converted(model)
    return chain_psb16(psb, largest_exponents(psb, IMAGES)).model


FINE: dict[str, Callable[[Model], Model]] = {"floats": converted, "int16": as_int16}
FEEDS = {"x": IMAGES}


@pytest.mark.parametrize("half", [False, True])
@pytest.mark.parametrize("fine", FINE)
@pytest.mark.parametrize("last", ["map", "mean"])
def test_all_nothing_and_regions(last: str, fine: str, half: bool) -> None:
    float_model = dense(last)
    coarse, model = as_bytes(float_model), FINE[fine](float_model)
    skips, where = (
        AttentionSession(model, coarse, half=half, threads=1, native=n) for n in (True, False)
    )
    exact = open_pass(model, 16, threads=1).run(FEEDS)[0][0]["y"]
    small = {"x": Halves()("x", IMAGES, (2, 3))} if half else FEEDS
    rough = open_pass(coarse, 4, threads=1).run(small)[0][0]["y"]
    for at in (2, 3):
        rough = rough.take(nearest_places(rough.shape[at], exact.shape[at]), axis=at)
    rng = np.random.default_rng(0)
    for share in (0.0, 0.05, 0.3, 1.0):
        mask = rng.random((2, 9, 8)) < share
        found, wanted = (each.run(FEEDS, (4, 16), mask, margin=1) for each in (skips, where))
        np.testing.assert_array_equal(found.first["y"], rough)
        np.testing.assert_array_equal(found.answers["y"], wanted.answers["y"])
        if share == 1:
            np.testing.assert_array_equal(found.answers["y"], exact)
        if share == 0:
            np.testing.assert_array_equal(found.answers["y"], rough)
    dense_adds = AttentionSession(coarse, threads=1).run(FEEDS, (4, 16), mask).first_shift_adds
    assert found.first_shift_adds is not None and dense_adds is not None
    assert (
        (found.first_shift_adds < dense_adds / 2) if half else found.first_shift_adds == dense_adds
    )


def test_a_map_of_the_coarse_model_chooses() -> None:
    float_model = dense()
    session = AttentionSession(as_int16(float_model), as_bytes(float_model), half=True, threads=1)
    found = session.run(FEEDS, (4, 16), RegionOptions("coverage", 0.4))
    assert found.unsure is not None and found.unsure.shape == found.region.shape == (2, 2, 3)
    assert found.masks["y"].shape == (2, 4, 7)
    exact = session.run(FEEDS, (4, 16), RegionOptions("coverage", 0.4, carry="exact"))
    assert (exact.masks["y"] == found.masks["y"]).all()
    assert exact.masks["x/int16"].mean() >= found.masks["y"].mean()


def test_values_are_converted_to_the_nearest() -> None:
    float_model = dense()
    coarse, fine = as_bytes(float_model), as_int16(float_model)
    graphs = [read_spatial(coarse, {"x": (2, 3, 5, 4)}), read_spatial(fine, {"x": PIXELS})]
    forms = [chain_formats(coarse), chain_formats(fine)]
    pairs = pair_tensors(
        [n for n in graphs[1].sizes if n != "x"], [n for n in graphs[0].sizes if n != "x"]
    )
    assert {"r", "m", "t"} <= {name.split("/")[0] for name in pairs}
    small = Halves()("x", IMAGES, (2, 3))
    session = open_session(expose(coarse, list(pairs.values())).model, library=False)
    values = dict(zip(session.outputs, session.run({"x": small}), strict=True))
    for target, source in pairs.items():
        form, to = forms[0].get(source), forms[1].get(target)
        into = np.zeros(graphs[1].shapes[target], graphs[1].dtypes[target])
        Converter(source, graphs[0], form, target, graphs[1], to).write(values[source], into, None)
        read = values[source].astype(np.float64)
        floats = read if form is None else (read - form.zero) / 2.0**form.exponent
        made = into.astype(np.float64) / 2.0 ** (to.exponent if to else 0)
        axes = graphs[0].axes[source], graphs[1].axes[target]
        floats, made = (
            np.moveaxis(v, a, (1, 2)) for v, a in zip((floats, made), axes, strict=True)
        )
        for at in (1, 2):
            floats = floats.take(nearest_places(floats.shape[at], made.shape[at]), axis=at)
        wanted = floats[..., : made.shape[-1]]
        most = 32767 / 2.0 ** (to.exponent if to else 0)
        wanted = wanted if to is None else np.clip(wanted, -most, most)
        assert np.abs(made - wanted).max() <= (0.5 / 2.0**to.exponent if to else 1e-6)


def test_only_what_is_read_is_given() -> None:
    model = as_int16(dense())
    graph = read_spatial(model, {"x": PIXELS})
    tensors = [name for name in graph.sizes if name != "x"]
    masks = {name: np.zeros((2, *size), bool) for name, size in graph.sizes.items()}
    for mask in masks.values():
        mask[0, 2, 2] = True
    found = Rims(graph, tensors, []).of(masks, tensors)
    around = found["m/int16"]  # which a window of 3 x 3 reads
    assert around is not None and around.sum() == 8 and not around[1].any()
    last = next(name for name in tensors if name.startswith("y"))
    assert Rims(graph, tensors, [last]).of(masks, tensors)[last] is None
    nothing = {name: np.zeros_like(mask) for name, mask in masks.items()}
    assert Rims(graph, tensors, []).of(nothing, tensors) == {}
    some = [name for name in tensors if not name.startswith("m")]
    whole = [name for name, each in Rims(graph, some, []).of(nothing, some).items() if each is None]
    assert [name.split("/")[0] for name in whole] == ["r"]  # which the pooling reads


def test_formats_are_those_of_the_chains() -> None:
    psb = converted(dense())
    formats = ranged(psb, IMAGES)
    found = chain_formats(chain_psb(psb, formats).model)
    assert found["t/bytes"] == ChainFormat(formats["t"].exponent, formats["t"].zero)
    wide = largest_exponents(psb, IMAGES)
    deep = chain_formats(chain_psb16(psb, wide).model)
    assert deep["y/int16"] == ChainFormat(wide["y"], 0)
    assert chain_formats(psb) == {}


def test_what_is_refused() -> None:
    float_model = dense()
    psb = converted(float_model)
    with pytest.raises(OptionError, match="half is True, but there is no coarse model"):
        AttentionSession(psb, half=True)
    with pytest.raises(ModelError, match="has no PSB operator, so that no number of samples"):
        AttentionSession(psb, float_model)
    other = network(
        conv("x", "w", "h", "stem"),
        N("Relu", ["h"], ["q"]),
        tensors=kernels(w=(8, 3, 3, 3)),
        outputs=("q",),
    )
    with pytest.raises(DataError, match="coarse has no output 'y', but fine has"):
        AttentionSession(psb, converted(other)).run(FEEDS, (1, 16), np.ones((9, 8), bool))
    renamed = converted(other)._proto
    renamed.graph.input[0].name = "picture"
    for node in renamed.graph.node:
        node.input[:] = ["picture" if name == "x" else name for name in node.input]
    with pytest.raises(ModelError, match="coarse has the inputs 'picture', but fine has 'x'; give"):
        AttentionSession(psb, load(renamed)).run(FEEDS, (1, 16), np.ones((9, 8), bool))


def test_what_earlier_runs_left_does_not_matter() -> None:
    nodes = [conv("x", "w", "h", "first", pads=[1] * 4), N("Relu", ["h"], ["r"])]
    nodes += [conv("r", "v", "k", "second", pads=[1] * 4), N("Relu", ["k"], ["t"])]
    nodes.append(conv("t", "u", "y", "third", pads=[1] * 4))
    shapes = {"w": (8, 3, 3, 3), "v": (8, 8, 3, 3), "u": (4, 8, 3, 3)}
    float_model = build(nodes, kernels(**shapes), FREE)
    coarse, model = as_bytes(float_model), converted(float_model)  # scales are those of each run
    kept = AttentionSession(model, coarse, threads=1, native=True)
    mask = np.zeros((9, 8), bool)
    mask[2:4, 3:5] = True
    kept.run({"x": 50 * IMAGES}, (4, 16), np.ones((9, 8), bool))
    fresh = AttentionSession(model, coarse, threads=1, native=True).run(FEEDS, (4, 16), mask)
    np.testing.assert_array_equal(kept.run(FEEDS, (4, 16), mask).answers["y"], fresh.answers["y"])


def test_an_exact_region_needs_the_tensor_in_both() -> None:
    class Norm:
        tensor = "q"

        def read(
            self, values: np.ndarray, inputs: Mapping[str, np.ndarray] | None = None
        ) -> np.ndarray:
            return np.asarray(np.abs(values).sum(axis=1, dtype=np.float64))

    nodes = [conv("x", "w", "h", "stem", pads=[1, 1, 1, 1]), N("Relu", ["h"], ["q"])]
    nodes.append(conv("q", "v", "y", "last", pads=[0, 0, 0, 0], strides=[2, 1]))
    other = build(nodes, kernels(w=(8, 3, 3, 3), v=(4, 8, 2, 2)), FREE)
    session = AttentionSession(converted(dense()), converted(other), unsure=Norm(), threads=1)
    found = session.run(FEEDS, (1, 16))
    assert found.tensor == "q" and found.region.shape == (2, 9, 8) and 0 < found.coverage < 1
    with pytest.raises(OptionError, match="carry is 'exact', but the fine model has no tensor 'q'"):
        session.run(FEEDS, (1, 16), RegionOptions(carry="exact"))


@pytest.mark.parametrize("layout", ["channels last", "channels first"])
def test_some_pixels_are_converted_as_all_are(layout: str) -> None:
    float_model = dense()
    forms = {"channels last": as_int16, "channels first": converted}
    coarse, fine = as_bytes(float_model), forms[layout](float_model)
    graphs = [read_spatial(coarse, {"x": (2, 3, 5, 4)}), read_spatial(fine, {"x": PIXELS})]
    given = [chain_formats(coarse), chain_formats(fine)]
    pairs = pair_tensors(
        [n for n in graphs[1].sizes if n != "x"], [n for n in graphs[0].sizes if n != "x"]
    )
    rng = np.random.default_rng(5)
    for target, source in pairs.items():
        dtype = graphs[0].dtypes[source]
        values = rng.integers(0, 256, graphs[0].shapes[source]).astype(dtype)
        one = Converter(
            *(source, graphs[0], given[0].get(source)), *(target, graphs[1], given[1].get(target))
        )
        mask = rng.random((2, *graphs[1].sizes[target])) < 0.3
        whole, some = (np.zeros(graphs[1].shapes[target], graphs[1].dtypes[target]) for _ in "ab")
        one.write(values, whole, None)
        one.write(values, some, Places(mask))
        axes = graphs[1].axes[target]
        whole, some = (np.moveaxis(each, axes, (1, 2)) for each in (whole, some))
        np.testing.assert_array_equal(some[mask], whole[mask])
        assert not some[~mask].any() and whole[mask].any()


@pytest.mark.parametrize(("zero", "by"), [(0, 7), (3, 4), (0, 9), (128, 0), (0, -2), (7, 8)])
def test_bytes_are_shifted_where_that_is_exact(zero: int, by: int) -> None:
    graph = read_spatial(as_bytes(dense()), {"x": PIXELS})
    name = next(n for n in graph.sizes if graph.dtypes[n] == np.uint8)
    wide = read_spatial(as_int16(dense()), {"x": PIXELS})
    target = next(n for n in wide.sizes if wide.dtypes[n] == np.int16)
    one = Converter(name, graph, ChainFormat(3, zero), target, wide, ChainFormat(3 + by, 0))
    values = np.arange(256, dtype=np.uint8)
    exact = (values.astype(np.int64) - zero) * 2.0**by
    wanted = np.rint(exact).clip(-32767, 32767)
    np.testing.assert_array_equal(one._converted(values), wanted)


@pytest.mark.parametrize("sizes", [(4, 6), (12, 6), (5, 9), (2, 3), (7, 6), (1, 2)])
@pytest.mark.parametrize("axes", [(1, 2), (2, 3)])
def test_enlarged_outputs_take_the_nearest_pixel(
    axes: tuple[int, int], sizes: tuple[int, int]
) -> None:
    shape = [2, 4, 3, 5] if axes == (1, 2) else [2, 5, 4, 3]
    values = np.random.default_rng(1).standard_normal(shape).astype(np.float32)
    wanted = values
    for at, size in zip(axes, sizes, strict=True):
        wanted = wanted.take(nearest_places(wanted.shape[at], size), axis=at)
    outputs = Enlarged({"y": values}, {"y": axes}, {"y": sizes})
    assert list(outputs) == ["y"] and len(outputs) == 1 and outputs["y"] is outputs["y"]
    np.testing.assert_array_equal(outputs["y"], wanted)
    assert outputs.new("y") is not outputs["y"] and outputs.new("y").dtype == np.float32


@pytest.mark.parametrize("shape", [(2, 3, 9, 8), (1, 1, 2, 5), (1, 2, 1, 1), (3, 4, 6)])
def test_halved_pictures_are_means(shape: tuple[int, ...]) -> None:
    values = np.random.default_rng(2).standard_normal(shape).astype(np.float32)
    axes = tuple(range(2, len(shape)))
    odd = [(0, size % 2 if at in axes else 0) for at, size in enumerate(shape)]
    full = np.pad(values, odd, mode="edge").astype(np.float64)
    for at in axes:
        full = (
            full.take(range(0, full.shape[at], 2), at) + full.take(range(1, full.shape[at], 2), at)
        ) / 2
    halves = Halves()
    for _ in range(2):  # memory is used again
        found = halves("x", values, axes)
        np.testing.assert_allclose(found, full, rtol=1e-5, atol=1e-6)
    assert found.dtype == np.float32 and found.shape == half_sizes(shape, axes)
