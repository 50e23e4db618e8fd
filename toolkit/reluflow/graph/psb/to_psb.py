"""Converting a model's multiplications to stochastic shift-adds."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from onnx import NodeProto

from reluflow.errors import ModelError, OptionError
from reluflow.graph.proto.check import check_model
from reluflow.graph.proto.external import walk_graphs
from reluflow.graph.proto.model import Model
from reluflow.graph.psb.add import fuse_additions
from reluflow.graph.psb.input_defaults import without_input_defaults
from reluflow.graph.psb.nodes import PsbNode, Succession, find_psb, find_successions, is_psb
from reluflow.graph.psb.options import PsbOptions
from reluflow.graph.psb.read import fuse_activation, multiplies, read_multiply
from reluflow.graph.psb.write import PsbWriter
from reluflow.graph.rewrite.contract import EXCLUDED, Reason, Refused
from reluflow.graph.rewrite.edit import Editor, name_of
from reluflow.graph.rewrite.fold_batchnorm import Folded, fold_batchnorm
from reluflow.graph.rewrite.opset.raise_opset import with_opset
from reluflow.graph.rewrite.prune import prune


@dataclass(frozen=True, slots=True)
class ConvertedNode:
    """One operator that is a PSB operator now.

    Attributes:
        psb: what it became.
        x: the tensor that it multiplies, by the name that `x_exponents` takes.
        was: the operator that it was.
        merged: names of nodes behind it that it took over (bias, addition, activation).
    """

    psb: PsbNode
    x: str
    was: str
    merged: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class PsbResult:
    """A converted model, and what was done to it.

    Attributes:
        model: the new model, with the inputs `samples` and `seed`, which have defaults unless
            the options say otherwise.
        samples: name of the input for the number of samples; 0: nearest mode.
        seed: name of the input for the seed.
        converted: in graph order.
        refused: operators with weights that were left alone, with the reason.
        folded: batch normalisation and its like, folded before.
        successions: pairs of stochastic multiplications without a switch between.
        notes: sentences on what else had to be done.
        floats: the model in floating point that was converted: folded and raised, not pruned.
    """

    model: Model
    samples: str
    seed: str
    converted: tuple[ConvertedNode, ...]
    refused: tuple[Refused, ...]
    folded: tuple[Folded, ...]
    successions: tuple[Succession, ...]
    notes: tuple[str, ...]
    floats: Model


def to_psb(model: Model, options: PsbOptions | None = None) -> PsbResult:
    """Convert a model's linear operators to PSB operators of domain `ai.reluflow`.

    Batch normalisation is folded first, weights are pruned on request, then Conv (1-D, 2-D),
    Gemm and MatMul with constant weights become PsbConv and PsbMatMul; batch normalisation
    that could not be folded becomes a depthwise PsbConv. Every operator carries its meaning in
    nearest mode as a model-local function, so the file runs in any ONNX runtime. Models below
    opset 13 or IR version 8 are raised to them.

    Args:
        model: the float model, not changed.
        options: settings; the defaults store 9 bits per weight.

    Returns:
        The converted model and the lists of what was done and what was not.

    Raises:
        ModelError: the model is converted already, its opset cannot be raised, or what was made
            of it is not valid, as where a convolution's attributes do not fit its weights.
        OptionError: `exclude` names a node that the model does not have.

    Example:
        >>> import onnx.parser
        >>> from reluflow.graph import load
        >>> proto = onnx.parser.parse_model('''<ir_version: 8, opset_import: ["" : 17]>
        ...     g (float[N,2] x) => (float[N,2] y) <float[2,2] w = {1,2,3,4}>
        ...     { h = MatMul(x, w) y = Relu(h) }''')
        >>> result = to_psb(load(proto))
        >>> result.converted[0].psb.activation, result.model.n_nodes, result.refused
        ('relu', 1, ())

    Reference: thesis 4.2; docs/spec.md, section 7; docs/psb-ops.md.
    """
    options = options or PsbOptions()
    _check(model, options)
    fold = fold_batchnorm(model)
    ready = floats = with_opset(fold.model)
    if options.prune:
        ready = prune(
            ready, options.prune, scope=options.prune_scope, exclude=options.exclude
        ).model
    editor = Editor(ready)
    writer = PsbWriter(editor, options)
    done, refused = _convert(editor, writer, options)
    names = (writer.samples, writer.seed)
    if not done:  # nothing to sample: the model stays what it was
        return PsbResult(model, *names, (), tuple(refused), (), (), (), model)
    fused = fuse_additions(editor) if options.fuse else {}
    writer.finish()
    result = editor.finish()
    if not options.input_defaults:
        result = without_input_defaults(result)
    check_model(result._proto, [result.base_dir or Path()], "the converted model")
    psb = {node.output: node for node in find_psb(result)}
    converted = []
    for output, x, was, merged in done:
        now, added = fused.get(output, (output, ()))
        converted.append(ConvertedNode(psb[now], x, was, merged + added))
    return PsbResult(
        result,
        *names,
        tuple(converted),
        tuple(refused),
        fold.folded,
        find_successions(result),
        result.notes[len(model.notes) :],
        floats,
    )


def _check(model: Model, options: PsbOptions) -> None:
    nodes = model._proto.graph.node
    if any(map(is_psb, nodes)):
        raise ModelError(
            f"model {str(model.path or '<memory>')!r} holds PSB operators already; "
            "give the float model that it was made from."
        )
    known = {name_of(node) for node in nodes}
    for name in options.exclude:
        if name not in known:
            raise OptionError(
                f"exclude names {name!r}, which is no node of the model's main graph; give the "
                "name of one."
            )


_Done = list[tuple[str, str, str, tuple[str, ...]]]


def _convert(editor: Editor, writer: PsbWriter, options: PsbOptions) -> tuple[_Done, list[Refused]]:
    """Convert what can be; return output, input, operator and merged nodes, and the refused."""
    done: _Done = []
    refused = []
    for node in list(editor.nodes):
        if not multiplies(node):
            continue
        name, op = name_of(node), node.op_type
        excluded = name in options.exclude
        found = EXCLUDED if excluded else read_multiply(editor, node, options.norms)
        if isinstance(found, Reason):
            editor.forget()
            refused.append(Refused(name, op, found.text))
            continue
        editor.settle()
        if options.fuse:
            fuse_activation(editor, found)
        merged = tuple(name_of(other) for other in found.merged)
        done.append((writer.write(found), found.x, op, merged))
    return done, refused + _in_subgraphs(editor)


def _in_subgraphs(editor: Editor) -> list[Refused]:
    reason = "it stands in a subgraph (If, Loop or Scan)"
    inner: list[NodeProto] = []
    for number, graph in enumerate(walk_graphs(editor.proto)):
        inner += graph.node if number else ()
    return [Refused(name_of(node), node.op_type, reason) for node in inner if multiplies(node)]
