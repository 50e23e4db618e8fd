"""Inputs of pixels: a table in the place of what the model does before bytes begin."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import pytest
from edge_c.compiled import SANITISERS, Run, compile_host, has, run_host
from edge_c.graphs import Graph, random_graph
from onnx import TensorProto, helper

import reluflow
from reluflow.edge import EdgeOptions, lower, run, write_project
from reluflow.edge.program import PixelStep, TableStep
from reluflow.errors import ModelError, OptionError
from reluflow.sessions import open_session

CAST = helper.make_node("Cast", ["x"], ["f"], "cast", to=TensorProto.FLOAT)
needs_gcc = pytest.mark.skipif(not has("gcc"), reason="gcc is not installed")


def normalised(seed: int, whole: bool, each: bool, steps: int = 3) -> Graph:
    """Return a chain of pixels: ((x / d) - mean) / deviation, whatever the numbers are."""
    graph = random_graph(seed, steps)
    channels, *sizes = graph.input_shape
    rng = np.random.default_rng(seed)
    shape = (channels, *[1] * len(sizes)) if each else (1,)
    means = graph.constant(rng.uniform(0.2, 0.6, shape).astype(np.float32))
    widths = graph.constant(rng.uniform(0.01, 0.3, (1, *shape)).astype(np.float32))
    scale = graph.constant(np.array(1 / 255 if whole else 1.0, np.float32))
    graph.nodes[0].input[0] = "n"
    graph.nodes[:0] = [
        *([CAST] if whole else []),
        helper.make_node("Mul", ["f" if whole else "x", scale], ["a"], "scale"),
        helper.make_node("Sub", ["a", means], ["b"], "centre"),
        helper.make_node("Div", ["b", widths], ["n"], "widen"),
    ]
    graph.input_type = TensorProto.UINT8 if whole else TensorProto.FLOAT
    return graph


@needs_gcc
@pytest.mark.parametrize("whole", [True, False], ids=["uint8", "float"])
@pytest.mark.parametrize("seed", range(3))
def test_pixels_give_what_the_model_gives(seed: int, whole: bool, tmp_path: Path) -> None:
    graph = normalised(seed + 40, whole, each=seed > 0)
    model = graph.build()
    program = lower(model, pixels=None if whole else 255.0)
    (given,) = program.inputs
    assert isinstance(program.steps[0], TableStep | PixelStep)
    assert given.divisor == (1.0 if whole else 255.0)
    rng = np.random.default_rng(seed)
    u = rng.integers(0, 256, (1, *graph.input_shape)).astype(np.uint8)
    x = u if whole else u.astype(np.float32) / np.float32(255)
    pixels = np.ascontiguousarray(np.moveaxis(u, 1, -1))
    session = open_session(model, threads=1)
    wanted = session.run({"x": x, "samples": np.array(4), "seed": np.array(9)})
    found = run(program, {"x": pixels}, 4, 9)
    for name, value in zip(session.outputs, wanted, strict=True):
        if program.tensors[name].is_bytes or name.startswith("best"):
            tensor = program.tensors[name]
            exact = (found[name].astype(np.float64) - tensor.zero) * 2.0**-tensor.exponent
            assert (exact == value).all()
        elif not name.startswith("soft"):
            tensor = program.tensors[name]
            off = found[name] * 2.0**-tensor.exponent / tensor.divisor - value
            assert np.abs(off).max() <= 2.0**-tensor.exponent + np.abs(value).max() * 2e-7
    if not whole:
        for name, value in run(program, {"x": x}, 4, 9).items():
            assert (value == found[name]).all()
    made = write_project(program, tmp_path / "net", EdgeOptions(name="net"), [{"x": pixels}])
    binary = compile_host(made.folder, "net", "-O1", *SANITISERS)
    runs: list[Run] = [({"x": pixels}, n, 3) for n in (0, 1, 16)]
    for one, values in zip(runs, run_host(binary, program, runs), strict=True):
        for name, value in run(program, *one).items():
            assert (values[name] == value).all()
    assert "pixels" in (made.folder / "src" / "net.h").read_text()


def test_one_table_serves_channels_that_are_prepared_alike() -> None:
    alike, apart = (lower(normalised(41, True, each).build()) for each in (False, True))
    assert isinstance(alike.steps[0], TableStep)
    assert isinstance(apart.steps[0], PixelStep)
    assert len(apart.steps[0].tables) == apart.tensors[apart.steps[0].makes].shape[-1] > 1


def test_a_float_input_that_is_prepared_is_refused_with_what_to_do() -> None:
    with pytest.raises(ModelError, match=r"n.*\(Mul\): .* where that holds pixels give pixels=255"):
        lower(normalised(41, False, True).build())


@pytest.mark.parametrize(
    ("nodes", "reason"),
    [
        ([("Sqrt", ["f"])], "between these and bytes stand Add"),
        ([("Mul", ["x", "k"])], "between these and bytes stand Add"),
        ([("Mul", ["f", "map"])], "more than one number for each channel"),
        ([("Mul", ["f", "f"]), ("Identity", ["a0"])], ""),
    ],
)
def test_other_preparations_are_named(nodes: list[tuple[str, list[str]]], reason: str) -> None:
    graph = random_graph(41, 2)
    graph.input_type = TensorProto.UINT8
    graph.constants["k"] = np.array(3, np.uint8)
    graph.constants["map"] = np.ones((1, *graph.input_shape), np.float32)
    graph.nodes[0].input[0] = f"a{len(nodes) - 1}"
    made = [helper.make_node(op, ins, [f"a{k}"], f"p{k}") for k, (op, ins) in enumerate(nodes)]
    graph.nodes[:0] = [CAST, *made]
    if not reason:
        assert lower(graph.build()).inputs[0].divisor == 1.0
        return
    with pytest.raises(ModelError, match=reason):
        lower(graph.build())


@pytest.mark.parametrize("pixels", [0.0, -1.0, float("inf"), float("nan")])
def test_a_divisor_that_is_none_is_refused(pixels: float) -> None:
    with pytest.raises(OptionError, match=r"pixels is .*; give a number above 0"):
        EdgeOptions(pixels=pixels)


def test_a_model_of_uint8_becomes_a_project(tmp_path: Path) -> None:
    source = Path(__file__).parents[2] / "models" / "fashion_convnet8.onnx"
    proto = onnx.load(source)
    name = proto.graph.input[0].name
    for node in proto.graph.node:
        node.input[:] = ["n" if each == name else each for each in node.input]
    proto.graph.initializer.append(onnx.numpy_helper.from_array(np.array(255, np.float32), "most"))
    proto.graph.node.insert(0, helper.make_node("Div", ["f", "most"], ["n"], "scale"))
    proto.graph.node.insert(0, CAST)
    value = helper.make_tensor_value_info("x", TensorProto.UINT8, ["n", 1, 28, 28])
    proto.graph.input[0].CopyFrom(value)
    pixels = np.rint(np.load(source.with_name("fashion_mnist_test_2000.npz"))["image"][:8] * 255)
    made = reluflow.edge_project(proto, tmp_path / "net", calibration=pixels.astype(np.uint8))
    (given,) = made.program.inputs
    assert made.program.tensors[given.tensor].shape == (1, 28, 28, 1)
    assert made.program.steps[0].makes in made.program.steps[1].reads
    assert made.cost.arena_bytes == 25_088
