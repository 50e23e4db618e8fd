"""Hashing inside the graph gives the same report, bit for bit, as hashing outside."""

from pathlib import Path

import numpy as np
import onnx
import pytest
import small_models
from networks.light import paths, random_input, with_random_weights
from onnx import TensorProto, helper

import reluflow
from reluflow import AnalysisOptions, PatternReport
from reluflow.errors import OptionError
from reluflow.graph import find_sites, hash_taps, load, tap
from reluflow.patterns import DEFAULT_SEED

MODELS = Path(__file__).resolve().parents[3] / "models"


def without_run(report: PatternReport) -> dict[str, object]:
    return {k: v for k, v in report.to_dict().items() if k != "run"}


def both(model: object, data: object, **settings: object) -> tuple[object, object]:
    reports = [
        reluflow.analyze(model, data, options=AnalysisOptions(native=native, **settings))  # type: ignore[arg-type]
        for native in (True, False)
    ]
    return without_run(reports[0]), without_run(reports[1])


def dim(value: object) -> int:
    return getattr(value, "dim_value", 0) or 37


@pytest.mark.parametrize("behind", [True, False])
@pytest.mark.parametrize("batch_size", [1, 16])
@pytest.mark.parametrize("proto", [small_models.dense(), small_models.convolutional()])
def test_small_networks(proto: onnx.ModelProto, batch_size: int, behind: bool) -> None:
    shape = tuple(dim(d) for d in proto.graph.input[0].type.tensor_type.shape.dim)
    x = small_models.integers(shape)
    x[3].flat[0] = np.nan
    native, plain = both(proto, x, batch_size=batch_size, behind=behind)
    assert native == plain


def test_the_shipped_network() -> None:
    with np.load(MODELS / "fashion_mnist_test_2000.npz") as images:
        native, plain = both(MODELS / "fashion_resnet8.onnx", images["image"][:300])
    assert native == plain


@pytest.mark.parametrize("name", ["squeezenet", "shufflenet"])
def test_light_architectures(name: str) -> None:
    proto = with_random_weights(paths()[name])
    native, plain = both(proto, random_input(proto, 0))
    assert native == plain


def several_kinds() -> onnx.ModelProto:
    """Two thresholds on one tensor that is an output too, float64 beside float32, a branch."""

    def branch(name: str, op: str) -> onnx.GraphProto:
        value = helper.make_tensor_value_info(name, TensorProto.FLOAT, ["N", 3])
        return helper.make_graph([helper.make_node(op, ["a"], [name])], name, [], [value])

    nodes = [
        helper.make_node("Relu", ["p"], ["a"]),
        helper.make_node("ThresholdedRelu", ["p"], ["t"], alpha=1.5),
        helper.make_node("Cast", ["x"], ["d"], to=TensorProto.DOUBLE),
        helper.make_node("Relu", ["d"], ["e"]),
        helper.make_node("ReduceSum", ["x"], ["s"], keepdims=0),
        helper.make_node("Greater", ["s", "zero"], ["c"]),
        helper.make_node(
            "If", ["c"], ["y"], then_branch=branch("u", "Relu"), else_branch=branch("v", "Neg")
        ),
    ]
    nodes.insert(0, helper.make_node("Mul", ["x", "two"], ["p"]))
    weights = {"two": np.array([2], np.float32), "zero": np.array(0, np.float32)}
    sizes: list[int | str] = ["N", 3]
    return small_models.model(nodes, weights, {"x": sizes}, {"y": sizes, "p": sizes})


@pytest.mark.parametrize("sign", [1, -1])
def test_several_kinds_of_sites_in_one_model(sign: int) -> None:
    native, plain = both(several_kinds(), sign * np.abs(small_models.integers((20, 3))))
    assert native == plain


def test_a_hashed_tap_replaces_the_tensor_and_keeps_the_model_s_outputs() -> None:
    model = load(several_kinds())
    tapped = tap(model, find_sites(model))
    result = hash_taps(tapped.model, tapped.done, keep=model.outputs, seed=DEFAULT_SEED)
    assert result.model.outputs[:2] == ("y", "p")
    by_op = dict(zip((t.site.op for t in tapped.done), result.done, strict=True))
    assert by_op["ThresholdedRelu"] is not None
    kept = [t.output for t, h in zip(tapped.done, result.done, strict=True) if h is None]
    assert set(kept) <= set(result.model.outputs)
    onnx.checker.check_model(result.model.serialize())


def test_a_missing_library_is_one_sentence_when_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RELUFLOW_LIBRARY", "/nowhere/lib.so")
    with pytest.raises(OptionError, match=r"RELUFLOW_LIBRARY is '/nowhere/lib\.so'"):
        both(small_models.dense(), small_models.integers((4, 4)))
    report = reluflow.analyze(small_models.dense(), small_models.integers((4, 4)))
    assert report.n_inputs == 4
