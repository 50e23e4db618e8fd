"""One operator of a converted model inside the original float model."""

from __future__ import annotations

from collections.abc import Iterable

from onnx import NodeProto, helper

from reluflow.errors import ModelError
from reluflow.graph.proto.model import Model
from reluflow.graph.proto.own_domain import FROM_THE_RUN, USUAL_X_BITS, PsbPlace
from reluflow.graph.psb.factors import put_factors, read_count
from reluflow.graph.psb.nodes import is_psb, psb_places, refuse_chains
from reluflow.graph.psb.options import PsbOptions
from reluflow.graph.psb.plan import PsbPlan, plan_psb
from reluflow.graph.psb.read import multiplies
from reluflow.graph.psb.to_psb import encode_all
from reluflow.graph.rewrite.contract import Rewritten
from reluflow.graph.rewrite.edit import Editor
from reluflow.graph.rewrite.reader import attribute, name_of, read_graph

_OF_THE_CODE = ("p_bits", "sampler", "draws", "rounding", "stream", "x_bits", "x_exponent")


def psb_alone(
    source: Model | Rewritten[PsbPlan], converted: Model, name: str
) -> Rewritten[tuple[str, ...]]:
    """Return the float model with one operator taken from a converted model.

    The operator keeps its stored weights, including pruned ones, its calibrated exponent, its
    factor of samples and its random numbers; all others stay in floating point.

    Args:
        source: the float model, or the plan of it that `plan_psb` made; not changed.
        converted: the result of `to_psb` for it.
        name: of a PSB operator of `converted`.

    Returns:
        The new model, and the name of its operator.

    Raises:
        ModelError: a model has no such operator, or with weights of another shape; the
            converted one has chains.

    Example:
        >>> import onnx.parser
        >>> from reluflow.graph import find_psb, load, psb_alone, to_psb
        >>> proto = onnx.parser.parse_model('''<ir_version: 8, opset_import: ["" : 17]>
        ...     g (float[N,2] x) => (float[N,2] y) <float[2,2] w = {1,2,3,4}>
        ...     { [one] a = MatMul(x, w) b = Relu(a) [two] y = MatMul(b, w) }''')
        >>> model = load(proto)
        >>> alone = psb_alone(model, to_psb(model).model, 'two').model
        >>> [node.name for node in find_psb(alone)]
        ['two']

    Reference: docs/spec.md, section 7.
    """
    plan = plan_psb(source) if isinstance(source, Model) else source
    refuse_chains(converted, "it cannot work alone on floats")
    stored = read_graph(converted)
    given = _named([node for place in stored.everywhere() for node in place.nodes], name)
    editor = Editor(plan.model)
    nodes = [node for place in editor.everywhere() for node in place.nodes]
    others = {name_of(node) for node in nodes if multiplies(node)} - {name}
    rounding = str(attribute(given, "rounding", "half"))
    options = PsbOptions(exclude=tuple(sorted(others)), rounding=rounding)
    encode_all(editor, options)
    editor.commit()
    place, node = _placed(editor, name)
    if attribute(node, "weight_shape") != attribute(given, "weight_shape"):
        raise ModelError(
            f"operator {name!r} has weights {attribute(node, 'weight_shape')} in the float model "
            f"and {attribute(given, 'weight_shape')} in the converted one; "
            "give the model that it was converted from."
        )
    for number in (1, 2):
        array = stored.constant(given.input[number])
        assert array is not None
        place.put_constant(node, number, array, "psb", "stored")
    kept = [entry for entry in node.attribute if entry.name not in _OF_THE_CODE]
    kept += [entry for entry in given.attribute if entry.name in _OF_THE_CODE]
    told = {entry.name for entry in kept}  # older files leave these to defaults
    for attribute_name, value in (("x_bits", USUAL_X_BITS), ("x_exponent", FROM_THE_RUN)):
        if attribute_name not in told:
            kept.append(helper.make_attribute(attribute_name, value))
    del node.attribute[:]
    node.attribute.extend(kept)
    factor = read_count(stored, given.input[PsbPlace.SAMPLES]).factor
    put_factors(editor, {name: factor}, [(place, node)])
    return editor.finish((name,))


def _placed(editor: Editor, name: str) -> tuple[Editor, NodeProto]:
    """Return an operator and the editor of its graph."""
    node = _named([node for _, node in psb_places(editor)], name)
    return next((place, each) for place, each in psb_places(editor) if each is node)


def _named(nodes: Iterable[NodeProto], name: str) -> NodeProto:
    for node in nodes:
        if is_psb(node) and name_of(node) == name:
            return node
    raise ModelError(
        f"there is no PSB operator {name!r} in the model; "
        "give a converted model and the float model that it was made from."
    )
