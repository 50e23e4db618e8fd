"""Patterns that depend on the batch or on chance are found by a trial, and always reported."""

from io import StringIO

import numpy as np
import onnx
import pytest
import small_models
from onnx import numpy_helper, parser
from rich.console import Console

import reluflow
from reluflow import AnalysisOptions
from reluflow.graph import load, normalises_by_batch
from reluflow.report import print_table, read_json, to_json, write_html
from reluflow.sessions import open_session

WIDE = "float[64,64] k = {" + ", ".join(f"{i * 7 % 13 - 6}.1" for i in range(4096)) + "}"
BN = "BatchNormalization <training_mode = 1> (x, s, b, m, v)"
STATS = "float[2] s = {1.0, 2.0}, float[2] b = {0.5, 0.1}, float[2] m = {0, 0}, float[2] v = {1, 1}"


def graph(body: str, n: str = "N", held: str = STATS, shape: str = "2", more: str = "") -> bytes:
    text = (
        f'<ir_version: 8, opset_import: ["" : 17, "local" : 1]> g (float[{n},{shape}] x) => '
        f"(float[{n},{shape}] y) <{held}> {{ {body} }} {more}"
    )
    return parser.parse_model(text).SerializeToString()


def x(n: int = 32, *shape: int) -> np.ndarray:
    return np.random.default_rng(0).standard_normal((n, *(shape or (2,)))).astype(np.float32)


FUNCTION = """
<domain: "local", opset_import: ["" : 17]> norm (x, s, b, m, v) => (a)
{ a, c, d = BatchNormalization <training_mode = 1> (x, s, b, m, v) }"""
BATCH = {
    "training-mode BN": graph(f"n, a, c = {BN} y = Relu(n)"),
    "in pixels": graph(f"n, a, c = {BN} y = Relu(n)", shape="2,3,3"),
    "in a function": graph("n = local.norm(x, s, b, m, v) y = Relu(n)", more=FUNCTION),
    "mean over the batch": graph(
        "q = ReduceMean <axes = [0], keepdims = 1> (x) n = Sub(x, q) y = Relu(n)"
    ),
    "softmax over the batch": graph(
        "q = Softmax <axis = 0> (x) h = Constant <value = float {0.1}> () n = Sub(q, h) y = Relu(n)"
    ),
    "one value for all": graph(
        "q = ReduceMean <axes = [0], keepdims = 1> (x) r = Relu(q) y = Add(x, r)"
    ),
    "dynamic quantisation": graph(
        "q, sc, zp = DynamicQuantizeLinear(x) n = DequantizeLinear(q, sc, zp) y = Relu(n)"
    ),
}
CHANCE = {
    "active dropout": graph(
        "n = Dropout(x, r, t) y = Relu(n)", held="float r = {0.5}, bool t = {1}"
    ),
    "RandomNormalLike": graph("q = RandomNormalLike(x) n = Add(x, q) y = Relu(n)"),
    "RandomUniform": graph(
        "q = RandomUniform <shape = [2], low = -2.0, high = 2.0> () n = Add(x, q) y = Relu(n)"
    ),
    "Bernoulli": graph("p = Sigmoid(x) q = Bernoulli(p) n = Sub(q, p) y = Relu(n)"),
}
NEITHER = {
    "dense": (small_models.dense().SerializeToString(), (4,)),
    "convolutional": (small_models.convolutional().SerializeToString(), (2, 5, 5)),
    "inference BN": (graph("n = BatchNormalization(x, s, b, m, v) y = Relu(n)"), (2,)),
    "inactive dropout": (graph("n = Dropout(x) y = Relu(n)"), (2,)),
    "half precision": (
        graph(
            "h = Cast <to = 10> (x) w = Cast <to = 10> (k) q = MatMul(h, w) r = Relu(q) "
            "y = Cast <to = 1> (r)",
            held=WIDE,
            shape="64",
        ),
        (64,),
    ),
    "inputs on another axis": (
        graph(
            "t = Transpose <perm = [1, 0, 2]> (x) r = Relu(t) y = Transpose <perm = [1, 0, 2]> (r)",
            shape="4,2",
        ),
        (4, 2),
    ),
}


def kinds(model: bytes, data: object, **settings: object) -> list[str]:
    report = reluflow.analyze(model, data, options=AnalysisOptions(**settings))  # type: ignore[arg-type]
    said = any(note.startswith("Patterns at") for note in report.notes)
    assert said == any(site.depends_on for site in report.sites)
    return [site.depends_on for site in report.sites]


@pytest.mark.parametrize(("native", "batch_size"), [(True, 1), (False, 8), (None, None)])
@pytest.mark.parametrize("name", BATCH)
def test_the_batch(name: str, batch_size: int | None, native: bool | None) -> None:
    data = x(32, 2, 3, 3) if name == "in pixels" else x()
    assert "batch" in kinds(BATCH[name], data, batch_size=batch_size, native=native)


@pytest.mark.parametrize("name", CHANCE)
def test_chance(name: str) -> None:
    assert kinds(CHANCE[name], x()) == ["chance"]


@pytest.mark.parametrize("name", NEITHER)
@pytest.mark.parametrize("batch_size", [1, 16])
def test_neither(name: str, batch_size: int) -> None:
    model, shape = NEITHER[name]
    assert set(kinds(model, x(32, *shape), batch_size=batch_size)) == {""}


