"""Functions of a converted model inlined: a file of ONNX's own operators alone."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass

from onnx import FunctionProto, ModelProto, NodeProto, helper

from reluflow.errors import ModelError
from reluflow.graph.proto.external import walk_graphs
from reluflow.graph.proto.inline import domain_of, inline_functions
from reluflow.graph.proto.model import Model
from reluflow.graph.proto.own_domain import OWN_DOMAIN, PSB_CONV
from reluflow.graph.psb.nodes import is_psb, psb_inputs
from reluflow.graph.psb.standard.drawn import decoding_functions, drawing, drawing_name
from reluflow.graph.rewrite.contract import Refused, Rewritten
from reluflow.graph.rewrite.draft import Draft, retain
from reluflow.graph.rewrite.reader import attribute, name_of

_REGION_PLACE = 6
"""Number of the input `region` of PsbConv, whose function has it and does not read it."""


@dataclass(frozen=True, slots=True)
class Inlined:
    """What `inline_psb` wrote in place of what.

    Attributes:
        operators: operator of this library -> number of its nodes that became standard operators.
        functions: number of nodes that called other functions.
        drawn: names of the operators that draw by the seed; the others round to nearest.
        nodes: number of nodes before and after, those of subgraphs included.
        dropped: inputs that no longer have a default, so that every run gives them.
    """

    operators: dict[str, int]
    functions: int
    drawn: tuple[str, ...]
    nodes: tuple[int, int]
    dropped: tuple[str, ...]


def inline_psb(
    model: Model, *, nearest: bool = False, input_defaults: bool = False
) -> Rewritten[Inlined]:
    """Write all functions of a converted model out in ONNX's own operators.

    Where the sampler is systematic and weights are drawn once per run, the new operators also draw
    as the native library does, bit for bit: the functions that a file carries only round to
    nearest. `samples` and `seed` stay inputs.

    Args:
        model: a converted model with its functions, not changed.
        nearest: leave the draws out: a smaller graph, in which the seed has no effect.
        input_defaults: keep the defaults of `samples` and `seed`; some runtimes, such as
            onnxruntime-web, take an input with a default for a constant.

    Returns:
        The new model, what was inlined, and as `refused` the operators that keep rounding to
        nearest although their sampler draws.

    Raises:
        ModelError: the model has no PSB operator, an operator has no function, such as one that
            computes regions, or a function needs another version of ONNX's operators.

    Example:
        >>> from reluflow.graph import inline_psb, load, to_psb
        >>> psb = to_psb(load("models/fashion_resnet8.onnx")).model
        >>> made = inline_psb(psb)
        >>> made.done.operators, len(made.done.drawn)
        ({'PsbConv': 9, 'PsbMatMul': 1}, 10)
        >>> [spec.name for spec in made.model.inputs], "ai.reluflow" in made.model.opset
        (['image', 'samples', 'seed'], False)

    Reference: docs/psb-ops.md; docs/web.md.
    """
    names = psb_inputs(model)
    draft = Draft(model)
    proto = draft.proto
    _check_functions(proto)
    before = _n_nodes(proto)
    local = {(domain_of(f.domain), f.name) for f in proto.functions}
    calls = [n for n in _nodes(proto) if (domain_of(n.domain), n.op_type) in local]
    own = Counter(node.op_type for node in calls if node.domain == OWN_DOMAIN)
    drawn: tuple[str, ...] = ()
    refused: tuple[Refused, ...] = ()
    if not nearest:
        drawn, refused = _put_draws(proto, model.opset[""])
    proto.CopyFrom(_inlined(proto))
    _share_constants(proto)
    stored = [tensor.name for tensor in proto.graph.initializer]
    dropped = () if input_defaults else tuple(name for name in stored if name in names)
    retain(proto.graph.initializer, lambda tensor: tensor.name not in dropped)
    done = Inlined(
        dict(sorted(own.items())),
        len(calls) - own.total(),
        drawn,
        (before, _n_nodes(proto)),
        dropped,
    )
    return draft.finish(done, refused)


def _nodes(proto: ModelProto) -> Iterator[NodeProto]:
    for graph in walk_graphs(proto):
        yield from graph.node


def _n_nodes(proto: ModelProto) -> int:
    return sum(1 for _ in _nodes(proto))


def _check_functions(proto: ModelProto) -> None:
    """Refuse a model with an operator of this library that no function computes."""
    known = {f.name: f for f in proto.functions if f.domain == OWN_DOMAIN}
    for node in _nodes(proto):
        if node.domain != OWN_DOMAIN:
            continue
        if node.op_type not in known:
            raise ModelError(
                f"node {name_of(node)!r} ({node.op_type}) has no function in the model, so it "
                "needs the native library; give a model as psb convert writes it."
            )
        if _has_region(node, known[node.op_type]):
            raise ModelError(
                f"node {name_of(node)!r} ({node.op_type}) computes a region, which its function "
                "does not; give the model as psb convert writes it."
            )


def _has_region(node: NodeProto, function: FunctionProto) -> bool:
    beyond = list(node.input[len(function.input) :])
    if node.op_type == PSB_CONV:
        beyond += node.input[_REGION_PLACE : _REGION_PLACE + 1]
    return any(beyond)


def _put_draws(proto: ModelProto, opset: int) -> tuple[tuple[str, ...], tuple[Refused, ...]]:
    """Let operators call functions that draw; return their names, and those that cannot."""
    functions = {f.name: f for f in proto.functions if f.domain == OWN_DOMAIN}
    made: dict[str, FunctionProto] = {}
    drawn, refused = [], []
    for node in filter(is_psb, list(_nodes(proto))):
        if attribute(node, "sampler", "systematic") == "nearest":
            continue
        rounding = str(attribute(node, "rounding", "half"))
        reason = _why_not(node)
        function = None if reason else drawing(functions[node.op_type], rounding)
        if function is None:
            reason = reason or "its function is not of this version; convert the model again"
            refused.append(Refused(name_of(node), node.op_type, reason))
            continue
        drawn.append(name_of(node))
        made[function.name] = function
        node.op_type = drawing_name(node.op_type, rounding)
        if attribute(node, "stream") is None:
            node.attribute.append(helper.make_attribute("stream", 0))
    if made:
        proto.functions.extend([*decoding_functions(opset), *made.values()])
    return tuple(drawn), tuple(refused)


def _why_not(node: NodeProto) -> str:
    """Return why an operator cannot draw in standard operators, "" where it can."""
    if attribute(node, "draws", "run") != "run":
        return "it draws for every product, so it rounds to nearest here"
    if attribute(node, "sampler", "systematic") != "systematic":
        return "its sampler is binomial, so it rounds to nearest here"
    return ""


def _inlined(proto: ModelProto) -> ModelProto:
    flat = inline_functions(proto)
    left = sorted({f"{f.domain}.{f.name}" for f in flat.functions})
    if left:
        raise ModelError(
            f"function {left[0]!r} needs another version of ONNX's operators than the model, so it "
            "cannot be inlined; convert the model again."
        )
    used = {domain_of(node.domain) for node in _nodes(flat)}
    retain(flat.opset_import, lambda entry: domain_of(entry.domain) in {*used, ""})
    return flat


def _share_constants(proto: ModelProto) -> None:
    """Keep one of the main graph's Constant nodes of each value: every function brought its own."""
    graph = proto.graph
    outputs = {value.name for value in graph.output}
    first: dict[bytes, str] = {}
    instead: dict[str, str] = {}
    for node in graph.node:
        if node.op_type == "Constant" and not domain_of(node.domain):
            value = node.attribute[0].SerializeToString(deterministic=True)
            kept = first.setdefault(value, node.output[0])
            if kept != node.output[0] and node.output[0] not in outputs:
                instead[node.output[0]] = kept
    retain(graph.node, lambda node: node.output[:1] != [] and node.output[0] not in instead)
    for node in _nodes(proto):  # subgraphs read the main graph's constants, too
        for place, name in enumerate(node.input):
            node.input[place] = instead.get(name, name)
