"""Two passes: the C stops where the interpreter does, and the margin keeps the wanted loss."""

from __future__ import annotations

import subprocess
from pathlib import Path

import numpy as np
import pytest
from edge_c.compiled import SANITISERS, Run, compile_host, has, run_host
from edge_c.graphs import Graph

import reluflow
from reluflow.edge import (
    EdgeCascade,
    EdgeOptions,
    EdgeProgram,
    choose_cascade,
    lower,
    run,
    run_cascade,
    write_project,
)
from reluflow.edge.cascade import MOST_MARGIN, margin_of
from reluflow.errors import OptionError

CLASSES = 5
BOTH = 255
needs_gcc = pytest.mark.skipif(not has("gcc"), reason="gcc is not installed")


def classifier(seed: int, end: str = "") -> tuple[Graph, EdgeProgram]:
    """Return a convolution, a mean and the sums of a few classes."""
    graph = Graph(seed)
    channels = graph.shapes["u"][-1]
    kernel = graph.kernel(graph.shapes["u"][1:-1])
    form = graph.forms["u"] = (4, 128)
    graph.nodes.clear()
    graph.node("ToFixed", ["x"], "u", graph.attributes(y=form) | {"fills_quads": 0})
    weights = graph.weights((6, channels, *kernel))
    window = {"auto_pad": "SAME_UPPER", "strides": [1] * len(kernel)}
    more = weights["attributes"] | window | graph.attributes(x=form, y=(2, 128)) | {"group": 1}
    shape = (*graph.shapes["u"][:-1], 6)
    y = graph.give("FixedConv", ["u", *weights["names"]], shape, (2, 128), **more)
    ones = (1, *[1] * (len(shape) - 2), 6)
    mean = graph.give(
        "FixedGlobalAveragePool", [y], ones, (4, 128), **graph.attributes(x=(2, 128), y=(4, 128))
    )
    flat = graph.give("Reshape", [mean, graph.constant(np.array([1, 6]))], (1, 6), (4, 128))
    weights = graph.weights((CLASSES, 6))
    more = weights["attributes"] | graph.attributes(x=(4, 128))
    graph.node("FromFixedMatMul", [flat, *weights["names"]], "logits", more)
    graph.outputs.append("logits")
    if end:
        graph.node(end, ["logits"], "end", {"axis": 1}, own=False)
        graph.outputs[:] = ["end"]
    return graph, lower(graph.build())


def inputs_of(graph: Graph, count: int) -> list[dict[str, np.ndarray]]:
    rng = np.random.default_rng(7)
    shape = (1, *graph.input_shape)
    return [{"x": rng.normal(size=shape).astype(np.float32) * 4} for _ in range(count)]


@pytest.mark.parametrize("seed", range(4))
def test_the_margin_keeps_the_loss(seed: int) -> None:
    graph, program = classifier(seed)
    inputs = inputs_of(graph, 120)
    found = choose_cascade(program, inputs, (1, 16), 0.1)
    lost = stopped = 0
    for k, each in enumerate(inputs):
        outputs, passes = run_cascade(program, found, each, k)
        alone = run(program, each, 16, k)["logits"]
        lost += int(outputs["logits"].argmax() != alone.argmax())
        stopped += passes == 1
        wanted = run(program, each, 1 if passes == 1 else 16, k)["logits"]
        assert (outputs["logits"] == wanted).all()
    assert found.stops == stopped / 120 and found.differs == lost / 120 <= 0.1
    cost = found.shift_adds(program)
    assert cost == program.shift_adds(1) + (1 - found.stops) * program.shift_adds(16)


def test_a_margin_that_any_first_pass_would_change_is_never_met() -> None:
    graph, program = classifier(1)
    inputs = inputs_of(graph, 30)
    chosen = [choose_cascade(program, inputs, (1, 64), loss) for loss in (0.1, 1.0)]
    assert chosen[1].stops == 1.0 and chosen[0].margin > chosen[1].margin
    assert chosen[0].margin <= MOST_MARGIN


def test_too_few_inputs_are_refused() -> None:
    graph, program = classifier(2)
    with pytest.raises(OptionError, match=r"loss is 0.01, but .* on 9 inputs; give at least 299"):
        choose_cascade(program, inputs_of(graph, 9), (1, 16), 0.01)
    with pytest.raises(OptionError, match="chosen on 0 inputs; give at least 1 "):
        choose_cascade(program, [], (1, 16), 1.0)
    with pytest.raises(OptionError, match=r"loss is 0.1, but .* give at least 44 "):
        choose_cascade(program, inputs_of(graph, 9), (1, 16), 0.1, confidence=0.99)
    choose_cascade(program, inputs_of(graph, 9), (1, 16), 0.1, confidence=0.5)


