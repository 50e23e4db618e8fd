"""`reluflow psb convert --x-bits auto`: the choice, its figures, and its requirements."""

import json
from pathlib import Path

import numpy as np
import onnx
import pytest
from evaluation_models import loud_channel

from reluflow.cli import main
from reluflow.graph import find_psb, load

MODELS = Path(__file__).parents[2] / "models"


@pytest.fixture
def loud(tmp_path: Path) -> list[str]:
    """Arguments that convert a model whose loud channel needs 16 bits."""
    case = loud_channel(1000.0)
    onnx.save(case.proto, tmp_path / "loud.onnx")
    np.save(tmp_path / "x.npy", case.x)
    arguments = ["psb", "convert", str(tmp_path / "loud.onnx"), "-o", str(tmp_path / "p.onnx")]
    return [*arguments, "--x-bits", "auto", "--calibrate", str(tmp_path / "x.npy")]


@pytest.mark.parametrize("more", [[], ["--no-check"]])
def test_the_figures_and_the_choice_are_printed(
    loud: list[str], more: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([*loud, *more]) == 0
    text = capsys.readouterr().out
    assert text.count("Activations: 12 bits: SQNR") == 1
    assert "; 16 bits: SQNR" in text and "chosen 16." in text
    bits = [node.x_bits for node in find_psb(load(tmp_path / "p.onnx"))]
    assert bits == [8, 16]  # the channels are made from bytes, and read with 16 bits


@pytest.mark.parametrize("more", [[], ["--no-check"]])
def test_json_has_them_too(
    loud: list[str], more: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([*loud, *more, "--json"]) == 0
    found = json.loads(capsys.readouterr().out)["activation_bits"]
    assert found["chosen"] == 16 and found["n_inputs"] == 30
    few, many = found["tried"]
    assert (few["x_bits"], many["x_bits"]) == (12, 16)
    assert few["lowest_db"] == few["outputs"][0]["worst_db"] < many["lowest_db"]


def test_an_easy_network_keeps_twelve(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    data = ["--calibrate", str(MODELS / "fashion_mnist_test_2000.npz"), "--limit", "50"]
    model, out = str(MODELS / "fashion_convnet8.onnx"), str(tmp_path / "p.onnx")
    assert main(["psb", "convert", model, "-o", out, "--x-bits", "auto", *data]) == 0
    assert "chosen 12." in capsys.readouterr().out
    assert main(["psb", "convert", model, "-o", out, "--x-bits", "14", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["activation_bits"] is None
    assert {node.x_bits for node in find_psb(load(out))} == {14}


@pytest.mark.parametrize(
    ("given", "sentence"),
    [
        ("auto", "--x-bits is 'auto', which measures on data; give --calibrate DATA, or a whole"),
        ("many", "--x-bits is 'many'; give a whole number from 2 to 16, or auto."),
        ("12.5", "--x-bits is '12.5'; give a whole number from 2 to 16, or auto."),
        ("17", "--x-bits is 17; give a whole number from 2 to 16."),
    ],
)
def test_what_is_refused_is_one_sentence(
    given: str, sentence: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "p.onnx"
    model = str(MODELS / "fashion_convnet8.onnx")
    assert main(["psb", "convert", model, "-o", str(out), "--x-bits", given]) == 2
    error = capsys.readouterr().err
    assert sentence in error and error.count("\n") == 1 and not out.exists()
