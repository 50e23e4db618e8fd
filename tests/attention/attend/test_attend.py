"""Two passes over a picture: answers, costs and errors fit together."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnx.parser
import pytest

import reluflow
from reluflow.attention import (
    Attended,
    RegionOptions,
    as_picture,
    attend_picture,
    over_picture,
)
from reluflow.attention.attend.errors import as_floats, pixel_errors
from reluflow.attention.regional.pairs import float_name
from reluflow.errors import DataError, ModelError, OptionError, OutputError
from reluflow.graph import ChainFormat, Model, chain_formats, load, to_psb

SHIPPED = Path(__file__).parents[3] / "models"
FLOAT = load(SHIPPED / "fashion_dsconv.onnx")
DATA = SHIPPED / "fashion_mnist_test_2000.npz"
IMAGE = {"image": np.load(DATA)["image"][7:8]}
ALL, NONE = RegionOptions("coverage", 1.0), RegionOptions("coverage", 0.0)


def as_chain(tmp_path: Path, bits: int) -> Model:
    out = tmp_path / "chain.onnx"
    reluflow.convert(FLOAT, out, calibration=DATA, limit=30, x_bits=bits, check=False)
    return load(out)


@pytest.fixture(params=["floats", 8, 12])
def model(request: pytest.FixtureRequest, tmp_path: Path) -> Model:
    if request.param == "floats":
        return to_psb(FLOAT).model
    return as_chain(tmp_path, request.param)


def look(model: Model, options: RegionOptions | None = None, **how: Any) -> Attended:
    return attend_picture(model, IMAGE, (1, 4), options, threads=1, **how)


def test_all_pixels_give_the_dense_pass_and_none_pass_1(model: Model) -> None:
    every = look(model, ALL)
    both = next(each for each in every.answers if each.name == "both passes")
    assert both.most_apart == 0 and every.coverage == 1
    assert every.reference == "dense pass 2" and len(every.layers) == 3
    assert all((layer.mixed[0] == 0).all() and layer.first[0].max() > 0 for layer in every.layers)
    total, dense, first = (
        next(cost.shift_adds for cost in every.costs if cost.name == name)
        for name in ("both passes", "dense pass 2", "pass 1")
    )
    assert total is not None and first is not None and total == first + (dense or 0)
    assert "All pixels are unsure: pass 1 was made in vain." in every.notes
    no = look(model, NONE)
    assert no.answers[0].classes == no.answers[1].classes and no.coverage == 0
    assert any(note.startswith("No pixel is unsure") for note in no.notes)
    assert all(np.array_equal(each.first, each.mixed, equal_nan=True) for each in no.layers)


def test_errors_against_float_fall_where_pass_2_computed(model: Model) -> None:
    found = look(model, RegionOptions("coverage", 0.4), float_model=FLOAT)
    assert found.reference == "float32" and found.answers[-1].name == "float32"
    assert 0 < found.coverage <= 0.4
    assert [layer.region.mean() for layer in found.layers] == [
        pytest.approx(layer.share) for layer in found.layers
    ]
    first = found.layers[0]
    outside = ~first.region
    assert np.array_equal(first.first[:, outside], first.mixed[:, outside], equal_nan=True)
    means = first.means()
    assert means["absolute_in_region_after"] < means["absolute_in_region"]
    plain = found.to_dict()
    assert plain["costs"][-1]["name"] == "dense pass 2"
    assert set(plain["costs"][0]) == {"name", "theoretical_shift_adds", "measured_ms"}
    assert plain["layers"][0]["share"] == first.share


def test_a_margin_and_exact_fields_compute_more() -> None:
    model = to_psb(FLOAT).model
    shares = [
        sum(node.share for node in look(model, RegionOptions("coverage", 0.1, *more)).nodes)
        for more in ((0, "scaled"), (1, "scaled"), (0, "exact"))
    ]
    assert shares[0] < shares[1] < shares[2]


@pytest.mark.parametrize("bits", [None, 12])
def test_bytes_may_look_first(tmp_path: Path, bits: int | None) -> None:
    coarse = as_chain(tmp_path, 8)
    fine = to_psb(FLOAT).model if bits is None else as_chain(tmp_path, bits)
    found = look(fine, RegionOptions("coverage", 0.3), coarse=coarse, float_model=FLOAT)
    assert found.tensor.endswith("/bytes") and found.region.shape == (7, 7)
    assert [cost.name for cost in found.costs][-2:] == ["both passes", "dense pass 2"]
    assert 0 < found.coverage <= 0.3 and found.answers[0].most_apart > 0
    assert len(found.layers) == 3 and not any("not shown" in note for note in found.notes)
    for layer in found.layers:  # outside the region both passes have what the bytes gave
        outside = ~layer.region
        same = layer.first[:, outside], layer.mixed[:, outside]
        np.testing.assert_array_equal(*same)
        assert layer.first[0].max() > 0 and (layer.first[0] != layer.mixed[0]).any()


def test_layers_that_the_other_model_lacks_are_not_shown(tmp_path: Path) -> None:
    fine = as_chain(tmp_path, 12)
    other = onnx.load_from_string(fine.serialize())
    inner = {name for node in other.graph.node for name in node.output} - set(fine.outputs)
    for node in other.graph.node:
        for names in (node.input, node.output):
            names[:] = [f"own_{name}" if name in inner else name for name in names]
    del other.graph.value_info[:]
    found = look(fine, RegionOptions("coverage", 0.3), coarse=load(other))
    assert found.layers == ()
    assert "Errors of layers are not shown, as no layer with pixels is in both passes." in (
        found.notes
    )


def test_half_a_picture_needs_a_model_of_any_size(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="Got: 14 Expected: 28"):
        look(to_psb(FLOAT).model, coarse=as_chain(tmp_path, 8), half=True)
    with pytest.raises(OptionError, match="half is True, but there is no coarse model"):
        look(to_psb(FLOAT).model, half=True)


def test_errors_of_pixels() -> None:
    rng = np.random.default_rng(0)
    x, r = rng.random((1, 3, 4, 5)), rng.random((1, 3, 4, 5))
    first = pixel_errors(x, r, (2, 3))
    assert np.allclose(first[0], np.abs(x - r)[0].mean(axis=0))
    assert np.allclose(first[1], np.abs(x - r)[0].mean(axis=0) / r[0].mean(axis=0))
    last = pixel_errors(np.moveaxis(x, 1, -1), np.moveaxis(r, 1, -1), (1, 2))
    assert np.allclose(first, last)
    assert np.isnan(pixel_errors(x, 0 * r, (2, 3))[1]).all()


def test_integers_of_a_chain_are_read_as_numbers(tmp_path: Path) -> None:
    formats = chain_formats(as_chain(tmp_path, 8))
    assert formats and all(name != float_name(name) for name in formats)
    values = np.array([[[[130, 126]]]], np.uint8)
    found = as_floats(values, ChainFormat(1, 128))
    assert found.reshape(-1).tolist() == [1.0, -1.0] and found.shape == (1, 2, 1, 1)
    assert as_floats(values, None) is values


def test_pictures_are_shown_as_they_are() -> None:
    colours = np.linspace(0, 1, 24).reshape(1, 3, 2, 4)
    shown = as_picture(colours, (2, 3))
    assert shown.shape == (2, 4, 3) and shown[0, 0].tolist() == [0, 89, 177]
    assert np.array_equal(as_picture(np.moveaxis(colours, 1, -1), (1, 2)), shown)
    signal = as_picture(np.array([[[0.0, np.nan, 2.0]]]), (2,))
    assert signal[0, :, 0].tolist() == [0, 0, 255]
    assert (as_picture(np.ones((1, 2, 2, 2)), (2, 3)) == 0).all()
    assert over_picture(np.array([1, 2]), (1, 4)).tolist() == [[1, 1, 2, 2]]


def test_what_cannot_be_attended_is_said(tmp_path: Path) -> None:
    model = to_psb(FLOAT).model
    two = {"image": np.load(DATA)["image"][:2]}
    with pytest.raises(DataError, match="inputs are 2; give one picture"):
        attend_picture(model, two)
    with pytest.raises(ModelError, match="has no PSB operator"):
        attend_picture(FLOAT, IMAGE)
    with pytest.raises(OptionError, match="samples is '16'; give those of both passes"):
        reluflow.attend(model, DATA, samples="16")
    with pytest.raises(OptionError, match="samples of a pass are 3; accepted are 1, 2, 4"):
        reluflow.attend(model, DATA, samples="3/16")
    with pytest.raises(OptionError, match="psb is given, but the model is converted already"):
        reluflow.attend(model, DATA, psb=reluflow.PsbOptions())
    with pytest.raises(OptionError, match="number is 2000, but the data have 2000 inputs"):
        reluflow.attend(model, DATA, number=2000)
    with pytest.raises(OutputError, match="which would replace"):
        (tmp_path / "region.png").write_bytes(b"")
        reluflow.attend(model, tmp_path / "region.png", tmp_path)
    bare = onnx.parser.parse_model(
        '<ir_version: 8, opset_import: ["" : 17]> g (float[N,1,4,4] x) => (float[N,1,4,4] y) '
        "{ y = Relu(x) }"
    )
    with pytest.raises(ModelError, match="nothing"):
        reluflow.attend(bare, np.zeros((1, 1, 4, 4), np.float32))


def test_volumes_are_refused() -> None:
    weights = ",".join(["0.5"] * 27)
    volume = onnx.parser.parse_model(
        '<ir_version: 8, opset_import: ["" : 17]> g (float[N,1,4,4,4] x) => (float[N,3] y) '
        f"<float[1,3] w = {{1,2,3}}, float[1,1,3,3,3] k = {{{weights}}}> "
        "{ c = Conv<pads=[1,1,1,1,1,1]>(x, k) p = GlobalAveragePool(c) f = Flatten(p) "
        "y = MatMul(f, w) }"
    )
    with pytest.raises(DataError, match="the input has 3 axes of pixels"):
        reluflow.attend(volume, np.zeros((1, 1, 4, 4, 4), np.float32))
