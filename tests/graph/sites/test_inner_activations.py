"""Activations given as attributes: sites that cannot be tapped, each with its place."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from onnx import TensorProto, helper, numpy_helper

from reluflow.graph import find_sites, load, survey_sites, tap

SIZE = 3
GATES = {"RNN": 1, "GRU": 3, "LSTM": 4}


def recurrent(op: str, direction: str = "forward", **attributes: Any):
    ways = 2 if direction == "bidirectional" else 1
    shape = (ways, GATES[op] * SIZE, SIZE)
    node = helper.make_node(
        op, ["x", "W", "R"], ["Y"], hidden_size=SIZE, direction=direction, **attributes
    )
    value = helper.make_tensor_value_info
    graph = helper.make_graph(
        [node],
        "g",
        [value("x", TensorProto.FLOAT, [2, "N", SIZE])],
        [value("Y", TensorProto.FLOAT, [2, ways, "N", SIZE])],
        [numpy_helper.from_array(np.ones(shape, np.float32), name) for name in "WR"],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)


ROWS = [
    ("rnn-relu", ("RNN", "forward", {"activations": ["Relu"]}),
     [("Relu", 0, "its hidden state inside RNN (forward)")]),
    ("rnn-lower-case", ("RNN", "reverse", {"activations": ["relu"]}),
     [("Relu", 0, "its hidden state inside RNN (reverse)")]),
    ("rnn-thresholded", ("RNN", "forward",
     {"activations": ["ThresholdedRelu"], "activation_alpha": [0.5]}),
     [("ThresholdedRelu", 0.5, "its hidden state")]),
    ("rnn-thresholded-default", ("RNN", "forward", {"activations": ["ThresholdedRelu"]}),
     [("ThresholdedRelu", 1, "its hidden state")]),
    ("rnn-both-ways", ("RNN", "bidirectional", {"activations": ["Relu", "LeakyRelu"]}),
     [("Relu", 0, "RNN (forward)"), ("LeakyRelu", 0, "RNN (reverse)")]),
    ("gru", ("GRU", "forward", {"activations": ["HardSigmoid", "Relu"],
     "activation_alpha": [0.25], "activation_beta": [0.5]}),
     [("HardSigmoid", -2, "its gates inside GRU"), ("Relu", 0, "its hidden state inside GRU")]),
    ("lstm-cell", ("LSTM", "forward", {"activations": ["Sigmoid", "Relu", "Tanh"]}),
     [("Relu", 0, "its cell inside LSTM")]),
    ("lstm-both-ways", ("LSTM", "bidirectional",
     {"activations": ["Sigmoid", "Tanh", "Tanh", "HardSigmoid", "Tanh", "Relu"]}),
     [("HardSigmoid", -2.5, "its gates inside LSTM (reverse)"),
      ("Relu", 0, "its hidden state inside LSTM (reverse)")]),
    ("values-in-the-order-of-their-users", ("LSTM", "forward",
     {"activations": ["LeakyRelu", "ThresholdedRelu", "LeakyRelu"],
      "activation_alpha": [0.3, 0.7, 1.0]}),
     [("LeakyRelu", 0, "gates"), ("ThresholdedRelu", 0.7, "cell")]),
]  # fmt: skip


@pytest.mark.parametrize(("given", "wanted"), [r[1:] for r in ROWS], ids=[r[0] for r in ROWS])
def test_recurrent_activations_are_sites_that_cannot_be_tapped(given, wanted):
    op, direction, attributes = given
    model = load(recurrent(op, direction, **attributes))
    sites = find_sites(model)
    assert [(s.op, pytest.approx(s.threshold)) for s in sites] == [(o, t) for o, t, _ in wanted]
    assert all(place in site.untappable for site, (*_, place) in zip(sites, wanted, strict=True))
    assert {site.units for site in sites} == {SIZE}
    assert len({site.name for site in sites}) == len(sites)
    refused = [(each.node, each.reason) for each in tap(model, sites).refused]
    assert refused == [(site.name, site.untappable) for site in sites]
    assert survey_sites(model).left_out == ()


@pytest.mark.parametrize("op", ["RNN", "GRU", "LSTM"])
def test_the_usual_recurrent_activations_have_no_knee(op):
    survey = survey_sites(load(recurrent(op, "bidirectional")))
    assert survey.sites == ()
    (left,) = survey.left_out
    assert "have no knee" in left.reason and "Tanh" in left.reason


def test_smooth_recurrent_activations_are_sites_on_request():
    model = load(recurrent("RNN", activations=["Softplus"]))
    assert find_sites(model) == ()
    (site,) = find_sites(model, smooth=True)
    assert site.op == "Softplus" and site.untappable
    assert [node.reason for node in survey_sites(model).left_out] == [
        "it is smooth: a site on request only"
    ]


CONTRIB = [
    ("moe", "com.microsoft.MoE <activation_type = \"relu\", k = 1> (x, r, w, , v)", "Relu"),
    ("moe-default", "com.microsoft.MoE <k = 1> (x, r, w, , v)", "Relu"),
    ("qmoe", "com.microsoft.QMoE <activation_type = \"relu\"> (x, r, w, s, , v, s)", "Relu"),
    ("fused-matmul", "com.microsoft.FusedMatMulActivation <activation = \"Relu\"> (x, m)", "Relu"),
    ("fused-matmul-leaky", "com.microsoft.FusedMatMulActivation <activation = \"LeakyRelu\", "
     "activation_alpha = 0.1> (x, m)", "LeakyRelu"),
    ("fused-gemm", "com.microsoft.FusedGemm <activation = \"Relu\"> (x, m)", "Relu"),
    ("another-domain", "shop.Dense <activation = \"relu\"> (x, m)", "Relu"),
]  # fmt: skip
TENSORS = "float[N,4] x, float[N,2] r, float[2,4,4] w, float[2,4,4] v, float[2,4] s, float[4,4] m"


@pytest.mark.parametrize(("call", "op"), [r[1:] for r in CONTRIB], ids=[r[0] for r in CONTRIB])
def test_fused_and_routed_activations_are_sites_that_cannot_be_tapped(text_model, call, op):
    text = f"g ({TENSORS}) => (float[N,4] y) {{ y = {call} }}"
    (site,) = find_sites(text_model(text, extra=', "com.microsoft" : 1, "shop" : 1'))
    assert site.op == op
    assert "the pre-activation is no tensor of the graph" in site.untappable


@pytest.mark.parametrize(
    ("call", "reason"),
    [
        ('com.microsoft.MoE <activation_type = "identity"> (x, r, w, , v)', "have no knee"),
        ('com.microsoft.FusedGemm <activation = "Tanh"> (x, m)', "'Tanh' does not switch"),
        (
            'com.microsoft.FusedGemm <activation = "LeakyRelu", activation_alpha = 1.0> (x, m)',
            "does not switch",
        ),
    ],
)
def test_inner_activations_without_a_knee_are_left_out(text_model, call, reason):
    text = f"g ({TENSORS}) => (float[N,4] y) {{ y = {call} }}"
    survey = survey_sites(text_model(text, extra=', "com.microsoft" : 1'))
    assert survey.sites == ()
    assert reason in survey.left_out[0].reason


@pytest.mark.parametrize(
    ("bound", "opset"),
    [
        ("q = ReduceMax <keepdims = 0> (x) m = Sub(q, q)", 17),
        ("s = Shape(x) t = Gather(s, i) m = Cast <to = 1> (t)", 13),
        ("q = ReduceMin <keepdims = 0> (x) m = Identity(q)", 11),
    ],
)
def test_a_clip_whose_bound_is_made_at_run_time_has_an_unknown_threshold(text_model, bound, opset):
    text = f"g (float[N,4] x) => (float[N,4] y) <int64 i = {{1}}> {{ {bound} y = Clip(x, m) }}"
    (site,) = find_sites(text_model(text, opset=opset))
    assert np.isnan(site.threshold)
    assert "lower bound 'm' is made at run time" in site.untappable
