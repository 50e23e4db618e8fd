"""Single operators that compare with a threshold (docs/spec.md, section 1)."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace

from reluflow.graph.sites.forms.idioms import after_switch
from reluflow.graph.sites.forms.matches import Match, Matcher
from reluflow.graph.sites.forms.recurrent import experts, recurrent
from reluflow.graph.view.constants import is_constant, scalar
from reluflow.graph.view.index import Node, Scope

CONTRIB = "com.microsoft"
"""ONNX Runtime's own domain."""
_APART = "; reluflow.graph.switches_apart writes the two apart, as analyze does itself"
_BLOCKED = "com.microsoft.nchwc"
_ONE_PROCESSOR = (
    "; ONNX Runtime wrote this file for one kind of processor: write it at the level "
    "ORT_ENABLE_EXTENDED, or give the file that it was made from"
)


def _at_zero(node: Node, scope: Scope) -> Match:
    return Match(node.op, node.inputs[0])


def _leaky(node: Node, scope: Scope) -> Match | None:
    """With a slope of 1 everywhere nothing switches."""
    if node.op == "LeakyRelu":
        slope: float | None = node.number("alpha", 0.01)
    else:
        slope = scalar(scope, node.inputs[1]) if len(node.inputs) > 1 else None
    return None if slope == 1 else _at_zero(node, scope)


def _smooth(node: Node, scope: Scope) -> Match:
    return Match(node.op, node.inputs[0], smooth=True)


def _thresholded(node: Node, scope: Scope) -> Match:
    return Match(node.op, node.inputs[0], node.number("alpha", 1.0))


def _hard_swish(node: Node, scope: Scope) -> Match:
    return Match(node.op, node.inputs[0], -3.0)


def _hard_sigmoid(node: Node, scope: Scope) -> Match | None:
    alpha, beta = node.number("alpha", 0.2), node.number("beta", 0.5)
    return Match(node.op, node.inputs[0], -beta / alpha) if alpha > 0 else None


def clip_lower(node: Node, scope: Scope) -> float | None:
    """Return a Clip's lower bound in attribute or input form, None where it has none."""
    if node.attribute("min") is not None:
        return node.number("min", 0.0)
    return scalar(scope, node.inputs[1]) if len(node.inputs) > 1 and node.inputs[1] else None


def _clip(node: Node, scope: Scope) -> Match | None:
    bound = node.inputs[1] if len(node.inputs) > 1 else ""
    if bound and node.attribute("min") is None and not is_constant(scope, bound):
        reason = f"its lower bound {bound!r} is made at run time, so the threshold is not known"
        return Match(node.op, node.inputs[0], math.nan, untappable=reason)
    if clip_lower(node, scope) != 0 or after_switch(scope, node.inputs[0]):
        return None
    return Match(node.op, node.inputs[0])


def inside(op: str, node: Node, threshold: float, what: str, smooth: bool = False) -> Match:
    """Report a comparison inside a fused operator; its result has the units and the shape."""
    reason = f"{what} inside {node.op}, so the pre-activation is no tensor of the graph"
    return Match(op, node.outputs[0], threshold, smooth, reason)


def _bias_gelu(node: Node, scope: Scope) -> Match:
    if len(node.inputs) < 2 or not node.inputs[1]:
        return _smooth(node, scope)
    match = inside(node.op, node, 0.0, "the bias is added", smooth=True)
    return replace(match, untappable=match.untappable + _APART)


_FUSED = {
    name.lower(): name for name in ("Relu", "LeakyRelu", "Clip", "HardSigmoid", "ThresholdedRelu")
}
_FUSED_SMOOTH = {
    name.lower(): name for name in ("Elu", "Selu", "Softplus", "Celu", "Gelu", "Silu", "Swish")
}


def activation_of(node: Node) -> str:
    """Return the activation that an attribute of a node names, "" where none does."""
    for name in ("activation", "activation_type"):
        if node.text(name, ""):
            return node.text(name, "")
    return ""


def fused(node: Node, scope: Scope) -> Match | None:
    """An activation fused into another operator, by ONNX Runtime's optimiser for one."""
    kind = activation_of(node).lower()
    found = node.attribute("activation_params")
    parameters = list(found.floats) if found else []
    alpha = parameters[0] if parameters else node.number("activation_alpha", 0.0)
    beta = parameters[1] if len(parameters) > 1 else node.number("activation_beta", 0.0)
    op = _FUSED.get(kind) or _FUSED_SMOOTH.get(kind)
    if op is None or (op == "Clip" and alpha != 0) or (op == "LeakyRelu" and alpha == 1):
        return None
    threshold = alpha if op == "ThresholdedRelu" else 0.0
    if op == "HardSigmoid" and alpha > 0:
        threshold = -beta / alpha
    match = inside(op, node, threshold, f"{op} is fused", kind in _FUSED_SMOOTH)
    advice = _ONE_PROCESSOR if node.domain == _BLOCKED else ""
    if node.op in ("FusedConv", "FusedGemm"):
        advice = _APART
    match = replace(match, untappable=match.untappable + advice)
    plain = [n for n in scope.consumers(match.tensor) if n.op == "ReorderOutput"]
    return replace(match, tensor=plain[0].outputs[0]) if plain else match


def _fused_gelu(node: Node, scope: Scope) -> Match:
    return inside("Gelu", node, 0.0, "Gelu is fused", smooth=True)


DIRECT: dict[tuple[str, str], Matcher] = {
    ("", "Relu"): _at_zero,
    **{("", op): _leaky for op in ("PRelu", "LeakyRelu")},
    **{("", op): _smooth for op in ("Gelu", "Swish", "Elu", "Celu", "Selu", "Softplus", "Mish")},
    ("", "ThresholdedRelu"): _thresholded,
    ("", "HardSwish"): _hard_swish,
    ("", "HardSigmoid"): _hard_sigmoid,
    ("", "Clip"): _clip,
    (CONTRIB, "Gelu"): _smooth,
    (CONTRIB, "QuickGelu"): _smooth,
    (CONTRIB, "FastGelu"): _bias_gelu,
    (CONTRIB, "BiasGelu"): _bias_gelu,
    **{(CONTRIB, op): _fused_gelu for op in ("GemmFastGelu", "BiasSplitGelu", "QOrderedGelu")},
}
"""(domain, operator) -> matcher."""

SEVERAL: dict[tuple[str, str], Callable[[Node, Scope], list[Match]]] = {
    **{("", op): recurrent for op in ("RNN", "GRU", "LSTM")},
    **{(CONTRIB, op): recurrent for op in ("DynamicQuantizeLSTM", "AttnLSTM")},
    **{(CONTRIB, op): experts for op in ("MoE", "QMoE")},
}
"""(domain, operator) -> matcher that may find several switches in one node."""
