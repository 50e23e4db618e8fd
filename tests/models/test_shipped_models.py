"""The shipped models and images agree with their cards."""

from __future__ import annotations

import hashlib
import re
from collections import Counter
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest

ROOT = Path(__file__).resolve().parents[2]
MODELS = ROOT / "models"
RESNET, EARLY = "fashion_resnet8.onnx", "fashion_resnet8_epoch1.onnx"
CONVNET, DSCONV = "fashion_convnet8.onnx", "fashion_dsconv.onnx"
LATE_NORM = "fashion_resnet8_bn_after_add.onnx"
MICRO, KEYWORDS = "fashion_micro.onnx", "keywords_dscnn.onnx"
SCENES = "fashion_scenes.onnx"
IMAGES = "fashion_mnist_test_2000.npz"
CARD_OF = {
    RESNET: "fashion_resnet8.md",
    EARLY: "fashion_resnet8.md",
    CONVNET: "fashion_convnet8.md",
    DSCONV: "fashion_dsconv.md",
    LATE_NORM: "fashion_resnet8_bn_after_add.md",
    MICRO: "fashion_micro.md",
    SCENES: "fashion_scenes.md",
    IMAGES: "fashion_mnist_test_2000.md",
}
# Conv, BatchNormalization, Relu, Add
NODES = {
    RESNET: (9, 9, 7, 3),
    EARLY: (9, 9, 7, 3),
    CONVNET: (7, 7, 7, 0),
    DSCONV: (11, 11, 11, 0),
    LATE_NORM: (9, 7, 7, 3),
    MICRO: (9, 9, 9, 0),
}
LEAST_ACCURACY = {
    RESNET: 0.92,
    EARLY: 0.75,
    CONVNET: 0.90,
    DSCONV: 0.88,
    LATE_NORM: 0.90,
    MICRO: 0.88,
}
each_model = pytest.mark.parametrize("name", NODES)


def read_card(name: str) -> str:
    return (MODELS / CARD_OF[name]).read_text(encoding="utf-8")


def card_row(name: str) -> list[str]:
    """The cells of the card's table row that opens with the file's name."""
    (row,) = re.findall(rf"^\| `{re.escape(name)}` \| (.*) \|$", read_card(name), re.MULTILINE)
    return [cell.strip("` ") for cell in row.split("|")]


def card_node_counts(name: str) -> dict[str, int]:
    table = read_card(name).split("| operator | nodes |\n| --- | --- |\n")[1].split("\n\n")[0]
    return {op: int(n) for op, n in re.findall(r"^\| (\w+) \| (\d+) \|$", table, re.MULTILINE)}


def n_correct(name: str, images: np.ndarray, labels: np.ndarray) -> int:
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    session = onnxruntime.InferenceSession(
        MODELS / name, options, providers=["CPUExecutionProvider"]
    )
    return sum(
        int((session.run(["logits"], {"image": part})[0].argmax(axis=1) == truth).sum())
        for part, truth in zip(np.split(images, 10), np.split(labels, 10), strict=True)
    )


class Wiring:
    """Which nodes produce and read the tensors of a shipped model."""

    def __init__(self, name: str) -> None:
        graph = onnx.load(MODELS / name).graph
        self.nodes = list(graph.node)
        self.stored = {tensor.name: tuple(tensor.dims) for tensor in graph.initializer}

    def of_type(self, op_type: str) -> list[onnx.NodeProto]:
        return [node for node in self.nodes if node.op_type == op_type]

    def producer(self, tensor: str) -> onnx.NodeProto:
        (node,) = [node for node in self.nodes if tensor in node.output]
        return node

    def chain(self, node: onnx.NodeProto, length: int) -> list[str]:
        """The operators that follow a node, each the only reader of the tensor before it."""
        operators: list[str] = []
        for _ in range(length):
            (node,) = [taker for taker in self.nodes if node.output[0] in taker.input]
            operators.append(node.op_type)
        return operators


@pytest.fixture(scope="module")
def shipped_images() -> tuple[np.ndarray, np.ndarray]:
    with np.load(MODELS / IMAGES) as arrays:
        assert sorted(arrays.files) == ["image", "label"]
        return arrays["image"], arrays["label"]


def test_every_shipped_model_is_tested_and_listed() -> None:
    shipped = {path.name for path in MODELS.glob("*.onnx")}
    table = (MODELS / "README.md").read_text(encoding="utf-8")
    # test_scenes_model.py and test_keywords_model.py have the tests of these
    assert shipped == {*NODES, SCENES, KEYWORDS}
    assert set(re.findall(r"^\| `(\w+\.onnx)` \|", table, re.MULTILINE)) == shipped


@pytest.mark.parametrize("name", CARD_OF)
def test_size_and_hash_are_the_cards(name: str) -> None:
    content = (MODELS / name).read_bytes()
    cells = card_row(name)
    assert cells[0] == f"{len(content):,}"
    assert cells[-1] == hashlib.sha256(content).hexdigest()


@pytest.mark.parametrize("name", CARD_OF)
def test_files_stay_small(name: str) -> None:
    assert (MODELS / name).stat().st_size < (2.5e6 if name == IMAGES else 400e3)


@pytest.mark.parametrize("name", CARD_OF)
def test_the_cards_recipe_exists(name: str) -> None:
    (script,) = re.findall(r"^    python (\S+)", read_card(name), re.MULTILINE)
    assert (ROOT / script).is_file()


