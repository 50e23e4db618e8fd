"""A chained model in numpy: every operator by its oracle, ONNX's own by onnx.reference."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
from onnx import ModelProto, NodeProto, helper, numpy_helper
from onnx.reference import ReferenceEvaluator

from reluflow.graph import Model
from reluflow.graph.proto.own_domain import OWN_DOMAIN
from reluflow.graph.psb.nodes import code_of
from reluflow.psb.fixed import (
    COORDINATES,
    FixedFormat,
    fixed_add,
    fixed_average_pool,
    fixed_conv,
    fixed_global_average_pool,
    fixed_global_pool,
    fixed_max_pool,
    fixed_mul,
    fixed_resize,
    fixed_table,
    from_fixed,
    from_fixed_conv,
    from_fixed_matmul,
    to_fixed,
)

Values = dict[str, np.ndarray]


def run_oracle(
    model: Model, feeds: Mapping[str, np.ndarray], samples: int = 0, seed: int = 0
) -> list[np.ndarray]:
    """Run a model all of whose PSB operators are in chains.

    Args:
        model: of `chain_psb`.
        feeds: the model's inputs without samples and seed.
        samples: n.
        seed: of the run.
    """
    graph = model._proto.graph
    values: Values = {t.name: numpy_helper.to_array(t) for t in graph.initializer}
    values |= dict(feeds)
    for node in graph.node:
        if node.domain == OWN_DOMAIN:
            values[node.output[0]] = _OPS[node.op_type](_Call(node, values, samples, seed))
        else:
            _standard(model._proto, node, values)
    return [values[value.name] for value in graph.output]


def _standard(proto: ModelProto, node: NodeProto, values: Values) -> None:
    given = {name: values[name] for name in node.input if name}
    inputs = [
        helper.make_tensor_value_info(name, helper.np_dtype_to_tensor_dtype(array.dtype), None)
        for name, array in given.items()
    ]
    outputs = [helper.make_tensor_value_info(name, 0, None) for name in node.output]
    graph = helper.make_graph([node], "g", inputs, outputs)
    alone = helper.make_model(graph, opset_imports=list(proto.opset_import), ir_version=8)
    found: Any = ReferenceEvaluator(alone).run(None, given)
    values.update(zip(node.output, found, strict=True))


class _Call:
    """One node with its values and attributes."""

    def __init__(self, node: NodeProto, values: Values, samples: int, seed: int) -> None:
        self.node, self.samples, self.seed = node, samples, seed
        self.attributes = {a.name: helper.get_attribute_value(a) for a in node.attribute}
        self.inputs = [values[name] if name else None for name in node.input]

    def form(self, letter: str) -> FixedFormat:
        return FixedFormat(self.attributes[f"{letter}_exponent"], self.attributes[f"{letter}_zero"])

    def x(self, place: int = 0) -> np.ndarray:
        found = self.inputs[place]
        assert found is not None
        return found

    def optional(self, place: int) -> np.ndarray | None:
        found = self.inputs[place] if len(self.inputs) > place else None
        return None if found is None or not found.size else found

    def bounds(self) -> dict[str, int]:
        return {key: self.attributes[key] for key in ("y_min", "y_max")}

    def window(self) -> dict[str, Any]:
        kept = ("strides", "dilations", "pads")
        found = {k: self.attributes[k] for k in kept if k in self.attributes}
        return found | {"auto_pad": self.attributes.get("auto_pad", b"NOTSET").decode()}


def _conv(call: _Call) -> np.ndarray:
    z, given = call.optional(6), call.attributes
    return fixed_conv(
        call.x(),
        code_of(call.node, call.x(1), call.x(2)),
        np.broadcast_to(call.x(3), call.x(2).shape),
        z,
        x_form=call.form("x"),
        y_form=call.form("y"),
        z_form=None if z is None else call.form("z"),
        samples=call.samples,
        seed=call.seed,
        stream=given["stream"],
        sampler=given.get("sampler", b"systematic").decode(),
        group=given["group"],
        y_min=given["y_min"],
        y_max=given["y_max"],
        table=call.optional(7),
        **call.window(),
    )


def _end(call: _Call) -> np.ndarray:
    given = call.attributes
    how: dict[str, Any] = dict(
        x_form=call.form("x"),
        samples=call.samples,
        seed=call.seed,
        stream=given["stream"],
        sampler=given.get("sampler", b"systematic").decode(),
    )
    code = code_of(call.node, call.x(1), call.x(2))
    bias = np.broadcast_to(call.x(3), call.x(2).shape)
    if call.node.op_type == "FromFixedMatMul":
        return from_fixed_matmul(call.x(), code, bias, **how)
    return from_fixed_conv(call.x(), code, bias, group=given["group"], **how, **call.window())


_OPS: dict[str, Callable[[_Call], np.ndarray]] = {
    "ToFixed": lambda c: to_fixed(
        c.x(), c.form("y"), fills_quads=bool(c.attributes["fills_quads"])
    ),
    "FromFixed": lambda c: from_fixed(c.x(), c.form("x")),
    "FixedConv": _conv,
    "FromFixedConv": _end,
    "FromFixedMatMul": _end,
    "FixedMaxPool": lambda c: fixed_max_pool(c.x(), c.attributes["kernel_shape"], **c.window()),
    "FixedAdd": lambda c: fixed_add(
        c.x(0),
        c.x(1),
        a_form=c.form("a"),
        b_form=c.form("b"),
        y_form=c.form("y"),
        table=c.optional(2),
        **c.bounds(),
    ),
    "FixedMul": lambda c: fixed_mul(
        c.x(0), c.x(1), x_form=c.form("x"), s_form=c.form("s"), y_form=c.form("y"), **c.bounds()
    ),
    "FixedResize": lambda c: fixed_resize(
        c.x(0), c.x(1).tolist(), coordinates=COORDINATES[c.attributes["coordinates"]]
    ),
    "FixedTable": lambda c: fixed_table(c.x(0), c.x(1)),
    "FixedAveragePool": lambda c: fixed_average_pool(
        c.x(),
        c.attributes["kernel_shape"],
        **c.window(),
        x_form=c.form("x"),
        y_form=c.form("y"),
        count_include_pad=bool(c.attributes["count_include_pad"]),
    ),
    "FixedGlobalAveragePool": lambda c: fixed_global_average_pool(
        c.x(), x_form=c.form("x"), y_form=c.form("y")
    ),
    "FixedGlobalPool": lambda c: fixed_global_pool(c.x(), c.form("x")),
}
