"""The layer that feeds a tensor, by the name that its author gave it: "fc1", "layer1.0.conv1"."""

from __future__ import annotations

import re
from collections.abc import Mapping

from reluflow.graph.sites.forms.ops import activation_of
from reluflow.graph.sites.forms.quantised import smallest_zero_point
from reluflow.graph.view.constants import is_constant
from reluflow.graph.view.index import Node, Scope

_LINEAR = {
    "Conv", "ConvTranspose", "ConvInteger", "QLinearConv", "DeformConv", "FusedConv",
    "NhwcFusedConv", "Gemm", "FusedGemm", "QGemm", "MatMul", "MatMulInteger", "QLinearMatMul",
    "FusedMatMul", "FusedMatMulActivation", "MatMulNBits", "RNN", "GRU", "LSTM", "MoE", "QMoE",
    "DynamicQuantizeLSTM", "AttnLSTM", "GemmFastGelu", "PsbConv", "PsbGemm", "PsbMatMul",
}  # fmt: skip
_NORMS = {"BatchNormalization", "InstanceNormalization", "GroupNormalization", "LRN",
          "LayerNormalization", "RMSNormalization", "SkipLayerNormalization"}  # fmt: skip
_PASSED = {
    "Add", "Sub", "Mul", "Div", "Sum", "Neg", "Identity", "Cast", "CastLike", "Dropout",
    "QuantizeLinear", "DequantizeLinear", "DynamicQuantizeLinear", "Reshape", "Flatten", "Squeeze",
    "Unsqueeze", "Transpose", "Slice", "Split", "ReorderOutput", "ReorderInput", "QLinearAdd",
    "Min", "Expand",
}  # fmt: skip
_OF_WEIGHTS = {"Transpose", "DequantizeLinear", "Cast", "Identity", "Reshape", "QuantizeLinear",
               "Unsqueeze", "Squeeze", "CastLike"}  # fmt: skip
_WEIGHT = re.compile(r"(.+)[._/](?:parametrizations[._])?(?:weight|kernel|W|w)(?:[._:].*|\d*)")
_SCALE = re.compile(r"(.+)[._/](?:scale|gamma)(?:[._:].*|\d*)")
_MADE_UP = re.compile(r"(?i)(node_|n?\d*$|onnx::)")
_SCOPES = "pkg.torch.onnx.name_scopes"
_DEPTH = 60
"""Nodes between a switch and its layer: a guard of the recursion; 131 models need 5."""
_STORED_DEPTH = 8
"""Nodes between a layer's input and its initializer: a guard; the same models need 1."""

Names = Mapping[tuple[str, str], str]
"""(scope path, flat tensor) -> the tensor's name in the file."""


def feeding_layer(scope: Scope, tensor: str, names: Names) -> str:
    """Return the name of the layer that produced a tensor.

    Walks back through operators that keep units apart, such as sums, reshapes and quantisers, to
    the nearest layer with weights; a normalisation is named itself where no such layer comes before
    it.

    Args:
        scope: where the tensor is read.
        tensor: its flat name.
        names: names in the file.

    Returns:
        The name; "" where there is no such layer or the file does not name it.
    """
    producer = scope.producer(tensor)
    if producer is not None and producer.op in ("QuantizeLinear", "DequantizeLinear"):
        scope, tensor = scope.home(tensor) or scope, producer.inputs[0]
    return _walk(scope, tensor, names, _DEPTH, set())


def _walk(scope: Scope, tensor: str, names: Names, depth: int, seen: set[str]) -> str:
    node = scope.producer(tensor)
    if node is None or depth == 0 or tensor in seen:
        return ""
    # Before another switch there is another layer, whose name would be wrong here. The first node
    # is exempt, as the site of a fused operator is produced by that operator itself.
    if depth < _DEPTH and _switches(scope, node):
        return ""
    seen.add(tensor)
    if ":Psb" in node.scope:  # the body of a converted layer is in the place of the layer
        return _by_path(node.scope.partition(":Psb")[0])
    home = scope.home(tensor) or scope
    if node.op in _LINEAR:
        return _named(home, node, names)
    if node.op in _NORMS:
        # the preceding layer first, so that a network gets the same names before and after folding
        return _walk(home, node.inputs[0], names, depth - 1, seen) or _named(home, node, names)
    if node.op not in _PASSED:
        return ""
    for name in node.inputs:
        found = _walk(home, name, names, depth - 1, seen) if name else ""
        if found:
            return found
    return ""


def _switches(scope: Scope, node: Node) -> bool:
    """Tell whether a node that keeps units apart hides an activation."""
    if node.op == "DequantizeLinear":
        return smallest_zero_point(node, scope, 2)
    if node.op in ("QLinearConv", "QLinearMatMul", "QGemm", "QLinearAdd"):
        return smallest_zero_point(node, scope, 8 if node.op == "QGemm" else 7)
    return bool(activation_of(node))


def _named(scope: Scope, node: Node, names: Names) -> str:
    """Name a layer after its module's scope, its weight or its node, whichever is informative."""
    # From what authors write to what exporters make up: module scopes are exact, a weight may have
    # been renamed or shared, and the path of a node may be numbered differently at every export.
    return (
        _by_scopes(node)
        or _by_weight(scope, node, names)
        or _by_path(node.original.name)
        or _by_node(node)
    )


def _by_scopes(node: Node) -> str:
    """Read the modules that torch records: "['', 'layer1', 'layer1.0.conv1', 'conv2d']"."""
    found = next((p.value for p in node.original.metadata_props if p.key == _SCOPES), "")
    parts = re.findall(r"'([^']*)'", found)[:-1]
    return parts[-1] if parts else ""


def _by_weight(scope: Scope, node: Node, names: Names) -> str:
    for name in node.inputs[1:]:
        stored = _stored(scope, name)
        if stored:
            shown = names.get((node.scope, stored), stored)
            if "/" in shown and shown.endswith(":0"):  # TensorFlow: model/layer/op/variable:0
                return _without("/".join(shown.split("/")[:-2]))
            match = _WEIGHT.fullmatch(shown)
            if match is None and node.op in _NORMS:
                match = _SCALE.fullmatch(shown)
            if match and not _MADE_UP.match(match[1]):
                return match[1].removesuffix(".parametrizations")
    return ""


def _stored(scope: Scope, name: str) -> str:
    """Follow a weight back to its initializer, or to a constant; "" for a computed tensor."""
    for _ in range(_STORED_DEPTH):
        node = scope.producer(name)
        if node is None:
            home = scope.home(name)
            return name if home is not None and name in home.initializers else ""
        if node.op not in _OF_WEIGHTS or not node.inputs:
            return name if is_constant(scope, name) else ""
        name = node.inputs[0]
    return ""


def _by_path(name: str) -> str:
    """Read a path: torch's "/layer1/layer1.0/conv1/Conv", TensorFlow's "model/fc1/MatMul"."""
    name = name.removeprefix("fused ")
    if "_output_" in name:  # made from a tensor's name by ONNX Runtime
        return ""
    parts = [part for part in name.split("/") if part][:-1]
    if not name.startswith("/"):
        return _without("/".join(parts))
    path = ""
    for part in parts:
        path = part if not path or part.startswith(f"{path}.") else f"{path}.{part}"
    return path


def _without(path: str) -> str:
    return path.removeprefix("StatefulPartitionedCall/")


def _by_node(node: Node) -> str:
    name = node.original.name
    generic = node.original.op_type.lower() in name.lower() or _MADE_UP.match(name)
    return "" if generic else name
