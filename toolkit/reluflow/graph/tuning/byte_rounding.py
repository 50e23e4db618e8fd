"""A float model that rounds its activations as a chain of bytes does."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
from onnx import NodeProto, helper

from reluflow.errors import OptionError
from reluflow.graph.proto.model import Model
from reluflow.graph.proto.own_domain import (
    FIXED_CONV,
    FIXED_GLOBAL_AVERAGE_POOL,
    FIXED_GLOBAL_POOL,
    FROM_FIXED_CONV,
    FROM_FIXED_MATMUL,
)
from reluflow.graph.psb.chain.changes import ChainChanges
from reluflow.graph.psb.chain.steps import LAST_BYTE
from reluflow.graph.rewrite.contract import Rewritten
from reluflow.graph.rewrite.edit import Editor
from reluflow.graph.rewrite.reader import read_graph
from reluflow.psb.fixed import FixedFormat

_ENDS = (FROM_FIXED_CONV, FROM_FIXED_MATMUL)
_ON_GRID = (FIXED_CONV, *_ENDS)


@dataclass(frozen=True, slots=True)
class ByteRounding:
    """What chains of bytes round; `byte_rounding` reads it from a chained model.

    Attributes:
        formats: tensor of the float model -> what its bytes stand for.
        on_grid: names of the layers whose weights are drawn on the 8-bit grid.
    """

    formats: Mapping[str, FixedFormat] = field(default_factory=dict)
    on_grid: frozenset[str] = frozenset()


def byte_rounding(
    chained: Rewritten[ChainChanges], formats: Mapping[str, FixedFormat]
) -> ByteRounding:
    """Return which tensors a chained model passes as bytes, and which layers draw on the grid.

    Args:
        chained: of `chain_psb`.
        formats: that it was given, for the tensors that begin a chain.

    Example:
        >>> import onnx.parser
        >>> from reluflow.graph import chain_psb, load, to_psb
        >>> proto = onnx.parser.parse_model('''<ir_version: 8, opset_import: ["" : 17]>
        ...     g (float[N,1,4] x) => (float[N,1,4] y) <float[1,1,1] w = {0.5}>
        ...     { [one] h = Conv(x, w) r = Relu(h) [two] y = Conv(r, w) }''')
        >>> forms = {"x": FixedFormat(5, 128), "r": FixedFormat(7, 0), "y": FixedFormat(5, 128)}
        >>> found = byte_rounding(chain_psb(to_psb(load(proto)).model, forms), forms)
        >>> list(found.formats), sorted(found.on_grid)
        (['x', 'r'], ['one', 'two'])

    Reference: docs/psb-ops.md, chains.
    """
    done = chained.done
    nodes = read_graph(chained.model).nodes
    means = {node.name for node in nodes if node.op_type == FIXED_GLOBAL_AVERAGE_POOL}
    passed = {name: formats[name] for name in done.begins}
    for node in done.nodes:
        floats = node.op == FIXED_GLOBAL_POOL and node.name not in means
        if not floats and node.op not in _ENDS:
            passed[node.tensor] = node.form
    return ByteRounding(passed, frozenset(n.name for n in done.nodes if n.op in _ON_GRID))


def with_byte_rounding(
    model: Model, formats: Mapping[str, FixedFormat]
) -> Rewritten[dict[str, str]]:
    """Return a copy of a float model whose nodes read activations that were rounded to bytes.

    Args:
        model: a float model of opset 13 or later, as `plan_psb` leaves it; not changed.
        formats: tensor of the main graph -> what its bytes stand for.

    Returns:
        The new model, and tensor -> the rounded tensor that nodes read in its place; outputs of
        the model stay as they were.

    Raises:
        OptionError: a name is not that of an input or of a node's output.

    Example:
        >>> import onnx.parser
        >>> from reluflow.graph import load
        >>> from reluflow.sessions import open_session
        >>> proto = onnx.parser.parse_model('''<ir_version: 8, opset_import: ["" : 17]>
        ...     g (float[N,2] x) => (float[N,2] y) { y = Abs(x) }''')
        >>> made = with_byte_rounding(load(proto), {"x": FixedFormat(1, 0)})
        >>> open_session(made.model).run({"x": np.array([[0.7, -3.0]], np.float32)})[0].tolist()
        [[0.5, 0.0]]

    Reference: docs/psb-ops.md, ToFixed.
    """
    editor = Editor(model)
    renamed = {}
    for tensor, form in formats.items():
        maker = editor.producer(tensor)
        if maker is None and tensor not in {spec.name for spec in model.inputs}:
            raise OptionError(
                f"formats name {tensor!r}, which the main graph does not make; give names of its "
                "inputs or of outputs of its nodes."
            )
        readers = editor.readers(tensor)
        pair = _rounding(editor, tensor, form)
        rounded = pair[-1].output[0]
        for node in readers:
            for place, name in enumerate(node.input):
                if name == tensor:
                    editor.set_input(node, place, rounded)
        for node in reversed(pair):
            editor.insert(node, after=maker)
        renamed[tensor] = rounded
    return editor.finish(renamed)


def _rounding(editor: Editor, tensor: str, form: FixedFormat) -> list[NodeProto]:
    """Return the nodes that round a tensor: halves to even at an input, else up, as chains do.

    Not QuantizeLinear and its inverse: around these, ONNX Runtime rounds weights and biases too.
    """
    lowest, highest = -form.zero, LAST_BYTE - form.zero
    whole: list[tuple[str, list[float], str]] = [("Round", [], "whole")]
    if editor.producer(tensor) is not None:
        whole = [("Add", [0.5], "half"), ("Floor", [], "whole")]
    steps: list[tuple[str, list[float], str]] = [
        ("Mul", [2.0**form.exponent], "steps"),
        *whole,
        ("Clip", [lowest, highest], "clamped"),
        ("Mul", [2.0**-form.exponent], "rounded"),
    ]
    nodes, name = [], tensor
    for op, numbers, what in steps:
        given = [
            editor.add_initializer(tensor, what, np.asarray(value, np.float32)) for value in numbers
        ]
        made = editor.fresh(tensor, what)
        nodes.append(helper.make_node(op, [name, *given], [made]))
        name = made
    return nodes
