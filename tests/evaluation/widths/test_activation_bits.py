"""The bits of activations are chosen by the error of each width on data."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import onnx.parser
import pytest
from evaluation_models import Case, loud_channel, one_value, scikit_mlp

import reluflow
from reluflow.data import open_data
from reluflow.errors import DataError, ModelError, OptionError
from reluflow.evaluation import ActivationBits, calibrate, choose_activation_bits
from reluflow.graph import PsbOptions, find_psb, load, to_psb
from reluflow.sessions import open_session

MODELS = Path(__file__).parents[3] / "models"
IMAGES = MODELS / "fashion_mnist_test_2000.npz"


def choose(case: Case, **options: Any) -> ActivationBits:
    model = load(case.proto)
    data = open_data(case.x, model.inputs)
    return choose_activation_bits(model, data, options=PsbOptions(**options), threads=1)


@pytest.mark.parametrize("network", ["fashion_resnet8", "fashion_dsconv"])
def test_twelve_bits_are_enough_for_usual_networks(network: str) -> None:
    model = load(MODELS / f"{network}.onnx")
    data = open_data(IMAGES, model.inputs, limit=100)
    found = choose_activation_bits(model, data, threads=1)
    few, many = found.tried
    assert (found.chosen, few.x_bits, many.x_bits, found.n_inputs) == (12, 12, 16, 100)
    assert few.lowest_db == pytest.approx(many.lowest_db, abs=1)
    assert found.options.x_exponents == calibrate(model, data, threads=1)
    assert str(found).startswith("Activations: 12 bits: SQNR 2") and "chosen 12." in str(found)


@pytest.mark.parametrize("case", [one_value(), scikit_mlp(True), loud_channel(1.0)])
def test_small_models_without_a_loud_channel_take_twelve(case: Case) -> None:
    found = choose(case)
    assert found.chosen == 12 and "Neither" not in str(found)


@pytest.mark.parametrize(("times", "p_bits"), [(100.0, 4), (1000.0, 4), (1000.0, 16)])
def test_a_loud_channel_asks_for_sixteen(times: float, p_bits: int) -> None:
    found = choose(loud_channel(times), p_bits=p_bits)
    few, many = found.tried
    assert few.lowest_db is not None and many.lowest_db is not None
    assert found.chosen == 16 and many.lowest_db > few.lowest_db + 10
    assert "chosen 16." in str(found) and "Neither" not in str(found)


def test_the_figures_are_those_of_a_run_in_nearest_mode() -> None:
    case = loud_channel(1000.0)
    model = load(case.proto)
    found = choose(case)
    exact = open_session(model, threads=1).run({"x": case.x})[0].astype(np.float64)
    for tried in found.tried:
        data = open_data(case.x, model.inputs)
        options = PsbOptions(x_bits=tried.x_bits)
        scales = calibrate(model, data, options=options)
        psb = to_psb(model, PsbOptions(x_bits=tried.x_bits, x_exponents=scales)).model
        error = open_session(psb, threads=1).run({"x": case.x})[0] - exact
        energies = (exact**2).sum(axis=(0, 2, 3)) / (error**2).sum(axis=(0, 2, 3))
        assert tried.outputs[0].worst_channel == energies.argmin()
        assert tried.lowest_db == pytest.approx(10 * np.log10(energies.min()))


def test_where_no_width_helps_the_smaller_is_taken_and_it_is_said() -> None:
    found = choose(loud_channel(1e6))
    assert found.chosen == 12
    assert "Neither reaches 25 dB" in str(found)
    one_bit = choose(loud_channel(1.0), p_bits=1)
    assert one_bit.chosen == 12 and "the stored bits of the weights" in str(one_bit)


@pytest.mark.parametrize(
    ("nodes", "is_whole"),
    [
        (["p = Softmax<axis = 1>(y)"], True),
        (["e = Exp(y)", "s = ReduceSum(e, one)", "p = Div(e, s)"], True),
        (["p = Identity(y)"], False),
        (["p = Sigmoid(y)"], False),
    ],
)
def test_probabilities_of_classes_are_taken_as_a_whole(nodes: list[str], is_whole: bool) -> None:
    text = f"""<ir_version: 8, opset_import: ["" : 17]>
        g (float[N,3] x) => (float[N,5] p) <int64[1] one = {{1}}>
        {{ y = MatMul(x, w) {" ".join(nodes)} }}"""
    proto = onnx.parser.parse_model(text)
    w = 6 * np.random.default_rng(0).standard_normal((3, 5), np.float32)
    proto.graph.initializer.append(onnx.numpy_helper.from_array(w, "w"))
    x = np.random.default_rng(1).standard_normal((200, 3), np.float32)
    found = choose(Case(proto, x, np.zeros(0)))
    for tried in found.tried:
        (output,) = tried.outputs
        assert (output.worst_channel is None) == is_whole
        assert (tried.lowest_db == output.sqnr_db) == is_whole
    assert ("SQNR" in str(found)) and ("(output 'p')" in str(found)) == is_whole


def test_class_numbers_alone_are_compared_by_agreement() -> None:
    case = loud_channel(300.0)
    graph = case.proto.graph
    graph.node.append(onnx.helper.make_node("ArgMax", ["y"], ["k"], axis=1, keepdims=0))
    del graph.output[:]
    graph.output.append(onnx.helper.make_tensor_value_info("k", onnx.TensorProto.INT64, None))
    found = choose(case)
    few, many = found.tried
    assert few.lowest_db is None and few.outputs[0].equal < many.outputs[0].equal - 0.001
    assert found.chosen == 16 and "% of the answers are those of the float model" in str(found)
    assert json.loads(json.dumps(found.to_dict()))["tried"][0]["lowest_db"] is None


@pytest.mark.parametrize("native", [False, None])
def test_the_conversion_holds_what_was_chosen(native: bool | None) -> None:
    case = loud_channel(1000.0)
    model = load(case.proto)
    data = open_data(case.x, model.inputs)
    found = choose_activation_bits(model, data, native=native, threads=1)
    psb = find_psb(to_psb(model, found.options).model)
    assert {node.x_bits for node in psb} == {16}
    assert [node.x_exponent for node in psb] == [found.options.x_exponents[x] for x in ("x", "h")]


def test_from_python(tmp_path: Path) -> None:
    case = loud_channel(1000.0)
    made = reluflow.convert(case.proto, tmp_path / "p.onnx", calibration=case.x, x_bits="auto")
    bits = [node.x_bits for node in find_psb(load(tmp_path / "p.onnx"))]
    assert bits == [8, 16]  # the loud channel comes after the first layer, which may read bytes
    assert made.activation_bits is not None and made.activation_bits.chosen == 16
    assert made.sentences()[0] == str(made.activation_bits)
    assert made.to_dict()["activation_bits"]["chosen"] == 16
    given = reluflow.convert(case.proto, x_bits=10)
    assert {node.x_bits for node in find_psb(given.result.model)} == {10}
    assert given.activation_bits is None and "activation_bits" not in given.to_dict()


def test_what_cannot_be_chosen_is_one_sentence() -> None:
    case = one_value()
    with pytest.raises(OptionError, match=r"x_bits is 'auto', which measures on data; give calib"):
        reluflow.convert(case.proto, x_bits="auto")
    wrongs: tuple[Any, ...] = ("auto", "12", 12.5, 17, None)
    for wrong in wrongs:
        with pytest.raises(OptionError, match=r"x_bits is .*; give a whole number from 2 to 16"):
            PsbOptions(x_bits=wrong)
    with pytest.raises(OptionError, match=r"x_bits is 'most'; give a whole number"):
        reluflow.convert(case.proto, calibration=case.x, x_bits="most")  # type: ignore[arg-type]
    model = load(case.proto)
    once = open_data(iter([case.x]), model.inputs)
    with pytest.raises(DataError, match=r"the data can be read once only"):
        choose_activation_bits(model, once)
    with pytest.raises(DataError, match=r"the calibration data make every tensor 0"):
        choose_activation_bits(model, open_data(0 * case.x, model.inputs))


def test_models_without_activations_or_arrays_are_refused() -> None:
    head = '<ir_version: 8, opset_import: ["" : 17]> g (float[N,2] x) => '
    relu = load(onnx.parser.parse_model(head + "(float[N,2] y) { y = Relu(x) }"))
    x = np.ones((3, 2), np.float32)
    with pytest.raises(ModelError, match=r"has no activations to choose bits for; give a model wi"):
        choose_activation_bits(relu, open_data(x, relu.inputs))
    text = "(seq(float[N,2]) y) <float[2,2] w = {1,2,3,4}> "
    text += "{ h = MatMul(x, w) y = SequenceConstruct(h) }"
    listed = load(onnx.parser.parse_model(head + text))
    with pytest.raises(DataError, match=r"no output that is an array, so widths of activations"):
        choose_activation_bits(listed, open_data(x, listed.inputs))
    assert calibrate(relu, open_data(x, relu.inputs)) == {}
