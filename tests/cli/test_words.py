"""Errors name the option that was typed, not the library's argument."""

from pathlib import Path

import numpy as np
import onnx
import pytest
import small_models

from reluflow.cli import main
from reluflow.cli._words import in_options


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    onnx.save(small_models.dense(), tmp_path / "m.onnx")
    onnx.save(small_models.convolutional(size="side"), tmp_path / "free.onnx")
    np.savez(tmp_path / "d.npz", x=small_models.integers((50, 4)), label=np.arange(50) % 3)
    np.save(tmp_path / "x.npy", small_models.integers((50, 4)))
    return tmp_path


@pytest.mark.parametrize(
    ("argv", "sentence"),
    [
        (["analyze", "free.onnx", "--random", "8"], "give it one: --dim side=224"),
        (["compare", "free.onnx", "free.onnx", "--random", "8"], "give it one: --dim side=224"),
        (["analyze", "m.onnx", "--random", "8", "--batch-size", "0"], "--batch-size is 0; give"),
        (["analyze", "m.onnx", "--random", "0"], "--random is 0; give"),
        (["analyze", "m.onnx", "--data", "x.npy", "--limit", "0"], "--limit is 0; give"),
        (["analyze", "m.onnx", "--random", "8", "--threads", "0"], "--threads is 0; give"),
        (["analyze", "m.onnx", "--random", "8", "--top", "-1"], "--top is -1; give"),
        (["analyze", "m.onnx", "--random", "8", "--hash", "md5"], "--hash is 'md5'; accepted"),
        (
            ["analyze", "m.onnx", "--random", "8", "--checkpoint-every", "-1"],
            "--checkpoint-every is -1.0; give seconds",
        ),
        (["analyze", "m.onnx", "--random", "8", "--seed", "-1"], "--seed is -1; give"),
        (["analyze", "m.onnx", "--data", "x.npy", "--mean", "1"], "--size, --mean, --std, --chan"),
        (["psb", "convert", "m.onnx", "-o", "p.onnx", "--x-bits", "1"], "--x-bits is 1; give"),
        (["psb", "convert", "m.onnx", "-o", "p.onnx", "--p-bits", "5"], "--p-bits is 5; accepted"),
        (["psb", "convert", "m.onnx", "-o", "p.onnx", "--prune", "2"], "--prune is 2.0; give"),
        (["psb", "convert", "m.onnx", "-o", "p.onnx", "--small", "no"], "--small is 'no'; acc"),
        (["sensitivity", "m.onnx", "--data", "d.npz", "--batches", "0"], "--batches is 0; give"),
    ],
)
def test_a_command_speaks_of_its_options(
    folder: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    argv: list[str],
    sentence: str,
) -> None:
    monkeypatch.chdir(folder)
    assert main(argv) == 2
    error = capsys.readouterr().err
    assert sentence in error
    assert error.count("\n") == 1


def test_other_words_stay() -> None:
    names = "data for input 'batch_size' are float32 [3]; convert with x.batch_size"
    assert in_options(names) == names
    assert in_options("the size is a matter of taste") == "the size is a matter of taste"


@pytest.mark.parametrize(
    "sentence",
    [
        "node 'conv' (PsbConv): attribute x_bits is 17; 2 to 16 is accepted",
        "node 'c' (PsbConv): attribute b is unknown; weight_shape, p_bits, x_bits are accepted",
        "node 'fc' (PsbMatMul) has bit planes uint8; weights of shape (4, 4) at p_bits 4 need",
        "x_bits is 17, but 2 to 16 is accepted; convert the model again.",
        "attribute p_bits refers to 'bits', which only the nodes of a function can",
    ],
)
def test_a_nodes_attribute_keeps_its_name(sentence: str) -> None:
    assert in_options(sentence) == sentence


@pytest.mark.parametrize(
    ("sentence", "said"),
    [
        ("x_bits is 17; give a whole number from 2 to 16.", "--x-bits is 17; give"),
        ("they become 0; convert with 16 bits an activation (x_bits).", "(--x-bits)"),
        ("probabilities are stored in 2 bits; convert with more (p_bits).", "(--p-bits)"),
        ("p_bits is 5 for node 'conv'; accepted are 1, 2", "--p-bits is 5 for node 'conv'"),
    ],
)
def test_an_option_is_said_as_it_is_typed(sentence: str, said: str) -> None:
    assert said in in_options(sentence)


@pytest.mark.parametrize("attribute", ["x_bits", "p_bits"])
@pytest.mark.parametrize("command", [["psb", "inspect"], ["psb", "eval"]])
def test_a_file_with_a_bad_attribute_is_told_by_the_files_own_word(
    attribute: str, command: list[str], folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    psb = folder / "p.onnx"
    assert main(["psb", "convert", str(folder / "m.onnx"), "-o", str(psb), "--no-check"]) == 0
    proto = onnx.load(psb)
    node = next(node for node in proto.graph.node if node.domain == "ai.reluflow")
    entry = next(entry for entry in node.attribute if entry.name == attribute)
    entry.i = 17
    onnx.save(proto, psb)
    capsys.readouterr()
    data = ["--data", str(folder / "x.npy")] if command[1] == "eval" else []
    assert main([*command, str(psb), *data]) == 2
    error = capsys.readouterr().err
    assert f"attribute {attribute} is 17; " in error and "--" not in error
