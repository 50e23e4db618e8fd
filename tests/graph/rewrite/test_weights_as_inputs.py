import numpy as np
import onnx
import pytest
import small_models
from onnx import TensorProto, helper, numpy_helper
from rewriting import N, build, norm, run

from reluflow.errors import OptionError
from reluflow.graph import find_sites, load, read_weights, tap, weights_as_inputs
from reluflow.sessions import open_session


def test_fed_weights_give_what_the_file_gives() -> None:
    model = load(small_models.convolutional())
    x = small_models.integers((3, 2, 5, 5))
    result = weights_as_inputs(model)
    assert [weight.name for weight in result.done] == ["w0", "w1"]
    assert str(result.done[0]) == "float32 [5, 2, 3, 3]" and result.refused == ()
    assert [spec.name for spec in result.model.inputs] == ["x", "w0", "w1"]
    onnx.checker.check_model(result.model._proto)
    session = open_session(result.model, optimisation="none")
    weights = read_weights(model)
    np.testing.assert_array_equal(session.run({"x": x, **weights})[0], run(model, x)[0])
    doubled = {name: 2 * weight for name, weight in weights.items()}
    np.testing.assert_array_equal(session.run({"x": x, **doubled})[0], 4 * run(model, x)[0])
    assert model.inputs == load(small_models.convolutional()).inputs


def test_batch_normalisation_feeds_all_four_tensors() -> None:
    node, tensors = norm("x", "y", 3)
    result = weights_as_inputs(build([node], tensors, ("N", 3, 2, 2)))
    assert [weight.name for weight in result.done] == list(tensors)


def test_settings_scalars_and_integers_stay() -> None:
    nodes = [
        N("Clip", ["x", "low"], ["a"]),
        N("Mul", ["a", "factor"], ["b"]),
        N("Reshape", ["b", "shape"], ["c"]),
        N("Max", ["c", "floor"], ["d"]),
        N("Add", ["d", "bias"], ["y"]),
    ]
    constants = {
        "low": np.float32(0),
        "factor": np.float32(2),
        "shape": np.array([-1, 4]),
        "floor": np.zeros(4, np.float32),
        "bias": np.ones(4, np.float32),
        "idle": np.ones(4, np.float32),
    }
    model = build(nodes, constants, ("N", 4))
    result = weights_as_inputs(model)
    assert [weight.name for weight in result.done] == ["bias"]
    reasons = {entry.node: entry.reason for entry in result.refused}
    assert reasons == {
        "low": "it is a scalar",
        "factor": "it is a scalar",
        "shape": "its type INT64 is not trained",
        "floor": "it is a setting of Max",
        "idle": "no node reads it",
    }
    chosen = weights_as_inputs(model, ["factor"])
    assert [weight.shape for weight in chosen.done] == [()]
    assert {entry.reason for entry in chosen.refused} == {"it was not asked for"}


def test_initializers_listed_as_inputs_are_listed_once() -> None:
    proto = small_models.dense()
    listed = helper.make_tensor_value_info("w0", TensorProto.FLOAT, [4, 6])
    proto.graph.input.append(listed)
    result = weights_as_inputs(load(proto))
    assert [spec.name for spec in result.model.inputs].count("w0") == 1


def test_a_weight_that_only_a_branch_reads_is_fed() -> None:
    branch = helper.make_graph(
        [N("Add", ["x", "bias"], ["inner"])],
        "branch",
        [],
        [helper.make_tensor_value_info("inner", TensorProto.FLOAT, None)],
    )
    node = N("If", ["on"], ["y"], then_branch=branch, else_branch=branch)
    model = build([node], {"bias": np.ones(4, np.float32), "on": np.array(True)}, ("N", 4))
    assert [weight.name for weight in weights_as_inputs(model).done] == ["bias"]


def test_external_weights_are_read(tmp_path) -> None:
    proto = small_models.dense()
    path = tmp_path / "dense.onnx"
    onnx.save(proto, path, save_as_external_data=True, size_threshold=0, location="dense.data")
    model = load(path)
    weights = read_weights(model)
    for tensor in small_models.dense().graph.initializer:
        np.testing.assert_array_equal(weights[tensor.name], numpy_helper.to_array(tensor))
    session = open_session(weights_as_inputs(model).model)
    x = small_models.integers((2, 4))
    whole = open_session(model).run({"x": x})[0]
    np.testing.assert_array_equal(session.run({"x": x, **weights})[0], whole)


def test_a_tapped_model_keeps_its_taps() -> None:
    model = load(small_models.dense())
    tapped = tap(model, find_sites(model))
    result = weights_as_inputs(tapped.model)
    assert set(tapped.model.outputs) == set(result.model.outputs)


def test_unknown_names_are_refused() -> None:
    model = load(small_models.dense())
    with pytest.raises(OptionError, match="names holds 'w9', which is no floating-point init"):
        weights_as_inputs(model, ["w9"])
    with pytest.raises(OptionError, match=r"accepted are b0, b1, b2, w0, w1, w2\."):
        read_weights(model, ["shape"])
