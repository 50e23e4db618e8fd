"""Every kind of output gets the correct figure; what does not fit gets one sentence."""

from dataclasses import replace
from typing import Any

import numpy as np
import onnx
import pytest
from evaluation_models import Case, dense_map, loud_channel, one_value, scikit_mlp

from reluflow.data import open_data
from reluflow.errors import DataError, OptionError
from reluflow.evaluation import (
    Evaluation,
    EvaluationOptions,
    accuracy,
    evaluate,
    find_metric,
    recognise,
)
from reluflow.evaluation.answers.outputs import choose_task
from reluflow.evaluation.bench import Exact
from reluflow.graph import PsbOptions, load, to_psb
from reluflow.sessions import open_session

QUICK = EvaluationOptions(samples=(1, 16), seeds=2, threads=1)


def run(case: Case, labels: Any = "own", **more: Any) -> Evaluation:
    model = load(case.proto)
    options = more.pop("options", QUICK)
    converted = to_psb(model, more.pop("psb", PsbOptions(p_bits=8))).model
    right = case.labels if isinstance(labels, str) else labels
    source = open_data({"x": case.x}, model.inputs)
    return evaluate(converted, source, right, float_model=model, options=options, **more)


def neighbour(result: Evaluation, name: str):
    return next(each for each in result.neighbours if each.name == name)


@pytest.mark.parametrize("zipmap", [True, False])
def test_a_scikit_learn_mlp_is_judged_by_its_label(zipmap: bool) -> None:
    case = scikit_mlp(zipmap)
    session = open_session(load(case.proto), threads=1)
    truth = np.mean(session.run({"x": case.x})[0] == case.labels)
    result = run(case)
    assert (result.output, result.metric) == ("output_label", "accuracy")
    assert 0.8 < truth < 1 and result.float_value == truth
    assert result.nearest == pytest.approx(truth, abs=0.02)
    assert "int64 [n], is read as the model's own decision" in result.task
    names = [each.name for each in result.points[0].outputs]
    assert names == ["output_label", "output_probability" if zipmap else "p"]
    label, probability = neighbour(result, "nearest").outputs
    assert label.sqnr_db is None and label.equal > 0.97
    assert probability.sqnr_db > 30 and probability.worst_channel in (0, 1, 2)


def test_a_file_of_skl2onnx_agrees_with_itself() -> None:
    """A file written by scikit-learn's exporter, with its ZipMap."""
    from pathlib import Path

    folder = Path(__file__).parents[1] / "conformance" / "files"
    model = load(folder / "skl2onnx-13-zipmap.onnx")
    (spec,) = model.inputs
    n_features: Any = spec.shape and spec.shape[1]
    x = np.random.default_rng(0).standard_normal((200, n_features)).astype(np.float32)
    right = open_session(model, threads=1).run({spec.name: x})[0]
    source = open_data({spec.name: x}, model.inputs)
    converted = to_psb(model, PsbOptions(p_bits=8)).model
    result = evaluate(converted, source, right, float_model=model, options=QUICK)
    assert result.float_value == 1 and result.nearest > 0.95
    assert len(result.points[0].outputs) == len(model.outputs)


@pytest.mark.parametrize("sigmoid", [False, True])
@pytest.mark.parametrize("form", ["bits", "signs", "column", "floats"])
def test_one_logit_or_probability_is_compared_with_its_threshold(sigmoid: bool, form: str) -> None:
    case = one_value(sigmoid)
    labels = {
        "bits": case.labels,
        "signs": 2 * case.labels - 1,
        "column": case.labels[:, None],
        "floats": case.labels.astype(np.float64),
    }[form]
    result = run(case, labels)
    assert result.float_value == 1, "the net is perfect"
    assert result.metric == "accuracy" and 0.97 < result.nearest <= 1
    assert (
        "probabilities of yes, above 0.5" if sigmoid else "logits of yes, above 0"
    ) in result.task


def test_a_threshold_can_be_chosen() -> None:
    case = one_value()
    value = open_session(load(case.proto), threads=1).run({"x": case.x})[0][:, 0]
    result = run(case, options=replace(QUICK, threshold=1.0))
    assert result.float_value == np.mean((value > 1) == case.labels)


