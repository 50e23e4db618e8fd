"""Single operators that compare with a threshold (SPEC: switch sites)."""

from __future__ import annotations

from dataclasses import replace

from reluflow.graph._constants import scalar
from reluflow.graph._idioms import after_switch
from reluflow.graph._index import Node, Scope
from reluflow.graph._matches import Match, Matcher

CONTRIB = "com.microsoft"
"""ONNX Runtime's own domain."""


def _at_zero(node: Node, scope: Scope) -> Match:
    return Match(node.op, node.inputs[0])


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
    return inside(node.op, node, 0.0, "the bias is added", smooth=True)


_FUSED = {"Relu", "LeakyRelu", "Clip", "HardSigmoid", "ThresholdedRelu"}
_FUSED_SMOOTH = {"Elu", "Selu", "Softplus", "Celu", "Gelu"}


def _fused(node: Node, scope: Scope) -> Match | None:
    """An activation fused into a linear operator by ONNX Runtime's optimizer."""
    kind = node.text("activation", "")
    found = node.attribute("activation_params")
    parameters = list(found.floats) if found else []
    alpha = parameters[0] if parameters else node.number("activation_alpha", 0.0)
    beta = parameters[1] if len(parameters) > 1 else node.number("activation_beta", 0.0)
    if kind not in _FUSED | _FUSED_SMOOTH or (kind == "Clip" and alpha != 0):
        return None
    threshold = alpha if kind == "ThresholdedRelu" else 0.0
    if kind == "HardSigmoid" and alpha > 0:
        threshold = -beta / alpha
    match = inside(kind, node, threshold, f"{kind} is fused", kind in _FUSED_SMOOTH)
    plain = [n for n in scope.consumers(match.tensor) if n.op == "ReorderOutput"]
    return replace(match, tensor=plain[0].outputs[0]) if plain else match


DIRECT: dict[tuple[str, str], Matcher] = {
    **{("", op): _at_zero for op in ("Relu", "PRelu", "LeakyRelu")},
    **{("", op): _smooth for op in ("Gelu", "Swish", "Elu", "Celu", "Selu", "Softplus", "Mish")},
    ("", "ThresholdedRelu"): _thresholded,
    ("", "HardSwish"): _hard_swish,
    ("", "HardSigmoid"): _hard_sigmoid,
    ("", "Clip"): _clip,
    (CONTRIB, "Gelu"): _smooth,
    (CONTRIB, "QuickGelu"): _smooth,
    (CONTRIB, "FastGelu"): _bias_gelu,
    (CONTRIB, "BiasGelu"): _bias_gelu,
    ("com.microsoft.nchwc", "Conv"): _fused,
    (CONTRIB, "FusedConv"): _fused,
    (CONTRIB, "NhwcFusedConv"): _fused,
    (CONTRIB, "FusedGemm"): _fused,
}
"""(domain, operator) -> matcher."""
