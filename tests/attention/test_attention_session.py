"""Two passes of one model: everything, nothing, and regions in between."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np
import pytest
from chain16_nets import largest_exponents, mobile, pooled
from chain_nets import PIXELS, conv, converted, kernels, network, ranged
from rewriting import N

from reluflow.attention import AttentionSession, RegionOptions, entropy_bits, open_pass
from reluflow.errors import DataError, ModelError, OptionError
from reluflow.graph import Model, chain_psb, chain_psb16, load, to_psb

SHIPPED = Path(__file__).parents[2] / "models"
IMAGES = np.random.default_rng(7).standard_normal(PIXELS).astype(np.float32)
Array = np.ndarray


class Entropy:
    """The entropy of a map of floats with channels first."""

    def __init__(self, tensor: str) -> None:
        self.tensor = tensor

    def read(self, values: Array, inputs: Mapping[str, Array] | None = None) -> Array:
        return entropy_bits(values)


def dense() -> Model:
    """A map of scores for each pixel, at half the side."""
    return network(
        conv("x", "w", "h", "stem", pads=[1, 1, 1, 1], strides=[2, 2]),
        N("Relu", ["h"], ["r"], name="act"),
        conv("r", "v", "k", "inner", pads=[1, 1, 1, 1]),
        N("Add", ["k", "r"], ["s"], name="add"),
        N("Relu", ["s"], ["t"], name="act2"),
        conv("t", "u", "y", "scores"),
        tensors=kernels(w=(8, 3, 3, 3), v=(8, 8, 3, 3), u=(4, 8, 1, 1)),
    )


def as_bytes(model: Model) -> Model:
    psb = converted(model)
    return chain_psb(psb, ranged(psb, IMAGES)).model


def as_int16(model: Model) -> Model:
    psb = converted(model)
    return chain_psb16(psb, largest_exponents(psb, IMAGES)).model


FORMS: dict[str, Callable[[Model], Model]] = {
    "floats": converted,
    "bytes": as_bytes,
    "int16": as_int16,
}
NETS = {"dense": dense, "pooled": pooled, "mobile": mobile}


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("net", NETS)
@pytest.mark.parametrize("threads", [1, 2])
def test_all_is_the_second_pass_and_nothing_is_the_first(net: str, form: str, threads: int) -> None:
    model = FORMS[form](NETS[net]())
    session = AttentionSession(model, threads=threads)
    feeds = {"x": IMAGES}
    passes = {n: open_pass(model, n, threads=threads).run(feeds)[0][0]["y"] for n in (2, 16)}
    everything = session.run(feeds, (2, 16), np.ones(PIXELS[2:], bool))
    nothing = session.run(feeds, (2, 16), np.zeros(PIXELS[2:], bool))
    np.testing.assert_array_equal(everything.answers["y"], passes[16])
    np.testing.assert_array_equal(everything.first["y"], passes[2])
    np.testing.assert_array_equal(nothing.answers["y"], passes[2])
    assert everything.coverage == 1 and nothing.coverage == 0
    assert everything.second_shift_adds == everything.dense_shift_adds
    assert nothing.second_shift_adds == 0 and "pass 2" not in nothing.milliseconds
    assert everything.first_shift_adds is not None
    assert everything.shift_adds == everything.first_shift_adds + everything.dense_shift_adds


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("net", NETS)
@pytest.mark.parametrize("seed", range(2))
def test_operators_that_skip_give_what_a_where_gives(net: str, form: str, seed: int) -> None:
    model = FORMS[form](NETS[net]())
    rng = np.random.default_rng(seed)
    threads = int(rng.integers(1, 3))
    skips, where = (AttentionSession(model, threads=threads, native=n) for n in (True, False))
    for share in (0.02, 0.3, 0.8):
        mask = rng.random(IMAGES.shape[:1] + PIXELS[2:]) < share
        margin, samples = int(rng.integers(0, 2)), (int(rng.choice([1, 4])), 16)
        found, wanted = (
            each.run({"x": IMAGES}, samples, mask, margin=margin, seed=seed)
            for each in (skips, where)
        )
        np.testing.assert_array_equal(found.answers["y"], wanted.answers["y"])
        np.testing.assert_array_equal(found.first["y"], wanted.first["y"])
        assert found.nodes == wanted.nodes
        assert "no time is saved" in wanted.notes[0]


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("carry", ["scaled", "exact"])
def test_pixels_outside_keep_the_first_pass(form: str, carry: str) -> None:
    model = FORMS[form](dense())
    session = AttentionSession(model, unsure=Entropy("y"), threads=1)
    found = session.run({"x": IMAGES}, (1, 16), RegionOptions("coverage", 0.3, 1, carry))
    assert found.tensor == "y" and found.unsure is not None
    np.testing.assert_array_equal(found.unsure, entropy_bits(found.first["y"]))
    inside = found.masks["y"]
    first, last = (np.moveaxis(each["y"], 1, -1) for each in (found.first, found.answers))
    np.testing.assert_array_equal(first[~inside], last[~inside])
    assert (first[inside] != last[inside]).any() and 0 < inside.mean() < 1
    if carry == "exact":  # all that the chosen pixels depend on is fine
        exact = np.moveaxis(open_pass(model, 16).run({"x": IMAGES})[0][0]["y"], 1, -1)
        np.testing.assert_array_equal(last[found.region], exact[found.region])
    by_hand = sum((node.dense or 0) * found.masks[node.tensor].mean() for node in found.nodes)
    assert found.second_shift_adds == pytest.approx(by_hand)
    assert found.second_shift_adds < found.dense_shift_adds


def test_each_input_has_a_region_of_its_own() -> None:
    model = to_psb(load(SHIPPED / "fashion_resnet8.onnx")).model
    images = np.load(SHIPPED / "fashion_mnist_test_2000.npz")["image"][:4]
    session = AttentionSession(model, threads=1)
    mask = np.random.default_rng(0).random((4, 28, 28)) < 0.1
    mask[2] = False
    together = session.run({"image": images}, (1, 16), mask)
    for at in range(4):
        alone = session.run({"image": images[at : at + 1]}, (1, 16), mask[at : at + 1])
        assert (alone.answers["logits"] == alone.first["logits"]).all() == (at == 2)
        for name, region in alone.masks.items():
            np.testing.assert_array_equal(region[0], together.masks[name][at])
    np.testing.assert_array_equal(together.answers["logits"][2], together.first["logits"][2])
    shares = {node.node: node.share for node in together.nodes}
    assert shares["/dense/Gemm"] == 0.75 and together.nodes[0].op == "PsbConv"


def test_a_region_at_random_has_as_many_pixels() -> None:
    session = AttentionSession(converted(dense()), unsure=Entropy("y"), threads=1)
    unsure = session.run({"x": IMAGES}, (1, 16), RegionOptions())
    drawn = session.run({"x": IMAGES}, (1, 16), RegionOptions(random=1))
    per_image = (1, 2)
    assert (unsure.region.sum(per_image) == drawn.region.sum(per_image)).all()
    assert (unsure.region != drawn.region).any()


@pytest.mark.parametrize("coverage", [0.0, 1.0])
def test_a_coverage_of_nothing_and_of_all(coverage: float) -> None:
    session = AttentionSession(converted(dense()), unsure=Entropy("y"), threads=1)
    found = session.run({"x": IMAGES}, (1, 16), RegionOptions("coverage", coverage))
    wanted = open_pass(session.fine, 16 if coverage else 1).run({"x": IMAGES})[0][0]["y"]
    assert found.coverage == coverage
    np.testing.assert_array_equal(found.answers["y"], wanted)


def test_uncertainties_that_are_nan_are_computed() -> None:
    class Unknown(Entropy):
        def read(self, values: Array, inputs: Mapping[str, Array] | None = None) -> Array:
            return np.full_like(entropy_bits(values), np.nan)

    session = AttentionSession(converted(dense()), unsure=Unknown("y"), threads=1)
    assert session.run({"x": IMAGES}).coverage == 1


def test_a_picture_smaller_than_the_window() -> None:
    model = network(
        conv("x", "w", "h", "wide", pads=[4, 4, 4, 4]),
        N("Relu", ["h"], ["y"], name="act"),
        tensors=kernels(w=(4, 3, 9, 9)),
        x=(1, 3, 2, 3),
    )
    session = AttentionSession(converted(model), threads=1)
    small = np.random.default_rng(0).random((1, 3, 2, 3)).astype(np.float32)
    mask = np.array([[True, False, False], [False, False, False]])
    found = session.run({"x": small}, (1, 16), mask)
    changed = (found.answers["y"] != found.first["y"]).any(axis=1)[0]
    assert changed[0, 0] and not (changed & ~mask).any()


def test_what_is_refused() -> None:
    psb = converted(dense())
    with pytest.raises(ModelError, match="has no PSB operator, so that no number of samples makes"):
        AttentionSession(dense())
    session = AttentionSession(psb, threads=1)
    with pytest.raises(OptionError, match="samples of a pass are 3; accepted are 1, 2, 4"):
        session.run({"x": IMAGES}, (1, 3), np.ones(PIXELS[2:], bool))
    with pytest.raises(OptionError, match="tensor is 'h' and margin 0, but without a given region"):
        session.run({"x": IMAGES}, tensor="h")
    with pytest.raises(DataError, match=r"region is \[3, 3\], but tensor 'x' has \[9, 8\] pixels"):
        session.run({"x": IMAGES}, (1, 16), np.ones((3, 3), bool))
    with pytest.raises(DataError, match="tensor is 'nowhere', which has no pixels"):
        session.run({"x": IMAGES}, (1, 16), np.ones((3, 3), bool), tensor="nowhere")
    ends = network(
        conv("x", "w", "h", "stem"),
        N("Flatten", ["h"], ["f"]),
        N("MatMul", ["f", "v"], ["y"]),
        tensors=kernels(w=(2, 3, 1, 1), v=(2 * 9 * 8, 4)),
    )
    with pytest.raises(DataError, match="which has no pixels"):
        AttentionSession(converted(ends)).run({"x": IMAGES})
    flat = network(
        N("Flatten", ["x"], ["f"]),
        N("MatMul", ["f", "w"], ["y"]),
        tensors=kernels(w=(6, 3)) | {},
        x=(2, 6),
    )
    with pytest.raises(DataError, match=r"inputs are 'x' \[2, 6\], of which none has pixels"):
        AttentionSession(converted(flat)).run({"x": np.zeros((2, 6), np.float32)})