@each_model
def test_model_is_valid_and_has_the_nodes_of_the_card(name: str) -> None:
    model = onnx.load(MODELS / name)
    onnx.checker.check_model(model, full_check=True)
    counts = Counter(node.op_type for node in model.graph.node)
    assert counts == card_node_counts(name)
    assert (counts["Conv"], counts["BatchNormalization"], counts["Relu"], counts["Add"]) == (
        NODES[name]
    )
    assert counts["Identity"] == 0
    assert model.opset_import[0].version == 17
    assert f"Opset 17, IR version {model.ir_version}," in read_card(name)


@each_model
def test_every_batch_normalisation_has_its_own_parameters(name: str) -> None:
    wiring = Wiring(name)
    used = [tensor for node in wiring.of_type("BatchNormalization") for tensor in node.input[1:]]
    assert len(used) == len(set(used)) == NODES[name][1] * 4
    assert set(wiring.stored).issuperset(used)


@pytest.mark.parametrize("name", [RESNET, EARLY])
def test_resnet_normalises_before_the_addition(name: str) -> None:
    wiring = Wiring(name)
    for addition in wiring.of_type("Add"):
        assert "BatchNormalization" in [wiring.producer(t).op_type for t in addition.input]
        assert "Relu" in {node.op_type for node in wiring.nodes if addition.output[0] in node.input}
    for norm in wiring.of_type("BatchNormalization"):
        assert wiring.producer(norm.input[0]).op_type == "Conv"


def test_late_normalisation_lies_between_addition_and_relu() -> None:
    wiring = Wiring(LATE_NORM)
    for addition in wiring.of_type("Add"):
        assert wiring.chain(addition, 2) == ["BatchNormalization", "Relu"]
        makers = sorted(wiring.producer(tensor).op_type for tensor in addition.input)
        assert makers in (["Conv", "Conv"], ["Conv", "Relu"])
    behind = Counter(
        wiring.producer(norm.input[0]).op_type for norm in wiring.of_type("BatchNormalization")
    )
    assert behind == {"Conv": 4, "Add": 3}


def test_convnet_is_one_straight_line() -> None:
    wiring = Wiring(CONVNET)
    expected = ["BatchNormalization", "Relu", "Conv"] * 6 + ["BatchNormalization", "Relu"]
    end = ["GlobalAveragePool", "Flatten", "Gemm"]
    assert wiring.chain(wiring.nodes[0], len(wiring.nodes) - 1) == expected + end
    kernels = [wiring.stored[conv.input[1]][2:] for conv in wiring.of_type("Conv")]
    assert kernels == [(3, 3)] * 7


@pytest.mark.parametrize("name", [DSCONV, MICRO])
def test_separable_blocks_are_depthwise_then_pointwise(name: str) -> None:
    wiring = Wiring(name)
    _, *convolutions = wiring.of_type("Conv")
    for depthwise, pointwise in zip(convolutions[::2], convolutions[1::2], strict=True):
        groups = [
            next(a.i for a in conv.attribute if a.name == "group")
            for conv in (depthwise, pointwise)
        ]
        n_out, n_each, *kernel = wiring.stored[depthwise.input[1]]
        assert (groups[0], n_each, kernel) == (n_out, 1, [3, 3])
        assert groups[0] > 1
        assert (groups[1], wiring.stored[pointwise.input[1]][1:]) == (1, (n_out, 1, 1))
        between = ["BatchNormalization", "Relu", "Conv", "BatchNormalization", "Relu"]
        assert wiring.chain(depthwise, 5) == between


@each_model
@pytest.mark.parametrize("n_images", [1, 3])
def test_interface_takes_any_batch_size(name: str, n_images: int) -> None:
    session = onnxruntime.InferenceSession(MODELS / name, providers=["CPUExecutionProvider"])
    (taken,), (given,) = session.get_inputs(), session.get_outputs()
    assert (taken.name, taken.type, taken.shape) == ("image", "tensor(float)", ["N", 1, 28, 28])
    assert (given.name, given.type, given.shape) == ("logits", "tensor(float)", ["N", 10])
    (logits,) = session.run(None, {"image": np.zeros((n_images, 1, 28, 28), np.float32)})
    assert logits.shape == (n_images, 10)


def test_images_have_the_dtype_shape_and_scale_of_the_models_input(
    shipped_images: tuple[np.ndarray, np.ndarray],
) -> None:
    image, label = shipped_images
    assert (image.dtype, image.shape) == (np.dtype(np.float32), (2000, 1, 28, 28))
    assert (label.dtype, label.shape) == (np.dtype(np.int64), (2000,))
    assert (image.min(), image.max()) == (0.0, 1.0)
    assert set(label) == set(range(10))
    assert np.array_equal(np.rint(image * 255).astype(np.float32) / np.float32(255), image)


@each_model
def test_accuracy_on_the_shipped_images_is_the_cards(
    name: str, shipped_images: tuple[np.ndarray, np.ndarray]
) -> None:
    """Two images either way leave room for another machine's rounding of a near tie.

    The card's other figure is for 10,000 images; 2,000 of them lie within 3 standard errors.
    """
    correct = n_correct(name, *shipped_images)
    of_all, of_shipped = float(card_row(name)[1]), int(card_row(name)[2])
    assert abs(correct - of_shipped) <= 2
    assert of_all >= LEAST_ACCURACY[name]
    standard_error = np.sqrt(of_all * (1 - of_all) / 2000)
    assert abs(correct / 2000 - of_all) < 3 * standard_error
