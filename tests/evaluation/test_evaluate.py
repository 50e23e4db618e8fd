"""Calibration and evaluation on the shipped model, with and without the native library."""

import gzip
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from reluflow.data import open_data, read_labels
from reluflow.errors import DataError, ModelError, OptionError
from reluflow.evaluation import (
    EvaluationOptions,
    accuracy,
    calibrate,
    describe_psb,
    evaluate,
    measure_saturation,
)
from reluflow.graph import Model, PsbOptions, bake_samples, expose, find_psb, load, to_psb
from reluflow.psb import quantise_activation
from reluflow.sessions import open_session

MODELS = Path(__file__).parents[2] / "models"
IMAGES = MODELS / "fashion_mnist_test_2000.npz"
FLOAT = MODELS / "fashion_resnet8.onnx"
SOME = 300


@pytest.fixture(scope="module")
def float_model() -> Model:
    return load(FLOAT)


@pytest.fixture(scope="module")
def converted(float_model: Model) -> Model:
    return to_psb(float_model, PsbOptions(p_bits=4)).model


def source(model: Model, limit: int = SOME):
    return open_data(IMAGES, model.inputs, limit=limit)


def test_accuracy_grows_with_samples_towards_float(converted: Model, float_model: Model) -> None:
    labels = read_labels(IMAGES, limit=SOME)
    options = EvaluationOptions(
        samples=(16, 1), seeds=3, int8=True, threads=1, sampler="systematic"
    )
    result = evaluate(
        converted, source(converted), labels, float_model=float_model, options=options
    )
    assert [p.samples for p in result.points] == [1, 16]
    few, many = result.points
    assert few.mean < many.mean
    assert len(set(few.values)) > 1 and few.std == pytest.approx(np.std(few.values, ddof=1))
    assert many.mean == pytest.approx(result.float_value, abs=0.02)
    assert result.nearest == pytest.approx(result.float_value, abs=0.02)
    assert result.int8_value == pytest.approx(result.float_value, abs=0.02)
    assert result.int8_bytes is not None
    assert result.float_bytes == FLOAT.stat().st_size > 2 * result.int8_bytes
    assert (result.metric, result.n_inputs, result.seeds) == ("accuracy", SOME, (0, 1, 2))
    assert result.to_dict()["points"][0]["samples"] == 1
    images = np.load(IMAGES)["image"][:SOME]
    exact = open_session(float_model, threads=1).run({"image": images})[0]
    assert result.float_value == accuracy(exact, labels)


def test_without_labels_the_float_model_is_right(converted: Model, float_model: Model) -> None:
    options = EvaluationOptions(samples=(64,), seeds=1, threads=1)
    result = evaluate(converted, source(converted), float_model=float_model, options=options)
    assert result.metric == "agreement with float" and result.float_value == 1
    assert 0.95 < result.points[0].mean <= 1 and result.points[0].std == 0


def test_each_layer_alone_loses_less_than_all_together(
    converted: Model, float_model: Model
) -> None:
    options = EvaluationOptions(
        samples=(1,), seeds=2, sensitivity=1, threads=1, sampler="systematic"
    )
    labels = read_labels(IMAGES, limit=100)
    result = evaluate(
        converted, source(converted, 100), labels, float_model=float_model, options=options
    )
    assert [row.name for row in result.sensitivity] == [row.name for row in result.psb.layers]
    losses = [row.loss for row in result.sensitivity]
    assert result.float_value is not None
    assert np.mean(losses) < result.float_value - result.points[0].mean
    assert max(losses) == losses[0], "the first layer of this model is the most sensitive one"


def test_layers_alone_are_pruned_calibrated_and_excluded_as_in_the_model(
    float_model: Model,
) -> None:
    data, labels = source(float_model, 100), read_labels(IMAGES, limit=100)
    usual = PsbOptions(p_bits=8, exclude=("/dense/Gemm",))
    low = dict.fromkeys(("image", "/block2/relu1/Relu_output_0"), -3)
    found = {}
    for name, options in {
        "usual": usual,
        "pruned": replace(usual, prune=0.9),
        "cut off": replace(usual, x_exponents=low),
    }.items():
        model = to_psb(float_model, options).model
        wanted = EvaluationOptions(samples=(1,), seeds=1, sensitivity=64, threads=1)
        result = evaluate(model, data, labels, float_model=float_model, options=wanted)
        found[name] = {row.name: row.loss for row in result.sensitivity}
        assert list(found[name]) == [row.name for row in result.psb.layers]
        assert len(found[name]) == 9
    assert max(found["usual"].values()) <= 0.02
    assert sum(found["pruned"].values()) > 9 * 0.05
    hurt = {name for name, loss in found["cut off"].items() if loss > 0.05}
    assert hurt == {"/conv/Conv", "/block2/conv2/Conv"}


