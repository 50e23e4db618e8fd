"""An independent count of what could be a switch, and what the site finder says about it.

The count is independent of the site finder: it walks every graph of the file, and functions as
often as they are called, for operators or activation attributes that could be switches.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

import onnx

from reluflow.graph import load, survey_sites
from reluflow.graph.sites.find import locate

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
    """Tell by operator and attributes alone whether a node could be a switch."""
    named = any(a.name.startswith("activation") and a.s for a in node.attribute)
    return node.op_type in COULD or (named and node.domain not in ("", "ai.onnx"))


def candidates(model: onnx.ModelProto) -> Counter[str]:
    """Count what could be a switch, by operator."""
    return Counter(node.op_type for node in nodes(model) if is_candidate(node))


@dataclass(frozen=True)
class Account:
    """What the site finder says about a model, by operator of the node.

    Attributes:
        found: candidates that are sites, smooth ones included.
        left_out: candidates that are not sites.
        reasons: why, counted.
        folds: candidates that fold at 0 otherwise.
        sites: number of sites; a node may hold several, or be no candidate by its operator.
        smooth: how many of these are smooth.
    """

    found: Counter[str]
    left_out: Counter[str]
    reasons: Counter[str]
    folds: Counter[str]
    sites: int
    smooth: int

    @property
    def told(self) -> Counter[str]:
        """All candidates that are mentioned."""
        return self.found + self.left_out + self.folds


def account(source: Path | onnx.ModelProto) -> Account:
    """Count what the site finder says about the candidates of a model; each node once."""
    model = load(source)
    survey = survey_sites(model, smooth=True)
    located = locate(model)
    switching = {id(each.node): each.node for each in located}
    assert {each.site.name for each in located} == {site.name for site in survey.sites}
    assert all(node.reason for node in survey.left_out)
    return Account(
        Counter(node.op for node in switching.values() if is_candidate(node.original)),
        Counter(node.op for node in survey.left_out),
        Counter(node.reason for node in survey.left_out),
        Counter(fold.op for fold in survey.folds if fold.op in COULD),
        len(survey.sites),
        sum(site.smooth for site in survey.sites),
    )
