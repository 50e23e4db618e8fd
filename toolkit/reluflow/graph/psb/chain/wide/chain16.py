"""Letting the PSB convolutions of a converted model pass int16 to each other."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from onnx import NodeProto, TensorProto, helper

from reluflow.errors import ModelError, OptionError
from reluflow.graph.proto.check import check_model
from reluflow.graph.proto.inline import domain_of
from reluflow.graph.proto.model import Model
from reluflow.graph.proto.own_domain import (
    ADDEND_PLACE,
    FIXED_CONV_16,
    FIXED_GLOBAL_POOL_16,
    FIXED_MAX_POOL_16,
    FIXED_RESIZE_16,
    FROM_FIXED_16,
    FROM_THE_RUN,
    OWN_DOMAIN,
    PSB_CONV,
    PSB_PARTS,
    TO_FIXED_16,
    USUAL_X_BITS,
    PsbPlace,
)
from reluflow.graph.psb.chain.changes import ChainedNode
from reluflow.graph.psb.chain.layout import last
from reluflow.graph.psb.chain.resize import Linear
from reluflow.graph.psb.chain.tidy import live
from reluflow.graph.psb.chain.wide.functions16 import add_chain16_functions
from reluflow.graph.psb.chain.wide.share import (
    MOST_STEPS,
    SharedExponents,
    is_max_pool,
    keeps_axes_of_mean,
)
from reluflow.graph.psb.nodes import holds_psb, outside_chains
from reluflow.graph.rewrite.contract import Reason, Refused, Rewritten
from reluflow.graph.rewrite.edit import Editor
from reluflow.graph.rewrite.reader import attribute, name_of, reads
from reluflow.psb.fixed import FixedFormat
from reluflow.psb.fixed.chain import MOST_EXPONENT
from reluflow.psb.fixed.chain16 import to_fixed16

_KEPT = (
    "weight_shape",
    "p_bits",
    "sampler",
    "rounding",
    "stream",
    "strides",
    "dilations",
    "pads",
    "group",
    "auto_pad",
)
_WINDOW = ("kernel_shape", "strides", "pads", "dilations", "auto_pad")
_REGION = 6
"""Place of PsbConv's input `region`."""
_PASSING = ("MaxPool", "Concat", "Resize")
_KEEPING = ("MaxPool", "Resize")
"""What makes values of the same range as it reads."""
_ALONE = Reason("no other convolution passes int16 to it or takes them from it")


@dataclass(frozen=True, slots=True)
class Chain16Changes:
    """What passes int16 now; returned by `chain_psb16`.

    Attributes:
        chained: the nodes that joined, in graph order; the zero of a format is always 0.
        begins: tensors that become int16, in graph order.
        ends: tensors that are made of int16, in graph order.
    """

    chained: tuple[ChainedNode, ...]
    begins: tuple[str, ...]
    ends: tuple[str, ...]

    @property
    def nodes(self) -> dict[str, str]:
        """Name -> operator of the nodes that joined, in graph order."""
        return {node.name: node.op for node in self.chained}


