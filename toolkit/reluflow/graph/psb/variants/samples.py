"""Converted models whose operators draw different numbers of samples."""

from __future__ import annotations

import math
from collections.abc import Mapping

import numpy as np

from reluflow.errors import OptionError
from reluflow.graph.proto.model import Model
from reluflow.graph.proto.own_domain import PsbPlace
from reluflow.graph.psb.factors import put_factors
from reluflow.graph.psb.nodes import psb_places
from reluflow.graph.rewrite.contract import Rewritten
from reluflow.graph.rewrite.edit import Editor
from reluflow.graph.rewrite.reader import name_of
from reluflow.psb import MAX_SAMPLES


def with_sample_factors(model: Model, factors: Mapping[str, float]) -> Rewritten[tuple[str, ...]]:
    """Return a converted model in which some operators draw more or fewer samples than others.

    An operator's number of samples is that of the run times its factor, at least 1 and at most 64;
    0, nearest mode, stays 0 everywhere. The new nodes are ONNX's own, so that one input still sets
    the precision of the whole model.

    Args:
        model: of `to_psb`, not changed; factors that it has already are replaced.
        factors: operator -> factor, a power of two from 1/64 to 64; the others get 1.

    Returns:
        The new model, and the names of the operators whose factor is not 1.

    Raises:
        OptionError: there is no such operator, or a factor is not accepted.

    Example:
        >>> from reluflow.graph import find_psb, load, to_psb
        >>> psb = to_psb(load("models/fashion_resnet8.onnx")).model
        >>> first, second, *_ = (node.name for node in find_psb(psb))
        >>> model = with_sample_factors(psb, {first: 4, second: 0.5}).model
        >>> [node.samples(8) for node in find_psb(model)[:3]]
        [32, 4, 8]

    Reference: docs/psb.md, the sample budget; docs/spec.md, section 7.
    """
    editor = Editor(model)
    operators = psb_places(editor)
    known = {name_of(node) for _, node in operators}
    for name, factor in factors.items():
        if name not in known:
            raise OptionError(
                f"factors name {name!r}, which is no PSB operator of the model; give names that "
                "find_psb lists."
            )
        if not _is_accepted(factor):
            raise OptionError(
                f"factor {factor!r} of {name!r} is not accepted; give a power of two from 1/64 "
                "to 64."
            )
    put_factors(editor, factors, operators)
    return editor.finish(tuple(name for name, factor in factors.items() if factor != 1))


def _is_accepted(factor: float) -> bool:
    most = MAX_SAMPLES.bit_length()
    return factor > 0 and abs(math.log2(factor)) in range(most)


def with_own_samples(model: Model) -> Rewritten[dict[str, str]]:
    """Return a converted model in which every operator has an input for its number of samples.

    Args:
        model: of `to_psb`, not changed.

    Returns:
        The new model, and operator -> its new input, of default 0: nearest mode.

    Example:
        >>> from reluflow.graph import load, to_psb
        >>> psb = to_psb(load("models/fashion_resnet8.onnx")).model
        >>> len(with_own_samples(psb).done)
        10

    Reference: docs/psb.md, the sample budget.
    """
    editor = Editor(model)
    names = {}
    for place, node in psb_places(editor):
        names[name_of(node)] = editor.add_input("samples", np.array(0, np.int64))
        place.set_input(node, PsbPlace.SAMPLES, names[name_of(node)])
    return editor.finish(names)