@pytest.mark.parametrize(
    ("channels", "tail", "squeezed"),
    [
        (3, "Identity", False),
        (3, "Sigmoid", False),
        (1, "Identity", False),
        (1, "Sigmoid", False),
        (1, "Identity", True),
        (1, "Sigmoid", True),
    ],
)
def test_maps_are_judged_pixel_by_pixel(channels: int, tail: str, squeezed: bool) -> None:
    case = dense_map(channels, tail, squeezed)
    result = run(case)
    assert result.float_value == 1 and 0.9 < result.nearest < 1
    names = (result.metric, *result.more)
    assert names == (("accuracy", "iou") if channels > 1 else ("iou", "accuracy"))
    found = open_session(to_psb_nearest(case), threads=1).run({"x": case.x})[0]
    bits = found.squeeze() > (0.5 if tail == "Sigmoid" else 0)
    decided = found.argmax(1) if channels > 1 else bits
    right = np.mean(decided == case.labels)
    iou = np.mean(
        [
            np.sum((decided == c) & (case.labels == c))
            / np.sum((decided == c) | (case.labels == c))
            for c in (range(channels) if channels > 1 else (1,))
        ]
    )
    wanted = (right, iou) if channels > 1 else (iou, right)
    assert (result.nearest, *neighbour(result, "nearest").more) == pytest.approx(wanted, abs=1e-3)


def to_psb_nearest(case: Case):
    return to_psb(load(case.proto), PsbOptions(p_bits=8)).model


def test_pixels_that_nobody_judges_are_left_out() -> None:
    case = dense_map(3)
    labels = case.labels.astype(np.int64)
    labels[:, :6] = 255
    labels[:, 6] = -1
    wrong = run(case, np.where(labels == 255, 0, np.maximum(labels, 0)))
    result = run(case, labels)
    assert wrong.float_value is not None and wrong.float_value < 0.7
    assert result.float_value == 1
    assert any("58.3% of the labels are 255 or negative" in note for note in result.notes)


def test_a_regression_is_measured_by_its_numbers() -> None:
    case = one_value(noise=0.5)
    result = run(case)
    value = open_session(load(case.proto), threads=1).run({"x": case.x})[0][:, 0].astype(float)
    rest = value - case.labels
    assert (result.metric, result.more) == ("r2", ("rmse", "correlation"))
    exact = neighbour(result, "float32")
    wanted = 1 - np.sum(rest**2) / np.sum((case.labels - case.labels.mean()) ** 2)
    assert result.float_value == pytest.approx(wanted)
    assert exact.more[0] == pytest.approx(np.sqrt(np.mean(rest**2)))
    assert exact.more[1] == pytest.approx(np.corrcoef(value, case.labels)[0, 1])
    assert not result.share and result.nearest == pytest.approx(wanted, abs=0.01)
    by_error = run(case, metric="rmse")
    assert by_error.float_value is not None
    assert not by_error.higher_is_better
    assert by_error.loss(by_error.points[0].mean) == pytest.approx(
        by_error.points[0].mean - by_error.float_value
    )


def test_without_labels_the_float_model_answers() -> None:
    for case, metric in (
        (scikit_mlp(True), "agreement with float"),
        (one_value(), "correlation to float"),
        (one_value(True), "agreement with float"),
        (dense_map(3), "agreement with float"),
        (dense_map(1, "Sigmoid"), "iou to float"),
    ):
        result = run(case, None)
        assert result.metric == metric and result.float_value == pytest.approx(1)
        assert 0.8 < result.nearest <= 1
        assert max(o.sqnr_db or 0 for o in neighbour(result, "nearest").outputs) > 30


@pytest.mark.parametrize("form", ["one hot", "many", "columns"])
def test_labels_of_the_outputs_shape(form: str) -> None:
    case = scikit_mlp(False)
    p = open_session(load(case.proto), threads=1).run({"x": case.x})[1]
    options = replace(QUICK, output="p")
    labels = {
        "one hot": np.eye(3)[p.argmax(1)],
        "many": (p > 0.3).astype(int) | np.eye(3, dtype=int)[0],
        "columns": p + 0.01,
    }[form]
    result = run(case, labels, options=options)
    assert result.metric == {"one hot": "accuracy", "many": "iou", "columns": "r2"}[form]
    if form == "one hot":
        assert result.float_value == 1
    if form == "many":
        wanted = np.sum((p > 0.5) & (labels > 0)) / np.sum((p > 0.5) | (labels > 0))
        assert result.float_value == wanted


