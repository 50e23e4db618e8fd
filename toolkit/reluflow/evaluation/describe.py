"""What a converted model stores and how much it computes."""

from __future__ import annotations

from reluflow.errors import ModelError
from reluflow.evaluation.result import LayerCost, PsbDescription
from reluflow.graph import Model, PsbNode, find_chains, find_psb, find_successions


def describe_psb(model: Model) -> PsbDescription:
    """Describe a converted model without running it.

    Args:
        model: a model of `to_psb`.

    Returns:
        Its size, its cost and its operators.

    Raises:
        ModelError: it has no PSB operator.

    Example:
        >>> import onnx.parser
        >>> from reluflow.graph import load, to_psb
        >>> proto = onnx.parser.parse_model('''<ir_version: 8, opset_import: ["" : 17]>
        ...     g (float[N,2] x) => (float[N,2] y) <float[2,2] w = {1,2,3,4}>
        ...     { h = MatMul(x, w) y = Relu(h) }''')
        >>> model = load(proto)
        >>> described = describe_psb(to_psb(model).model)
        >>> described.weights, described.zeros, described.p_bits
        (4, 0, 4)

    Reference: thesis 4.2.4; docs/spec.md, section 8, cost model.
    """
    nodes = find_psb(model)
    if not nodes:
        raise ModelError(
            f"model {str(model.path or '<memory>')!r} has no PSB operator; "
            "convert it with reluflow psb convert."
        )
    layers = tuple(map(_cost, nodes))
    adds = [layer.shift_adds for layer in layers]
    known = [number for number in adds if number is not None]
    weights = sum(layer.weights for layer in layers)
    stored = sum(node.stored_bytes for node in nodes)
    return PsbDescription(
        path=str(model.path) if model.path else None,
        p_bits=max(node.p_bits for node in nodes),
        sampler=nodes[0].sampler,
        draws=nodes[0].draws,
        file_bytes=model.size_bytes,
        weights=weights,
        zeros=sum(layer.zeros for layer in layers),
        bits_per_weight=8 * stored / weights,
        shift_adds=sum(known) if len(known) == len(adds) else None,
        layers=layers,
        successions=tuple(
            f"{found.first!r} is followed by {found.second!r} without a switch between"
            + (f" (through {', '.join(found.through)})" if found.through else "")
            for found in find_successions(model)
        ),
        chains=find_chains(model),
    )


def _cost(node: PsbNode) -> LayerCost:
    return LayerCost(
        name=node.name,
        op=node.op,
        weight_shape=node.weight_shape,
        weights=node.weights,
        zeros=node.zeros,
        bits_per_weight=node.bits_per_weight,
        shift_adds=node.products,
        adds=node.adds is not None,
        activation=node.activation,
        x_exponent=node.x_exponent,
        factor=node.factor,
        inside=node.inside,
        p_bits=node.p_bits,
    )
