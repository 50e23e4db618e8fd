"""Defaults of a converted model's inputs for the number of samples and the seed."""

from __future__ import annotations

import numpy as np
from onnx import numpy_helper

from reluflow.graph.proto.model import Model
from reluflow.graph.psb.nodes import holds_psb, psb_inputs
from reluflow.graph.rewrite.contract import Rewritten
from reluflow.graph.rewrite.draft import Draft, retain


def without_input_defaults(model: Model) -> Rewritten[tuple[str, ...]]:
    """Make `samples` and `seed` of a converted model inputs that every run has to give.

    A default is an initializer with the name of an input. Runtimes that treat such inputs as
    constants, as onnxruntime-web does, then list and accept both.

    Args:
        model: of `to_psb`, not changed.

    Returns:
        The new model, and the inputs that no longer have a default.

    Raises:
        ModelError: the model has no PSB operator.

    Example:
        >>> from reluflow.graph import load, to_psb
        >>> psb = to_psb(load("models/fashion_resnet8.onnx")).model
        >>> [spec.name for spec in without_input_defaults(psb).model.inputs]
        ['image', 'samples', 'seed']

    Reference: ONNX IR specification, graph inputs; docs/psb.md.
    """
    names = psb_inputs(model)
    draft = Draft(model)
    stored = draft.proto.graph.initializer
    gone = tuple(tensor.name for tensor in stored if tensor.name in names)
    retain(stored, lambda tensor: tensor.name not in names)
    return draft.finish(gone)


def with_input_defaults(
    model: Model, samples: int = 0, seed: int = 0
) -> Rewritten[tuple[str, ...]]:
    """Give `samples` and `seed` of a converted model a default where they have none.

    Args:
        model: any, not changed; one without PSB operators, or with both defaults, is returned.
        samples: the default of `samples`.
        seed: the default of `seed`.

    Returns:
        The new model, and the inputs that now have a default.

    Example:
        >>> from reluflow.graph import load, to_psb
        >>> psb = to_psb(load("models/fashion_resnet8.onnx")).model
        >>> bare = without_input_defaults(psb).model
        >>> [spec.name for spec in with_input_defaults(bare).model.inputs]
        ['image']
    """
    if not holds_psb(model):
        return Rewritten(model, ())
    names = psb_inputs(model)
    missing = [spec.name for spec in model.inputs if spec.name in names]
    if not missing:
        return Rewritten(model, ())
    draft = Draft(model)
    values = dict(zip(names, (samples, seed), strict=True))
    draft.proto.graph.initializer.extend(
        numpy_helper.from_array(np.array(values[name], np.int64), name) for name in missing
    )
    return draft.finish(tuple(missing))