def test_sqnr_is_that_of_the_runs() -> None:
    case = dense_map(3)
    result = run(case, options=replace(QUICK, samples=(2,), seeds=2, sampler="systematic"))
    exact, signal = open_session(load(case.proto), threads=1).run({"x": case.x})[0], 0.0
    noise = np.zeros(3)
    session = open_session(to_psb_nearest(case), threads=1)
    for seed in (0, 1):
        feeds = {"x": case.x, "samples": np.array(2), "seed": np.array(seed)}
        noise += ((session.run(feeds)[0] - exact).astype(float) ** 2).sum(axis=(0, 2, 3))
    signal = 2 * (exact.astype(float) ** 2).sum(axis=(0, 2, 3))
    (found,) = result.points[0].outputs
    assert found.sqnr_db == pytest.approx(10 * np.log10(signal.sum() / noise.sum()), abs=1e-3)
    worst = int((signal / noise).argmin())
    assert found.worst_channel == worst
    lowest = 10 * np.log10(signal[worst] / noise[worst])
    assert found.worst_db == pytest.approx(lowest, abs=1e-3)


def test_any_function_is_a_metric() -> None:
    case = dense_map(3)
    seen = []

    def both(outputs: np.ndarray, labels: np.ndarray) -> float:
        seen.append((outputs.shape, outputs.dtype, labels.shape))
        return float(outputs.max())

    result = run(case, metric=both)
    assert (result.metric, result.share) == ("both", False)
    assert set(seen) == {((30, 3, 12, 12), np.dtype("f4"), (30, 12, 12))}
    without = run(case, None, metric=both)
    assert without.metric == "both to float" and without.float_value == result.float_value


@pytest.mark.parametrize("times", [1000.0, 3000.0, 1e6])
def test_a_loud_channel_is_explained(times: float) -> None:
    result = run(loud_channel(times), None)
    assert len(result.findings) == 2
    stuck, lost = result.findings
    assert "'y' does not fall with the number of samples: its SQNR is" in stuck
    assert "of the values that 'y_node' multiplies lie below the step of their 12-bit" in lost
    assert "channel 5 of tensor 'h' is" in lost and "scale channel 5 down" in lost
    assert ("16 bits an activation (x_bits)" in lost) == (times <= 3000)
    row = result.saturation[1]
    assert row.tensor == "h" and row.below_share > 0.1


def test_what_is_advised_against_a_loud_channel_helps() -> None:
    def worst(case: Case, **options: Any) -> float:
        result = run(case, None, psb=PsbOptions(p_bits=8, **options))
        (output,) = neighbour(result, "nearest").outputs
        assert output.sqnr_db is not None
        return output.sqnr_db

    loud = worst(loud_channel(1000.0))
    assert worst(loud_channel(1000.0), x_bits=16) > loud + 10
    assert worst(loud_channel(1.0)) > loud + 10
    assert worst(loud_channel(1000.0), exclude=("y_node",)) > loud + 10


def test_a_loud_channel_of_the_output_itself_is_found() -> None:
    """The loud channel alone carries the energy: the others are lost and only they show it."""
    case = loud_channel(3000.0)
    proto = onnx.ModelProto()
    proto.CopyFrom(case.proto)
    weights = {each.name: each for each in proto.graph.initializer}
    k2 = onnx.numpy_helper.to_array(weights["k2"]).copy()
    k2[0, 5] = 1.0
    weights["k2"].CopyFrom(onnx.numpy_helper.from_array(k2, "k2"))
    result = run(replace(case, proto=proto), None)
    (output,) = neighbour(result, "nearest").outputs
    assert output.sqnr_db > 30 and output.worst_channel != 0 and output.worst_db < 20
    assert f"The error of channel {output.worst_channel} of output 'y'" in result.findings[0]


def test_usual_networks_have_no_findings() -> None:
    for case in (dense_map(3), one_value(), scikit_mlp(False), loud_channel(1.0)):
        assert run(case, None, psb=PsbOptions()).findings == ()


def test_other_causes_are_named() -> None:
    case = loud_channel(1.0)
    one_bit = run(case, None, psb=PsbOptions(p_bits=1), options=replace(QUICK, samples=(4, 16)))
    assert any("stored in 1 bits" in each for each in one_bit.findings)
    cut = run(case, None, psb=PsbOptions(p_bits=8, x_exponents={"h": 12, "x": 9}))
    assert any("multiplies saturates: its exponent was" in each for each in cut.findings)


