"""Writing measures into a model as NodeProto.metadata_props, which viewers show."""

from __future__ import annotations

from collections.abc import Mapping

from reluflow.errors import OptionError
from reluflow.graph.proto.model import Model
from reluflow.graph.rewrite.contract import Rewritten
from reluflow.graph.rewrite.draft import Draft
from reluflow.graph.sites.find import locate
from reluflow.graph.view.structure import walk_nodes

PREFIX = "reluflow."
"""Start of every key written."""


def annotate(model: Model, metrics: Mapping[str, Mapping[str, str]]) -> Rewritten[tuple[str, ...]]:
    """Write per-site metrics to the site's node; nothing else changes.

    A node of a local function represents one site per call: there the site's scope is put between
    the prefix and the key.

    Args:
        model: the model, not changed.
        metrics: `SwitchSite.name` -> key -> text.

    Returns:
        A copy of the model with metadata keys such as "reluflow.entropy_bits", and the names of
        the sites that have them.

    Raises:
        OptionError: a name is not that of a site of the model.

    Example:
        >>> import onnx.parser
        >>> from reluflow.graph import load
        >>> proto = onnx.parser.parse_model('''<ir_version: 10, opset_import: ["" : 21]>
        ...     g (float[N,4] x) => (float[N,4] y) { [act] y = Relu(x) }''')
        >>> noted = annotate(load(proto), {"act": {"entropy_bits": "2.5"}})
        >>> noted.model.n_nodes, noted.done
        (1, ('act',))
    """
    known = {located.site.name: located for located in locate(model)}
    unknown = sorted(set(metrics) - set(known))
    if unknown:
        raise OptionError(
            f"metrics name the site {unknown[0]!r}, which the model does not have; "
            "use the names that find_sites gives."
        )
    draft = Draft(model)
    nodes = list(walk_nodes(draft.proto))
    noted = []
    for name, values in metrics.items():
        located = known[name]
        if located.node.tag < 0:
            continue
        noted.append(name)
        node = nodes[located.node.tag]
        start = PREFIX + (f"{located.site.scope}." if located.node.in_function else "")
        entries = {entry.key: entry for entry in node.metadata_props}
        for key, value in values.items():
            entry = entries.get(start + key) or node.metadata_props.add()
            entry.key, entry.value = start + key, value
    return draft.finish(tuple(noted))
