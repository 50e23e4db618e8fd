"""Models become programs whole, or every operator that does not is named."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from edge_c.graphs import Graph, random_graph
from onnx import TensorProto, helper

import reluflow
from reluflow.edge import EdgeOptions, lower, run
from reluflow.errors import ModelError, OptionError
from reluflow.graph import Model, load, with_sample_factors
from reluflow.sessions import open_session

MODELS = Path(__file__).parents[2] / "models"
IMAGES = np.load(MODELS / "fashion_mnist_test_2000.npz")["image"]
NETS = ("fashion_convnet8", "fashion_dsconv", "fashion_resnet8")


@pytest.fixture(scope="module")
def chained() -> dict[str, Model]:
    return {
        name: reluflow.convert(
            MODELS / f"{name}.onnx", calibration=IMAGES[:32], x_bits=8, check=False
        ).model
        for name in NETS
    }


def logits(model: Model, image: np.ndarray, samples: int, seed: int) -> np.ndarray:
    given = {"image": image, "samples": np.array(samples), "seed": np.array(seed)}
    return open_session(model, threads=1).run(given)[0]


@pytest.mark.parametrize("name", NETS)
@pytest.mark.parametrize(("samples", "seed"), [(0, 0), (1, 7), (16, -9), (64, 1 << 50)])
def test_a_trained_network_gives_onnx_runtimes_logits(
    chained: dict[str, Model], name: str, samples: int, seed: int
) -> None:
    program = lower(chained[name])
    exponent = program.tensors["logits"].exponent
    for k in range(2):
        image = IMAGES[k : k + 1]
        found = run(program, {"image": image}, samples, seed)["logits"]
        wanted = logits(chained[name], image, samples, seed)
        assert np.abs(found * 2.0**-exponent - wanted).max() <= 1.5 * 2.0**-exponent


def test_operators_keep_their_own_numbers_of_samples(chained: dict[str, Model]) -> None:
    model = chained["fashion_convnet8"]
    nodes = [node.name for node in reluflow.graph.find_psb(model)]
    factors = {nodes[0]: 4.0, nodes[1]: 0.25, nodes[2]: 64.0}
    changed = with_sample_factors(model, factors).model
    program = lower(changed)
    for samples in (0, 1, 2, 16):
        found = run(program, {"image": IMAGES[:1]}, samples, 3)["logits"]
        wanted = logits(changed, IMAGES[:1], samples, 3)
        unit = 2.0 ** -program.tensors["logits"].exponent
        assert np.abs(found * unit - wanted).max() <= 1.5 * unit
    assert program.shift_adds(4) != lower(model).shift_adds(4)


def test_bytes_and_floats_may_be_fed() -> None:
    graph = random_graph(4, 4)
    program = lower(graph.build())
    (given,) = program.inputs
    rng = np.random.default_rng(0)
    u = rng.integers(0, 256, program.tensors[given.tensor].shape).astype(np.uint8)
    x = (np.moveaxis(u, -1, 1).astype(np.float32) - given.form.zero) * 2.0**-given.form.exponent
    for name, value in run(program, {"x": u}, 4, 1).items():
        assert (value == run(program, {"x": x.astype(np.float32)}, 4, 1)[name]).all()


def grown(*more: Any) -> Graph:
    """Return a chain of one convolution, with nodes of ONNX's own behind it."""
    graph = Graph(1)
    names = graph.weights((4, graph.shapes["u"][-1]))
    given = names["attributes"] | graph.attributes(x=graph.forms["u"])
    graph.node("FromFixedMatMul", ["u", *names["names"]], "y", given)
    for op, inputs, output, attributes in more:
        graph.node(op, inputs, output, attributes, own=False)
    graph.outputs.append(graph.nodes[-1].output[0])
    return graph


@pytest.mark.parametrize("op", ["Atan", "Tanh", "Erf", "Sqrt"])
def test_what_has_no_kernel_is_named(op: str) -> None:
    graph = grown((op, ["y"], "z", {}), ("Neg", ["y"], "w", {}), ("Exp", ["w"], "v", {}))
    graph.outputs = ["z", "v"]
    with pytest.raises(ModelError, match=rf"2 operators .*n2 \({op}\).*n3 \(Neg\)") as found:
        lower(graph.build())
    assert "Exp" not in str(found.value)  # what Neg feeds is no fault of its own


def test_many_are_counted() -> None:
    graph = grown(*[("Neg", ["y"], f"z{k}", {}) for k in range(20)])
    graph.outputs = [f"z{k}" for k in range(20)]
    with pytest.raises(ModelError, match=r"20 operators .* and 8 more"):
        lower(graph.build())


