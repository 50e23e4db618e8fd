"""`reluflow psb convert --calibrate`: chains of int16 from the command line and from Python."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from evaluation_models import loud_output

import reluflow
from reluflow.cli import main
from reluflow.data import open_data
from reluflow.errors import OptionError
from reluflow.evaluation import choose_activation_bits
from reluflow.evaluation.widths.activation_bits import is_enough
from reluflow.evaluation.widths.chains16 import chain_chosen
from reluflow.evaluation.widths.reference import FloatOutputs
from reluflow.graph import find_chains, find_psb, load, upgrade
from reluflow.sessions import open_session

MODELS = Path(__file__).parents[3] / "models"
RESNET = str(MODELS / "fashion_resnet8.onnx")
IMAGES = str(MODELS / "fashion_mnist_test_2000.npz")


def arguments(out: Path, *more: str) -> list[str]:
    data = ["--calibrate", IMAGES, "--limit", "8"]
    return ["psb", "convert", RESNET, "-o", str(out), *data, *more]


def converted(out: Path, *more: str) -> str:
    assert main(arguments(out, "--no-check", *more)) == 0
    return str(out)


@pytest.fixture(scope="module")
def chain(tmp_path_factory: pytest.TempPathFactory) -> str:
    """Return the file of a chain of 12 bits, which no test changes."""
    return converted(tmp_path_factory.mktemp("chain") / "c.onnx")


@pytest.mark.parametrize(
    ("more", "bits"),
    [
        ([], 12),
        (["--x-bits", "16", "--no-check"], 16),
        (["--x-bits", "10", "--p-bits", "3", "--sampler", "binomial"], 10),
    ],
)
def test_layers_pass_int16(
    more: list[str], bits: int, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "c.onnx"
    assert main(arguments(out, *more)) == 0
    text = " ".join(capsys.readouterr().out.split())
    assert f"1 chain of {bits} bits: 9 of 10 layers and 1 other node; 1 tensor to integers" in text
    assert f"Chains of {bits} bits: 9 of 10 operators; on 8 inputs, {bits} bits: SQNR" in text
    assert ("; 16 bits: SQNR" in text) == (bits < 16)
    assert ("without chains" in text) == ("--no-check" not in more)
    nodes = find_psb(load(out))
    assert [node.op for node in nodes] == [*["FixedConv16"] * 9, "PsbMatMul"]
    assert {node.x_bits for node in nodes} == {bits}
    kinds = [node.activation for node in nodes]
    assert kinds == [*["relu"] * 4, "none", "relu", "relu", "none", "relu", "none"]


def test_what_the_file_says_is_what_was_joined(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(arguments(tmp_path / "c.onnx", "--json")) == 0
    found: dict[str, Any] = json.loads(capsys.readouterr().out)
    (chain,) = found["chains"]
    assert (chain["operators"], chain["bits"]) == (9, 12)
    chained = found["chained"]
    assert [node["op"] for node in chained["nodes"]] == [*["FixedConv16"] * 9, "FixedGlobalPool16"]
    assert [each["x_bits"] for each in chained["tried"]] == [12, 16]
    assert main(["psb", "inspect", str(tmp_path / "c.onnx"), "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["chains"] == found["chains"]


def test_python_makes_the_same_file(chain: str, tmp_path: Path) -> None:
    made = reluflow.convert(RESNET, tmp_path / "call.onnx", calibration=IMAGES, limit=8)
    assert (tmp_path / "call.onnx").read_bytes() == Path(chain).read_bytes()
    assert made.chains is not None and made.model is made.chains.rewritten.model
    assert find_psb(made.result.model)[0].op == "PsbConv"  # the operators before they joined


@pytest.mark.parametrize("bits", ["8", "12", "16", "auto"])
def test_without_chains_floats_stay_between_layers(bits: str, tmp_path: Path) -> None:
    out = converted(tmp_path / "c.onnx", "--no-chains", "--x-bits", bits)
    nodes = find_psb(load(out))
    assert find_chains(load(out)) == () and {node.op for node in nodes} == {"PsbConv", "PsbMatMul"}
    assert all(node.x_exponent is not None for node in nodes)
    assert {node.x_bits for node in nodes} == {12 if bits == "auto" else int(bits)}


def test_the_bits_of_a_chain_are_drawn_as_those_of_its_operators(tmp_path: Path) -> None:
    """Weights are the same bit for bit, so that a draw differs only by the rounding of sums."""
    chain = converted(tmp_path / "c.onnx", "--x-bits", "16")
    plain = converted(tmp_path / "p.onnx", "--x-bits", "16", "--no-chains")
    x = np.load(IMAGES)["image"][:8]
    for n in (1, 4, 0):
        feeds = {"image": x, "samples": np.array(n, np.int64), "seed": np.array(3, np.int64)}
        a, b = (open_session(load(path)).run(feeds)[0] for path in (chain, plain))
        assert np.linalg.norm(a - b) < 3e-3 * np.linalg.norm(b)


@pytest.mark.parametrize("more", [[], ["--sampler", "binomial"], ["--sensitivity", "4"]])
def test_a_chain_is_evaluated_like_any_other(
    more: list[str], chain: str, capsys: pytest.CaptureFixture[str]
) -> None:
    few = ["--samples", "4,64", "--seeds", "2", "--limit", "100", "--json"]
    code = main(["psb", "eval", chain, "--data", IMAGES, "--float", RESNET, *few, *more])
    text = capsys.readouterr()
    if "--sensitivity" in more:
        assert code == 2 and "passes int16 in a chain, so it cannot work alone" in text.err
        return
    assert code == 0
    found = json.loads(text.out)
    means = {point["samples"]: point["mean"] for point in found["points"]}
    assert means[64] > 0.85  # float32: 0.92


def test_draws_baked_into_a_chain_are_those_of_the_library(chain: str) -> None:
    options = [reluflow.EvaluationOptions(samples=(4,), seeds=2, native=n) for n in (True, False)]
    with_library, without = (
        reluflow.evaluate(chain, IMAGES, options=each, limit=20).points[0] for each in options
    )
    assert with_library.mean == without.mean
    assert with_library.values == without.values


def test_a_chain_is_profiled_and_allocated(
    chain: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    own = str(tmp_path / "a.onnx")
    profile = ["psb", "inspect", chain, "--profile", "--float", RESNET, "--runs", "2", "--json"]
    assert main(profile) == 0
    rows = json.loads(capsys.readouterr().out)["nodes"]
    layers = [row for row in rows if row["op"] == "FixedConv16"]
    assert len(layers) == 9 and all(row["float_ms"] is not None for row in layers)
    data = ["--data", IMAGES, "--limit", "4"]
    assert main(["psb", "allocate", chain, "-o", own, "--budget", "4", *data]) == 0
    nodes = find_psb(load(own))
    assert len({node.factor for node in nodes}) > 1
    assert [node.op for node in nodes] == [*["FixedConv16"] * 9, "PsbMatMul"]
    assert main(["psb", "inspect", own]) == 0
    assert "chain of 12 bits" in capsys.readouterr().out


def test_eval_shows_what_saturates_in_a_chain(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = str(tmp_path / "c.onnx")
    one = ["--calibrate", IMAGES, "--limit", "1", "--no-check"]
    assert main(["psb", "convert", RESNET, "-o", out, *one]) == 0
    capsys.readouterr()
    few = ["--data", IMAGES, "--limit", "100", "--samples", "64", "--seeds", "1", "--json"]
    assert main(["psb", "eval", out, *few]) == 0
    rows = json.loads(capsys.readouterr().out)["saturation"]
    assert len(rows) >= 10 and sum(row["saturated"] > 0 for row in rows) > 2


def test_a_tuned_file_passes_int16(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = converted(tmp_path / "c.onnx", "--tune", "feedback,bias")
    assert [node.op for node in find_psb(load(out))][:9] == ["FixedConv16"] * 9
    assert "Chains of 12 bits" in capsys.readouterr().out


def test_other_commands_say_what_a_chain_hides(
    chain: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["analyze", chain, "--data", IMAGES, "--limit", "4"]) == 2
    assert "pass bytes or int16 to each other" in " ".join(capsys.readouterr().err.split())
    assert main(["inspect", chain]) in (0, 2)


def test_a_file_with_a_chain_is_run_by_onnx_alone(chain: str) -> None:
    made = load(chain)
    onnx.checker.check_model(made._proto, full_check=True)
    feeds = {"image": np.load(IMAGES)["image"][:2]}
    alone = open_session(made, library=False).run(feeds)[0]
    np.testing.assert_allclose(alone, open_session(made).run(feeds)[0], rtol=1e-4, atol=1e-4)


def test_a_chain_is_upgraded_like_any_other(chain: str) -> None:
    made = load(chain)
    feeds = {"image": np.load(IMAGES)["image"][:2]}
    raised = upgrade(made)
    assert find_chains(raised.model) == find_chains(made)
    again = open_session(raised.model).run(feeds)[0]
    np.testing.assert_array_equal(again, open_session(made).run(feeds)[0])


@pytest.mark.parametrize(
    ("more", "sentence"),
    [
        (["--no-chains"], "--no-chains is given, but does nothing without --calibrate DATA"),
        (
            ["--no-chains", "--x-bits", "auto", "--calibrate", IMAGES, "--x-loss", "2"],
            "x_loss is 2.0, the loss that bytes may cost, but chains is False; leave one of them",
        ),
    ],
)
def test_an_option_without_effect_is_refused(
    more: list[str], sentence: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["psb", "convert", RESNET, "-o", str(tmp_path / "c.onnx"), *more]) == 2
    assert sentence in " ".join(capsys.readouterr().err.split())


def test_python_refuses_in_its_own_words() -> None:
    with pytest.raises(OptionError, match="chains is False, but there are none without calibratio"):
        reluflow.convert(RESNET, chains=False)


@pytest.mark.parametrize(("times", "bits"), [(8, 12), (100, 14), (1000, 16)])
def test_chains_of_auto_are_as_wide_as_what_they_round_needs(times: float, bits: int) -> None:
    case = loud_output(times)
    model = load(case.proto)
    source = open_data(case.x, model.inputs)
    width = choose_activation_bits(model, source)
    assert width.chosen == 12  # without chains nobody rounds what the second convolution gives
    found = chain_chosen(width, source, FloatOutputs(model, source))
    assert {chain.bits for chain in find_chains(found.rewritten.model)} == {bits}
    assert {node.x_bits for node in find_psb(found.operators.model)} == {bits}
    assert found.tried[0].x_bits == bits and found.tried[-1] == width.tried[-1]
    assert is_enough(found.tried[0], width.tried[-1])
    assert not any(is_enough(each, width.tried[-1]) for each in found.tried[1:-1])
