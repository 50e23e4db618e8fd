"""`reluflow psb convert --x-bits 8`: chains of bytes from the command line and from Python."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest

import reluflow
from reluflow.cli import main
from reluflow.errors import OptionError
from reluflow.graph import find_chains, find_psb, load

MODELS = Path(__file__).parents[2] / "models"
RESNET = str(MODELS / "fashion_resnet8.onnx")
IMAGES = str(MODELS / "fashion_mnist_test_2000.npz")


def arguments(out: Path, *more: str) -> list[str]:
    data = ["--calibrate", IMAGES, "--limit", "8"]
    return ["psb", "convert", RESNET, "-o", str(out), "--x-bits", "8", *data, *more]


@pytest.mark.parametrize("more", [[], ["--no-check"], ["--p-bits", "3", "--sampler", "nearest"]])
def test_layers_pass_bytes(
    more: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "c.onnx"
    assert main(arguments(out, *more)) == 0
    text = " ".join(capsys.readouterr().out.split())
    assert "1 chain of bytes: 10 of 10 layers and 2 other nodes; 1 tensor to bytes, 1 back" in text
    assert "Chains of bytes: 10 of 10 operators; on 8 inputs, 8 bits: SQNR" in text
    assert "; 16 bits: SQNR" in text
    assert "takes no bytes" not in text
    assert ("without chains" in text) == ("--no-check" not in more)
    found = find_psb(load(out))
    assert [node.op for node in found] == [*["FixedConv"] * 9, "FromFixedMatMul"]
    assert all(node.x_bits == 8 and node.x_exponent is not None for node in found)


def test_json_tells_what_joined(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(arguments(tmp_path / "c.onnx", "--json")) == 0
    found: dict[str, Any] = json.loads(capsys.readouterr().out)
    (chain,) = found["chains"]
    assert chain["operators"] == 10 and len(chain["begins"]) == len(chain["ends"]) == 1
    chained = found["chained"]
    products = [*["FixedConv"] * 9, "FixedGlobalAveragePool", "Reshape", "FromFixedMatMul"]
    assert [node["op"] for node in chained["nodes"]] == products
    assert [each["x_bits"] for each in chained["tried"]] == [8, 16]
    assert chained["outside"] == []
    assert main(["psb", "inspect", str(tmp_path / "c.onnx"), "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["chains"] == found["chains"]


def test_python_makes_the_same_file(tmp_path: Path) -> None:
    assert main(arguments(tmp_path / "command.onnx")) == 0
    made = reluflow.convert(RESNET, tmp_path / "call.onnx", calibration=IMAGES, limit=8, x_bits=8)
    assert (tmp_path / "call.onnx").read_bytes() == (tmp_path / "command.onnx").read_bytes()
    assert made.chains is not None and made.model is made.chains.rewritten.model
    assert find_psb(made.result.model)[0].op == "PsbConv"  # the operators before they joined
    assert len(made.to_dict()["chains"]["nodes"]) == 12
    plain = reluflow.convert(RESNET, x_bits=12)
    assert plain.chains is None and plain.model is plain.result.model


def test_a_chain_is_evaluated_like_any_other(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "c.onnx"
    assert main(arguments(out)) == 0
    capsys.readouterr()
    few = ["--samples", "4,64", "--seeds", "2", "--limit", "100", "--json"]
    assert main(["psb", "eval", str(out), "--data", IMAGES, "--float", RESNET, *few]) == 0
    found = json.loads(capsys.readouterr().out)
    means = {point["samples"]: point["mean"] for point in found["points"]}
    assert means[64] > 0.85  # float32: 0.92


@pytest.mark.parametrize(
    ("more", "sentence"),
    [
        ([], "--x-bits is 8, whose scales are found on data; give --calibrate DATA, or 9 to 16"),
        (["--calibrate", IMAGES, "--sampler", "binomial"], "which activations of 8 bits do not"),
        (["--calibrate", IMAGES, "--draws", "product"], "--draws is 'product', which activations"),
    ],
)
def test_what_bytes_cannot_do_is_refused(
    more: list[str], sentence: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "c.onnx"
    assert main(["psb", "convert", RESNET, "-o", str(out), "--x-bits", "8", *more]) == 2
    assert sentence in " ".join(capsys.readouterr().err.split()) and not out.exists()


def test_python_refuses_in_its_own_words() -> None:
    with pytest.raises(OptionError, match="x_bits is 8, whose scales are found on data; give cali"):
        reluflow.convert(RESNET, x_bits=8)
    with pytest.raises(OptionError, match="sampler is 'binomial', which activations of 8 bits"):
        options = reluflow.PsbOptions(sampler="binomial")
        reluflow.convert(RESNET, x_bits=8, calibration=IMAGES, limit=4, options=options)


def test_a_network_whose_products_are_not_of_rows_keeps_sixteen_bits(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    proto = onnx.parser.parse_model("""<ir_version: 8, opset_import: ["" : 17]>
        g (float[N,1,2] x) => (float[N,1,2] y) <float[2,2] w = {1,2,3,4}>
        { h = MatMul(x, w) y = Relu(h) }""")
    onnx.save(proto, tmp_path / "m.onnx")
    np.save(tmp_path / "x.npy", np.eye(2, dtype=np.float32)[:, None])
    out = tmp_path / "c.onnx"
    command = ["psb", "convert", str(tmp_path / "m.onnx"), "-o", str(out), "--x-bits", "8"]
    assert main([*command, "--calibrate", str(tmp_path / "x.npy")]) == 0
    text = " ".join(capsys.readouterr().out.split())
    assert "Chains of bytes: 0 of 1 operators" in text
    assert "(PsbMatMul) takes no bytes: its input has 3 axes" in text
    assert find_chains(load(out)) == () and find_psb(load(out))[0].x_bits == 16