def test_saturated_activations_are_counted_over_all_inputs(float_model: Model) -> None:
    few = calibrate(float_model, source(float_model, 5), threads=1)
    options = PsbOptions(x_exponents={name: f + 1 for name, f in few.items()})
    model = to_psb(float_model, options).model
    nodes = find_psb(model)
    inner = [node.x for node in nodes[1:]]
    for native, n in ((None, 2), (False, 0)):
        rows = measure_saturation(
            model, source(model, 130), samples=n, seed=3, threads=1, native=native
        )
        baked = bake_samples(model, n, 3).model
        images = np.load(IMAGES)["image"][:130]
        session = open_session(expose(baked, inner).model, outputs=inner, threads=1, library=native)
        tensors = {"image": images} | dict(zip(inner, session.run({"image": images}), strict=True))
        for row, node in zip(rows, nodes, strict=True):
            _, _, wanted = quantise_activation(tensors[node.x], node.x_bits, node.x_exponent)
            assert (row.name, row.saturated) == (node.name, wanted)
            assert row.activations == tensors[node.x].size
            assert row.share == wanted / tensors[node.x].size
        assert 0 < sum(row.saturated for row in rows) < sum(row.activations for row in rows) / 2


def test_nothing_saturates_where_exponents_come_from_the_run(converted: Model) -> None:
    rows = measure_saturation(converted, source(converted, 20), threads=1)
    assert [row.saturated for row in rows] == [0] * 10


@pytest.mark.parametrize(
    ("sampler", "p_bits", "rounding", "n", "runs"),
    [
        ("systematic", 2, "half", 2, 3),
        ("systematic", 2, "half", 4, 1),
        ("systematic", 2, "carried", 4, 3),  # the smallest weights are still drawn
        ("nearest", 8, "carried", 1, 1),
        ("binomial", 1, "half", 8, 3),
    ],
)
def test_seeds_that_cannot_matter_are_run_once(
    float_model: Model, sampler: str, p_bits: int, rounding: str, n: int, runs: int
) -> None:
    made = PsbOptions(p_bits=p_bits, sampler=sampler, rounding=rounding)
    model = to_psb(float_model, made).model
    seen: list[int] = []
    options = EvaluationOptions(samples=(n,), seeds=3, threads=1, sampler=sampler)
    result = evaluate(
        model,
        source(model, 64),
        np.zeros(64, np.int64),
        metric=lambda outputs, labels: float(outputs.sum()),
        options=options,
        progress=lambda what, done, total: seen.append(done),
    )
    assert seen[-1] == 1 + runs, "nearest mode is one more run"
    assert len(set(result.points[0].values)) == runs and len(result.points[0].values) == 3
    sessions = [open_session(bake_samples(model, n, seed).model, threads=1) for seed in (0, 1)]
    images = next(iter(source(model, 64).batches(64)))
    one, other = (session.run(images)[0] for session in sessions)
    assert np.array_equal(one, other) == (runs == 1)


def test_any_metric_can_be_given(converted: Model) -> None:
    options = EvaluationOptions(samples=(1,), seeds=1, metric="mean", threads=1)
    labels = np.zeros(100, np.int64)
    result = evaluate(
        converted,
        source(converted, 100),
        labels,
        metric=lambda outputs, labels: float(outputs.shape[0]),
        options=options,
    )
    assert (result.metric, result.points[0].mean, result.float_value) == ("mean", 100, None)


def test_without_the_library_results_are_the_same_and_say_so(converted: Model) -> None:
    options = EvaluationOptions(samples=(2,), seeds=2, threads=1)
    labels = read_labels(IMAGES, limit=100)
    here = evaluate(converted, source(converted, 100), labels, options=options)
    without = evaluate(
        converted, source(converted, 100), labels, options=replace(options, native=False)
    )
    assert not without.native and "native library did not run" in without.notes[0]
    assert without.points[0].mean == pytest.approx(here.points[0].mean, abs=0.011)


def test_calibrated_exponents_fit_the_data(float_model: Model) -> None:
    found = calibrate(float_model, source(float_model), threads=1)
    result = to_psb(float_model, PsbOptions(p_bits=16, x_exponents=found))
    assert set(found) == {node.x for node in result.done.converted}
    assert all(node.psb.x_exponent == found[node.x] for node in result.done.converted)
    assert found["image"] == 10  # the largest value is 1: 1 * 2^10 <= 2047 < 2^11
    images = np.load(IMAGES)["image"][:SOME]
    before, after = (
        open_session(m, threads=1, library=False).run({"image": images})[0]
        for m in (float_model, result.model)
    )
    assert np.mean(before.argmax(1) == after.argmax(1)) > 0.98


