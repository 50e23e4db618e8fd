"""A converted model with another way of drawing."""

from __future__ import annotations

from collections.abc import Collection

from onnx import helper

from reluflow.errors import OptionError
from reluflow.graph.proto.model import Model
from reluflow.graph.psb.nodes import is_psb, refuse_bytes
from reluflow.graph.rewrite.contract import Rewritten
from reluflow.graph.rewrite.edit import Editor
from reluflow.graph.rewrite.reader import name_of
from reluflow.psb import SAMPLERS


def with_sampler(
    model: Model, sampler: str, only: Collection[str] | None = None
) -> Rewritten[tuple[str, ...]]:
    """Return a converted model whose operators draw in another way; the weights stay as stored.

    Args:
        model: a converted model, not changed.
        sampler: "systematic", "binomial" or "nearest".
        only: names of the operators; None: all.

    Returns:
        The new model, and the names of the operators that draw so.

    Raises:
        OptionError: there is no such sampler.
        ModelError: the sampler is "binomial" and an operator passes bytes in a chain.

    Example:
        >>> from reluflow.graph import find_psb, load, to_psb
        >>> psb = to_psb(load("models/fashion_resnet8.onnx")).model
        >>> {node.sampler for node in find_psb(with_sampler(psb, "nearest").model)}
        {'nearest'}

    Reference: docs/spec.md, section 7, samplers.
    """
    if sampler not in SAMPLERS:
        raise OptionError(f"sampler is {sampler!r}; accepted are {', '.join(SAMPLERS)}.")
    if sampler == "binomial":
        refuse_bytes(model, "its weights cannot be drawn by the sampler 'binomial'")
    editor = Editor(model)
    found = [node for place in editor.everywhere() for node in filter(is_psb, place.nodes)]
    nodes = [node for node in found if only is None or name_of(node) in only]
    for node in nodes:
        for entry in [each for each in node.attribute if each.name == "sampler"]:
            node.attribute.remove(entry)
        node.attribute.append(helper.make_attribute("sampler", sampler))
    return editor.finish(tuple(map(name_of, nodes)))
