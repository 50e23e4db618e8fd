"""A graph whose shapes are known, as far as its constants and the shapes of its inputs tell."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import numpy as np
from onnx import AttributeProto, FunctionProto, NodeProto, ValueInfoProto, helper, numpy_helper

from reluflow.graph.proto.inline import domain_of
from reluflow.graph.proto.model import Model
from reluflow.graph.proto.own_domain import OWN_DOMAIN
from reluflow.graph.rewrite.reader import Reader, attribute
from reluflow.graph.sites.bound import bind
from reluflow.graph.spatial.own_shapes import has_rule, own_shape

_SHORT = 16
"""Elements of a vector that may hold sizes, starts or pads."""
_POOLS = ("MaxPool", "AveragePool", "LpPool")


def read_with_shapes(model: Model, inputs: Mapping[str, tuple[int, ...]]) -> Reader:
    """Return the index of a model without large weights, in which all shapes are inferred.

    Shape inference stops where a size is computed from another; here the results are stored in the
    graph and inference is repeated, until nothing more becomes known.

    Args:
        model: without local functions other than those of PSB operators; not changed.
        inputs: input -> shape.
    """
    bound = bind(model, inputs)
    # bodies are hundreds of nodes for each call, and say no more than the rules for shapes
    needed = [each for each in bound.functions if not (_is_own(each) and has_rule(each.name))]
    copies = [FunctionProto.FromString(each.SerializeToString()) for each in needed]
    del bound.functions[:]
    bound.functions.extend(copies)
    reader = Reader(bound, model.base_dir)
    while sum(write(reader) for write in (_store_shapes, _store_sizes, _pad_for_ceil, _store_own)):
        reader = Reader(bound, model.base_dir)
    return reader


def _is_own(function: FunctionProto) -> bool:
    return domain_of(function.domain) == OWN_DOMAIN


def known_shape(reader: Reader, tensor: str) -> tuple[int, ...] | None:
    """Return a tensor's shape, None where the graph does not tell all of it."""
    known = reader.types.get(tensor)
    if known is None or known.shape is None:
        return None
    sizes = tuple(size for size in known.shape if isinstance(size, int))
    return sizes if len(sizes) == len(known.shape) else None


def _store_shapes(reader: Reader) -> int:
    """Store the results of Shape where shapes are known; return how many."""
    graph, count = reader.proto.graph, 0
    for node in reader.nodes:
        if node.op_type == "Shape" and (shape := known_shape(reader, node.input[0])) is not None:
            start = int(str(attribute(node, "start", 0)))
            end = int(str(attribute(node, "end", len(shape))))
            value = np.array(shape[start:end], np.int64)
            graph.initializer.append(numpy_helper.from_array(value, node.output[0]))
            graph.node.remove(node)
            count += 1
    reader.reload()
    return count


def _store_sizes(reader: Reader) -> int:
    """Store short vectors of integers that constants determine; return how many.

    Shape inference follows what is stored.
    """
    graph = reader.proto.graph
    found = []
    for number, node in enumerate(reader.nodes):
        for place, name in enumerate(node.input):
            if place and reader.producer(name) is not None:
                value = reader.constant(name)
                if value is not None and value.dtype.kind == "i" and value.size <= _SHORT:
                    stored = f"{name}/sizes of {number}, {place}"
                    found.append((node, place, numpy_helper.from_array(value, stored)))
    for node, place, tensor in found:
        graph.initializer.append(tensor)
        node.input[place] = tensor.name
    return len(found)


def _pad_for_ceil(reader: Reader) -> int:
    """Write `ceil_mode` as padding at the end; return how many poolings had it.

    Windows that would begin in the padding at the end are left out, as runtimes do; shape inference
    counts them.
    """
    count = 0
    for node in reader.nodes:
        shape = known_shape(reader, node.input[0]) if node.op_type in _POOLS else None
        if shape is not None and attribute(node, "ceil_mode", 0):
            _write_pads(node, shape[2:])
            count += 1
    if count:  # what the file says of shapes behind them may come from shape inference
        graph = reader.proto.graph
        del graph.value_info[:]
        for value in graph.output:
            value.type.tensor_type.ClearField("shape")
    return count


def _write_pads(node: NodeProto, sizes: tuple[int, ...]) -> None:
    rank, mode = len(sizes), str(attribute(node, "auto_pad", "NOTSET"))
    kernel, strides, dilations = (
        _list(node, name, [1] * rank) for name in ("kernel_shape", "strides", "dilations")
    )
    pads = _list(node, "pads", [0] * 2 * rank) if mode == "NOTSET" else [0] * 2 * rank
    for i, size in enumerate(sizes):
        span = (kernel[i] - 1) * dilations[i] + 1
        count = -(-(size + pads[i] + pads[rank + i] - span) // strides[i]) + 1
        if (count - 1) * strides[i] >= size + pads[i]:
            count -= 1
        pads[rank + i] = max(0, (count - 1) * strides[i] + span - size - pads[i])
    # SAME fixes the number of windows, whatever ceil_mode says
    new = {"auto_pad": mode} if mode.startswith("SAME") else {"pads": pads}
    kept = [a for a in node.attribute if a.name not in ("ceil_mode", "pads", "auto_pad")]
    copies = [AttributeProto.FromString(a.SerializeToString()) for a in kept]
    del node.attribute[:]
    node.attribute.extend(copies)
    node.attribute.extend(helper.make_attribute(name, value) for name, value in new.items())


def _store_own(reader: Reader) -> int:
    """Store the shapes of what our own operators make; return how many became known.

    Their functions tell less: a branch on whether an input is empty ends inference.
    """
    told: dict[str, tuple[int, ...]] = {}
    graph = reader.graph
    for node in reader.nodes:
        target = node.output[0] if node.output else ""
        if domain_of(node.domain) != OWN_DOMAIN or known_shape(reader, target) is not None:
            continue
        source = told.get(node.input[0]) or known_shape(reader, node.input[0])
        found = None if source is None else own_shape(reader, node, source)
        if found is not None:
            told[target] = found[1]
            declared = next((each for each in graph.output if each.name == target), None)
            if declared is not None:  # inference believes it, and not what stands beside it
                declared.CopyFrom(helper.make_tensor_value_info(target, *found))
                continue
            kept = [each for each in graph.value_info if each.name != target]
            copies = [ValueInfoProto.FromString(each.SerializeToString()) for each in kept]
            del graph.value_info[:]
            graph.value_info.extend([*copies, helper.make_tensor_value_info(target, *found)])
    return len(told)


def _list(node: NodeProto, name: str, default: list[int]) -> list[int]:
    given = attribute(node, name)
    return list(given) if isinstance(given, Iterable) else default
