"""Operators pass bytes where the error of the outputs allows it, and only there."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
import small_models

import reluflow
from reluflow.cli import main
from reluflow.data import open_data
from reluflow.errors import OptionError
from reluflow.evaluation import ActivationBits, Chains, choose_activation_bits, choose_chains
from reluflow.graph import Model, PsbOptions, find_psb, load
from reluflow.sessions import open_session

ROOT = Path(__file__).resolve().parents[3]
NET = str(ROOT / "models" / "fashion_resnet8.onnx")
IMAGES = str(ROOT / "models" / "fashion_mnist_test_2000.npz")


def chosen(model: Model, source: Any, **options: Any) -> ActivationBits:
    return choose_activation_bits(model, source, options=PsbOptions(**options))


@pytest.fixture(scope="module")
def net() -> Model:
    return load(NET)


@pytest.fixture(scope="module")
def images(net: Model) -> Any:
    return open_data(np.load(IMAGES)["image"][:16], net.inputs)


@pytest.fixture(scope="module")
def width(net: Model, images: Any) -> ActivationBits:
    return chosen(net, images)


@pytest.fixture(scope="module")
def at_any_loss(net: Model, images: Any, width: ActivationBits) -> Chains:
    """Return the choice that a loss of 100 dB allows."""
    found = choose_chains(width, net, images, loss_db=100.0)
    assert found is not None
    return found


def in_bytes(model: Model) -> set[str]:
    return {node.name for node in find_psb(model) if node.x_bits == 8}


def loss(found: Any) -> float:
    """Return the largest loss in dB of an output or of its worst channel."""
    few, many = found.tried
    pairs = [
        (a, b)
        for x, y in zip(few.outputs, many.outputs, strict=True)
        for a, b in ((x.sqnr_db, y.sqnr_db), (x.worst_db, y.worst_db))
        if a is not None and b is not None and a < 40
    ]
    return max((b - a for a, b in pairs), default=0.0)


@pytest.mark.parametrize("accepted", [0.5, 3.0, 30.0])
def test_the_loss_is_within_what_is_accepted(
    net: Model, images: Any, width: ActivationBits, accepted: float
) -> None:
    found = choose_chains(width, net, images, loss_db=accepted)
    if found is None:
        assert accepted < 3
        return
    assert in_bytes(found.rewritten.model)
    assert loss(found) <= accepted
    others = {n.x_bits for n in find_psb(found.rewritten.model) if n.x_bits != 8}
    assert others <= {width.chosen}


def test_a_larger_loss_lets_more_operators_pass_bytes(
    net: Model, images: Any, width: ActivationBits, at_any_loss: Chains
) -> None:
    few = choose_chains(width, net, images, loss_db=1.0)
    names = in_bytes(at_any_loss.rewritten.model)
    assert len(names) == 10
    assert few is None or in_bytes(few.rewritten.model) <= names
    assert few is None or len(in_bytes(few.rewritten.model)) < len(names)


def test_the_figures_are_those_of_a_run(net: Model, images: Any, at_any_loss: Chains) -> None:
    found = at_any_loss
    (batch,) = images.batches(16)
    exact = open_session(net).run(batch)[0].astype(np.float64)
    made = open_session(found.rewritten.model).run(batch)[0]
    db = 10 * np.log10(np.sum(exact**2) / np.sum((made - exact) ** 2))
    assert found.tried[0].outputs[0].sqnr_db == pytest.approx(db, abs=1e-3)
    assert [each.x_bits for each in found.tried] == [8, 16]


def test_a_layer_that_bytes_ruin_stays_while_others_join() -> None:
    """One tensor holds values of very different sizes, which bytes cannot tell apart."""
    proto = small_models.convolutional(seed=4)
    rng = np.random.default_rng(0)
    scale = np.array([1000, 1, 1, 1, 1], np.float32)
    for tensor in proto.graph.initializer:
        w = rng.normal(size=tuple(tensor.dims)).astype(np.float32)
        w = w * scale[:, None, None, None] if tensor.name == "w0" else w / scale[:, None, None]
        tensor.CopyFrom(onnx.numpy_helper.from_array(w, tensor.name))
    model = load(proto)
    x = rng.normal(size=(20, 2, 5, 5)).astype(np.float32)
    source = open_data(x, model.inputs)
    found = choose_chains(chosen(model, source, p_bits=8), model, source, loss_db=3.0)
    everything = choose_chains(chosen(model, source, p_bits=8), model, source, loss_db=100.0)
    assert everything is not None and len(in_bytes(everything.rewritten.model)) == 2
    assert found is None or len(in_bytes(found.rewritten.model)) < 2


@pytest.mark.parametrize("options", [{"sampler": "binomial"}, {"draws": "product"}])
def test_draws_that_bytes_do_not_have_keep_their_width(
    net: Model, images: Any, options: dict[str, str]
) -> None:
    assert choose_chains(chosen(net, images, **options), net, images, loss_db=100.0) is None


def test_a_model_whose_products_are_not_of_rows_has_no_chains() -> None:
    model = load(
        onnx.parser.parse_model("""<ir_version: 8, opset_import: ["" : 17]>
            g (float[N,1,2] x) => (float[N,1,2] y) <float[2,2] w = {1,2,3,4}>
            { h = MatMul(x, w) y = Relu(h) }""")
    )
    source = open_data(small_models.integers((20, 1, 2)), model.inputs)
    assert choose_chains(chosen(model, source), model, source, loss_db=100.0) is None


@pytest.mark.parametrize("value", [-1.0, float("nan")])
def test_a_loss_that_is_none_is_refused(
    net: Model, images: Any, width: ActivationBits, value: float
) -> None:
    with pytest.raises(OptionError, match=r"x_loss is .*; give a number of decibels from 0 on"):
        choose_chains(width, net, images, loss_db=value)


def test_python_and_the_command_do_the_same(tmp_path: Path, capsys: Any) -> None:
    out = tmp_path / "p.onnx"
    line = f"psb convert {NET} -o {out} --x-bits auto --x-loss 100 --calibrate {IMAGES} --limit 8"
    assert main([*line.split(), "--no-check"]) == 0
    shown = " ".join(capsys.readouterr().out.split())
    assert "chosen 12." in shown and "Chains of bytes: 10 of 10 operators" in shown
    made = reluflow.convert(
        NET, calibration=IMAGES, limit=8, x_bits="auto", x_loss=100, check=False
    )
    assert made.model.serialize() == load(out).serialize()
    assert main([*line.split(), "--no-check", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["activation_bits"]["chosen"] == 12


@pytest.mark.parametrize("x_bits", [None, 8, 16])
def test_a_loss_without_auto_does_nothing_and_is_refused(x_bits: int | None) -> None:
    with pytest.raises(OptionError, match="does nothing without x_bits='auto'"):
        reluflow.convert(NET, calibration=IMAGES, limit=4, x_bits=x_bits, x_loss=2)
