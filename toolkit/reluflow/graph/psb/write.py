"""Writing PSB operators into a model."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from onnx import TensorProto, helper

from reluflow.graph.proto.own_domain import ADDEND_PLACE, FROM_THE_RUN, OWN_DOMAIN
from reluflow.graph.psb.factors import put_factors
from reluflow.graph.psb.function import MIN_IR, psb_functions
from reluflow.graph.psb.nodes import psb_places
from reluflow.graph.psb.options import PsbOptions
from reluflow.graph.psb.read import Multiply
from reluflow.graph.rewrite.edit import Editor, copy_documentation
from reluflow.graph.rewrite.reader import name_of
from reluflow.psb import encode, pack

_AT_ONCE = 2**21
"""Weights encoded at a time: bounds memory, some numbers of 8 bytes each. Not measured."""
_NEXT_ROWS = 2**32
"""Distance between the seeds of one step and the next, so that smaller seeds never collide."""


class PsbWriter:
    """Replaces operators by PSB operators.

    Attributes:
        samples: name of the graph input for n.
        seed: name of the graph input for the seed.
    """

    def __init__(self, editor: Editor, options: PsbOptions) -> None:
        self.editor = editor
        self.options = options
        zero = np.array(0, np.int64)
        editor.raise_ir(MIN_IR)
        self.samples = editor.add_input("samples", zero)
        self.seed = editor.add_input("seed", zero)
        self._wide: dict[tuple[int, str], str] = {}
        self._ops: set[str] = set()
        self._stream = 0

    def write(self, found: Multiply, editor: Editor) -> str:
        """Replace one operator and the nodes that it takes over; return its output.

        Args:
            found: the operator.
            editor: of the graph in which it stands.
        """
        output = found.output
        typed = editor.types.get(output)
        narrow = found.dtype != np.float32
        x = self._widened(found, editor) if narrow else found.x
        name = name_of(found.node)
        inputs = [x, *self._constants(found, editor), self.samples, self.seed]
        made = editor.fresh(output, "float32") if narrow else output
        node = helper.make_node(
            found.op, inputs, [made], name=name, domain=OWN_DOMAIN, **self._attributes(found)
        )
        copy_documentation(found.node, node)
        for merged in found.merged:
            editor.remove(merged)
        editor.replace(found.node, node)
        if narrow:
            to = helper.np_dtype_to_tensor_dtype(found.dtype)
            cast = helper.make_node("Cast", [made], [output], to=to)
            editor.insert(cast, after=node)
        elif typed is not None and typed.shape is not None:
            editor.describe(output, TensorProto.FLOAT, typed.shape)
        self._ops.add(found.op)
        self._stream += 1
        return made

    def _widened(self, found: Multiply, editor: Editor) -> str:
        """Return a float32 copy of the tensor that a float16 or bfloat16 operator multiplies."""
        key = id(editor), found.x
        if key not in self._wide:
            wide = editor.fresh(found.x, "float32")
            cast = helper.make_node("Cast", [found.x], [wide], to=TensorProto.FLOAT)
            editor.insert(cast, after=editor.producer(found.x))
            self._wide[key] = wide
        return self._wide[key]

    def _constants(self, found: Multiply, editor: Editor) -> list[str]:
        options = self.options
        planes, emax = _encoded(found, options, options.seed + self._stream)
        stem = f"psb{self._stream}"
        parts: dict[str, np.ndarray] = {
            "planes": planes,
            "emax": emax,
            "bias": _short(found.bias.astype(np.float32)),
        }
        return [editor.add_initializer(stem, what, part) for what, part in parts.items()]

    def _attributes(self, found: Multiply) -> dict[str, Any]:
        options = self.options
        attributes: dict[str, Any] = {
            "weight_shape": list(found.weights.shape),
            "p_bits": options.bits_of(name_of(found.node)),
            "stream": self._stream,
            **found.attributes,
        }
        others = {  # no body reads them, so no function declares them
            "sampler": (options.sampler, "systematic"),
            "draws": (options.draws, "run"),
            "rounding": (options.rounding, "half"),
        }
        attributes |= {key: value for key, (value, usual) in others.items() if value != usual}
        attributes |= activation_attributes(found.activation, found.bounds)
        attributes["x_bits"] = options.x_bits
        attributes["x_exponent"] = int(options.x_exponents.get(found.x, FROM_THE_RUN))
        return attributes

    def finish(self) -> None:
        """Add the functions and the operator set of the operators that were written."""
        proto = self.editor.proto
        if self.options.node_bits:
            own = psb_places(self.editor)
            factors = {name_of(node): self.options.factor_of(name_of(node)) for _, node in own}
            put_factors(self.editor, factors, own)
        adding = {
            node.op_type
            for place in self.editor.everywhere()
            for node in place.nodes
            if len(node.input) > ADDEND_PLACE.get(node.op_type, len(node.input))
        }
        proto.functions.extend(
            psb_functions(self._ops, self.editor.opset, adding, self.options.rounding)
        )
        proto.opset_import.append(helper.make_opsetid(OWN_DOMAIN, 1))


def activation_attributes(activation: str, bounds: tuple[float, float]) -> dict[str, Any]:
    """Return the attributes that describe an activation."""
    return {"activation": activation, "clip_min": float(bounds[0]), "clip_max": float(bounds[1])}


def _encoded(
    found: Multiply, options: PsbOptions, seed: int
) -> tuple[NDArray[np.uint8], NDArray[np.int8]]:
    """Return bit planes and exponents; a few channels at a time, whose weights fill whole bytes."""
    per_channel = found.weights[0].size
    # whole bytes of bit planes, so that the steps can be joined
    rows = 8 * max(1, _AT_ONCE // (8 * per_channel))
    if options.per_tensor:
        rows = len(found.weights)
    planes, emax = [], []
    for start in range(0, len(found.weights), rows):
        code = encode(
            found.weights[start : start + rows],
            p_bits=options.bits_of(name_of(found.node)),
            small=options.small_weights,
            seed=seed,
            per_tensor=options.per_tensor,
        )
        planes.append(pack(code))
        emax.append(code.emax)
        seed += _NEXT_ROWS
    return np.concatenate(planes, axis=1), np.concatenate(emax)


def _short(bias: np.ndarray) -> np.ndarray:
    """Return one zero for a bias of zeros: the operators accept it, and it takes 4 bytes."""
    return bias if bias.any() else bias[:1]
