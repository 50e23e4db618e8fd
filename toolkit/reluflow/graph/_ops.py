"""Single operators that compare with a threshold (SPEC: switch sites)."""

from __future__ import annotations

from reluflow.graph._constants import scalar
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
    return Match(node.op, node.inputs[0]) if clip_lower(node, scope) == 0 else None


def _bias_gelu(node: Node, scope: Scope) -> Match:
    if len(node.inputs) < 2 or not node.inputs[1]:
        return _smooth(node, scope)
    reason = f"{node.op} adds its bias inside, so the pre-activation is no tensor of the graph"
    return Match(node.op, node.inputs[0], smooth=True, untappable=reason)


def _fused(node: Node, scope: Scope) -> Match | None:
    """An activation fused into a linear operator by ONNX Runtime's optimizer."""
    kind = node.text("activation", "")
    parameters = node.attribute("activation_params")
    alpha = parameters.floats[0] if parameters and parameters.floats else 0.0
    if kind not in ("Relu", "LeakyRelu", "Clip", "HardSigmoid") or (kind == "Clip" and alpha):
        return None
    threshold = 0.0
    if kind == "HardSigmoid" and parameters and len(parameters.floats) > 1 and alpha > 0:
        threshold = -parameters.floats[1] / alpha
    reason = f"{kind} is fused into {node.op}, so the pre-activation is no tensor of the graph"
    return Match(kind, node.inputs[0], threshold, untappable=reason)


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
    (CONTRIB, "FusedConv"): _fused,
    (CONTRIB, "NhwcFusedConv"): _fused,
    (CONTRIB, "FusedGemm"): _fused,
}
"""(domain, operator) -> matcher."""
