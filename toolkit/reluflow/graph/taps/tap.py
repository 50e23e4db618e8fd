"""Making pre-activations visible: one extra output for each."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from onnx import ModelProto, NodeProto, TensorProto, helper

from reluflow.errors import ModelError, OptionError
from reluflow.graph.proto.external import walk_graphs
from reluflow.graph.proto.model import Model
from reluflow.graph.proto.versions import CAST_TO_NUMBER
from reluflow.graph.rewrite.contract import Refused, Rewritten
from reluflow.graph.rewrite.draft import Draft, retain
from reluflow.graph.sites.find import Located, locate
from reluflow.graph.sites.site import SwitchSite
from reluflow.graph.view.nesting import Wanted, carry_out, loop_depth, steps

_AS_THEY_ARE = (TensorProto.FLOAT, TensorProto.DOUBLE)
_TO_DOUBLE = (TensorProto.INT32, TensorProto.UINT32, TensorProto.INT64, TensorProto.UINT64)


@dataclass(frozen=True, slots=True)
class Tap:
    """The output with the pre-activation of a site; part of what `tap` returns.

    Attributes:
        site: the site.
        output: name of the model output; sites on one tensor share it.
        behind: True where the output is the result of the switch, which is above the threshold
            exactly where the pre-activation is.
        unit_axis: axis of that output that enumerates the units; the site's own, moved by
            one where a loop stacks its iterations in front.
    """

    site: SwitchSite
    output: str
    unit_axis: int
    behind: bool = False


def tap(
    model: Model, sites: Sequence[SwitchSite], *, behind: bool = False
) -> Rewritten[tuple[Tap, ...]]:
    """Return a copy of the model with the pre-activations of some sites as outputs.

    Taps deliver float32 or float64: other types are cast, which keeps every comparison with
    the threshold. A branch of an If that did not run yields a tensor without samples; a loop stacks
    its iterations along a new first axis. IR version and opset stay; local functions are inlined
    where they contain a site.

    Args:
        model: the model, not changed.
        sites: of this model, from `find_sites`.
        behind: tap a float32 Relu or Clip(0, .) of the main graph at its output, so that a runtime
            may still fuse it with the node before it. The bits are the same, and NaN and +infinity
            stay visible; -infinity does not.

    Returns:
        The model with one more output for each pre-activation, after its own outputs, one tap
        for each site tapped, in the given order, and the refused sites by name.

    Raises:
        OptionError: a site is not one of the model's.
        ModelError: the model has no inputs, or inputs that are not numeric tensors.

    Example:
        >>> import onnx.parser
        >>> from reluflow.graph import find_sites, load
        >>> proto = onnx.parser.parse_model('''<ir_version: 8, opset_import: ["" : 17]>
        ...     g (float[N,4] x, float[N,4] b) => (float[N,4] y) { a = Add(x, b) y = Relu(a) }''')
        >>> model = load(proto)
        >>> tap(model, find_sites(model)).model.outputs
        ('y', 'a')

    Reference: docs/spec.md, section 1.
    """
    _check_inputs(model)
    known = {located.site.name: located for located in locate(model)}
    chosen = [(site, _found(known, site)) for site in sites]
    refused = tuple(
        Refused(site.name, site.op, site.untappable or located.site.untappable)
        for site, located in chosen
        if site.untappable or located.site.untappable
    )
    able = [(s, f) for s, f in chosen if not (s.untappable or f.site.untappable)]
    visible = _visible(model._proto) if model._proto.functions else set()
    # Only where a site needs it: inlined functions make a file that its author does not know again.
    inline = bool(model._proto.functions) and any(
        located.node.in_function or located.tensor not in visible for _, located in able
    )
    draft = Draft(model, inline)
    tapper = _Tapper(draft)
    taps = tuple(tapper.tap(site, located, behind) for site, located in able)
    tapper.finish()
    return draft.finish(taps, refused)


def _check_inputs(model: Model) -> None:
    if not model.inputs:
        raise ModelError(
            "the model has no inputs, so its activations cannot depend on data; "
            "give a model with at least one input."
        )
    for spec in model.inputs:
        if spec.dtype == object:
            raise ModelError(
                f"input {spec.name!r} is no tensor of numbers (strings, sequences and maps are "
                "not accepted); cut the model after its preprocessing."
            )


def _found(known: dict[str, Located], site: SwitchSite) -> Located:
    located = known.get(site.name)
    if located is None or (located.site.tensor, located.site.scope) != (site.tensor, site.scope):
        raise OptionError(
            f"site {site.name!r} on tensor {site.tensor!r} is not a site of this model; "
            "pass sites that find_sites returned for it."
        )
    return located


def _visible(proto: ModelProto) -> set[str]:
    """Return the tensors that can be named without inlining any function."""
    names: set[str] = set()
    for graph in walk_graphs(proto):
        names.update(value.name for value in (*graph.input, *graph.initializer))
        names.update(name for node in graph.node for name in node.output)
    return names


def _same_behind(located: Located) -> bool:
    """Tell whether the switch's result is positive exactly where its input is."""
    node, scope = located.node, located.scope
    return (
        scope.parent is None
        and not node.in_function
        and located.site.op == node.op
        and node.op in ("Relu", "Clip")
        and located.site.threshold == 0.0
        and scope.type_of(located.tensor).elem_type == TensorProto.FLOAT
        and scope.type_of(node.outputs[0]).elem_type == TensorProto.FLOAT
    )


