"""Activations named by an attribute: RNN, GRU, LSTM, mixtures of experts, fused operators."""

from __future__ import annotations

from collections.abc import Iterator

from reluflow.graph.sites.forms.matches import Match
from reluflow.graph.view.index import Node, Scope

_DEFAULTS = {"RNN": ("Tanh",), "GRU": ("Sigmoid", "Tanh"), "LSTM": ("Sigmoid", "Tanh", "Tanh")}
_WHERE = {
    "RNN": ("its hidden state",),
    "GRU": ("its gates", "its hidden state"),
    "LSTM": ("its gates", "its cell", "its hidden state"),
}
_ALPHA = {"leakyrelu": 0.01, "thresholdedrelu": 1.0, "hardsigmoid": 0.2, "elu": 1.0,
          "scaledtanh": 1.0, "affine": 1.0}  # fmt: skip
_BETA = {"hardsigmoid": 0.5, "scaledtanh": 1.0, "affine": 0.0}
_KNEES = {"relu": "Relu", "leakyrelu": "LeakyRelu", "thresholdedrelu": "ThresholdedRelu",
          "hardsigmoid": "HardSigmoid"}  # fmt: skip
_SMOOTH = {"elu": "Elu", "softplus": "Softplus", "gelu": "Gelu", "silu": "Silu",
           "swiglu": "Silu"}  # fmt: skip
_FIRST_BIAS = 3
"""Place of fc1's bias in MoE: input, router, fc1's weights, fc1's bias."""
KINDS = {"DynamicQuantizeLSTM": "LSTM", "AttnLSTM": "LSTM"}
"""ONNX Runtime's recurrent operators -> the corresponding ONNX operator."""


def activations(node: Node) -> list[str]:
    """Return the names of a recurrent node's activations, forward direction first."""
    kind = KINDS.get(node.op, node.op)
    found = node.attribute("activations")
    if found is not None and found.strings:
        return [name.decode("utf-8", "replace") for name in found.strings]
    both = node.text("direction", "forward") == "bidirectional"
    return list(_DEFAULTS[kind]) * (2 if both else 1)


def recurrent(node: Node, scope: Scope) -> list[Match]:
    """Report every activation with a knee of an RNN, GRU or LSTM: one per direction and place."""
    kind = KINDS.get(node.op, node.op)
    direction = node.text("direction", "forward")
    names = activations(node)
    alphas, betas = _values(node, "activation_alpha"), _values(node, "activation_beta")
    places = _WHERE[kind]
    found = []
    for position, name in enumerate(names):
        key = name.lower()
        alpha = next(alphas, _ALPHA[key]) if key in _ALPHA else 0.0
        beta = next(betas, _BETA[key]) if key in _BETA else 0.0
        op = _KNEES.get(key) or _SMOOTH.get(key)
        if op is None or (op == "LeakyRelu" and alpha == 1) or (op == "HardSigmoid" and alpha <= 0):
            continue
        way = ("forward", "reverse")[position // len(places) % 2]
        way = direction if direction != "bidirectional" else way
        threshold = alpha if op == "ThresholdedRelu" else 0.0
        if op == "HardSigmoid":
            threshold = -beta / alpha
        reason = (
            f"{op} acts on {places[position % len(places)]} inside {node.op} ({way}), so the "
            "pre-activation is no tensor of the graph"
        )
        tensor = next(filter(None, node.outputs), "")
        size = int(node.number("hidden_size", 0)) or None
        found.append(Match(op, tensor, threshold, key in _SMOOTH, reason, units=size))
    return found


def _values(node: Node, name: str) -> Iterator[float]:
    """Yield an attribute's numbers one by one: each activation that needs one takes the next."""
    found = node.attribute(name)
    return iter(list(found.floats) if found else [])


def experts(node: Node, scope: Scope) -> list[Match]:
    """Report the activation between the two layers of each expert of a MoE node."""
    key = node.text("activation_type", "relu").lower()
    op = _KNEES.get(key) or _SMOOTH.get(key)
    if op is None:
        return []
    reason = f"{op} acts inside the experts of {node.op}, so the pre-activation is no tensor"
    reason += " of the graph"
    return [Match(op, node.outputs[0], 0.0, key in _SMOOTH, reason, units=_hidden(node, scope))]


def _hidden(node: Node, scope: Scope) -> int | None:
    """Return the hidden units of one expert: fc1's bias is (experts, units)."""
    told = node.op == "MoE" and len(node.inputs) > _FIRST_BIAS
    name = node.inputs[_FIRST_BIAS] if told else ""
    shape = scope.type_of(name).shape if name else None
    size = shape[-1] if shape else None
    return size if isinstance(size, int) else None
