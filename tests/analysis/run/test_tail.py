"""Nodes after the last switch that do not load in ONNX Runtime are left out, with a note."""

import onnx
import pytest
import small_models
from onnx import TensorProto, helper

import reluflow
from reluflow import AnalysisOptions
from reluflow.errors import ModelError, OptionError
from reluflow.graph import cut_tail, load

X = small_models.integers((50, 4))


def with_tail(*nodes: onnx.NodeProto, domain: str = "") -> onnx.ModelProto:
    proto = small_models.dense()
    proto.graph.node.extend(nodes)
    proto.graph.output.append(onnx.ValueInfoProto(name=nodes[-1].output[0]))
    if domain:
        proto.opset_import.append(helper.make_opsetid(domain, 1))
    return proto


def zip_map() -> onnx.ModelProto:
    proto = with_tail(
        helper.make_node("Cast", ["pre2"], ["wide"], to=TensorProto.DOUBLE),
        helper.make_node("ZipMap", ["wide"], ["map"], name="zip", domain="ai.onnx.ml",
                         classlabels_int64s=[0, 1, 2]),
        domain="ai.onnx.ml",
    )  # fmt: skip
    kind = proto.graph.output[-1].type.sequence_type.elem_type.map_type
    kind.key_type = TensorProto.INT64
    kind.value_type.tensor_type.elem_type = TensorProto.DOUBLE
    kind.value_type.tensor_type.shape.SetInParent()
    return proto


def unknown(op: str, tensor: str = "pre2") -> onnx.ModelProto:
    proto = with_tail(helper.make_node(op, [tensor], ["z"], domain="acme"), domain="acme")
    proto.graph.output[-1].CopyFrom(helper.make_tensor_value_info("z", 1, None))
    return proto


def captured() -> onnx.ModelProto:
    """The operator that does not load reads a switch's result inside a branch."""
    value = helper.make_tensor_value_info("u", 1, None)
    inner = helper.make_node("Mystery", ["act1"], ["u"], domain="acme")
    graphs = [helper.make_graph([inner], name, [], [value]) for name in ("t", "e")]
    proto = with_tail(
        helper.make_node("ReduceMax", ["x"], ["m"], keepdims=0),
        helper.make_node("Cast", ["m"], ["c"], to=TensorProto.BOOL),
        helper.make_node("If", ["c"], ["z"], then_branch=graphs[0], else_branch=graphs[1]),
        domain="acme",
    )
    proto.graph.output[-1].CopyFrom(helper.make_tensor_value_info("z", 1, None))
    return proto


@pytest.mark.parametrize("native", [True, False])
@pytest.mark.parametrize(
    ("proto", "gone"),
    [(zip_map(), "map"), (unknown("Mystery"), "z"), (unknown("Relay", "act1"), "z"),
     (captured(), "z")],
    ids=["ZipMap of doubles", "unknown operator", "beside the head", "inside a branch"],
)  # fmt: skip
def test_the_sites_are_analysed_all_the_same(proto, gone: str, native: bool) -> None:
    settings = AnalysisOptions(native=native)
    report = reluflow.analyze(proto, X, options=settings)
    whole = reluflow.analyze(small_models.dense(), X, options=settings)
    assert report.sites == whole.sites
    (note,) = report.notes
    assert f"{gone}), since ONNX Runtime cannot load the model" in note
    assert "behind the last switches were left out" in note
    assert not whole.notes


def test_compare_cuts_both() -> None:
    report = reluflow.compare(unknown("Mystery"), unknown("Mystery"), X)
    assert report.mean_distance == 0 and "left out" in report.notes[0]


def test_what_leads_to_a_site_cannot_be_left_out() -> None:
    proto = unknown("Mystery")
    proto.graph.node.append(helper.make_node("Relu", ["z"], ["r"]))
    proto.graph.output.append(helper.make_tensor_value_info("r", 1, None))
    with pytest.raises(ModelError, match=r"ONNX Runtime cannot load the model: .*Mystery"):
        reluflow.analyze(proto, X)


def test_cut_tail_names_what_went() -> None:
    cut = cut_tail(load(zip_map()), ["pre2"])
    assert cut.done.outputs == ("map",)
    assert cut.done.nodes == ("wide", "zip")
    assert "ai.onnx.ml" not in cut.model.opset
    assert cut_tail(load(captured()), ["z", "pre2"]).done.nodes == ()
    assert len(cut_tail(load(captured()), ["z"]).done.nodes) == 1
    with pytest.raises(OptionError, match="keep names 'nothing', which is no output"):
        cut_tail(load(zip_map()), ["nothing"])