def test_made_for_one_batch_size() -> None:
    assert kinds(graph(f"n, a, c = {BN} y = Relu(n)", n="8"), x()) == ["batch"]
    assert kinds(graph(f"n, a, c = {BN} y = Relu(n)", n="1", shape="2,4"), x(32, 2, 4)) == [""]
    turned = "t = Transpose <perm = [1, 0, 2]> (x) r = Relu(t) y = Transpose <perm = [1, 0, 2]> (r)"
    assert kinds(graph(turned, n="4", shape="4,2"), x(32, 4, 2)) == [""]


def test_one_input_that_comes_alone_is_set_beside_its_mirror_image() -> None:
    batches = ({"x": row[None]} for row in x(6))
    assert kinds(BATCH["training-mode BN"], batches, batch_size=1) == ["batch"]


def test_a_model_that_cannot_run_one_input_says_so() -> None:
    body = "r = Reshape(x, sh) n, a, c = " + BN.replace("(x", "(r") + " y = Relu(n)"
    model = graph(body, held=STATS + ", int64[2] sh = {4, 2}")
    notes = reluflow.analyze(model, x(4)).notes
    assert len(notes) == 1
    assert notes[0].startswith("Whether patterns depend on the batch could not be tried: the model")


def test_the_report_says_it_everywhere(tmp_path) -> None:
    report = reluflow.analyze(BATCH["training-mode BN"], x(), tmp_path / "out")
    text = StringIO()
    print_table(report, Console(file=text, width=150))
    printed = text.getvalue()
    assert "depends on" in printed and "Patterns at 1 site depend on the batch" in printed
    page = (tmp_path / "out" / "report.html").read_text()
    assert "depends on batch" in page and "an input alone shows other patterns" in page
    assert read_json(tmp_path / "out" / "report.json") == report


@pytest.mark.parametrize("model", [BATCH["training-mode BN"], CHANCE["active dropout"]])
def test_compare_says_it(model: bytes, tmp_path) -> None:
    report = reluflow.compare(model, model, x())
    kind = report.sites[0].depends_on
    assert kind and f"depend on {'the batch' if kind == 'batch' else kind}" in report.notes[0]
    write_html(report, tmp_path / "page.html")
    assert f"depends on {kind}" in (tmp_path / "page.html").read_text()
    assert f'"depends_on": "{kind}"' in to_json(report)


def test_only_the_second_model_depends() -> None:
    plain = graph("n = Add(x, b) y = Relu(n)")
    report = reluflow.compare(plain, BATCH["mean over the batch"], x())
    assert report.sites[0].depends_on == "batch"
    assert report.notes[0].startswith("In the second model: Patterns at 1 site depend on the batch")


def alike(*values: float) -> onnx.ModelProto:
    """One unit whose scale, shift, mean and variance are equal one-element constants."""
    held = ", ".join(f"float[1] {k} = {{{v}}}" for k, v in zip("sbmv", values, strict=True))
    proto = onnx.load_from_string(graph(f"n, a, c = {BN} y = Relu(n)", held=held, shape="1,1,1"))
    return proto


@pytest.mark.parametrize("native", [True, False])
@pytest.mark.parametrize(
    ("values", "active"), [((1, 0, 0, 1), 128), ((1, 1, 1, 1), 202), ((2, 0, 0, 2), 128)]
)
def test_constants_of_one_value_stay_apart(values, active: int, native: bool) -> None:
    data = np.arange(256, dtype=np.float32).reshape(256, 1, 1, 1)
    settings = AnalysisOptions(batch_size=256, native=native)
    report = reluflow.analyze(alike(*values), np.concatenate([data] * 3), options=settings)
    assert report.sites[0].unit_active_counts == (3 * active,)


def test_constants_stay_apart_in_functions_and_branches() -> None:
    branch = f"q, a, c = {BN}"
    held = "bool t = {1}, float[1] s = {1}, float[1] b = {0}, float[1] m = {0}, float[1] v = {1}"
    inside = graph(
        f"n = If (t) <then_branch = p () => (float[N,1,1,1] q) {{ {branch} }}, "
        "else_branch = e () => (float[N,1,1,1] z) { z = Identity(x) }> y = Relu(n)",
        held=held,
        shape="1,1,1",
    )
    called = graph(
        "n = local.norm(x, s, b, m, v) y = Relu(n)", held=held[14:], shape="1,1,1", more=FUNCTION
    )
    data = np.arange(256, dtype=np.float32).reshape(256, 1, 1, 1)
    for model in (inside, called):
        assert normalises_by_batch(load(model))
        session = open_session(load(model), outputs=["y"])
        for _ in range(3):
            assert np.count_nonzero(session.run({"x": data})[0] > 0) == 128


def test_a_mode_chosen_by_the_caller_counts_as_training() -> None:
    proto = onnx.load_from_string(BATCH["in a function"])
    mode = proto.functions[0].node[0].attribute[0]
    assert normalises_by_batch(load(proto))
    mode.ref_attr_name = "mode"
    mode.ClearField("i")
    proto.functions[0].attribute.append("mode")
    proto.graph.node[0].attribute.append(onnx.helper.make_attribute("mode", 1))
    assert normalises_by_batch(load(proto))
    assert not normalises_by_batch(load(NEITHER["inference BN"][0]))
    assert numpy_helper.to_array(proto.graph.initializer[0]).tolist() == [1.0, 2.0]
