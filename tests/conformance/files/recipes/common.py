"""Code shared by the recipes: where a file goes, and what is removed from it.

Exporters write the author's folders into stack traces. They say nothing about the graph, so
they go; nothing else of an exporter's output is changed.
"""

from __future__ import annotations

from pathlib import Path

import onnx

FOLDER = Path(__file__).resolve().parent.parent
MAX_BYTES = 30_000
_TRACE_KEYS = ("stack_trace", "fx_node", "class_hierarchy", "name_scopes")


def write(model: onnx.ModelProto, name: str) -> None:
    """Save a model as NAME.onnx beside the recipes' folder, without doc strings and traces."""
    _clean_graph(model.graph)
    for function in model.functions:
        function.doc_string = ""
        _clean_nodes(function.node)
    data = model.SerializeToString()
    if len(data) > MAX_BYTES:
        print(f"  {name}: {len(data)} bytes, more than {MAX_BYTES}")
    (FOLDER / f"{name}.onnx").write_bytes(data)
    print(f"{name}: {len(data)} bytes, opset {model.opset_import[0].version}")


def attempt(name: str, make: object) -> None:
    """Write what `make()` returns, or say in one line why the exporter refused."""
    try:
        write(make(), name)  # type: ignore[operator]
    except Exception as error:
        print(f"  {name}: NOT EXPORTED: {type(error).__name__}: {str(error)[:200]!r}")


def _clean_graph(graph: onnx.GraphProto) -> None:
    graph.doc_string = ""
    _clean_nodes(graph.node)
    for value in [*graph.input, *graph.output, *graph.value_info]:
        _clean_metadata(value)


def _clean_nodes(nodes: object) -> None:
    for node in nodes:  # type: ignore[attr-defined]
        node.doc_string = ""
        _clean_metadata(node)
        for attribute in node.attribute:
            for graph in [attribute.g, *attribute.graphs]:
                if graph.node:
                    _clean_graph(graph)


def _clean_metadata(owner: object) -> None:
    """Drop the metadata that holds stack traces and folder names."""
    props = getattr(owner, "metadata_props", None)
    if props is None:
        return
    for index in reversed(range(len(props))):
        if any(key in props[index].key for key in _TRACE_KEYS):
            del props[index]
