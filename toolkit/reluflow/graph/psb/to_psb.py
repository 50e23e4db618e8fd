"""Converting a model's multiplications to stochastic shift-adds."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

from reluflow.errors import OptionError
from reluflow.graph.proto.check import check_model
from reluflow.graph.proto.model import Model
from reluflow.graph.psb.add import fuse_additions
from reluflow.graph.psb.forms.recurrent import Decoded, is_recurrent, store_recurrent
from reluflow.graph.psb.forms.spell import SpelledOut
from reluflow.graph.psb.forms.unround import Unrounded
from reluflow.graph.psb.function import weights_function
from reluflow.graph.psb.nodes import PsbNode, Succession, find_successions, psb_by_graph
from reluflow.graph.psb.options import PsbOptions
from reluflow.graph.psb.plan import PsbPlan, check_source, elsewhere, prepare, read_or_exclude
from reluflow.graph.psb.read import fuse_activation, multiplies
from reluflow.graph.psb.write import PsbWriter
from reluflow.graph.rewrite.contract import Reason, Refused, Rewritten
from reluflow.graph.rewrite.edit import Editor
from reluflow.graph.rewrite.fold_batchnorm import Folded
from reluflow.graph.rewrite.prune import prune_weights
from reluflow.graph.rewrite.reader import name_of

_NEXT_SEEDS = 2**40
"""Distance between the seeds of two recurrent operators, beyond those of all other weights."""
_Done = list[tuple[int, str, str, str, tuple[str, ...]]]
"""Number of the graph, output, input, operator and merged nodes of each converted node."""


@dataclass(frozen=True, slots=True)
class ConvertedNode:
    """One operator that has become a PSB operator; part of what `to_psb` returns.

    Attributes:
        psb: what it became.
        x: the tensor that it multiplies, by the name that `x_exponents` takes.
        was: the original operator.
        merged: names of nodes after it that it took over (bias, addition, activation).
    """

    psb: PsbNode
    x: str
    was: str
    merged: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class PsbChanges:
    """The record of a conversion; part of what `to_psb` returns.

    Attributes:
        converted: in the main graph, then in the subgraphs in it, in graph order.
        folded: batch normalisation, padding and similar nodes, folded before.
        successions: pairs of stochastic multiplications without a switch in between.
        spelled: operators that were written in terms of those that can be converted.
        unrounded: activations that were rounded to integers and back, and now are not.
        decoded: operators in floating point whose weights are stored as PSB; they are among those
            left alone too.
    """

    converted: tuple[ConvertedNode, ...]
    folded: tuple[Folded, ...]
    successions: tuple[Succession, ...]
    spelled: tuple[SpelledOut, ...] = ()
    unrounded: tuple[Unrounded, ...] = ()
    decoded: tuple[Decoded, ...] = ()


def to_psb(
    source: Model | Rewritten[PsbPlan], options: PsbOptions | None = None
) -> Rewritten[PsbChanges]:
    """Convert a model's linear operators to PSB operators of domain `ai.reluflow`.

    Batch normalisation and padding are folded first, ConvTranspose and 3-D Conv are spelled out as
    Conv (see `spell_out`), weights are pruned on request, then Conv (1-D, 2-D), Gemm and MatMul
    with constant weights become PsbConv and PsbMatMul; batch normalisation that could not be folded
    becomes a depthwise PsbConv. The same is done in the subgraphs of If, Loop and Scan, whose
    operators read the model's `samples` and `seed` from outside. Every operator carries its meaning
    in nearest mode as a model-local function, so the file runs in any ONNX runtime. Models below
    opset 13 or IR version 8 are raised to them.

    Args:
        source: the float model, or the plan of it that `plan_psb` made; not changed.
        options: settings; the defaults store 9 bits per weight.

    Returns:
        The converted model with the inputs `samples` and `seed` (see `psb_inputs`), what was
        done, and the operators with weights that were left alone; the given model where none
        could be converted.

    Raises:
        ModelError: the model is converted already, its opset cannot be raised, or what was made
            of it is not valid, as where a convolution's attributes do not fit its weights.
        OptionError: `exclude` names a node that the model does not have, or `node_bits` one that
            is not converted.

    Example:
        >>> import onnx.parser
        >>> from reluflow.graph import load
        >>> proto = onnx.parser.parse_model('''<ir_version: 8, opset_import: ["" : 17]>
        ...     g (float[N,2] x) => (float[N,2] y) <float[2,2] w = {1,2,3,4}>
        ...     { h = MatMul(x, w) y = Relu(h) }''')
        >>> result = to_psb(load(proto))
        >>> result.done.converted[0].psb.activation, result.model.n_nodes, result.refused
        ('relu', 1, ())

    Reference: thesis 4.2; docs/spec.md, section 7; docs/psb-ops.md.
    """
    options = options or PsbOptions()
    notes: tuple[str, ...] = ()
    if isinstance(source, Model):
        check_source(source, options)
        given, editor = source, Editor(source)
        prepared = prepare(editor, options)
    else:
        given, notes, editor = source.done.given, source.notes, Editor(source.model)
        prepared = source.done.folded, source.done.spelled, source.done.unrounded
    done, refused = encode_all(editor, options)
    if not done:  # nothing to sample: the model stays as it was
        return Rewritten(given, PsbChanges((), (), ()), refused)
    decoded, refused = _decode(editor, options, refused)
    result = editor.finish((), refused)
    model = result.model
    check_model(model._proto, [model.base_dir or Path()], "the converted model")
    # by graph: branches may use the same names for their tensors
    psb = [{node.output: node for node in nodes} for nodes in psb_by_graph(model)]
    converted = tuple(
        ConvertedNode(psb[graph][made], x, was, merged) for graph, made, x, was, merged in done
    )
    _check_named(options, {node.psb.name for node in converted})
    folded, spelled, unrounded = prepared
    successions = find_successions(model)
    changes = PsbChanges(converted, folded, successions, spelled, unrounded, decoded)
    return Rewritten(model, changes, refused, (*notes, *result.notes))


def _check_named(options: PsbOptions, known: set[str]) -> None:
    for name in options.node_bits:
        if name not in known:
            raise OptionError(
                f"node_bits names {name!r}, which is not converted; give names that plan_psb lists."
            )


def encode_all(editor: Editor, options: PsbOptions) -> tuple[_Done, tuple[Refused, ...]]:
    """Prune and convert a model on its editor, folded and raised before.

    Returns:
        For each operator the number of its graph, its output, the tensor that it multiplies, the
        original operator and the nodes that it took over; and the operators that were left alone.
    """
    # Pruned after folding, which changes which weights are small, and before encoding, in which a
    # weight of 0 is free.
    if options.prune:
        prune_weights(editor, options.prune, options.prune_scope, options.exclude)
        editor.commit()
    writer = PsbWriter(editor, options)
    done, refused = _convert(editor, writer, options)
    if not done:
        return [], tuple(refused)
    # Additions last: whether one may be taken over depends on both of its operands being written.
    fused = fuse_additions(editor) if options.fuse else ()
    writer.finish()
    if not options.input_defaults:
        editor.drop_defaults((writer.samples, writer.seed))
    now = []
    for graph, output, x, was, merged in done:
        made, added = fused[graph].get(output, (output, ())) if fused else (output, ())
        now.append((graph, made, x, was, merged + added))
    return now, tuple(refused)


def _convert(editor: Editor, writer: PsbWriter, options: PsbOptions) -> tuple[_Done, list[Refused]]:
    """Convert what can be; return output, input, operator and merged nodes, and the refusals."""
    done: _Done = []
    refused = []
    for number, place in enumerate(editor.everywhere()):
        for node in list(filter(multiplies, place.nodes)):
            name, op = name_of(node), node.op_type
            found = read_or_exclude(place, node, options)
            if isinstance(found, Reason):
                place.forget()
                refused.append(Refused(name, op, found.text))
                continue
            place.settle()
            if options.fuse:
                fuse_activation(place, found)
            merged = tuple(name_of(other) for other in found.merged)
            done.append((number, writer.write(found, place), found.x, op, merged))
    return done, refused + elsewhere(editor)


def _decode(
    editor: Editor, options: PsbOptions, refused: tuple[Refused, ...]
) -> tuple[tuple[Decoded, ...], tuple[Refused, ...]]:
    """Store the weights of recurrent operators, and say so where they are listed as left alone."""
    decoded: dict[str, Decoded] = {}
    reasons: dict[str, str] = {}
    graphs = editor.everywhere()
    nodes = [(place, node) for place in graphs for node in list(filter(is_recurrent, place.nodes))]
    for number, (place, node) in enumerate(nodes):
        name = name_of(node)
        if name in options.exclude:
            continue
        seed = options.seed + number * _NEXT_SEEDS
        found = store_recurrent(place, node, options.p_bits, options.small_weights, seed)
        if isinstance(found, Reason):
            place.forget()
            reasons[name] = found.text
            continue
        place.settle()
        decoded[name] = found
        reasons[name] = "its weights are stored as PSB, and decoded for products of floats"
    if decoded:
        editor.proto.functions.append(weights_function(editor.opset))
    told = tuple(replace(each, reason=reasons.get(each.node, each.reason)) for each in refused)
    return tuple(decoded.values()), told
