"""Finding switch sites: every node is shown to the matchers of its operator."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, replace

from reluflow.graph.proto.model import Model
from reluflow.graph.proto.own_domain import OWN_DOMAIN
from reluflow.graph.sites.candidates import Found, collect
from reluflow.graph.sites.layers import feeding_layer
from reluflow.graph.sites.site import LeftOut, Survey, SwitchSite
from reluflow.graph.sites.units import unit_axis
from reluflow.graph.view.index import Node, Scope
from reluflow.graph.view.nesting import why_no_output
from reluflow.graph.view.structure import Structure, build_structure


@dataclass(frozen=True, slots=True)
class Located:
    """A site and its location in the flat graph.

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


@dataclass(frozen=True, slots=True)
class _Found:
    """The result that is kept on a model."""

    located: tuple[Located, ...]
    survey: Survey


def find_sites(model: Model, *, smooth: bool = False) -> tuple[SwitchSite, ...]:
    """Find every place where a value is compared with a threshold.

    Args:
        model: the model, not changed.
        smooth: also report the smooth relatives (Gelu, Silu, Elu, ...), threshold 0.

    Returns:
        The sites in graph order, sites of a subgraph at the place of the node that holds it;
        empty for a model without any switch. `untappable` says which cannot be tapped and why.

    Example:
        >>> import onnx.parser
        >>> from reluflow.graph import load
        >>> proto = onnx.parser.parse_model('''<ir_version: 8, opset_import: ["" : 17]>
        ...     g (float[N,4] x) => (float[N,4] y) { y = Relu(x) }''')
        >>> [(site.op, site.tensor, site.units) for site in find_sites(load(proto))]
        [('Relu', 'x', 4)]

    Reference: docs/spec.md, section 1; thesis 2.2.4 and 3.2.2.
    """
    return tuple(found.site for found in locate(model) if smooth or not found.site.smooth)


def survey_sites(model: Model, *, smooth: bool = False) -> Survey:
    """Find the switch sites, and say for every other candidate why it is not one.

    Args:
        model: the model, not changed.
        smooth: whether the smooth relatives are sites; otherwise they are left out with that
            reason.

    Returns:
        Sites, nodes left out and other folds at 0: every node whose operator or activation
        attribute could be a switch is in one of them.

    Example:
        >>> import onnx.parser
        >>> from reluflow.graph import load
        >>> proto = onnx.parser.parse_model('''<ir_version: 8, opset_import: ["" : 17]>
        ...     g (float[N,4] x) => (float[N,4] y) { r = Relu(x) [pull] y = Clip(r) }''')
        >>> found = survey_sites(load(proto))
        >>> [site.op for site in found.sites], [(n.name, n.reason) for n in found.left_out]
        (['Relu'], [('pull', 'it has no lower bound')])

    Reference: docs/spec.md, section 1.
    """
    survey = _found(model).survey
    if smooth:
        return survey
    left = [
        LeftOut(site.name, site.op, site.scope, "it is smooth: a site on request only")
        for site in survey.sites
        if site.smooth
    ]
    sites = tuple(site for site in survey.sites if not site.smooth)
    return Survey(sites, (*survey.left_out, *left), survey.folds)


def locate(model: Model) -> tuple[Located, ...]:
    """Find the sites of a model, smooth ones included, with their locations; kept on the model."""
    return _found(model).located


def _found(model: Model) -> _Found:
    if model._located is None:
        structure = build_structure(model._proto, model._base_dir)
        opset = model.opset.get("", 1)
        functions = model._proto.functions
        own = [f.name for f in functions if f.domain == OWN_DOMAIN]
        sites, left_out, folds = collect(structure, own)
        located = tuple(_named([_locate(each, structure, opset) for each in sites]))
        survey = Survey(tuple(each.site for each in located), left_out, folds)
        model._located = (_Found(located, survey),)
    found: _Found = model._located[0]
    return found


def _locate(found: Found, structure: Structure, opset: int) -> Located:
    match, node, scope = found.match, found.node, found.scope
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
        units=match.units or units,
        shape=shape,
        scope=node.scope,
        smooth=match.smooth,
        untappable=reason or why_no_output(scope, match.tensor, opset),
        layer=feeding_layer(scope, match.tensor, structure.names),
    )
    return Located(site, node, scope, match.tensor)


def _named(found: list[Located]) -> Iterator[Located]:
    """Make names unique: by scope where a name occurs twice, then by number."""
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
