"""The layer that feeds a site, by the name its author gave it."""

from __future__ import annotations

from pathlib import Path

import pytest

from reluflow.graph import PsbOptions, find_sites, load, survey_sites, to_psb

EXPORTED = Path(__file__).parents[2] / "conformance" / "files"
ROWS = {
    "torch-dynamo-20-cnn": ["stem", "conv2", "conv3", "fc1"],
    "torch-script-17-cnn": ["stem", "conv2", "conv3", "fc1"],
    "torch-script-11-knees": ["convs.0", "convs.1", "convs.2", "convs.3", "convs.4"],
    "tf2onnx-17-signal": ["functional_3_1/a_1", "functional_3_1/b_1"],
    "paddle-11-spelled": ["linear_2", "linear_3", "linear_4", "linear_5"],
    "ort-extended-cnn": ["stem", "conv2", "conv3", "fc1"],
    "ort-qdq-cnn": ["stem", "conv2", "conv3", "fc1"],
    "ort-qdq-cnn-relu-kept": ["stem", "conv2", "conv3", "fc1"],
    "ort-qoperator-cnn": ["stem", "conv2", "conv3", "fc1"],
    "skl2onnx-13-classifier": ["", ""],  # the file names no layers
}


@pytest.mark.parametrize("name", sorted(ROWS))
def test_exporters_names_are_read(name: str) -> None:
    assert [site.layer for site in find_sites(load(EXPORTED / f"{name}.onnx"))] == ROWS[name]


def dense(weight: str, node: str = "") -> str:
    label = f"[{node}] " if node else ""
    return (
        f"g (float[N,4] x) => (float[N,4] y) <float[4,4] {weight} = {{{', '.join('1' * 16)}}}> "
        f"{{ {label}a = Gemm(x, {weight}) y = Relu(a) }}"
    )


@pytest.mark.parametrize(
    ("weight", "node", "layer"),
    [
        ('"fc1.weight"', "", "fc1"),
        ('"net.w_block.0.weight"', "", "net.w_block.0"),
        ('"fc1.parametrizations.weight.original"', "", "fc1"),
        ('"conv1/7x7_w_0"', "", "conv1/7x7"),
        ('"fc1.weight_quantized"', "", "fc1"),
        ('"onnx::MatMul_35"', '"/layer1/layer1.0/fc/MatMul"', "layer1.0.fc"),
        ('"val_3"', '"/blocks/block2/fc/Gemm"', "blocks.block2.fc"),
        ('"val_3"', '"StatefulPartitionedCall/model/fc1/MatMul"', "model/fc1"),
        ("val_3", "hidden", "hidden"),
        ("val_3", "node_linear_2", ""),
        ("val_3", "Gemm_7", ""),
    ],
)
def test_names_of_weights_and_nodes(text_model, weight, node, layer):
    (site,) = find_sites(text_model(dense(weight, node)))
    assert site.layer == layer


def test_modules_that_torch_notes_come_first(parse):
    proto = parse(dense("val_3", "node_linear"))
    entry = proto.graph.node[0].metadata_props.add()
    entry.key, entry.value = "pkg.torch.onnx.name_scopes", "['', 'head', 'head.fc1', 'linear']"
    (site,) = find_sites(load(proto))
    assert site.layer == "head.fc1"


_ONES = ", ".join("1" * 16)
WEIGHTS = (
    f'<float[4,4] "a.weight" = {{{_ONES}}}, float[4,4] "b.weight" = {{{_ONES}}}, '
    "float[4] s = {1,1,1,1}>"
)


@pytest.mark.parametrize(
    ("body", "layers"),
    [
        # a sum: the first operand that comes from a layer
        ('p = Gemm(x, "a.weight") q = Gemm(x, "b.weight") r = Add(p, q) y = Relu(r)', ["a"]),
        ('p = Gemm(x, "a.weight") r = Add(x, p) y = Relu(r)', ["a"]),
        # an activation ends the search
        (
            'p = Gemm(x, "a.weight") q = Relu(p) r = Gemm(q, "b.weight") t = Add(q, r) y = Relu(t)',
            ["a", "b"],
        ),
        ('p = Gemm(x, "a.weight") q = Sigmoid(p) y = Relu(q)', [""]),
        ("y = Relu(x)", [""]),
        # a transposed weight, a normalisation after the layer
        (
            'w = Transpose("a.weight") p = MatMul(x, w) '
            "n = BatchNormalization(p, s, s, s, s) y = Relu(n)",
            ["a"],
        ),
    ],
)
def test_the_way_back_to_the_layer(text_model, body, layers):
    text = f"g (float[N,4] x) => (float[N,4] y) {WEIGHTS} {{ {body} }}"
    assert [site.layer for site in find_sites(text_model(text))] == layers


def test_a_normalisation_names_itself_where_no_layer_is_before(text_model):
    text = (
        'g (float[N,4] x) => (float[N,4] y) <float[4] "norm1.weight" = {1,1,1,1}, '
        "float[4] s = {1,1,1,1}> "
        '{ n = BatchNormalization(x, "norm1.weight", s, s, s) y = Relu(n) }'
    )
    (site,) = find_sites(text_model(text))
    assert site.layer == "norm1"


def test_a_converted_layer_keeps_its_name_and_its_arithmetic_is_no_switch():
    path = Path(__file__).parents[3] / "models" / "fashion_convnet8.onnx"
    before = find_sites(load(path))
    survey = survey_sites(to_psb(load(path), PsbOptions()).model)
    assert [site.layer for site in survey.sites] == [site.layer for site in before]
    assert survey.left_out and survey.folds == ()
    assert {node.reason for node in survey.left_out} == {
        "it is part of the fixed-point arithmetic of a converted layer"
    }
