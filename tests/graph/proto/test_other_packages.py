"""Models of onnx_ir and onnx_graphsurgeon go in, and come back as they went."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from reluflow import StepMeter, analyze, compare, convert, inspect
from reluflow.errors import ModelError
from reluflow.graph import (
    find_psb,
    find_sites,
    fold_batchnorm,
    inline_psb,
    load,
    tap,
    to_psb,
    weights_as_inputs,
)
from reluflow.sessions import open_session

MODELS = Path(__file__).parents[3] / "models"
PATH = MODELS / "fashion_resnet8_bn_after_add.onnx"
IMAGES = np.load(MODELS / "fashion_mnist_test_2000.npz")["image"][:20]
PACKAGES = ["onnx_ir", "onnx_graphsurgeon"]


def opened(package: str, proto: onnx.ModelProto) -> Any:
    """Return a model as the package's own object."""
    module = pytest.importorskip(package)
    return module.from_proto(proto) if package == "onnx_ir" else module.import_onnx(proto)


def outputs(model: Any) -> list[np.ndarray]:
    given = load(model)
    feeds = {given.inputs[0].name: IMAGES[:3]}
    return [np.asarray(value) for value in open_session(given).run(feeds)]


@pytest.mark.parametrize("package", PACKAGES)
def test_a_model_of_another_package_is_the_same_model(package: str) -> None:
    model, given = load(opened(package, onnx.load(PATH))), load(PATH)
    assert find_sites(model) == find_sites(given)
    assert (model.n_nodes, model.n_parameters) == (given.n_nodes, given.n_parameters)
    assert model.path is None
    for old, new in zip(outputs(given), outputs(model), strict=True):
        np.testing.assert_array_equal(old, new)


@pytest.mark.parametrize("package", PACKAGES)
def test_every_verb_takes_it(package: str) -> None:
    def counts(model: Any) -> Any:
        return [site.patterns for site in analyze(model, IMAGES).sites]

    made = opened(package, onnx.load(PATH))
    assert counts(made) == counts(PATH)
    assert compare(made, PATH, IMAGES).sites[0].distance == 0
    assert len(inspect(made).sites) == 7
    assert convert(made).model.n_nodes == convert(PATH).model.n_nodes
    assert StepMeter(made).sites == StepMeter(PATH).sites


@pytest.mark.parametrize("package", PACKAGES)
def test_rewrites_come_back_as_the_kind_that_was_given(package: str) -> None:
    made = opened(package, onnx.load(PATH))
    model = load(made)
    folded = fold_batchnorm(model)
    converted = to_psb(model)
    rewrites = [
        folded.model,
        tap(folded.model, find_sites(folded.model)).model,
        weights_as_inputs(model).model,
        converted.model,
        inline_psb(converted.model).model,
    ]
    for rewritten in rewrites:
        back = rewritten.like(made)
        assert type(back) is type(made) and back is not made
        again = load(back)
        assert (again.n_nodes, again.outputs) == (rewritten.n_nodes, rewritten.outputs)
        assert find_psb(again) == find_psb(rewritten)
    np.testing.assert_array_equal(
        outputs(converted.model)[0], outputs(converted.model.like(made))[0]
    )
    assert load(made).n_nodes == model.n_nodes  # what was given is as it was


def test_a_type_names_the_kind() -> None:
    model = load(PATH)
    assert isinstance(model.like(onnx.ModelProto), onnx.ModelProto)
    assert model.like(bytes) == model.serialize()
    assert model.like(model) is model
    with pytest.raises(ModelError, match=r"cannot become a str; .* or write a file with save"):
        model.like("model.onnx")


def test_nothing_is_imported_that_was_not_met() -> None:
    code = (
        "import json, sys; from reluflow.graph import load; import onnx\n"
        f"model = load(onnx.load({str(PATH)!r})); model.like(onnx.ModelProto)\n"
        "print(json.dumps([name for name in ('onnx_ir', 'onnx_graphsurgeon') "
        "if name in sys.modules]))"
    )
    shown = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert json.loads(shown.stdout) == []