def _moved(axis: int, loops: int) -> int:
    return axis + loops if axis >= 0 else axis


class _Tapper:
    """Adds outputs to a model, each pre-activation once."""

    def __init__(self, draft: Draft) -> None:
        proto = self.proto = draft.proto
        self.names = draft.names
        self.done: dict[tuple[int, str], str] = {}
        self.opset = next((e.version for e in proto.opset_import if e.domain in ("", "ai.onnx")), 1)
        self.outputs = {value.name for value in proto.graph.output}

    def tap(self, site: SwitchSite, located: Located, behind: bool) -> Tap:
        """Return the tap of a site; add its output if necessary."""
        behind = behind and _same_behind(located)
        tensor = located.node.outputs[0] if behind else located.tensor
        key = (id(located.scope), tensor)
        if key not in self.done:
            self.done[key] = self._expose(replace(located, tensor=tensor))
        axis = _moved(site.unit_axis, loop_depth(located.scope))
        return Tap(site, self.done[key], axis, behind)

    def finish(self) -> None:
        """Remove tensors that are now outputs with a type from the list of inner tensors."""
        retain(self.proto.graph.value_info, lambda value: value.name not in self.outputs)

    def _expose(self, located: Located) -> str:
        scope, tensor = located.scope, located.tensor
        known = scope.type_of(tensor)
        elem_type, node = self._delivery(tensor, known.elem_type)
        graph = self.proto.graph
        if scope.parent is not None:
            return self._carry(located, elem_type, node)
        if known.elem_type in _AS_THEY_ARE and scope.producer(tensor) is not None:
            # A tensor that a node makes can be an output as it is. An input of the model, or one
            # that is an output already under another type, goes through a node of its own.
            if tensor in self.outputs:
                return tensor
            name = tensor
        else:
            name = self.names.fresh(tensor)
            node.output.append(name)
            graph.node.append(node)
        graph.output.append(helper.make_tensor_value_info(name, elem_type, known.shape))
        self.outputs.add(name)
        return name

    def _delivery(self, tensor: str, elem_type: int) -> tuple[int, NodeProto]:
        """Choose what a tap returns, and the node that produces it."""
        if elem_type in _AS_THEY_ARE:
            return elem_type, helper.make_node("Identity", [tensor], [])
        wanted = TensorProto.DOUBLE if elem_type in _TO_DOUBLE else TensorProto.FLOAT
        to = wanted if self.opset >= CAST_TO_NUMBER else TensorProto.DataType.Name(wanted)
        return wanted, helper.make_node("Cast", [tensor], [], to=to)

    def _carry(self, located: Located, elem_type: int, node: NodeProto) -> str:
        scope, graph = located.scope, self.proto.graph
        rank = len(scope.type_of(located.tensor).shape or ())
        loops = loop_depth(scope)
        # What a branch that did not run delivers: no samples, but as many units as the site has, so
        # that it can be joined to batches that did.
        empty = [0] * rank
        if rank > 1:
            empty[located.site.unit_axis] = located.site.units or 1
        wanted = Wanted(located.tensor, elem_type, rank, tuple(empty))
        name = carry_out(graph, steps(scope), node, wanted, self.names)
        shape = [None] * (rank + loops)
        graph.output.append(helper.make_tensor_value_info(name, elem_type, shape))
        self.outputs.add(name)
        return name