def test_a_model_without_classes_is_refused() -> None:
    graph, program = classifier(3, "ArgMax")
    with pytest.raises(OptionError, match=r"needs an output .* the model has 'end' \[1, 1\]"):
        choose_cascade(program, inputs_of(graph, 3), (1, 16), 1.0)


def test_margins_of_equal_and_extreme_numbers() -> None:
    assert margin_of(np.array([4, 4, 1])) == 0
    assert margin_of(np.array([-(2**30), 2**30], np.int32)) == 2**31


@pytest.mark.parametrize("passes", [(3, 16), (16, 16), (16, 1), (1, 2, 4)])
def test_wrong_passes_are_refused(passes: tuple[int, int]) -> None:
    with pytest.raises(OptionError, match="cascade is"):
        EdgeOptions(cascade=passes)
    with pytest.raises(OptionError, match="confidence is 1; give a number between 0 and 1"):
        EdgeOptions(cascade=(1, 16), confidence=1)
    with pytest.raises(OptionError, match="loss is 0; give a share above 0"):
        EdgeOptions(loss=0)


@pytest.mark.parametrize("text", ["1", "1/2/4", "a/b", "1/-4", ""])
def test_a_text_without_two_passes_is_refused(text: str) -> None:
    with pytest.raises(OptionError, match="give the samples of both passes as FIRST/SECOND"):
        EdgeOptions.passes_of(text)


@needs_gcc
@pytest.mark.parametrize(("seed", "end"), [(0, ""), (1, "Softmax")])
def test_the_code_decides_as_the_interpreter(seed: int, end: str, tmp_path: Path) -> None:
    graph, program = classifier(seed, end)
    inputs = inputs_of(graph, 60)
    output = program.outputs[0]
    margins = [margin_of(run(program, each, 1, k)[output]) for k, each in enumerate(inputs)]
    cascade = EdgeCascade(output, (1, 16), sorted(margins)[30], 0.5, 0.0, 60)
    options = EdgeOptions(name="net", strict=seed == 1)
    made = write_project(program, tmp_path / "net", options, inputs[:4], cascade=cascade)
    assert made.program.keeps_inputs
    binary = compile_host(made.folder, "net", "-O1", *SANITISERS)
    runs: list[Run] = [(each, BOTH, k) for k, each in enumerate(inputs)]
    passes = []
    for one, found in zip(runs, run_host(binary, program, runs), strict=True):
        wanted, count = run_cascade(program, cascade, one[0], one[2])
        assert (found[output] == wanted[output]).all()
        passes.append(count)
    assert min(passes.count(1), passes.count(2)) > 5
    test = compile_host(made.folder, "net", "-O1", *SANITISERS, main="selftest/selftest.c")
    done = subprocess.run([str(test)], capture_output=True, text=True)
    assert (done.returncode, done.stdout) == (0, "9 of 9 vectors equal\n"), done.stderr


@needs_gcc
def test_a_project_chooses_its_margin_on_the_calibration_data(tmp_path: Path) -> None:
    models = Path(__file__).parents[2] / "models"
    images = np.load(models / "fashion_mnist_test_2000.npz")["image"][:40]
    made = reluflow.edge_project(
        models / "fashion_convnet8.onnx",
        tmp_path / "net",
        calibration=images,
        options=EdgeOptions(name="net", ram=16_384, cascade=(4, 16), loss=0.1),
    )
    assert made.cascade is not None and made.cascade.inputs == 40
    assert 0.3 < made.cascade.stops < 1 and made.to_dict()["cascade"]["samples"] == (4, 16)
    binary = compile_host(made.folder, "net", "-O1", *SANITISERS, main="selftest/selftest.c")
    done = subprocess.run([str(binary)], capture_output=True, text=True)
    assert done.stdout == "9 of 9 vectors equal\n"


def test_a_cascade_without_data_is_refused(tmp_path: Path) -> None:
    graph, _ = classifier(0)
    with pytest.raises(OptionError, match=r"cascade is .*give calibration=DATA"):
        reluflow.edge_project(graph.build(), tmp_path / "net", options=EdgeOptions(cascade=(1, 16)))
