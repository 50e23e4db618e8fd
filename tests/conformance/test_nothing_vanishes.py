"""Sites found, nodes left out and other folds together are all candidates, counted dumbly.

The count knows nothing of the site finder: it walks every graph of the file, and functions as
often as they are called, for operators, or activation attributes, that could be switches.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator
from pathlib import Path

import light_models
import onnx
import pytest

from reluflow.graph import load, survey_sites
from reluflow.graph.sites import locate

FOLDER = Path(__file__).with_name("exporters")
SHIPPED = Path(__file__).parents[2] / "models"
COULD = {
    "Relu", "PRelu", "LeakyRelu", "ThresholdedRelu", "Clip", "Max", "Where", "HardSwish",
    "HardSigmoid", "Gelu", "Swish", "Elu", "Celu", "Selu", "Softplus", "Mish", "Abs", "Sign",
    "Min", "RNN", "GRU", "LSTM", "QuickGelu", "FastGelu", "BiasGelu", "QLinearLeakyRelu", "MoE",
    "QMoE",
}  # fmt: skip


def nodes(model: onnx.ModelProto) -> Iterator[onnx.NodeProto]:
    """Yield every node as often as it is called."""
    functions = {(f.domain, f.name): f for f in model.functions}

    def walk(several: Iterable[onnx.NodeProto]) -> Iterator[onnx.NodeProto]:
        for node in several:
            called = functions.get((node.domain, node.op_type))
            if called is not None:
                yield from walk(called.node)
                continue
            yield node
            for attribute in node.attribute:
                for inner in [attribute.g, *attribute.graphs]:
                    yield from walk(inner.node)

    return walk(model.graph.node)


def is_candidate(node: onnx.NodeProto) -> bool:
    named = any(a.name.startswith("activation") and a.s for a in node.attribute)
    return node.op_type in COULD or (named and node.domain not in ("", "ai.onnx"))


def candidates(model: onnx.ModelProto) -> Counter[str]:
    """Count what could be a switch, by operator."""
    return Counter(node.op_type for node in nodes(model) if is_candidate(node))


def accounted(source: Path | onnx.ModelProto) -> Counter[str]:
    """Count the candidates that the site finder tells of; each node must be told of once."""
    model = load(source)
    survey = survey_sites(model, smooth=True)
    switching = {id(each.node): each.node for each in locate(model)}
    assert {each.site.name for each in locate(model)} == {site.name for site in survey.sites}
    assert all(node.reason for node in survey.left_out)
    found = [node.op for node in switching.values() if is_candidate(node.original)]
    others = [node.op for node in survey.left_out]
    folds = [fold.op for fold in survey.folds if fold.op in COULD]
    return Counter(found) + Counter(others) + Counter(folds)


@pytest.mark.parametrize("path", sorted(FOLDER.glob("*.onnx")), ids=lambda path: path.stem)
def test_every_exporters_file(path: Path) -> None:
    assert accounted(path) == candidates(onnx.load(path))


@pytest.mark.parametrize("path", sorted(SHIPPED.glob("*.onnx")), ids=lambda path: path.stem)
def test_every_shipped_model(path: Path) -> None:
    assert accounted(path) == candidates(onnx.load(path))


@pytest.mark.parametrize("name", sorted(light_models.paths()))
def test_every_light_model(name: str) -> None:
    path = light_models.paths()[name]
    assert accounted(path) == candidates(onnx.load(path))


def test_the_files_hold_candidates_of_all_kinds() -> None:
    """The test above cannot pass by counting nothing."""
    total = Counter[str]()
    for path in FOLDER.glob("*.onnx"):
        total += candidates(onnx.load(path))
    assert sum(total.values()) > 300
    assert {"Relu", "Clip", "Max", "Min", "Where", "FusedConv", "FusedGemm"} <= set(total)