def test_the_description_counts_weights_bits_and_shift_adds(converted: Model) -> None:
    found = describe_psb(converted)
    assert len(found.layers) == 10 and (found.p_bits, found.sampler) == (4, "systematic")
    assert found.weights == sum(np.prod(layer.weight_shape) for layer in found.layers)
    first = found.layers[0]
    assert first.shift_adds == (first.weights - first.zeros) * 28 * 28
    assert 9 < found.bits_per_weight < 9.1
    assert found.successions == ()


def test_what_cannot_be_evaluated_is_one_sentence(converted: Model, float_model: Model) -> None:
    data = source(converted, 100)
    with pytest.raises(OptionError, match=r"float_model is missing, which is needed without lab"):
        evaluate(converted, data)
    labels = np.zeros(100, np.int64)
    with pytest.raises(OptionError, match=r"needed for int8"):
        evaluate(converted, data, labels, options=EvaluationOptions(int8=True))
    with pytest.raises(OptionError, match=r"needed for sensitivity"):
        evaluate(converted, data, labels, options=EvaluationOptions(sensitivity=1))
    with pytest.raises(DataError, match=r"there are 99 labels for 100 inputs"):
        evaluate(converted, data, labels[1:])
    once = open_data(iter([np.zeros((1, 1, 28, 28), np.float32)]), converted.inputs)
    with pytest.raises(DataError, match=r"the data can be read once only"):
        evaluate(converted, once, labels)
    with pytest.raises(ModelError, match=r"has no PSB operator; convert it with reluflow psb"):
        evaluate(float_model, data, labels)


def test_bad_options_are_refused() -> None:
    with pytest.raises(OptionError, match=r"samples are 3; accepted are 1, 2, 4"):
        EvaluationOptions(samples=(1, 3))
    with pytest.raises(OptionError, match=r"samples are empty"):
        EvaluationOptions(samples=())
    with pytest.raises(OptionError, match=r"seeds is 0; give a whole number from 1"):
        EvaluationOptions(seeds=0)


def test_labels_are_read_and_checked(tmp_path: Path) -> None:
    assert read_labels(IMAGES, limit=3).tolist() == [9, 2, 1]
    np.save(tmp_path / "l.npy", np.array([1, 2], np.uint8))
    assert read_labels(tmp_path / "l.npy").tolist() == [1, 2]
    with pytest.raises(DataError, match=r"holds no array 'y' but 'image', 'label'"):
        read_labels(IMAGES, "y")
    with pytest.raises(DataError, match=r"float32 \[2000, 1, 28, 28\]; give one whole number"):
        read_labels(IMAGES, "image")
    with pytest.raises(DataError, match=r"cannot be read as \.npz, \.npy or idx"):
        read_labels(tmp_path / "nothing.npz")


def test_labels_may_be_an_idx_file(tmp_path: Path) -> None:
    raw = bytes([0, 0, 8, 1, 0, 0, 0, 3, 7, 0, 255])
    for name, content in (("plain", raw), ("zipped.gz", gzip.compress(raw))):
        (tmp_path / name).write_bytes(content)
        assert read_labels(tmp_path / name).tolist() == [7, 0, 255]
        assert read_labels(tmp_path / name, limit=2).tolist() == [7, 0]
    (tmp_path / "images").write_bytes(bytes([0, 0, 8, 2, *[0, 0, 0, 1] * 2, 9]))
    with pytest.raises(DataError, match=r"are uint8 \[1, 1\]; give one whole number an input"):
        read_labels(tmp_path / "images")
    (tmp_path / "cut.gz").write_bytes(gzip.compress(raw)[:-9])
    with pytest.raises(DataError, match=r"cannot be read"):
        read_labels(tmp_path / "cut.gz")


def test_an_unknown_count_of_inputs_is_checked_in_the_end(converted: Model) -> None:
    def batches():
        yield from np.zeros((2, 1, 1, 28, 28), np.float32)

    data = open_data(batches, converted.inputs)
    if data.rereadable:
        with pytest.raises(DataError, match=r"there are 3 labels for 2 inputs"):
            evaluate(
                converted,
                data,
                np.zeros(3, np.int64),
                options=EvaluationOptions(samples=(1,), seeds=1, threads=1),
            )