def test_what_does_not_fit_is_one_sentence() -> None:
    case = scikit_mlp(False)
    p = replace(QUICK, output="p")
    for labels, options, words in (
        (case.labels, p, r"a label is 3, but output 'p' has the classes 0 to 2; number"),
        (np.zeros((400, 7)), QUICK, r"labels of float64 \[n, 7\] do not fit output"),
        (
            np.full(400, 0.5),
            p,
            r"labels of float64 \[n\] do not fit output 'p' of float32 \[n, 3\]",
        ),
    ):
        with pytest.raises(DataError, match=words):
            run(case, labels, options=options)
    with pytest.raises(OptionError, match=r"output is 'q'; the model has 'output_label', 'p'\."):
        run(case, options=replace(QUICK, output="q"))
    with pytest.raises(OptionError, match=r"metric is 'f1'; give one of 'accuracy', 'iou', 'r2'"):
        run(case, metric="f1")
    with pytest.raises(DataError, match=r"output 'y' is of type complex64, which cannot be judged"):
        recognise("y", np.zeros((2, 2), np.complex64), None)


def test_an_output_without_a_row_for_each_input_is_refused() -> None:
    case = one_value()
    proto = onnx.ModelProto()
    proto.CopyFrom(case.proto)
    proto.graph.node.append(onnx.helper.make_node("ReduceMean", ["y"], ["z"], keepdims=0))
    proto.graph.output.append(onnx.helper.make_tensor_value_info("z", 1, []))
    with pytest.raises(DataError, match=r"output 'z' is \[\] for 64 inputs, not one answer each"):
        run(replace(case, proto=proto), options=replace(QUICK, output="z"))
    assert run(replace(case, proto=proto)).output == "y"


def test_nothing_is_silent_without_a_float_model() -> None:
    case = one_value()
    model = load(case.proto)
    source = open_data({"x": case.x}, model.inputs)
    converted = to_psb(model, PsbOptions()).model
    result = evaluate(converted, source, case.labels, options=QUICK)
    assert result.notes[0] == "No float model was given, so losses and SQNR are left out."
    assert result.points[0].outputs == () and result.loss(0.5) is None


def test_numbers_that_json_lacks_become_none() -> None:
    result = run(one_value())
    infinite = replace(result, nearest=float("inf"), float_value=float("nan"))
    assert infinite.to_dict()["nearest"] is None and infinite.to_dict()["float_value"] is None


def test_accuracy_refuses_what_it_would_have_to_reshape() -> None:
    labels = np.zeros(4, np.int64)
    assert accuracy(np.zeros((4, 3, 1, 1)), labels) == 1
    for outputs in (np.zeros((4, 1)), np.zeros(4), np.zeros((4, 3, 2, 2)), np.zeros((5, 3))):
        with pytest.raises(DataError, match=r"and labels \[4\]; accuracy takes one row of class"):
            accuracy(outputs, labels)


def test_data_without_inputs_are_refused() -> None:
    case = one_value()
    model = load(case.proto)
    source = open_data(lambda: iter(()), model.inputs)
    assert source.rereadable
    with pytest.raises(DataError, match=r"data have zero samples: the iterator yielded nothing"):
        evaluate(to_psb(model).model, source, case.labels[:0], options=QUICK)


def test_a_model_without_arrays_has_nothing_to_measure() -> None:
    with pytest.raises(DataError, match=r"has no output that is an array; there is nothing to mea"):
        choose_task({}, None, {}, n_inputs=1)


def test_more_outputs_than_memory_holds_are_computed_again() -> None:
    case = dense_map(3)
    session = open_session(load(case.proto), threads=1)
    kept = Exact(session, room=case.x[:10].nbytes * 3 // 2)
    parts = [case.x[:10], case.x[10:20], case.x[20:]]
    for _ in range(2):
        for index, part in enumerate(parts):
            found = kept.at(index, {"x": part})["y"]
            assert np.array_equal(found, session.run({"x": part})[0])
    assert len(kept._kept) == 1


def test_metrics_on_known_numbers() -> None:
    t = np.array([[0.0, 1.0], [2.0, 1.0], [4.0, 1.0]])
    y = np.array([[0.0, 1.0], [2.0, 1.0], [1.0, 1.0]])
    assert find_metric("r2").function(y, t) == pytest.approx(((1 - 9 / 8) + 1) / 2)
    assert find_metric("r2").function(np.add(y, [0, 1]), t) == pytest.approx(((1 - 9 / 8) + 0) / 2)
    assert find_metric("mae").function(y, t) == pytest.approx(0.5)
    assert find_metric("correlation").function(np.ones(3), np.arange(3.0)) == 0
    iou = find_metric("iou").function
    assert iou(np.zeros(3, bool), np.zeros(3, bool)) == 1
    assert iou(np.array([0, 1, 1, -1]), np.array([0, 1, 2, 2])) == pytest.approx((1 + 0.5 + 0) / 3)
