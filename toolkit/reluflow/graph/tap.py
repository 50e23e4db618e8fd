"""Making pre-activations visible: one extra output for each."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from onnx import ModelProto, NodeProto, TensorProto, ValueInfoProto, helper

from reluflow.errors import ModelError, OptionError
from reluflow.graph._copy import copy_proto
from reluflow.graph._tap_scopes import NameMaker, Wanted, carry_out, loop_depth, steps
from reluflow.graph.model import Model
from reluflow.graph.site import SwitchSite
from reluflow.graph.sites import Located, locate

_AS_THEY_ARE = (TensorProto.FLOAT, TensorProto.DOUBLE)
_TO_DOUBLE = (TensorProto.INT32, TensorProto.UINT32, TensorProto.INT64, TensorProto.UINT64)


@dataclass(frozen=True, slots=True)
class Tap:
    """Where the pre-activation of a site comes out.

    Attributes:
        site: the site.
        output: name of the model output; sites on one tensor share it.
        unit_axis: axis of that output that enumerates the units; the site's own, moved by
            one where a loop stacks its iterations in front.
    """

    site: SwitchSite
    output: str
    unit_axis: int


@dataclass(frozen=True, slots=True)
class TapResult:
    """A tapped model, and what was done to it.

    Attributes:
        model: the model with one more output for each pre-activation, after its own outputs.
        taps: one for each site tapped, in the order asked for.
        refused: sites that could not be tapped; `untappable` says why.
    """

    model: Model
    taps: tuple[Tap, ...]
    refused: tuple[SwitchSite, ...]


def tap(model: Model, sites: Sequence[SwitchSite]) -> TapResult:
    """Make the pre-activations of some sites outputs of a copy of the model.

    Taps deliver float32 or float64: other types are cast, which keeps every comparison with
    the threshold. A branch of an If that did not run delivers a tensor without samples; a
    loop stacks its iterations on a new first axis. IR version and opset stay; local
    functions are inlined where a site stands in one.

    Args:
        model: the model, not changed.
        sites: of this model, from `find_sites`.

    Returns:
        The tapped model, the taps and the sites refused.

    Raises:
        OptionError: a site is not one of the model's.
        ModelError: the model has no inputs, or inputs that are no numeric tensors.

    Example:
        >>> import onnx.parser
        >>> from reluflow.graph import find_sites, load
        >>> proto = onnx.parser.parse_model('''<ir_version: 8, opset_import: ["" : 17]>
        ...     g (float[N,4] x, float[N,4] b) => (float[N,4] y) { a = Add(x, b) y = Relu(a) }''')
        >>> model = load(proto)
        >>> tap(model, find_sites(model)).model.outputs
        ('y', 'a')

    Reference: SPEC, switch sites.
    """
    _check_inputs(model)
    known = {located.site.name: located for located in locate(model)}
    chosen = [(site, _found(known, site)) for site in sites]
    refused = tuple(
        replace(site, untappable=site.untappable or located.site.untappable)
        for site, located in chosen
        if site.untappable or located.site.untappable
    )
    able = [(s, f) for s, f in chosen if not (s.untappable or f.site.untappable)]
    proto = copy_proto(model, inline=any(_needs_inlining(located) for _, located in able))
    tapper = _Tapper(proto)
    taps = tuple(
        Tap(site, tapper.output(located), _moved(site.unit_axis, loop_depth(located.scope)))
        for site, located in able
    )
    return TapResult(Model(proto, base_dir=model.base_dir, notes=model.notes), taps, refused)


def _check_inputs(model: Model) -> None:
    if not model.inputs:
        raise ModelError(
            "the model has no inputs, so its activations cannot depend on data; "
            "give a model with at least one input"
        )
    for spec in model.inputs:
        if spec.dtype == object:
            raise ModelError(
                f"input {spec.name!r} is no tensor of numbers (strings, sequences and maps are "
                "not accepted); cut the model after its preprocessing"
            )


def _found(known: dict[str, Located], site: SwitchSite) -> Located:
    located = known.get(site.name)
    if located is None or (located.site.tensor, located.site.scope) != (site.tensor, site.scope):
        raise OptionError(
            f"site {site.name!r} on tensor {site.tensor!r} is not a site of this model; "
            "pass sites that find_sites returned for it"
        )
    return located


def _needs_inlining(located: Located) -> bool:
    producer = located.scope.producer(located.tensor)
    return located.node.in_function or (producer is not None and producer.in_function)


def _moved(axis: int, loops: int) -> int:
    return axis + loops if axis >= 0 else axis


class _Tapper:
    """Adds outputs to a model, each pre-activation once."""

    def __init__(self, proto: ModelProto) -> None:
        self.proto = proto
        self.names = NameMaker(proto)
        self.done: dict[tuple[int, str], str] = {}
        self.opset = next((e.version for e in proto.opset_import if e.domain in ("", "ai.onnx")), 1)
        self.outputs = {value.name for value in proto.graph.output}

    def output(self, located: Located) -> str:
        """Return the output that shows a site's pre-activation; make it if need be."""
        key = (id(located.scope), located.tensor)
        if key not in self.done:
            self.done[key] = self._expose(located)
        return self.done[key]

    def _expose(self, located: Located) -> str:
        scope, tensor = located.scope, located.tensor
        known = scope.type_of(tensor)
        elem_type, node = self._delivery(tensor, known.elem_type)
        graph = self.proto.graph
        if scope.parent is not None:
            return self._carry(located, elem_type, node)
        if known.elem_type in _AS_THEY_ARE and scope.producer(tensor) is not None:
            if tensor in self.outputs:
                return tensor
            name = tensor
        else:
            name = self.names.fresh(tensor)
            node.output.append(name)
            graph.node.append(node)
        kept = [value for value in graph.value_info if value.name != name]
        if len(kept) < len(graph.value_info):
            copies = [ValueInfoProto.FromString(value.SerializeToString()) for value in kept]
            del graph.value_info[:]
            graph.value_info.extend(copies)
        graph.output.append(helper.make_tensor_value_info(name, elem_type, known.shape))
        self.outputs.add(name)
        return name

    def _delivery(self, tensor: str, elem_type: int) -> tuple[int, NodeProto]:
        """Choose what a tap delivers, and the node that makes it."""
        if elem_type in _AS_THEY_ARE:
            return elem_type, helper.make_node("Identity", [tensor], [])
        wanted = TensorProto.DOUBLE if elem_type in _TO_DOUBLE else TensorProto.FLOAT
        to = wanted if self.opset >= 6 else TensorProto.DataType.Name(wanted)
        return wanted, helper.make_node("Cast", [tensor], [], to=to)

    def _carry(self, located: Located, elem_type: int, node: NodeProto) -> str:
        scope, graph = located.scope, self.proto.graph
        rank = len(scope.type_of(located.tensor).shape or ())
        loops = loop_depth(scope)
        empty = [0] * rank
        if rank > 1:
            empty[located.site.unit_axis] = located.site.units or 1
        wanted = Wanted(located.tensor, elem_type, rank, tuple(empty))
        name = carry_out(graph, steps(scope), node, wanted, self.names)
        shape = [None] * (rank + loops)
        graph.output.append(helper.make_tensor_value_info(name, elem_type, shape))
        self.outputs.add(name)
        return name
