"""Finding switch sites: every node is shown to the matchers of its operator."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, replace

from onnx import TensorProto

from reluflow.graph._idioms import IDIOMS
from reluflow.graph._index import Node, Scope
from reluflow.graph._matches import Match
from reluflow.graph._ops import DIRECT
from reluflow.graph._quantised import QUANTISED
from reluflow.graph._smooth import SMOOTH
from reluflow.graph._structure import Structure, build_structure
from reluflow.graph._tap_scopes import refusal
from reluflow.graph._units import unit_axis
from reluflow.graph.model import Model
from reluflow.graph.site import SwitchSite

_NOT_NUMBERS = {TensorProto.BOOL, TensorProto.STRING, TensorProto.COMPLEX64, TensorProto.COMPLEX128}
_SIZES = {"Shape", "Size"}


@dataclass(frozen=True, slots=True)
class Located:
    """A site and where it is in the flat graph.

    Attributes:
        site: the public record.
        node: the flat node that makes the comparison.
        scope: the flat scope of that node.
        tensor: the pre-activation's flat name.
    """

    site: SwitchSite
    node: Node
    scope: Scope
    tensor: str


def find_sites(model: Model, *, smooth: bool = False) -> tuple[SwitchSite, ...]:
    """Find every place where a value is compared with a threshold.

    Args:
        model: the model, not changed.
        smooth: also report the smooth relatives (Gelu, Silu, Elu, ...), threshold 0.

    Returns:
        The sites in graph order, sites of a subgraph at the place of the node that holds it;
        empty for a model without any switch. `untappable` tells which cannot be tapped.

    Example:
        >>> import onnx.parser
        >>> from reluflow.graph import load
        >>> proto = onnx.parser.parse_model('''<ir_version: 8, opset_import: ["" : 17]>
        ...     g (float[N,4] x) => (float[N,4] y) { y = Relu(x) }''')
        >>> [(site.op, site.tensor, site.units) for site in find_sites(load(proto))]
        [('Relu', 'x', 4)]

    Reference: SPEC, switch sites; thesis 2.2.4 and 3.2.2.
    """
    return tuple(found.site for found in locate(model) if smooth or not found.site.smooth)


def locate(model: Model) -> tuple[Located, ...]:
    """Find the sites of a model, smooth ones included, and where they are; kept on the model."""
    if model._located is None:
        structure = build_structure(model._proto, model._base_dir)
        opset = model.opset.get("", 1)
        found = [
            _locate(match, node, scope, structure, opset)
            for match, node, scope in _matches(structure)
        ]
        model._located = tuple(_named(found))
    located: tuple[Located, ...] = model._located
    return located


def _matches(structure: Structure) -> list[tuple[Match, Node, Scope]]:
    found = []
    sizes: set[tuple[int, str]] = set()
    for scope, node in structure.main.walk():
        if _made_of_sizes(scope, node, sizes):
            sizes.update((id(scope), name) for name in node.outputs)
            continue
        match = _match(node, scope)
        if match is not None and _numeric(scope, match.tensor):
            found.append((match, node, scope))
    absorbed = {id(inner) for match, _, _ in found for inner in match.absorbs}
    return [entry for entry in found if id(entry[1]) not in absorbed]


def _made_of_sizes(scope: Scope, node: Node, sizes: set[tuple[int, str]]) -> bool:
    """Tell whether a node computes with sizes of tensors rather than with their values."""
    if node.domain:
        return False
    if node.op in _SIZES:
        return True
    homes = [(id(scope.home(name)), name) for name in node.inputs if name]
    return any(home in sizes for home in homes) and all(
        home in sizes or not _depends_on_input(scope, name)
        for home, name in zip(homes, filter(None, node.inputs), strict=True)
    )


def _depends_on_input(scope: Scope, tensor: str) -> bool:
    """Tell initializers and Constant nodes from everything else."""
    home = scope.home(tensor)
    if home is None or tensor in home.initializers:
        return False
    node = home.producers.get(tensor)
    return node is None or node.op != "Constant"


def _match(node: Node, scope: Scope) -> Match | None:
    key = (node.domain, node.op)
    matcher = DIRECT.get(key) or QUANTISED.get(key)
    if matcher is None and not node.domain:
        matcher = IDIOMS.get(node.op) or SMOOTH.get(node.op)
    if matcher is None or not node.inputs or not node.inputs[0]:
        return None
    return matcher(node, scope)


def _numeric(scope: Scope, tensor: str) -> bool:
    return scope.type_of(tensor).elem_type not in _NOT_NUMBERS


def _locate(match: Match, node: Node, scope: Scope, structure: Structure, opset: int) -> Located:
    axis, units = unit_axis(scope, match.tensor)
    shape = scope.type_of(match.tensor).shape
    reason = match.untappable
    if not reason and shape == ():
        reason = "the pre-activation is a single number, so it has no axis of units"
    site = SwitchSite(
        name=node.name,
        op=match.op,
        tensor=structure.names.get((node.scope, match.tensor), match.tensor),
        threshold=match.threshold,
        unit_axis=axis,
        units=units,
        shape=shape,
        scope=node.scope,
        smooth=match.smooth,
        untappable=reason or refusal(scope, match.tensor, opset),
    )
    return Located(site, node, scope, match.tensor)


def _named(found: list[Located]) -> Iterator[Located]:
    """Make names unique: by scope where a name comes twice, then by number."""
    counts = Counter(located.site.name for located in found)
    taken: set[str] = set()
    for located in found:
        stem = located.site.name
        if counts[stem] > 1 and located.site.scope:
            stem = f"{located.site.scope}/{stem}"
        name, number = stem, 1
        while name in taken or (name != stem and name in counts):
            number += 1
            name = f"{stem}#{number}"
        taken.add(name)
        yield replace(located, site=replace(located.site, name=name))