def test_floats_between_are_named_with_the_reason_of_the_chain(tmp_path: Path) -> None:
    nodes = [
        helper.make_node("Conv", ["x", "w"], ["a"], "first"),
        helper.make_node("TopK", ["a", "k"], ["b", "i"], "ranked", axis=1),
        helper.make_node("Conv", ["b", "w"], ["y"], "second"),
    ]
    w = np.random.default_rng(0).normal(size=(3, 3, 1, 1)).astype(np.float32)
    graph = helper.make_graph(
        nodes,
        "g",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, (1, 3, 4, 4))],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, (1, 3, 4, 4))],
        [onnx.numpy_helper.from_array(w, "w"), onnx.numpy_helper.from_array(np.array([3]), "k")],
    )
    imports = [helper.make_opsetid("", 17)]
    proto = helper.make_model(graph, opset_imports=imports, ir_version=8)
    x = np.random.default_rng(1).normal(size=(4, 3, 4, 4)).astype(np.float32)
    with pytest.raises(ModelError, match="ranked"):
        reluflow.edge_project(proto, tmp_path / "net", calibration=x)
    assert not list(tmp_path.iterdir())


def test_sizes_must_be_fixed(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match=r"rows.*memory is planned for fixed sizes"):
        reluflow.edge_project(
            MODELS / "fashion_scenes.onnx",
            tmp_path / "net",
            calibration=np.zeros((2, 1, 32, 32), np.float32),
        )
    assert not list(tmp_path.iterdir())


def test_a_float_model_needs_data(tmp_path: Path) -> None:
    with pytest.raises(OptionError, match="calibration is missing"):
        reluflow.edge_project(MODELS / "fashion_convnet8.onnx", tmp_path / "net")
    with pytest.raises(ModelError, match="has no PSB operator"):
        lower(load(MODELS / "fashion_convnet8.onnx"))


def test_options_without_effect_are_refused(chained: dict[str, Model], tmp_path: Path) -> None:
    with pytest.raises(OptionError, match="limit is 5, but does nothing without calibration"):
        reluflow.edge_project(chained["fashion_convnet8"], tmp_path / "net", limit=5)
    with pytest.raises(OptionError, match="psb is given, but does nothing with a converted"):
        reluflow.edge_project(
            chained["fashion_convnet8"], tmp_path / "net", psb=reluflow.PsbOptions()
        )


def test_a_model_in_floats_or_int16_says_what_to_do(tmp_path: Path) -> None:
    source = MODELS / "fashion_convnet8.onnx"
    plain = reluflow.convert(source, check=False).model
    with pytest.raises(ModelError, match=r"PsbConv.*convert the float model with 8 bits"):
        reluflow.edge_project(plain, tmp_path / "net")
    wide = reluflow.convert(source, calibration=IMAGES[:8], x_bits=12, check=False).model
    with pytest.raises(ModelError, match=r"ToFixed16.*convert the float model with 8 bits"):
        reluflow.edge_project(wide, tmp_path / "net")


@pytest.mark.parametrize(
    ("nodes", "words"),
    [
        ([("Softmax", ["f"], "z", {"axis": 1})], "it takes bytes or means"),
        ([("Relu", ["f"], "z", {})], "bounds something else than the sums"),
        ([("Cast", ["f"], "z", {"to": TensorProto.INT64})], "numbers with a scale"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_ends_that_do_not_fit_say_why(nodes: list[Any], words: str) -> None:
    graph = grown()
    graph.node("FromFixed", ["u"], "f", graph.attributes(x=graph.forms["u"]))
    for op, inputs, output, attributes in nodes:
        graph.node(op, inputs, output, attributes, own=False)
    graph.outputs = ["y", "z"]
    with pytest.raises(ModelError, match=words):
        lower(graph.build())


@pytest.mark.parametrize("pixels", [91, 200])
def test_a_mean_of_too_many_pixels_is_refused(pixels: int) -> None:
    graph = grown()
    graph.input_shape = (graph.input_shape[0], pixels, pixels)
    graph.shapes["u"] = (1, pixels, pixels, graph.input_shape[0])
    names = graph.weights((4, graph.input_shape[0]))
    del graph.nodes[1:]
    form = graph.forms["u"]
    graph.node("FixedGlobalAveragePool", ["u"], "m", graph.attributes(x=form, y=form))
    given = names["attributes"] | graph.attributes(x=form)
    graph.node("FromFixedMatMul", ["m", *names["names"]], "y", given)
    with pytest.raises(ModelError, match=f"mean of {pixels**2} pixels; at most 8191"):
        lower(graph.build())


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"name": "int"}, "name is 'int', which C or this library uses"),
        ({"name": "String"}, "which C or this library uses"),
        ({"name": "reluflow_x"}, "which C or this library uses"),
        ({"name": "class"}, "which C or this library uses"),
        ({"name": "2nd"}, "give a letter, then letters"),
        ({"name": "_net"}, "give a letter, then letters"),
        ({"name": "a-b"}, "give a letter, then letters"),
        ({"target": "z80"}, "target is 'z80'; give one of host"),
        ({"ram": 0}, "ram is 0; give a number of bytes"),
        ({"samples": 3}, "samples is 3; give one of 0, 1, 2"),
    ],
)
def test_options_are_checked(options: dict[str, Any], words: str) -> None:
    with pytest.raises(OptionError, match=words):
        EdgeOptions(**options)