def outside(folder: Path) -> Path:
    """Write a model whose weights lie beside it."""
    weights = np.random.default_rng(3).normal(size=(40, 30)).astype(np.float32)
    info = helper.make_tensor_value_info
    graph = helper.make_graph(
        [helper.make_node("MatMul", ["x", "w"], ["m"]), helper.make_node("Relu", ["m"], ["y"])],
        "g",
        [info("x", TensorProto.FLOAT, ["N", 40])],
        [info("y", TensorProto.FLOAT, ["N", 30])],
        [numpy_helper.from_array(weights, "w")],
    )
    proto = helper.make_model(graph, ir_version=8, opset_imports=[helper.make_opsetid("", 17)])
    onnx.save(proto, folder / "m.onnx", save_as_external_data=True, location="m.data")
    return folder / "m.onnx"


def test_external_data_of_onnx_ir_stay_in_their_files(tmp_path: Path) -> None:
    ir = pytest.importorskip("onnx_ir")
    path = outside(tmp_path)
    made = ir.load(path)
    model = load(made)
    assert model.external_files == (tmp_path / "m.data",)
    back = tap(model, find_sites(model)).model.like(made)
    (held,) = back.graph.initializers.values()
    assert isinstance(held.const_value, ir.ExternalTensor)
    np.testing.assert_array_equal(
        held.const_value.numpy(), made.graph.initializers["w"].const_value.numpy()
    )


def test_external_data_of_another_folder_go_into_a_protobuf(tmp_path: Path) -> None:
    path = outside(tmp_path)
    proto = load(path).like(onnx.ModelProto)
    np.testing.assert_array_equal(
        numpy_helper.to_array(proto.graph.initializer[0]),
        numpy_helper.to_array(onnx.load(path).graph.initializer[0]),
    )
    assert load(load(path).like(bytes)).external_files == ()
    surgeon = pytest.importorskip("onnx_graphsurgeon")
    graph = load(path).like(surgeon.Graph)
    np.testing.assert_array_equal(
        graph.tensors()["w"].values, numpy_helper.to_array(proto.graph.initializer[0])
    )


def test_data_in_several_folders_are_refused(tmp_path: Path) -> None:
    ir = pytest.importorskip("onnx_ir")
    made = ir.load(outside(tmp_path))
    made.graph.initializers["v"] = ir.Value(
        name="v",
        const_value=ir.ExternalTensor(
            "v.data", 0, 16, ir.DataType.FLOAT, shape=ir.Shape([4]), name="v", base_dir="elsewhere"
        ),
    )
    with pytest.raises(ModelError, match="lie in several folders"):
        load(made)


def test_what_onnx_ir_would_lose_is_refused() -> None:
    ir = pytest.importorskip("onnx_ir")
    dense = numpy_helper.from_array(np.ones(1, np.float32), "w")
    sparse = helper.make_sparse_tensor(dense, numpy_helper.from_array(np.array([1]), "i"), [3])
    info = helper.make_tensor_value_info
    graph = helper.make_graph(
        [helper.make_node("Add", ["x", "w"], ["a"]), helper.make_node("Relu", ["a"], ["y"])],
        "g",
        [info("x", TensorProto.FLOAT, [1, 3])],
        [info("y", TensorProto.FLOAT, [1, 3])],
        sparse_initializer=[sparse],
    )
    proto = helper.make_model(graph, ir_version=8, opset_imports=[helper.make_opsetid("", 17)])
    with pytest.raises(ModelError, match="sparse weights, which onnx_ir leaves out"):
        load(proto).like(ir.Model)


def test_parts_and_broken_graphs_are_one_sentence() -> None:
    ir = pytest.importorskip("onnx_ir")
    with pytest.raises(ModelError, match=r"graph of onnx_ir .*; give the onnx_ir.Model\."):
        load(ir.load(PATH).graph)
    surgeon = pytest.importorskip("onnx_graphsurgeon")
    graph = surgeon.import_onnx(onnx.load(PATH))
    graph.outputs[0].dtype = None
    with pytest.raises(ModelError, match="the model is not valid ONNX"):
        load(graph)
    graph = surgeon.import_onnx(onnx.load(PATH))
    graph.nodes[0].attrs["bad"] = object()
    with pytest.raises(ModelError, match=r"onnx_graphsurgeon.Graph cannot be written as ONNX: "):
        load(graph)
