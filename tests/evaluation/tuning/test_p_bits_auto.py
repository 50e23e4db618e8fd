"""`reluflow psb convert --p-bits auto`: the choice, its figures, and its requirements."""

import json
from pathlib import Path

import pytest

from reluflow.cli import main
from reluflow.graph import find_psb, load

MODELS = Path(__file__).parents[3] / "models"
MODEL = str(MODELS / "fashion_resnet8.onnx")
DATA = ["--calibrate", str(MODELS / "fashion_mnist_test_2000.npz"), "--limit", "8"]


def arguments(out: Path, *more: str) -> list[str]:
    return ["psb", "convert", MODEL, "-o", str(out), "--p-bits", "auto", *DATA, *more]


@pytest.mark.parametrize(
    "more",
    [["--no-check"], ["--no-check", "--x-bits", "8"]],
)
def test_the_choice_is_printed_and_written(
    more: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "p.onnx"
    assert main(arguments(out, "--tune", "usual", *more)) == 0
    text = capsys.readouterr().out
    assert text.count("Bits of probabilities: ") == 1 and "dB less error expected" in text
    nodes = find_psb(load(out))
    assert len({node.p_bits for node in nodes}) > 1
    assert all(node.samples(16) == 1 << node.p_bits for node in nodes)
    weights = sum(node.weights for node in nodes)
    assert sum(node.weights * node.p_bits for node in nodes) <= 4 * weights
    assert main(["psb", "inspect", str(out)]) == 0
    assert "p in 3 to 6 bits" in capsys.readouterr().out


def test_json_has_it_too(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "p.onnx"
    assert main(arguments(out, "--no-check", "--json")) == 0
    found = json.loads(capsys.readouterr().out)["weight_bits"]
    stored = {node.name: node.p_bits for node in find_psb(load(out))}
    assert found["layers"] == stored and found["mean_bits"] <= 4 and found["n_inputs"] == 2
    other = ["psb", "convert", MODEL, "-o", str(out), "--no-check", "--p-bits", "6", "--json"]
    assert main(other) == 0
    assert json.loads(capsys.readouterr().out).get("weight_bits") is None
    assert {node.p_bits for node in find_psb(load(out))} == {6}


@pytest.mark.parametrize(
    ("given", "sentence"),
    [
        (["auto"], "--p-bits is 'auto', which measures on data; give --calibrate DATA, or a"),
        (["many"], "--p-bits is 'many'; give 1, 2, 3, 4, 6, 8 or 16, or auto."),
        (["4.5"], "--p-bits is '4.5'; give 1, 2, 3, 4, 6, 8 or 16, or auto."),
        (["5"], "--p-bits is 5; accepted are 1, 2, 3, 4, 6, 8, 16."),
        (["auto", *DATA, "--tune", "usual", "--budget", "4"], "chooses the bits of each layer too"),
        (["auto", *DATA, "--prune", "0.5"], "--p-bits is 'auto', but prune=0.5 would change"),
    ],
)
def test_what_is_refused_is_one_sentence(
    given: list[str], sentence: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "p.onnx"
    assert main(["psb", "convert", MODEL, "-o", str(out), "--p-bits", *given]) == 2
    error = capsys.readouterr().err
    assert sentence in error and error.count("\n") == 1 and not out.exists()
