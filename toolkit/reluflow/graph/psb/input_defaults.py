"""Defaults of a converted model's inputs for the number of samples and the seed."""

from __future__ import annotations

import numpy as np
from onnx import TensorProto, numpy_helper

from reluflow.graph.proto.copy import copy_proto
from reluflow.graph.proto.model import Model
from reluflow.graph.psb.nodes import is_psb, psb_inputs


def without_input_defaults(model: Model) -> Model:
    """Make `samples` and `seed` of a converted model inputs that every run has to give.

    A default is an initializer with the name of an input. Runtimes that take such inputs for
    constants, as onnxruntime-web does, then list both and take them.

    Args:
        model: of `to_psb`, not changed.

    Raises:
        ModelError: the model has no PSB operator.

    Example:
        >>> from reluflow.graph import load, to_psb
        >>> psb = to_psb(load("models/fashion_resnet8.onnx")).model
        >>> [spec.name for spec in without_input_defaults(psb).inputs]
        ['image', 'samples', 'seed']

    Reference: ONNX IR specification, graph inputs; docs/psb.md.
    """
    names = psb_inputs(model)
    proto = copy_proto(model, inline=False)
    kept = [t.SerializeToString() for t in proto.graph.initializer if t.name not in names]
    del proto.graph.initializer[:]
    proto.graph.initializer.extend(map(TensorProto.FromString, kept))
    return Model(proto, base_dir=model.base_dir, notes=model.notes)


def with_input_defaults(model: Model) -> Model:
    """Give `samples` and `seed` of a converted model the default 0 where they have none.

    Args:
        model: any, not changed; one without PSB operators, or with both defaults, is returned.

    Example:
        >>> from reluflow.graph import load, to_psb
        >>> psb = to_psb(load("models/fashion_resnet8.onnx")).model
        >>> [spec.name for spec in with_input_defaults(without_input_defaults(psb)).inputs]
        ['image']
    """
    if not any(map(is_psb, model._proto.graph.node)):
        return model
    names = psb_inputs(model)
    missing = [spec.name for spec in model.inputs if spec.name in names]
    if not missing:
        return model
    proto = copy_proto(model, inline=False)
    zero = np.array(0, np.int64)
    proto.graph.initializer.extend(numpy_helper.from_array(zero, name) for name in missing)
    return Model(proto, base_dir=model.base_dir, notes=model.notes)