def chain_psb16(
    model: Model, exponents: Mapping[str, int] | None = None, alone: bool = True
) -> Rewritten[Chain16Changes]:
    """Let the PSB convolutions of a converted model pass int16 to each other.

    A PsbConv joins where the exponents of what it reads, adds and makes are known: those given, and
    the calibrated ones of the convolutions that read a tensor. It keeps its bits, its draws and so
    its weights; sums stay exact, and only each output is rounded once. MaxPool, Concat, linear
    Resize between them and means over all pixels behind them join as well; what a Concat joins gets
    one exponent, the smallest, if the others are at most 3 larger.

    Args:
        model: of `to_psb`, not changed.
        exponents: tensor of the model -> f of its values v 2^-f, -100 to 100; before the
            calibrated ones.
        alone: whether a convolution joins that has no other to pass int16 to or to take them from.

    Returns:
        The new model, what joined, and the convolutions and Resizes that did not, with the reason.
        The operators are functions as well, for runs without the native library.

    Raises:
        ModelError: the model has no PSB operator.
        OptionError: an exponent is out of range.

    Example:
        >>> import onnx.parser
        >>> from reluflow.graph import load, to_psb
        >>> proto = onnx.parser.parse_model('''<ir_version: 8, opset_import: ["" : 17]>
        ...     g (float[N,1,4] x) => (float[N,1,4] y) <float[1,1,1] w = {0.5}>
        ...     { [one] h = Conv(x, w) r = Relu(h) [two] y = Conv(r, w) }''')
        >>> found = chain_psb16(to_psb(load(proto)).model, {"x": 9, "r": 10, "y": 11})
        >>> found.done.nodes, found.done.begins, found.done.ends
        ({'one': 'FixedConv16', 'two': 'FixedConv16'}, ('x',), ('y',))

    Reference: docs/psb-ops.md, chains of 16 bits.
    """
    for tensor, exponent in (exponents or {}).items():
        if not -MOST_EXPONENT <= exponent <= MOST_EXPONENT:
            raise OptionError(
                f"exponents[{tensor!r}]={exponent} is out of range; give -100 to 100."
            )
    editor = Editor(model)
    if not holds_psb(model):
        raise ModelError(
            f"model {str(model.path or '<memory>')!r} has no PSB operator; convert it with to_psb "
            "first."
        )
    known = {**_calibrated(editor.nodes), **(exponents or {})}
    writer = _Writer(editor, known)
    refused = [*writer.write(alone), *outside_chains(editor)]
    outputs = {value.name for value in editor.proto.graph.output}
    editor.nodes = live(writer.nodes, outputs)
    editor.commit()
    _drop_functions(editor)
    add_chain16_functions(editor)
    begins = tuple(n.input[0] for n in editor.nodes if n.op_type == TO_FIXED_16)
    ended = (FROM_FIXED_16, FIXED_GLOBAL_POOL_16)
    ends = tuple(n.output[0] for n in editor.nodes if n.op_type in ended)
    result = editor.finish(Chain16Changes(tuple(writer.joined), begins, ends), refused)
    check_model(result.model._proto, [model.base_dir or Path()], "the chained model")
    return result


def _drop_functions(editor: Editor) -> None:
    """Remove the functions of operators that the model no longer has, and what only they call."""
    functions = editor.proto.functions
    own = {function.name: function for function in functions if function.domain == OWN_DOMAIN}
    used = {PSB_PARTS}  # FixedConv16 calls it
    nodes = [node for place in editor.everywhere() for node in place.nodes]
    queue = [node.op_type for node in nodes if node.domain == OWN_DOMAIN]
    while queue:
        name = queue.pop()
        if name not in used and name in own:
            queue += [node.op_type for node in own[name].node if node.domain == OWN_DOMAIN]
        used.add(name)
    for index in reversed(range(len(functions))):
        if functions[index].domain == OWN_DOMAIN and functions[index].name not in used:
            del functions[index]


def _calibrated(nodes: list[NodeProto]) -> dict[str, int]:
    """Return the exponents of the tensors that calibrated convolutions read, and of their pools."""
    found: dict[str, int] = {}
    for node in nodes:
        if node.domain == OWN_DOMAIN and node.op_type == PSB_CONV:
            exponent = int(str(attribute(node, "x_exponent", FROM_THE_RUN)))
            if exponent != FROM_THE_RUN:
                x = node.input[PsbPlace.X]
                found[x] = min(found.get(x, exponent), exponent)
    for node in reversed(nodes):
        if node.op_type == "MaxPool" and not domain_of(node.domain) and node.output[0] in found:
            found.setdefault(node.input[0], found[node.output[0]])
    return found


class _Writer:
    """Writes the nodes again, in order: int16 where convolutions pass it, floats elsewhere."""

    def __init__(self, editor: Editor, exponents: Mapping[str, int]) -> None:
        self.editor = editor
        self.exponents = dict(exponents)
        self.nodes: list[NodeProto] = []
        self.joined: list[ChainedNode] = []
        self._values: dict[str, str] = {}  # tensor -> its int16
        self._made: set[str] = set()  # tensors that are made as int16
        self._floats: set[str] = set()  # those of them that are made floats again
        self._concats: set[int] = set()  # identities of those that join
        self._resizes: dict[int, Linear] = {}
        self._bits = 0  # of all values

    def write(self, alone: bool) -> list[Refused]:
        """Fill `nodes` and `joined`; return the convolutions and Resizes that stay outside."""
        refused = []
        faults = self._faults(alone)
        for node in self.editor.nodes:
            ours = node.domain == OWN_DOMAIN and node.op_type == PSB_CONV
            reason = faults.get(id(node))
            if reason is not None:
                refused.append(Refused(name_of(node), node.op_type, reason.text))
            if ours and reason is None:
                self._conv(node)
            elif not self._follows(node):
                for name in dict.fromkeys(reads(node)):
                    self._give_floats(name)
                self.nodes.append(node)
        for value in self.editor.proto.graph.output:
            self._give_floats(value.name)
        return refused

    def _faults(self, alone: bool) -> dict[int, Reason]:
        """Return why each PsbConv or Resize that cannot join does not, by the node's identity."""
        faults: dict[int, Reason] = {}
        convs: list[NodeProto] = []
        for node in self.editor.nodes:
            if node.domain == OWN_DOMAIN and node.op_type == PSB_CONV:
                reason = self._fault(node)
                if reason is None:
                    convs.append(node)
                    self._bits = int(str(attribute(node, "x_bits", USUAL_X_BITS)))
                else:
                    faults[id(node)] = reason
            elif node.op_type in _KEEPING and node.input[0] in self.exponents:
                self.exponents.setdefault(node.output[0], self.exponents[node.input[0]])
        if not alone:
            linked = self._linked(convs)
            faults |= {id(node): _ALONE for node in convs if id(node) not in linked}
        return faults | self._share([node for node in convs if id(node) not in faults])

    def _share(self, convs: list[NodeProto]) -> dict[int, Reason]:
        """Find the Concats and Resizes that join; return why other Resizes do not."""
        shared = SharedExponents(self.editor, self.exponents, convs, self._bits)
        self.exponents, self._concats = shared.exponents, shared.concats
        self._resizes = shared.resizes
        return shared.left

    def _linked(self, convs: list[NodeProto]) -> set[int]:
        """Return those of some convolutions that pass int16 to another or take them from one."""
        makers = {node.output[0]: {id(node)} for node in convs}
        for node in self.editor.nodes:
            if node.op_type in _PASSING and not domain_of(node.domain):
                behind = set().union(*(makers.get(name, set()) for name in node.input))
                if behind:
                    makers[node.output[0]] = behind
        linked: set[int] = set()
        for node in convs:
            for tensor in (node.input[PsbPlace.X], self._addend(node)):
                if tensor in makers:
                    linked |= {id(node), *makers[tensor]}
        return linked

    def _fault(self, node: NodeProto) -> Reason | None:
        """Return why a PsbConv cannot join."""
        if attribute(node, "draws", "run") != "run":
            return Reason("it draws for every product; chains draw once per run")
        if len(node.input) > _REGION and node.input[_REGION]:
            return Reason("it has an input region")
        bits = int(str(attribute(node, "x_bits", USUAL_X_BITS)))
        if self._bits not in (0, bits):
            return Reason(f"its x_bits is {bits}, that of those before it {self._bits}")
        z = self._addend(node)
        for tensor in (node.input[PsbPlace.X], *([z] if z else []), node.output[0]):
            if tensor not in self.exponents:
                return Reason(f"the exponent of {tensor!r} is not known")
        if z and abs(self.exponents[z] - self.exponents[node.output[0]]) > MOST_STEPS:
            return Reason("the exponents of what it adds and makes are too far apart")
        return None

    def _addend(self, node: NodeProto) -> str:
        """Return the tensor that a convolution adds, "" for none."""
        place = ADDEND_PLACE[PSB_CONV]
        z: str = node.input[place] if len(node.input) > place else ""
        constant = self.editor.constant(z) if z else None
        return "" if constant is not None and constant.size == 0 else z

    def _conv(self, node: NodeProto) -> None:
        self._bits = int(str(attribute(node, "x_bits", USUAL_X_BITS)))
        x, y = node.input[PsbPlace.X], node.output[0]
        z = self._addend(node)
        kept = {key: attribute(node, key) for key in _KEPT}
        attributes: dict[str, Any] = {k: v for k, v in kept.items() if v is not None}
        attributes |= {"x_bits": self._bits, **self._bounds(node, self.exponents[y])}
        attributes |= {"x_exponent": self.exponents[x], "y_exponent": self.exponents[y]}
        inputs = [self._value(x), *node.input[PsbPlace.W : PsbPlace.SEED + 1]]
        if z:
            inputs.append(self._value(z))
            attributes["z_exponent"] = self.exponents[z]
        self._make(node, FIXED_CONV_16, inputs, attributes)

    def _bounds(self, node: NodeProto, exponent: int) -> dict[str, int]:
        """Return `y_min` and `y_max`: what x_bits hold, and the activation."""
        most = (1 << (self._bits - 1)) - 1
        kind = attribute(node, "activation", "none")
        low, high = -math.inf, math.inf
        if kind == "relu":
            low = 0.0
        elif kind == "clip":
            low = float(str(attribute(node, "clip_min", low)))
            high = float(str(attribute(node, "clip_max", high)))
        scale = 2.0**exponent
        bounds = (round(min(max(bound * scale, -most), most)) for bound in (low, high))
        return dict(zip(("y_min", "y_max"), bounds, strict=True))

    def _follows(self, node: NodeProto) -> bool:
        """Write a node that takes int16 of its input, if it is one; tell whether it was written."""
        if id(node) in self._concats:
            self._concat(node)
            return True
        if not node.input or node.input[0] not in self._made:
            return False
        if is_max_pool(node):
            kept = {key: attribute(node, key) for key in _WINDOW}
            window = {key: value for key, value in kept.items() if value is not None}
            self.exponents[node.output[0]] = self.exponents[node.input[0]]
            self._make(node, FIXED_MAX_POOL_16, [self._value(node.input[0])], window)
            return True
        if id(node) in self._resizes:
            self._resize(node, self._resizes[id(node)])
            return True
        if node.op_type == "Shape" and not domain_of(node.domain) and not node.attribute:
            return self._shape(node)
        keeps = keeps_axes_of_mean(self.editor, node)
        if keeps is not None:
            self._mean(node, keeps)
        return keeps is not None

    def _concat(self, node: NodeProto) -> None:
        """Write a Concat of int16, channels last."""
        exponent = self.exponents[node.output[0]]
        inputs, rank = [], 0
        for name in node.input:
            value = self.editor.constant(name)
            if value is None:
                rank = self.editor.rank(name) or rank
                inputs.append(self._value(name))
                continue
            stored = to_fixed16(value.astype(np.float32), exponent, self._bits)
            inputs.append(self.editor.add_initializer(name, "int16", stored))
        axis = int(str(attribute(node, "axis", 1))) % rank
        given = {"axis": last(range(rank)).index(axis)}
        self._make(node, "Concat", inputs, given, domain="")

    def _resize(self, node: NodeProto, how: Linear) -> None:
        """Write a linear Resize of int16."""
        x, scales = node.input[0], how.sizes.scales
        sizes = how.sizes.tensor
        if scales is not None:
            old, sizes = (self.editor.fresh(node.output[0], stem) for stem in ("old", "sizes"))
            self._sizes(x, old, old)
            stored = self.editor.add_initializer(node.output[0], "scales", scales)
            self._emit("Mul", [old, stored], sizes, sizes, {}, domain="")
        self.exponents[node.output[0]] = self.exponents[x]
        given = {"coordinates": how.coordinates}
        self._make(node, FIXED_RESIZE_16, [self._value(x), sizes], given)

    def _mean(self, node: NodeProto, keeps: bool) -> None:
        x, output = node.input[0], node.output[0]
        made = output if keeps else self.editor.fresh(output, "kept")
        given = {"x_exponent": self.exponents[x]}
        self._emit(FIXED_GLOBAL_POOL_16, [self._value(x)], made, name_of(node), given)
        if not keeps:
            self.nodes.append(helper.make_node("Flatten", [made], [output], axis=1))
        self._note(node, FIXED_GLOBAL_POOL_16, self.exponents[x])

    def _shape(self, node: NodeProto) -> bool:
        """Write a Shape of int16, whose sizes are put into the order of floats."""
        return self._sizes(node.input[0], node.output[0], node.name)

    def _sizes(self, tensor: str, output: str, name: str) -> bool:
        """Write the sizes of an int16 tensor in the order of floats; False: its rank is unknown."""
        rank = self.editor.rank(tensor)
        if rank is None:
            return False
        sizes = self.editor.fresh(output, "last")
        order = np.array([0, rank - 1, *range(1, rank - 1)], np.int64)
        stored = self.editor.add_initializer(output, "order", order)
        self._emit("Shape", [self._values[tensor]], sizes, name, {}, domain="")
        self.nodes.append(helper.make_node("Gather", [sizes, stored], [output]))
        return True

    def _value(self, tensor: str) -> str:
        """Return the int16 of a tensor, written where needed."""
        if tensor not in self._values:
            made = self._values[tensor] = self.editor.fresh(tensor, "int16")
            given = {"y_exponent": self.exponents[tensor], "y_bits": self._bits}
            self._emit(TO_FIXED_16, [tensor], made, made, given)
            self._describe(tensor, made)
        return self._values[tensor]

    def _give_floats(self, tensor: str) -> None:
        if tensor not in self._made or tensor in self._floats:
            return
        self._floats.add(tensor)
        given = {"x_exponent": self.exponents[tensor]}
        name = self.editor.fresh(tensor, "floats")
        self._emit(FROM_FIXED_16, [self._values[tensor]], tensor, name, given)

    def _make(
        self,
        node: NodeProto,
        op: str,
        inputs: list[str],
        given: dict[str, Any],
        domain: str = OWN_DOMAIN,
    ) -> None:
        """Write the node that makes the int16 of what `node` made."""
        tensor = node.output[0]
        made = self._values[tensor] = self.editor.fresh(tensor, "int16")
        self._made.add(tensor)
        self._emit(op, inputs, made, name_of(node), given, domain)
        self._describe(tensor, made)
        self._note(node, op, self.exponents[tensor])

    def _note(self, node: NodeProto, op: str, exponent: int) -> None:
        form = FixedFormat(exponent, 0)
        self.joined.append(ChainedNode(name_of(node), node.op_type, op, node.output[0], form))

    def _emit(
        self,
        op: str,
        inputs: list[str],
        output: str,
        name: str,
        given: Mapping[str, Any],
        domain: str = OWN_DOMAIN,
    ) -> None:
        node = helper.make_node(op, inputs, [output], name, domain=domain, **given)
        self.nodes.append(node)

    def _describe(self, tensor: str, made: str) -> None:
        found = self.editor.types.get(tensor)
        if found is not None and found.shape is not None and len(found.shape) > 1:
            shape = [found.shape[0], *found.shape[2:], found.shape[1]]
            self.editor.describe(made, TensorProto.INT16, shape)
